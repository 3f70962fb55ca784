"""What SRTP sessions of all suites have in common: sources, indices, and room in a packet.

PURE.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from relay.rtp.packet import FIXED_HEADER, MIN_SIZE, header_size
from relay.rtp.replay import MAX_INDEX, Source, nearest
from relay.rtp.session import MAX_SOURCES, Failure
from relay.rtp.suites import MasterKey, Suite

__all__ = ["AUTH", "ENCRYPTED", "MAX_SIZE", "RTCP_CLEAR", "WORD", "Session"]

MAX_SIZE: Final = 65535
RTCP_CLEAR: Final = 8
"""The first header and its SSRC are not encrypted (RFC 3711 §3.4)."""
WORD: Final = 4
"""E bit and index of an SRTCP packet."""
ENCRYPTED: Final = 0x80000000
AUTH: Final = int(Failure.AUTH)
REPLAY: Final = int(Failure.REPLAY)
SIZE: Final = int(Failure.SIZE)
_SOURCE: Final = int(Failure.SOURCE)
_RTCP_INDICES: Final = 0x80000000

_Place: TypeAlias = tuple[int, int, Source, int]
"""Where the payload begins, SSRC, what is known of it, index."""

_read_header = FIXED_HEADER.unpack_from


class Session:
    """One master key, one direction; arguments as of `relay.rtp.srtp.new_session`."""

    __slots__ = (
        "_largest",
        "_master",
        "_mki",
        "_roc",
        "_rtcp_floor",
        "_rtcp_sources",
        "_rtcp_tail",
        "_rtp_tail",
        "_sources",
        "_suite",
        "fingerprint",
        "rtcp_index",
    )

    def __init__(self, suite: Suite, master: MasterKey, mki: bytes, roc: int) -> None:
        self._suite: Final = suite
        self._master: Final = master
        self._mki: Final = mki
        self._roc: Final = roc
        self._rtp_tail: Final = len(mki) + suite.rtp_tag_bytes
        self._largest: Final = MAX_SIZE - self._rtp_tail
        self._rtcp_tail: Final = WORD + len(mki) + suite.rtcp_tag_bytes
        self._sources: Final[dict[int, Source]] = {}
        self._rtcp_sources: Final[dict[int, Source]] = {}
        self._rtcp_floor = 0
        self.rtcp_index = 0
        self.fingerprint = 0

    def index(self, ssrc: int) -> int:
        """The highest RTP index of a source, -1 if it is not known."""
        source = self._sources.get(ssrc)
        return source.highest if source is not None else -1

    def resume(self, ssrc: int, index: int) -> None:
        """Go on with a source after `index`."""
        self._sources[ssrc] = Source(index, used=True)

    def resume_rtcp(self, index: int) -> None:
        """Go on with RTCP at `index`."""
        self.rtcp_index = self._rtcp_floor = index
        self._rtcp_sources.clear()

    def _place(self, packet: bytes | memoryview, end: int) -> _Place | int:
        """Where an RTP packet stands, and whether its index is free.

        Args:
            packet: header and payload, and what may follow.
            end: of the payload.
        """
        if not MIN_SIZE <= end <= self._largest:
            return SIZE
        first, _, sequence, _, ssrc = _read_header(packet)
        start = MIN_SIZE if not first & 0x1F else header_size(packet)
        if start > end:
            return SIZE
        source = self._sources.get(ssrc)
        if source is None:
            if len(self._sources) >= MAX_SOURCES:
                return _SOURCE
            source = Source((self._roc << 16 | sequence) - 1, used=False)
        index = source.highest + 1
        if index & 0xFFFF != sequence or not sequence:
            index = nearest(source.highest, sequence)
            if source.used(index) or index > MAX_INDEX:
                return REPLAY
        return start, ssrc, source, index

    def _use(self, ssrc: int, source: Source, index: int) -> None:
        """The packet is what it says: its index is used from now on."""
        if not source.window:  # its first
            self._sources[ssrc] = source
        source.use(index)

    def _next_rtcp(self, size: int) -> int:
        """The index for the next RTCP packet, of so many bytes; the negative of a Failure."""
        if not RTCP_CLEAR <= size <= MAX_SIZE - self._rtcp_tail:
            return -SIZE
        index = self.rtcp_index
        if index >= _RTCP_INDICES:
            return -REPLAY  # the key's life is over
        self.rtcp_index = index + 1
        return index

    def _rtcp_place(self, packet: bytes, end: int, word_at: int) -> tuple[int, Source, int] | int:
        """SSRC, what is known of it and index of an SRTCP packet.

        Args:
            packet: as it came.
            end: of the RTCP in it.
            word_at: where E bit and index are.
        """
        if end < RTCP_CLEAR:
            return SIZE
        index = int.from_bytes(packet[word_at : word_at + WORD], "big") & ~ENCRYPTED
        ssrc = int.from_bytes(packet[4:RTCP_CLEAR], "big")
        source = self._rtcp_sources.get(ssrc)
        if source is None:
            if len(self._rtcp_sources) >= MAX_SOURCES:
                return _SOURCE
            source = Source(self._rtcp_floor - 1, used=True)
        return REPLAY if source.used(index) else (ssrc, source, index)

    def _use_rtcp(self, ssrc: int, source: Source, index: int) -> None:
        self._rtcp_sources[ssrc] = source
        source.use(index)
        self.rtcp_index = max(self.rtcp_index, index + 1)
