"""Which SRTP sessions the lanes of a call have, and what else a key brings with it."""

from __future__ import annotations

from relay.call import Call, Lane
from relay.control.messages import Srtp
from relay.forward.base import DropReason, Forwarder, SrtpSession
from relay.plan import Component
from relay.renumber import Renumbering
from relay.srtp_watch import SrtpWatch

__all__ = ["give_keys", "unauthentic"]


def give_keys(call: Call, lane: Lane, forwarder: Forwarder) -> None:
    """Let a lane have the sessions of its plan, and an RTP lane what it needs for them."""
    direction, crossing = lane.direction, lane.direction.crossing
    before = lane.srtp_in
    lane.srtp_in = _session(call, crossing.srtp_in, ("in", direction.side), forwarder)
    lane.srtp_out = _session(call, crossing.srtp_out, ("out",), forwarder)
    if direction.component != Component.RTP:
        return
    if lane.srtp_out is None and not crossing.continuity:
        lane.renumbering = None
    elif lane.renumbering is None:
        lane.renumbering = Renumbering(continuity=crossing.continuity)
    else:
        lane.renumbering.continuity = crossing.continuity
    if lane.srtp_in is None:
        lane.watch = None
    elif lane.srtp_in is not before:
        lane.watch = SrtpWatch(lane.reception.packets, unauthentic(lane, forwarder))


def unauthentic(lane: Lane, forwarder: Forwarder) -> int:
    """Packets that came on a lane and were not made with its key."""
    drops = lane.all_drops(forwarder.counters(lane.direction.key))
    return drops.get(DropReason.SRTP_AUTH, 0)


def _session(
    call: Call, srtp: Srtp | None, use: tuple[object, ...], forwarder: Forwarder
) -> SrtpSession | None:
    """The session of a key: the one that the call has had with it, if it had one.

    All that is sent under one key shares a session, whoever it goes to: no index of it may protect
    two packets.
    """
    if srtp is None:
        return None
    if call.sessions is None:
        call.sessions = {}
    name = (*use, srtp.suite, srtp.key, srtp.mki)
    session = call.sessions.get(name)
    if session is None:
        session = forwarder.session(srtp.suite, srtp.key, srtp.mki, srtp.roc)
        call.sessions[name] = session
    return session
