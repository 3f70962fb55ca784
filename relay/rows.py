"""What a worker writes into the flow table, from what its lanes know."""

from __future__ import annotations

from relay.call import Lane
from relay.flow_table import FlowTable
from relay.kept_keys import KeptKeys

__all__ = ["keep_counters", "keep_keys"]


def keep_counters(table: FlowTable, rtp: Lane, rtcp: Lane) -> None:
    """Leave a direction's counters in its row."""
    if 0 <= rtp.pair.row < len(table):
        dropped = sum(rtp.accounted_drops.values()) if rtp.accounted_drops else 0
        table.count(rtp.pair.row, (*rtp.reception.row, dropped, rtcp.rtcp_packets))


def keep_keys(table: FlowTable, rtp: Lane) -> None:
    """Leave there how far the keys of the lane's port are used, both ways."""
    if not 0 <= rtp.pair.row < len(table):
        return
    kept = KeptKeys()
    srtp_in, other = rtp.direction.crossing.srtp_in, rtp.opposite
    if srtp_in is not None and rtp.srtp_in is not None:
        kept.keep_in(srtp_in, rtp.srtp_in, rtp.reception.ssrc)
    if other is not None and other.srtp_out is not None:
        srtp_out, renumbering = other.direction.crossing.srtp_out, other.renumbering
        if srtp_out is not None:
            numbering = renumbering.current if renumbering is not None else None
            kept.keep_out(srtp_out, other.srtp_out, numbering)
    if kept.in_key or kept.out_key:
        table.keep_keys(rtp.pair.row, kept)
