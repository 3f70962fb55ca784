"""What an SRTP session is to the rest of the relay, whoever makes it (RFC 3711).

PURE. A session holds one master key and serves one direction: either what a peer sends us
(`unprotect…`) or what it is sent (`protect…`), RTP and RTCP of any number of sources. It remembers,
for each source (SSRC), the highest index and which of the `WINDOW` below it have been used. So a
packet is accepted once, and no index ever protects two packets.

A fast path makes its own sessions (`Forwarder.session`), and the slow path uses the same objects:
wherever a packet goes, its index is taken from one place.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Protocol

__all__ = ["MAX_SOURCES", "SRTCP_ADOPTED", "WINDOW", "Failure", "SrtpSession"]

WINDOW: Final = 128
"""Indices at and below the highest one of which is known whether they were used."""

MAX_SOURCES: Final = 1024
"""SSRCs of one session; packets of further ones fail. None is forgotten: its indices are used."""

SRTCP_ADOPTED: Final = 1 << 16
"""How far an SRTCP index jumps when another process goes on with a session, so that what the former
one has sent since it last said so is not sent again."""


class Failure(IntEnum):
    """Why a session did not do it. Looked at in this order."""

    SIZE = 1
    """Too short to have all its parts, or a header that is longer than the packet; or not to be
    protected, for it would have more than 65,535 bytes."""
    SOURCE = 2
    """One SSRC more than `MAX_SOURCES`."""
    REPLAY = 3
    """Unprotecting: the index was accepted before or lies below the window. Protecting: it was
    used before or lies below the window; or the key's life is over (2^48 packets, 2^31 of RTCP)."""
    AUTH = 4
    """Not made with this key, or changed since; with an MKI: another one's; RTCP in the clear."""


class SrtpSession(Protocol):
    """One master key, one direction.

    Packets go in whole and come out as new bytes, or not at all: then a whole number comes back,
    that of the `Failure`, and nothing has changed. Any bytes may go in. SSRCs and indices are
    whole numbers. A fast path with a thread of its own sees to it that its sessions may be used
    from there and by the slow path at once.
    """

    fingerprint: int
    """What its key is known by, once somebody has made that out (`relay.kept_keys`); 0 before."""

    def protect(self, packet: bytes | memoryview) -> bytes | int:
        """RTP → SRTP. A source's first packet has the roll-over counter that the session began
        with; later ones the nearest index (RFC 3711 §3.3.1)."""

    def unprotect(self, packet: bytes | memoryview) -> bytes | int:
        """SRTP → RTP."""

    def protect_rtcp(self, packet: bytes | memoryview) -> bytes | int:
        """RTCP → SRTCP, encrypted. The index counts from 0, one for all sources of the session."""

    def unprotect_rtcp(self, packet: bytes | memoryview) -> bytes | int:
        """SRTCP → RTCP. With the E bit clear (§3.4) it fails, as AUTH: nobody has agreed to RTCP in
        the clear."""

    def index(self, ssrc: int) -> int:
        """The highest RTP index of a source, roll-over counter · 65,536 + sequence number; -1:
        it is not known."""

    def resume(self, ssrc: int, index: int) -> None:
        """Go on with a source after `index`: all up to it count as used."""

    @property
    def rtcp_index(self) -> int:
        """Protecting: the index that the next RTCP packet gets. Unprotecting: one above the
        highest accepted one, of any source."""

    def resume_rtcp(self, index: int) -> None:
        """Go on with RTCP at `index`: all below it count as used, of sources not seen yet too."""
