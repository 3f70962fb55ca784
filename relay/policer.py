"""A token bucket (RFC 2697's, in one colour): so much at once, so much a second.

PURE.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Policer"]


class Policer:
    """A level that drains with use and refills with time.

    Args:
        rate: units per second, > 0.
        burst: units that a pause can save up, > 0; the level at the start.
        now: monotonic seconds.
    """

    __slots__ = ("_burst", "_level", "_rate", "_then")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate: Final = rate
        self._burst: Final = burst
        self._level = burst
        self._then = now

    def take(self, units: float, now: float) -> bool:
        """Whether so much may pass now; if so it is taken."""
        self._refill(now)
        if units > self._level:
            return False
        self._level -= units
        return True

    def grant(self, most: float, now: float) -> float:
        """Take up to `most` in advance; returns how much. For callers who count down themselves."""
        self._refill(now)
        granted = min(most, self._level)
        self._level -= granted
        return granted

    def _refill(self, now: float) -> None:
        if now > self._then:
            self._level = min(self._burst, self._level + (now - self._then) * self._rate)
            self._then = now
