"""What a worker reports: bodies of QUERY, REMOVE, LIST and STATS.

PURE. The rules for bodies are those of `relay.control.messages`, which offers these types too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from relay.control.fields import pair, reading

__all__ = [
    "Address",
    "CallList",
    "CallStats",
    "DirectionStats",
    "ListCalls",
    "StreamStats",
    "WorkerStats",
]

Address: TypeAlias = tuple[str, int]

_ANY: Final = float("inf")


@dataclass(slots=True)
class DirectionStats:
    """What came *from* the peer of one end, and what became of it."""

    packets: int = 0
    """RTP packets from where the peer is believed to be, forwarded or not."""
    octets: int = 0
    """Their UDP payload, bytes."""
    lost: int = 0
    """RFC 3550 §A.3, all SSRCs; duplicates make it smaller, below 0 even."""
    jitter_ms: float = 0.0
    """RFC 3550 §A.8, of the current SSRC. The drain tick (≤ 1 ms) is in it."""
    max_gap_ms: float = 0.0
    """The longest silence between two packets, if it was above 40 ms; else 0."""
    rtcp_packets: int = 0
    """RTCP datagrams forwarded."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Reason → packets, reasons with a count only (`relay.forward.base.DropReason`)."""
    first_s: float | None = None
    """Seconds since the first packet; None: there was none."""
    last_s: float | None = None
    ssrc: int | None = None
    """The current one."""
    latched: Address | None = None
    """The RTP source that is believed; None: not latched."""
    payload_types: Sequence[int] = ()
    """Those seen."""
    loss_share: float = 0.0
    """Of the packets that were sent, 0 to 1."""
    burst_ms: float = 0.0
    """Mean length of the bursts of losses (RFC 3611 §4.7.2, Gmin 16); 0: there was none."""
    burst_density: float = 0.0
    """Share of the packets in bursts that were lost."""
    gap_ms: float = 0.0
    """Mean length of the gaps between bursts; 0: nothing was lost at all."""
    gap_density: float = 0.0
    """Share of the packets in gaps that were lost."""
    rtt_ms: float | None = None
    """Between us and this peer; None: none of its reports has told."""
    r: float | None = None
    """Of audio: rating by the E-model (ITU-T G.107, G.107.1)."""
    mos: float | None = None
    """The opinion score that goes with it, 1 to 4.5."""
    mos_worst: float | None = None
    """That of the worst ten seconds."""

    def to_body(self) -> list[object]:
        return [
            self.packets,
            self.octets,
            self.lost,
            self.jitter_ms,
            self.max_gap_ms,
            self.rtcp_packets,
            self.dropped,
            self.first_s,
            self.last_s,
            self.ssrc,
            self.latched,
            self.payload_types,
            self.loss_share,
            self.burst_ms,
            self.burst_density,
            self.gap_ms,
            self.gap_density,
            self.rtt_ms,
            self.r,
            self.mos,
            self.mos_worst,
        ]

    @classmethod
    def from_body(cls, body: object) -> DirectionStats:
        """Raises ControlError(BAD_REQUEST)."""
        with reading("direction", body) as fields:
            return cls(
                fields.number(0, 1 << 63),
                fields.number(0, 1 << 63),
                fields.number(-(1 << 63), 1 << 63),
                fields.real(0.0, _ANY, 0.0),
                fields.real(0.0, _ANY, 0.0),
                fields.number(0, 1 << 63, 0),
                fields.counters(),
                fields.real_or_none(),
                fields.real_or_none(),
                fields.number_or_none(1 << 32),
                fields.address(None),
                fields.numbers(),
                fields.real(0.0, 1.0, 0.0),
                fields.real(0.0, _ANY, 0.0),
                fields.real(0.0, 1.0, 0.0),
                fields.real(0.0, _ANY, 0.0),
                fields.real(0.0, 1.0, 0.0),
                fields.real_or_none(),
                fields.real_or_none(),
                fields.real_or_none(),
                fields.real_or_none(),
            )


