"""What digest authentication has to remember: which nonces were used how often, and who guesses.

Both are bounded, and both err on the safe side when something had to be forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

__all__ = ["Guesses", "NonceCounts"]

_WINDOW: Final = 64
"""Counts behind the highest that may still come: requests overtake each other."""
_SHUT_S: Final = 60.0


@dataclass(slots=True)
class _Use:
    """What is known of a nonce that was used."""

    made_s: float
    highest: int
    seen: int = 1
    """A bit for each count that came: the highest is bit 0, the one before it bit 1."""


class NonceCounts:
    """Which counts of which nonces were used; at most `most` nonces."""

    __slots__ = ("_begun", "_forgotten_s", "_most", "_uses")

    def __init__(self, most: int = 65_536) -> None:
        self._most = most
        self._uses: OrderedDict[bytes, _Use] = OrderedDict()
        self._begun = False
        self._forgotten_s = 0.0
        """Nonces that were made up to then, and are not here, may have been used."""

    def begin(self, wall_s: float) -> None:
        """Nothing is known of what was made before the first call of this."""
        if not self._begun:
            self._begun, self._forgotten_s = True, wall_s - 0.002  # nonces are stamped in ms

    def knows(self, nonce: bytes) -> bool:
        """Whether this nonce was used."""
        return nonce in self._uses

    def take(self, nonce: bytes, count: int, made_s: float) -> bool:
        """Use this count of a nonce; False if it may have been used before."""
        use = self._uses.get(nonce)
        if use is None:
            if made_s <= self._forgotten_s:
                return False
            if len(self._uses) >= self._most:
                _, oldest = self._uses.popitem(last=False)
                self._forgotten_s = max(self._forgotten_s, oldest.made_s)
            self._uses[nonce] = _Use(made_s, count)
            return True
        ahead = count - use.highest
        if ahead > 0:
            use.highest = count
            use.seen = (use.seen << min(ahead, _WINDOW) | 1) & ((1 << _WINDOW) - 1)
            return True
        if ahead <= -_WINDOW or use.seen >> -ahead & 1:
            return False
        use.seen |= 1 << -ahead
        return True


@dataclass(slots=True)
class _Tries:
    """Wrong answers of one guesser, with less than a minute between any two."""

    last_s: float
    count: int = 0
    told: bool = False


class Guesses:
    """Wrong answers by address and name; at most `most` of them are known."""

    __slots__ = ("_most", "_told_s", "_tries")

    def __init__(self, most: int = 16_384) -> None:
        self._most = most
        self._tries: OrderedDict[tuple[str, bytes], _Tries] = OrderedDict()
        self._told_s = float("-inf")

    def add(self, guesser: tuple[str, bytes], now: float) -> None:
        """One more wrong answer."""
        tries = self._tries.get(guesser)
        if tries is None or now - tries.last_s >= _SHUT_S:
            tries = self._tries[guesser] = _Tries(now)
            self._tries.move_to_end(guesser)
            if len(self._tries) > self._most:
                self._tries.popitem(last=False)
        tries.count += 1
        tries.last_s = now

    def shut(self, guesser: tuple[str, bytes], attempts: int, now: float) -> bool:
        """Whether there were so many that no further one is looked at; a minute after the last."""
        tries = self._tries.get(guesser)
        return tries is not None and tries.count >= attempts and now - tries.last_s < _SHUT_S

    def tell(self, guesser: tuple[str, bytes], now: float) -> bool:
        """Whether a refusal is worth a line."""
        tries = self._tries[guesser]
        if tries.told or now - self._told_s < 1.0:
            return False
        tries.told, self._told_s = True, now
        return True

    def forgive(self, guesser: tuple[str, bytes]) -> None:
        """It knew the password."""
        self._tries.pop(guesser, None)
