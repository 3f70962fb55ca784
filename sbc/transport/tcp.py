"""SIP over TCP: listeners, connections, and who is told what (RFC 3261 §18).

One task for each listener accepts, one task for each connection reads. Sending is synchronous:
`TcpTransport.send` finds or opens the connection and returns; what the kernel does not take at
once waits in a bounded queue, and a task waits with it only as long as that lasts. Nothing that
a sink does inside `send` comes back to it from within `send`: failures are reported later, from
a task.

Limits against peers that only hold connections: a total, a share of it for strangers, a number
for each strange source, a deadline for the first whole message and for the rest of any later
one, an idle limit, a deadline for a peer that does not read.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import trio

from sbc.errors import ConnectError, FlowClosed, TransportError
from sbc.sip.stream import FramingError, KeepAlive
from sbc.transaction.hop import TCP, Hop
from sbc.transport.base import StreamSink
from sbc.transport.connection import TcpConnection
from sbc.transport.opening import explain, family_of, is_unicast, name_of, socket_address
from sbc.transport.seats import Seats
from sbc.transport.settings import TransportSettings
from sbc.transport.tcp_listener import TcpListener

__all__ = ["TcpTransport"]

_READ_BYTES: Final = 16_384
"""Bounds what one wake-up may cost: some sixty small messages."""
_SWEEP_S: Final = 1.0
_FAREWELL_S: Final = 1.0
_FAREWELL_BYTES: Final = 262_144
_NO_DESCRIPTORS_S: Final = 0.1
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s


class TcpTransport:
    """All TCP listeners and connections of one border.

    Args:
        settings: all listeners; those that are not `tcp` only lend their host to outgoing
            connections.
        sink: who is told.
        trusted: host -> whether it belongs to a trunk, and so is free of the strangers' limits.
        clock: () -> seconds, monotonic; what `now` is in the sink's calls.
    """

    __slots__ = (
        "_by_address",
        "_by_number",
        "_clock",
        "_failures",
        "_last_number",
        "_nursery",
        "_seats",
        "_sink",
        "_trusted",
        "_wake",
        "counters",
        "listeners",
        "settings",
    )

    def __init__(
        self,
        settings: TransportSettings,
        sink: StreamSink,
        *,
        trusted: Callable[[str], bool] = lambda host: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.listeners = [
            TcpListener(index, listener)
            for index, listener in enumerate(settings.listeners)
            if listener.transport == "tcp"
        ]
        self.counters: Counter[str] = Counter()
        """accepted, connected, connect_failed, refused, closed, received, sent, send_failed."""
        self._sink = sink
        self._trusted = trusted
        self._clock = clock
        self._nursery: trio.Nursery | None = None
        self._by_number: dict[int, TcpConnection] = {}
        self._by_address: dict[tuple[int, str, int], TcpConnection] = {}
        self._seats = Seats(settings.tcp_max_connections, settings.tcp_max_per_source)
        self._last_number = 0
        self._failures: list[tuple[Hop, bytes, TransportError]] = []
        self._wake = trio.Event()

    def __len__(self) -> int:
        return len(self._by_number)

    def open(self) -> None:
        """Open every listener, or none.

        Raises:
            TransportError: of the first that cannot be opened.
        """
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
                if self._nursery is not None:
                    trio.lowlevel.notify_closing(listener.sock)
                listener.close()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; `open` comes before. Closes everything at its end."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for listener in self.listeners:
                    nursery.start_soon(self._accept, listener)
                nursery.start_soon(self._report)
                nursery.start_soon(self._sweep)
                task_status.started()
                await trio.sleep_forever()
        finally:
            self.stop_listening()
            self._nursery = None

    def send(self, data: bytes, hop: Hop) -> int:
        """Send one message; never waits, never raises.

        The connection that `hop` names is taken while it is open; else, and for 0, one to
        `hop.address` is found or made: a response to a peer that has closed its connection goes
        to the address in its Via (RFC 3261 §18.2.2), a request wherever the core says. A new
        connection starts from the host of `hop.listener`.

        Returns: the number of the connection that has it, or 0: the sink hears `failed` soon.
        """
        connection = self._by_number.get(hop.connection) if hop.connection else None
        if connection is None or connection.error is not None:
            connection = self._by_address.get((hop.listener, hop.host, hop.port))
        error: TransportError | None
        if connection is None or connection.error is not None:
            try:
                connection = self._connect(hop)
            except TransportError as refused:
                return self._fail_later(hop, data, refused)
        error = connection.send(data, self._clock())
        if error is not None:
            return self._fail_later(hop, data, error)
        self.counters["sent"] += 1
        self._watch(connection)
        return connection.number

    def close_connection(self, number: int) -> None:
        """Close one connection, if it is there; the sink hears `closed` soon."""
        connection = self._by_number.get(number)
        if connection is not None:
            connection.end(FlowClosed("closed by this border"))

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
        trusted = self._trusted(host)
        if not self._seats.take(host, trusted=trusted):
            self.counters["refused"] += 1
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            sock.close()
            return
        hop = self._hop(listener.index, host, port)
        connection = TcpConnection(hop, sock, incoming=True, trusted=trusted, now=self._clock())
        self.counters["accepted"] += 1
        self._start(connection)

    def _connect(self, hop: Hop) -> TcpConnection:
        """Begin a connection to the address of `hop`; it queues until it is there.

        Raises:
            TransportError: none can even be begun.
        """
        host, port = hop.address
        name = name_of("tcp", host, port)
        listener = self.settings.listeners[hop.listener]
        family = family_of(listener.host)
        if self._nursery is None:
            raise ConnectError(f"{name}: not running")
        if not is_unicast(host, family) or not 0 < port < 65_536:
            raise ConnectError(f"{name}: not a unicast address")
        try:
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            raise explain("tcp", host, port, error) from None
        if not self._seats.take(host, trusted=True):  # we chose it
            sock.close()
            raise ConnectError(f"{name}: {len(self._seats)} connections are open already")
        connection = TcpConnection(
            self._hop(hop.listener, host, port),
            sock,
            incoming=False,
            trusted=True,
            now=self._clock(),
        )
        self._start(connection)
        return connection

    def _hop(self, listener: int, host: str, port: int) -> Hop:
        self._last_number += 1
        realm = self.settings.listeners[listener].realm
        return Hop(realm, listener, TCP, host, port, self._last_number)

    def _start(self, connection: TcpConnection) -> None:
        hop = connection.hop
        self._by_number[hop.connection] = connection
        self._by_address[hop.listener, hop.host, hop.port] = connection
        if self._nursery is not None:
            self._nursery.start_soon(self._serve, connection)

    # How connections live and end

    async def _serve(self, connection: TcpConnection) -> None:
        """One connection from its first byte to the sink's `closed`."""
        try:
            with connection.scope:
                try:
                    connection.prepare()
                    if not connection.is_open:
                        await self._finish_connect(connection)
                    await self._read(connection)
                except TransportError as error:
                    connection.error = connection.error or error
                except OSError as error:
                    text = error.strerror or str(error)
                    connection.error = connection.error or FlowClosed(text)
        finally:
            self._forget(connection)
        hop, reason = connection.hop, connection.error
        self.counters["closed"] += 1
        for data in connection.unsent():
            self.counters["send_failed"] += 1
            self._sink.failed(hop, data, reason or FlowClosed("the peer closed the connection"))
        self._sink.closed(hop, reason)
        self._sink.flush()

    async def _finish_connect(self, connection: TcpConnection) -> None:
        """Connect, then write what has been queued meanwhile. Raises ConnectError."""
        hop, sock = connection.hop, connection.sock
        name = name_of("tcp", hop.host, hop.port)
        timeout_s = self.settings.tcp_connect_timeout_s
        with trio.move_on_after(timeout_s) as scope:
            source = socket_address(self.settings.listeners[hop.listener].host, 0)
            code = 0
            try:
                sock.bind(source)
                code = sock.connect_ex((hop.host, hop.port, *source[2:]))
                if code == errno.EINPROGRESS:
                    await trio.lowlevel.wait_writable(sock)
                    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            except OSError as error:
                code = error.errno or errno.EIO
            if code:
                self.counters["connect_failed"] += 1
                raise ConnectError(f"{name}: {os.strerror(code)}")
        if scope.cancelled_caught:
            self.counters["connect_failed"] += 1
            raise ConnectError(f"{name}: no connection within {timeout_s:g} s")
        self.counters["connected"] += 1
        connection.is_open = True
        connection.last_received = self._clock()
        connection.flush(self._clock())
        self._watch(connection)

    async def _read(self, connection: TcpConnection) -> None:
        """Read until the peer closes or speaks nonsense. Raises OSError."""
        sock, framer = connection.sock, connection.framer
        while True:
            await trio.lowlevel.wait_readable(sock)
            try:
                data = sock.recv(_READ_BYTES)
            except BlockingIOError:
                continue
            if not data:
                return
            now = connection.last_received = self._clock()
            try:
                frames = framer.feed(data)
            except FramingError as error:
                self.counters["garbled"] += 1
                self._deliver(connection, error.frames, now)
                self._sink.garbled(error, connection.hop, now)
                self._sink.flush()
                connection.error = FlowClosed(f"framing: {error}")  # takes nothing more
                await self._say_farewell(connection)
                return
            if frames:
                self._deliver(connection, frames, now)
                self._sink.flush()
            elif connection.partial_since is None:
                connection.partial_since = now

    def _deliver(
        self, connection: TcpConnection, frames: list[bytes | KeepAlive], now: float
    ) -> None:
        connection.received_any = True
        connection.partial_since = now if len(connection.framer) else None
        for frame in frames:
            if not isinstance(frame, KeepAlive):
                self.counters["received"] += 1
                self._sink.message(frame, connection.hop, now)
            elif frame is KeepAlive.PING:
                connection.send(KeepAlive.PONG.value, now)
                self._watch(connection)

    async def _say_farewell(self, connection: TcpConnection) -> None:
        """Let the peer read our last words: a close with unread data would reset them away."""
        sock = connection.sock
        with trio.move_on_after(_FAREWELL_S):
            while connection.queued_bytes:
                if not connection.writing:
                    connection.flush(self._clock())
                await trio.sleep(_FAREWELL_S / 20)
            sock.shutdown(socket.SHUT_WR)
            left = _FAREWELL_BYTES
            while left > 0:
                await trio.lowlevel.wait_readable(sock)
                data = sock.recv(_READ_BYTES)
                if not data:
                    return
                left -= len(data)

    def _watch(self, connection: TcpConnection) -> None:
        """Have a task wait where the kernel did not take everything."""
        if (
            connection.queued_bytes
            and connection.is_open
            and not connection.writing
            and connection.error is None
            and self._nursery is not None
        ):
            connection.writing = True
            self._nursery.start_soon(self._write, connection)

    async def _write(self, connection: TcpConnection) -> None:
        try:
            while connection.queued_bytes and connection.error is None:
                await trio.lowlevel.wait_writable(connection.sock)
                connection.flush(self._clock())
        except (trio.ClosedResourceError, OSError, ValueError):
            pass  # its own task has closed it, and reports what is unsent
        finally:
            connection.writing = False

    def _forget(self, connection: TcpConnection) -> None:
        hop = connection.hop
        del self._by_number[connection.number]
        key = (hop.listener, hop.host, hop.port)
        if self._by_address.get(key) is connection:
            del self._by_address[key]
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
        """End connections that only cost."""
        while True:
            await trio.sleep(_SWEEP_S)
            now = self._clock()
            for connection in self._by_number.values():
                reason = connection.overdue(now, self.settings.tcp_idle_timeout_s)
                if reason:
                    self.counters["timed_out"] += 1
                    connection.end(FlowClosed(reason))