@dataclass(slots=True)
class StreamStats:
    """Both directions of one stream."""

    index: int
    kind: str
    a: DirectionStats
    b: DirectionStats

    def to_body(self) -> list[object]:
        return [self.index, self.kind, self.a.to_body(), self.b.to_body()]

    @classmethod
    def from_body(cls, body: object) -> StreamStats:
        """Raises ControlError(BAD_REQUEST)."""
        with reading("stream", body) as fields:
            return cls(
                fields.number(0, 1 << 16),
                fields.text(),
                DirectionStats.from_body(fields.any()),
                DirectionStats.from_body(fields.any()),
            )


@dataclass(slots=True)
class CallStats:
    """All streams of one call, also those that an earlier revision of its plan had."""

    call: str
    revision: int
    streams: Sequence[StreamStats] = ()

    def to_body(self) -> list[object]:
        return [self.call, self.revision, [stream.to_body() for stream in self.streams]]

    @classmethod
    def from_body(cls, body: object) -> CallStats:
        """Raises ControlError(BAD_REQUEST)."""
        with reading("call", body) as fields:
            return cls(
                fields.text(),
                fields.number(0, 1 << 63),
                [StreamStats.from_body(one) for one in fields.items(1 << 16)],
            )


@dataclass(slots=True)
class ListCalls:
    """A slice of the calls, in the order of their start."""

    after: int = 0
    """`last` of the slice before; 0: from the start."""
    limit: int = 500

    def to_body(self) -> list[object]:
        return [self.after, self.limit]

    @classmethod
    def from_body(cls, body: object) -> ListCalls:
        """Raises ControlError(BAD_REQUEST)."""
        with reading("list", body) as fields:
            return cls(fields.number(0, 1 << 63, 0), fields.number(1, 1000, 500))


@dataclass(slots=True)
class CallList:
    """Keys and revisions of one slice."""

    calls: Sequence[tuple[str, int]] = ()
    last: int = 0
    """Number of the last of them."""
    more: bool = False
    """Ask again, after `last`."""

    def to_body(self) -> list[object]:
        return [list(self.calls), self.last, self.more]

    @classmethod
    def from_body(cls, body: object) -> CallList:
        """Raises ControlError(BAD_REQUEST)."""
        with reading("calls", body) as fields:
            return cls(
                [pair(one) for one in fields.items(1 << 16)],
                fields.number(0, 1 << 63),
                fields.flag(False),
            )


@dataclass(slots=True)
class WorkerStats:
    """One worker as a whole."""

    slot: int
    pid: int
    fast_path: str
    calls: int
    uptime_s: float
    cpu_s: float
    ports: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Realm → {"free", "leased", "in_use", "quarantined"}, in RTP/RTCP pairs."""
    counters: Mapping[str, int] = field(default_factory=dict)
    """Since the start: packets, octets, drops by reason, punts, latches, requests, …"""
    longest_pass_ms: float = 0.0
    """The longest pass of the loop since the start, wall time, the tick's sleep not counted."""
    longest_pass_cpu_ms: float = 0.0
    """The same in CPU time."""

    def to_body(self) -> list[object]:
        return [
            self.slot,
            self.pid,
            self.fast_path,
            self.calls,
            self.uptime_s,
            self.cpu_s,
            self.ports,
            self.counters,
            self.longest_pass_ms,
            self.longest_pass_cpu_ms,
        ]

    @classmethod
    def from_body(cls, body: object) -> WorkerStats:
        """Raises ControlError(BAD_REQUEST)."""
        with reading("worker", body) as fields:
            return cls(
                fields.number(0, 1 << 31),
                fields.number(0, 1 << 31),
                fields.text(),
                fields.number(0, 1 << 31),
                fields.real(0.0, _ANY),
                fields.real(0.0, _ANY),
                fields.counter_groups(),
                fields.counters(),
                fields.real(0.0, _ANY, 0.0),
                fields.real(0.0, _ANY, 0.0),
            )
