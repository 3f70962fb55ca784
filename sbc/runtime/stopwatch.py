"""How long the loop was busy at a time: the longest pass is what every other message waits for."""

from __future__ import annotations

import time

__all__ = ["Stopwatch"]


class Stopwatch:
    """Measures passes of the loop; the longest since the figures were last asked for, and ever."""

    __slots__ = ("_cpu", "_longest_cpu_s", "_longest_wall_s", "_passes", "_wall")

    def __init__(self) -> None:
        self._cpu = self._wall = 0.0
        self._longest_cpu_s = self._longest_wall_s = 0.0
        self._passes = 0

    def start(self) -> None:
        """A pass begins."""
        self._cpu, self._wall = time.thread_time(), time.perf_counter()

    def stop(self) -> None:
        """It is over."""
        self._passes += 1
        cpu_s, wall_s = time.thread_time() - self._cpu, time.perf_counter() - self._wall
        if cpu_s > self._longest_cpu_s:
            self._longest_cpu_s = cpu_s
        if wall_s > self._longest_wall_s:
            self._longest_wall_s = wall_s

    def figures(self) -> dict[str, object]:
        """The longest pass since the last call of this, in milliseconds."""
        figures: dict[str, object] = {
            "loop_passes": self._passes,
            "loop_max_cpu_ms": round(self._longest_cpu_s * 1000, 3),
            "loop_max_wall_ms": round(self._longest_wall_s * 1000, 3),
        }
        self._longest_cpu_s = self._longest_wall_s = 0.0
        return figures
