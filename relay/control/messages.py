"""What signalling and relay say to each other: every method, event, error code and body.

PURE. Numbers are never reused. A body is a plain msgpack value: a list of fields in the order of
its dataclass. New fields are appended and have defaults, so that a shorter list is an older peer's
and a longer one a newer peer's: both are read. Every `from_body` is total: a value or
ControlError(BAD_REQUEST).

Addresses are `(host, port)` with the host as text, IPv6 without brackets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, TypeAlias

from relay.control.fields import BadField, Fields

__all__ = [
    "VERSION",
    "Address",
    "CallList",
    "CallStats",
    "ControlError",
    "DirectionStats",
    "End",
    "ErrorCode",
    "Event",
    "Hello",
    "LatchedEvent",
    "Lease",
    "ListCalls",
    "MediaTimeoutEvent",
    "Method",
    "Plan",
    "PortsEvent",
    "Stream",
    "StreamStats",
    "Welcome",
    "WorkerStats",
    "addresses_body",
    "addresses_from_body",
    "call_from_body",
]

VERSION: Final = 1
"""Of the protocol. A worker refuses a HELLO of any other."""

MAX_STREAMS: Final = 64
MAX_LEASE: Final = 1024

Address: TypeAlias = tuple[str, int]


class Method(IntEnum):
    """Requests that a worker answers. HELLO comes first on each connection."""

    HELLO = 1
    """Hello → Welcome."""
    LEASE = 2
    """Lease → addresses: RTP ports (even; RTCP is one above) for plans to come."""
    GIVE_BACK = 3
    """Addresses → None: leased ports that no plan uses. Unknown ones are ignored."""
    APPLY = 4
    """Plan → revision. Idempotent: the revision that is in force may be applied again."""
    REMOVE = 5
    """Call key → CallStats, the last ones. Its ports go to quarantine."""
    QUERY = 6
    """Call key → CallStats."""
    LIST = 7
    """ListCalls → CallList."""
    STATS = 8
    """None → WorkerStats."""
    PING = 9
    """Anything → None."""


class Event(IntEnum):
    """Notifications, sent to each connection whose HELLO said `role="signalling"`."""

    RUNNING = 1
    """Welcome: the worker has begun to serve (sent after HELLO to those that came early)."""
    LATCHED = 2
    """LatchedEvent: the peer of one end has been learnt and is locked (RTP only)."""
    MEDIA_TIMEOUT = 3
    """MediaTimeoutEvent, once: an end that should send has sent nothing, no RTCP either."""
    PORTS = 4
    """PortsEvent: a realm has run out of ports, or has some again."""
    DRAINING = 5
    """None: the worker takes no new calls and ends when the last one does."""


class ErrorCode(IntEnum):
    """Why a request was not carried out."""

    BAD_REQUEST = 1
    """The body is not what the method wants; the text says where."""
    UNKNOWN_METHOD = 2
    VERSION = 3
    """The HELLO was of another protocol version, or there was none."""
    SUPERSEDED = 4
    """A plan with a higher revision is in force, or another one with the same."""
    UNKNOWN_CALL = 5
    UNKNOWN_PORT = 6
    """The plan names a port that this worker has not leased to this session."""
    PORT_IN_USE = 7
    """The plan names a port of another call, or one port twice."""
    PORTS_EXHAUSTED = 8
    """Not one port of the realm is to be had."""
    UNKNOWN_REALM = 9
    DRAINING = 10
    INTERNAL = 11
    """Our fault; the call that it was about is unharmed."""


class ControlError(Exception):
    """A request that the relay refused.

    Args:
        code: the machine's reason.
        text: the reader's: what was expected and what came.
    """

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(f"{code.name}: {text}")
        self.code = code
        self.text = text


@dataclass(slots=True)
class Hello:
    """The first request on a connection."""

    version: int = VERSION
    role: str = "signalling"
    """`signalling` gets notifications and owns calls; `query` (the CLI) only asks."""
    session: str = ""
    """One life of the signalling process; calls and leases belong to it."""
    fresh: bool = False
    """This session knows of no earlier call: calls and leases of other sessions are dropped."""

    def to_body(self) -> list[object]:
        return [self.version, self.role, self.session, self.fresh]

    @classmethod
    def from_body(cls, body: object) -> Hello:
        """Raises ControlError(BAD_REQUEST)."""
        with _reading("hello", body) as fields:
            return cls(
                fields.number(0, 1 << 31),
                fields.text("query"),
                fields.text(""),
                fields.flag(False),
            )


@dataclass(slots=True)
class Welcome:
    """The answer to HELLO: which worker this is."""

    version: int
    slot: int
    pid: int
    fast_path: str
    generation: int
    """Grows with each process that serves this slot: another one means that calls are gone."""
    calls: int = 0
    """Calls that the worker carries."""

    def to_body(self) -> list[object]:
        return [self.version, self.slot, self.pid, self.fast_path, self.generation, self.calls]

    @classmethod
    def from_body(cls, body: object) -> Welcome:
        """Raises ControlError(BAD_REQUEST)."""
        with _reading("welcome", body) as fields:
            return cls(
                fields.number(0, 1 << 31),
                fields.number(0, 1 << 31),
                fields.number(0, 1 << 31),
                fields.text(),
                fields.number(0, 1 << 63),
                fields.number(0, 1 << 31, 0),
            )


@dataclass(slots=True)
class Lease:
    """A wish for ports of one realm."""

    realm: str
    count: int
    """How many RTP ports, 1..1024. Fewer may come: ask again later."""

    def to_body(self) -> list[object]:
        return [self.realm, self.count]

    @classmethod
    def from_body(cls, body: object) -> Lease:
        """Raises ControlError(BAD_REQUEST)."""
        with _reading("lease", body) as fields:
            return cls(fields.text(), fields.number(1, MAX_LEASE))


@dataclass(slots=True)
class End:
    """One end of a stream: our port and what we know of the peer on its other side.

    What is believed of the peer's source (RFC 7362), best first. `nat=False`: only the signalled
    address and port, which gets our packets at once. `nat=True`: the signalled address and port;
    that address with another port; `sip_source` with any port; any source if `latch_any`. The peer
    then gets our packets where its own came from, and none before.
    """

    realm: str
    address: str
    """Our local address, as leased."""
    port: int
    """Our RTP port, even, as leased; RTCP is one above."""
    remote: Address | None = None
    """Where the peer's SDP says that it receives RTP; None: not known yet."""
    remote_rtcp: Address | None = None
    """The same for RTCP (RFC 3605); None: one above `remote`."""
    nat: bool = False
    latch_any: bool = False
    sip_source: str | None = None
    """The host that this leg's SIP comes from."""
    expects: bool = False
    """The peer should be sending RTP to us. Only then can its media time out."""
    may_receive: bool = True
    """We may send RTP to the peer (sendrecv or recvonly on its side). False drops, as `held`."""
    clock_rates: Mapping[int, int] = field(default_factory=dict)
    """Payload type → clock rate in Hz, of what this peer sends to us: for jitter."""
    rate_pps: int = 0
    """Nominal packets/s from this peer; 0: the default of the kind. Policed at 3 ×, burst 2 s."""
    rate_bps: int = 0
    """Nominal bytes/s (UDP payload) from this peer; 0: the default of the kind."""
    asymmetric: bool = False
    """With `nat=False`: the peer may send from another port of its signalled address than the one
    it receives on. Our packets go to the signalled port all the same."""

    def to_body(self) -> list[object]:
        return [
            self.realm,
            self.address,
            self.port,
            self.remote,
            self.remote_rtcp,
            self.nat,
            self.latch_any,
            self.sip_source,
            self.expects,
            self.may_receive,
            self.clock_rates,
            self.rate_pps,
            self.rate_bps,
            self.asymmetric,
        ]

    @classmethod
    def from_body(cls, body: object) -> End:
        """Raises ControlError(BAD_REQUEST)."""
        with _reading("end", body) as fields:
            return cls(
                fields.text(),
                fields.text(),
                fields.number(1, 65534),
                fields.address(None),
                fields.address(None),
                fields.flag(False),
                fields.flag(False),
                fields.text_or_none(None),
                fields.flag(False),
                fields.flag(True),
                fields.clock_rates(),
                fields.number(0, 1_000_000, 0),
                fields.number(0, 1 << 32, 0),
                fields.flag(False),
            )


