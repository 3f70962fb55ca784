"""When new calls are refused because the old ones cannot be served in time. Pure.

Three signs: a receive buffer that is more than half full, one that has lost datagrams, and one that
has not been seen empty for a while and does not get emptier. Idle time is no sign: a socket on
which nothing comes is empty, however long ago it was last read. Nor is a queue that a pause has
left behind and that shrinks from look to look: at 86 % of a core, 100 ms of it take 0.6 s to be
gone, and refusing calls then would help nobody. But once a queue was a sign, it is one until it
has been seen empty: with calls refused any queue shrinks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["CHECK_S", "PATIENCE_S", "Overload"]

LAG_S: Final = 0.1
"""A socket that had something in it for this long at every look, and no less at the last two: we
are late."""
PATIENCE_S: Final = 1.0
"""The same, even if there is less at each look."""
CHECK_S: Final = LAG_S / 2
"""How often to look; rarer looks would take a single datagram after silence for a queue."""
_FILL: Final = 0.5


@dataclass(slots=True)
class _Queue:
    """What is known of one listener's receive buffer."""

    empty_at: float
    """When it was seen empty last."""
    fill: float = 0.0
    """At the last look; 0..1."""
    not_less: int = 0
    """Looks at which there was not less in it than at the one before, one behind the other."""
    late: bool = False
    """Whether it has been too much since it was empty."""
    dropped: int = 0

    def emptied(self, now: float) -> None:
        self.empty_at, self.fill, self.not_less, self.late = now, 0.0, 0, False

    def look(self, fill: float, now: float) -> bool:
        """Whether it is too much."""
        if fill <= 0:
            self.emptied(now)
            return False
        self.not_less = self.not_less + 1 if fill >= self.fill else 0
        self.fill = fill
        stood_s = now - self.empty_at
        stuck = stood_s > LAG_S and self.not_less >= 2
        if fill > _FILL or stuck or stood_s > PATIENCE_S:
            self.late = True
        return self.late


class Overload:
    """What is known of the queues before us, by listener."""

    __slots__ = ("_queues",)

    def __init__(self) -> None:
        self._queues: dict[int, _Queue] = {}

    def emptied(self, listener: int, now: float) -> None:
        """A drain took everything that was there."""
        self._queue(listener, now).emptied(now)

    def judge(self, queues: Iterable[tuple[int, float, int]], now: float) -> bool:
        """Whether new calls are to be refused until the next look.

        Args:
            queues: for each listener how full its receive buffer is, 0..1, and how many datagrams
                the kernel has dropped there so far.
        """
        late = False
        for listener, fill, dropped in queues:
            queue = self._queue(listener, now)
            if queue.look(fill, now):
                late = True
            if dropped != queue.dropped:
                queue.dropped = dropped
                late = True
        return late

    def _queue(self, listener: int, now: float) -> _Queue:
        queue = self._queues.get(listener)
        if queue is None:
            queue = self._queues[listener] = _Queue(now)
        return queue
