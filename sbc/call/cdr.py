"""A call's record: what an operator bills, counts and asks about afterwards."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from enum import StrEnum
from operator import attrgetter
from typing import Any, Final

__all__ = ["Cause", "Cdr", "StreamRecord"]


class Cause(StrEnum):
    """Why a call ended, in one word that does not change between releases."""

    NORMAL = "normal"
    """One side hung up."""
    CANCELLED = "cancelled"
    """The caller gave up before an answer."""
    REJECTED = "rejected"
    """The called side refused with a final response."""
    NO_ANSWER = "no_answer"
    """The no-answer timer of the trunk."""
    NO_RESPONSE = "no_response"
    """Every target was silent (timer B)."""
    UNREACHABLE = "unreachable"
    """Every target was refused by the network (ICMP, TCP)."""
    REFUSED_BY_POLICY = "refused_by_policy"
    NO_ROUTE = "no_route"
    LIMIT = "limit"
    BAD_REQUEST = "bad_request"
    LOOP = "loop"
    UNSUPPORTED_MEDIA = "unsupported_media"
    PORTS_EXHAUSTED = "ports_exhausted"
    RELAY_UNAVAILABLE = "relay_unavailable"
    RELAY_LOST = "relay_lost"
    """The media worker died."""
    MEDIA_TIMEOUT = "media_timeout"
    NO_ACK = "no_ack"
    """The caller never acknowledged the answer."""
    SESSION_EXPIRED = "session_expired"
    """The session timer ran out: one side has not refreshed it, or not answered ours."""
    PEER_LOST = "peer_lost"
    """One side no longer knows the call, or cannot be reached within it."""
    MAX_DURATION = "max_duration"
    OPERATOR = "operator"
    SHUTDOWN = "shutdown"
    TRANSFERRED = "transferred"
    """One side has been joined with somebody else: the record of that call names this one."""
    CRASHED = "crashed"
    """Our fault; the log has the traceback."""


@dataclass(slots=True)
class StreamRecord:
    """What came from one side on one stream."""

    side: str
    """`a` or `b`: whose packets these are."""
    kind: str
    packets: int
    bytes: int
    lost: int
    jitter_ms: float
    dropped: int
    payload_types: list[int] = field(default_factory=list)
    loss: float = 0.0
    """Share of the packets that were sent, 0 to 1."""
    burst_ms: float = 0.0
    """Mean length of the bursts of losses (RFC 3611 §4.7.2); 0: there was none."""
    burst_loss: float = 0.0
    """Share of the packets in bursts that were lost."""
    gap_ms: float = 0.0
    """Mean length of the gaps between bursts; 0: nothing was lost at all."""
    max_gap_ms: float = 0.0
    """The longest silence between two packets, if it was above 40 ms."""
    rtt_ms: float | None = None
    """Between us and this side; None: no RTCP has told."""
    r: float | None = None
    """Rating of speech by the E-model (ITU-T G.107); None for what is no speech."""
    mos: float | None = None
    """The opinion score that goes with it, 1 to 4.5."""
    mos_worst: float | None = None
    """That of the worst ten seconds."""

    def to_plain(self) -> dict[str, Any]:
        """This as JSON types."""
        return dict(zip(_STREAM_NAMES, _STREAM_VALUES(self), strict=True))


@dataclass(slots=True)
class Cdr:
    """One call. Times are wall-clock seconds since the epoch, None where it never happened."""

    call: str
    trunk_a: str | None
    trunk_b: str | None
    realm_a: str
    realm_b: str | None
    source: str
    """host:port that the INVITE came from."""
    target: str | None
    """host:port that it went to last."""
    call_id_a: str
    call_id_b: str | None
    user: str | None
    """Who has proved to call (digest); None where the trunk asks nobody."""
    from_user: str
    to_user: str
    """User part of the request-URI."""
    started_s: float
    rang_s: float | None
    answered_s: float | None
    ended_s: float
    duration_s: float
    """Answer to end, 0.0 for a call without an answer."""
    status: int
    """The final status that the caller got."""
    cause: Cause
    hung_up_by: str
    """`a`, `b`, `border` or `operator`."""
    reason: str
    """Which rule, peer answer or fault it was."""
    attempts: int
    """Targets tried."""
    codecs: list[str]
    media_complete: bool
    """False where the worker died before it could count."""
    streams: list[StreamRecord]
    srtp_a: list[str] = field(default_factory=list)
    """The crypto suite of each stream of that side, `none` for a clear one; [] where no stream of
    either side was encrypted and nobody asked for it."""
    srtp_b: list[str] = field(default_factory=list)
    transferred_by: str | None = None
    """`a` or `b`: who has asked for a transfer of the other side, or was replaced; the last one."""
    transferred_to: str | None = None
    """The number, or the call of the party, that the other side was transferred to."""
    transfer_status: int | None = None
    """What became of it: 200, or the status of its failure; None while it is under way."""
    transferred_from: str | None = None
    """The call that this one goes on from, where a transfer has made it."""

    def to_plain(self) -> dict[str, Any]:
        """This as JSON types; the lists in it are the record's own."""
        plain = dict(zip(_CDR_NAMES, _CDR_VALUES(self), strict=True))
        plain["streams"] = [stream.to_plain() for stream in self.streams]
        return plain

    def to_json(self) -> bytes:
        """This as one JSON text, without a line end."""
        return _ENCODE(self.to_plain()).encode()


_ENCODE: Final = json.JSONEncoder(check_circular=False).encode  # a record holds no record
# `dataclasses.asdict` copies to any depth, at five times the cost of writing the record out.
_STREAM_NAMES: Final = tuple([one.name for one in fields(StreamRecord)])
_STREAM_VALUES: Final = attrgetter(*_STREAM_NAMES)
_CDR_NAMES: Final = tuple([one.name for one in fields(Cdr)])
_CDR_VALUES: Final = attrgetter(*_CDR_NAMES)
