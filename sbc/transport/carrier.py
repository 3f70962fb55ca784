"""The task of one stream connection: connect, shake hands, read, and end.

`sbc.transport.stream` decides which connections there are; this is what each of them does.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import trio

from sbc.errors import ConnectError, FlowClosed, TransportError
from sbc.sip.stream import FramingError, KeepAlive
from sbc.transport.base import StreamSink
from sbc.transport.connection import StreamConnection
from sbc.transport.identity import wrong_name
from sbc.transport.opening import name_of, socket_address
from sbc.transport.settings import TransportSettings
from sbc.transport.tls_faults import Complaints, explain
from sbc.transport.tls_session import TlsSession, is_tls

__all__ = ["Carrier"]

_log = logging.getLogger(__name__)

_READ_BYTES: Final = 16_384
"""Bounds what one wake-up may cost: some sixty small messages."""
_FAREWELL_S: Final = 1.0
_FAREWELL_BYTES: Final = 262_144


class Carrier:
    """What all connections of one transport share while they live.

    Args:
        settings: timeouts.
        sink: who is told.
        clock: () -> seconds, monotonic.
        owner: of a connection whose handshake is done: the trunk that it is by its certificate,
            or ""; raises TransportError where it must not be.
        settled: a handshake is over, well or not.
    """

    __slots__ = (
        "_clock",
        "_complaints",
        "_owner",
        "_settings",
        "_settled",
        "_sink",
        "counters",
        "nursery",
    )

    def __init__(
        self,
        settings: TransportSettings,
        sink: StreamSink,
        clock: Callable[[], float],
        owner: Callable[[StreamConnection], str],
        settled: Callable[[StreamConnection], None],
    ) -> None:
        self.counters: Counter[str] = Counter()
        self.nursery: trio.Nursery | None = None
        """Where tasks that wait for the kernel run; None: not running."""
        self._settings = settings
        self._sink = sink
        self._clock = clock
        self._owner = owner
        self._settled = settled
        self._complaints = Complaints()

    async def carry(self, connection: StreamConnection, expected: tuple[str, ...]) -> None:
        """One connection until it ends; `connection.error` says why. Raises nothing of it.

        Args:
            expected: the names of which a server's certificate must bear one, () for any.
        """
        with connection.scope:
            try:
                connection.prepare()
                if not connection.is_connected:
                    await self._connect(connection)
                if connection.tls is not None:
                    await self._shake_hands(connection, connection.tls, expected)
                    self._settled(connection)
                if not connection.is_open:
                    connection.opened(self._clock())
                    self.watch(connection)
                await self._read(connection)
            except TransportError as error:
                connection.error = connection.error or error
            except OSError as error:
                text = error.strerror or str(error)
                if connection.tls is not None and not connection.received_any:
                    text += " at the start of TLS: perhaps the peer refuses our certificate"
                connection.error = connection.error or FlowClosed(text)
        if connection.tls is not None and connection.error is None:
            connection.push(connection.tls.farewell(), self._clock())

    def write(self, connection: StreamConnection) -> None:
        """Write what was sent, and wait with what the kernel does not take."""
        connection.write(self._clock())
        self.watch(connection)

    def watch(self, connection: StreamConnection) -> None:
        """Have a task wait where the kernel did not take everything."""
        if (
            connection.waits_for_kernel
            and not connection.writing
            and connection.error is None
            and self.nursery is not None
        ):
            connection.writing = True
            self.nursery.start_soon(self._write, connection)

    # Beginning

    async def _connect(self, connection: StreamConnection) -> None:
        """Raises ConnectError."""
        hop, sock = connection.hop, connection.sock
        name = name_of(hop.transport.decode().lower(), hop.host, hop.port)
        timeout_s = self._settings.tcp_connect_timeout_s
        with trio.move_on_after(timeout_s) as scope:
            source = socket_address(self._settings.listeners[hop.listener].host, 0)
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
        connection.is_connected = True

    async def _shake_hands(
        self, connection: StreamConnection, tls: TlsSession, expected: tuple[str, ...]
    ) -> None:
        """Raises ConnectError, OSError."""
        timeout_s = self._settings.handshake_timeout_s
        try:
            with trio.move_on_after(timeout_s) as scope:
                await self._steps(connection, tls)
                self._check_peer(connection, tls, expected)
            if scope.cancelled_caught:
                raise ConnectError(f"no TLS handshake within {timeout_s:g} s")
        except TransportError as error:
            self.counters["handshake_failed"] += 1
            raise self._complain(connection, str(error)) from None
        self.counters["handshakes"] += 1

    async def _steps(self, connection: StreamConnection, tls: TlsSession) -> None:
        """Handshake messages to and fro until both are content."""
        sock, data = connection.sock, b""
        if connection.incoming:
            data = await self._receive(sock)
            if not is_tls(data):
                raise ConnectError("it does not speak TLS" if data else "it said nothing")
        while True:
            try:
                done = tls.handshake(data)
            except ssl.SSLError as error:
                connection.push(tls.outgoing(), self._clock())  # the alert
                raise ConnectError(explain(error, tls.shown(), time.time())) from None
            connection.push(tls.outgoing(), self._clock())
            self.watch(connection)
            if done:
                return
            data = await self._receive(sock)
            if not data:
                raise ConnectError("it closed the connection within the handshake")

    def _check_peer(
        self, connection: StreamConnection, tls: TlsSession, expected: tuple[str, ...]
    ) -> None:
        """Whether the peer is who it should be (RFC 5922 §7). Raises TransportError."""
        connection.identity = identity = tls.identity()
        if connection.incoming:
            connection.owner = self._owner(connection)
        elif expected and (identity is None or not identity.bears_any(expected)):
            raise ConnectError(wrong_name(str(identity or "nobody"), " or ".join(expected[:3])))

    def _complain(self, connection: StreamConnection, reason: str) -> ConnectError:
        """Tell the operator, but not about each of many."""
        hop = connection.hop
        if self._complaints.allow(hop.host, self._clock()):
            way = "from" if connection.incoming else "to"
            others = self._complaints.left_out()
            more = f" ({others} others were not logged)" if others else ""
            name = name_of("tls", hop.host, hop.port)
            # Strangers knock at every door: that is no news to an operator.
            level = logging.WARNING if connection.trusted else logging.INFO
            _log.log(level, "tls.refused %s=%s reason=%s%s", way, name, reason, more)
        return ConnectError(reason)

    # Reading

    async def _receive(self, sock: socket.socket) -> bytes:
        """What has come, b"" at the end. Raises OSError."""
        while True:
            await trio.lowlevel.wait_readable(sock)
            try:
                return sock.recv(_READ_BYTES)
            except BlockingIOError:
                continue

    async def _read(self, connection: StreamConnection) -> None:
        """Read until the peer closes or speaks nonsense. Raises OSError, TransportError."""
        sock, tls = connection.sock, connection.tls
        if tls is not None:  # a first message may have come with the end of the handshake
            data, ended = self._open(connection, tls, b"")
            if not await self._read_on(connection, data, ended):
                return
        while True:
            data = await self._receive(sock)
            ended = not data
            if data:
                connection.last_received = self._clock()
                if tls is not None:
                    data, ended = self._open(connection, tls, data)
            if not await self._read_on(connection, data, ended):
                return

    def _open(
        self, connection: StreamConnection, tls: TlsSession, data: bytes
    ) -> tuple[bytes, bool]:
        """Take the TLS off what was received. Raises TransportError."""
        try:
            plain, ended = tls.open(data)
        except ssl.SSLError as error:
            connection.push(tls.outgoing(), self._clock())
            reason = explain(error, tls.shown(), time.time())
            if not connection.incoming and not connection.received_any:
                raise self._complain(connection, reason) from None  # TLS 1.3: it refuses us late
            raise FlowClosed(f"TLS: {reason}") from None
        connection.push(tls.outgoing(), self._clock())
        return plain, ended

    async def _read_on(self, connection: StreamConnection, data: bytes, ended: bool) -> bool:
        """Act on what has come; whether more is to be read."""
        data = connection.taken(data)
        if data:
            now = self._clock()
            try:
                frames = connection.framer.feed(data)
            except FramingError as error:
                self.counters["garbled"] += 1
                self._deliver(connection, error.frames, now)
                self._sink.garbled(error, connection.hop, now)
                self._sink.flush()
                connection.error = FlowClosed(f"framing: {error}")  # takes nothing more
                await self._say_farewell(connection)
                return False
            if frames:
                self._deliver(connection, frames, now)
                self._sink.flush()
            elif connection.partial_since is None:
                connection.partial_since = now
        return not ended

    def _deliver(
        self, connection: StreamConnection, frames: list[bytes | KeepAlive], now: float
    ) -> None:
        connection.received_any = True
        connection.partial_since = now if len(connection.framer) else None
        for frame in frames:
            if not isinstance(frame, KeepAlive):
                self.counters["received"] += 1
                self._sink.message(frame, connection.hop, now)
            elif frame is KeepAlive.PING:
                self.counters["pings"] += 1
                connection.send(KeepAlive.PONG.value)
                self.write(connection)

    # Writing and ending

    async def _write(self, connection: StreamConnection) -> None:
        try:
            while connection.waits_for_kernel and connection.error is None:
                await trio.lowlevel.wait_writable(connection.sock)
                connection.flush(self._clock())
        except (trio.ClosedResourceError, OSError, ValueError):
            pass  # its own task has closed it, and reports what is unsent
        finally:
            connection.writing = False

    async def _say_farewell(self, connection: StreamConnection) -> None:
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
