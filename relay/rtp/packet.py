"""The RTP header (RFC 3550 §5.1), and what else arrives on a media port (RFC 7983).

PURE. The forwarders read the fixed header with `FIXED_HEADER` alone, which allocates no object of
ours; `parse` is for everything that is not on the per-packet path.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from relay.errors import ParseError

__all__ = ["FIXED_HEADER", "MIN_SIZE", "Header", "Kind", "classify", "header_size", "parse"]

FIXED_HEADER: Final = struct.Struct("!BBHII")
"""Version and flags, marker and payload type, sequence number, timestamp, SSRC."""

MIN_SIZE: Final = FIXED_HEADER.size


class Kind(IntEnum):
    """What a datagram's first bytes say that it is."""

    RTP = 0
    RTCP = 1
    STUN = 2
    DTLS = 3
    OTHER = 4


@dataclass(slots=True)
class Header:
    """One RTP header."""

    marker: bool
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    size: int
    """Bytes before the payload: fixed part, CSRCs and extension."""
    padding: int
    """Bytes of padding at the end."""


def classify(data: bytes | bytearray | memoryview) -> Kind:
    """Which protocol a datagram belongs to; raises nothing.

    Source: RFC 7983 §7 for the first byte, RFC 5761 §4 for the second.
    """
    if len(data) < 4:
        return Kind.OTHER
    first = data[0]
    if 128 <= first <= 191:
        if 192 <= data[1] <= 223:
            return Kind.RTCP
        return Kind.RTP if len(data) >= MIN_SIZE else Kind.OTHER
    if first <= 3:
        return Kind.STUN
    return Kind.DTLS if 20 <= first <= 63 else Kind.OTHER


def header_size(data: bytes | bytearray | memoryview) -> int:
    """Bytes before the payload: fixed part, CSRCs and extension; more than `data` has if the header
    goes on behind its end.

    Args:
        data: at least MIN_SIZE bytes.

    Source: RFC 3550 §5.1, §5.3.1.
    """
    size = MIN_SIZE + 4 * (data[0] & 0x0F)
    if data[0] & 0x10:
        # What lies behind the end of the data is 0: the size is too large all the same.
        size += 4 + 4 * int.from_bytes(data[size + 2 : size + 4], "big")
    return size


def parse(data: bytes | bytearray | memoryview) -> Header:
    """The header of an RTP packet. Raises ParseError, and nothing else, for any bytes.

    Source: RFC 3550 §5.1, §5.3.1, checks of Appendix A.1.
    """
    if len(data) < MIN_SIZE:
        raise ParseError(f"RTP: expected at least {MIN_SIZE} bytes, got {len(data)}")
    first, second, sequence, timestamp, ssrc = FIXED_HEADER.unpack_from(data)
    if first >> 6 != 2:
        raise ParseError(f"RTP: expected version 2, got {first >> 6}")
    size = header_size(data)
    if len(data) < size:
        raise ParseError(f"RTP: expected a header of {size} bytes, got {len(data)}")
    padding = data[-1] if first & 0x20 else 0
    if first & 0x20 and not 0 < padding <= len(data) - size:
        raise ParseError(f"RTP: expected padding within the payload, got {padding}")
    return Header(second >= 128, second & 0x7F, sequence, timestamp, ssrc, size, padding)
