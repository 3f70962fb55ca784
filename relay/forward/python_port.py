"""One open port of the fast path `python`: its sockets, its flow, and the path of each packet.

A plain flow's packets take `receive_peer`, which knows nothing of keys, maps and numbers; those of
a flow that changes packets take `receive_changing`. Which one the loop calls is settled when the
flow is installed.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol

from relay.forward.base import Address, DropReason, Flow, Key, Punt, Verdict
from relay.forward.change import Packet, changed, is_plain, opened, punts
from relay.forward.memory import Memory
from relay.policer import Policer
from relay.rtp.packet import FIXED_HEADER, MIN_SIZE
from relay.sockets import connect_beside, mark

__all__ = ["Owner", "Port"]

_ADVANCE: Final = 16
"""The policer is asked for the allowance of so many packets at once: exact to that number."""
_BURST_S: Final = 2.0
_OVERTAKEN: Final = 64
"""Packets that may wait on `rx` when the peer's own socket is made."""
_INHERITED: Final = 4096
"""Packets of a socket which was somebody else's that are looked at in one go: mostly all."""
_ON_THEIR_WAY: Final = 64
"""Packets whose source is still looked at once a connected socket was empty: others' that were on
their way into it, a few for each processor."""
_FOR_EVER: Final = 1 << 62
_DROP: Final = int(Verdict.DROP)
_PUNT: Final = int(Verdict.PUNT)

_read_header = FIXED_HEADER.unpack_from


class Owner(Protocol):
    """Whose port it is: who polls its sockets."""

    unconnected: int
    resent: int

    def watch_peer(self, port: Port) -> None:
        """Poll its connected socket."""

    def doubt_peer(self, port: Port) -> None:
        """That socket was another peer's, whose packets may be in it."""

    def trust_peer(self, port: Port) -> None:
        """Nothing of others can be in that socket any more; or its flow is of another kind."""

    def unwatch_peer(self, port: Port) -> None:
        """Stop polling it."""


_NO_POLICER: Final = Policer(0.0, 0.0, 0.0)


