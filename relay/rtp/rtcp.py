"""RTCP across the border (RFC 3550 §6): what may cross, and what it looks like then.

PURE. A compound packet is read as a whole and built anew, so that nothing crosses by accident:

    SR, RR          cross, under the numbers that their media has on the other side;
                    profile-specific extensions behind the blocks (§6.4.3) do not
    SDES            crosses with CNAME alone, and that replaced by ours (§6.5.1): NAME, EMAIL,
                    PHONE, LOC, TOOL, NOTE and PRIV are the other side's affairs
    BYE             crosses unless the plan says no; its reason text does not (§6.6)
    RTPFB, PSFB     cross (RFC 4585: NACK, PLI, FIR are numbers only), except application layer
                    feedback (PSFB format 15), whose content is anybody's
    APP             holds free data: crosses where the plan says so
    XR              does not cross: its blocks speak of the other side's network
    unknown types   do not cross

A peer's media may be numbered differently on the two sides (`relay.renumber`). Then what it says of
itself is brought to the other side's numbers, and what it says of the other's media is brought back
to those that the other has given. Where continuity hides a change of source, the peer beyond knows
of one source only: what others but the present one send about themselves does not cross, nor BYE.

A compound that is not well-formed (Appendix A.2) is dropped whole. Reduced-size RTCP (RFC 5506)
is accepted, so the first packet may be of any kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from relay.errors import ParseError
from relay.rtp.numbering import Numbering

__all__ = ["MAX_SIZE", "PacketType", "Terms", "packets", "rewrite"]

MAX_SIZE: Final = 2048
"""Largest compound in bytes that we look at; those of two peers are below 200."""

_CNAME: Final = 1
_APPLICATION_FEEDBACK: Final = 15
_REPORT_BLOCK: Final = 24
_NACK: Final = (205, 1)
_WITH_TARGETS: Final = {(205, 3), (205, 4), (206, 4)}
"""TMMBR, TMMBN, FIR (RFC 5104 §4.2, §4.3.1): each entry of theirs begins with an SSRC."""


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


@dataclass(slots=True)
class Terms:
    """Under which terms RTCP crosses from one peer to the other."""

    cname: Callable[[bytes], bytes]
    """Theirs → ours, at most 255 bytes."""
    bye: bool = True
    app: bool = False
    source: Callable[[int], Numbering | None] | None = None
    """By SSRC: how what this peer sends is numbered on the other side; None: as it comes."""
    target: Callable[[int], tuple[Numbering, int] | None] | None = None
    """By the SSRC that this peer is sent: how that was numbered, and the highest sequence number,
    extended, that its sender has given."""
    sent: tuple[int, int] | None = None
    """With continuity: packets and octets that have crossed, of all sources."""


def rewrite(data: bytes | memoryview, terms: Terms) -> bytes:
    """The compound as the other side may see it; empty if nothing of it may cross.

    Raises ParseError, and nothing else, for bytes that are not a compound.
    """
    crossing = bytearray()
    for kind, count, body in packets(data):
        match kind:
            case PacketType.SR:
                crossing += _sender_report(body, count, terms)
            case PacketType.RR:
                body = _reports(body, 4, count, terms)
                crossing += _packet(kind, count, _ssrc(body, 0, terms) + body[4:])
            case PacketType.SDES:
                crossing += _sources(body, count, terms)
            case PacketType.BYE:
                crossing += _bye(body, count, terms)
            case PacketType.RTPFB | PacketType.PSFB:
                crossing += _feedback(kind, count, body, terms)
            case PacketType.APP if terms.app:
                if len(body) < 8:
                    raise ParseError("RTCP APP: expected a source and a name")
                crossing += _packet(kind, count, _ssrc(body, 0, terms) + body[4:])
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


def _number(body: bytes, at: int) -> int:
    return int.from_bytes(body[at : at + 4], "big")


def _ssrc(body: bytes, at: int, terms: Terms) -> bytes:
    """The SSRC of a source of this peer's as the other side knows it."""
    ssrc = _number(body, at)
    numbering = terms.source(ssrc) if terms.source is not None else None
    return (ssrc if numbering is None else numbering.out_ssrc).to_bytes(4, "big")


