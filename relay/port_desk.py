"""Media ports as signalling gets them: leased, taken by plans, asked for when they run low.

`relay.ports` has the books; here are the sockets behind them, their rows in the flow table, and
the talk with the supervisor and with signalling about how many are left.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from relay.control.messages import ControlError, ErrorCode, Event, PortsEvent
from relay.flow_table import FlowTable
from relay.ports import EITHER, Key, Pair, Ports
from relay.settings import ANY_OF, family_of
from relay.sockets import let_all_in, mark, narrow

__all__ = ["PortDesk"]

_LOW: Final = 64
"""Spare pairs of a realm below which another block is asked for: two blocks."""
_ASK_AGAIN_S: Final = 10.0


_Pool: TypeAlias = tuple[str, int]
"""A realm and the address family of some of its ports; EITHER where all have the same."""


class PortDesk:
    """All media ports of one worker.

    Args:
        table: the flow table.
        quarantine_s: as in RelaySettings.
        addresses: (realm, address), all that the settings name.
        notify: tells signalling.
        need: asks the supervisor for another block of a realm; of one address, or of all of a
            family, or of any.
    """

    def __init__(
        self,
        table: FlowTable,
        quarantine_s: float,
        addresses: Iterable[tuple[str, str]],
        notify: Callable[[Event, object], bool],
        need: Callable[[str, str], None],
    ) -> None:
        self.ports = Ports(quarantine_s)
        self.rx: dict[Key, socket.socket] = {}
        """The bound socket of each port, RTP and RTCP."""
        self._table = table
        self._pools: Final = _pools(addresses)
        self._notify = notify
        self._need = need
        self._asked: dict[_Pool, float] = {}
        self._exhausted: set[_Pool] = set()
        self._told_exhausted: set[_Pool] = set()

    def add_block(
        self,
        realm: str,
        address: str,
        ports: tuple[int, ...],
        row: int,
        sockets: list[socket.socket],
        now: float,
    ) -> None:
        """Take ports that the supervisor has bound: sockets RTP, RTCP, RTP, … in their order."""
        for index, port in enumerate(ports):
            pair = Pair(realm, (address, port), (address, port + 1), row + 2 * index, 0)
            in_use = False
            if self._has_row(pair):
                before = self._table.read(pair.row)
                pair.generation, in_use = before.generation, bool(before.in_use)
                if in_use:
                    pair.kept = self._table.keys(pair.row)
            self.rx[pair.key] = sockets[2 * index]
            self.rx[pair.rtcp_key] = sockets[2 * index + 1]
            for key in (pair.key, pair.rtcp_key):
                narrow(self.rx[key])  # until a call is served, by this worker
                let_all_in(self.rx[key])  # the one before may have died with others shut out
                mark(self.rx[key], 0)
            self.ports.add(pair, now, used=in_use)
            if in_use:
                self._begin_row(pair, in_use=False)
        pool = self._pool(realm, address)
        self._asked.pop(pool, None)
        self._ask_for_more(pool, now)

    def no_more_ports(self, realm: str, address: str = "") -> None:
        """The supervisor has no further block for what `need` has asked."""
        self._exhausted.add(self._pool(realm, address))

    @property
    def stocked(self) -> bool:
        """Each pool has ports, or is known to get none."""
        return all(self.ports.total(*one) or one in self._exhausted for one in self._pools)

    def lease(
        self, realm: str, count: int, session: str, now: float, family: int = EITHER
    ) -> list[Key]:
        """RTP ports for plans to come. Raises ControlError."""
        pools = [one for one in self._pools if one[0] == realm and family in (EITHER, one[1])]
        if not pools:
            raise ControlError(ErrorCode.UNKNOWN_REALM, f"expected a realm with media: {realm}")
        pairs = self.ports.lease(realm, count, session, now, family)
        for pool in pools:
            self._ask_for_more(pool, now)
        if not pairs:
            if (realm, family) not in self._told_exhausted:
                self._told_exhausted.add((realm, family))
                self._notify(Event.PORTS, PortsEvent(realm, True, family).to_body())
            raise ControlError(ErrorCode.PORTS_EXHAUSTED, f"no media port is free in {realm}")
        return [pair.key for pair in pairs]

    def give_back(self, keys: list[Key], session: str) -> None:
        """Leased ports that no plan took."""
        for key in keys:
            self.ports.give_back(key, session)

    def drop_leases(self, keep_session: str, now: float) -> None:
        """Take back what other sessions have leased."""
        self.ports.drop_leases(keep_session, now)

    def take(self, pair: Pair) -> None:
        """A plan takes a leased pair."""
        self.ports.take(pair)
        self._begin_row(pair, in_use=True)

    def release(self, pair: Pair, now: float) -> None:
        """The plan has let go of it."""
        self._begin_row(pair, in_use=False)
        self.ports.release(pair, now)

    def look_after(self, now: float) -> None:
        """Once a second: say when ports are there again, ask for more where they run low."""
        for realm, family in list(self._told_exhausted):
            if self.ports.spare(realm, now, family):
                self._told_exhausted.discard((realm, family))
                self._notify(Event.PORTS, PortsEvent(realm, False, family).to_body())
        for pool in self._pools:
            self._ask_for_more(pool, now)
        self._exhausted = {
            pool for pool in self._exhausted if now - self._asked.get(pool, 0.0) < _ASK_AGAIN_S
        }

    def _pool(self, realm: str, address: str) -> _Pool:
        """Which of `_pools` an address is of."""
        pool = realm, family_of(address)
        return pool if pool in self._pools else (realm, EITHER)

    def _ask_for_more(self, pool: _Pool, now: float) -> None:
        """Ask for another block while there is less than a quarter in reserve."""
        realm, family = pool
        if self.ports.spare(realm, now, family) >= max(_LOW, self.ports.total(*pool) // 4):
            return
        if pool not in self._exhausted and now - self._asked.get(pool, -_ASK_AGAIN_S) > 1.0:
            self._asked[pool] = now
            self._need(realm, ANY_OF.get(family, ""))

    def _has_row(self, pair: Pair) -> bool:
        return 0 <= pair.row < len(self._table)

    def _begin_row(self, pair: Pair, *, in_use: bool) -> None:
        if self._has_row(pair):
            self._table.begin(pair.row, pair.generation, in_use=in_use)


def _pools(addresses: Iterable[tuple[str, str]]) -> frozenset[_Pool]:
    """One for each realm, or two: a realm with both families can run out of one of them."""
    found: dict[str, set[int]] = {}
    for realm, address in addresses:
        found.setdefault(realm, set()).add(family_of(address))
    return frozenset(
        (realm, family)
        for realm, families in found.items()
        for family in (families if len(families) > 1 else (EITHER,))
    )
