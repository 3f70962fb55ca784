"""A worker's insides on real loopback sockets, in one thread: the test is the clock's owner.

`Rig` is what the supervisor and the worker's shell are otherwise: it binds ports, makes a fast
path, a slow path and a service, and runs the loop for as long as a test wants.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from relay.control.messages import DirectionStats, End, Event, Plan, Stream
from relay.flow_table import FlowTable
from relay.forward.base import Forwarder
from relay.forward.native import NativeForwarder
from relay.loop import Loop
from relay.port_desk import PortDesk
from relay.service import Service

OURS = {"inside": "127.0.5.1", "outside": "127.0.5.2"}
"""Where the relay's ports are, by realm."""
PAIRS = 8
SESSION = "test"

_HEADER = struct.Struct("!BBHII")


def rtp(
    sequence: int,
    payload: bytes = b"\xd5" * 160,
    *,
    ssrc: int = 0x1234,
    payload_type: int = 0,
    timestamp: int | None = None,
    marker: bool = False,
) -> bytes:
    """One RTP packet."""
    stamp = sequence * 160 if timestamp is None else timestamp
    second = payload_type | (0x80 if marker else 0)
    return _HEADER.pack(0x80, second, sequence & 0xFFFF, stamp & 0xFFFFFFFF, ssrc) + payload


class Peer:
    """A peer's UDP socket, blocking with a short timeout."""

    def __init__(self, host: str, port: int = 0) -> None:
        self.socket = socket.socket(
            socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM
        )
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.bind((host, port))
        self.socket.setblocking(False)
        self.address: tuple[str, int] = self.socket.getsockname()[:2]

    def send(self, data: bytes, to: tuple[str, int]) -> None:
        self.socket.sendto(data, to)

    def all(self) -> list[tuple[bytes, tuple[str, int]]]:
        """Everything that has come, with its sources."""
        found = []
        while True:
            try:
                data, source = self.socket.recvfrom(65536)
            except BlockingIOError:
                return found
            found.append((data, source[:2]))

    def received(self) -> list[bytes]:
        return [data for data, _ in self.all()]

    def errors(self) -> int:
        """The pending ICMP error of the socket, 0 if there is none."""
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def close(self) -> None:
        self.socket.close()


def peer_pair(host: str) -> tuple[Peer, Peer]:
    """RTP on an even port and RTCP above it."""
    for _ in range(100):
        first = Peer(host)
        if first.address[1] % 2 == 0:
            try:
                return first, Peer(host, first.address[1] + 1)
            except OSError:
                pass
        first.close()
    raise AssertionError("no free pair of ports")


