"""The portable fast path, and the specification of the others: epoll, one receive, one send.

Each open port has a handler in the loop's dictionary, a method bound once, that receives into one
buffer shared by all; what it needs for a packet was looked up when the flow was installed. The
source of every packet is checked: that of a connected socket by the kernel, except for the first
packets after its connect, which may have come before it and are looked at here.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from relay.forward.base import Address, DropReason, Flow, Key, Punt, Verdict
from relay.loop import Loop
from relay.policer import Policer
from relay.rtp.packet import FIXED_HEADER, MIN_SIZE
from relay.rtp.session import SrtpSession
from relay.rtp.srtp import new_session
from relay.sockets import connect_beside, empty, mark, readable
from relay.stats import Reception

__all__ = ["PythonForwarder"]

_LARGEST: Final = 65536
_ADVANCE: Final = 16
"""The policer is asked for the allowance of so many packets at once: exact to that number."""
_BURST_S: Final = 2.0
_STRANGERS_PER_S: Final = 200.0
_STRANGERS_AT_ONCE: Final = 400.0
_MUTED_S: Final = 0.25
_UNSURE: Final = 64
"""Packets of a new connected socket whose source is looked at; more than can have landed there."""
_STALE: Final = 64

_read_header = FIXED_HEADER.unpack_from


class _Memory:
    """One packet's room, and views of it by size: a slice for each packet would be an object."""

    __slots__ = ("buffer", "views")

    def __init__(self) -> None:
        self.buffer = bytearray(_LARGEST)
        whole = memoryview(self.buffer)
        self.views = [whole[:size] for size in range(2049)]

    def view(self, size: int) -> memoryview:
        return self.views[size] if size < 2049 else memoryview(self.buffer)[:size]


class PythonForwarder:
    """Fast path `python`. It lives in the worker's loop and thread.

    Args:
        loop: where its sockets are polled.
    """

    name = "python"

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._memory = _Memory()
        self._ports: dict[Key, _Port] = {}
        self._muted: deque[tuple[float, _Port]] = deque()
        self.unconnected = 0
        """Flows that stay on their unconnected socket for want of a descriptor."""
        self.mutes = 0

    def __len__(self) -> int:
        """Open ports."""
        return len(self._ports)

    def reception(self, clock_rates: Mapping[int, int]) -> Reception:
        """What a direction's packets are counted in, here and by the slow path."""
        return Reception(clock_rates)

    def session(self, suite: str, key: bytes, mki: bytes, roc: int) -> SrtpSession:
        """A session for flows and for the slow path."""
        return new_session(suite, key, mki, roc)

    def mark(self, key: Key, tos: int) -> None:
        """Set the byte that packets from this port bear."""
        self._ports[key].mark(tos)

    def open(self, key: Key, rx: socket.socket, punt: Punt) -> None:
        """Serve a port: every packet is punted until a flow is installed. Raises OSError."""
        empty(rx)
        mark(rx, 0)
        port = _Port(self, key, rx, punt, self._memory)
        self._loop.watch(rx.fileno(), port.receive_any)
        self._ports[key] = port

    def close(self, keys: Sequence[Key]) -> None:
        """Stop serving these ports."""
        for key in keys:
            port = self._ports.pop(key, None)
            if port is not None:
                port.shut = True
                port.forget()
                if not port.muted:
                    self._loop.unwatch(port.rx.fileno())
                empty(port.rx)

    def install(self, flows: Sequence[Flow]) -> None:
        """Add or replace flows, as one batch."""
        for flow in flows:
            self._ports[flow.key].install(flow, self._ports[flow.out])

    def remove(self, keys: Sequence[Key]) -> None:
        """Forget these flows; their ports punt again."""
        for key in keys:
            port = self._ports.get(key)
            if port is not None:
                port.forget()

    def flush(self) -> None:
        """Forget all flows."""
        self.remove(list(self._ports))

    def counters(self, key: Key) -> dict[DropReason, int]:
        """What was dropped on this port since it was opened."""
        port = self._ports.get(key)
        return dict(port.drops or {}) if port is not None else {}

    def send(self, key: Key, data: memoryview | bytes, destination: Address) -> bool:
        """Send one packet from an open port."""
        try:
            self._ports[key].rx.sendto(data, destination)
        except OSError:
            return False
        return True

    def between(self, now: float) -> None:
        """Listen again to ports that a flood had muted; called between rounds."""
        muted = self._muted
        while muted and muted[0][0] <= now:
            port = muted.popleft()[1]
            if not port.shut:
                port.muted = False
                self._loop.watch(port.rx.fileno(), port.receive_any)

    def watch_peer(self, port: _Port) -> None:
        """Poll a port's connected socket."""
        if port.tx is not None:
            self._loop.watch(port.tx.fileno(), port.receive_new_peer)

    def trust_peer(self, port: _Port) -> None:
        """Nothing of others can be in that socket any more."""
        if port.tx is not None:
            self._loop.serve_by(port.tx.fileno(), port.receive_peer)

    def unwatch_peer(self, port: _Port) -> None:
        """Stop polling it, before it is closed."""
        if port.tx is not None:
            self._loop.unwatch(port.tx.fileno())

    def mute(self, port: _Port, now: float) -> None:
        """Leave a flooded port alone for a moment; a latched peer is on its other socket."""
        self.mutes += 1
        port.muted = True
        self._loop.unwatch(port.rx.fileno())
        self._muted.append((now + _MUTED_S, port))


