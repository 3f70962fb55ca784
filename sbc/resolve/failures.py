"""Servers that have just failed are tried last (RFC 3263 §4.3, RFC 4321 §1.3).

A dead server would cost every call the whole time that a transaction waits. So the first call
that meets it remembers it: 15 s the first time, twice as long each time in a row, 5 minutes at
most; one that asks to be spared (503 with Retry-After) for as long as it says, within the same
limit. When the time is over, one call tries it again, while others still go round it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

__all__ = ["Failures"]

_FIRST_S: Final = 15.0
_LIMIT_S: Final = 300.0
_TRIAL_S: Final = 10.0
"""How long the one call has, before another one may try."""


class _Where(Protocol):
    @property
    def transport(self) -> bytes: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...


P = TypeVar("P", bound=_Where)


@dataclass(slots=True)
class _Failure:
    times: int
    at: float
    until: float
    on_trial: bool = False


class Failures:
    """Which places have failed, and since when. No clock of its own.

    Args:
        most: places; the one that failed longest ago is forgotten.
    """

    __slots__ = ("_known", "_most")

    def __init__(self, most: int = 4096) -> None:
        self._known: OrderedDict[Hashable, _Failure] = OrderedDict()
        self._most = most

    def __len__(self) -> int:
        return len(self._known)

    def failed(self, place: _Where, now: float, retry_after_s: float = 0.0) -> None:
        """A request to `place` came to nothing: silence, a lost transport, a 503.

        Args:
            now: monotonic seconds.
            retry_after_s: how long it asked to be spared (RFC 3261 §20.33), 0 if it did not.
        """
        key = _key(place)
        known = self._known.pop(key, None)
        times = 1 if known is None else known.times
        if known is not None and (known.on_trial or now >= known.until):
            times += 1  # not one more of the calls that were out when it failed first
        pause_s = min(retry_after_s or _FIRST_S * 2 ** min(times - 1, 8), _LIMIT_S)
        self._known[key] = _Failure(times, now, now + pause_s)
        if len(self._known) > self._most:
            self._known.popitem(last=False)

    def worked(self, place: _Where) -> None:
        """`place` has answered."""
        if self._known:
            self._known.pop(_key(place), None)

    def is_bad(self, place: _Where, now: float) -> bool:
        """Whether `place` is one that is tried last."""
        known = self._known.get(_key(place)) if self._known else None
        return known is not None and now < known.until

    def since(self, place: _Where, now: float) -> float | None:
        """Seconds since a bad place failed, None for a good one."""
        known = self._known.get(_key(place))
        return None if known is None or now >= known.until else now - known.at

    def order(self, places: Sequence[P], now: float) -> list[P]:
        """The good ones as they are, then the bad ones, the one that failed longest ago first.

        A place whose time is over is good again for the caller who finds it first in the list,
        and only for that one until it has shown what it can do.
        """
        if not self._known:
            return list(places)
        good: list[P] = []
        bad: list[tuple[float, int, P]] = []
        for index, place in enumerate(places):
            known = self._known.get(_key(place))
            if known is None:
                good.append(place)
            elif now < known.until:
                bad.append((known.at, index, place))
            else:
                if not good:
                    known.until, known.on_trial = now + _TRIAL_S, True
                good.append(place)
        return good + [place for _, _, place in sorted(bad, key=lambda one: one[:2])]


def _key(place: _Where) -> Hashable:
    return place.transport, place.host, place.port
