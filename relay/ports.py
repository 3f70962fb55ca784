"""Our media ports: who has which, and how long each rests after a call.

PURE: the sockets behind a pair are somebody else's; here they are an opaque `row`.

    FREE ──lease──▶ LEASED ──a plan takes it──▶ IN_USE ──the call ends──▶ RESTING ──5 s──▶ FREE
      ▲────give back──┘                                                            longest out first

Late packets of a call that has ended must not reach the next one: a pair rests, and then those
that have been out of use longest go first. Each use has a generation of its own.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeAlias

from relay.control.messages import ControlError, ErrorCode
from relay.kept_keys import KeptKeys
from relay.settings import family_of

__all__ = ["EITHER", "Key", "Pair", "PortState", "Ports"]

Key: TypeAlias = tuple[str, int]
"""(local address, local port)."""
EITHER: Final = 0
"""As an address family: 4 or 6, no matter which."""


class PortState(IntEnum):
    """Of a pair."""

    FREE = 0
    LEASED = 1
    IN_USE = 2
    RESTING = 3


@dataclass(slots=True, eq=False)
class Pair:
    """An RTP port (even) and the RTCP port above it (RFC 3550 §11)."""

    realm: str
    key: Key
    """(local address, RTP port)."""
    rtcp_key: Key
    row: int
    """Flow table row of the RTP port; the RTCP port's is the next."""
    generation: int
    """How many calls have had it."""
    state: PortState = PortState.FREE
    session: str = ""
    """Who leased it."""
    free_at: float = 0.0
    kept: KeptKeys | None = None
    """What another worker has left of a call that it carried on this pair."""

    @property
    def family(self) -> int:
        """Of its address: 4 or 6."""
        return family_of(self.key[0])


class _Realm:
    __slots__ = ("counts", "free", "pairs", "resting")

    def __init__(self) -> None:
        self.free: dict[int, deque[Pair]] = {4: deque(), 6: deque()}
        """By address family."""
        self.resting: deque[Pair] = deque()
        self.counts = [0] * len(PortState)
        self.pairs = {4: 0, 6: 0}

    def of(self, family: int) -> list[deque[Pair]]:
        """The free pairs of an address family, or of each."""
        return [pairs for one, pairs in self.free.items() if family in (EITHER, one)]


class Ports:
    """All pairs of one worker.

    Args:
        quarantine_s: how long a pair rests after a call.
    """

    def __init__(self, quarantine_s: float) -> None:
        self._quarantine_s: Final = quarantine_s
        self._pairs: dict[Key, Pair] = {}
        self._realms: dict[str, _Realm] = {}

    def add(self, pair: Pair, now: float, *, used: bool = False) -> None:
        """A pair that the supervisor has bound.

        Args:
            pair: FREE, of an address and port that was not added before.
            now: monotonic seconds.
            used: another worker has carried a call on it: it rests first.
        """
        realm = self._realms.setdefault(pair.realm, _Realm())
        self._pairs[pair.key] = pair
        realm.counts[PortState.FREE] += 1
        realm.pairs[pair.family] += 1
        if used:
            self._rest(pair, realm, now)
        else:
            realm.free[pair.family].append(pair)

    def lease(
        self, realm_name: str, count: int, session: str, now: float, family: int = EITHER
    ) -> list[Pair]:
        """Up to `count` pairs, those first that have been out of use longest; maybe none."""
        realm = self._realms.get(realm_name)
        if realm is None:
            return []
        self._wake(realm, now)
        leased: list[Pair] = []
        for free in realm.of(family):
            leased += [free.popleft() for _ in range(min(count - len(leased), len(free)))]
        for pair in leased:
            self._change(pair, realm, PortState.LEASED)
            pair.session = session
        return leased

    def give_back(self, key: Key, session: str) -> bool:
        """A leased pair that no plan took: it never carried media and need not rest."""
        pair = self._pairs.get(key)
        if pair is None or pair.state != PortState.LEASED or pair.session != session:
            return False
        realm = self._realms[pair.realm]
        self._change(pair, realm, PortState.FREE)
        realm.free[pair.family].append(pair)
        return True

    def leased(self, realm_name: str, key: Key, session: str) -> Pair:
        """The pair that a plan of this session may take.

        Raises ControlError: UNKNOWN_PORT for one that it has not leased, PORT_IN_USE for one that
        a call has already.
        """
        pair = self._pairs.get(key)
        where = f"{key[0]} port {key[1]}"
        if pair is not None and pair.state == PortState.IN_USE:
            raise ControlError(ErrorCode.PORT_IN_USE, f"{where} carries another call")
        if pair is None or pair.state != PortState.LEASED or pair.session != session:
            raise ControlError(ErrorCode.UNKNOWN_PORT, f"expected a leased port, got {where}")
        if pair.realm != realm_name:
            raise ControlError(
                ErrorCode.UNKNOWN_PORT, f"{where} is of realm {pair.realm}, not {realm_name}"
            )
        return pair

    def take(self, pair: Pair) -> None:
        """A plan takes a leased pair."""
        self._change(pair, self._realms[pair.realm], PortState.IN_USE)
        pair.generation += 1

    def release(self, pair: Pair, now: float) -> None:
        """The plan has let go of it."""
        pair.kept = None
        self._rest(pair, self._realms[pair.realm], now)

    def drop_leases(self, keep_session: str, now: float) -> int:
        """Take back what sessions other than this one have leased; returns how many.

        They may have been named in an offer already, so they rest.
        """
        dropped = [
            pair
            for pair in self._pairs.values()
            if pair.state == PortState.LEASED and pair.session != keep_session
        ]
        for pair in dropped:
            self._rest(pair, self._realms[pair.realm], now)
        return len(dropped)

    def spare(self, realm_name: str, now: float, family: int = EITHER) -> int:
        """Pairs that could be leased now."""
        realm = self._realms.get(realm_name)
        if realm is None:
            return 0
        self._wake(realm, now)
        return sum(len(free) for free in realm.of(family))

    def total(self, realm_name: str, family: int = EITHER) -> int:
        """All pairs of a realm."""
        realm = self._realms.get(realm_name)
        if realm is None:
            return 0
        return sum(realm.counts) if family == EITHER else realm.pairs[family]

    def counts(self, now: float) -> dict[str, dict[str, int]]:
        """Realm → state → pairs."""
        found = {}
        for name, realm in self._realms.items():
            self._wake(realm, now)
            found[name] = {
                "free": realm.counts[PortState.FREE],
                "leased": realm.counts[PortState.LEASED],
                "in_use": realm.counts[PortState.IN_USE],
                "quarantined": realm.counts[PortState.RESTING],
            }
        return found

    def _rest(self, pair: Pair, realm: _Realm, now: float) -> None:
        self._change(pair, realm, PortState.RESTING)
        pair.session = ""
        pair.free_at = now + self._quarantine_s
        realm.resting.append(pair)

    def _wake(self, realm: _Realm, now: float) -> None:
        resting = realm.resting
        while resting and resting[0].free_at <= now:
            pair = resting.popleft()
            self._change(pair, realm, PortState.FREE)
            realm.free[pair.family].append(pair)

    def _change(self, pair: Pair, realm: _Realm, state: PortState) -> None:
        realm.counts[pair.state] -= 1
        realm.counts[state] += 1
        pair.state = state
