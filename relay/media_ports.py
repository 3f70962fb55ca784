"""Which worker has which media ports, and how many there are left."""

from __future__ import annotations

import logging
import resource
from collections.abc import Iterable, Sequence
from typing import Final

from relay.handoff import BLOCK_PAIRS
from relay.port_blocks import (
    AddressError,
    ParkedBlock,
    PortRange,
    ShortOfDescriptors,
    check_address,
    park,
)
from relay.settings import ANY_OF, RelaySettings, family_of
from relay.slot import Slot

__all__ = ["MediaPorts"]

_MANY_DESCRIPTORS: Final = 4096
"""With as many, each slot gets two blocks of each range at once, else one."""

_RESERVE: Final = 192
"""What the supervisor itself has open, and a block on its way in and one on its way out."""

_log = logging.getLogger("relay.pool")


class MediaPorts:
    """All port ranges of a pool.

    Args:
        settings: the pool's.
    """

    def __init__(self, settings: RelaySettings) -> None:
        self._workers = settings.workers
        self._ranges = [PortRange(one, settings.workers) for one in settings.media]
        self._held = 0
        self._said: set[str] = set()
        self.rows = 2 * BLOCK_PAIRS * sum(one.blocks for one in self._ranges)
        """Sockets that a single slot might get, were it to get everything."""

    @property
    def taken(self) -> int:
        """Pairs left out because another program holds one of their ports."""
        return sum(one.taken for one in self._ranges)

    def check(self) -> None:
        """Take all descriptors that we may have; see that they suffice and the addresses exist.

        Raises ShortOfDescriptors or AddressError.
        """
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        sockets = sum(2 * one.block_pairs for one in self._ranges)
        own = _RESERVE + 8 * self._workers
        if not _may_exceed_flight_limit():
            own += 2 * BLOCK_PAIRS * self._workers * len(self._ranges)
        needed = max(own, 64 + 2 * sockets)  # a worker has two sockets on a port that is in use
        if hard < needed:
            raise ShortOfDescriptors(
                f"RLIMIT_NOFILE is {hard}: expected at least {needed} for "
                f"{len(self._ranges)} media addresses (ulimit -n, LimitNOFILE=)"
            )
        for one in self._ranges:
            check_address(one.media)

    def exclude(self, blocks: Iterable[ParkedBlock]) -> None:
        """These came with an adopted worker: they are not to be bound again."""
        for block in blocks:
            self._held += 1
            for one in self._ranges:
                if (one.media.realm, one.media.address) == (block.realm, block.address):
                    one.exclude(block.ports)

    def provide(self, slots: Sequence[Slot]) -> None:
        """Bind the first ports of new slots, turn by turn, so that each gets its share.

        Raises ShortOfDescriptors or AddressError.
        """
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        for turn in range(2 if soft >= _MANY_DESCRIPTORS else 1):
            for slot in slots:
                for one in self._ranges:
                    try:
                        self._grow(slot, one)
                    except ShortOfDescriptors:
                        if turn == 0:
                            raise
                        return

    def more(self, slot: Slot, realm: str, address: str) -> ParkedBlock | None:
        """Bind another block for this slot, or None if there is none: said once in the log.

        That a range is bound to its end says nothing about calls: its ports may all be free.

        Args:
            slot: keeps the block.
            realm: whose media.
            address: one of the realm's; 0.0.0.0 or :: for any of the family; empty for any.
        """
        for one in self._ranges:
            theirs = one.media.address
            if one.media.realm != realm or address not in ("", theirs, ANY_OF[family_of(theirs)]):
                continue
            try:
                block = self._grow(slot, one)
            except (ShortOfDescriptors, AddressError) as error:
                self._say_once(logging.ERROR, str(error))
                return None
            if block is not None:
                return block
        text = f"ports.all_bound {_wanted(realm, address)} (its ranges have no more)"
        self._say_once(logging.INFO, text)
        return None

    def _say_once(self, level: int, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            _log.log(level, "%s", text)

    def _grow(self, slot: Slot, ports: PortRange) -> ParkedBlock | None:
        """Bind the next block of this range for this slot, or None if there is none left."""
        self._check_room()
        bound = ports.bind()
        if bound is None:
            return None
        numbers, sockets = bound
        block = park(
            sockets,
            block_id=slot.next_block_id(),
            realm=ports.media.realm,
            address=ports.media.address,
            ports=numbers,
            row=slot.next_row,
        )
        self._held += 1
        slot.keep(block)
        return block

    def _check_room(self) -> None:
        """Raise ShortOfDescriptors where a further block could be parked but not handed over.

        A block costs one descriptor here; without privileges the kernel counts its sockets, too,
        against the limit of all that this user has in flight.
        """
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        room = soft - _RESERVE - 8 * self._workers
        if not _may_exceed_flight_limit():
            room //= 2 * BLOCK_PAIRS
        if self._held >= max(1, room):
            raise ShortOfDescriptors(
                f"no descriptors left for media ports: {self._held} blocks are all that "
                f"RLIMIT_NOFILE {soft} allows (ulimit -n, LimitNOFILE=)"
            )


def _wanted(realm: str, address: str) -> str:
    """What was asked for; nothing is bound to 0.0.0.0 or ::, so these are not shown."""
    if not address:
        return f"realm={realm}"
    family = family_of(address)
    if address == ANY_OF[family]:
        return f"realm={realm} family=ipv{family}"
    return f"realm={realm} address={address}"


def _may_exceed_flight_limit() -> bool:
    """Whether this process has CAP_SYS_RESOURCE or CAP_SYS_ADMIN (unix(7), ETOOMANYREFS)."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) & (1 << 24 | 1 << 21))
    return False
