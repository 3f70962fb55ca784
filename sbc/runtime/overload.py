"""When new calls are refused because the old ones cannot be served in time. Pure.

The measure is how long a datagram waits before it is read (RFC 6357: delay, not length, is what
callers notice). Below half of T1 nobody sends anything twice, so a queue as such is no harm: a
pause of the machine, or a burst, leaves one behind that needs seconds to be gone at 92 % of a core,
and refusing calls meanwhile would help nobody. So calls are refused

* when datagrams wait longer than `LATE_S`, and longer than at the look before: more comes than can
  be served; or longer than `TOO_LATE_S`, whatever the queue does;
* when a receive buffer is more than half full, or has lost datagrams: the next ones will be lost;

and accepted again once datagrams wait less than `ON_TIME_S`. There is still work in hand then, so
that no CPU time is lost between refusing and accepting.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["CHECK_S", "LATE_S", "ON_TIME_S", "TOO_LATE_S", "Overload"]

ON_TIME_S: Final = 0.05
LATE_S: Final = 0.15
TOO_LATE_S: Final = 0.3
"""T1 is 0.5 s (RFC 3261 §17.1.1.1): beyond, everything is sent, and read, twice. What calls that
were accepted still have to say comes on top, and at ten times the load refusing takes all the time
that there is: then what waits now goes on to wait."""
CHECK_S: Final = 0.05
"""How often to look."""
_FILL: Final = 0.5


@dataclass(slots=True)
class _Queue:
    """What is known of one listener's receive buffer."""

    waited_s: float = 0.0
    """By the datagram read last; 0 if the buffer was empty since."""
    waited_before_s: float = 0.0
    """The same at the last look."""
    late: bool = False
    dropped: int = 0

    def look(self, fill: float) -> bool:
        """Whether it is too much."""
        if fill <= 0:
            self.waited_s = 0.0
        before_s, self.waited_before_s = self.waited_before_s, self.waited_s
        growing = self.waited_s > before_s > LATE_S
        if fill > _FILL or self.waited_s > TOO_LATE_S or growing:
            self.late = True
        elif self.waited_s < ON_TIME_S:
            self.late = False
        return self.late


class Overload:
    """What is known of the queues before us, by listener."""

    __slots__ = ("_queues",)

    def __init__(self) -> None:
        self._queues: dict[int, _Queue] = {}

    def drained(self, listener: int, waited_s: float) -> None:
        """Datagrams were read.

        Args:
            waited_s: how long the last of them had waited; 0.0 if none is left.
        """
        self._queue(listener).waited_s = waited_s

    def judge(self, queues: Iterable[tuple[int, float, int]]) -> bool:
        """Whether new calls are to be refused until the next look, `CHECK_S` later.

        Args:
            queues: for each listener how full its receive buffer is, 0..1, and how many datagrams
                the kernel has dropped there so far.
        """
        late = False
        for listener, fill, dropped in queues:
            queue = self._queue(listener)
            if queue.look(fill):
                late = True
            if dropped != queue.dropped:
                queue.dropped = dropped
                late = True
        return late

    def _queue(self, listener: int) -> _Queue:
        queue = self._queues.get(listener)
        if queue is None:
            queue = self._queues[listener] = _Queue()
        return queue
