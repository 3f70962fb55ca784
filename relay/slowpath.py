"""What no fast path carries: latching, RTCP, and everything else that is punted.

One slow path, whatever the fast path. It judges each punted packet, forwards those that a latch
believes, and installs a flow once there is one: from the next packet on the fast path has it.
Because it can forward every packet itself, a fast path may be flushed at any moment.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Final

from relay.call import Lane
from relay.digit_desk import DigitDesk
from relay.dtmf import Digit
from relay.errors import ParseError
from relay.floods import Floods
from relay.flows import destination_of, flow_of
from relay.forward.base import (
    DropReason,
    Forwarder,
    Numbering,
    Verdict,
)
from relay.forward.change import (
    Packet,
    changed,
    opened,
    opened_rtcp,
    punts,
    sealed_rtcp,
    sealed_rtp,
)
from relay.keys import unlock
from relay.latch import Address, Outcome, Proof
from relay.plan import PLAIN, Component
from relay.policer import Policer
from relay.ports import Key
from relay.round_trip import RoundTrip
from relay.rtcp_terms import terms_of
from relay.rtp import rtcp
from relay.rtp.packet import FIXED_HEADER, Kind, classify
from relay.sockets import narrow, usual_room, widen

__all__ = ["SlowPath"]

_BURST_S: Final = 2.0

_NOT_RTP: Final = {
    Kind.RTCP: DropReason.RTCP_ON_RTP,
    Kind.STUN: DropReason.STUN,
    Kind.DTLS: DropReason.DTLS,
    Kind.OTHER: DropReason.NOT_RTP,
}
_NOT_RTCP: Final = {Kind.STUN: DropReason.STUN, Kind.DTLS: DropReason.DTLS}

_read_header = FIXED_HEADER.unpack_from


class SlowPath:
    """Judges what the fast path punts.

    Args:
        forwarder: the fast path.
        secret: 16 to 32 random bytes; CNAMEs are derived with it.
        latched: called with an RTP lane when its peer is settled.
        told: called with each digit that an RTP lane's peer has sent.
        sockets: the bound socket of each port.
    """

    def __init__(
        self,
        forwarder: Forwarder,
        secret: bytes,
        latched: Callable[[Lane], None],
        told: Callable[[Lane, Digit], None],
        sockets: Mapping[Key, socket.socket],
    ) -> None:
        self._forwarder = forwarder
        self._secret = secret
        self._latched = latched
        self.digits = DigitDesk(self, secret, told)
        self.floods = Floods(forwarder, sockets)
        self.punts = 0
        self._sockets = sockets
        self._room: Final = usual_room()

    def open(self, lane: Lane) -> None:
        """Serve a lane's port. Raises OSError."""
        direction = lane.direction
        rx = self._sockets[direction.key]
        self._forwarder.open(direction.key, rx, _Taker(self, lane))
        widen(rx, self._room)
        if direction.tos:
            self.mark(lane)

    def close(self, lanes: list[Lane]) -> None:
        """Stop serving these lanes' ports."""
        keys = [lane.direction.key for lane in lanes]
        for lane, key in zip(lanes, keys, strict=True):
            self.floods.signal(lane)  # the next call knows nothing of this one's strangers
            narrow(self._sockets[key])  # first: closing empties it
        self._forwarder.close(keys)

    def mark(self, lane: Lane) -> None:
        """Mark what leaves a lane's port as the plan says."""
        self._forwarder.mark(lane.direction.key, lane.direction.tos)

    def refresh(self, lanes: list[Lane]) -> None:
        """Tell the fast path what these RTP lanes are now, as one batch."""
        flows = [flow_of(lane) for lane in lanes]
        for lane, flow in zip(lanes, flows, strict=True):
            lane.flow = flow
        self._forwarder.install(flows)

    def take(self, lane: Lane, data: memoryview, source: Address, now: float) -> None:
        """A packet that the fast path has punted on a lane's port."""
        self.punts += 1
        judge = self._rtp if lane.direction.component == Component.RTP else self._rtcp
        if not judge(lane, data, source, now):
            self.floods.stranger(lane, now)

    # RTP

    def _rtp(self, lane: Lane, data: memoryview, source: Address, now: float) -> bool:
        """One packet on an RTP port. Returns whether its source is somebody's."""
        kind = classify(data)
        direction = lane.direction
        if kind == Kind.RTCP and direction.muxed:
            return self._muxed(lane, data, source, now)
        if kind == Kind.RTCP and data[1] & 0x7F in direction.clock_rates and len(data) > 11:
            # Payload types 64..95 with the marker look like RTCP (RFC 5761 §4). Signalled ones are
            # RTP: without rtcp-mux there is no RTCP on this port.
            kind = Kind.RTP
        if kind != Kind.RTP:
            lane.drop(_NOT_RTP[kind])
            return lane.latch.expected == source
        packet: Packet = data
        proof = Proof.NONE
        if lane.srtp_in is not None:
            _, _, sequence, _, ssrc = _read_header(data)
            before = lane.srtp_in.index(ssrc)
            clear, of_former = unlock(lane, lane, opened, data, source, now)
            if clear is None:
                return lane.latch.expected == source
            if of_former:  # it comes from where it came from before, and proves nothing
                self._carry(lane, clear, len(data), now)
                return True
            packet = clear
            # It is this packet's index, not one that a thread of the fast path has just accepted.
            after = lane.srtp_in.index(ssrc)
            newest = 0 <= before < after and after & 0xFFFF == sequence
            proof = Proof.NEWEST if newest else Proof.AUTHENTIC
        was_locked = lane.latch.locked
        outcome = lane.latch.consider(source, now, proof)
        if outcome == Outcome.REFUSED:
            lane.drop(DropReason.WRONG_SOURCE)
            return False
        unknown = self._carry(lane, packet, len(data), now)
        self._learnt(lane, outcome, unknown=unknown and was_locked)
        return True

    def _learnt(self, lane: Lane, outcome: Outcome, *, unknown: bool) -> None:
        """What a packet means for the fast path.

        Args:
            lane: of RTP.
            outcome: what the latch says of it.
            unknown: the fast path does not know, or no longer, what the lane is.
        """
        if outcome == Outcome.LOCKED:
            self._settle(lane)
            self._latched(lane)
        elif outcome == Outcome.CHANGED or unknown:
            self._settle(lane)

    def _settle(self, lane: Lane) -> None:
        """The fast path shall have the stream, and its peer our packets. A source that is only
        provisional gets them already and has a socket of its own, but its packets still come here.
        """
        if lane.opposite is not None:
            self.refresh([lane, lane.opposite])

    def _carry(self, lane: Lane, packet: Packet, size: int, now: float) -> bool:
        """An RTP packet of the peer's. Returns whether it would be the fast path's to carry."""
        _, second, sequence, timestamp, ssrc = _read_header(packet)
        unknown = lane.flow is None or not punts(lane.flow, second, ssrc, sequence)
        numbering: Numbering | DropReason | None = None
        renumbering = lane.renumbering
        if renumbering is not None:
            settled = renumbering.settled
            numbering = renumbering.consider(
                ssrc, sequence, timestamp, lane.reception, lane.srtp_out, now
            )
            unknown = unknown or renumbering.settled != settled
        if numbering == DropReason.SSRC:
            lane.drop(DropReason.SSRC)
            return False
        if numbering == DropReason.SEQUENCE and ssrc != lane.reception.ssrc:
            lane.drop(DropReason.SEQUENCE)  # not counted: it would be the first of its source
            return False
        lane.reception.packet(second, sequence, timestamp, ssrc, size, now)
        if isinstance(numbering, DropReason):
            lane.drop(numbering)
        elif self._allowed(lane, size, now):
            if lane.direction.crossing.has_digits and self.digits.takes(lane, packet, now):
                lane.drop(DropReason.DTMF)
            else:
                self._cross(lane, packet, second, numbering)
        return unknown

    def _cross(self, lane: Lane, packet: Packet, second: int, numbering: Numbering | None) -> None:
        """Steps 8 to 14 of the contract (relay.forward.base)."""
        direction = lane.direction
        types = direction.crossing.types
        if types is not None and types[second & 0x7F] == Verdict.DROP:
            lane.drop(DropReason.PAYLOAD_TYPE)
        elif direction.held:
            lane.drop(DropReason.HELD)
        elif direction.crossing is PLAIN:
            self._send(lane, packet)
        elif destination_of(lane) is None:
            lane.drop(DropReason.UNLATCHED)
        else:
            flow = flow_of(lane)
            flow.numbering = numbering
            leaving = changed(flow, packet)
            if isinstance(leaving, DropReason):
                lane.drop(leaving)
            else:
                self._send(lane, leaving)

    # RTCP

    def _rtcp(self, lane: Lane, data: memoryview, source: Address, now: float) -> bool:
        """One datagram on an RTCP port. Returns whether it was worth the time.

        No fast path has policed it: who forges the peer's address shall not keep this one busy.
        """
        kind = classify(data)
        if kind != Kind.RTCP:
            lane.drop(_NOT_RTCP.get(kind, DropReason.RTCP_MALFORMED))
            return False
        return self._report(lane, lane, data, source, now)

    def _muxed(self, lane: Lane, data: memoryview, source: Address, now: float) -> bool:
        """RTCP on the RTP port (RFC 5761): one transport, so one latch."""
        if lane.beside is None:
            return False
        return self._report(lane.beside, lane, data, source, now) or lane.latch.expected == source

    def _report(
        self, lane: Lane, port: Lane, data: memoryview, source: Address, now: float
    ) -> bool:
        """RTCP. Returns whether it was worth the time.

        Args:
            lane: of RTCP.
            port: whose port it came to.
            data, source, now: the datagram.
        """
        packet: Packet = data
        proof = Proof.NONE
        if lane.srtp_in is not None:
            before = lane.srtp_in.rtcp_index
            clear, of_former = unlock(lane, port, opened_rtcp, data, source, now)
            if clear is None:
                return False
            if of_former:
                if self._allowed(lane, len(data), now):
                    self._cross_rtcp(lane, clear, now)
                return True
            packet = clear
            proof = Proof.NEWEST if 0 < before < lane.srtp_in.rtcp_index else Proof.AUTHENTIC
        outcome = port.latch.consider(source, now, proof)
        if outcome == Outcome.REFUSED:
            lane.drop(DropReason.WRONG_SOURCE)
            return False
        allowed = self._allowed(lane, len(data), now)
        if allowed:
            self._cross_rtcp(lane, packet, now)
        if port is not lane:
            self._learnt(port, outcome, unknown=False)  # last: it may receive, into this memory
        return allowed

    def _cross_rtcp(self, lane: Lane, packet: Packet, now: float) -> None:
        try:
            crossing = rtcp.rewrite(packet, terms_of(lane, self._secret))
        except ParseError:
            lane.drop(DropReason.RTCP_MALFORMED)
            return
        lane.heard = now
        if not crossing:
            lane.drop(DropReason.RTCP_EMPTY)
            return
        if lane.srtp_out is not None and destination_of(lane) is not None:
            sealed = sealed_rtcp(lane.srtp_out, crossing)
            if isinstance(sealed, DropReason):
                lane.drop(sealed)
                return
            crossing = sealed
        if self._send(lane, crossing):
            lane.rtcp_packets += 1
            _time(lane, packet, now)

    # both

    def send_own(self, lane: Lane, packet: bytes) -> None:
        """Send an RTP packet of ours the way that a lane's packets go."""
        if lane.direction.held:
            lane.drop(DropReason.HELD)
            return
        if lane.srtp_out is not None:
            sealed = sealed_rtp(lane.srtp_out, packet)
            if isinstance(sealed, DropReason):
                lane.drop(sealed)
                return
            packet = sealed
        self._send(lane, packet)

    def _send(self, lane: Lane, data: Packet) -> bool:
        destination = destination_of(lane)
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


class _Taker:
    """What a fast path hands a lane's punted packets to: one for each port, so it is small."""

    __slots__ = ("_lane", "_path")

    def __init__(self, path: SlowPath, lane: Lane) -> None:
        self._path = path
        self._lane = lane

    def __call__(self, data: memoryview, source: Address, now: float) -> None:
        self._path.take(self._lane, data, source, now)


def _time(lane: Lane, packet: Packet, now: float) -> None:
    """What RTCP that has crossed says of the ways to both peers and back."""
    found = rtcp.packets(packet)
    other = lane.opposite
    if other is None:
        return
    if other.trip is None:
        other.trip = RoundTrip()
    other.trip.sent(found, now)
    if lane.trip is not None:
        lane.trip.heard(found, now)
