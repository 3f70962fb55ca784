"""The worker's end of the control protocol: connections, their frames, their limits.

Nothing blocks and no connection can hold up media: what a peer has asked for waits in a queue and
is worked off between rounds of packets, so much at a time; what it does not read is kept up to a
limit, beyond which its connection is closed. A peer that sends garbage loses its connection and
nobody else anything.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from relay.control.codec import (
    Decoder,
    Frame,
    FrameError,
    Notification,
    Request,
    Response,
    encode,
)
from relay.control.messages import ControlError, ErrorCode

__all__ = ["Answer", "Connection", "Loop", "Server"]

_log = logging.getLogger(__name__)

_RECEIVE_BYTES: Final = 65536
_MAX_UNSENT: Final = 8 << 20
_CHOKED_BYTES: Final = 1 << 20
"""Answers that a connection has not read: beyond, no more of its requests are carried out."""
_MAX_PENDING: Final = 4096
"""Requests of one connection that wait: beyond, it is not read until they are worked off."""
_MAX_CONNECTIONS: Final = 64
_ACCEPT_AGAIN_S: Final = 1.0
_CREDENTIALS: Final = struct.Struct("3i")


class Loop(Protocol):
    """What the server needs of the loop that it runs in."""

    def watch(self, fd: int, handler: Callable[[float], None], events: int = ...) -> None:
        """Call the handler with monotonic seconds when the descriptor is ready."""

    def change(self, fd: int, events: int) -> None:
        """Wait for other events."""

    def unwatch(self, fd: int) -> None:
        """No longer."""


class Answer(Protocol):
    """Whoever carries requests out. Returns the result's body; raises ControlError."""

    def __call__(self, connection: Connection, request: Request, now: float) -> object: ...


class Connection:
    """One peer. Its `role` and `session` are what its HELLO said; empty before."""

    __slots__ = (
        "_decoder",
        "_events",
        "_server",
        "_socket",
        "_unsent",
        "closed",
        "pending",
        "role",
        "session",
    )

    def __init__(self, server: Server, end: socket.socket) -> None:
        self.role = ""
        self.session = ""
        self.closed = False
        self.pending: deque[Request] = deque()
        self._server = server
        self._socket = end
        self._decoder = Decoder()
        self._unsent = bytearray()
        self._events = select.EPOLLIN

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def choked(self) -> bool:
        """It asks more than it reads."""
        return len(self._unsent) > _CHOKED_BYTES

    def ready(self, now: float) -> None:
        """Send what waits and take in what has come, one receive of it."""
        if self._unsent:
            self.flush()
            if self.pending:
                self._server.wake(self)
        if self.closed or self.choked or len(self.pending) >= _MAX_PENDING:
            return
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        try:
            frames = self._decoder.feed(data)
        except FrameError as error:
            _log.warning("control.garbage error=%s", error)
            self._server.broken += 1
            self.close()
            return
        # A worker asks nothing: answers and notifications from this side mean nothing.
        self.pending.extend(frame for frame in frames if isinstance(frame, Request))
        if self.pending:
            self._server.wake(self)

    def send(self, frame: Frame) -> None:
        """Queue a frame; `flush` sends it."""
        if self.closed:
            return
        try:
            self._unsent += encode(frame)
        except FrameError as error:
            _log.error("control.unsendable error=%s", error)
            if isinstance(frame, Response):
                self.send(Response(frame.id, None, (ErrorCode.INTERNAL, str(error)[:200])))

    def flush(self) -> None:
        """Send as much as goes now."""
        if self.closed:
            return
        try:
            sent = self._socket.send(self._unsent) if self._unsent else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        del self._unsent[:sent]
        if len(self._unsent) > _MAX_UNSENT:
            _log.warning("control.unread bytes=%d", len(self._unsent))
            self.close()
            return
        self.wait()

    def wait(self) -> None:
        """Settle what the loop shall wait for."""
        reading = len(self.pending) < _MAX_PENDING and not self.choked
        events = (select.EPOLLIN if reading else 0) | (select.EPOLLOUT if self._unsent else 0)
        if events != self._events and not self.closed:
            self._events = events
            self._server.loop.change(self._socket.fileno(), events)

    def close(self) -> None:
        """End the connection; requests that were not begun are forgotten."""
        if not self.closed:
            self.closed = True
            self.pending.clear()
            self._server.forget(self)
            self._socket.close()


