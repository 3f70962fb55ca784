"""What a peer's session description says about each of its media: input of the relay's plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sbc.errors import ProtocolError
from sbc.sdp.addresses import address_of
from sbc.sdp.forms import Form
from sbc.sdp.lines import Direction, Meaning, Role
from sbc.sdp.model import Media, Session

__all__ = [
    "MediaFacts",
    "UnsupportedMedia",
    "check_offer",
    "describe",
]

_SECURE_PROFILES: Final = frozenset(
    b"RTP/SAVP RTP/SAVPF UDP/TLS/RTP/SAVP UDP/TLS/RTP/SAVPF"
    b" TCP/TLS/RTP/SAVP TCP/DTLS/RTP/SAVP TCP/TLS/RTP/SAVPF TCP/DTLS/RTP/SAVPF".split()
)

# Looking a member up on its enum costs more than what it is for.
_SENDS: Final = Direction.SENDONLY
_RECEIVES: Final = Direction.RECVONLY
_DIRECTION: Final = Role.DIRECTION
_PTIME: Final = Role.PTIME
_AS: Final = Role.BANDWIDTH
_TIAS: Final = Role.BANDWIDTH_TIAS
_RTCP: Final = Role.RTCP
_RTCP_MUX: Final = Role.RTCP_MUX
_SENDRECV: Final = Meaning(crosses=True, number=Direction.SENDRECV)
_DIRECTIONS: Final = tuple(Direction)
_NOT_SAID: Final = Meaning(crosses=False)


class UnsupportedMedia(ProtocolError):
    """An offer without a stream that we can carry: 488 Not Acceptable Here."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, status=488)


@dataclass(slots=True)
class MediaFacts:
    """One m-line of a peer."""

    index: int
    form: Form
    """All that it says but for its addresses."""
    port: int
    """0: disabled (RFC 3264 §6, §8.2)."""
    remote: tuple[str, int] | None
    """Where it wants its RTP; None: disabled, on hold by address, or no address that packets
    may be sent to (a host name, multicast)."""
    remote_rtcp: tuple[str, int] | None
    """Where it wants its RTCP: `a=rtcp` (RFC 3605) or the port above."""
    direction: Direction
    """As it says, hold by address included (c=0.0.0.0 takes the receiving away)."""
    anchored: bool
    """Whether it is enabled and of a kind that we relay."""
    ptime_ms: int
    """0: not said."""
    bandwidth_bps: int
    """b=TIAS, else b=AS; the session's where the media has none; 0: not said."""

    @property
    def kind(self) -> str:
        """ "audio", "video", …"""
        return self.form.kind_text

    @property
    def rtcp_mux(self) -> bool:
        """Offered or accepted (RFC 5761)."""
        return self.form.section.said[_RTCP_MUX] is not None

    @property
    def sends(self) -> bool:
        """Whether we are to expect RTP from it."""
        return self.anchored and bool(self.direction & _SENDS)

    @property
    def receives(self) -> bool:
        """Whether it wants RTP; not on hold, by either spelling."""
        return self.anchored and bool(self.direction & _RECEIVES)


def describe(session: Session) -> list[MediaFacts]:
    """The facts of each m-line, in order.

    Raises nothing: what cannot be used is said to be absent.

    Source: RFC 3264 §5 to §8, RFC 8866 §5.7 and §6.7, RFC 3605, RFC 2543 §B.5 (hold by address).
    """
    return [_describe(index, media, session) for index, media in enumerate(session.media)]


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
        proto = media.form.proto
        if media.port and proto.upper() in _SECURE_PROFILES and media.kind not in plain:
            raise UnsupportedMedia(f"{media.kind} offered only as {_text(proto)}")
    if not plain:
        offered = ", ".join(
            f"{media.kind} {_text(media.form.proto)}" for media in facts if media.port
        )
        raise UnsupportedMedia(f"no RTP/AVP stream among: {offered or 'none enabled'}")


def _describe(index: int, media: Media, session: Session) -> MediaFacts:
    form = media.form
    own, defaults = form.section.said, session.section.said
    said = own[_DIRECTION] or defaults[_DIRECTION] or _SENDRECV
    direction = _DIRECTIONS[said.number]
    destination = media.destination(session)
    if destination.held:
        direction = _DIRECTIONS[direction & _SENDS]
    port = media.port
    remote = remote_rtcp = None
    if destination.host and port:
        remote = (destination.host, port)
        remote_rtcp = _remote_rtcp(remote, own[_RTCP] or _NOT_SAID)
    return MediaFacts(
        index,
        form,
        port,
        remote,
        remote_rtcp,
        direction,
        port != 0 and form.relayed,
        (own[_PTIME] or defaults[_PTIME] or _NOT_SAID).number,
        (own[_TIAS] or own[_AS] or defaults[_TIAS] or defaults[_AS] or _NOT_SAID).number,
    )


def _remote_rtcp(remote: tuple[str, int], said: Meaning) -> tuple[str, int] | None:
    """Where `a=rtcp` says, or the port above (RFC 3605 §2.1)."""
    host, port = remote
    if said.name:
        host = address_of(b"IN IP4 " + said.name)[0]
    port = said.number or port + 1
    if (":" in host) is not (":" in remote[0]):
        return None  # our ports are of the family of `remote`
    return (host, port) if host and port <= 65_535 else None


def _text(word: bytes) -> str:
    return word.decode("ascii", "replace")
