"""What a peer's session description says about each of its media: input of the relay's plan."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final

from sbc.errors import ProtocolError
from sbc.sdp.lines import Direction, Role, meaning
from sbc.sdp.model import Media, Session

__all__ = [
    "MediaFacts",
    "UnsupportedMedia",
    "address_of",
    "check_offer",
    "describe",
    "is_relayed",
]

# What we anchor (RFC 3551, RFC 4585). AVPF differs from AVP in when RTCP is sent and in its
# feedback messages, neither of which is a relay's business.
_RTP_PROFILES: Final = frozenset((b"RTP/AVP", b"RTP/AVPF"))
_RTP_KINDS: Final = frozenset((b"audio", b"video", b"text", b"application"))

_SECURE_PROFILES: Final = frozenset(
    (b"RTP/SAVP", b"RTP/SAVPF", b"UDP/TLS/RTP/SAVP", b"UDP/TLS/RTP/SAVPF")
    + (b"TCP/DTLS/RTP/SAVP", b"TCP/DTLS/RTP/SAVPF")
)

# RFC 3551 §6, tables 4 and 5. G722 is 8000 although it samples at 16000 (RFC 3551 §4.5.2).
_STATIC: Final[dict[int, tuple[bytes, int]]] = {
    0: (b"PCMU", 8000), 3: (b"GSM", 8000), 4: (b"G723", 8000), 5: (b"DVI4", 8000),
    6: (b"DVI4", 16000), 7: (b"LPC", 8000), 8: (b"PCMA", 8000), 9: (b"G722", 8000),
    10: (b"L16", 44100), 11: (b"L16", 44100), 12: (b"QCELP", 8000), 13: (b"CN", 8000),
    14: (b"MPA", 90000), 15: (b"G728", 8000), 16: (b"DVI4", 11025), 17: (b"DVI4", 22050),
    18: (b"G729", 8000), 25: (b"CelB", 90000), 26: (b"JPEG", 90000), 28: (b"nv", 90000),
    31: (b"H261", 90000), 32: (b"MPV", 90000), 33: (b"MP2T", 90000), 34: (b"H263", 90000),
}  # fmt: skip

_IPV4: Final = re.compile(
    r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(?:\.|$)){4}(?<!\.)", re.ASCII
)


class UnsupportedMedia(ProtocolError):
    """An offer without a stream that we can carry: 488 Not Acceptable Here."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, status=488)


@dataclass(slots=True)
class MediaFacts:
    """One m-line of a peer."""

    index: int
    kind: str
    """"audio", "video", …"""
    proto: bytes
    port: int
    remote: tuple[str, int] | None
    """Where it wants its RTP; None: disabled, on hold by address, or no address that packets
    may be sent to (a host name, multicast)."""
    remote_rtcp: tuple[str, int] | None
    """Where it wants its RTCP: `a=rtcp` (RFC 3605) or the port above."""
    direction: Direction
    """As it says, hold by address included (c=0.0.0.0 takes the receiving away)."""
    anchored: bool
    """Whether it is enabled and of a kind that we relay."""
    formats: list[tuple[int, bytes, int]]
    """Payload type, encoding name as written, clock rate in Hz; b"" and 0 where not known."""
    ptime_ms: int
    """0: not said."""
    maxptime_ms: int
    bandwidth_bps: int
    """b=TIAS, else b=AS; the session's where the media has none; 0: not said."""
    rtcp_mux: bool
    """Offered or accepted (RFC 5761); never taken up yet."""

    @property
    def disabled(self) -> bool:
        """Port 0 (RFC 3264 §6, §8.2)."""
        return self.port == 0

    @property
    def sends(self) -> bool:
        """Whether we are to expect RTP from it."""
        return self.anchored and bool(self.direction & Direction.SENDONLY)

    @property
    def receives(self) -> bool:
        """Whether it wants RTP; not on hold, by either spelling."""
        return self.anchored and bool(self.direction & Direction.RECVONLY)

    @property
    def clock_rates(self) -> dict[int, int]:
        """Payload type → Hz, where known."""
        return {payload_type: rate for payload_type, _, rate in self.formats if rate}


def is_relayed(media: Media) -> bool:
    """Whether an m-line is enabled and of a kind that we anchor: plain RTP."""
    return (
        media.port != 0
        and media.proto in _RTP_PROFILES
        and media.kind in _RTP_KINDS
        and bool(media.formats)
        and media.formats[0].isdigit()
    )


def describe(session: Session) -> list[MediaFacts]:
    """The facts of each m-line, in order.

    Raises nothing: what cannot be used is said to be absent.

    Source: RFC 3264 §5 to §8, RFC 8866 §5.7 and §6.7, RFC 3605, RFC 2543 §B.5 (hold by address).
    """
    direction = Direction.SENDRECV
    bits: dict[bytes, int] = {}
    mux = False
    for line in session.lines:
        if line[:2] in (b"a=", b"b="):
            said = meaning(line)
            if said.role is Role.DIRECTION:
                direction = Direction(said.number)
            elif said.role is Role.BANDWIDTH:
                bits[said.name] = said.number
            elif said.role is Role.RTCP_MUX:
                mux = True
    return [
        _describe(index, media, session.connection, direction, bits, mux)
        for index, media in enumerate(session.media)
    ]


