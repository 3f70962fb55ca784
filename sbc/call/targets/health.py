"""Which peers answer: OPTIONS to each peer of a trunk that asks for it (RFC 3261 §11). PURE.

```text
          answered                     no answer, 408, 503, unreachable
 UNKNOWN ─────────▶ UP   ;   UP, UNKNOWN ─────────▶ OUT ─answered─▶ UP
```

Any answer but 408 and 503 shows a server that works, also 404 and 405: many do not know OPTIONS.
A peer that is out is passed over by the search for a target (`hunt.py`) until it answers again,
and every change is an event for the operator. Pings are ordinary transactions; a ping that has
no answer after `_PATIENCE_S` counts as unanswered, though its transaction still listens.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from policies.facts import Target
from policies.settings import Peer, TrunkSettings
from sbc.call.core import Core
from sbc.call.targets.outgoing import ways_to
from sbc.ids import BRANCH_COOKIE
from sbc.resolve.records import Place
from sbc.sip.message import Response
from sbc.sip.status import OPTIONS
from sbc.transaction.request import ClientRequest

__all__ = ["Health", "OptionsPing", "State"]

_PATIENCE_S: Final = 5.0
"""Over UDP the ping was sent four times by then (RFC 3261 §17.1.2.2)."""
_LOOK_S: Final = 0.25
_SICK: Final = frozenset((408, 503))
_SPREAD_S: Final = 1.0
"""Over which the first pings of a start are spread."""

Key = tuple[str, bytes, str, int]
"""Trunk, transport, host, port: as in `Core.out`."""


class State(IntEnum):
    """What is known of a peer."""

    UNKNOWN = 0
    UP = 1
    OUT = 2


@dataclass(slots=True)
class _Watched:
    """One place of one peer."""

    trunk: TrunkSettings
    peer: Peer
    place: Place
    next_ping: float
    seen: float
    """When the peer had this place last."""
    state: State = State.UNKNOWN
    since: float = 0.0
    reason: str = ""
    asked_at: float = 0.0
    """When the ping that is out was sent; 0: none is."""


class Health:
    """All peers that are asked whether they are there.

    Args:
        core: the surroundings; its `out` is kept here.
        trunks: those without `options_ping` cost nothing.
    """

    __slots__ = ("_core", "_next_look", "_trunks", "_watched")

    def __init__(self, core: Core, trunks: Iterable[TrunkSettings]) -> None:
        self._core = core
        self._trunks: Final = [trunk for trunk in trunks if trunk.options_ping_s]
        self._watched: dict[Key, _Watched] = {}
        self._next_look = 0.0

    def tick(self, now: float) -> None:
        """Send what is due, and give up on what has waited long enough."""
        if not self._trunks or now < self._next_look:
            return
        self._next_look = now + _LOOK_S
        for trunk in self._trunks:
            for peer in trunk.peers:
                for place in self._core.where.known(trunk, peer, now):
                    self._watch(trunk, peer, place, now)
        for key, one in list(self._watched.items()):
            if one.seen < now - 2 * one.trunk.options_ping_s:
                self._forget(key)  # the DNS names it no more
            elif one.asked_at and now - one.asked_at >= _PATIENCE_S:
                self.failed(key, f"no answer within {_PATIENCE_S:g} s", now)
            elif now >= one.next_ping:
                self._ping(key, one, now)

    def worked(self, key: Key, now: float) -> None:
        """The peer has answered."""
        one = self._watched.get(key)
        if one is None:
            return
        one.asked_at = 0.0
        self._core.where.worked(one.place)
        if one.state is not State.UP:
            if one.state is State.OUT:
                self._core.out.discard(key)
                self._say(one, "peer.back", now - one.since)
            one.state, one.since, one.reason = State.UP, now, ""

    def failed(self, key: Key, reason: str, now: float) -> None:
        """The peer has not answered, or so that it might as well not have."""
        one = self._watched.get(key)
        if one is None:
            return
        one.asked_at = 0.0
        self._core.where.failed(one.place, now)
        if one.state is not State.OUT:
            one.state, one.since, one.reason = State.OUT, now, reason
            self._core.out.add(key)
            self._say(one, "peer.out", 0.0)
        one.reason = reason

    def describe(self, now: float) -> list[dict[str, object]]:
        """Every peer that is watched, for operators."""
        return [
            {
                "trunk": one.trunk.name,
                "peer": one.peer.text,
                "address": _address(one.place),
                "state": one.state.name.lower(),
                "for_s": round(now - one.since, 1) if one.state is not State.UNKNOWN else None,
                "reason": one.reason,
            }
            for one in self._watched.values()
        ]

    def _watch(self, trunk: TrunkSettings, peer: Peer, place: Place, now: float) -> None:
        key = (trunk.name, place.transport, place.host, place.port)
        one = self._watched.get(key)
        if one is None:
            first = now + _SPREAD_S * int.from_bytes(self._core.random(1), "big") / 256
            self._watched[key] = _Watched(trunk, peer, place, first, now)
        else:
            one.seen, one.place = now, place

    def _forget(self, key: Key) -> None:
        del self._watched[key]
        self._core.out.discard(key)

    def _ping(self, key: Key, one: _Watched, now: float) -> None:
        one.next_ping = now + one.trunk.options_ping_s
        if one.asked_at:
            return
        core = self._core
        ways = ways_to(Target(one.trunk, one.peer), one.place, core.ends)
        if not ways:
            return
        end, hop = ways[0]
        token = core.mint.token()
        branch = b"%b%b.1" % (BRANCH_COOKIE, token)
        host = f"[{one.place.host}]" if ":" in one.place.host else one.place.host
        uri = b"sip:%b:%d" % (host.encode(), one.place.port)
        request = ClientRequest(
            OPTIONS,
            uri,
            end.via(branch),
            branch,
            b"",
            b"<sip:%b>;tag=%b.0" % (end.host, token),
            b"<%b>" % uri,
            token,
            1,
            head=end.contact(token) + b"Accept: application/sdp\r\n",
        )
        one.asked_at = now
        core.layer.request(request, hop, OptionsPing(self, key), now)

    def _say(self, one: _Watched, event: str, away_s: float) -> None:
        about: dict[str, object] = {"trunk": one.trunk.name, "peer": _address(one.place)}
        if away_s:
            self._core.say(20, event, "", **about, away_s=round(away_s, 1))
        else:
            self._core.say(30, event, "", **about, reason=one.reason)


class OptionsPing:
    """The user of one ping's transaction.

    Args:
        health: to whom it reports.
        key: about whom.
    """

    __slots__ = ("_health", "_key")

    def __init__(self, health: Health, key: Key) -> None:
        self._health = health
        self._key = key

    def on_response(self, response: Response, now: float) -> None:
        """A response, provisional ones too."""
        if response.status in _SICK:
            self._health.failed(self._key, f"answered {response.status}", now)
        elif response.status >= 200:
            self._health.worked(self._key, now)

    def on_timeout(self, now: float) -> None:
        """64·T1 without an answer."""
        self._health.failed(self._key, "no answer", now)

    def on_transport_lost(self, now: float) -> None:
        """An ICMP error, a connection that could not be made or was lost."""
        self._health.failed(self._key, "unreachable", now)


def _address(place: Place) -> str:
    host = f"[{place.host}]" if ":" in place.host else place.host
    return f"{place.transport.decode().lower()}:{host}:{place.port}"
