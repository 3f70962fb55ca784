"""One stream connection: a raw non-blocking socket, what waits to be written, and how old it is.

A connection never waits itself: `send` writes what the kernel takes at once and keeps the rest,
`sbc.transport.tcp` owns the tasks that wait for the socket.
"""

from __future__ import annotations

import socket
from collections import deque
from typing import Final

import trio

from sbc.errors import FlowClosed, SendError, TransportError
from sbc.sip.stream import StreamFramer
from sbc.transaction.hop import Hop

__all__ = ["QUEUE_BYTES", "TcpConnection"]

QUEUE_BYTES: Final = 256 * 1024
"""What may wait for a peer that does not read; four messages of the largest size."""

_FIRST_MESSAGE_S: Final = 10.0
_WHOLE_MESSAGE_S: Final = 32.0  # 64·T1: nobody waits longer for it
_WRITE_STALL_S: Final = 32.0
_KEEPALIVE_IDLE_S: Final = 60
_USER_TIMEOUT_MS: Final = 32_000  # 64·T1: by then every transaction on it has ended
_IP_BIND_ADDRESS_NO_PORT: Final = 24  # <linux/in.h>, missing from `socket` in Python 3.11


class TcpConnection:
    """One connection, accepted or made.

    Args:
        hop: our listener, their address, and a number that is unique in this process.
        sock: non-blocking; connected already if `incoming`.
        now: the clock's reading, seconds.
    """

    __slots__ = (
        "_hop",
        "_offset",
        "_opened",
        "_queue",
        "error",
        "framer",
        "incoming",
        "is_open",
        "last_received",
        "last_written",
        "number",
        "partial_since",
        "queued_bytes",
        "received_any",
        "scope",
        "sock",
        "trusted",
        "writing",
    )

    def __init__(
        self, hop: Hop, sock: socket.socket, *, incoming: bool, trusted: bool, now: float
    ) -> None:
        self._hop: Final = (hop.realm, hop.listener, hop.transport, hop.host, hop.port)
        self.number: Final = hop.connection
        self.sock: Final = sock
        self.incoming: Final = incoming
        self.trusted: Final = trusted
        self.framer: Final = StreamFramer()
        self.scope: Final = trio.CancelScope()
        """Everything that the connection's task does; cancelled with `error` set before."""
        self.error: TransportError | None = None
        """Why the connection ends; None for an orderly end."""
        self.is_open = incoming
        """Connected and writable; `send` only queues before."""
        self.writing = False
        """Whether a task waits for the kernel to take more."""
        self.received_any = False
        """Whether a whole message or keep-alive has come."""
        self.partial_since: float | None = None
        """Since when the peer owes us the rest of a message."""
        self.last_received = now
        self.last_written = now
        self._opened = now
        self.queued_bytes = 0
        self._queue: deque[bytes] = deque()
        self._offset = 0

    @property
    def hop(self) -> Hop:
        """What the sink is told: our listener, their address, this connection's number. A fresh
        one each time, because the core notes in its own where its next message shall go."""
        return Hop(*self._hop, self.number)

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

    def send(self, data: bytes, now: float) -> TransportError | None:
        """Write or queue one message; the reason where it was not taken.

        A write error ends the connection: its task then reports `data` with all that is queued.
        """
        if self.error is not None:
            return FlowClosed(f"the connection is closed: {self.error}")
        if self.queued_bytes + len(data) > QUEUE_BYTES:
            return SendError(f"{self.queued_bytes} bytes wait already: the peer does not read")
        if not self._queue:
            self.last_written = now
        self._queue.append(data)
        self.queued_bytes += len(data)
        if self.is_open and not self.writing:
            self.flush(now)
        return None

    def flush(self, now: float) -> bool:
        """Write what the kernel takes; whether nothing is left."""
        queue = self._queue
        while queue:
            data = queue[0]
            try:
                written = self.sock.send(memoryview(data)[self._offset :])
            except BlockingIOError:
                return False
            except OSError as error:
                self.end(FlowClosed(error.strerror or str(error)))
                return False
            self.last_written = now
            self.queued_bytes -= written
            self._offset += written
            if self._offset == len(data):
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
        messages = list(self._queue)
        self._queue.clear()
        self.queued_bytes = 0
        self._offset = 0
        return messages

    def overdue(self, now: float, idle_timeout_s: float) -> str:
        """Why this connection should end now, or "". Connecting has its own deadline."""
        if not self.is_open:
            return ""
        if self.queued_bytes and now - self.last_written > _WRITE_STALL_S:
            return f"the peer has read nothing for {_WRITE_STALL_S:g} s"
        if self.incoming and not self.received_any:
            if now - self._opened > _FIRST_MESSAGE_S:
                return f"no message within {_FIRST_MESSAGE_S:g} s"
        elif self.partial_since is not None and now - self.partial_since > _WHOLE_MESSAGE_S:
            return "a message was begun and not finished"
        if now - max(self.last_received, self.last_written) > idle_timeout_s:
            return f"idle for {idle_timeout_s:g} s"
        return ""