class Server:
    """Accepts connections on a listener and has their requests answered.

    Args:
        listener: bound and listening, non-blocking; stays open when the server closes.
        loop: what polls.
        answer: carries a request out.
    """

    def __init__(self, listener: socket.socket, loop: Loop, answer: Answer) -> None:
        self.loop: Final = loop
        self.connections: list[Connection] = []
        self.requests = 0
        self.broken = 0
        """Connections ended for garbage."""
        self.crashes = 0
        self._listener = listener
        self._answer = answer
        self._busy: deque[Connection] = deque()
        self._touched: set[Connection] = set()
        self._accept_again = 0.0
        loop.watch(listener.fileno(), self._accept)

    def close(self) -> None:
        """End all connections."""
        if not self._accept_again:
            self.loop.unwatch(self._listener.fileno())
        for connection in list(self.connections):
            connection.flush()
            connection.close()

    @property
    def busy(self) -> bool:
        """Requests are waiting, or notifications to be sent."""
        return bool(self._busy or self._touched)

    def work(self, now: float, budget_s: float) -> None:
        """Carry requests out, in turn for each connection, for about so long; then flush."""
        end = time.monotonic() + budget_s
        touched = self._touched
        while self._busy:
            connection = self._busy.popleft()
            touched.add(connection)
            for _ in range(8):
                if not connection.pending or connection.choked:
                    break
                self._carry_out(connection, connection.pending.popleft(), now)
            if connection.pending and not connection.choked:
                self._busy.append(connection)
            if time.monotonic() > end:
                break
        while touched:
            connection = touched.pop()
            connection.flush()
            if connection.pending:
                self.wake(connection)

    def between(self, now: float) -> None:
        """Listen again after a shortage of descriptors; called a few times a second."""
        if self._accept_again and now >= self._accept_again:
            self._accept_again = 0.0
            self.loop.watch(self._listener.fileno(), self._accept)

    def notify(self, notification: Notification, role: str = "signalling") -> bool:
        """Tell every connection of this role, at the next `work`. Returns whether there was one."""
        told = False
        for connection in list(self.connections):
            if connection.role == role:
                connection.send(notification)
                self._touched.add(connection)
                told = True
        return told

    def wake(self, connection: Connection) -> None:
        """This connection has requests waiting."""
        if not connection.choked and connection not in self._busy:
            self._busy.append(connection)

    def forget(self, connection: Connection) -> None:
        """It has ended."""
        self.loop.unwatch(connection.fileno())
        self.connections.remove(connection)
        if connection in self._busy:
            self._busy.remove(connection)
        self._touched.discard(connection)

    def _carry_out(self, connection: Connection, request: Request, now: float) -> None:
        self.requests += 1
        try:
            response = Response(request.id, self._answer(connection, request, now))
        except ControlError as error:
            response = Response(request.id, None, (error.code, error.text[:500]))
        except Exception:
            # The boundary for control: a bug costs this request.
            self.crashes += 1
            _log.exception("control.crashed method=%d", request.method)
            response = Response(request.id, None, (ErrorCode.INTERNAL, "internal error"))
        connection.send(response)

    def _accept(self, now: float) -> None:
        try:
            end, _ = self._listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                # The connection stays in the queue, and the listener ready for ever.
                self.loop.unwatch(self._listener.fileno())
                self._accept_again = now + _ACCEPT_AGAIN_S
            return
        end.setblocking(False)
        if not _is_ours(end) or len(self.connections) >= _MAX_CONNECTIONS:
            end.close()
            return
        connection = Connection(self, end)
        try:
            self.loop.watch(end.fileno(), connection.ready)
        except OSError:
            end.close()
            return
        self.connections.append(connection)


def _is_ours(end: socket.socket) -> bool:
    """Whether the peer is of our user, or root (SO_PEERCRED)."""
    packed = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(packed)
    return user in (0, os.geteuid())