def check_offer(facts: list[MediaFacts]) -> None:
    """Refuse an offer that we cannot carry.

    A secure stream (SRTP) is refused as a whole, so that its sender learns at once that it may
    come back in the clear, unless it comes with a plain one of its kind beside it (best effort in
    two m-lines). Everything else that we do not relay (T.38, MSRP, BFCP, data channels) is
    disabled in place and leaves the call alone, as long as a stream remains.

    Raises:
        UnsupportedMedia: 488, with the reason.
    """
    plain = {media.kind for media in facts if media.anchored}
    for media in facts:
        if media.port and media.proto.upper() in _SECURE_PROFILES and media.kind not in plain:
            raise UnsupportedMedia(f"{media.kind} offered only as {_text(media.proto)}")
    if not plain:
        offered = ", ".join(f"{media.kind} {_text(media.proto)}" for media in facts if media.port)
        raise UnsupportedMedia(f"no RTP/AVP stream among: {offered or 'none enabled'}")


def _describe(
    index: int,
    media: Media,
    session_connection: bytes,
    direction: Direction,
    session_bits: dict[bytes, int],
    mux: bool,
) -> MediaFacts:
    rtpmaps: dict[int, tuple[bytes, int]] = {}
    ptime_ms = maxptime_ms = rtcp_port = 0
    rtcp_address = b""
    own_bits: dict[bytes, int] = {}
    for line in media.lines:
        said = meaning(line) if line[:2] in (b"a=", b"b=") else None
        if said is None or not (role := said.role):
            continue
        if role is Role.RTPMAP:
            rtpmaps[said.number] = (said.name, said.clock_rate)
        elif role is Role.DIRECTION:
            direction = Direction(said.number)
        elif role is Role.PTIME:
            ptime_ms = said.number
        elif role is Role.MAXPTIME:
            maxptime_ms = said.number
        elif role is Role.BANDWIDTH:
            own_bits[said.name] = said.number
        elif role is Role.RTCP:
            rtcp_port, rtcp_address = said.number, said.name
        elif role is Role.RTCP_MUX:
            mux = True
    host, held = address_of(media.connections[0] if media.connections else session_connection)
    if held:
        direction = Direction(direction & Direction.SENDONLY)
    remote = remote_rtcp = None
    port = media.port
    if host and port:
        remote = (host, port)
        rtcp_host = host
        if rtcp_address:
            rtcp_host = address_of(b"IN IP4 " + rtcp_address)[0] or host
        remote_rtcp = (rtcp_host, rtcp_port or min(port + 1, 65_535))
    bits = own_bits or session_bits
    return MediaFacts(
        index,
        _text(media.kind),
        media.proto,
        port,
        remote,
        remote_rtcp,
        direction,
        is_relayed(media),
        _formats(media.formats, rtpmaps),
        ptime_ms,
        maxptime_ms,
        bits.get(b"TIAS") or bits.get(b"AS", 0) if bits else 0,
        mux,
    )


def _formats(
    formats: list[bytes], rtpmaps: dict[int, tuple[bytes, int]]
) -> list[tuple[int, bytes, int]]:
    found = []
    for word in formats:
        if word.isdigit() and len(word) <= 3 and (payload_type := int(word)) <= 127:
            name, rate = rtpmaps.get(payload_type) or _STATIC.get(payload_type, (b"", 0))
            found.append((payload_type, name, rate))
    return found


@lru_cache(maxsize=4_096)
def address_of(value: bytes) -> tuple[str, bool]:
    """The address in a `c=` value and whether it is the address of a hold.

    The address is "" where packets cannot or must not be sent to it: a host name (signalling does
    not wait for a resolver), multicast, broadcast, 0.0.0.0 and ::. The address type is not
    believed, the address speaks for itself.

    Source: RFC 8866 §5.7; hold: RFC 3264 §8.4, RFC 6157 §4 for `::`.
    """
    words = value.split()
    if len(words) < 3 or len(words[2]) > 64:
        return "", False
    text = words[2].partition(b"/")[0].decode("ascii", "replace")
    if _IPV4.fullmatch(text):
        first = int(text.partition(".")[0])
        return ("" if first == 0 or 224 <= first else text), text == "0.0.0.0"  # noqa: S104
    if ":" not in text or "%" in text:
        return "", False
    try:
        address = IPv6Address(text)
    except ValueError:
        return "", False
    if address.is_unspecified:
        return "", True
    return ("" if address.is_multicast else str(address)), False


def _text(word: bytes) -> str:
    return word.decode("ascii", "replace")
