"""The administration socket: `<run_dir>/sbc.sock`, for the operator's commands.

Whoever has our user id, or is root, may ask; the file's mode and SO_PEERCRED say so twice. A
long listing is made and sent in slices, so that SIP is served in between.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

import trio

from relay.control.codec import (
    Decoder,
    Frame,
    FrameError,
    Notification,
    Request,
    Response,
    encode,
)
from sbc.errors import TransportError
from sbc.runtime.admin_methods import AdminEvent, AdminFault, AdminMethod

__all__ = ["Admin", "AdminMethod", "BorderFace"]

_log = logging.getLogger(__name__)

_BACKLOG: Final = 16
_MAX_CONNECTIONS: Final = 32
_SLICE: Final = 100
"""Calls made into one frame at a time: well under a millisecond, and far from MAX_FRAME."""
_READ_BYTES: Final = 65_536
_CREDENTIALS: Final = struct.Struct("=3i")  # struct ucred: pid, uid, gid
_SEND_TIMEOUT_S: Final = 10.0


class BorderFace(Protocol):
    """What the commands may see and do."""

    def status(self) -> Mapping[str, object]:
        """The border as a whole."""

    def list_calls(self) -> Iterable[Mapping[str, object]]:
        """One map for each call. A generator is consumed in slices, with other work between
        them, so it must not iterate over a table that changes meanwhile."""

    async def describe(self, call_id: str) -> Mapping[str, object] | None:
        """One call in full, or None."""

    def hangup(self, call_id: str, now: float) -> bool:
        """End one call on both legs; whether there is such a call."""

    async def reload_certificates(self) -> Mapping[str, object]:
        """Read every certificate file anew: `good` and `text`."""


class _Refused(Exception):
    """A request that is none of ours."""

    def __init__(self, fault: AdminFault, text: str) -> None:
        super().__init__(text)
        self.fault = fault


class Admin:
    """Serves one border's administration socket.

    Args:
        flush: called after each batch of requests: sends what they made the border say.
        clock: () -> seconds, monotonic, for `hangup`.
    """

    __slots__ = ("_clock", "_connections", "_flush")

    def __init__(
        self,
        *,
        flush: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._flush = flush
        self._clock = clock
        self._connections = 0

    async def serve(
        self,
        path: str,
        border: BorderFace,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until cancelled; removes the socket at its end.

        Args:
            path: of the socket, `<run_dir>/sbc.sock`.

        Raises:
            TransportError: another border serves this path, or it cannot be made.
        """
        sock = _listen(path)
        inode = os.stat(path).st_ino
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))

        async def answer(stream: trio.SocketStream) -> None:
            await self._answer(stream, border)

        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(trio.serve_listeners, answer, [listener])
                task_status.started()
        finally:
            _remove(path, inode)

    async def _answer(self, stream: trio.SocketStream, border: BorderFace) -> None:
        """One connection: requests in, answers out, in order."""
        if self._connections >= _MAX_CONNECTIONS or not _is_ours(stream):
            await trio.aclose_forcefully(stream)
            return
        self._connections += 1
        decoder = Decoder()
        try:
            while data := await stream.receive_some(_READ_BYTES):
                for frame in decoder.feed(data):
                    await self._serve_one(stream, border, frame)
                    self._flush()
        except FrameError as error:
            _log.warning("admin.garbled reason=%s", error)
        except (trio.BrokenResourceError, trio.TooSlowError):
            pass  # the command has gone, or does not read
        finally:
            self._connections -= 1
            await trio.aclose_forcefully(stream)

    async def _serve_one(self, stream: trio.SocketStream, border: BorderFace, frame: Frame) -> None:
        if not isinstance(frame, Request):
            raise FrameError(f"expected a request, got a {type(frame).__name__.lower()}")
        try:
            result = await self._carry_out(stream, border, frame)
            answer = Response(frame.id, result)
        except _Refused as error:
            answer = Response(frame.id, None, (error.fault, str(error)))
        except (trio.BrokenResourceError, trio.TooSlowError, trio.ClosedResourceError):
            raise
        except Exception as error:
            # An operator's question must not end the border's calls, whatever it stumbles on.
            _log.exception("admin.crashed method=%d", frame.method)
            text = f"{type(error).__name__}: {error}"
            answer = Response(frame.id, None, (AdminFault.INTERNAL, text))
        await _send(stream, answer)

    async def _carry_out(
        self, stream: trio.SocketStream, border: BorderFace, request: Request
    ) -> object:
        match request.method:
            case AdminMethod.STATUS:
                return border.status()
            case AdminMethod.CALLS:
                return await _list_calls(stream, border.list_calls())
            case AdminMethod.CALL:
                return await border.describe(_call_id(request.body))
            case AdminMethod.HANGUP:
                return border.hangup(_call_id(request.body), self._clock())
            case AdminMethod.RELOAD_CERTIFICATES:
                return await border.reload_certificates()
            case _:
                known = ", ".join(f"{one.value} ({one.name})" for one in AdminMethod)
                text = f"expected one of {known}, got {request.method}"
                raise _Refused(AdminFault.UNKNOWN_METHOD, text)


async def _list_calls(stream: trio.SocketStream, calls: Iterable[Mapping[str, object]]) -> int:
    count = 0
    batch: list[Mapping[str, object]] = []
    for call in calls:
        batch.append(call)
        if len(batch) == _SLICE:
            count += len(batch)
            await _send(stream, Notification(AdminEvent.CALLS, batch))
            batch = []
    if batch:
        count += len(batch)
        await _send(stream, Notification(AdminEvent.CALLS, batch))
    return count


async def _send(stream: trio.SocketStream, frame: Frame) -> None:
    """Also a checkpoint. Raises TooSlowError: a reader that sleeps holds no memory of ours."""
    with trio.fail_after(_SEND_TIMEOUT_S):
        await stream.send_all(encode(frame))


def _call_id(body: object) -> str:
    if not isinstance(body, str):
        text = f"expected a call identifier, got {type(body).__name__}"
        raise _Refused(AdminFault.BAD_REQUEST, text)
    return body


def _is_ours(stream: trio.SocketStream) -> bool:
    raw = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(raw)
    if uid in (0, os.geteuid()):
        return True
    _log.warning("admin.refused uid=%d", uid)
    return False


def _listen(path: str) -> socket.socket:
    """A listening socket at `path`, mode 0600; a dead one that lies there is replaced."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _answers(path):
            raise TransportError(f"{path}: another border is running here (stop it first)")
        _remove(path)
        mask = os.umask(0o177)
        try:
            sock.bind(path)
        finally:
            os.umask(mask)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise TransportError(f"{path}: {error.strerror or error}") from None
    except BaseException:
        sock.close()
        raise
    return sock


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(path)
        except BlockingIOError:
            return True  # its backlog is full: alive, and busy
        except OSError:
            return False
    return True


def _remove(path: str, inode: int | None = None) -> None:
    """Unlink `path`, unless it is not (or no longer) the socket with this inode."""
    try:
        if inode is None or os.stat(path).st_ino == inode:
            os.unlink(path)
    except FileNotFoundError:
        pass
