"""A small process: its loop of descriptors, its signals, its log lines, its service manager.

Standard library only, for the launcher and the supervisor.
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress

__all__ = ["Signals", "Watch", "notify_service_manager", "start_logging"]


class Watch:
    """Descriptors that are polled, each with what to call when it is ready."""

    __slots__ = ("_callbacks", "_poll")

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}

    def add(self, descriptor: int, callback: Callable[[], None]) -> None:
        """Call back whenever it is readable."""
        self._poll.register(descriptor, select.EPOLLIN)
        self._callbacks[descriptor] = callback

    def writing(self, descriptor: int, wanted: bool) -> None:
        """Call back when it is writable too, or no longer."""
        if descriptor in self._callbacks:
            self._poll.modify(descriptor, select.EPOLLIN | (select.EPOLLOUT if wanted else 0))

    def remove(self, descriptor: int) -> None:
        """Forget it, before it is closed; nothing happens if it is not watched."""
        if self._callbacks.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def wait(self, timeout_s: float) -> None:
        """Wait for something, and call back for all that is ready."""
        for descriptor, _ in self._poll.poll(max(0.0, timeout_s)):
            callback = self._callbacks.get(descriptor)
            if callback is not None:  # an earlier callback may have removed it
                callback()

    def close(self) -> None:
        """Stop watching everything."""
        self._callbacks.clear()
        self._poll.close()


class Signals:
    """Signals as something to read; only in a main thread, one at a time.

    Args:
        numbers: the signals that are caught until `close`.
        ignored: those that do nothing until then, here and in children that are started.
    """

    __slots__ = ("_former", "_ours", "_theirs")

    def __init__(self, numbers: Iterable[int], ignored: Iterable[int] = ()) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)
        signal.set_wakeup_fd(self._theirs.fileno(), warn_on_full_buffer=False)
        self._former = {number: signal.signal(number, _noted) for number in numbers}
        self._former |= {number: signal.signal(number, signal.SIG_IGN) for number in ignored}

    def fileno(self) -> int:
        """Readable when a signal has come."""
        return self._ours.fileno()

    def taken(self) -> list[int]:
        """The numbers of those that came since the last time."""
        with suppress(BlockingIOError):
            return list(self._ours.recv(64))
        return []

    def close(self) -> None:
        """Back to how it was."""
        signal.set_wakeup_fd(-1)
        for number, former in self._former.items():
            signal.signal(number, former)
        self._ours.close()
        self._theirs.close()


def notify_service_manager(text: str) -> None:
    """sd_notify(3): a datagram to where systemd said, if it did."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one, suppress(OSError):
        one.sendto(text.encode(), address)


def start_logging(level: str = "info", as_json: bool = False) -> None:
    """Log lines on standard error, in the shape in which signalling writes its own.

    Args:
        level: debug, info, warning or error.
        as_json: one JSON object a line.
    """
    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logging.addLevelName(number, logging.getLevelName(number).lower())
    handler = logging.StreamHandler(sys.stderr)
    plain = logging.Formatter(
        "%(asctime)s.%(msecs)03d %(levelname)-7s %(message)s", datefmt="%H:%M:%S"
    )
    handler.setFormatter(_JsonFormatter() if as_json else plain)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "time": round(record.created, 3),
            "level": record.levelname,
            "event": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def _noted(_number: int, _frame: object) -> None:
    """The wakeup descriptor has told the loop already."""
