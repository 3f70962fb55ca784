"""The one loop of a worker: epoll, a dictionary of handlers, and the adaptive tick.

Waking for each packet is the largest single cost of a relay in user space. Above a few thousand
packets a second the loop therefore sleeps for 0.7 ms between rounds and then polls until nothing
is ready or its budget is spent; below, it wakes for each packet. A real sleep: the millisecond
resolution of epoll's own timeout makes 1.1 ms of it.

Level-triggered, and each handler receives once for each event: one busy socket gets its turn in
each poll, as every other one, and no receive is spent on learning that a socket is empty.
"""

from __future__ import annotations

import logging
import select
import time
from collections.abc import Callable
from typing import Final, TypeAlias

__all__ = ["Loop", "Ready"]

Ready: TypeAlias = Callable[[float], None]
"""Called with monotonic seconds when a descriptor is ready; receives once, never blocks."""

_log = logging.getLogger(__name__)

_TICK_S: Final = 0.0007
_BUDGET_S: Final = 0.004
_MEASURE_S: Final = 0.05
_TICK_ABOVE: Final = 3000.0
_WAKE_BELOW: Final = 1500.0
"""Events a second between which the loop keeps to what it does."""
_MOST_EVENTS: Final = 64
"""In one round: the first packets of 64 new streams, the dearest there are, take about 5 ms."""


class Loop:
    """Polls descriptors and calls their handlers.

    Args:
        between: called between rounds with monotonic seconds; does bounded work and returns when
            it wants to be called again, at the latest.
    """

    def __init__(self, between: Callable[[float], float] | None = None) -> None:
        self.between: Callable[[float], float] = between or _nothing
        self.ticking = False
        """Sleeps between rounds rather than waking for each event."""
        self.longest_pass_s = 0.0
        """Wall time of the longest pass so far, without its sleep."""
        self.longest_pass_cpu_s = 0.0
        """The same in CPU time of this thread: without what others took of the core."""
        self.passes = 0
        self.crashes = 0
        """Handlers that raised: each a bug, and its descriptor is no longer served."""
        self._epoll = select.epoll()
        self._handlers: dict[int, Ready] = {}
        self._stopped = False
        self._events = 0
        self._measure_at = 0.0
        self._again = 0.0

    def watch(self, fd: int, handler: Ready, events: int = select.EPOLLIN) -> None:
        """Call the handler whenever the descriptor is ready. Raises OSError (ENOSPC, EMFILE)."""
        self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def change(self, fd: int, events: int) -> None:
        """Wait for other events on a watched descriptor."""
        self._epoll.modify(fd, events)

    def serve_by(self, fd: int, handler: Ready) -> None:
        """Another handler for a watched descriptor."""
        self._handlers[fd] = handler

    def unwatch(self, fd: int) -> None:
        """Never call for it again. Before it is closed: a copy elsewhere keeps it in the set."""
        # An event of the round in hand may still name it: the entry stays and does nothing.
        if self._handlers.get(fd, _ignore) is not _ignore:
            self._handlers[fd] = _ignore
            self._epoll.unregister(fd)

    def stop(self) -> None:
        """Return from `run` after the pass in hand."""
        self._stopped = True

    def close(self) -> None:
        """Give the epoll descriptor back."""
        self._epoll.close()

    def run(self) -> None:
        """Serve until `stop`."""
        while not self._stopped:
            self.run_once()

    def run_once(self) -> None:
        """One pass: wait or sleep, then rounds until nothing is ready, then `between`."""
        if self.ticking:
            time.sleep(_TICK_S)
            wait_s = 0.0
        else:
            wait_s = max(0.0, self._again - time.monotonic())
        poll = self._epoll.poll
        ready = poll(wait_s, _MOST_EVENTS)
        start = now = time.monotonic()
        began = time.thread_time()
        while ready:
            self._events += len(ready)
            self._serve(ready, now)
            now = time.monotonic()
            if now - start > _BUDGET_S:
                break
            if not self.ticking:
                break
            ready = poll(0, _MOST_EVENTS)
        self._again = self.between(now)
        self._adapt(now)
        took_s = time.monotonic() - start
        if took_s > self.longest_pass_s:
            self.longest_pass_s = took_s
        used_s = time.thread_time() - began
        if used_s > self.longest_pass_cpu_s:
            self.longest_pass_cpu_s = used_s
        self.passes += 1

    def _serve(self, ready: list[tuple[int, int]], now: float) -> None:
        handlers = self._handlers
        fd = -1
        try:
            for fd, _ in ready:
                handlers[fd](now)
        except Exception:
            # The boundary: a bug costs one descriptor, not the worker. What else was ready in
            # this round is level-triggered and comes again.
            self.crashes += 1
            _log.exception("handler.crashed fd=%d", fd)
            self.unwatch(fd)

    def _adapt(self, now: float) -> None:
        elapsed_s = now - self._measure_at
        if elapsed_s < _MEASURE_S:
            return
        rate = self._events / elapsed_s
        self._events = 0
        self._measure_at = now
        self.ticking = rate > (_WAKE_BELOW if self.ticking else _TICK_ABOVE)


def _ignore(now: float) -> None:
    """What an unwatched descriptor's last event gets."""


def _nothing(now: float) -> float:
    return now + 1.0
