"""Frames of the control protocol: a 4-byte big-endian length and one msgpack map.

PURE. The same frames serve the relay's control sockets and the border's administration socket;
what the method numbers mean is the affair of `relay.control.messages` and of `sbc`.

A request is `{"id", "method", "body"}`; its answer bears the same id and either `"result"` or
`"error": [code, text]`; a notification is `{"event", "body"}` and is never answered. Requests may
be pipelined; answers come in the order of the requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from relay.control.packing import PackingError, pack, unpack

__all__ = [
    "MAX_FRAME",
    "Decoder",
    "Frame",
    "FrameError",
    "Notification",
    "Request",
    "Response",
    "encode",
]

MAX_FRAME: Final = 1 << 20
"""Largest frame in bytes, its length prefix not counted. A larger one ends the connection."""

_PREFIX: Final = 4


class FrameError(Exception):
    """Not a frame of this protocol. The connection cannot be read any further: close it."""


@dataclass(slots=True)
class Request:
    """Something to be done by the other end."""

    id: int
    """Chosen by the asker, unique among its unanswered requests."""
    method: int
    body: object = None


@dataclass(slots=True)
class Response:
    """The answer to the request with this id."""

    id: int
    result: object = None
    error: tuple[int, str] | None = None
    """(code, text), or None if the request was carried out."""


@dataclass(slots=True)
class Notification:
    """Something that the other end should know."""

    event: int
    body: object = None


Frame: TypeAlias = Request | Response | Notification


def encode(frame: Frame) -> bytes:
    """`frame` as it goes over the wire, its length prefix included.

    Raises FrameError if the body is not plain data or the frame would exceed MAX_FRAME.
    """
    value: dict[str, object]
    match frame:
        case Request():
            value = {"id": frame.id, "method": frame.method, "body": frame.body}
        case Response(error=None):
            value = {"id": frame.id, "result": frame.result}
        case Response():
            value = {"id": frame.id, "error": frame.error}
        case Notification():
            value = {"event": frame.event, "body": frame.body}
    try:
        packed = pack(value)
    except PackingError as error:
        raise FrameError(str(error)) from error
    if len(packed) > MAX_FRAME:
        raise FrameError(f"expected a frame of at most {MAX_FRAME} bytes, got {len(packed)}")
    return len(packed).to_bytes(_PREFIX, "big") + packed


class Decoder:
    """Bytes of one connection in, whole frames out."""

    __slots__ = ("_data", "_failed")

    def __init__(self) -> None:
        self._data = bytearray()
        self._failed = False

    def __len__(self) -> int:
        """Bytes of an unfinished frame that wait for their rest."""
        return len(self._data)

    def feed(self, data: bytes | memoryview) -> list[Frame]:
        """The frames that `data` completes, in order.

        Raises FrameError, and nothing else, on bytes that are not frames; those whole frames that
        came before them in the same `data` are lost with the connection, and their requests, all
        idempotent, are asked again on the next one.
        """
        if self._failed:
            raise FrameError("expected no more data after a broken frame")
        self._data += data
        try:
            return self._take()
        except FrameError:
            self._failed = True
            self._data = bytearray()
            raise

    def _take(self) -> list[Frame]:
        frames: list[Frame] = []
        data = self._data
        start, end = 0, len(data)
        while end - start >= _PREFIX:
            size = int.from_bytes(data[start : start + _PREFIX], "big")
            if size > MAX_FRAME:
                raise FrameError(f"expected a frame of at most {MAX_FRAME} bytes, got {size}")
            if end - start - _PREFIX < size:
                break
            start += _PREFIX
            frames.append(_frame(data[start : start + size]))
            start += size
        del data[:start]
        return frames


def _frame(packed: bytearray) -> Frame:
    try:
        value = unpack(packed)
    except PackingError as error:
        raise FrameError(str(error)) from error
    if not isinstance(value, dict):
        raise FrameError(f"expected a map, got {type(value).__name__}")
    if "event" in value:
        return Notification(_number(value, "event"), value.get("body"))
    if "method" in value:
        return Request(_number(value, "id"), _number(value, "method"), value.get("body"))
    identifier = _number(value, "id")
    refusal = value.get("error")
    if refusal is None:
        return Response(identifier, value.get("result"))
    if not (isinstance(refusal, list) and len(refusal) == 2):
        raise FrameError("expected an error of a code and a text")
    code, text = refusal
    if type(code) is not int or not isinstance(text, str):
        raise FrameError("expected an error of a code and a text")
    return Response(identifier, None, (code, text))


def _number(value: dict[object, object], key: str) -> int:
    number = value.get(key)
    if type(number) is not int:
        raise FrameError(f"expected a whole number as {key}, got {type(number).__name__}")
    return number
