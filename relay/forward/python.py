"""The portable fast path, and the specification of the others: epoll, one receive, one send.

Each open port has a handler in the loop's dictionary, a method bound once, that receives into one
buffer shared by all; what it needs for a packet was looked up when the flow was installed. The
source of every packet is checked: that of a connected socket by the kernel, except for the first
packets after its connect, which may have come before it and are looked at here.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence

from relay.forward.base import Address, DropReason, Flow, Key, Punt
from relay.forward.memory import Memory
from relay.forward.python_port import Port
from relay.loop import Loop
from relay.rtp.session import SrtpSession
from relay.rtp.srtp import new_session
from relay.sockets import empty
from relay.stats import Reception

__all__ = ["PythonForwarder"]


class PythonForwarder:
    """Fast path `python`. It lives in the worker's loop and thread.

    Args:
        loop: where its sockets are polled.
    """

    name = "python"

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._memory = Memory()
        self._ports: dict[Key, Port] = {}
        self.unconnected = 0
        """Flows that stay on their unconnected socket for want of a descriptor."""
        self.resent = 0
        """Packets that were sent once more after an error: most met a closed port's ICMP."""

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
        port = Port(self, key, rx, punt, self._memory)
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
                port.mark(0)

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

    def mute(self, key: Key, *, muted: bool) -> None:
        """Leave a flooded port alone, or listen to it again; an expected peer is on its other
        socket."""
        port = self._ports[key]
        if muted == port.muted:
            return
        port.muted = muted
        if muted:
            self._loop.unwatch(port.rx.fileno())
        else:
            empty(port.rx)
            self._loop.watch(port.rx.fileno(), port.receive_any)

    def between(self, now: float) -> None:
        """Nothing: all that it does is done in the loop."""

    def watch_peer(self, port: Port) -> None:
        """Poll a port's connected socket."""
        if port.tx is not None:
            self._loop.watch(port.tx.fileno(), port.receive_new_peer)

    def doubt_peer(self, port: Port) -> None:
        """A port's connected socket was another peer's, whose packets may be in it."""
        if port.tx is not None:
            self._loop.serve_by(port.tx.fileno(), port.receive_new_peer)

    def trust_peer(self, port: Port) -> None:
        """Nothing of others can be in that socket any more; or its flow is of another kind."""
        if port.tx is not None:
            self._loop.serve_by(port.tx.fileno(), port.peer_handler)

    def unwatch_peer(self, port: Port) -> None:
        """Stop polling it, before it is closed."""
        if port.tx is not None:
            self._loop.unwatch(port.tx.fileno())
