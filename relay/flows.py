"""What the fast path is told of a lane.

PURE.
"""

from __future__ import annotations

from typing import Final

from relay.call import Lane
from relay.forward.base import DropReason, Flow, Verdict
from relay.latch import Address
from relay.plan import PLAIN, Component

__all__ = ["destination_of", "flow_of"]

_ALL_PUNTED: Final = bytes([Verdict.PUNT]) * 128


def destination_of(lane: Lane) -> Address | None:
    """Where what comes goes: to the other peer, to its RTP port if that has RTCP on it, too."""
    sink = lane.opposite
    if sink is not None and sink.direction.muxed and lane.direction.component == Component.RTCP:
        sink = sink.beside
    return sink.latch.destination if sink is not None else None


def flow_of(lane: Lane) -> Flow:
    """What the fast path needs to know of an RTP lane now."""
    direction, latch = lane.direction, lane.latch
    destination = destination_of(lane)
    verdict, reason = Verdict.FORWARD, DropReason.UNLATCHED
    if direction.held:
        verdict, reason = Verdict.DROP, DropReason.HELD
    elif destination is None:
        verdict = Verdict.DROP
    flow = Flow(
        direction.key,
        lane.pair.generation,
        verdict,
        latch.expected,
        direction.out,
        destination,
        reason,
        direction.unit_octets,
        direction.rate_octets,
        lane.reception,
    )
    if direction.crossing is not PLAIN:
        _change(flow, lane)
    if not latch.locked or lane.former is not None:
        flow.verdict = Verdict.PUNT
    return flow


def _change(flow: Flow, lane: Lane) -> None:
    """Add what a flow does to its packets."""
    crossing, renumbering = lane.direction.crossing, lane.renumbering
    flow.srtp_in = lane.srtp_in
    flow.srtp_out = lane.srtp_out
    busy = lane.digits is not None and lane.digits.busy
    flow.types = _ALL_PUNTED if busy else crossing.types
    flow.payloads = crossing.payloads
    flow.convert = crossing.convert
    if renumbering is not None:
        flow.numbering = renumbering.current
        if flow.verdict != Verdict.FORWARD:
            renumbering.doubt()
        elif renumbering.unsure:
            flow.verdict = Verdict.PUNT
