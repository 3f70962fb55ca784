"""A call as its worker knows it: lanes, one for each direction, and what they add up to.

PURE.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from relay.control.messages import CallStats, DirectionStats, StreamStats
from relay.dtmf import DigitReceiver, DigitSender
from relay.forward.base import DropReason, Flow, SrtpSession
from relay.latch import Latch
from relay.plan import Component, Direction
from relay.policer import Policer
from relay.ports import Pair
from relay.quality import Window, codec_of, quality
from relay.renumber import Renumbering
from relay.round_trip import RoundTrip
from relay.srtp_watch import SrtpWatch
from relay.stats import Reception

__all__ = [
    "END_NAMES",
    "Call",
    "Former",
    "Guard",
    "Lane",
    "LaneDigits",
    "call_stats",
    "direction_stats",
]

END_NAMES: Final = ("a", "b")
"""By side."""

_DIGITS_PER_S: Final = 20.0
"""Twice what the fastest dialler sends (ITU-T Q.24: 40 ms, and 40 ms of silence at least)."""
_DIGITS_AT_ONCE: Final = 40.0
_NOTHING: Final = Reception({})
"""What RTCP lanes have for RTP: it stays empty."""


class Guard:
    """What is known of the strangers at a lane's port, and done against them.

    Args:
        policer: of their packets.
    """

    __slots__ = ("away", "muted_until", "policer", "shut_until")

    def __init__(self, policer: Policer) -> None:
        self.policer = policer
        self.shut_until = 0.0
        """When others than believable hosts are let in again: monotonic seconds; 0.0: they are."""
        self.away = 0
        """What the kernel has discarded at the port, as far as that has been counted."""
        self.muted_until = 0.0
        """When the port is listened to again; 0.0: it is."""


@dataclass(slots=True)
class Former:
    """The key that a peer had before the one that it has told now (RFC 4568 §7.1.4).

    What it sent before it changed is still on its way, and it changes when our answer arrives.
    """

    session: SrtpSession = field(repr=False)
    """Of what it has sent; nothing is ever protected with it."""
    until: float
    """When it is worth nothing any more: monotonic seconds."""


class Lane:
    """One direction, RTP or RTCP, while the call lasts.

    Args:
        call: the call's key.
        direction: what the plan says.
        pair: the ports that it comes to.
        window_s: the latch's learn window.
        now: monotonic seconds.
    """

    __slots__ = (
        "accounted",
        "accounted_drops",
        "beside",
        "call",
        "digits",
        "direction",
        "drops",
        "expected_since",
        "flow",
        "former",
        "guard",
        "heard",
        "latch",
        "opposite",
        "pair",
        "policer",
        "reception",
        "renumbering",
        "rtcp_packets",
        "srtp_in",
        "srtp_out",
        "timed_out",
        "trip",
        "watch",
        "window",
    )

    def __init__(
        self, call: str, direction: Direction, pair: Pair, window_s: float, now: float
    ) -> None:
        self.call = call
        self.direction = direction
        self.pair = pair
        self.latch = Latch(direction.rules, window_s)
        self.opposite: Lane | None = None
        """The same component from the other end's peer. None only before the plan is in force
        and after the call: the two hold each other."""
        self.beside: Lane | None = None
        """The same peer's other component; None as `opposite` is."""
        self.srtp_in: SrtpSession | None = None
        self.srtp_out: SrtpSession | None = None
        self.former: Former | None = None
        """For a moment after the key of what comes has changed."""
        self.renumbering: Renumbering | None = None
        """Of RTP that may not keep its numbers."""
        self.flow: Flow | None = None
        """What the fast path was given last."""
        self.watch: SrtpWatch | None = None
        """Of RTP that is SRTP."""
        self.window: Window | None = None
        """Of RTP that is not as good as can be."""
        self.trip: RoundTrip | None = None
        """Of RTCP, once there is any: the way to this peer and back."""
        self.digits: LaneDigits | None = None
        """Of RTP that has had any to be reported or injected."""
        self.reception = (
            Reception(direction.clock_rates) if direction.component == Component.RTP else _NOTHING
        )
        self.rtcp_packets = 0
        self.drops: dict[DropReason, int] | None = None
        self.policer: Policer | None = None
        """Of the slow path."""
        self.guard: Guard | None = None
        """Once a stranger has come."""
        self.heard = 0.0
        """When the last RTCP came; 0.0: none."""
        self.expected_since = now
        """Since when the peer should be sending."""
        self.timed_out = False
        self.accounted = (0, 0, 0)
        """Packets, octets and RTCP packets that are in the worker's totals already."""
        self.accounted_drops: dict[DropReason, int] | None = None

    def drop(self, reason: DropReason, packets: int = 1) -> None:
        """Count what the slow path has dropped, or the kernel for it."""
        if self.drops is None:
            self.drops = {}
        self.drops[reason] = self.drops.get(reason, 0) + packets

    def all_drops(self, fast: dict[DropReason, int]) -> dict[DropReason, int]:
        """What was dropped, by the slow path and, as given, by the fast one."""
        drops = dict(fast)
        for reason, count in (self.drops or {}).items():
            drops[reason] = drops.get(reason, 0) + count
        return drops

    def succeed(self, before: Lane, fast: dict[DropReason, int]) -> None:
        """This is the same direction on another port: go on counting where `before` ends."""
        self.reception = before.reception
        self.reception.signal(self.direction.clock_rates)
        self.rtcp_packets = before.rtcp_packets
        self.heard = before.heard
        self.drops = before.all_drops(fast) or None
        self.accounted = before.accounted
        self.accounted_drops = before.accounted_drops
        self.renumbering = before.renumbering
        self.window = before.window
        self.trip = before.trip
        if before.digits is not None:
            self.digits, before.digits = before.digits, None
            self.digits.lane = self

    @property
    def keyed(self) -> bool:
        """What comes or what leaves is SRTP."""
        return self.srtp_in is not None or self.srtp_out is not None

    def part(self) -> None:
        """Forget the other lanes, which know this one, and the port, which is not its own now."""
        self.opposite = self.beside = None
        self.digits = None
        self.guard = None


