"""Digits of a worker's calls: told to signalling instead of passed on, and put into streams.

Both are the slow path's: while digits are under way in a lane, and a moment longer, its fast path
punts everything, and each packet that leaves is numbered here. So a direction's numbers go on
without a hole or a repetition, whatever was taken out of it or put in:

    reported    a telephone-event that was swallowed never had a number
    injected    a digit has the numbers behind the last packet of the source, whose audio rests
                meanwhile and goes on behind the digit; a source that has sent nothing yet is
                spoken for by one of ours

Audio that comes so late that its number has been given to something else is dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2s
from typing import Final, Protocol

from relay.call import Lane, LaneDigits
from relay.control.messages import Inject
from relay.dtmf import Digit, DigitSender
from relay.forward.base import Numbering
from relay.forward.change import Packet
from relay.renumber import Renumbering, next_number
from relay.rtp.packet import FIXED_HEADER, MIN_SIZE, header_size

__all__ = ["DigitDesk"]

_LATE_S: Final = 0.1
"""Audio that was overtaken by a digit comes so long after it at most."""
_IDLE_S: Final = 0.05
_DEFAULT_CLOCK: Final = 8000

_read_header = FIXED_HEADER.unpack_from


class Slow(Protocol):
    """The slow path, as far as digits need it."""

    def refresh(self, lanes: list[Lane]) -> None:
        """Tell the fast path what these RTP lanes are now."""

    def send_own(self, lane: Lane, packet: bytes) -> None:
        """Send an RTP packet of ours the way that a lane's packets go."""


