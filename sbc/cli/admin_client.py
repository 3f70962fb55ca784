"""A small blocking client of the administration socket, for the commands."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Final

from relay.control.codec import Decoder, FrameError, Notification, Request, Response, encode
from sbc.errors import SbcError
from sbc.runtime.admin_methods import SOCKET_NAME, AdminMethod

__all__ = ["AdminClient", "BorderAway"]

_TIMEOUT_S: Final = 10.0


class BorderAway(SbcError):
    """No border answers; the text says where it was looked for and what to do."""


class AdminClient:
    """One connection to a running border.

    Args:
        run_dir: of the border's settings.

    Raises BorderAway where none answers, SbcError where it refuses.
    """

    def __init__(self, run_dir: str, timeout_s: float = _TIMEOUT_S) -> None:
        self._path = os.path.join(run_dir, SOCKET_NAME)
        self._decoder = Decoder()
        self._last_id = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        try:
            self._socket.connect(self._path)
        except PermissionError:
            self._socket.close()
            raise BorderAway(
                f"{self._path}: no permission: be the user that runs the border, or root"
            ) from None
        except OSError:
            self._socket.close()
            raise BorderAway(f"{self._path}: no border is running here (sbc run)") from None

    def __enter__(self) -> AdminClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def status(self) -> dict[str, object]:
        """The border as a whole."""
        return _map(self._ask(AdminMethod.STATUS))

    def calls(self) -> list[dict[str, object]]:
        """All calls, in slices."""
        return [_map(call) for one in self._stream(AdminMethod.CALLS) for call in _list(one)]

    def call(self, call_id: str) -> dict[str, object] | None:
        """One call in full, or None."""
        result = self._ask(AdminMethod.CALL, call_id)
        return None if result is None else _map(result)

    def hangup(self, call_id: str) -> bool:
        """End one call; whether there was one."""
        return self._ask(AdminMethod.HANGUP, call_id) is True

    def reload_certificates(self) -> dict[str, object]:
        """Have every certificate file read anew: `good` and `text`."""
        return _map(self._ask(AdminMethod.RELOAD_CERTIFICATES))

    def _ask(self, method: AdminMethod, body: object = None) -> object:
        request_id = self._send(method, body)
        for frame in self._frames():
            if isinstance(frame, Response) and frame.id == request_id:
                return _result(frame)
        raise BorderAway(f"{self._path}: the border has closed the connection")

    def _stream(self, method: AdminMethod) -> Iterator[object]:
        """The bodies of the notifications that come before the answer."""
        request_id = self._send(method, None)
        for frame in self._frames():
            if isinstance(frame, Notification):
                yield frame.body
            elif isinstance(frame, Response) and frame.id == request_id:
                _result(frame)
                return
        raise BorderAway(f"{self._path}: the border has closed the connection")

    def _send(self, method: AdminMethod, body: object) -> int:
        self._last_id += 1
        try:
            self._socket.sendall(encode(Request(self._last_id, method, body)))
        except OSError as error:
            raise BorderAway(f"{self._path}: {error.strerror or error}") from None
        return self._last_id

    def _frames(self) -> Iterator[object]:
        while True:
            try:
                data = self._socket.recv(65_536)
                frames = self._decoder.feed(data)
            except TimeoutError:
                raise BorderAway(f"{self._path}: the border does not answer") from None
            except (OSError, FrameError) as error:
                raise BorderAway(f"{self._path}: {error}") from None
            if not data:
                return
            yield from frames


def _result(response: Response) -> object:
    if response.error is not None:
        raise SbcError(f"the border refused: {response.error[1]}")
    return response.result


def _map(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise SbcError(f"expected a map from the border, got {type(value).__name__}")
    return {str(key): one for key, one in value.items()}


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise SbcError(f"expected a list from the border, got {type(value).__name__}")
    return value
