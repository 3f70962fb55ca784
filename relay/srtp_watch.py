"""Whether anything of a peer's SRTP is authentic, and whether its key has outlived its time.

PURE.
"""

from __future__ import annotations

from typing import Final

__all__ = ["SrtpWatch"]

_ALARM_S: Final = 2.0


class SrtpWatch:
    """Looks at one direction's counters from time to time; made anew for each key.

    Args:
        authentic: packets so far, under other keys.
        failed: packets so far that were not authentic.
        lifetime: how many packets the key is for; 0: any number.
    """

    __slots__ = ("_alarmed", "_authentic", "_ends", "_failed", "_since")

    def __init__(self, authentic: int, failed: int, lifetime: int = 0) -> None:
        self._authentic = authentic
        self._failed = failed
        self._ends = authentic + lifetime if lifetime else 0
        self._since = -1.0
        self._alarmed = False

    def look(self, authentic: int, failed: int, now: float) -> bool:
        """Whether to raise the alarm: for two seconds packets have come, and all have failed.

        Args:
            authentic: packets so far that were.
            failed: packets so far that were not.
            now: monotonic seconds.
        """
        if authentic != self._authentic:
            self._authentic = authentic
            self._since = -1.0
        elif failed != self._failed and self._since < 0.0:
            self._since = now
        came, self._failed = failed != self._failed, failed
        if self._alarmed or not came or self._since < 0.0 or now - self._since < _ALARM_S:
            return False
        self._alarmed = True
        return True

    def outlives(self, authentic: int) -> bool:
        """Whether the key has been used for more packets than it is for; said once.

        Args:
            authentic: packets so far.
        """
        if not self._ends or authentic <= self._ends:
            return False
        self._ends = 0
        return True
