"""SIP over TCP and TLS: listeners, connections, and who is told what (RFC 3261 §18, §26.2).

One task for each listener accepts, one task for each connection reads (`carrier.py`). Sending is
synchronous: `StreamTransport.send` finds or opens the connection and returns; what the kernel
does not take at once waits in a bounded queue, and a task waits with it only as long as that
lasts. Nothing that a sink does inside `send` comes back to it from within `send`: failures are
reported later, from a task.

Limits against peers that only hold connections: a total, a share of it for strangers, a number
for each strange source, the same again for TLS handshakes that are not over, deadlines for the
handshake, the first whole message and the rest of any later one, an idle limit, a deadline for a
peer that does not read.

A connection that a peer has made carries requests to it as long as it lives; nobody calls back
to where it came from (RFC 5626 §3.1), unless its certificate and its Via say that it may be used
as if we had made it (RFC 5923).
"""

from __future__ import annotations

import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import trio

from sbc.errors import ConnectError, FlowClosed, TransportError
from sbc.transaction.hop import TCP, TLS, Hop
from sbc.transport.base import StreamSink
from sbc.transport.carrier import Carrier
from sbc.transport.connection import StreamConnection
from sbc.transport.connections import Connections
from sbc.transport.opening import explain, family_of, is_unicast, name_of
from sbc.transport.seats import Seats
from sbc.transport.settings import TransportSettings
from sbc.transport.tcp_listener import TcpListener
from sbc.transport.tls_contexts import TlsContexts
from sbc.transport.tls_peers import TlsPeers

__all__ = ["StreamTransport"]

_SWEEP_S: Final = 1.0
_NO_DESCRIPTORS_S: Final = 0.1
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s


