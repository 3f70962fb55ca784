"""Floods of strangers' packets at a port: kept from its peer, and from the slow path.

A port whose peer is expected at one address has a socket for it, beside which a flood may do what
it likes. Where the peer is still to be found, its packets come with everybody's. So when strangers
send more than a port is given time for, the kernel is told whose hosts may be believed at all: the
packets of others never reach the socket then, and none of theirs can stand before a peer's. That
holds until signalling believes other hosts, or for ten seconds; for one only where somebody from
elsewhere might prove to be the peer (by a key, or because `latch: any` asks for no proof).

What comes from these hosts and is too much all the same, as forged packets may, has the whole port
left alone for a quarter of a second, and what stands in it then is discarded.

All ports together are given time, too: where a flood is at very many of them, each is shut at once,
unless it waits for a peer that may come from anywhere.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from heapq import heappop, heappush
from itertools import count
from typing import Final

from relay.call import Guard, Lane
from relay.forward.base import DropReason, Forwarder
from relay.plan import Component
from relay.policer import Policer
from relay.ports import Key
from relay.sockets import empty, let_all_in, let_in, turned_away

__all__ = ["Floods"]

_STRANGERS_PER_S: Final = 200.0
_STRANGERS_AT_ONCE: Final = 400.0
_ALL_PER_S: Final = 4000.0
_ALL_AT_ONCE: Final = 8000.0
"""Each costs the worker about 7 µs."""
_SHUT_S: Final = 10.0
_SHUT_TO_PROOF_S: Final = 1.0
_MUTED_S: Final = 0.25


class Floods:
    """The floods of one worker.

    Args:
        forwarder: the fast path.
        sockets: the bound socket of each port.
    """

    def __init__(self, forwarder: Forwarder, sockets: Mapping[Key, socket.socket]) -> None:
        self.shut = 0
        """How often others were shut out."""
        self.mutes = 0
        """How often a port was left alone."""
        self._forwarder = forwarder
        self._sockets = sockets
        self._all = Policer(_ALL_PER_S, _ALL_AT_ONCE, 0.0)
        self._due: list[tuple[float, int, Lane]] = []
        self._numbers = count()

    def stranger(self, lane: Lane, now: float) -> None:
        """A packet of nobody's has come to a lane's port."""
        guard = lane.guard
        if guard is None:
            guard = lane.guard = Guard(Policer(_STRANGERS_PER_S, _STRANGERS_AT_ONCE, now))
        if guard.muted_until:
            return
        if guard.policer.take(1.0, now) and (
            guard.shut_until or _seeks(lane) or self._all.take(1.0, now)
        ):
            return
        if not guard.shut_until and self._shut(lane, guard, now):
            self._wait(lane, guard.shut_until)
        else:
            self.mutes += 1
            self._forwarder.mute(lane.direction.key, muted=True)
            guard.muted_until = now + _MUTED_S
            self._wait(lane, guard.muted_until)

    def between(self, now: float) -> None:
        """Let in again whose time has come; called between rounds."""
        due = self._due
        while due and due[0][0] <= now:
            when, _, lane = heappop(due)
            guard = lane.guard
            if guard is None:
                continue  # the call is over
            if guard.muted_until == when:
                guard.muted_until = 0.0
                self._forwarder.mute(lane.direction.key, muted=False)
            if guard.shut_until == when:
                self._open(lane, guard)

    def signal(self, lane: Lane) -> None:
        """Signalling believes others, perhaps; or the call is over."""
        if lane.guard is not None and lane.guard.shut_until:
            self._open(lane, lane.guard)

    def count(self, lane: Lane) -> None:
        """Count those who are shut out, as far as they have come."""
        guard = lane.guard
        if guard is not None and guard.shut_until:
            away = turned_away(self._sockets[lane.direction.key])
            lane.drop(DropReason.WRONG_SOURCE, away - guard.away & 0xFFFFFFFF)
            guard.away = away

    def _shut(self, lane: Lane, guard: Guard, now: float) -> bool:
        """Shut others out. Returns whether the kernel does that."""
        rx = self._sockets[lane.direction.key]
        guard.away = turned_away(rx)
        hosts, peer = lane.latch.rules.hosts, lane.latch.expected
        if not let_in(rx, hosts if peer is None else [*hosts, peer[0]]):
            return False
        self.shut += 1
        lane.drop(DropReason.WRONG_SOURCE, empty(rx))  # nearly all of it
        guard.policer = Policer(_STRANGERS_PER_S, _STRANGERS_AT_ONCE, now)  # for what is on its way
        guard.shut_until = now + (_SHUT_TO_PROOF_S if _may_prove(lane) else _SHUT_S)
        return True

    def _open(self, lane: Lane, guard: Guard) -> None:
        self.count(lane)
        guard.shut_until = 0.0
        let_all_in(self._sockets[lane.direction.key])

    def _wait(self, lane: Lane, when: float) -> None:
        heappush(self._due, (when, next(self._numbers), lane))


def _may_prove(lane: Lane) -> bool:
    """Whether somebody from a host that nobody has named may be the peer."""
    rules = lane.latch.rules
    return rules.nat and (rules.latch_any or lane.srtp_in is not None)


def _seeks(lane: Lane) -> bool:
    """Whether a call waits for somebody who may come from anywhere."""
    rtp = lane.direction.component == Component.RTP
    return rtp and not lane.latch.locked and _may_prove(lane)