@dataclass(slots=True)
class Stream:
    """One m-line between two ends: what comes from `a`'s peer goes to `b`'s, and back."""

    index: int
    """Of the m-line."""
    kind: str
    """`audio` or `video`; sets the default rates."""
    a: End
    b: End

    def to_body(self) -> list[object]:
        return [self.index, self.kind, self.a.to_body(), self.b.to_body()]

    @classmethod
    def from_body(cls, body: object) -> Stream:
        """Raises ControlError(BAD_REQUEST)."""
        with _reading("stream", body) as fields:
            return cls(
                fields.number(0, 1 << 16),
                fields.text(),
                End.from_body(fields.any()),
                End.from_body(fields.any()),
            )


@dataclass(slots=True)
class Plan:
    """All media of one call (or one early dialog of it): what shall be, not what shall change."""

    call: str
    """The key: call, leg and early dialog, as signalling likes to write it."""
    revision: int
    """Grows with each change."""
    streams: Sequence[Stream] = ()
    media_timeout_s: float = 60.0
    """Silence after which an end that `expects` is reported; 0: never."""

    def to_body(self) -> list[object]:
        return [
            self.call,
            self.revision,
            [stream.to_body() for stream in self.streams],
            self.media_timeout_s,
        ]

    @classmethod
    def from_body(cls, body: object) -> Plan:
        """Raises ControlError(BAD_REQUEST)."""
        with _reading("plan", body) as fields:
            return cls(
                fields.text(),
                fields.number(0, 1 << 63),
                [Stream.from_body(one) for one in fields.items(MAX_STREAMS)],
                fields.real(0.0, 86400.0, 60.0),
            )


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
    """The longest silence between two packets."""
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
        ]

    @classmethod
    def from_body(cls, body: object) -> DirectionStats:
        """Raises ControlError(BAD_REQUEST)."""
        with _reading("direction", body) as fields:
            return cls(
                fields.number(0, 1 << 63),
                fields.number(0, 1 << 63),
                fields.number(-(1 << 63), 1 << 63),
                fields.real(0.0, float("inf"), 0.0),
                fields.real(0.0, float("inf"), 0.0),
                fields.number(0, 1 << 63, 0),
                fields.counters(),
                fields.real_or_none(),
                fields.real_or_none(),
                fields.number_or_none(1 << 32),
                fields.address(None),
                fields.numbers(),
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
        with _reading("stream", body) as fields:
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
        with _reading("call", body) as fields:
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
        with _reading("list", body) as fields:
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
        with _reading("calls", body) as fields:
            return cls(
                [_pair(one) for one in fields.items(1 << 16)],
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
        with _reading("worker", body) as fields:
            return cls(
                fields.number(0, 1 << 31),
                fields.number(0, 1 << 31),
                fields.text(),
                fields.number(0, 1 << 31),
                fields.real(0.0, float("inf")),
                fields.real(0.0, float("inf")),
                fields.counter_groups(),
                fields.counters(),
                fields.real(0.0, float("inf"), 0.0),
                fields.real(0.0, float("inf"), 0.0),
            )


@dataclass(slots=True)
class LatchedEvent:
    """Body of LATCHED."""

    call: str
    stream: int
    """Index of the m-line."""
    end: str
    """`a` or `b`."""
    host: str
    port: int

    def to_body(self) -> list[object]:
        return [self.call, self.stream, self.end, self.host, self.port]

    @classmethod
    def from_body(cls, body: object) -> LatchedEvent:
        """Raises ControlError(BAD_REQUEST)."""
        with _reading("latched", body) as fields:
            return cls(
                fields.text(),
                fields.number(0, 1 << 16),
                fields.text(),
                fields.text(),
                fields.number(0, 65535),
            )


@dataclass(slots=True)
class MediaTimeoutEvent:
    """Body of MEDIA_TIMEOUT."""

    call: str
    stream: int
    end: str

    def to_body(self) -> list[object]:
        return [self.call, self.stream, self.end]

    @classmethod
    def from_body(cls, body: object) -> MediaTimeoutEvent:
        """Raises ControlError(BAD_REQUEST)."""
        with _reading("timeout", body) as fields:
            return cls(fields.text(), fields.number(0, 1 << 16), fields.text())


@dataclass(slots=True)
class PortsEvent:
    """Body of PORTS."""

    realm: str
    exhausted: bool

    def to_body(self) -> list[object]:
        return [self.realm, self.exhausted]

    @classmethod
    def from_body(cls, body: object) -> PortsEvent:
        """Raises ControlError(BAD_REQUEST)."""
        with _reading("ports", body) as fields:
            return cls(fields.text(), fields.flag())


def addresses_body(addresses: Sequence[Address]) -> list[object]:
    """Body of GIVE_BACK and result of LEASE."""
    return list(addresses)


def addresses_from_body(body: object) -> list[Address]:
    """The reverse. Raises ControlError(BAD_REQUEST)."""
    with _reading("addresses", [body]) as fields:
        return [_pair(one) for one in fields.items(1 << 16)]


def call_from_body(body: object) -> str:
    """Body of REMOVE and QUERY: the call's key. Raises ControlError(BAD_REQUEST)."""
    with _reading("call", [body]) as fields:
        return fields.text()


def _pair(body: object) -> tuple[str, int]:
    with _reading("pair", body) as fields:
        return fields.text(), fields.number(0, 1 << 63)


class _Reading:
    """Turns a field's fault into the protocol's error."""

    __slots__ = ("_body", "_name")

    def __init__(self, name: str, body: object) -> None:
        self._name = name
        self._body = body

    def __enter__(self) -> Fields:
        if not isinstance(self._body, list | tuple):
            raise ControlError(
                ErrorCode.BAD_REQUEST,
                f"{self._name}: expected a list, got {type(self._body).__name__}",
            )
        return Fields(self._body)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, BadField):
            raise ControlError(ErrorCode.BAD_REQUEST, f"{self._name}: {error}") from error


def _reading(name: str, body: object) -> _Reading:
    return _Reading(name, body)
