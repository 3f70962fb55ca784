"""What no fast path carries: latching, RTCP, and everything else that is punted.

One slow path, whatever the fast path. It judges each punted packet, forwards those that a latch
believes, and installs a flow once there is one: from the next packet on the fast path has it.
Because it can forward every packet itself, a fast path may be flushed at any moment.
"""

from __future__ import annotations

import socket
from base64 import b64encode
from collections.abc import Callable
from functools import partial
from hashlib import blake2s
from typing import Final

from relay.call import Lane
from relay.errors import ParseError
from relay.forward.base import Address, DropReason, Flow, Forwarder, Verdict
from relay.latch import Outcome
from relay.plan import Component
from relay.policer import Policer
from relay.rtp import rtcp
from relay.rtp.packet import FIXED_HEADER, Kind, classify

__all__ = ["SlowPath"]

_BURST_S: Final = 2.0

_NOT_RTP: Final = {
    Kind.RTCP: DropReason.RTCP_ON_RTP,
    Kind.STUN: DropReason.STUN,
    Kind.DTLS: DropReason.DTLS,
    Kind.OTHER: DropReason.NOT_RTP,
}
_NOT_RTCP: Final = {Kind.STUN: DropReason.STUN, Kind.DTLS: DropReason.DTLS}


class SlowPath:
    """Judges what the fast path punts.

    Args:
        forwarder: the fast path.
        secret: 16 to 32 random bytes; CNAMEs are derived with it.
        latched: called with an RTP lane when its peer is settled.
    """

    def __init__(
        self, forwarder: Forwarder, secret: bytes, latched: Callable[[Lane], None]
    ) -> None:
        self._forwarder = forwarder
        self._secret = secret
        self._latched = latched
        self.punts = 0

    def open(self, lane: Lane, rx: socket.socket) -> None:
        """Serve a lane's port. Raises OSError."""
        punt = self._rtp if lane.direction.component == Component.RTP else self._rtcp
        self._forwarder.open(lane.direction.key, rx, partial(punt, lane))

    def refresh(self, lanes: list[Lane]) -> None:
        """Tell the fast path what these RTP lanes are now, as one batch."""
        self._forwarder.install([_flow(lane) for lane in lanes])

    def _rtp(self, lane: Lane, data: memoryview, source: Address, now: float) -> bool:
        """One packet on an RTP port. Returns whether its source is somebody's."""
        self.punts += 1
        kind = classify(data)
        if kind == Kind.RTCP and data[1] & 0x7F in lane.direction.clock_rates and len(data) > 11:
            # Payload types 64..95 with the marker look like RTCP (RFC 5761 §4). Signalled ones are
            # RTP: without rtcp-mux there is no RTCP on this port.
            kind = Kind.RTP
        if kind != Kind.RTP:
            lane.drop(_NOT_RTP[kind])
            return lane.latch.source == source
        latch = lane.latch
        was_locked = latch.locked
        outcome = latch.consider(source, now)
        if outcome == Outcome.REFUSED:
            lane.drop(DropReason.WRONG_SOURCE)
        else:
            _, second, sequence, timestamp, ssrc = FIXED_HEADER.unpack_from(data)
            lane.reception.packet(second, sequence, timestamp, ssrc, len(data), now)
            self._forward(lane, data, now)
        if latch.locked and not was_locked:
            self._settle(lane)
            self._latched(lane)
        elif outcome == Outcome.CHANGED:
            self._aim_at(lane)
        elif was_locked and outcome == Outcome.ACCEPTED:
            self._settle(lane)  # the fast path has been flushed
        return outcome != Outcome.REFUSED

    def _settle(self, lane: Lane) -> None:
        """The latch is locked: let the fast path have the stream, and its peer our packets."""
        if lane.opposite is not None:
            self.refresh([lane, lane.opposite])

    def _aim_at(self, lane: Lane) -> None:
        """The source is provisional: it gets our packets already, but it has no flow yet."""
        if lane.opposite is not None:
            self.refresh([lane.opposite])

    def _rtcp(self, lane: Lane, data: memoryview, source: Address, now: float) -> bool:
        """One datagram on an RTCP port."""
        self.punts += 1
        kind = classify(data)
        if kind != Kind.RTCP:
            lane.drop(_NOT_RTCP.get(kind, DropReason.RTCP_MALFORMED))
            return lane.latch.source == source
        if lane.latch.consider(source, now) == Outcome.REFUSED:
            lane.drop(DropReason.WRONG_SOURCE)
            return False
        if not self._allowed(lane, len(data), now):
            return False
        try:
            crossing = rtcp.rewrite(data, partial(self._cname, lane))
        except ParseError:
            lane.drop(DropReason.RTCP_MALFORMED)
            return True
        lane.heard = now
        if not crossing:
            lane.drop(DropReason.RTCP_EMPTY)
        elif self._send(lane, crossing):
            lane.rtcp_packets += 1
        return True

    def _forward(self, lane: Lane, data: memoryview, now: float) -> None:
        if not self._allowed(lane, len(data), now):
            return
        if lane.direction.held:
            lane.drop(DropReason.HELD)
        else:
            self._send(lane, data)

    def _send(self, lane: Lane, data: memoryview | bytes) -> bool:
        opposite = lane.opposite
        destination = opposite.latch.destination if opposite is not None else None
        if destination is None:
            lane.drop(DropReason.UNLATCHED)
            return False
        if not self._forwarder.send(lane.direction.out, data, destination):
            lane.drop(DropReason.UNSENT)
            return False
        return True

    def _allowed(self, lane: Lane, size: int, now: float) -> bool:
        direction = lane.direction
        if lane.policer is None:
            rate = direction.rate_octets
            lane.policer = Policer(rate, _BURST_S * rate, now)
        if lane.policer.take(max(size, direction.unit_octets), now):
            return True
        lane.drop(DropReason.POLICED)
        return False

    def _cname(self, lane: Lane, theirs: bytes) -> bytes:
        """Ours for theirs: 96 bits in base64, as RFC 7022 §4.2 shapes short-term CNAMEs.

        Each stream has its own, each source in it too; nothing of theirs can be read from it.
        """
        direction = lane.direction
        mac = blake2s(key=self._secret, digest_size=12)
        mac.update(f"{lane.call}\0{direction.stream}\0{direction.side}\0".encode())
        mac.update(theirs)
        return b64encode(mac.digest())


def _flow(lane: Lane) -> Flow:
    """What the fast path needs to know of an RTP lane now."""
    direction, latch, opposite = lane.direction, lane.latch, lane.opposite
    destination = opposite.latch.destination if opposite is not None else None
    verdict, reason = Verdict.FORWARD, DropReason.UNLATCHED
    if direction.held:
        verdict, reason = Verdict.DROP, DropReason.HELD
    elif destination is None:
        verdict = Verdict.DROP
    return Flow(
        direction.key,
        lane.pair.generation,
        verdict,
        latch.source if latch.locked else None,
        direction.out,
        destination,
        reason,
        direction.unit_octets,
        direction.rate_octets,
        lane.reception,
    )
