"""Messages out of a byte stream (RFC 3261 §18.3, RFC 5626 §3.5.1): TCP, TLS.

Only Content-Length says where a message ends, so a head without one, with two or with one that is
no number ends the connection: whoever goes on reading would take a body for a message.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from sbc.errors import ParseError
from sbc.sip.grammar import MAX_MESSAGE_BYTES, decimal, shown, unfold
from sbc.sip.message import Request
from sbc.sip.parser import BadRequest, parse

__all__ = ["FramingError", "KeepAlive", "StreamFramer"]

# The same names that `sbc.sip.headers` takes for Content-Length, with folded lines.
_LENGTH: Final = re.compile(
    rb"\r\n(?:content-length|l)[ \t]*+:([^\r\n]*+(?:\r\n[ \t][^\r\n]*+)*)", re.IGNORECASE
)


class KeepAlive(Enum):
    """What RFC 5626 sends between messages."""

    PING = b"\r\n\r\n"
    """To be answered with `PONG.value`."""
    PONG = b"\r\n"


class FramingError(ParseError):
    """The stream cannot be read any further: answer if possible, then close the connection.

    Attributes:
        frames: what was complete before the fault, in order.
        reply_to: as in `BadRequest`.
    """

    def __init__(
        self, error: ParseError, frames: list[bytes | KeepAlive], reply_to: Request | None
    ) -> None:
        detail = error.detail.removeprefix(f"{error.section}: ")
        super().__init__(error.section, detail, offset=error.offset, status=error.status)
        self.frames = frames
        self.reply_to = reply_to


class StreamFramer:
    """Cuts one direction of one connection into messages and keep-alives."""

    __slots__ = ("_broken", "_buffer", "_frame_bytes", "_scanned")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0  # so far no end of a head, so that drips are not searched again
        self._frame_bytes = 0  # of the message being received; 0 until its head is there
        self._broken = False

    def __len__(self) -> int:
        """Bytes held back: part of a message."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes | KeepAlive]:
        """Take what was received; return what is complete.

        Raises:
            FramingError: once; afterwards everything that comes is ignored.
        """
        if self._broken:
            return []
        self._buffer += data
        frames: list[bytes | KeepAlive] = []
        try:
            while (frame := self._next()) is not None:
                frames.append(frame)
        except ParseError as error:
            head = bytes(self._buffer[:MAX_MESSAGE_BYTES])
            self._broken = True
            self._buffer.clear()
            raise FramingError(error, frames, _answerable(head)) from None
        return frames

    def _next(self) -> bytes | KeepAlive | None:
        buffer = self._buffer
        if not self._frame_bytes:
            if buffer[:1] == b"\r":
                return self._keep_alive()
            end = buffer.find(b"\r\n\r\n", self._scanned)
            if end < 0:
                if len(buffer) > MAX_MESSAGE_BYTES:
                    raise ParseError("stream", "no end of a head", status=513)
                self._scanned = max(0, len(buffer) - 3)
                return None
            self._frame_bytes = end + 4 + _body_bytes(bytes(buffer[:end]))
            if self._frame_bytes > MAX_MESSAGE_BYTES:
                raise ParseError("stream", f"more than {MAX_MESSAGE_BYTES} bytes", status=513)
        if len(buffer) < self._frame_bytes:
            return None
        frame = bytes(buffer[: self._frame_bytes])
        self._drop(self._frame_bytes)
        return frame

    def _keep_alive(self) -> KeepAlive | None:
        buffer = self._buffer
        if buffer.startswith(b"\r\n\r\n"):
            self._drop(4)
            return KeepAlive.PING
        if b"\r\n\r\n".startswith(buffer):
            return None  # may become a ping
        if not buffer.startswith(b"\r\n"):
            raise ParseError("stream", "expected CRLF, got a bare CR")
        self._drop(2)
        return KeepAlive.PONG

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self._scanned = 0
        self._frame_bytes = 0


def _body_bytes(head: bytes) -> int:
    if head.count(b"\n") != head.count(b"\r\n") or head.count(b"\r") != head.count(b"\n"):
        raise ParseError("head", "expected CRLF, got a bare CR or LF")
    lengths = _LENGTH.findall(head)
    if len(lengths) != 1:
        raise ParseError("Content-Length", f"expected one on a stream, got {len(lengths)}")
    length = decimal(unfold(lengths[0]), 2**31)
    if length is None:
        raise ParseError("Content-Length", f"expected a number, got {shown(lengths[0], 32)}")
    return length


def _answerable(data: bytes) -> Request | None:
    """What a 400 to the message that broke the stream can be built from."""
    head, end, _ = data.partition(b"\r\n\r\n")
    if not end:
        return None
    try:
        message = parse(head + end)
    except BadRequest as error:
        return error.reply_to
    except ParseError:
        return None
    return message if isinstance(message, Request) and message.method != b"ACK" else None
