"""RTCP across the border (RFC 3550 §6): what may cross, and what it looks like then.

PURE. A compound packet is read as a whole and built anew, so that nothing crosses by accident:

    SR, RR          cross; report blocks as they are (SSRCs are not rewritten, so they stay true);
                    profile-specific extensions behind the blocks (§6.4.3) do not
    SDES            crosses with CNAME alone, and that replaced by ours (§6.5.1): NAME, EMAIL,
                    PHONE, LOC, TOOL, NOTE and PRIV are the other side's affairs
    BYE             crosses; its reason text does not (§6.6)
    RTPFB, PSFB     cross (RFC 4585: NACK, PLI, FIR are numbers only), except application layer
                    feedback (PSFB format 15), whose content is anybody's
    APP, XR         do not cross: APP holds free data, XR is for the quality issue to decide
    unknown types   do not cross

A compound that is not well-formed (Appendix A.2) is dropped whole. Reduced-size RTCP (RFC 5506)
is accepted, so the first packet may be of any kind.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Final

from relay.errors import ParseError

__all__ = ["MAX_SIZE", "PacketType", "packets", "rewrite"]

MAX_SIZE: Final = 2048
"""Largest compound in bytes that we look at; those of two peers are below 200."""

_CNAME: Final = 1
_APPLICATION_FEEDBACK: Final = 15
_REPORT_BLOCK: Final = 24


class PacketType(IntEnum):
    """RFC 3550 §12.1, RFC 4585 §6.1, RFC 3611 §2."""

    SR = 200
    RR = 201
    SDES = 202
    BYE = 203
    APP = 204
    RTPFB = 205
    PSFB = 206
    XR = 207


def packets(data: bytes | memoryview) -> list[tuple[int, int, bytes]]:
    """(packet type, count or format, body) of each packet of a compound, padding removed.

    The body is what follows the 4-byte header. Raises ParseError, and nothing else.

    Source: RFC 3550 §6.1, Appendix A.2.
    """
    whole = bytes(data)
    if not 8 <= len(whole) <= MAX_SIZE:
        raise ParseError(f"RTCP: expected 8..{MAX_SIZE} bytes, got {len(whole)}")
    found: list[tuple[int, int, bytes]] = []
    offset = 0
    while offset < len(whole):
        if len(whole) - offset < 4:
            raise ParseError("RTCP: expected a whole header")
        first, kind = whole[offset], whole[offset + 1]
        end = offset + 4 + 4 * int.from_bytes(whole[offset + 2 : offset + 4], "big")
        if first >> 6 != 2:
            raise ParseError(f"RTCP: expected version 2, got {first >> 6}")
        if end > len(whole):
            raise ParseError(f"RTCP: expected {end} bytes, got {len(whole)}")
        body = whole[offset + 4 : end]
        if first & 0x20:
            body = _unpadded(body, last=end == len(whole))
        found.append((kind, first & 0x1F, body))
        offset = end
    return found


def rewrite(data: bytes | memoryview, cname: Callable[[bytes], bytes]) -> bytes:
    """The compound as the other side may see it; empty if nothing of it may cross.

    Args:
        data: a whole RTCP datagram.
        cname: theirs → ours, at most 255 bytes.

    Raises ParseError, and nothing else, for bytes that are not a compound.
    """
    crossing = bytearray()
    for kind, count, body in packets(data):
        match kind:
            case PacketType.SR:
                crossing += _packet(kind, count, _reports(body, 24, count))
            case PacketType.RR:
                crossing += _packet(kind, count, _reports(body, 4, count))
            case PacketType.SDES:
                crossing += _sources(body, count, cname)
            case PacketType.BYE:
                if len(body) < 4 * count:
                    raise ParseError(f"RTCP BYE: expected {count} sources")
                crossing += _packet(kind, count, body[: 4 * count])
            case PacketType.RTPFB | PacketType.PSFB:
                if len(body) < 8:
                    raise ParseError("RTCP feedback: expected sender and media source")
                if kind == PacketType.RTPFB or count != _APPLICATION_FEEDBACK:
                    crossing += _packet(kind, count, body)
            case _:
                pass
    return bytes(crossing)


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return bytes((0x80 | count, kind)) + (len(body) // 4).to_bytes(2, "big") + body


def _unpadded(body: bytes, *, last: bool) -> bytes:
    # §6.4.1: only the last packet of a compound may be padded, by a multiple of four.
    if not last:
        raise ParseError("RTCP: expected padding in the last packet only")
    padding = body[-1] if body else 0
    if padding == 0 or padding % 4 or padding > len(body):
        raise ParseError(f"RTCP: expected padding of whole words, got {padding}")
    return body[:-padding]


def _reports(body: bytes, fixed: int, count: int) -> bytes:
    size = fixed + _REPORT_BLOCK * count
    if len(body) < size:
        raise ParseError(f"RTCP report: expected {size} bytes, got {len(body)}")
    return body[:size]


def _sources(body: bytes, count: int, cname: Callable[[bytes], bytes]) -> bytes:
    """An SDES packet with one CNAME for each chunk that had one (RFC 3550 §6.5)."""
    chunks = bytearray()
    kept = offset = 0
    for _ in range(count):
        theirs, end = _chunk_cname(body, offset)
        if theirs is not None:
            ours = cname(theirs)
            chunk = body[offset : offset + 4] + bytes((_CNAME, len(ours))) + ours
            chunks += chunk + bytes(4 - len(chunk) % 4)  # at least one null ends the items
            kept += 1
        offset = end
    return _packet(PacketType.SDES, kept, bytes(chunks)) if kept else b""


def _chunk_cname(body: bytes, start: int) -> tuple[bytes | None, int]:
    """The chunk's CNAME, if any, and where the next chunk begins."""
    theirs = None
    offset = start + 4
    if offset >= len(body):
        raise ParseError("RTCP SDES: expected a whole chunk")
    while body[offset] != 0:
        end = offset + 2 + body[offset + 1] if offset + 1 < len(body) else len(body)
        if end >= len(body):
            raise ParseError("RTCP SDES: expected a null at the end of the items")
        if body[offset] == _CNAME and theirs is None:
            theirs = body[offset + 2 : end]
        offset = end
    end = start + ((offset - start) // 4 + 1) * 4
    if end > len(body):
        raise ParseError("RTCP SDES: expected chunks of whole words")
    return theirs, end
