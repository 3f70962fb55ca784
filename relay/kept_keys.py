"""How far SRTP keys were used, as it is kept for whoever goes on with them.

PURE.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2s

from relay.control.messages import Srtp
from relay.rtp.numbering import Numbering
from relay.rtp.session import SRTCP_ADOPTED, SrtpSession

__all__ = ["KeptKeys", "fingerprint"]


@dataclass(slots=True)
class KeptKeys:
    """How far the SRTP keys of one port's peer were used; indices are one higher, 0 is none."""

    in_key: int = 0
    """Fingerprint of the key of what the peer sends; 0: it sends RTP."""
    in_ssrc: int = 0
    """The source that `in_index` is of."""
    in_index: int = 0
    in_rtcp: int = 0
    out_key: int = 0
    """Fingerprint of the key of what the peer is sent; 0: it is sent RTP."""
    out_index: int = 0
    out_rtcp: int = 0
    out_sources: int = 0
    """SSRC of what the peer is sent, as it leaves (upper half) and as it came (lower half)."""
    out_shifts: int = 0
    """What is added to its timestamps (upper half) and sequence numbers (lower half)."""

    @property
    def numbering(self) -> Numbering:
        """How what the peer is sent was numbered."""
        return Numbering(
            self.out_sources & 0xFFFFFFFF,
            self.out_sources >> 32,
            self.out_shifts & 0xFFFF,
            self.out_shifts >> 32,
        )

    def keep_in(self, srtp: Srtp, session: SrtpSession, ssrc: int) -> None:
        """Take down how far the key of what the peer sends is used."""
        self.in_key = _known(srtp, session)
        self.in_rtcp = session.rtcp_index + 1
        if ssrc >= 0:
            self.in_ssrc = ssrc
            self.in_index = session.index(ssrc) + 1

    def keep_out(self, srtp: Srtp, session: SrtpSession, numbering: Numbering | None) -> None:
        """Take down how far the key of what the peer is sent is used."""
        self.out_key = _known(srtp, session)
        self.out_rtcp = session.rtcp_index + 1
        if numbering is not None:
            self.out_index = session.index(numbering.out_ssrc) + 1
            self.out_sources = numbering.out_ssrc << 32 | numbering.ssrc
            self.out_shifts = numbering.timestamp << 32 | numbering.sequence & 0xFFFF

    def resume_in(self, srtp: Srtp, session: SrtpSession) -> None:
        """Let a new session of what the peer sends go on from here, if its key is this one."""
        if self.in_key != fingerprint(srtp):
            return
        session.resume_rtcp(max(self.in_rtcp - 1, 0))
        if self.in_index:
            session.resume(self.in_ssrc, self.in_index - 1)

    def resume_out(self, srtp: Srtp, session: SrtpSession) -> bool:
        """The same for what the peer is sent. Returns whether the numbering holds on.

        RTP's indices follow from the packets; those of RTCP are ours alone, and some may have been
        given out since.
        """
        if self.out_key != fingerprint(srtp):
            return False
        session.resume_rtcp(max(self.out_rtcp - 1, 0) + SRTCP_ADOPTED)
        if not self.out_index:
            return False
        session.resume(self.out_sources >> 32, self.out_index - 1)
        return True


def _known(srtp: Srtp, session: SrtpSession) -> int:
    """The fingerprint, made once: it is asked for every second of each call."""
    if not session.fingerprint:
        session.fingerprint = fingerprint(srtp)
    return session.fingerprint


def fingerprint(srtp: Srtp) -> int:
    """64 bits that tell keys apart; not 0, and nothing of the key is to be had from them."""
    mac = blake2s(srtp.key, digest_size=8, person=b"srtp key")
    mac.update(b"\0".join((srtp.suite.encode(), srtp.mki)))
    return int.from_bytes(mac.digest(), "big") or 1
