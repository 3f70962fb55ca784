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
from relay.settings import RelaySettings
from relay.slot import Slot

__all__ = ["MediaPorts"]

_MANY_DESCRIPTORS: Final = 4096
"""With as many, each slot gets two blocks of each range at once, else one."""

_log = logging.getLogger("relay.pool")


class MediaPorts:
    """All port ranges of a pool.

    Args:
        settings: the pool's.
    """

    def __init__(self, settings: RelaySettings) -> None:
        self._workers = settings.workers
        self._ranges = [PortRange(one, settings.workers) for one in settings.media]
        self._said_exhausted: set[tuple[str, str]] = set()
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
        own = 64 + 2 * BLOCK_PAIRS + 8 * self._workers
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
            for one in self._ranges:
                if (one.media.realm, one.media.address) == (block.realm, block.address):
                    one.exclude(block.ports)

    def provide(self, slots: Sequence[Slot]) -> None:
        """Bind the first ports of new slots, turn by turn, so that each gets its share.

        Raises ShortOfDescriptors or AddressError.
        """
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        for _ in range(2 if soft >= _MANY_DESCRIPTORS else 1):
            for slot in slots:
                for one in self._ranges:
                    _grow(slot, one)

    def more(self, slot: Slot, realm: str, address: str) -> ParkedBlock | None:
        """Bind another block for this slot, or None if there is none: said once in the log.

        Args:
            slot: keeps the block.
            realm: whose media.
            address: one of the realm's, or empty for any.
        """
        for one in self._ranges:
            if one.media.realm != realm or address not in ("", one.media.address):
                continue
            try:
                block = _grow(slot, one)
            except (ShortOfDescriptors, AddressError) as error:
                _log.error("%s", error)
                return None
            if block is not None:
                return block
        if (realm, address) not in self._said_exhausted:
            self._said_exhausted.add((realm, address))
            _log.warning("ports.exhausted realm=%s address=%s", realm, address or "any")
        return None


def _grow(slot: Slot, ports: PortRange) -> ParkedBlock | None:
    """Bind the next block of this range for this slot, or None if there is none left."""
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
    slot.keep(block)
    return block
