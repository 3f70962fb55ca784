"""Under which terms one peer's RTCP crosses to the other, from what is known of its lanes.

PURE.
"""

from __future__ import annotations

from base64 import b64encode
from functools import partial
from hashlib import blake2s

from relay.call import Lane
from relay.renumber import Renumbering
from relay.rtp.numbering import Numbering
from relay.rtp.packet import MIN_SIZE
from relay.rtp.rtcp import Terms
from relay.rtp.suites import SUITES
from relay.stats import Reception

__all__ = ["terms_of"]


def terms_of(lane: Lane, secret: bytes) -> Terms:
    """The terms for what comes on an RTCP lane.

    Args:
        lane: in force.
        secret: 16 to 32 random bytes; CNAMEs are derived with it.
    """
    crossing = lane.direction.crossing
    terms = Terms(partial(_cname, lane, secret), crossing.bye, crossing.app)
    media = lane.beside
    if media is None:
        return terms
    if media.renumbering is not None:
        terms.source = media.renumbering.of
        if crossing.continuity:
            terms.sent = _sent(media)
    other = media.opposite
    if other is not None and other.renumbering is not None:
        terms.target = partial(_target, other.renumbering, other.reception)
    return terms


def _target(
    renumbering: Renumbering, reception: Reception, out_ssrc: int
) -> tuple[Numbering, int] | None:
    numbering = renumbering.sent_as(out_ssrc)
    return None if numbering is None else (numbering, reception.highest)


def _sent(media: Lane) -> tuple[int, int]:
    """Packets and payload octets of all sources, as a sender's report counts them."""
    overhead = MIN_SIZE
    srtp = media.direction.crossing.srtp_in
    if srtp is not None:
        overhead += SUITES[srtp.suite].rtp_tag_bytes + len(srtp.mki)
    packets = media.reception.packets
    return packets, max(0, media.reception.octets - overhead * packets)


def _cname(lane: Lane, secret: bytes, theirs: bytes) -> bytes:
    """Ours for theirs: 96 bits in base64, as RFC 7022 §4.2 shapes short-term CNAMEs.

    Each stream has its own, each source in it too; nothing of theirs can be read from it. With
    continuity there is one source.
    """
    direction = lane.direction
    mac = blake2s(key=secret, digest_size=12)
    mac.update(f"{lane.call}\0{direction.stream}\0{direction.side}\0".encode())
    if not direction.crossing.continuity:
        mac.update(theirs)
    return b64encode(mac.digest())