class Port:
    """One open port and its flow."""

    __slots__ = (
        "_buffer",
        "_credit",
        "_destination",
        "_feeder",
        "_flow",
        "_forwarder",
        "_memory",
        "_out",
        "_packet",
        "_plain",
        "_policer",
        "_punt",
        "_punts",
        "_reason",
        "_receive",
        "_send",
        "_source",
        "_tos",
        "_unit",
        "_unsure",
        "_views",
        "drops",
        "key",
        "muted",
        "rx",
        "shut",
        "tx",
    )

    def __init__(
        self,
        forwarder: Owner,
        key: Key,
        rx: socket.socket,
        punt: Punt,
        memory: Memory,
    ) -> None:
        self.key = key
        self.rx: Final = rx
        self.tx: socket.socket | None = None
        self.drops: dict[DropReason, int] | None = None
        self.muted = False
        self.shut = False
        self._forwarder = forwarder
        self._memory = memory
        self._buffer = memory.buffer
        self._views = memory.views
        self._punt = punt
        self._flow: Flow | None = None
        self._plain = True
        self._source: Address | None = None
        self._out: Port | None = None
        self._feeder: Port | None = None  # the port whose flow leaves from this one
        self._policer = _NO_POLICER
        self._unsure = 0
        self._reason = DropReason.UNLATCHED
        self._punts: Policer | None = None
        self._tos = 0

    def receive_any(self, now: float) -> None:
        """One packet from the unconnected socket."""
        self._receive_from(self.rx, now)

    def _receive_from(self, one: socket.socket, now: float) -> bool:
        """One packet, if there is one, from a socket that others' may have come to."""
        try:
            size, address = _received(one, self._buffer)
        except OSError:
            return False
        source: Address = address if len(address) == 2 else address[:2]
        if source == self._source:
            self._match_any(size, now)
        else:
            self._punt(self._memory.view(size), source, now)
        return True

    def receive_new_peer(self, now: float) -> None:
        """One packet from a socket that was connected just now.

        Others' packets that landed in it before it was connected to this peer are told apart here;
        after the first packets the kernel's own check of the source is all that is needed.
        """
        if self.tx is None or not self._receive_from(self.tx, now):
            return
        self._unsure -= 1
        if self._unsure <= 0:
            self._forwarder.trust_peer(self)

    def receive_peer(self, now: float) -> None:
        """One packet from the connected socket: the kernel has checked its source."""
        receive = self._receive  # `self._receive(…)` would be looked up as a method: the slow way
        try:
            size = receive(self._buffer)
        except OSError:
            return  # an ICMP error of an earlier send: this call has cleared it
        self._match(size, now)

    def receive_changing(self, now: float) -> None:
        """The same for a flow that changes packets."""
        receive = self._receive
        try:
            size = receive(self._buffer)
        except OSError:
            return
        self._match_changing(size, now)

    @property
    def peer_handler(self) -> Callable[[float], None]:
        """What the loop calls for the connected socket."""
        if self._unsure > 0:
            return self.receive_new_peer
        return self.receive_peer if self._plain else self.receive_changing

    def _match_any(self, size: int, now: float) -> None:
        if self._plain:
            self._match(size, now)
        else:
            self._match_changing(size, now)

    def _match(self, size: int, now: float) -> None:
        """A packet from the flow's source."""
        if size < MIN_SIZE:
            self._punt_own(size, now)
            return
        first, second, sequence, timestamp, ssrc = _read_header(self._buffer)
        if first & 0xC0 != 0x80 or 192 <= second <= 223:
            self._punt_own(size, now)
            return
        count = self._packet
        count(second, sequence, timestamp, ssrc, size, now)
        cost = size if size > self._unit else self._unit
        if cost > self._credit and not self._regrant(cost, now):
            self._drop(DropReason.POLICED)
            return
        self._credit -= cost
        send = self._send
        if send is None:
            self._drop(self._reason)
            return
        data = self._views[size] if size < 2049 else self._memory.view(size)
        try:
            if self._destination is None:
                send(data)
            else:
                send(data, self._destination)
        except OSError:
            self._send_again(data)

    def _match_changing(self, size: int, now: float) -> None:
        """A packet from the source of a flow that does more than forward."""
        flow, data = self._flow, self._memory.view(size)
        if size < MIN_SIZE or flow is None or flow.verdict == _PUNT:
            self._punt_own(size, now)
            return
        first, second, sequence, timestamp, ssrc = _read_header(data)
        if first & 0xC0 != 0x80 or 192 <= second <= 223 or punts(flow, second, ssrc, sequence):
            self._punt_own(size, now)
            return
        packet: Packet = data
        if flow.srtp_in is not None:
            clear = opened(flow.srtp_in, data)
            if isinstance(clear, DropReason):
                self._drop(clear)
                return
            packet = clear
        self._packet(second, sequence, timestamp, ssrc, size, now)
        cost = max(size, self._unit)
        if cost > self._credit and not self._regrant(cost, now):
            self._drop(DropReason.POLICED)
            return
        self._credit -= cost
        if flow.types is not None and flow.types[second & 0x7F] == _DROP:
            self._drop(DropReason.PAYLOAD_TYPE)
        elif self._send is None:
            self._drop(self._reason)
        else:
            leaving = changed(flow, packet)
            if isinstance(leaving, DropReason):
                self._drop(leaving)
            else:
                self._send_changed(leaving)

    def _send_changed(self, data: Packet) -> None:
        try:
            self._send_to_peer(data)
        except OSError:
            self._send_again(data)

    def _send_again(self, data: Packet) -> None:
        """Once more: the error may be an earlier packet's (ECONNREFUSED by ICMP)."""
        self._forwarder.resent += 1
        try:
            self._send_to_peer(data)
        except OSError:
            self._drop(DropReason.UNSENT)

    def _send_to_peer(self, data: Packet) -> None:
        if self._send is None:
            self._drop(self._reason)
        elif self._destination is None:
            self._send(data)
        else:
            self._send(data, self._destination)

    def _punt_own(self, size: int, now: float) -> None:
        """The flow's source, and the slow path's affair: RTCP, STUN, another SSRC.

        No more of that than of media: whoever forges the source shall not keep the slow path busy.
        """
        if self._source is None or self._flow is None:
            return
        if self._punts is None:
            rate = self._flow.rate_octets
            self._punts = Policer(rate, _BURST_S * rate, now)
        if self._punts.take(max(size, self._unit), now):
            self._punt(self._memory.view(size), self._source, now)
        else:
            self._drop(DropReason.POLICED)

    def mark(self, tos: int) -> None:
        """Set the byte that packets from this port bear."""
        if tos != self._tos:
            self._tos = tos
            mark(self.rx, tos)
            if self.tx is not None:
                mark(self.tx, tos)

    def install(self, flow: Flow, out: Port) -> None:
        """Put a flow in force."""
        before, was_plain, moved = self._flow, self._plain, flow.source != self._source
        self._flow = flow
        self._plain = is_plain(flow)
        self._reason = flow.reason
        self._packet = flow.reception.packet
        self._unit = flow.unit_octets
        if before is None or before.rate_octets != flow.rate_octets:
            self._policer = Policer(flow.rate_octets, _BURST_S * flow.rate_octets, 0.0)
            self._credit = 0.0
            self._punts = None
        if moved:
            self._connect(flow.source)
        if self._out is not out:
            self._unlink()
            self._out = out
            out._feeder = self
        self._aim()
        if self._feeder is not None:
            self._feeder._aim()
        if moved and self.tx is not None:
            self._overtaken(self.tx)
        elif self._plain != was_plain:
            self._forwarder.trust_peer(self)

    def _overtaken(self, tx: socket.socket) -> None:
        """Packets of the peer that wait on `rx` come before those on its own socket; and what of
        others has landed there before it was connected is told apart at once."""
        self._unsure = _FOR_EVER
        for one, most in ((self.rx, _OVERTAKEN), (tx, _INHERITED)):
            for _ in range(most):
                if not self._receive_from(one, time.monotonic()):
                    if one is tx:
                        self._unsure = _ON_THEIR_WAY
                    break

    def forget(self) -> None:
        """Have no flow; packets are punted."""
        self._flow = None
        self._source = None
        feeder = self._feeder
        self._disconnect()
        if feeder is not None:
            feeder._aim()
        self._unlink()

    def _unlink(self) -> None:
        if self._out is not None and self._out._feeder is self:
            self._out._feeder = None
        self._out = None

    def _aim(self) -> None:
        """Settle how this flow's packets are sent."""
        flow, out = self._flow, self._out
        self._send: Callable[..., int] | None = None
        self._destination: Address | None = None
        if flow is None or out is None or out.shut or flow.verdict != Verdict.FORWARD:
            return
        if out.tx is not None and out._source == flow.destination:
            self._send = out.tx.send
        elif flow.destination is not None:
            self._send = out.rx.sendto
            self._destination = flow.destination

    def _connect(self, source: Address | None) -> None:
        """The flow's source, and a socket for it: the former source's, if there was one, for that
        costs a tenth of a new one."""
        self._source = source
        if source is not None and self.tx is not None:
            with suppress(OSError):
                self.tx.connect(source)
                self._forwarder.doubt_peer(self)
                return
        self._disconnect()
        if source is None:
            return
        try:
            self.tx = connect_beside(self.rx, source)
            self._receive: Callable[..., int] = self.tx.recv_into
            if self._tos:
                mark(self.tx, self._tos)
            self._forwarder.watch_peer(self)
        except OSError:
            # Out of descriptors, or no route: everything goes on over `rx`, only dearer.
            self._forwarder.unconnected += 1
            if self.tx is not None:
                self.tx.close()
                self.tx = None

    def _disconnect(self) -> None:
        if self.tx is not None:
            self._forwarder.unwatch_peer(self)
            self.tx.close()
            self.tx = None

    def _regrant(self, cost: int, now: float) -> bool:
        self._credit += self._policer.grant(_ADVANCE * self._unit + cost, now)
        return cost <= self._credit

    def _drop(self, reason: DropReason) -> None:
        if self.drops is None:
            self.drops = {}
        self.drops[reason] = self.drops.get(reason, 0) + 1


def _received(one: socket.socket, buffer: bytearray) -> tuple[int, Any]:
    """One packet: its size and source. Raises OSError: there is none."""
    try:
        return one.recvfrom_into(buffer)
    except BlockingIOError:
        raise
    except OSError:  # an ICMP error of an earlier send, which this call has cleared
        return one.recvfrom_into(buffer)