class DigitDesk:
    """All digits under way in a worker.

    Args:
        slow: sends packets and tells the fast path.
        secret: 16 to 32 random bytes; sources of our own are derived with it.
        tell: hears of each digit that a lane's peer has sent.
    """

    def __init__(self, slow: Slow, secret: bytes, tell: Callable[[Lane, Digit], None]) -> None:
        self._slow = slow
        self._secret = secret
        self._tell = tell
        self._active: list[LaneDigits] = []

    def inject(self, lane: Lane, wish: Inject, now: float) -> bool:
        """Send digits the way that a lane's packets go. Returns whether the wish is a new one."""
        digits = self._digits(lane)
        if wish.number <= digits.number:
            return False
        digits.number = wish.number
        if digits.sender is None:
            digits.sender = DigitSender(self._clock(lane, lane.direction.crossing.injected_type))
        digits.sender.add(wish.digits, wish.duration_ms, now)
        self._wake(digits, now)
        return True

    def takes(self, lane: Lane, packet: Packet, now: float) -> bool:
        """Whether a packet, which is counted already, ends here."""
        _, second, sequence, timestamp, ssrc = _read_header(packet)
        kind, digits = second & 0x7F, lane.digits
        if kind in lane.direction.crossing.reported_types:
            digits = self._digits(lane)
            self._wake(digits, now)
            clock = self._clock(lane, kind)
            self._hear(
                digits, digits.receiver.packet(_payload(packet), ssrc, timestamp, clock, now), now
            )
            self._leave_out(lane, digits, ssrc, sequence)
            return True
        if digits is None or not digits.busy:
            return False
        return digits.sounding or digits.is_passed(ssrc, sequence)

    def work(self, now: float) -> float:
        """Send and tell what is due. Returns when to be called again, monotonic seconds."""
        again = now + 1.0
        for digits in list(self._active):
            if digits.lane.digits is not digits:  # its call is over
                self._active.remove(digits)
                continue
            again = min(again, self._work_one(digits, now))
        return again

    @property
    def idle(self) -> bool:
        """There is nothing to be done."""
        return not self._active

    def _work_one(self, digits: LaneDigits, now: float) -> float:
        lane, sender = digits.lane, digits.sender
        self._hear(digits, digits.receiver.look(now), now)
        while sender is not None and sender.due is not None and sender.due <= now:
            self._send_next(lane, digits, sender, now)
        due = digits.receiver.due
        if sender is not None and sender.due is not None:
            due = sender.due if due is None else min(due, sender.due)
        if due is not None:
            digits.quiet_at = max(digits.quiet_at, now + _LATE_S)
            return due
        if now < digits.quiet_at:
            return digits.quiet_at
        digits.busy = False
        self._active.remove(digits)
        self._slow.refresh([lane])
        return now + _IDLE_S

    def _hear(self, digits: LaneDigits, over: list[Digit], now: float) -> None:
        """Tell of digits, as many as a keyboard may send."""
        for digit in over:
            if digits.policer.take(1.0, now):
                self._tell(digits.lane, digit)

    # What is taken out

    def _leave_out(self, lane: Lane, digits: LaneDigits, ssrc: int, sequence: int) -> None:
        """A packet had a number and does not leave: those behind it move up."""
        newest = lane.reception.highest & 0xFFFF == sequence and ssrc == lane.reception.ssrc
        if newest and not digits.sounding and digits.passed != (ssrc, sequence):
            self._numbering(lane, ssrc)
            self._renumbering(lane).shift(ssrc, -1)
            digits.passed = (ssrc, sequence)

    # What is put in

    def _send_next(self, lane: Lane, digits: LaneDigits, sender: DigitSender, now: float) -> None:
        if sender.starting:
            digits.out_ssrc, digits.next_number = self._place(lane, digits)
        kind = lane.direction.crossing.injected_type
        for packet in sender.next(self._timestamp(lane, now)):
            second = (0x80 if packet.marker else 0) | kind & 0x7F
            number = digits.next_number & 0xFFFF
            header = FIXED_HEADER.pack(0x80, second, number, packet.timestamp, digits.out_ssrc)
            digits.next_number += 1
            if kind >= 0:  # a new plan may have taken the events away
                self._slow.send_own(lane, header + packet.payload)
            if packet.last:
                self._go_on(lane, digits)

    def _place(self, lane: Lane, digits: LaneDigits) -> tuple[int, int]:
        """Whose the next packet is, and its number, extended."""
        ssrc = lane.reception.ssrc
        if ssrc < 0:
            own, first, _ = self._own(lane)
            return own, digits.next_number if digits.out_ssrc == own else first
        numbering = self._numbering(lane, ssrc)
        return numbering.out_ssrc, next_number(numbering, lane.reception, lane.srtp_out)

    def _go_on(self, lane: Lane, digits: LaneDigits) -> None:
        """A digit is over: the source's next packet has the next number."""
        reception = lane.reception
        if reception.ssrc < 0:
            return
        numbering = self._numbering(lane, reception.ssrc)
        if numbering.out_ssrc == digits.out_ssrc:
            next_one = reception.highest + 1 + numbering.sequence
            self._renumbering(lane).shift(reception.ssrc, digits.next_number - next_one)
            digits.passed = (reception.ssrc, reception.highest & 0xFFFF)

    def _timestamp(self, lane: Lane, now: float) -> int:
        """What a packet of the source would have, were it sent now."""
        reception = lane.reception
        if reception.ssrc < 0:
            clock = self._clock(lane, lane.direction.crossing.injected_type)
            return self._own(lane)[2] + round(now * clock) & 0xFFFFFFFF
        since = round((now - reception.last_packet) * reception.clock)
        shift = self._numbering(lane, reception.ssrc).timestamp
        return reception.timestamp + since + shift & 0xFFFFFFFF

    def _own(self, lane: Lane) -> tuple[int, int, int]:
        """SSRC, first number and first timestamp of a source of ours, the same each time."""
        direction = lane.direction
        mac = blake2s(key=self._secret, digest_size=10)
        mac.update(f"digits\0{lane.call}\0{direction.stream}\0{direction.side}".encode())
        made = mac.digest()
        first = int.from_bytes(made[4:6], "big") & 0x7FFF  # RFC 3711 §3.3.1: below 2^15
        return int.from_bytes(made[:4], "big"), first, int.from_bytes(made[6:], "big")

    # Both

    def _digits(self, lane: Lane) -> LaneDigits:
        if lane.digits is None:
            lane.digits = LaneDigits(lane)
        return lane.digits

    def _wake(self, digits: LaneDigits, now: float) -> None:
        digits.quiet_at = now + _LATE_S
        if not digits.busy:
            digits.busy = True
            self._active.append(digits)
            self._slow.refresh([digits.lane])

    def _clock(self, lane: Lane, kind: int) -> int:
        """Hz of the events: that of the stream, whose source they are from (RFC 4733 §2.1)."""
        direction, reception = lane.direction, lane.reception
        if kind in direction.crossing.reported_types and kind in direction.clock_rates:
            return direction.clock_rates[kind] or _DEFAULT_CLOCK
        return reception.clock if reception.ssrc >= 0 else _DEFAULT_CLOCK

    def _renumbering(self, lane: Lane) -> Renumbering:
        if lane.renumbering is None:
            lane.renumbering = Renumbering(continuity=False)
        return lane.renumbering

    def _numbering(self, lane: Lane, ssrc: int) -> Numbering:
        renumbering = self._renumbering(lane)
        return renumbering.of(ssrc) or renumbering.begin(ssrc)


def _payload(packet: Packet) -> bytes:
    """Behind the header, without padding; b"" where the packet does not hold together."""
    if len(packet) < MIN_SIZE:
        return b""
    end = len(packet)
    if packet[0] & 0x20:
        end -= packet[-1]
    return bytes(packet[header_size(packet) : max(end, 0)])
