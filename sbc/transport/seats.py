"""Who may hold how many stream connections. PURE."""

from __future__ import annotations

from collections import Counter
from typing import Final

__all__ = ["Seats"]

_STRANGERS_SHARE: Final = 0.5


class Seats:
    """Counts connections, so that strangers cannot keep our trunks out.

    Args:
        total: most connections at one time, whoever holds them.
        per_stranger: most from one address that is no trunk's. All strangers together get half
            of the total.
    """

    __slots__ = ("_per_stranger", "_sources", "_strangers", "_taken", "_total")

    def __init__(self, total: int, per_stranger: int) -> None:
        self._total = total
        self._per_stranger = per_stranger
        self._taken = 0
        self._strangers = 0
        self._sources: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._taken

    def take(self, host: str, *, trusted: bool) -> bool:
        """One more connection with `host`, if there is room; `leave` gives it back."""
        if self._taken >= self._total:
            return False
        if not trusted:
            if self._strangers >= self._total * _STRANGERS_SHARE:
                return False
            if self._sources[host] >= self._per_stranger:
                return False
            self._sources[host] += 1
            self._strangers += 1
        self._taken += 1
        return True

    def leave(self, host: str, *, trusted: bool) -> None:
        """One connection less."""
        self._taken -= 1
        if not trusted:
            self._strangers -= 1
            self._sources[host] -= 1
            if not self._sources[host]:
                del self._sources[host]
