"""Messages that carry descriptors, between processes of one machine.

A line is one end of an `AF_UNIX SOCK_SEQPACKET` connection: each message is a JSON object and up
to 64 descriptors (`SCM_RIGHTS`). Nothing blocks: what the kernel does not take at once waits in
a queue, and descriptors that are only borrowed for the message are fetched when it really goes.

Standard library only: the supervisor and the launcher have nothing else.
"""

from __future__ import annotations

import array
import errno
import json
import os
import socket
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

__all__ = ["MAX_DESCRIPTORS", "Line", "LineError", "Loan", "Message", "receive_descriptors"]

MAX_DESCRIPTORS = 64
"""In one message. The kernel's own limit is 253 (SCM_MAX_FD)."""

_MESSAGE_BYTES = 65_536
_CROWDED_PAUSE_S = 0.001
_INT_BYTES = array.array("i").itemsize
_CONTROL_BYTES = socket.CMSG_SPACE(MAX_DESCRIPTORS * _INT_BYTES)

Message = dict[str, Any]
"""What a line carries beside descriptors; `"t"` names its type."""


class LineError(OSError):
    """The line is broken or has carried what no line may: it must be closed."""


class Loan(Protocol):
    """Descriptors that exist in this process only while a message is being sent."""

    def fetch(self) -> list[int]:
        """The descriptors, now ours to close. May raise what the caller of `send` expects."""


class Line:
    """One end, non-blocking.

    Args:
        end: a connected SOCK_SEQPACKET socket, which the line owns from now on.
    """

    __slots__ = ("_closed_to_us", "_queue", "_socket", "ended")

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._socket = end
        self._queue: deque[tuple[bytes, Sequence[int] | Loan]] = deque()
        self._closed_to_us = False
        self.ended = False
        """The other end is closed and all that it said has been received."""

    @classmethod
    def pair(cls) -> tuple[Line, socket.socket]:
        """A line and the socket for the process at its other end."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), theirs

    def fileno(self) -> int:
        """The descriptor to poll; for writing only while `waiting`."""
        return self._socket.fileno()

    @property
    def waiting(self) -> bool:
        """Something is queued: poll for writing and call `flush`."""
        return bool(self._queue)

    def send(self, message: Message, descriptors: Sequence[int] | Loan = ()) -> None:
        """Send now or as soon as the other end has read enough; order is kept.

        Args:
            message: JSON-able, under 64 kB.
            descriptors: ≤ 64 that stay the caller's and must stay open until sent, or a loan.

        Raises OSError if the kernel refuses, and what the loan raises; what goes to a closed
        other end is lost.
        """
        data = json.dumps(message, separators=(",", ":")).encode()
        self._queue.append((data, descriptors))
        self.flush()

    def flush(self) -> None:
        """Send what is queued until the kernel has enough. Raises as `send`."""
        while self._queue and not self._closed_to_us:
            data, descriptors = self._queue[0]
            if not self._transmit(data, descriptors):
                return
            self._queue.popleft()
        if self._closed_to_us:
            self._queue.clear()

    def receive(self) -> list[tuple[Message, list[int]]]:
        """All messages that are there, each with descriptors that are now ours to close.

        Raises LineError for a message that is no JSON object.
        """
        messages: list[tuple[Message, list[int]]] = []
        while (one := self.receive_one()) is not None:
            messages.append(one)
        return messages

    def receive_one(self) -> tuple[Message, list[int]] | None:
        """As `receive`, but the first message only, or None."""
        while not self.ended:
            try:
                data, descriptors, flags = receive_descriptors(self._socket)
            except BlockingIOError:
                return None
            except ConnectionResetError:
                continue  # it closed without reading all of ours; its last words come after this
            except OSError:
                self.ended = True
                return None
            if not data:
                self.ended = True
                return None
            return _decode(data, descriptors, flags), descriptors
        return None

    def close(self) -> None:
        """Close this end and forget what was queued."""
        self.ended = self._closed_to_us = True
        self._queue.clear()
        self._socket.close()

    def _transmit(self, data: bytes, descriptors: Sequence[int] | Loan) -> bool:
        borrowed: list[int] = []
        if not isinstance(descriptors, Sequence):
            borrowed = descriptors.fetch()
            descriptors = borrowed
        try:
            socket.send_fds(self._socket, [data], descriptors)
        except BlockingIOError:
            return False
        except ConnectionError:
            self._closed_to_us = True
        except OSError as error:
            if error.errno != errno.ETOOMANYREFS:
                raise
            # Too many descriptors of this user are in flight: the other end has yet to take ours.
            # The line stays writable, so the pause is what keeps the loop from spinning.
            time.sleep(_CROWDED_PAUSE_S)
            return False
        finally:
            for descriptor in borrowed:
                os.close(descriptor)
        return True


def receive_descriptors(end: socket.socket, flags: int = 0) -> tuple[bytes, list[int], int]:
    """One message with its descriptors and the kernel's flags.

    Args:
        end: a SEQPACKET or DGRAM socket.
        flags: e.g. MSG_PEEK, which copies the descriptors and leaves the message where it is
            (`socket.recv_fds` of Python 3.11 ignores its flags).

    Raises OSError. MSG_CTRUNC in the flags: this process has no room for all of them.
    """
    wanted = flags | socket.MSG_CMSG_CLOEXEC
    data, ancillary, seen, _ = end.recvmsg(_MESSAGE_BYTES, _CONTROL_BYTES, wanted)
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % _INT_BYTES])
    return data, list(descriptors), seen


def _decode(data: bytes, descriptors: list[int], flags: int) -> Message:
    """The message, with `"truncated": True` where descriptors were lost for want of room."""
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        for descriptor in descriptors:
            with suppress(OSError):
                os.close(descriptor)
        raise LineError(errno.EPROTO, "expected a JSON object on the line")
    if flags & socket.MSG_CTRUNC:
        message["truncated"] = True
    return message