_NO_POLICER: Final = Policer(0.0, 0.0, 0.0)


class _Port:
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
        "_policer",
        "_punt",
        "_reason",
        "_receive",
        "_send",
        "_source",
        "_strangers",
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
        forwarder: PythonForwarder,
        key: Key,
        rx: socket.socket,
        punt: Punt,
        memory: _Memory,
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
        self._source: Address | None = None
        self._out: _Port | None = None
        self._feeder: _Port | None = None  # the port whose flow leaves from this one
        self._policer = _NO_POLICER
        self._reason = DropReason.UNLATCHED
        self._strangers: Policer | None = None
        self._tos = 0

    def receive_any(self, now: float) -> None:
        """One packet from the unconnected socket."""
        try:
            size, address = self.rx.recvfrom_into(self._buffer)
        except OSError:
            return
        source: Address = address if len(address) == 2 else address[:2]
        if source == self._source:
            self._match(size, now)
        elif not self._punt(self._memory.view(size), source, now):
            self._stranger(now)

    def receive_new_peer(self, now: float) -> None:
        """One packet from a socket that was connected just now.

        Others' packets that landed in it between its bind and its connect are told apart here;
        after the first packets the kernel's own check of the source is all that is needed.
        """
        if self.tx is None:
            return
        try:
            size, address = self.tx.recvfrom_into(self._buffer)
        except OSError:
            return
        if address[:2] == self._source:
            self._match(size, now)
        else:
            self._punt(self._memory.view(size), address[:2], now)
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

    def _punt_own(self, size: int, now: float) -> None:
        """Not RTP, but from the flow's source."""
        if self._source is not None:
            self._punt(self._memory.view(size), self._source, now)

    def mark(self, tos: int) -> None:
        """Set the byte that packets from this port bear."""
        if tos != self._tos:
            self._tos = tos
            mark(self.rx, tos)
            if self.tx is not None:
                mark(self.tx, tos)

    def install(self, flow: Flow, out: _Port) -> None:
        """Put a flow in force."""
        before, tx_before = self._flow, self.tx
        self._flow = flow
        self._reason = flow.reason
        self._packet = flow.reception.packet
        self._unit = flow.unit_octets
        if before is None or before.rate_octets != flow.rate_octets:
            self._policer = Policer(flow.rate_octets, _BURST_S * flow.rate_octets, 0.0)
            self._credit = 0.0
        source = None if flow.verdict == Verdict.PUNT else flow.source
        if source != self._source:
            self._disconnect()
            self._source = source
            if source is not None:
                self._connect(source)
        if self._out is not out:
            self._unlink()
            self._out = out
            out._feeder = self
        self._aim()
        if self._feeder is not None:
            self._feeder._aim()
        if self.tx is not None and self.tx is not tx_before:
            self._overtaken()

    def _overtaken(self) -> None:
        """Packets of the peer that wait on `rx` come before those on the new socket."""
        for _ in range(_STALE):
            if not readable(self.rx):
                break
            self.receive_any(time.monotonic())

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

    def _connect(self, source: Address) -> None:
        try:
            self.tx = connect_beside(self.rx, source)
            self._receive: Callable[..., int] = self.tx.recv_into
            if self._tos:
                mark(self.tx, self._tos)
            self._unsure = _UNSURE
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

    def _send_again(self, data: memoryview) -> None:
        """Once more: the error may be an earlier packet's (ECONNREFUSED by ICMP)."""
        with suppress(OSError):
            if self._send is not None:
                if self._destination is None:
                    self._send(data)
                else:
                    self._send(data, self._destination)
                return
        self._drop(DropReason.UNSENT)

    def _drop(self, reason: DropReason) -> None:
        if self.drops is None:
            self.drops = {}
        self.drops[reason] = self.drops.get(reason, 0) + 1

    def _stranger(self, now: float) -> None:
        if self._strangers is None:
            self._strangers = Policer(_STRANGERS_PER_S, _STRANGERS_AT_ONCE, now)
        if not self._strangers.take(1.0, now) and not self.muted and not self.shut:
            self._forwarder.mute(self, now)
