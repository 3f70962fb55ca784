"""A call's record: what an operator bills, counts and asks about afterwards.

It becomes JSON field by field: a dictionary and `json` would take three times as long, and each
number would be turned into digits three times, twice to round it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from json.encoder import encode_basestring_ascii as _quoted

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
    dropped_by: Mapping[str, int] = field(default_factory=dict)
    """Reason → how many of `dropped`: `policed`, `srtp_auth`, …; what never was is not in it."""

    def to_json(self) -> str:
        """This as part of a JSON text; no number says more than can be measured."""
        return (
            f'{{"side": {_quoted(self.side)}, "kind": {_quoted(self.kind)},'
            f' "packets": {self.packets}, "bytes": {self.bytes}, "lost": {self.lost},'
            f' "jitter_ms": {self.jitter_ms:.2f}, "dropped": {self.dropped},'
            f' "payload_types": {self.payload_types}, "loss": {self.loss:.4f},'
            f' "burst_ms": {self.burst_ms:.1f}, "burst_loss": {self.burst_loss:.4f},'
            f' "gap_ms": {self.gap_ms:.1f}, "max_gap_ms": {self.max_gap_ms:.1f},'
            f' "rtt_ms": {_number(self.rtt_ms, 1)}, "r": {_number(self.r, 1)},'
            f' "mos": {_number(self.mos, 2)}, "mos_worst": {_number(self.mos_worst, 2)},'
            f' "dropped_by": {_counts(self.dropped_by)}}}'
        )


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
    """The crypto suite of each stream of that side, `none` for a clear one; all that it had, the
    weakest first, where it has changed. [] where no stream of either side was encrypted and nobody
    asked for it."""
    srtp_b: list[str] = field(default_factory=list)
    transferred_by: str | None = None
    """`a` or `b`: who has asked for a transfer of the other side, or was replaced; the last one."""
    transferred_to: str | None = None
    """The number, or the call of the party, that the other side was transferred to."""
    transfer_status: int | None = None
    """What became of it: 200, or the status of its failure; None while it is under way."""
    transferred_from: str | None = None
    """The call that this one goes on from, where a transfer has made it."""

    def to_json(self) -> bytes:
        """This as one JSON text, without a line end."""
        streams = ", ".join([stream.to_json() for stream in self.streams])
        return (
            f'{{"call": {_quoted(self.call)},'
            f' "trunk_a": {_text(self.trunk_a)}, "trunk_b": {_text(self.trunk_b)},'
            f' "realm_a": {_quoted(self.realm_a)}, "realm_b": {_text(self.realm_b)},'
            f' "source": {_quoted(self.source)}, "target": {_text(self.target)},'
            f' "call_id_a": {_quoted(self.call_id_a)}, "call_id_b": {_text(self.call_id_b)},'
            f' "user": {_text(self.user)}, "from_user": {_quoted(self.from_user)},'
            f' "to_user": {_quoted(self.to_user)}, "started_s": {self.started_s:.3f},'
            f' "rang_s": {_number(self.rang_s, 3)}, "answered_s": {_number(self.answered_s, 3)},'
            f' "ended_s": {self.ended_s:.3f}, "duration_s": {self.duration_s:.3f},'
            f' "status": {self.status}, "cause": {_quoted(self.cause)},'
            f' "hung_up_by": {_quoted(self.hung_up_by)}, "reason": {_quoted(self.reason)},'
            f' "attempts": {self.attempts}, "codecs": {_texts(self.codecs)},'
            f' "media_complete": {"true" if self.media_complete else "false"},'
            f' "streams": [{streams}],'
            f' "srtp_a": {_texts(self.srtp_a)}, "srtp_b": {_texts(self.srtp_b)},'
            f' "transferred_by": {_text(self.transferred_by)},'
            f' "transferred_to": {_text(self.transferred_to)},'
            f' "transfer_status": {_number(self.transfer_status, 0)},'
            f' "transferred_from": {_text(self.transferred_from)}}}'
        ).encode()


def _text(text: str | None) -> str:
    return "null" if text is None else _quoted(text)


def _texts(texts: list[str]) -> str:
    return f"[{', '.join([_quoted(text) for text in texts])}]" if texts else "[]"


def _counts(counts: Mapping[str, int]) -> str:
    if not counts:
        return "{}"
    return f"{{{', '.join([f'{_quoted(name)}: {count}' for name, count in counts.items()])}}}"


def _number(number: float | None, places: int) -> str:
    return "null" if number is None else f"{number:.{places}f}"
