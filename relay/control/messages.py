"""What signalling and relay say to each other: every method, event, error code and body.

PURE. Numbers are never reused. A body is a plain msgpack value: a list of fields in the order of
its dataclass. New fields are appended and have defaults, so that a shorter list is an older peer's
and a longer one a newer peer's: both are read. Every `from_body` is total: a value or
ControlError(BAD_REQUEST).

Addresses are `(host, port)` with the host as text, IPv6 without brackets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from relay.control.digits import DigitEvent, Inject
from relay.control.fields import pair, reading
from relay.control.plans import SUITES, End, Plan, Srtp, Stream
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
    "SUITES",
    "VERSION",
    "Address",
    "CallList",
    "CallStats",
    "ControlError",
    "DigitEvent",
    "DirectionStats",
    "End",
    "ErrorCode",
    "Event",
    "Hello",
    "Inject",
    "LatchedEvent",
    "Lease",
    "ListCalls",
    "MediaTimeoutEvent",
    "Method",
    "Plan",
    "PortsEvent",
    "Srtp",
    "SrtpFailedEvent",
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
    INJECT = 10
    """Inject → None: an end's peer is sent digits. A number that came before changes nothing."""


class Event(IntEnum):
    """Notifications, sent to each connection whose HELLO said `role="signalling"`.

    There is no number 1: a worker answers HELLO only once it runs, so nobody need be told.
    """

    LATCHED = 2
    """LatchedEvent: the peer of one end has been learnt and is locked (RTP only)."""
    MEDIA_TIMEOUT = 3
    """MediaTimeoutEvent, once: an end that should send has sent nothing, no RTCP either."""
    PORTS = 4
    """PortsEvent: a realm has run out of ports, or has some again."""
    DRAINING = 5
    """None: the worker takes no new calls and ends when the last one does."""
    SRTP_FAILED = 6
    """SrtpFailedEvent, once for each key: for two seconds nothing from a peer was authentic."""
    DTMF = 7
    """DigitEvent, once for each digit that an end's plan has reported instead of passed on."""


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
    family: int = 0
    """Of their addresses: 4, 6, or 0 for either."""

    def to_body(self) -> list[object]:
        return [self.realm, self.count, self.family]

    @classmethod
    def from_body(cls, body: object) -> Lease:
        """Raises ControlError(BAD_REQUEST)."""
        with reading("lease", body) as fields:
            return cls(fields.text(), fields.number(1, MAX_LEASE), fields.number(0, 6, 0))


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
class SrtpFailedEvent:
    """Body of SRTP_FAILED."""

    call: str
    stream: int
    end: str
    """`a` or `b`: whose peer sends it."""

    def to_body(self) -> list[object]:
        return [self.call, self.stream, self.end]

    @classmethod
    def from_body(cls, body: object) -> SrtpFailedEvent:
        """Raises ControlError(BAD_REQUEST)."""
        with reading("srtp failure", body) as fields:
            return cls(fields.text(), fields.number(0, 1 << 16), fields.text())


@dataclass(slots=True)
class PortsEvent:
    """Body of PORTS."""

    realm: str
    exhausted: bool
    family: int = 0
    """As in the Lease that could not be granted."""

    def to_body(self) -> list[object]:
        return [self.realm, self.exhausted, self.family]

    @classmethod
    def from_body(cls, body: object) -> PortsEvent:
        """Raises ControlError(BAD_REQUEST)."""
        with reading("ports", body) as fields:
            return cls(fields.text(), fields.flag(), fields.number(0, 6, 0))


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
