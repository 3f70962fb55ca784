"""A peer's session description as ours: same media, nothing of the peer (RFC 5853 §3.1, §3.2).

Built, not edited: version, origin, name, connection and media lines are our own, of the rest only
those lines go in that `sbc.sdp.lines` lets cross. The number of m-lines and their order never
change, so the two legs of a call always have the same indices:

* an anchored m-line gets our address and port; ours is always RTP port + 1 for RTCP, which is what
  the absence of `a=rtcp` says (RFC 3605 §2.1), so there is none
* where the legs differ in more than addresses (keys, codecs, payload types), a `Dress` says how
* an m-line without an anchor, rejected, or of a kind that we do not relay stays in its place with
  port 0 and without attributes. It is offered on like that rather than left out: each leg then has
  the same m-lines, and what came as port 0 can only be answered by port 0 (RFC 3264 §6)
* hold by address (c=0.0.0.0) becomes hold by direction, because our address says nothing
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from sbc.errors import LocalProtocolError
from sbc.sdp.hosts import holds_host
from sbc.sdp.lines import MEANINGS, Direction, Role
from sbc.sdp.model import Media, Session

__all__ = ["Anchor", "Dress", "content", "whole"]


@dataclass(slots=True)
class Dress:
    """What an m-line of ours says otherwise than the one it is made of."""

    proto: bytes = b""
    """Of our offer; b"": as it was offered to us. An answer has the protocol of the offer."""
    payload_types: bytes = b""
    """b"": the same ones."""
    rest: bytes | None = None
    """The lines behind the m-line that belong to those types and all others that cross, each with
    CRLF before it; None: as they are."""
    further: bytes = b""
    """Lines of our own (`a=crypto`, `a=rtcp-mux`), the same way."""


@dataclass(slots=True)
class Anchor:
    """Where we take a peer's media: what we write into `c=` and `m=`."""

    host: str
    """The advertised address, IPv4 or IPv6 without brackets."""
    port: int
    dress: Dress | None = None


_PLAIN: Final = Dress()
_DIRECTION: Final = Role.DIRECTION  # bound once, for speed


def whole(words: bytes, session_id: int, version: int, address: str) -> bytes:
    """Our description: `content` behind our own `o=` line (RFC 8866 §5.2), which names no user.

    Args:
        words: what `content` has made.
        session_id, version: of the description.
        address: our advertised address on the leg that it goes to.
    """
    return b"v=0\r\no=- %d %d %b\r\n%b" % (session_id, version, _network_address(address), words)


def content(
    session: Session,
    anchors: Sequence[Anchor | None],
    address: str,
    offer: Session | None = None,
) -> bytes:
    """`session` in our words, behind the `o=` line: what the version in `o=` counts.

    Args:
        session: what the peer of the other leg has sent.
        anchors: one for each m-line of `session`; None rejects the m-line.
        address: our advertised address on the leg that the result goes to.
        offer: what the result answers. Kind and protocol of our m-lines are then those of the
            offer, as RFC 3264 §6 wants, whatever the peer of the other leg made of them.

    Raises:
        LocalProtocolError: not one anchor for each m-line, or not the m-lines of the offer.
    """
    if len(anchors) != len(session.media):
        raise LocalProtocolError(f"{len(anchors)} anchors for {len(session.media)} m-lines")
    if offer is not None and len(offer.media) != len(session.media):
        raise LocalProtocolError(
            f"an answer with {len(session.media)} m-lines to an offer with {len(offer.media)}"
        )
    ours = address
    for anchor in anchors:  # a loop, for speed: of every description
        if anchor is not None:
            ours = anchor.host
            break
    # The order of RFC 8866 §9: s= c= b= t= a= m=, whatever the peer's was.
    section = session.section
    timing = section.timing or b"\r\nt=0 0"  # RFC 3264 §5
    out = [b"s=-\r\nc=", _network_address(ours), section.bandwidth, timing, section.rest]
    offered = offer.media if offer is not None else session.media
    for media, anchor, asked in zip(session.media, anchors, offered, strict=True):
        form = media.form
        if (
            anchor is None
            or media.port == 0
            or not (form.relayed or (anchor.dress is not None and form.secure))
            or asked.port == 0  # an answer cannot bring back what the offer had disabled
            or asked.form.kind != form.kind
        ):
            out.append(_rejected(asked))
        else:
            dress = anchor.dress or _PLAIN
            proto = asked.form.proto if offer is not None else dress.proto or form.proto
            words = (form.kind, anchor.port, proto, dress.payload_types or form.payload_types)
            out.append(b"\r\nm=%b %d %b %b" % words)
            if anchor.host != ours:
                out.append(b"\r\nc=" + _network_address(anchor.host))
            out.append(form.section.bandwidth)
            rest = form.section.rest if dress.rest is None else dress.rest
            if media.destination(session).held:
                rest = _held(rest, media, session)
            if offer is not None:
                said = asked.form.section.said[_DIRECTION] or offer.section.said[_DIRECTION]
                if said is not None and said.number != Direction.SENDRECV:
                    rest = _within(rest, media, session, said.number)
            out += rest, dress.further
    out.append(b"\r\n")
    return b"".join(out)


def _held(rest: bytes, media: Media, session: Session) -> bytes:
    """Say by direction what the peer said by address (RFC 3264 §8.4)."""
    lines = rest.split(b"\r\n")[1:]
    kept = [line for line in lines if MEANINGS[line].role is not Role.DIRECTION]
    said = media.section.said[Role.DIRECTION] or session.section.said[Role.DIRECTION]
    sends = said is None or said.number & Direction.SENDONLY
    kept.append(b"a=sendonly" if sends else b"a=inactive")
    return b"".join([b"\r\n" + line for line in kept])


def _within(rest: bytes, media: Media, session: Session, offered: int) -> bytes:
    """Lines whose direction answers the offer's: some peers answer a hold with sendrecv, others
    with sendonly, and the offerer would hang up on both (RFC 3264 §6.1)."""
    may = (offered & Direction.SENDONLY) << 1 | (offered & Direction.RECVONLY) >> 1
    said = media.section.said[_DIRECTION] or session.section.said[_DIRECTION]
    if b"\r\na=sendonly" in rest or b"\r\na=inactive" in rest:  # as `_held` may have made it
        answered = Direction.SENDONLY if b"\r\na=sendonly" in rest else Direction.INACTIVE
    else:
        answered = Direction(said.number if said is not None else Direction.SENDRECV)
    if not answered & ~may:
        return rest
    lines = rest.split(b"\r\n")[1:]
    kept = [line for line in lines if MEANINGS[line].role is not Role.DIRECTION]
    kept.append(b"a=" + Direction(answered & may).name.lower().encode())
    return b"".join([b"\r\n" + line for line in kept])


def _rejected(media: Media) -> bytes:
    """An m-line in its place with port 0; it needs a format, any will do (RFC 3264 §6)."""
    line = b"\r\nm=%b 0 %b %b" % (media.kind, media.proto, b" ".join(media.formats) or b"0")
    # No such word should be there, but the line of a stream we do not know is the peer's text.
    return b"\r\nm=application 0 RTP/AVP 0" if holds_host(line) else line


@lru_cache(maxsize=256)
def _network_address(host: str) -> bytes:
    return b"IN %b %b" % (b"IP6" if ":" in host else b"IP4", host.encode("ascii"))
