"""When new calls are refused because the old ones cannot be served in time. Pure.

Three signs: a receive buffer that is more than half full, one that has lost datagrams, and one that
has not been seen empty for a while. Idle time is no sign: a socket on which nothing comes is empty,
however long ago it was last read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["CHECK_S", "Overload"]

LAG_S: Final = 0.1
"""A socket that had something in it for this long at every look: we are late."""
CHECK_S: Final = LAG_S / 2
"""How often to look; rarer looks would take a single datagram after silence for a queue."""
_FILL: Final = 0.5


class Overload:
    """What is known of the queues before us, by listener."""

    __slots__ = ("_dropped", "_empty_at")

    def __init__(self) -> None:
        self._empty_at: dict[int, float] = {}
        self._dropped: dict[int, int] = {}

    def emptied(self, listener: int, now: float) -> None:
        """A drain took everything that was there."""
        self._empty_at[listener] = now

    def judge(self, queues: Iterable[tuple[int, float, int]], now: float) -> bool:
        """Whether new calls are to be refused until the next look.

        Args:
            queues: for each listener how full its receive buffer is, 0..1, and how many datagrams
                the kernel has dropped there so far.
        """
        late = False
        for listener, fill, dropped in queues:
            if fill <= 0:
                self._empty_at[listener] = now
            elif fill > _FILL or now - self._empty_at.setdefault(listener, now) > LAG_S:
                late = True
            if dropped != self._dropped.get(listener, 0):
                self._dropped[listener] = dropped
                late = True
        return late
