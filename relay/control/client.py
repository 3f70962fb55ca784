"""A small blocking client of one worker: for tests, benchmarks and command-line queries.

The border itself speaks to workers through trio, with the same codec and messages.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Sequence
from types import TracebackType

from relay.control.codec import Decoder, FrameError, Notification, Request, Response, encode
from relay.control.messages import (
    Address,
    CallList,
    CallStats,
    ControlError,
    ErrorCode,
    Hello,
    Lease,
    ListCalls,
    Method,
    Plan,
    Welcome,
    WorkerStats,
    addresses_from_body,
)

__all__ = ["Client"]


class Client:
    """One connection to one worker.

    Args:
        path: the worker's socket, `<run_dir>/worker-<slot>.sock`; or a connected socket.
        timeout_s: how long a call may wait for its answer.

    Raises OSError where the connection cannot be made or is lost, ControlError for a refusal.
    """

    def __init__(self, path: str | socket.socket, timeout_s: float = 5.0) -> None:
        if isinstance(path, str):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.settimeout(timeout_s)
            try:
                self._socket.connect(path)
            except OSError:
                self._socket.close()
                raise
        else:
            self._socket = path
            self._socket.settimeout(timeout_s)
        self._timeout_s = timeout_s
        self._decoder = Decoder()
        self._next_id = 0
        self._answers: dict[int, Response] = {}
        self.notifications: deque[Notification] = deque()
        """What the worker said unasked, oldest first."""

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._socket.close()

    def send(self, method: int, body: object = None) -> int:
        """Asks without waiting; returns the id for `answer`."""
        return self.send_all(method, [body])[0]

    def send_all(self, method: int, bodies: Sequence[object]) -> list[int]:
        """Asks several times with one write, without waiting; returns the ids for `answer`."""
        first = self._next_id + 1
        self._next_id += len(bodies)
        ids = list(range(first, self._next_id + 1))
        requests = zip(ids, bodies, strict=True)
        self._socket.sendall(b"".join(encode(Request(one, method, body)) for one, body in requests))
        return ids

    def answer(self, identifier: int) -> object:
        """The result of the request with this id, when it is there. Raises ControlError."""
        deadline = time.monotonic() + self._timeout_s
        while identifier not in self._answers:
            self._receive(deadline)
        response = self._answers.pop(identifier)
        if response.error is not None:
            code, text = response.error
            known = code in ErrorCode.__members__.values()
            raise ControlError(ErrorCode(code) if known else ErrorCode.INTERNAL, text)
        return response.result

    def request(self, method: int, body: object = None) -> object:
        """Asks and waits."""
        return self.answer(self.send(method, body))

    def wait(self, event: int, timeout_s: float | None = None) -> Notification | None:
        """Takes the first notification of this kind, waiting for it; None: it did not come."""
        deadline = time.monotonic() + (self._timeout_s if timeout_s is None else timeout_s)
        while True:
            for notification in self.notifications:
                if notification.event == event:
                    self.notifications.remove(notification)
                    return notification
            try:
                self._receive(deadline)
            except TimeoutError:
                return None

    def hello(self, session: str = "", *, role: str = "signalling", fresh: bool = False) -> Welcome:
        """HELLO, which every connection begins with."""
        hello = Hello(role=role, session=session, fresh=fresh)
        return Welcome.from_body(self.request(Method.HELLO, hello.to_body()))

    def lease(self, realm: str, count: int) -> list[Address]:
        """Up to `count` RTP ports. Raises ControlError(PORTS_EXHAUSTED) if there is none."""
        return addresses_from_body(self.request(Method.LEASE, Lease(realm, count).to_body()))

    def give_back(self, addresses: Sequence[Address]) -> None:
        """Returns leased ports that no plan uses."""
        self.request(Method.GIVE_BACK, list(addresses))

    def apply(self, plan: Plan) -> int:
        """Puts the plan in force; returns its revision."""
        result = self.request(Method.APPLY, plan.to_body())
        return result if isinstance(result, int) else -1

    def remove(self, call: str) -> CallStats:
        """Ends the media of a call; returns what it was."""
        return CallStats.from_body(self.request(Method.REMOVE, call))

    def query(self, call: str) -> CallStats:
        """What the media of a call has been so far."""
        return CallStats.from_body(self.request(Method.QUERY, call))

    def list_calls(self, after: int = 0, limit: int = 500) -> CallList:
        """One slice of the worker's calls."""
        return CallList.from_body(self.request(Method.LIST, ListCalls(after, limit).to_body()))

    def stats(self) -> WorkerStats:
        """The worker as a whole."""
        return WorkerStats.from_body(self.request(Method.STATS))

    def ping(self) -> None:
        """Returns when the worker has answered."""
        self.request(Method.PING)

    def _receive(self, deadline: float) -> None:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("expected an answer from the worker, got none in time")
        self._socket.settimeout(left_s)
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionResetError("the worker has closed the connection")
        try:
            frames = self._decoder.feed(data)
        except FrameError as error:
            raise ConnectionError(str(error)) from error
        for frame in frames:
            match frame:
                case Response():
                    self._answers[frame.id] = frame
                case Notification():
                    self.notifications.append(frame)
                case Request():
                    raise ConnectionError("expected answers, got a request")
