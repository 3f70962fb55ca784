"""Digits as packets: telephone-events in, telephone-events out (RFC 4733).

PURE. A digit is a run of packets that share a timestamp and tell a growing duration; the last one
is marked as the end and sent three times. `DigitReceiver` makes one `Digit` of each run, whatever
of it is lost, doubled or out of order:

    an end comes                     the digit is over, as long as it says
    another event begins             so is the one before: its ends were lost
    nothing for 150 ms               the same
    what is left of a digit          is known by its timestamp and event, and is nothing new
    a run of more than 0xFFFF ticks  goes on under a timestamp that is 0xFFFF later (§2.5.1.3)

`DigitSender` makes such runs, for digits that came by another way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final

from relay.policer import Policer

__all__ = ["DIGITS", "Digit", "DigitReceiver", "DigitSender", "EventPacket"]

DIGITS: Final = "0123456789*#ABCD"
"""By their event codes (RFC 4733 §3.2)."""

_EVENT: Final = Struct("!BBH")
_END: Final = 0x80
_VOLUME: Final = 10
"""-10 dBm0, as most senders have it."""
_LONGEST: Final = 0xFFFF
"""Of one segment, in ticks (§2.5.1.3)."""
_SILENCE_S: Final = 0.15
"""Three of the longest intervals between updates that §2.5.1.2 has in mind."""
_LATE_S: Final = 5.0
"""A timestamp may be so far behind the newest one; further back is a new beginning."""
_REMEMBERED: Final = 8
_MOST_EVENTS: Final = 8
"""In one packet: more digits than anybody can press between two."""
_RATE: Final = 25.0
_AT_ONCE: Final = 50.0
"""Digits a second, and saved up: twice as fast as machines dial. What is more nobody is told of."""
_MOST_WAITING: Final = 64
"""Digits that wait to be sent."""
_STEP_S: Final = 0.02
_ENDS: Final = 3
_BETWEEN_S: Final = 0.06
"""Silence between two digits; 40 ms are enough for any receiver (ITU-T Q.24)."""


@dataclass(slots=True)
class Digit:
    """One digit that is over."""

    digit: str
    """One of `DIGITS`."""
    duration_ms: int


class DigitReceiver:
    """The telephone-events of one direction."""

    __slots__ = (
        "_clock",
        "_code",
        "_done",
        "_duration",
        "_newest",
        "_rate",
        "_seen",
        "_ssrc",
        "_start",
    )

    def __init__(self) -> None:
        self._ssrc = -1
        self._newest = -1
        """The latest timestamp of any event."""
        self._code = -1
        """The event that is under way; -1: none."""
        self._start = 0
        """Its first timestamp; that of a later segment may be `_newest`."""
        self._duration = 0
        """In ticks, from `_start`."""
        self._clock = 8000
        self._seen = 0.0
        self._done: tuple[tuple[int, int], ...] = ()
        """Timestamp and code of those that are over."""
        self._rate: Policer | None = None

    @property
    def due(self) -> float | None:
        """When the event under way is taken for over; None: there is none."""
        return None if self._code < 0 else self._seen + _SILENCE_S

    def packet(
        self, payload: bytes, ssrc: int, timestamp: int, clock: int, now: float
    ) -> list[Digit]:
        """One packet; which digits are over with it.

        Args:
            payload: one event or several that follow each other (§2.5.1.5); what is no event, or
                none of a digit, is passed over.
            ssrc, timestamp: of its header.
            clock: Hz of its payload type, above 0.
            now: monotonic seconds.
        """
        over: list[Digit] = []
        if ssrc != self._ssrc:
            self._end(over)
            self._ssrc, self._newest, self._done = ssrc, -1, ()
        self._clock = clock
        for at in range(0, min(len(payload) - 3, 4 * _MOST_EVENTS), 4):
            code, flags, duration = _EVENT.unpack_from(payload, at)
            if code < len(DIGITS):
                self._event(code, bool(flags & _END), timestamp, duration, now, over)
            timestamp = timestamp + duration & 0xFFFFFFFF
        return self._allowed(over, now) if over else over

    def look(self, now: float) -> list[Digit]:
        """Nothing has come: the digit that has been silent for too long, if any."""
        over: list[Digit] = []
        due = self.due
        if due is not None and now >= due:
            self._end(over)
        return self._allowed(over, now) if over else over

    def _allowed(self, over: list[Digit], now: float) -> list[Digit]:
        if self._rate is None:
            self._rate = Policer(_RATE, _AT_ONCE, now)
        return [digit for digit in over if self._rate.take(1.0, now)]

    def _event(
        self, code: int, end: bool, timestamp: int, duration: int, now: float, over: list[Digit]
    ) -> None:
        if (timestamp, code) in self._done or self._is_late(timestamp):
            return
        same = code == self._code
        if same and timestamp == self._newest:
            pass
        elif same and timestamp == self._newest + _LONGEST & 0xFFFFFFFF:
            self._remember(self._newest, code)  # the next segment; the one before says no more
        else:
            self._end(over)
            self._code, self._start, self._duration = code, timestamp, 0
        self._newest = timestamp
        self._seen = now
        so_far = (timestamp - self._start & 0xFFFFFFFF) + duration
        self._duration = max(self._duration, so_far)
        if end:
            self._end(over)

    def _is_late(self, timestamp: int) -> bool:
        """Of before the newest event, and never heard of: its digit cannot be told from others."""
        if self._newest < 0:
            return False
        behind = self._newest - timestamp & 0xFFFFFFFF
        return 0 < behind < _LATE_S * self._clock

    def _remember(self, timestamp: int, code: int) -> None:
        self._done = (*self._done[1 - _REMEMBERED :], (timestamp, code))

    def _end(self, over: list[Digit]) -> None:
        if self._code >= 0:
            self._remember(self._newest, self._code)
            milliseconds = round(self._duration * 1000 / self._clock)
            over.append(Digit(DIGITS[self._code], milliseconds))
            self._code = -1


@dataclass(slots=True)
class EventPacket:
    """One packet to be sent, but for its sequence number and source."""

    marker: bool
    timestamp: int
    payload: bytes
    last: bool
    """The digit is over with it."""


class DigitSender:
    """Digits that are sent one after the other, a packet every 20 ms.

    Args:
        clock: Hz of the payload type, above 0.
    """

    __slots__ = (
        "_base",
        "_clock",
        "_code",
        "_ends",
        "_queue",
        "_steps",
        "_ticks",
        "_timestamp",
        "due",
    )

    def __init__(self, clock: int) -> None:
        self.due: float | None = None
        """When the next packet is; None: there is none."""
        self._clock = clock
        self._queue: deque[tuple[int, int]] = deque()
        self._code = -1
        self._ticks = 0
        """How long the digit is to be."""
        self._steps = 0
        self._base = 0
        """Ticks in the segments before this one."""
        self._timestamp = 0
        self._ends = 0

    @property
    def sounding(self) -> bool:
        """A digit is under way: nothing else may be heard."""
        return self._code >= 0

    @property
    def starting(self) -> bool:
        """The next packet is the first of a digit, and wants a timestamp."""
        return self._code < 0 and bool(self._queue)

    def add(self, digits: Sequence[str], duration_ms: int, now: float) -> None:
        """Digits to be sent, each for so long; others of the text are passed over."""
        ticks = max(1, duration_ms * self._clock // 1000)
        room = _MOST_WAITING - len(self._queue)
        wanted = [(DIGITS.index(one), ticks) for one in digits if one in DIGITS]
        self._queue.extend(wanted[: max(room, 0)])
        if self.due is None and self._queue:
            self.due = now

    def next(self, timestamp: int) -> list[EventPacket]:
        """The packets that are due; all but the last of several are ends of segments.

        Args:
            timestamp: of the stream, now; only looked at where `starting`.
        """
        if self.due is None:
            return []
        marker = self.starting
        if marker:
            self._code, self._ticks = self._queue.popleft()
            self._timestamp, self._steps, self._base, self._ends = timestamp, 0, 0, 0
        self._steps += 1
        so_far = min(round(self._steps * _STEP_S * self._clock), self._ticks)
        packets = []
        while so_far - self._base > _LONGEST:
            packets.append(self._made(marker, _LONGEST, end=False))
            self._base += _LONGEST
            self._timestamp = self._timestamp + _LONGEST & 0xFFFFFFFF
            marker = False
        end = so_far == self._ticks
        packets.append(self._made(marker, so_far - self._base, end=end))
        self._ends += end
        self.due += _STEP_S
        if self._ends == _ENDS:
            packets[-1].last = True
            self._code = -1
            self.due = self.due - _STEP_S + _BETWEEN_S if self._queue else None
        return packets

    def _made(self, marker: bool, duration: int, *, end: bool) -> EventPacket:
        payload = _EVENT.pack(self._code, _VOLUME | (_END if end else 0), duration)
        return EventPacket(marker, self._timestamp, payload, last=False)
