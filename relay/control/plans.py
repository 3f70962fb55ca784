"""The plan of a call's media, as signalling writes it: body of APPLY.

PURE. The rules for bodies are those of `relay.control.messages`, which offers these types too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from relay.control.fields import reading
from relay.control.refusals import ControlError, ErrorCode
from relay.control.reports import Address

__all__ = ["SUITES", "End", "Plan", "Srtp", "Stream"]

MAX_STREAMS: Final = 64

SUITES: Final[Mapping[str, int]] = {
    "AES_CM_128_HMAC_SHA1_80": 30,
    "AES_CM_128_HMAC_SHA1_32": 30,
    "AES_192_CM_HMAC_SHA1_80": 38,
    "AES_192_CM_HMAC_SHA1_32": 38,
    "AES_256_CM_HMAC_SHA1_80": 46,
    "AES_256_CM_HMAC_SHA1_32": 46,
    "AEAD_AES_128_GCM": 28,
    "AEAD_AES_256_GCM": 44,
}
"""Crypto suites by their names in SDP (RFC 4568 §6.2, RFC 6188 §4, RFC 7714 §14.2), and the bytes
of master key and master salt together."""

_MAX_MKI: Final = 128  # RFC 4568 §6.1


@dataclass(slots=True)
class Srtp:
    """One master key: of all that one peer sends, or of all that it is sent (RFC 3711 §3.2).

    A key that a call has had before, in the same direction, goes on where it was: its roll-over
    counters and indices stay. Any other begins with `roc`.
    """

    suite: str
    """One of `SUITES`."""
    key: bytes = field(repr=False)
    """Master key, then master salt."""
    mki: bytes = field(default=b"", repr=False)
    """The master key identifier that stands in each packet; empty: none does."""
    roc: int = 0
    """Roll-over counter that each source begins with."""
    lifetime_packets: int = field(default=0, compare=False)
    """How many packets its sender has said that it is for; 0: as many as SRTP allows. What comes
    beyond is counted and passes."""

    def to_body(self) -> list[object]:
        return [self.suite, self.key, self.mki, self.roc, self.lifetime_packets]

    @classmethod
    def from_body(cls, body: object) -> Srtp:
        """Raises ControlError(BAD_REQUEST), which never holds a key."""
        with reading("srtp", body) as fields:
            suite = fields.word()
            size = SUITES.get(suite)
            if size is None:
                raise ControlError(ErrorCode.BAD_REQUEST, "srtp: expected the name of a suite")
            return cls(
                suite,
                fields.octets(size, size),
                fields.octets(0, _MAX_MKI, b""),
                fields.number(0, (1 << 32) - 1, 0),
                fields.number(0, 1 << 48, 0),
            )

    @classmethod
    def from_field(cls, value: object) -> Srtp | None:
        """A key, or nothing. Raises ControlError(BAD_REQUEST)."""
        return None if value is None else cls.from_body(value)


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
    """Payload type → clock rate in Hz, of what this peer sends to us: for jitter, and `strict`."""
    rate_pps: int = 0
    """Nominal packets/s from this peer; 0: the default of the kind. Policed at 3 ×, burst 2 s."""
    rate_bps: int = 0
    """Nominal bytes/s (UDP payload) from this peer; 0: the default of the kind."""
    asymmetric: bool = False
    """With `nat=False`: the peer may send from another port of its signalled address than the one
    it receives on. Our packets go to the signalled port all the same."""
    srtp_in: Srtp | None = None
    """The key of what this peer sends us, SRTP and SRTCP; None: it sends RTP."""
    srtp_out: Srtp | None = None
    """The key of what this peer is sent; None: it is sent RTP."""
    rtcp_mux: bool = False
    """This peer's RTCP shares the RTP port, both ways (RFC 5761), as negotiated. Nothing comes to
    our RTCP port or leaves it then. `remote_rtcp` is not looked at."""
    payloads: Mapping[int, int] = field(default_factory=dict)
    """Payload type as this peer sends it → as the other end's peer expects it. Types that are not
    in it pass unchanged."""
    convert: Mapping[int, int] = field(default_factory=dict)
    """Payload type as this peer sends it → 1: µ-law to A-law, 2: A-law to µ-law (ITU-T G.711)."""
    dscp: int = 0
    """Differentiated services code point of what this peer is sent, 0..63 (RFC 2474)."""
    continuity: bool = False
    """This peer is sent one SSRC, and sequence numbers and timestamps that go on, whatever
    changes of source there are behind the other end."""
    dtmf_pt: int = -1
    """Payload type under which this peer is sent telephone-events (RFC 4733) that came by another
    way; -1: it takes none."""
    dtmf_reported: Sequence[int] = ()
    """Payload types of this peer's telephone-events that are reported instead of passed on."""
    strict: bool = False
    """What comes from this peer with a payload type that is not in `clock_rates` is dropped."""
    rtcp_bye: bool = True
    """RTCP BYE of this peer crosses; its reason text never does."""
    rtcp_app: bool = False
    """RTCP APP of this peer crosses: data of any kind, so only between networks that want it."""
    codecs: Mapping[int, str] = field(default_factory=dict)
    """Payload type → encoding name of what this peer sends, for the rating of its speech. Static
    types (RFC 3551 §6) need not be in it."""

    def to_body(self) -> list[object]:
        body: list[object] = [
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
            self.srtp_in and self.srtp_in.to_body(),
            self.srtp_out and self.srtp_out.to_body(),
            self.rtcp_mux,
            self.payloads,
            self.convert,
            self.dscp,
        ]
        if (  # else left out, as nearly always: a field that is not there has its default
            self.continuity
            or self.dtmf_pt >= 0
            or self.dtmf_reported
            or self.strict
            or not self.rtcp_bye
            or self.rtcp_app
            or self.codecs
        ):
            body += (
                self.continuity,
                self.dtmf_pt,
                self.dtmf_reported,
                self.strict,
                self.rtcp_bye,
                self.rtcp_app,
                self.codecs,
            )
        return body

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
                fields.payload_map("clock rates", 1, 10_000_000),
                fields.number(0, 1_000_000, 0),
                fields.number(0, 1 << 32, 0),
                fields.flag(False),
                Srtp.from_field(fields.any(None)),
                Srtp.from_field(fields.any(None)),
                fields.flag(False),
                fields.payload_map("payload types", 0, 127),
                fields.payload_map("conversions", 1, 2),
                fields.number(0, 63, 0),
                fields.flag(False),
                fields.number(-1, 127, -1),
                fields.payload_types(),
                fields.flag(False),
                fields.flag(True),
                fields.flag(False),
                fields.payload_names(),
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