def _sender_report(body: bytes, count: int, terms: Terms) -> bytes:
    """SR (§6.4.1)."""
    body = _reports(body, 24, count, terms)
    ssrc = _number(body, 0)
    numbering = terms.source(ssrc) if terms.source is not None else None
    if numbering is None:
        return _packet(PacketType.SR, count, body) if terms.sent is None else b""
    time = _number(body, 12) + numbering.timestamp & 0xFFFFFFFF
    sent = terms.sent or (_number(body, 16), _number(body, 20))
    mine = [numbering.out_ssrc, _number(body, 4), _number(body, 8), time, *sent]
    head = b"".join((value & 0xFFFFFFFF).to_bytes(4, "big") for value in mine)
    return _packet(PacketType.SR, count, head + body[24:])


def _reports(body: bytes, fixed: int, count: int, terms: Terms) -> bytes:
    """The fixed part and the report blocks, these with the numbers that their sender gave."""
    size = fixed + _REPORT_BLOCK * count
    if len(body) < size:
        raise ParseError(f"RTCP report: expected {size} bytes, got {len(body)}")
    if terms.target is None:
        return body[:size]
    blocks = bytearray(body[:size])
    for at in range(fixed, size, _REPORT_BLOCK):
        found = terms.target(_number(body, at))
        if found is not None:
            numbering, highest = found
            low = _number(body, at + 8) - numbering.sequence
            blocks[at : at + 4] = numbering.ssrc.to_bytes(4, "big")
            blocks[at + 8 : at + 12] = _extended(low & 0xFFFF, highest).to_bytes(4, "big")
    return bytes(blocks)


def _extended(sequence: int, highest: int) -> int:
    """A sequence number with its cycles (§6.4.1), the nearest to the highest one."""
    step = (sequence - highest + 0x8000 & 0xFFFF) - 0x8000
    extended = highest + step
    return (extended if extended >= 0 else extended + 0x10000) & 0xFFFFFFFF


def _bye(body: bytes, count: int, terms: Terms) -> bytes:
    """BYE (§6.6) without its reason."""
    if len(body) < 4 * count:
        raise ParseError(f"RTCP BYE: expected {count} sources")
    if not terms.bye or terms.sent is not None:
        return b""
    sources = b"".join(_ssrc(body, 4 * place, terms) for place in range(count))
    return _packet(PacketType.BYE, count, sources)


def _feedback(kind: int, form: int, body: bytes, terms: Terms) -> bytes:
    """RTPFB or PSFB (RFC 4585 §6.1)."""
    if len(body) < 8:
        raise ParseError("RTCP feedback: expected sender and media source")
    if kind == PacketType.PSFB and form == _APPLICATION_FEEDBACK:
        return b""
    rest = bytearray(body)
    rest[0:4] = _ssrc(body, 0, terms)
    if terms.target is not None:
        _retarget(rest, 4, terms.target)
        found = terms.target(_number(body, 4))
        if (kind, form) == _NACK and found is not None:
            for at in range(8, len(rest) - 3, 4):  # packet identifier and the 16 behind it
                lost = int.from_bytes(rest[at : at + 2], "big") - found[0].sequence
                rest[at : at + 2] = (lost & 0xFFFF).to_bytes(2, "big")
        elif (kind, form) in _WITH_TARGETS:
            for at in range(8, len(rest) - 7, 8):
                _retarget(rest, at, terms.target)
    return _packet(kind, form, bytes(rest))


def _retarget(
    body: bytearray, at: int, target: Callable[[int], tuple[Numbering, int] | None]
) -> None:
    """Name the source of the other side's media as the other side does."""
    found = target(_number(bytes(body[at : at + 4]), 0))
    if found is not None:
        body[at : at + 4] = found[0].ssrc.to_bytes(4, "big")


def _sources(body: bytes, count: int, terms: Terms) -> bytes:
    """An SDES packet with one CNAME for each chunk that had one (§6.5)."""
    chunks = bytearray()
    kept = offset = 0
    for _ in range(count):
        theirs, end = _chunk_cname(body, offset)
        if theirs is not None:
            ours = terms.cname(theirs)
            chunk = _ssrc(body, offset, terms) + bytes((_CNAME, len(ours))) + ours
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
