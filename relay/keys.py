"""Which SRTP sessions the lanes of a call have, and what else a key brings with it."""

from __future__ import annotations

from relay.call import Call, Lane
from relay.control.messages import Srtp
from relay.forward.base import DropReason, Forwarder, SrtpSession
from relay.plan import Component
from relay.renumber import Renumbering
from relay.rtp.numbering import Numbering
from relay.srtp_watch import SrtpWatch

__all__ = ["give_keys", "unauthentic"]


def give_keys(call: Call, lane: Lane, forwarder: Forwarder) -> None:
    """Let a lane have the sessions of its plan, and an RTP lane what it needs for them."""
    direction, crossing = lane.direction, lane.direction.crossing
    before = lane.srtp_in
    former: Numbering | None = None
    lane.srtp_in, new = _session(call, crossing.srtp_in, ("in", direction.side), forwarder)
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
            lane.watch = SrtpWatch(lane.reception.packets, unauthentic(lane, forwarder))


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
