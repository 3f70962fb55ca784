"""Media ports as signalling gets them: leased, taken by plans, asked for when they run low.

`relay.ports` has the books; here are the sockets behind them, their rows in the flow table, and
the talk with the supervisor and with signalling about how many are left.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final

from relay.control.messages import ControlError, ErrorCode, Event, PortsEvent
from relay.flow_table import FlowTable
from relay.ports import Key, Pair, Ports
from relay.sockets import let_all_in, narrow

__all__ = ["PortDesk"]

_LOW: Final = 64
"""Spare pairs of a realm below which another block is asked for: two blocks."""
_ASK_AGAIN_S: Final = 10.0


class PortDesk:
    """All media ports of one worker.

    Args:
        table: the flow table.
        quarantine_s: as in RelaySettings.
        realms: all that the settings name.
        notify: tells signalling.
        need: asks the supervisor for another block of a realm.
    """

    def __init__(
        self,
        table: FlowTable,
        quarantine_s: float,
        realms: frozenset[str],
        notify: Callable[[Event, object], bool],
        need: Callable[[str], None],
    ) -> None:
        self.ports = Ports(quarantine_s)
        self.rx: dict[Key, socket.socket] = {}
        """The bound socket of each port, RTP and RTCP."""
        self._table = table
        self._realms: Final = realms
        self._notify = notify
        self._need = need
        self._asked: dict[str, float] = {}
        self._exhausted: set[str] = set()
        self._told_exhausted: set[str] = set()

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
            self.ports.add(pair, now, used=in_use)
            if in_use:
                self._begin_row(pair, in_use=False)
        self._asked.pop(realm, None)
        self._ask_for_more(realm, now)

    def no_more_ports(self, realm: str) -> None:
        """The supervisor has no further block for this realm."""
        self._exhausted.add(realm)

    @property
    def stocked(self) -> bool:
        """Each realm has ports, or is known to get none."""
        return all(self.ports.total(one) or one in self._exhausted for one in self._realms)

    def lease(self, realm: str, count: int, session: str, now: float) -> list[Key]:
        """RTP ports for plans to come. Raises ControlError."""
        if realm not in self._realms:
            raise ControlError(ErrorCode.UNKNOWN_REALM, f"expected a realm with media: {realm}")
        pairs = self.ports.lease(realm, count, session, now)
        self._ask_for_more(realm, now)
        if not pairs:
            if realm not in self._told_exhausted:
                self._told_exhausted.add(realm)
                self._notify(Event.PORTS, PortsEvent(realm, True).to_body())
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
        for realm in list(self._told_exhausted):
            if self.ports.spare(realm, now):
                self._told_exhausted.discard(realm)
                self._notify(Event.PORTS, PortsEvent(realm, False).to_body())
        for realm in self._realms:
            self._ask_for_more(realm, now)
        self._exhausted = {
            realm for realm in self._exhausted if now - self._asked.get(realm, 0.0) < _ASK_AGAIN_S
        }

    def _ask_for_more(self, realm: str, now: float) -> None:
        """Ask for another block while there is less than a quarter in reserve."""
        if self.ports.spare(realm, now) >= max(_LOW, self.ports.total(realm) // 4):
            return
        if realm not in self._exhausted and now - self._asked.get(realm, -_ASK_AGAIN_S) > 1.0:
            self._asked[realm] = now
            self._need(realm)

    def _has_row(self, pair: Pair) -> bool:
        return 0 <= pair.row < len(self._table)

    def _begin_row(self, pair: Pair, *, in_use: bool) -> None:
        if self._has_row(pair):
            self._table.begin(pair.row, pair.generation, in_use=in_use)