class Rig:
    """One worker without its process."""

    def __init__(
        self,
        make: Callable[[Loop], Forwarder],
        *,
        window_s: float = 0.05,
        quarantine_s: float = 0.0,
        pairs: int = PAIRS,
        ours: dict[str, str] | None = None,
    ) -> None:
        self.loop = Loop(lambda now: now)
        self.forwarder: Any = make(self.loop)
        self.events: list[tuple[Event, Any]] = []
        self.needs: list[str] = []
        self.ours = ours or OURS
        self.sockets: list[socket.socket] = []
        self._memfd = os.memfd_create("test-flows")
        self.table = FlowTable(self._memfd, 4 * pairs)
        self.desk = PortDesk(self.table, quarantine_s, self.ours.items(), self._notify, self._need)
        self.service = Service(
            self.forwarder, self.desk, self.table, bytes(32), window_s, self._notify
        )
        self.peers: list[Peer] = []
        for index, (realm, address) in enumerate(self.ours.items()):
            ports, sockets = bind_pairs(address, pairs)
            self.sockets += sockets
            self.desk.add_block(realm, address, ports, 2 * pairs * index, sockets, time.monotonic())

    def _need(self, realm: str, address: str) -> None:
        self.needs.append(realm)

    def _notify(self, event: Event, body: object) -> bool:
        self.events.append((event, body))
        return True

    def run(self, seconds: float = 0.0) -> None:
        """The loop, until nothing has been ready for a moment, and at least so long."""
        end = time.monotonic() + seconds
        quiet = 0
        while quiet < 2 or time.monotonic() < end:
            passes = self._ready()
            if passes and not self._polled():
                time.sleep(0.0002)  # the thread of the fast path has it: nothing to wait for here
                continue
            self.loop.run_once()
            self.forwarder.between(time.monotonic())
            self.service.slowpath.floods.between(time.monotonic())
            if not self.service.digits.idle:
                self.service.digits.work(time.monotonic())
            quiet = 0 if passes else quiet + 1

    def _ready(self) -> bool:
        return self._polled() or not getattr(self.forwarder, "quiet", True)

    def _polled(self) -> bool:
        poll = select.poll()
        poll.register(self.loop._epoll.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def lease(self, realm: str) -> tuple[str, int]:
        return self.service.lease(realm, 1, SESSION, time.monotonic())[0]

    def end(self, realm: str, remote: tuple[str, int] | None, **more: Any) -> End:
        address, port = self.lease(realm)
        return End(realm, address, port, remote, **more)

    def apply(self, plan: Plan) -> int:
        return self.service.apply(plan, SESSION, time.monotonic())

    def peer(self, host: str) -> Peer:
        peer = Peer(host)
        self.peers.append(peer)
        return peer

    def stats(self, call: str = "call", side: str = "a", stream: int = 0) -> DirectionStats:
        found = self.service.query(call, time.monotonic()).streams[stream]
        return found.a if side == "a" else found.b

    def dropped(self, side: str = "a") -> dict[str, int]:
        return dict(self.stats("call", side).dropped)

    def close(self) -> None:
        for key in list(self.service.calls):
            self.service.remove(key, time.monotonic())
        for one in self.sockets:
            one.close()
        for peer in self.peers:
            peer.close()
        if isinstance(self.forwarder, NativeForwarder):
            self.forwarder.stop()
        self.loop.close()
        self.table.close()
        os.close(self._memfd)


def bind_pairs(address: str, count: int) -> tuple[tuple[int, ...], list[socket.socket]]:
    """Ports as a supervisor binds them: RTP even, RTCP above, without SO_REUSEPORT."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    ports: list[int] = []
    sockets: list[socket.socket] = []
    port = 14000 + os.getpid() % 500 * 32
    while len(ports) < count:
        pair = [socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) for _ in range(2)]
        try:
            for offset, one in enumerate(pair):
                one.bind((address, port + offset))
        except OSError:
            for one in pair:
                one.close()
        else:
            ports.append(port)
            sockets += pair
        port += 2
    return tuple(ports), sockets


class Talk:
    """A call of two peers through a rig: the most common set-up of a test."""

    call = "call"

    def __init__(
        self,
        rig: Rig,
        a: dict[str, Any] | None = None,
        b: dict[str, Any] | None = None,
        call: str = call,
    ):
        self.rig = rig
        self.call = call
        self.a, self.a_rtcp = peer_pair("127.0.6.1")
        self.b, self.b_rtcp = peer_pair("127.0.6.2")
        rig.peers += (self.a, self.a_rtcp, self.b, self.b_rtcp)
        usual = {"expects": True, "clock_rates": {0: 8000}}
        self.end_a = rig.end("inside", self.a.address, **(usual | (a or {})))
        self.end_b = rig.end("outside", self.b.address, **(usual | (b or {})))
        self.revision = 0
        self.apply()

    def apply(self, **more: Any) -> None:
        """The next revision of the plan."""
        self.revision += 1
        stream = Stream(0, "audio", self.end_a, self.end_b)
        self.rig.apply(Plan(self.call, self.revision, [stream], **more))

    @property
    def to_a(self) -> tuple[str, int]:
        """Where A's peer sends to."""
        return self.end_a.address, self.end_a.port

    @property
    def to_b(self) -> tuple[str, int]:
        return self.end_b.address, self.end_b.port

    def both_speak(self, count: int = 3, start: int = 1) -> None:
        """Packets both ways, one after the other."""
        for number in range(start, start + count):
            self.a.send(rtp(number, b"from a" * 20), self.to_a)
            self.b.send(rtp(number, b"from b" * 20), self.to_b)
            self.rig.run()