class StreamTransport:
    """All TCP and TLS listeners and connections of one border.

    Args:
        settings: all listeners; the `udp` ones only lend their host to outgoing connections.
        sink: who is told.
        trunk_of: realm, host → the trunk whose address that is, or "": a stranger, for whom
            there are limits.
        may_connect: realm, host → whether a stranger may begin another TLS handshake now: each
            costs us a millisecond.
        clock: () -> seconds, monotonic; what `now` is in the sink's calls.
        corked: whether who sends calls `flush` after each batch: what goes to one peer then
            leaves in one write.
    """

    __slots__ = (
        "_carrier",
        "_clock",
        "_connections",
        "_corked",
        "_expected",
        "_failures",
        "_handshakes",
        "_last_number",
        "_may_connect",
        "_peers",
        "_seats",
        "_shaking",
        "_sink",
        "_trunk_of",
        "_unwritten",
        "_wake",
        "contexts",
        "counters",
        "listeners",
        "settings",
    )

    def __init__(
        self,
        settings: TransportSettings,
        sink: StreamSink,
        *,
        trunk_of: Callable[[str, str], str] = lambda realm, host: "",
        may_connect: Callable[[str, str], bool] = lambda realm, host: True,
        clock: Callable[[], float] = time.monotonic,
        corked: bool = False,
    ) -> None:
        self.settings = settings
        self.listeners = [
            TcpListener(index, listener)
            for index, listener in enumerate(settings.listeners)
            if listener.transport in ("tcp", "tls")
        ]
        self.contexts: Final = TlsContexts(settings)
        self._carrier = Carrier(settings, sink, clock, self._owner, self._settled)
        self.counters: Counter[str] = self._carrier.counters
        """accepted, connected, connect_failed, refused, closed, received, sent, send_failed,
        handshakes, handshake_failed, pings, timed_out, garbled, no_descriptors."""
        self._sink = sink
        self._trunk_of = trunk_of
        self._may_connect = may_connect
        self._clock = clock
        self._corked = corked
        self._unwritten: set[StreamConnection] = set()
        self._peers = TlsPeers(settings.peers)
        self._connections = Connections()
        self._expected: dict[int, tuple[str, ...]] = {}
        """Of each TLS connection that we made: what its certificate had to bear."""
        self._seats = Seats(settings.tcp_max_connections, settings.tcp_max_per_source)
        self._handshakes = Seats(settings.handshakes, settings.handshakes_per_source)
        self._shaking: set[int] = set()
        """Those who have a seat of `_handshakes`."""
        self._last_number = 0
        self._failures: list[tuple[Hop, bytes, TransportError]] = []
        self._wake = trio.Event()

    def __len__(self) -> int:
        return len(self._connections)

    def open(self) -> None:
        """Read every certificate and open every listener, or none.

        Raises:
            TransportError: of the first that cannot be.
        """
        self.contexts.load()
        try:
            for listener in self.listeners:
                listener.open()
        except BaseException:
            self.stop_listening()
            raise

    def stop_listening(self) -> None:
        """Accept nothing more; connections stay, and new ones can still be made."""
        for listener in self.listeners:
            if hasattr(listener, "sock") and listener.sock.fileno() >= 0:
                if self._carrier.nursery is not None:
                    trio.lowlevel.notify_closing(listener.sock)
                listener.close()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; `open` comes before. Closes everything at its end."""
        try:
            async with trio.open_nursery() as nursery:
                self._carrier.nursery = nursery
                for listener in self.listeners:
                    nursery.start_soon(self._accept, listener)
                nursery.start_soon(self._report)
                nursery.start_soon(self._sweep)
                task_status.started()
                await trio.sleep_forever()
        finally:
            self.stop_listening()
            self._carrier.nursery = None

    def send(self, data: bytes, hop: Hop) -> int:
        """Send one message; never waits, never raises.

        The connection that `hop` names is taken while it is open; else, and for 0, one to
        `hop.address` is found or made: a response to a peer that has closed its connection goes
        to the address in its Via (RFC 3261 §18.2.2), a request wherever the core says. A new
        connection starts from the host of `hop.listener`. None is made where `hop.flow` says
        that nobody listens there.

        Returns: the number of the connection that has it, or 0: the sink hears `failed` soon.
        """
        connection = self._connections.numbered(hop.connection)
        error: TransportError | None
        if connection is None or connection.error is not None:
            try:
                connection = self._find(hop) or self._connect(hop)
            except TransportError as refused:
                return self._fail_later(hop, data, refused)
        error = connection.send(data)
        if error is not None:
            return self._fail_later(hop, data, error)
        self.counters["sent"] += 1
        if self._corked:
            self._unwritten.add(connection)
        else:
            self._carrier.write(connection)
        return connection.number

    def flush(self) -> None:
        """Write what was sent since the last time; of use where the transport is corked."""
        if self._unwritten:
            unwritten, self._unwritten = self._unwritten, set()
            for connection in unwritten:
                self._carrier.write(connection)

    def close_connection(self, number: int) -> None:
        """Close one connection, if it is there; the sink hears `closed` soon."""
        connection = self._connections.numbered(number)
        if connection is not None:
            connection.end(FlowClosed("closed by this border"))

    def alias(self, number: int, port: int) -> bool:
        """Use a connection that a peer has made for requests to it, too (RFC 5923 §8).

        Args:
            port: where the peer says that it listens: of its Via's sent-by.

        Returns: whether that is allowed: over TLS, and only to a peer that has proved its name.
        """
        return self._connections.alias(number, port)

    # How connections come

    async def _accept(self, listener: TcpListener) -> None:
        while True:
            try:
                await trio.lowlevel.wait_readable(listener.sock)
            except (trio.ClosedResourceError, ValueError):
                return  # stop_listening
            for sock, host, port in listener.accept():
                self._take(listener, sock, host, port)
            if listener.short_of_descriptors:
                self.counters["no_descriptors"] += 1
                await trio.sleep(_NO_DESCRIPTORS_S)  # it stays readable: do not spin

    def _take(self, listener: TcpListener, sock: socket.socket, host: str, port: int) -> None:
        """Admit one accepted socket, or reset it."""
        trunk = self._trunk_of(listener.settings.realm, host)
        trusted = bool(trunk)
        of_tls = listener.settings.tls
        if not self._seats.take(host, trusted=trusted):
            self._reset(sock)
            return
        if of_tls is not None and not self._may_shake(listener.settings.realm, host, trusted):
            self._seats.leave(host, trusted=trusted)
            self._reset(sock)
            return
        connection = StreamConnection(
            self._hop(listener.index, TLS if of_tls else TCP, host, port),
            sock,
            incoming=True,
            trusted=trusted,
            now=self._clock(),
            tls=self.contexts.server(of_tls) if of_tls is not None else None,
            keepalive_s=self._keepalive_s(trunk),
        )
        self.counters["accepted"] += 1
        if of_tls is not None:
            self._shaking.add(connection.number)
        self._start(connection, ())

    def _reset(self, sock: socket.socket) -> None:
        self.counters["refused"] += 1
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        sock.close()

    def _may_shake(self, realm: str, host: str, trusted: bool) -> bool:
        if not trusted and not self._may_connect(realm, host):
            return False
        return self._handshakes.take(host, trusted=trusted)

    def _settled(self, connection: StreamConnection) -> None:
        if connection.number in self._shaking:
            self._shaking.discard(connection.number)
            self._handshakes.leave(connection.hop.host, trusted=connection.trusted)

    def _owner(self, connection: StreamConnection) -> str:
        hop = connection.hop
        source = self._trunk_of(hop.realm, hop.host)
        owner = self._peers.owner(hop.realm, source, connection.identity)
        if owner:
            connection.keepalive_s = self._keepalive_s(owner)
        return owner

    def _find(self, hop: Hop) -> StreamConnection | None:
        """An open connection to the address of `hop`, with a peer that has proved itself."""
        connection = self._connections.at(hop)
        if connection is None or hop.transport != TLS or hop.flow:
            return connection
        expected = self._names_expected(hop)
        if connection.incoming:
            identity = connection.identity
            proved = identity is not None and (not expected or identity.bears_any(expected))
        else:  # to the same address, for somebody else?
            proved = self._expected.get(connection.number) == expected
        return connection if proved else None

    def _connect(self, hop: Hop) -> StreamConnection:
        """Begin a connection to the address of `hop`; it queues until it is there.

        Raises:
            TransportError: none can even be begun.
        """
        host, port = hop.address
        transport = hop.transport.decode().lower()
        name = name_of(transport, host, port)
        family = family_of(self.settings.listeners[hop.listener].host)
        if self._carrier.nursery is None:
            raise ConnectError(f"{name}: not running")
        if hop.flow:
            raise FlowClosed(f"{name}: the peer's connection is gone, and only it can make another")
        if not is_unicast(host, family) or not 0 < port < 65_536:
            raise ConnectError(f"{name}: not a unicast address")
        trunk = hop.trunk or self._trunk_of(hop.realm, host)
        expected: tuple[str, ...] = ()
        tls = None
        if hop.transport == TLS:
            expected = self._names_expected(hop)
            server_name = next((one for one in (hop.name, *expected) if _is_domain(one)), "")
            tls = self.contexts.client(trunk, server_name)
        try:
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            raise explain(transport, host, port, error) from None
        if not self._seats.take(host, trusted=True):  # we chose it
            sock.close()
            raise ConnectError(f"{name}: {len(self._seats)} connections are open already")
        connection = StreamConnection(
            self._hop(hop.listener, hop.transport, host, port),
            sock,
            incoming=False,
            trusted=True,
            now=self._clock(),
            tls=tls,
            keepalive_s=self._keepalive_s(trunk),
        )
        if tls is not None:
            self._expected[connection.number] = expected
            peer = self._peers.of(trunk)
            if peer is not None and peer.by_certificate and expected:
                connection.owner = trunk  # nothing is heard from it before it has proved its name
        self._start(connection, expected)
        return connection

    def _names_expected(self, hop: Hop) -> tuple[str, ...]:
        trunk = hop.trunk or self._trunk_of(hop.realm, hop.host)
        return self._peers.expected(trunk, hop.host, hop.name)

    def _keepalive_s(self, trunk: str) -> float:
        peer = self._peers.of(trunk)
        return peer.keepalive_s if peer is not None else 0.0

    def _hop(self, listener: int, transport: bytes, host: str, port: int) -> Hop:
        self._last_number += 1
        realm = self.settings.listeners[listener].realm
        return Hop(realm, listener, transport, host, port, self._last_number)

    def _start(self, connection: StreamConnection, expected: tuple[str, ...]) -> None:
        self._connections.add(connection)
        if self._carrier.nursery is not None:
            self._carrier.nursery.start_soon(self._serve, connection, expected)

    # How connections end

    async def _serve(self, connection: StreamConnection, expected: tuple[str, ...]) -> None:
        """One connection from its first byte to the sink's `closed`."""
        try:
            await self._carrier.carry(connection, expected)
        finally:
            self._forget(connection)
        hop, reason = connection.hop, connection.error
        self.counters["closed"] += 1
        for data in connection.unsent():
            self.counters["send_failed"] += 1
            self._sink.failed(hop, data, reason or FlowClosed("the peer closed the connection"))
        self._sink.closed(hop, reason)
        self._sink.flush()

    def _forget(self, connection: StreamConnection) -> None:
        hop = connection.hop
        self._connections.forget(connection)
        self._expected.pop(connection.number, None)
        self._unwritten.discard(connection)
        self._settled(connection)
        self._seats.leave(hop.host, trusted=connection.trusted)
        trio.lowlevel.notify_closing(connection.sock)
        connection.sock.close()

    # What is told later

    def _fail_later(self, hop: Hop, data: bytes, error: TransportError) -> int:
        self.counters["send_failed"] += 1
        self._failures.append((hop, data, error))
        self._wake.set()
        return 0

    async def _report(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            failures, self._failures = self._failures, []
            for hop, data, error in failures:
                self._sink.failed(hop, data, error)
            self._sink.flush()

    async def _sweep(self) -> None:
        """End connections that only cost, and show the others that we are there."""
        while True:
            await trio.sleep(_SWEEP_S)
            now = self._clock()
            for connection in self._connections:
                connection.keep_alive(now)
                self._carrier.watch(connection)
                reason = connection.overdue(now, self.settings.tcp_idle_timeout_s)
                if reason:
                    self.counters["timed_out"] += 1
                    connection.end(FlowClosed(reason))


def _is_domain(text: str) -> bool:
    """Whether a client may ask for it: a name, no address and no pattern (RFC 6066 §3)."""
    return any(one.isalpha() for one in text) and ":" not in text and "*" not in text
