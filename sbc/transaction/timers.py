"""Timers as data: who wants to hear what, when (RFC 3261 §17, Table 4; RFC 6026).

Nearly every SIP timer has one of eight durations, so a FIFO for each duration is always in order:
arming is an append, firing a popleft, and nothing is ever cancelled. A transaction that has ended
lets a stale timer pass; it holds nothing by then. Of a user an entry holds no more than its
`Cell`, which the user empties when it ends: what is left in the queues until its time comes is a
few words, never a call.

That is cheap up to 64*T1. Longer timers (no answer, session expiry, maximum duration) would pile
up, so they go to the `TimerWheel`, which takes an entry out when it is cancelled.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, TypeAlias

__all__ = ["Cell", "Entry", "Timer", "TimerTable", "TimerValues", "TimerWheel", "User"]

User: TypeAlias = Any
"""What the layer's user wants to find again: the layer keeps it, hands it back, never looks in."""


class Timer(IntEnum):
    """The timers of the four transactions; the numbers are disjoint from those of `Input`."""

    A = 1  # INVITE client: retransmit, unreliable transports only
    B = 2  # INVITE client: give up, 64*T1
    D = 3  # INVITE client: absorb retransmitted failures
    E = 4  # non-INVITE client: retransmit, unreliable transports only
    F = 5  # non-INVITE: give up, 64*T1
    G = 6  # INVITE server: retransmit the failure, unreliable transports only
    H = 7  # INVITE server: wait for ACK, 64*T1
    I = 8  # noqa: E741 # INVITE server: absorb retransmitted ACKs
    J = 9  # non-INVITE server: absorb retransmitted requests
    K = 10  # non-INVITE client: absorb retransmitted responses
    L = 11  # INVITE server: 2xx sent, absorb retransmitted INVITEs (RFC 6026 §8.7)
    M = 12  # INVITE client: 2xx received, collect those of other forks (RFC 6026 §8.4)
    CANCELLED = 13  # INVITE client: no final response 64*T1 after CANCEL (RFC 3261 §9.1)


@dataclass(slots=True)
class TimerValues:
    """The base values of RFC 3261 §17.1.1.1 and §17.1.2.2, in seconds."""

    t1_s: float = 0.5
    """Round-trip estimate."""
    t2_s: float = 4.0
    """Longest interval between retransmissions of all but an INVITE."""
    t4_s: float = 5.0
    """How long the network may keep a message."""

    give_up_s: float = field(init=False)
    """64*T1: timers B, F, H, J, L, M, and D, which at the default T1 is the RFC's 32 s."""

    def __post_init__(self) -> None:
        self.give_up_s = 64 * self.t1_s


class Cell:
    """What a timer entry holds instead of a user. Set `owner` to None when the owner ends."""

    __slots__ = ("owner",)

    def __init__(self, owner: User) -> None:
        self.owner: User | None = owner


_Entry: TypeAlias = tuple[float, User, IntEnum]


class TimerTable:
    """One FIFO for each duration. For durations up to 64*T1, of which there must be few.

    `now` never goes backwards.
    """

    __slots__ = ("_queues",)

    def __init__(self) -> None:
        self._queues: defaultdict[float, deque[_Entry]] = defaultdict(deque)

    def __len__(self) -> int:
        """Entries, those of ended owners included."""
        return sum(map(len, self._queues.values()))

    def arm(self, of: User, timer: IntEnum, duration_s: float, now: float) -> None:
        """Let `due` return this once `now + duration_s` is reached.

        Args:
            of: the transaction, or the cell of whoever else it is for.
        """
        self._queues[duration_s].append((now + duration_s, of, timer))

    def due(self, now: float) -> list[_Entry]:
        """Take what is due, stale or not: when it was due, of whom, the timer.

        In order for each duration; timers of different durations in any order.
        """
        fired: list[_Entry] = []
        for queue in self._queues.values():
            while queue and queue[0][0] <= now:
                fired.append(queue.popleft())
        return fired

    def next_due(self) -> float | None:
        """The time of the oldest entry, or None. It may turn out to be a stale one."""
        return min((queue[0][0] for queue in self._queues.values() if queue), default=None)


class Entry(Cell):
    """One long timer: until it fires or is cancelled it keeps its owner alive, then never."""

    __slots__ = ("_slot", "due", "timer")

    def __init__(self, owner: User, timer: IntEnum, due: float, slot: dict[Entry, None]) -> None:
        self.owner = owner
        self.timer = timer
        self.due = due
        self._slot: dict[Entry, None] | None = slot

    def cancel(self) -> None:
        """Take the timer out. Harmless when it has fired or was cancelled."""
        if self._slot is not None:
            self._slot.pop(self, None)
        self.owner = self._slot = None


class TimerWheel:
    """Long timers with real removal; one slot for each `granularity_s`, fired at the slot's end.

    A timer fires at its time or up to one granularity later, never before.
    """

    __slots__ = ("_cursor", "_granularity_s", "_slots")

    def __init__(self, granularity_s: float = 0.5) -> None:
        self._granularity_s = granularity_s
        self._slots: dict[int, dict[Entry, None]] = {}  # in order: what is due at once, too
        self._cursor = 0  # no slot before this one is left

    def __len__(self) -> int:
        """Live entries."""
        return sum(map(len, self._slots.values()))

    def arm(self, owner: User, timer: IntEnum, duration_s: float, now: float) -> Entry:
        """Let `due` return (owner, timer) after `duration_s`, unless the entry is cancelled."""
        due = now + duration_s
        number = int(due / self._granularity_s) + 1
        if not self._slots or number < self._cursor:
            self._cursor = number
        slot = self._slots.get(number)
        if slot is None:
            slot = self._slots[number] = {}
        entry = Entry(owner, timer, due, slot)
        slot[entry] = None
        return entry

    def due(self, now: float) -> list[tuple[User, IntEnum]]:
        """Take what is due, oldest first."""
        last = int(now / self._granularity_s)
        fired: list[Entry] = []
        while self._slots and self._cursor <= last:
            fired.extend(self._slots.pop(self._cursor, ()))
            self._cursor += 1
        fired.sort(key=lambda entry: entry.due)
        heard = [(entry.owner, entry.timer) for entry in fired]
        for entry in fired:
            entry.cancel()
        return heard

    def next_due(self) -> float | None:
        """When the first slot that holds an entry is over, or None."""
        first = min((number for number, slot in self._slots.items() if slot), default=None)
        return None if first is None else first * self._granularity_s
