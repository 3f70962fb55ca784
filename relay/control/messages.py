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
from typing import Final

from relay.control.fields import pair, reading
from relay.control.refusals import ControlError, ErrorCode
from relay.control.reports import (
    Address,
    CallList,
    CallStats,
    DirectionStats,
    ListCalls,
    StreamStats,
    WorkerStats,
)

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
    """Reserved: a worker answers HELLO only once it runs, which says the same."""
    LATCHED = 2
    """LatchedEvent: the peer of one end has been learnt and is locked (RTP only)."""
    MEDIA_TIMEOUT = 3
    """MediaTimeoutEvent, once: an end that should send has sent nothing, no RTCP either."""
    PORTS = 4
    """PortsEvent: a realm has run out of ports, or has some again."""
    DRAINING = 5
    """None: the worker takes no new calls and ends when the last one does."""


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
        with reading("hello", body) as fields:
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
        with reading("welcome", body) as fields:
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
        with reading("lease", body) as fields:
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
        with reading("end", body) as fields:
            return cls(
                fields.word(),
                fields.word(),
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
        with reading("stream", body) as fields:
            return cls(
                fields.number(0, 1 << 16),
                fields.word(),
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
        with reading("plan", body) as fields:
            return cls(
                fields.text(),
                fields.number(0, 1 << 63),
                [Stream.from_body(one) for one in fields.items(MAX_STREAMS)],
                fields.real(0.0, 86400.0, 60.0),
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
        with reading("latched", body) as fields:
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
        with reading("timeout", body) as fields:
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
        with reading("ports", body) as fields:
            return cls(fields.text(), fields.flag())


def addresses_body(addresses: Sequence[Address]) -> list[object]:
    """Body of GIVE_BACK and result of LEASE."""
    return list(addresses)


def addresses_from_body(body: object) -> list[Address]:
    """The reverse. Raises ControlError(BAD_REQUEST)."""
    with reading("addresses", [body]) as fields:
        return [pair(one) for one in fields.items(1 << 16)]


def call_from_body(body: object) -> str:
    """Body of REMOVE and QUERY: the call's key. Raises ControlError(BAD_REQUEST)."""
    with reading("call", [body]) as fields:
        return fields.text()
