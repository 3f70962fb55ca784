"""One stream connection: a raw non-blocking socket, what waits to be written, and how old it is.

A connection never waits itself: `write` gives the kernel what it takes at once and keeps the
rest, `sbc.transport.carrier` owns the tasks that wait for the socket. With a `TlsSession` it is
SIP over TLS, without one SIP over TCP; nothing else differs here.
"""

from __future__ import annotations

import socket
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Final

import trio

from sbc.errors import FlowClosed, SendError, TransportError
from sbc.sip.stream import KeepAlive, StreamFramer
from sbc.transaction.hop import Hop
from sbc.transport.identity import Identity
from sbc.transport.tls_session import TlsSession

__all__ = ["QUEUE_BYTES", "StreamConnection"]

QUEUE_BYTES: Final = 256 * 1024
"""What may wait for a peer that does not read; four messages of the largest size."""

_FIRST_MESSAGE_S: Final = 10.0
_WHOLE_MESSAGE_S: Final = 32.0  # 64·T1: nobody waits longer for it
_WRITE_STALL_S: Final = 32.0
_PONG_S: Final = 10.0  # RFC 5626 §4.4.1
_KEEPALIVE_IDLE_S: Final = 60
_USER_TIMEOUT_MS: Final = 32_000  # 64·T1: by then every transaction on it has ended
_IP_BIND_ADDRESS_NO_PORT: Final = 24  # <linux/in.h>, missing from `socket` in Python 3.11


