"""Where a target is: its places, the best first, and what is remembered of them (RFC 3263).

A numeric address is a place at once. A name has those that the DNS gives it: the names of the
configuration are asked for ahead of need and again before their answers end, so that a call finds
them here and need not wait. What is to be asked is left in `questions` for the shell to take; the
answers come back by `answered`. Nothing here waits and nothing knows the time.

Three more things follow the answers: which servers have just failed and are tried last
(`sbc.resolve.failures`), the addresses that a trunk with named peers is accepted from, and what
an operator is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final, Protocol

from policies.facts import Target
from policies.settings import Peer, TrunkSettings
from sbc.call.targets.bounds import Bounds
from sbc.resolve.cache import Cache
from sbc.resolve.failures import Failures
from sbc.resolve.locate import Located, Way, Wish, locate
from sbc.resolve.records import Answer, Place, Question
from sbc.transaction.hop import TCP, TLS, UDP
from sbc.transport.settings import ListenerSettings

__all__ = ["Asker", "Note", "Where"]

_TRANSPORTS: Final = {"udp": (UDP,), "tcp": (TCP,), "tls": (TLS,), "auto": (UDP, TCP)}
_GRACE_S: Final = 3600.0
"""How long an address that a name no longer has may still speak for its trunk: its calls and
its own idea of the DNS end later than our answer does."""
_MOST_STRAYS: Final = 256
"""Names outside the configuration (of a redirection) that are remembered."""

Key = tuple[str, Peer]
Note = tuple[int, str, dict[str, object]]
"""Level as in `logging`, event, fields."""


class Asker(Protocol):
    """A call that waits for the places of its target."""

    def located(self, places: Sequence[Place], now: float) -> None:
        """They are known now; none: it has none."""


@dataclass(slots=True)
class _Name:
    """One peer of one trunk that is a name."""

    trunk: TrunkSettings
    wish: Wish
    located: Located
    until: float = 0.0
    """When the walk must be made again; an answer may make that earlier."""
    asked: frozenset[Question] = frozenset()
    waiting: list[Asker] = field(default_factory=list)
    told: str | None = None
    """The problem that the operator knows of."""


class Where:
    """The places of every target.

    Args:
        trunks: whose peers are to be kept located.
        listeners: what can be reached from each realm, and in which family first.
        random: n → n random bytes.
        follow: takes a trunk's name and the addresses that its names have now.
    """

    __slots__ = (
        "_cache",
        "_failures",
        "_follow",
        "_grace",
        "_listeners",
        "_names",
        "_own",
        "_random",
        "_ready",
        "_strays",
        "bounds",
        "notes",
        "questions",
    )

    def __init__(
        self,
        trunks: Iterable[TrunkSettings] = (),
        listeners: Sequence[ListenerSettings] = (),
        random: Callable[[int], bytes] = bytes,
        follow: Callable[[str, frozenset[str]], None] = lambda trunk, addresses: None,
    ) -> None:
        self.questions: list[Question] = []
        """To be asked: for the shell to take."""
        self.notes: list[Note] = []
        """For the log: for the shell to take."""
        trunks = tuple(trunks)
        self.bounds = Bounds(trunks, listeners)
        self._listeners = listeners
        self._own = {(one.transport.upper().encode(), one.host, one.port) for one in listeners}
        self._random = random
        self._follow = follow
        self._cache = Cache()
        self._failures = Failures()
        self._ready: dict[Key, tuple[Place, ...]] = {}
        """Numeric peers."""
        self._names: dict[Key, _Name] = {}
        """The configuration's."""
        self._strays: dict[Key, _Name] = {}
        self._grace: dict[str, dict[str, float]] = {}
        """Trunk → address of its names → when it ends to be accepted."""
        for trunk in trunks:
            for peer in trunk.peers:
                key = (trunk.name, peer)
                if peer.is_name:
                    self._names[key] = self._named(trunk, peer)
                else:
                    self._ready[key] = self._numeric(trunk, peer)

    # What calls ask

    def places(self, target: Target, now: float, asker: Asker) -> Sequence[Place] | None:
        """The places of `target`, the best first; none where it has none.

        None: they are being asked for. `asker.located` is called with them, at the latest when
        the deadlines of all steps have passed.
        """
        key = (target.trunk.name, target.peer)
        ready = self._ready.get(key)
        if ready is not None:
            return ready
        name = self._names.get(key) or self._strays.get(key)
        if name is None:
            if not target.peer.is_name:
                return self._numeric(target.trunk, target.peer)
            name = self._stray(key, target)
            if name is None:
                return ()
        if now >= name.until:
            self._walk(name, now)
        if not name.located.missing:
            return self._places(name, now)
        name.waiting.append(asker)
        return None

    def in_order(self, targets: Sequence[Target], now: float) -> Sequence[Target]:
        """Targets with those numeric peers last, within their trunk, that have just failed.

        The places of one name are in order already; this is for trunks with several peers.
        """
        if not len(self._failures):
            return targets
        by_trunk: dict[str, list[Target]] = {}
        for target in targets:
            by_trunk.setdefault(target.trunk.name, []).append(target)
        ordered: list[Target] = []
        for of_trunk in by_trunk.values():
            numeric = {
                places[0]: target
                for target in of_trunk
                if (places := self._ready.get((target.trunk.name, target.peer)))
            }
            if len(numeric) < 2:
                ordered += of_trunk
                continue
            best = iter(self._failures.order(list(numeric), now))
            known = {id(target) for target in numeric.values()}
            ordered += [numeric[next(best)] if id(one) in known else one for one in of_trunk]
        return ordered

    def known(self, trunk: TrunkSettings, peer: Peer, now: float) -> Sequence[Place]:
        """The places of a peer of the configuration, as far as they are known now."""
        key = (trunk.name, peer)
        name = self._names.get(key)
        if name is None:
            return self._ready.get(key, ())
        # In no call's order: that would use up the one trial of a place that has failed.
        found = name.located.places(lambda most: 0)
        return [] if name.located.missing else [one for one in found if self._reaches(name, one)]

    def failed(self, place: Place, now: float, retry_after_s: float = 0.0) -> None:
        """A request to `place` came to nothing: silence, a lost transport, a 503.

        Args:
            now: monotonic seconds.
            retry_after_s: how long it asked to be spared (503), 0 if it did not.
        """
        self._failures.failed(place, now, retry_after_s)

    def worked(self, place: Place) -> None:
        """`place` has answered a request."""
        self._failures.worked(place)

    # What the shell brings

    @property
    def has_names(self) -> bool:
        """Whether anything in the configuration has to be asked of the DNS."""
        return bool(self._names)

    @property
    def is_settled(self) -> bool:
        """Whether every name of the configuration is known, or known to have no place."""
        return not any(name.located.missing for name in self._names.values())

    def tick(self, now: float) -> None:
        """Ask for what ends soon; once in a second is often enough."""
        wanted: dict[Question, None] = {}
        for name in self._names.values():
            if now >= name.until:
                self._walk(name, now)
            wanted.update(dict.fromkeys(name.located.asked))
        for stray in self._strays.values():
            if stray.waiting:
                wanted.update(dict.fromkeys(stray.located.missing))
        self.questions += self._cache.due(wanted, now)
        for trunk, grace in self._grace.items():
            over = [address for address, end in grace.items() if now >= end]
            if over:
                for address in over:
                    del grace[address]
                self._follow(trunk, frozenset(grace))

    def answered(
        self, question: Question, answer: Answer, now: float
    ) -> list[tuple[Asker, list[Place]]]:
        """An answer, or that there is none: who is to be told of places now."""
        self._cache.put(question, answer, now)
        told: list[tuple[Asker, list[Place]]] = []
        for name in (*self._names.values(), *self._strays.values()):
            if question not in name.asked:
                continue
            self._walk(name, now)
            if name.located.missing or not name.waiting:
                continue
            waiting, name.waiting = name.waiting, []
            told += [(asker, self._places(name, now)) for asker in waiting]
        return told

    def describe(self, now: float) -> list[dict[str, object]]:
        """Each name of the configuration: where it is, who says so and until when."""
        return [self._described(key, name, now) for key, name in self._names.items()]

    # Within

    def _numeric(self, trunk: TrunkSettings, peer: Peer) -> tuple[Place, ...]:
        """The one place of an address."""
        return tuple(locate(self._wish(trunk, peer), lambda question: None).places(self._up_to))

    def _named(self, trunk: TrunkSettings, peer: Peer) -> _Name:
        wish = self._wish(trunk, peer)
        return _Name(trunk, wish, locate(wish, lambda question: None))

    def _wish(self, trunk: TrunkSettings, peer: Peer) -> Wish:
        heard = [one for one in self._listeners if one.realm == trunk.realm]
        transports = _TRANSPORTS[trunk.transport.value]
        if peer.is_name:  # an address that no listener reaches is told as such, further on
            there = {one.transport.upper().encode() for one in heard}
            transports = tuple(one for one in transports if one in there)
        families = dict.fromkeys(
            6 if ":" in one.host else 4
            for one in heard
            if one.transport.upper().encode() in transports
        )
        return Wish(
            host=peer.host,
            port=peer.port,
            transports=transports,
            families=tuple(families) if peer.is_name else (4, 6),
            way=Way(trunk.resolve.value),
        )

    def _stray(self, key: Key, target: Target) -> _Name | None:
        """A name that the configuration does not have; None where there are too many at once."""
        if len(self._strays) >= _MOST_STRAYS:
            idle = next((known for known, one in self._strays.items() if not one.waiting), None)
            if idle is None:
                return None
            del self._strays[idle]
        name = self._strays[key] = self._named(target.trunk, target.peer)
        return name

    def _walk(self, name: _Name, now: float) -> None:
        """Go the way anew, over the answers at hand."""
        end = inf

        def look(question: Question) -> Answer | None:
            nonlocal end
            kept = self._cache.look(question, now)
            if kept is None:
                return None
            end = min(end, kept.end)
            return kept.answer

        name.located = located = locate(name.wish, look)
        name.asked = frozenset(located.asked)
        self.questions += located.missing
        if located.missing:
            name.until = now + 1.0  # should an answer get lost, it is asked for again
            return
        name.until = end
        self._tell(name)
        self._accept(name.trunk, now)

    def _places(self, name: _Name, now: float) -> list[Place]:
        found = [one for one in name.located.places(self._up_to) if self._reaches(name, one)]
        return self._failures.order(found, now)

    def _reaches(self, name: _Name, place: Place) -> bool:
        """Whether a listener of the realm can send there, and it is not one of ours."""
        ipv6, transport = ":" in place.host, place.transport.decode().lower()
        return place[:3] not in self._own and any(
            one.realm == name.trunk.realm
            and one.transport == transport
            and (":" in one.host) is ipv6
            for one in self._listeners
        )

    def _accept(self, trunk: TrunkSettings, now: float) -> None:
        """Who may speak for a trunk whose sources are its peers follows the DNS."""
        if not trunk.sources_follow:
            return
        current = frozenset().union(
            *(one.located.addresses for one in self._names.values() if one.trunk is trunk)
        )
        grace = self._grace.setdefault(trunk.name, {})
        changed = not current <= grace.keys()
        for address in current:
            grace[address] = inf
        for address, end in grace.items():
            if address not in current and end == inf:
                grace[address] = now + _GRACE_S
        if changed:
            self._follow(trunk.name, frozenset(grace))

    def _tell(self, name: _Name) -> None:
        """Say once that a name has no place, and once that it has one again."""
        problem = name.located.problem
        if problem == (name.told or ""):
            return
        name.told = problem
        about: dict[str, object] = {"trunk": name.trunk.name, "name": name.wish.host}
        if problem:
            self.notes.append((30, "dns.no_place", about | {"reason": problem}))
        else:
            self.notes.append((20, "dns.located", about))

    def _described(self, key: Key, name: _Name, now: float) -> dict[str, object]:
        kept = [one for question in name.asked if (one := self._cache.look(question, now))]
        servers = {one.answer.server for one in kept if one.answer.records}
        places: list[dict[str, object]] = []
        for place in name.located.places(lambda most: 0):
            bad_s = self._failures.since(place, now)
            places.append(
                {
                    "transport": place.transport.decode().lower(),
                    "address": place.host,
                    "port": place.port,
                    "failed_s_ago": None if bad_s is None else round(bad_s, 1),
                }
            )
        fresh = min((one.until for one in kept if one.answer.records), default=now)
        return {
            "trunk": name.trunk.name,
            "peer": key[1].text,
            "places": places,
            "servers": sorted(servers),
            "fresh_for_s": round(max(0.0, fresh - now), 1),
            "stale": any(one.failed and one.answer.records for one in kept),
            "problem": name.located.problem or ("not known yet" if name.located.missing else ""),
        }

    def _up_to(self, most: int) -> int:
        return int.from_bytes(self._random(4), "big") % (most + 1)