class LaneDigits:
    """The digits of one RTP lane: what is under way, and which numbers are taken by it.

    Args:
        lane: holds it, until the call is over.
    """

    __slots__ = (
        "busy",
        "lane",
        "next_number",
        "number",
        "out_ssrc",
        "passed",
        "policer",
        "quiet_at",
        "receiver",
        "sender",
    )

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.receiver = DigitReceiver()
        self.policer = Policer(_DIGITS_PER_S, _DIGITS_AT_ONCE, 0.0)
        """Of what is told: each digit is a message to somebody."""
        self.sender: DigitSender | None = None
        self.number = 0
        """Of the last wish to inject."""
        self.busy = False
        """The fast path has all packets of the lane punted."""
        self.quiet_at = 0.0
        """When it need not any more, if nothing comes: monotonic seconds."""
        self.passed = (-1, 0)
        """SSRC and sequence number: what is not newer, as it came, has lost its number."""
        self.out_ssrc = -1
        """Whose the packets of the digit under way are."""
        self.next_number = 0
        """Of the next of them, extended."""

    @property
    def sounding(self) -> bool:
        """A digit is being sent."""
        return self.sender is not None and self.sender.sounding

    def is_passed(self, ssrc: int, sequence: int) -> bool:
        """Whether a packet comes too late: its number is another one's."""
        return ssrc == self.passed[0] and self.passed[1] - sequence & 0xFFFF < 0x8000


@dataclass(slots=True, eq=False)
class Call:
    """One plan in force."""

    key: str
    session: str
    number: int
    """In the order of their start."""
    revision: int = 0
    media_timeout_s: float = 60.0
    lanes: list[Lane] = field(default_factory=list)
    """Four for each stream: a and b RTP, a and b RTCP."""
    ended: list[StreamStats] | None = None
    """Streams that an earlier revision had."""
    sessions: dict[tuple[object, ...], SrtpSession] | None = field(default=None, repr=False)
    """Every key that the call has had, by its direction and itself: no key ever begins anew, or it
    would protect two packets with one index."""

    def link(self) -> None:
        """Let the lanes of each stream know each other."""
        lanes = self.lanes
        for index in range(0, len(lanes), 4):
            a, b, a_rtcp, b_rtcp = lanes[index : index + 4]
            a.opposite, b.opposite = b, a
            a_rtcp.opposite, b_rtcp.opposite = b_rtcp, a_rtcp
            a.beside, a_rtcp.beside = a_rtcp, a
            b.beside, b_rtcp.beside = b_rtcp, b


def direction_stats(
    rtp: Lane, rtcp: Lane, dropped: dict[DropReason, int], now: float
) -> DirectionStats:
    """What came from one peer.

    Args:
        rtp: its RTP.
        rtcp: its RTCP.
        dropped: what the fast path has dropped of it.
        now: monotonic seconds.
    """
    drops = rtcp.all_drops(rtp.all_drops(dropped))
    reception = rtp.reception
    stats = DirectionStats(
        rtcp_packets=rtcp.rtcp_packets,
        dropped={reason.name.lower(): count for reason, count in drops.items()},
        latched=rtp.latch.source if rtp.latch.locked else None,
    )
    if reception.packets:
        stats.packets = reception.packets
        stats.octets = reception.octets
        stats.lost = reception.lost
        stats.jitter_ms = reception.jitter_ms
        stats.max_gap_ms = reception.max_gap_s * 1000.0
        stats.first_s = max(0.0, now - reception.first)
        stats.last_s = max(0.0, now - reception.last_packet)
        stats.ssrc = reception.ssrc
        stats.payload_types = reception.payload_types
        _rate(stats, rtp, rtcp.trip)
    return stats


def _rate(stats: DirectionStats, rtp: Lane, trip: RoundTrip | None) -> None:
    """Add how good a direction with packets is."""
    audio = rtp.direction.kind == "audio"
    codec = codec_of(rtp.reception.payload_types, rtp.direction.codecs) if audio else None
    found = quality(rtp.reception, rtp.window, trip.last_s if trip is not None else None, codec)
    stats.loss_share = found.loss_share
    stats.burst_ms, stats.burst_density = found.burst_ms, found.burst_density
    stats.gap_ms, stats.gap_density = found.gap_ms, found.gap_density
    stats.rtt_ms = found.rtt_ms
    stats.r, stats.mos, stats.mos_worst = found.r, found.mos, found.mos_worst


def call_stats(call: Call, streams: list[StreamStats]) -> CallStats:
    """The whole call's report: present streams and former ones."""
    return CallStats(call.key, call.revision, [*(call.ended or []), *streams])