class StreamConnection:
    """One connection, accepted or made.

    Args:
        hop: our listener, their address, and a number that is unique in this process.
        sock: non-blocking; connected already if `incoming`.
        now: the clock's reading, seconds.
        tls: the end of TLS that is ours; None: TCP alone.
        keepalive_s: how often it is shown to be alive; 0: never.
    """

    __slots__ = (
        "_hop",
        "_offset",
        "_opened",
        "_ping_at",
        "_pinged",
        "_pong_by",
        "_ponged",
        "_queue",
        "_taken",
        "error",
        "framer",
        "identity",
        "incoming",
        "is_connected",
        "is_open",
        "keepalive_s",
        "last_received",
        "last_written",
        "number",
        "owner",
        "partial_since",
        "ports",
        "queued_bytes",
        "received_any",
        "scope",
        "sock",
        "tls",
        "trusted",
        "writing",
    )

    def __init__(
        self,
        hop: Hop,
        sock: socket.socket,
        *,
        incoming: bool,
        trusted: bool,
        now: float,
        tls: TlsSession | None = None,
        keepalive_s: float = 0.0,
    ) -> None:
        self._hop: Final = (hop.realm, hop.listener, hop.transport, hop.host, hop.port)
        self.number: Final = hop.connection
        self.sock: Final = sock
        self.incoming: Final = incoming
        self.trusted: Final = trusted
        self.tls: Final = tls
        self.identity: Identity | None = None
        """Whom the peer's verified certificate names, None for nobody."""
        self.ports = [hop.port]
        """The peer's, under which it is found; the first is the connection's own."""
        self.owner = ""
        """The trunk that its certificate makes it, where a trunk is known by that."""
        self.framer: Final = StreamFramer()
        self.scope: Final = trio.CancelScope()
        """Everything that the connection's task does; cancelled with `error` set before."""
        self.error: TransportError | None = None
        """Why the connection ends; None for an orderly end."""
        self.is_connected = incoming
        """Whether the kernel takes bytes."""
        self.is_open = incoming and tls is None
        """Whether messages can be written; `send` only queues before."""
        self.writing = False
        """Whether a task waits for the kernel to take more."""
        self.received_any = False
        """Whether a whole message or keep-alive has come."""
        self.partial_since: float | None = None
        """Since when the peer owes us the rest of a message."""
        self.last_received = now
        self.last_written = now
        self._opened = now
        self.keepalive_s = keepalive_s
        self._ping_at = now + keepalive_s
        self._pinged = False
        self._pong_by = 0.0
        self._ponged = False
        """Whether the peer has ever answered a ping; not all do."""
        self.queued_bytes = 0
        self._taken: list[bytes] = []
        """Messages for the next `write`."""
        self._queue: deque[tuple[bytes, Sequence[bytes]]] = deque()
        """What goes on the wire, and the messages that it carries."""
        self._offset = 0

    @property
    def hop(self) -> Hop:
        """What the sink is told: our listener, their address, this connection's number. A fresh
        one each time, because the core notes in its own where its next message shall go."""
        return Hop(*self._hop, self.number, self.owner, "", self.incoming)

    def prepare(self) -> None:
        """Set what every SIP stream wants: no delay, and a dead peer found in seconds."""
        sock = self.sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_IDLE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)
        if not self.incoming and sock.family == socket.AF_INET:
            # The kernel picks the port at connect: one local port serves many destinations.
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)

    def send(self, data: bytes) -> TransportError | None:
        """Take one message, for the next `write`; the reason where it was not taken."""
        if self.error is not None:
            return FlowClosed(f"the connection is closed: {self.error}")
        if self.queued_bytes + len(data) > QUEUE_BYTES:
            return SendError(f"{self.queued_bytes} bytes wait already: the peer does not read")
        self._taken.append(data)
        self.queued_bytes += len(data)
        return None

    def write(self, now: float) -> None:
        """Write what was taken since the last time: together, for that is one record of TLS and
        one system call. A connection that is not open yet keeps it.

        A write error ends the connection: its task then reports all that is unsent.
        """
        if not self.is_open or not self._taken or self.error is not None:
            return
        taken, self._taken = self._taken, []
        wire = taken[0] if len(taken) == 1 else b"".join(taken)
        self.queued_bytes -= len(wire)
        if self.tls is not None:
            try:
                wire = self.tls.seal(wire)
            except ssl.SSLError as error:  # it has met an alert, or an end
                self._taken = taken
                self.end(FlowClosed(f"TLS: {(error.reason or str(error)).lower()}"))
                return
        self._append(wire, taken, now)

    def opened(self, now: float) -> None:
        """Messages may go now; those that have waited for it do."""
        self.is_open = True
        self.last_received = now
        self._ping_at = now + self.keepalive_s
        self.write(now)

    def push(self, wire: bytes, now: float) -> None:
        """Write bytes of TLS itself: a step of the handshake, an alert, new keys."""
        if wire and self.error is None:
            self._append(wire, (), now)

    def flush(self, now: float) -> bool:
        """Write what the kernel takes; whether nothing is left."""
        queue = self._queue
        while queue:
            wire = queue[0][0]
            try:
                written = self.sock.send(memoryview(wire)[self._offset :])
            except BlockingIOError:
                return False
            except OSError as error:
                self.end(FlowClosed(error.strerror or str(error)))
                return False
            self.last_written = now
            self.queued_bytes -= written
            self._offset += written
            if self._offset == len(wire):
                queue.popleft()
                self._offset = 0
        return True

    def end(self, error: TransportError | None) -> None:
        """Make the connection's task finish; the first reason stays."""
        if self.error is None:
            self.error = error
        self.scope.cancel()

    def unsent(self) -> list[bytes]:
        """The messages that the kernel has not wholly taken; the queue is empty afterwards."""
        messages = [message for _, carried in self._queue for message in carried] + self._taken
        self._queue.clear()
        self._taken.clear()
        self.queued_bytes = 0
        self._offset = 0
        return messages

    @property
    def waits_for_kernel(self) -> bool:
        """Whether something could be written now, if only the kernel took it."""
        return bool(self._queue) and self.is_connected

    def taken(self, data: bytes) -> bytes:
        """What was received, without the answer to a ping of ours (RFC 5626 §3.5.1).

        On the wire that is half a ping: only who has asked can tell it from one.
        """
        self._pong_by = 0.0  # whatever it is, the peer lives
        if not self._pinged or not data:
            return data
        self._pinged = False
        is_pong = data[:2] == KeepAlive.PONG.value and data[:4] != KeepAlive.PING.value
        if len(self.framer) or not is_pong:
            return data
        self._ponged = self.received_any = True
        return data[2:]

    def keep_alive(self, now: float) -> None:
        """Send a ping where one is due (RFC 5626 §3.5.1, §4.4.1)."""
        if not self.keepalive_s or now < self._ping_at or not self.is_open:
            return
        self._ping_at = now + self.keepalive_s
        self._pinged = True
        if self.send(KeepAlive.PING.value) is None and self._ponged and not self._pong_by:
            self._pong_by = now + _PONG_S
        self.write(now)

    def overdue(self, now: float, idle_timeout_s: float) -> str:
        """Why this connection should end now, or "". Connecting has its own deadline."""
        if not self.is_open:
            return ""
        if self.queued_bytes and now - self.last_written > _WRITE_STALL_S:
            return f"the peer has read nothing for {_WRITE_STALL_S:g} s"
        if self._pong_by and now > self._pong_by:
            return f"no answer to a keep-alive within {_PONG_S:g} s"
        if self.incoming and not self.received_any:
            if now - self._opened > _FIRST_MESSAGE_S:
                return f"no message within {_FIRST_MESSAGE_S:g} s"
        elif self.partial_since is not None and now - self.partial_since > _WHOLE_MESSAGE_S:
            return "a message was begun and not finished"
        if now - max(self.last_received, self.last_written) > idle_timeout_s:
            return f"idle for {idle_timeout_s:g} s"
        return ""

    def _append(self, wire: bytes, carried: Sequence[bytes], now: float) -> None:
        if not self._queue:
            self.last_written = now
        self._queue.append((wire, carried))
        self.queued_bytes += len(wire)
        if self.is_connected and not self.writing:
            self.flush(now)
