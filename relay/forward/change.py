"""What changes in a packet between two sockets: steps 4, 5 and 10 to 13 of `relay.forward.base`.

PURE. For the fast path `python` and for the slow path; the other fast paths have twins of it.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from relay.forward.base import DropReason, Flow, Verdict
from relay.rtp.g711 import ALAW_TO_ULAW, ULAW_TO_ALAW
from relay.rtp.numbering import Numbering
from relay.rtp.packet import FIXED_HEADER, MIN_SIZE, header_size
from relay.rtp.session import Failure, SrtpSession
from relay.stats import MAX_DROPOUT, MAX_MISORDER, Reception

__all__ = [
    "Packet",
    "changed",
    "is_plain",
    "jumps",
    "opened",
    "opened_rtcp",
    "punts",
    "sealed_rtcp",
    "sealed_rtp",
]

Packet: TypeAlias = bytes | memoryview

_UNPROTECT: Final = {
    Failure.SIZE: DropReason.SIZE,
    Failure.SOURCE: DropReason.SSRC,
    Failure.REPLAY: DropReason.SRTP_REPLAY,
    Failure.AUTH: DropReason.SRTP_AUTH,
}
_PROTECT: Final = {**_UNPROTECT, Failure.REPLAY: DropReason.SRTP_REUSE}
_TABLES: Final = (b"", ULAW_TO_ALAW, ALAW_TO_ULAW)
_LAST_STEP_BACK: Final = 0x10000 - MAX_MISORDER

_read_header = FIXED_HEADER.unpack_from
_header = FIXED_HEADER.pack


def is_plain(flow: Flow) -> bool:
    """Whether what a flow forwards leaves as it came, whatever it is."""
    return (
        flow.verdict != Verdict.PUNT
        and flow.srtp_in is None
        and flow.srtp_out is None
        and flow.types is None
        and flow.payloads is None
        and flow.convert is None
        and flow.numbering is None
    )


def jumps(reception: Reception, ssrc: int, sequence: int) -> bool:
    """Whether a sequence number is too far from its source's highest one to belong to it."""
    return ssrc == reception.ssrc and _is_jump(sequence - reception.highest)


def _is_jump(step: int) -> bool:
    return MAX_DROPOUT <= step & 0xFFFF <= _LAST_STEP_BACK


def follows(numbering: Numbering, sequence: int, session: SrtpSession | None) -> bool:
    """Whether a packet's number, as it would leave, is near the last one that was protected."""
    last = session.index(numbering.out_ssrc) if session is not None else -1
    return last < 0 or not _is_jump(sequence + numbering.sequence - last)


def punts(flow: Flow, second: int, ssrc: int, sequence: int) -> bool:
    """Whether a flow has its source's packets of this kind punted: steps 3 and 4."""
    if flow.types is not None and flow.types[second & 0x7F] == Verdict.PUNT:
        return True
    numbering = flow.numbering
    if numbering is None:
        return False
    if ssrc != numbering.ssrc or jumps(flow.reception, ssrc, sequence):
        return True
    return flow.reception.ssrc != ssrc and not follows(numbering, sequence, flow.srtp_out)


def opened(session: SrtpSession, data: Packet) -> bytes | DropReason:
    """The RTP in an SRTP packet, or why there is none."""
    clear = session.unprotect(data)
    return clear if isinstance(clear, bytes) else _UNPROTECT[Failure(clear)]


def opened_rtcp(session: SrtpSession, data: Packet) -> bytes | DropReason:
    """The RTCP in an SRTCP packet, or why there is none."""
    clear = session.unprotect_rtcp(data)
    return clear if isinstance(clear, bytes) else _UNPROTECT[Failure(clear)]


def sealed_rtp(session: SrtpSession, data: Packet) -> bytes | DropReason:
    """RTP as SRTP, or why not."""
    sealed = session.protect(data)
    return sealed if isinstance(sealed, bytes) else _PROTECT[Failure(sealed)]


def sealed_rtcp(session: SrtpSession, data: Packet) -> bytes | DropReason:
    """RTCP as SRTCP, or why not."""
    sealed = session.protect_rtcp(data)
    return sealed if isinstance(sealed, bytes) else _PROTECT[Failure(sealed)]


def changed(flow: Flow, data: Packet) -> Packet | DropReason:
    """An RTP packet as it leaves, or why it does not."""
    first, second, sequence, timestamp, ssrc = _read_header(data)
    if flow.convert is not None and (law := flow.convert[second & 0x7F]):
        converted = _converted(data, _TABLES[law])
        if converted is None:
            return DropReason.SIZE
        data = converted
    numbering = flow.numbering
    if flow.payloads is not None or numbering is not None:
        if flow.payloads is not None:
            second = second & 0x80 | flow.payloads[second & 0x7F]
        if numbering is not None:
            sequence = sequence + numbering.sequence & 0xFFFF
            timestamp = timestamp + numbering.timestamp & 0xFFFFFFFF
            ssrc = numbering.out_ssrc
        data = b"".join((_header(first, second, sequence, timestamp, ssrc), data[MIN_SIZE:]))
    return data if flow.srtp_out is None else sealed_rtp(flow.srtp_out, data)


def _converted(data: Packet, table: bytes) -> bytes | None:
    """The packet with each byte of its payload looked up; None: there is no telling which."""
    start, end = header_size(data), len(data)
    if data[0] & 0x20:
        padding = data[-1]
        if not 0 < padding <= end - start:
            return None
        end -= padding
    if start > end:
        return None
    return b"".join((data[:start], bytes(data[start:end]).translate(table), data[end:]))
