"""Which SRTP sessions the lanes of a call have, what they open, and what else a key brings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from relay.call import Call, Former, Lane
from relay.control.messages import Srtp
from relay.forward.base import Address, DropReason, Forwarder, SrtpSession
from relay.forward.change import Packet
from relay.plan import Component
from relay.renumber import Renumbering
from relay.rtp.numbering import Numbering
from relay.srtp_watch import SrtpWatch

__all__ = ["give_keys", "unauthentic", "unlock"]


_FORMER_S: Final = 2.0
"""So long the key before is good at most: time for an answer that is lost twice (T1, 2 x T1)."""
_OVERTAKING_S: Final = 0.2
"""So long after the first packet under a new key those that it has overtaken may still come."""


def give_keys(call: Call, lane: Lane, forwarder: Forwarder, now: float) -> None:
    """Let a lane have the sessions of its plan, and an RTP lane what it needs for them."""
    direction, crossing = lane.direction, lane.direction.crossing
    before = lane.srtp_in
    former: Numbering | None = None
    lane.srtp_in, new = _session(call, crossing.srtp_in, ("in", direction.side), forwarder)
    if lane.srtp_in is None:
        lane.former = None
    elif before is not None and lane.srtp_in is not before:
        lane.former = Former(before, now + _FORMER_S)
    kept = lane.pair.kept
    if new and kept is not None and crossing.srtp_in and lane.srtp_in:
        kept.resume_in(crossing.srtp_in, lane.srtp_in)
    lane.srtp_out, new = _session(call, crossing.srtp_out, ("out",), forwarder)
    kept = lane.opposite.pair.kept if lane.opposite is not None else None
    if new and kept is not None and crossing.srtp_out and lane.srtp_out:
        former = kept.numbering if kept.resume_out(crossing.srtp_out, lane.srtp_out) else None
    if direction.component == Component.RTP:
        _give_numbers(lane, former)
        if lane.srtp_in is None:
            lane.watch = None
        elif lane.srtp_in is not before:
            lifetime = crossing.srtp_in.lifetime_packets if crossing.srtp_in else 0
            failed = unauthentic(lane, forwarder)
            lane.watch = SrtpWatch(lane.reception.packets, failed, lifetime)


def _give_numbers(lane: Lane, former: Numbering | None) -> None:
    """Let a lane renumber if it must.

    Args:
        lane: of RTP.
        former: how another process has numbered under this key.
    """
    continuity = lane.direction.crossing.continuity
    if lane.srtp_out is None and not continuity and lane.digits is None:
        lane.renumbering = None
        return
    if lane.renumbering is None:
        lane.renumbering = Renumbering(continuity=continuity)
    lane.renumbering.continuity = continuity
    if former is not None:
        lane.renumbering.resume(former)


def unauthentic(lane: Lane, forwarder: Forwarder) -> int:
    """Packets that came on a lane and were not made with its key."""
    drops = lane.all_drops(forwarder.counters(lane.direction.key))
    return drops.get(DropReason.SRTP_AUTH, 0)


def unlock(
    lane: Lane,
    port: Lane,
    open_with: Callable[[SrtpSession, Packet], bytes | DropReason],
    data: Packet,
    source: Address,
    now: float,
) -> tuple[bytes | None, bool]:
    """The content of an SRTP or SRTCP packet, and whether the peer's former key has opened it.

    None: there is no content, which has been counted.
    """
    latch, former = port.latch, lane.former
    if lane.srtp_in is None or not latch.worth_opening(source):
        lane.drop(DropReason.WRONG_SOURCE)
        return None, False
    if former is not None and now >= former.until:
        lane.former = former = None
    clear = open_with(lane.srtp_in, data)
    if isinstance(clear, bytes):
        if former is not None:
            former.until = min(former.until, now + _OVERTAKING_S)
        return clear, False
    if former is not None and source == latch.expected:
        late = open_with(former.session, data)
        if isinstance(late, bytes):
            return late, True
    # Rubbish from elsewhere is a stranger's: it says nothing of the peer's key.
    strange = latch.locked and source != latch.source
    lane.drop(DropReason.WRONG_SOURCE if strange else clear)
    return None, False


def _session(
    call: Call, srtp: Srtp | None, use: tuple[object, ...], forwarder: Forwarder
) -> tuple[SrtpSession | None, bool]:
    """The session of a key, the one that the call has had with it, if any; and whether it is new.

    All that is sent under one key shares a session, whoever it goes to: no index of it may protect
    two packets.
    """
    if srtp is None:
        return None, False
    if call.sessions is None:
        call.sessions = {}
    name = (*use, srtp.suite, srtp.key, srtp.mki)
    session = call.sessions.get(name)
    if session is not None:
        return session, False
    session = call.sessions[name] = forwarder.session(srtp.suite, srtp.key, srtp.mki, srtp.roc)
    return session, True
