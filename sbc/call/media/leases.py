"""Media ports held ahead of need, so that media never delays an INVITE.

Each relay worker leases us blocks of port pairs. A call takes all its pairs from one worker, and
names them in its plan; after the call the worker itself has them back. What is left here is only
a stock for each worker and pool (`sbc.call.media.pools`), refilled before it runs out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from sbc.errors import PortsExhausted, RelayUnavailable

__all__ = ["Lease", "LeaseRequest", "Leases", "LocalPort"]

LocalPort = tuple[str, int]
"""Our address and an even RTP port; RTCP is the next one."""

_REFILL: Final = 64
"""Pairs asked for at a time while calls are few."""
_REFILL_MOST: Final = 1024


@dataclass(slots=True)
class Lease:
    """The ports of one call: the worker that owns them, and a pair for each stream and side."""

    slot: int
    pool_a: str
    pool_b: str
    a: list[LocalPort]
    b: list[LocalPort]
    worker: int
    """Which of the workers that the slot has had."""


@dataclass(slots=True)
class LeaseRequest:
    """Ask worker `slot` for `count` more pairs of `pool`."""

    slot: int
    pool: str
    count: int


@dataclass(slots=True)
class _Stock:
    """The pairs in hand of one worker and pool."""

    ports: deque[LocalPort] = field(default_factory=deque)
    size: int = _REFILL
    """Pairs asked for next; doubles whenever a refill did not come in time."""
    asked: bool = False
    exhausted: bool = False
    closed: bool = False
    """The worker is draining."""


class Leases:
    """The stocks of all workers.

    Args:
        pools: the pools that have media addresses.
    """

    __slots__ = ("_calls", "_pools", "_stocks", "_wants", "_workers")

    def __init__(self, pools: Sequence[str]) -> None:
        self._pools = tuple(pools)
        self._stocks: dict[int, dict[str, _Stock]] = {}
        self._calls: dict[int, int] = {}
        self._workers: dict[int, int] = {}
        self._wants: list[LeaseRequest] = []

    @property
    def slots(self) -> list[int]:
        """The workers in use."""
        return list(self._stocks)

    def worker_up(self, slot: int) -> None:
        """A worker is running and knows nothing of us: its stock starts empty."""
        self._stocks[slot] = {pool: _Stock() for pool in self._pools}
        self._calls[slot] = 0
        self._workers[slot] = self._workers.get(slot, 0) + 1
        for pool, stock in self._stocks[slot].items():
            self._ask(slot, pool, stock)

    def worker_down(self, slot: int) -> None:
        """A worker is gone and every lease with it."""
        self._stocks.pop(slot, None)
        self._calls.pop(slot, None)

    def granted(self, slot: int, pool: str, ports: Iterable[LocalPort]) -> None:
        """A worker's answer; no ports at all says that the pool has none left there."""
        stock = self._stocks.get(slot, {}).get(pool)
        if stock is None or stock.closed:
            return
        before = len(stock.ports)
        stock.ports.extend(ports)
        stock.asked = False
        stock.exhausted = len(stock.ports) == before

    def refused(self, slot: int, pool: str) -> None:
        """A worker has no port of this pool left for now."""
        self.granted(slot, pool, ())

    def replenished(self, slot: int, pool: str) -> None:
        """A worker that had none left has ports again: get some before a call needs them."""
        stock = self._stocks.get(slot, {}).get(pool)
        if stock is not None and stock.exhausted and not stock.closed:
            stock.exhausted = False
            self._refill(slot, pool, stock)

    def draining(self, slot: int) -> None:
        """A worker takes no new calls: its stock is worth nothing, and is not filled again."""
        for stock in self._stocks.get(slot, {}).values():
            stock.ports.clear()
            stock.asked = stock.exhausted = stock.closed = True

    def take(self, pool_a: str, pool_b: str, streams: int) -> Lease:
        """Ports for a call of `streams` streams, from the worker with the fewest calls.

        Raises:
            RelayUnavailable: no worker is running.
            PortsExhausted: no worker has enough ports of both pools in hand.
        """
        if not self._stocks:
            raise RelayUnavailable("no media relay worker is running")
        slots: Iterable[int] = self._stocks
        if len(self._stocks) > 1:
            slots = sorted(slots, key=self._calls.__getitem__)
        for slot in slots:
            stocks = self._stocks[slot]
            a, b = stocks[pool_a], stocks[pool_b]
            short = streams * 2 if a is b else streams
            if len(a.ports) >= short and len(b.ports) >= streams:
                lease = Lease(
                    slot,
                    pool_a,
                    pool_b,
                    [a.ports.popleft() for _ in range(streams)],
                    [b.ports.popleft() for _ in range(streams)],
                    self._workers[slot],
                )
                self._calls[slot] += 1
                self._refill(slot, pool_a, a)
                self._refill(slot, pool_b, b)
                return lease
            self._starved(slot, pool_a, a, short)
            self._starved(slot, pool_b, b, streams)
        raise PortsExhausted(f"no free media port left in pool {pool_a} or {pool_b}")

    def more(self, lease: Lease, streams: int) -> list[tuple[LocalPort, LocalPort]]:
        """Ports for further streams of a call, from its own worker; not yet of the lease.

        Raises:
            RelayUnavailable: that worker is gone.
            PortsExhausted: it has too few in hand.
        """
        if not self.holds(lease):
            raise RelayUnavailable("the call's media relay worker is gone")
        stocks = self._stocks[lease.slot]
        a, b = stocks[lease.pool_a], stocks[lease.pool_b]
        short = streams * 2 if a is b else streams
        if len(a.ports) < short or len(b.ports) < streams:
            self._starved(lease.slot, lease.pool_a, a, short)
            self._starved(lease.slot, lease.pool_b, b, streams)
            raise PortsExhausted(f"no media port in hand for {streams} more streams")
        ports = [(a.ports.popleft(), b.ports.popleft()) for _ in range(streams)]
        self._refill(lease.slot, lease.pool_a, a)
        self._refill(lease.slot, lease.pool_b, b)
        return ports

    def less(self, lease: Lease, ports: Iterable[tuple[LocalPort, LocalPort]]) -> None:
        """Ports from `more` that no plan has named: they go to the end of our own stock."""
        if self.holds(lease):
            stocks = self._stocks[lease.slot]
            if not stocks[lease.pool_a].closed:
                for a, b in ports:
                    stocks[lease.pool_a].ports.append(a)
                    stocks[lease.pool_b].ports.append(b)

    def holds(self, lease: Lease) -> bool:
        """Whether the worker that granted it is still there; another in its slot knows nothing."""
        return lease.slot in self._stocks and self._workers[lease.slot] == lease.worker

    def give_back(self, lease: Lease, *, unused: bool) -> None:
        """A call ended. Ports of a plan are the worker's again, once the plan is removed.

        Args:
            unused: no plan ever named them: they go to the end of our own stock.
        """
        if not self.holds(lease):
            return
        self._calls[lease.slot] -= 1
        if unused:
            stocks = self._stocks[lease.slot]
            if not stocks[lease.pool_a].closed:
                stocks[lease.pool_a].ports.extend(lease.a)
                stocks[lease.pool_b].ports.extend(lease.b)

    def wanted(self) -> list[LeaseRequest]:
        """What to ask the workers for now; each request is returned once."""
        wants, self._wants = self._wants, []
        return wants

    def in_hand(self) -> dict[str, int]:
        """Pairs in stock for each pool, over all workers."""
        return {
            pool: sum(len(stocks[pool].ports) for stocks in self._stocks.values())
            for pool in self._pools
        }

    def _refill(self, slot: int, pool: str, stock: _Stock) -> None:
        if len(stock.ports) < stock.size // 2 and not stock.asked and not stock.exhausted:
            self._ask(slot, pool, stock)

    def _starved(self, slot: int, pool: str, stock: _Stock, needed: int) -> None:
        """A call found too little: ask again, and for more next time."""
        if len(stock.ports) >= needed:
            return
        if not stock.exhausted:
            stock.size = min(stock.size * 2, _REFILL_MOST)
        if not stock.asked:
            self._ask(slot, pool, stock)

    def _ask(self, slot: int, pool: str, stock: _Stock) -> None:
        stock.asked = True
        self._wants.append(LeaseRequest(slot, pool, stock.size))
