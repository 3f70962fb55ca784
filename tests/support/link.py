"""A network without sockets: loses, delays, reorders and repeats, the same way for one seed.

Sans-IO as everything it connects: `send` takes the time, `arrived` hands out what is there by now.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass
from itertools import count


@dataclass(slots=True)
class Weather:
    """How bad the link is. Probabilities are 0..1, delays are seconds."""

    loss: float = 0.0
    repeat: float = 0.0
    delay_s: float = 0.01
    jitter_s: float = 0.0
    """Added to the delay, uniformly: above the sending interval it reorders."""


class Link:
    """One direction of a network, for datagrams addressed to anybody."""

    def __init__(self, seed: int, weather: Weather) -> None:
        self.weather = weather
        self.sent = 0
        self.lost = 0
        self._random = random.Random(seed)  # noqa: S311
        self._order = count()
        self._under_way: list[tuple[float, int, object, bytes]] = []

    def __len__(self) -> int:
        return len(self._under_way)

    def send(self, to: object, data: bytes, now: float) -> None:
        """Take a datagram: it will arrive once, several times, or never."""
        self.sent += 1
        if self._random.random() < self.weather.loss:
            self.lost += 1
            return
        for _ in range(2 if self._random.random() < self.weather.repeat else 1):
            delay = self.weather.delay_s + self._random.random() * self.weather.jitter_s
            heapq.heappush(self._under_way, (now + delay, next(self._order), to, data))

    def arrived(self, now: float) -> list[tuple[object, bytes]]:
        """Take what has arrived by `now`, in order of arrival."""
        there: list[tuple[object, bytes]] = []
        while self._under_way and self._under_way[0][0] <= now:
            _, _, to, data = heapq.heappop(self._under_way)
            there.append((to, data))
        return there

    def next_arrival(self) -> float | None:
        """When `arrived` will next have something, or None."""
        return self._under_way[0][0] if self._under_way else None
