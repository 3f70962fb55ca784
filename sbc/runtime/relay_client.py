"""The border's line to each relay worker: requests out in one write a flush, answers in as events.

A worker's slot has a fixed socket; whoever serves it answers HELLO. When the connection ends the
worker is taken for dead, whatever it may still be: its calls are ended here, and the next HELLO
says that we know of none.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from typing import Final

import trio

from relay.control.codec import Decoder, FrameError, Notification, Request, Response, encode
from relay.control.messages import (
    CallStats,
    ControlError,
    DigitEvent,
    ErrorCode,
    Event,
    Hello,
    Inject,
    Lease,
    MediaTimeoutEvent,
    Method,
    Plan,
    PortsEvent,
    SrtpFailedEvent,
    Welcome,
    addresses_from_body,
)
from sbc.call.border import Border
from sbc.call.media.leases import LocalPort
from sbc.call.media.pools import name_of, parts

__all__ = ["RelayClient"]

_log = logging.getLogger(__name__)

_READ_BYTES: Final = 65_536
"""Some 300 answers, each of which may end a call: 10 ms of work at most."""
_BUFFER_MOST_BYTES: Final = 16 * 1024 * 1024
"""More than this unread by a worker: it hangs."""
_HELLO_TIMEOUT_S: Final = 5.0
_PING_S: Final = 1.0
_SILENCE_S: Final = 3.0
_RETRY_S: Final = 0.05
_QUERY_TIMEOUT_S: Final = 1.0


class RelayClient:
    """All workers of one pool.

    Args:
        run_dir: where their sockets are.
        workers: how many slots there are.
        flush: called after each batch of answers: sends what they made the border say.
    """

    def __init__(self, run_dir: str, workers: int, flush: Callable[[], None]) -> None:
        self._workers = [
            _Worker(slot, os.path.join(run_dir, f"worker-{slot}.sock")) for slot in range(workers)
        ]
        self._flush = flush
        self._queries: dict[str, list[trio.MemorySendChannel[CallStats | None]]] = {}

    # What the border asks (sbc.call.core.RelayOutlet)

    def apply(self, slot: int, plan: Plan) -> None:
        """Carry out this plan."""
        self._workers[slot].ask(Method.APPLY, plan.to_body(), plan.call)

    def remove(self, slot: int, key: str) -> None:
        """Forget this plan and tell what came of it."""
        self._workers[slot].ask(Method.REMOVE, key, key)

    def inject(self, slot: int, wish: Inject) -> None:
        """Let a peer hear digits."""
        self._workers[slot].ask(Method.INJECT, wish.to_body())

    def give_back(self, slot: int, ports: list[LocalPort]) -> None:
        """Leased ports that no plan has taken."""
        self._workers[slot].ask(Method.GIVE_BACK, list(ports))

    # What an operator asks

    async def query(self, slot: int, key: str) -> CallStats | None:
        """What a plan's media is so far; None: the worker does not know it, or does not answer."""
        send, receive = trio.open_memory_channel[CallStats | None](1)
        waiting = self._queries.setdefault(key, [])
        waiting.append(send)
        self._workers[slot].ask(Method.QUERY, key, key)
        self._workers[slot].write()
        try:
            with trio.move_on_after(_QUERY_TIMEOUT_S):
                return await receive.receive()
            return None
        finally:
            if send in waiting:
                waiting.remove(send)
            if not waiting:
                self._queries.pop(key, None)

    # What the runtime does

    def flush(self, border: Border) -> None:
        """Ask for the ports that are wanted, and write everything out."""
        for wish in border.core.leases.wanted():
            realm, family = parts(wish.pool)
            body = Lease(realm, wish.count, family).to_body()
            self._workers[wish.slot].ask(Method.LEASE, body, wish.pool)
        for worker in self._workers:
            worker.write()

    async def run(self, border: Border) -> None:
        """Keep a connection to every slot, until cancelled."""
        async with trio.open_nursery() as nursery:
            for worker in self._workers:
                nursery.start_soon(self._keep, worker, border)

    async def _keep(self, worker: _Worker, border: Border) -> None:
        while True:
            try:
                await self._serve(worker, border)
            except* (OSError, FrameError, ControlError, trio.TooSlowError) as group:
                if worker.up:
                    reason = "; ".join(str(error) or "hangs" for error in group.exceptions)
                    _log.warning("relay.lost slot=%d reason=%s", worker.slot, reason)
            finally:
                was_up = worker.close()
                if was_up:
                    border.relay_down(worker.slot, time.monotonic())
                    self._flush()
            await trio.sleep(_RETRY_S)

    async def _serve(self, worker: _Worker, border: Border) -> None:
        """One connection, from HELLO to its end."""
        with trio.fail_after(_HELLO_TIMEOUT_S):
            await worker.connect()
        border.relay_up(worker.slot)
        self._flush()
        _log.info(
            "relay.up slot=%d pid=%d fast_path=%s",
            *(worker.slot, worker.welcome.pid, worker.welcome.fast_path),
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker.keep_writing)
            nursery.start_soon(worker.keep_asking)
            while True:
                frames = await worker.read()
                now = time.monotonic()
                for frame in frames:
                    if isinstance(frame, Response):
                        self._answered(worker, frame, border, now)
                    elif isinstance(frame, Notification):
                        _notified(worker.slot, frame, border, now)
                self._flush()

    def _answered(self, worker: _Worker, response: Response, border: Border, now: float) -> None:
        method, key = worker.take(response.id)
        error = response.error
        if method == Method.LEASE:
            ports = [] if error is not None else addresses_from_body(response.result)
            border.relay_leased(worker.slot, key, ports)
        elif method == Method.REMOVE:
            stats = None if error is not None else CallStats.from_body(response.result)
            border.relay_removed(key, stats, now)
        elif method == Method.QUERY:
            stats = None if error is not None else CallStats.from_body(response.result)
            for waiting in self._queries.pop(key, []):
                waiting.send_nowait(stats)
        elif method == Method.APPLY and error is not None and error[0] != ErrorCode.SUPERSEDED:
            border.relay_refused(key, f"media worker refused: {error[1]}", now)


class _Worker:
    """The connection to one slot."""

    __slots__ = (
        "_asked",
        "_decoder",
        "_heard_at",
        "_next_id",
        "_out",
        "_sock",
        "_wants_to_write",
        "path",
        "slot",
        "up",
        "welcome",
    )

    def __init__(self, slot: int, path: str) -> None:
        self.slot = slot
        self.path = path
        self.up = False
        self.welcome = Welcome(0, slot, 0, "", 0)
        self._sock: socket.socket | None = None
        self._out = bytearray()
        self._asked: dict[int, tuple[int, str]] = {}
        self._next_id = 0
        self._decoder = Decoder()
        self._heard_at = 0.0
        self._wants_to_write = trio.Event()

    def ask(self, method: Method, body: object, key: str = "") -> None:
        """Queue a request; nothing is sent before `write`."""
        if self._sock is None:
            return  # the calls that it was for are ended by relay_down
        self._next_id += 1
        self._asked[self._next_id] = (method, key)
        self._out += encode(Request(self._next_id, method, body))

    def take(self, identifier: int) -> tuple[int, str]:
        """What was asked under this id.

        Raises:
            FrameError: nothing was.
        """
        try:
            return self._asked.pop(identifier)
        except KeyError:
            raise FrameError(f"an answer to no question, id {identifier}") from None

    def write(self) -> None:
        """Send what is queued, as far as the socket takes it; the rest follows by itself."""
        if not self._out or self._sock is None:
            return
        try:
            sent = self._sock.send(self._out)
            del self._out[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._out.clear()  # the reader sees the end of the connection
        if self._out:
            self._wants_to_write.set()

    async def connect(self) -> None:
        """Connect and say HELLO; `welcome` is the answer.

        Raises:
            OSError: nobody serves the slot.
            ControlError, FrameError: not a worker of our version.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.connect(self.path)
        except OSError:
            sock.close()
            raise
        self._sock = sock
        self._decoder = Decoder()
        hello = Hello(session=f"{os.getpid()}-{time.monotonic_ns()}", fresh=True)
        self.ask(Method.HELLO, hello.to_body())
        self.write()
        while True:
            for frame in await self.read():
                if isinstance(frame, Response):
                    self.take(frame.id)
                    if frame.error is not None:
                        code, text = frame.error
                        known = code in ErrorCode.__members__.values()
                        raise ControlError(ErrorCode(code) if known else ErrorCode.INTERNAL, text)
                    self.welcome = Welcome.from_body(frame.result)
                    self.up = True
                    return

    async def read(self) -> list[Request | Response | Notification]:
        """The next frames, at least one.

        Raises:
            OSError: the connection has ended.
            FrameError: what came is no frame.
        """
        assert self._sock is not None  # noqa: S101 (read follows connect)
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            try:
                data = self._sock.recv(_READ_BYTES)
            except BlockingIOError:
                continue
            if not data:
                raise ConnectionResetError("the connection ended")
            self._heard_at = time.monotonic()
            frames = self._decoder.feed(data)
            if frames:
                return frames

    async def keep_writing(self) -> None:
        """Write what `write` could not.

        Raises:
            TooSlowError: the worker does not read.
        """
        while self._sock is not None:
            await self._wants_to_write.wait()
            self._wants_to_write = trio.Event()
            if len(self._out) > _BUFFER_MOST_BYTES:
                raise trio.TooSlowError
            await trio.lowlevel.wait_writable(self._sock)
            self.write()

    async def keep_asking(self) -> None:
        """Ask now and then, so that a worker that hangs is found out.

        Raises:
            TooSlowError: no answer to anything for some seconds.
        """
        while True:
            await trio.sleep(_PING_S)
            if self._asked and time.monotonic() - self._heard_at > _SILENCE_S:
                raise trio.TooSlowError
            self.ask(Method.PING, None)
            self.write()

    def close(self) -> bool:
        """Close the connection; whether the worker was up."""
        was_up, self.up = self.up, False
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        self._out.clear()
        self._asked.clear()
        return was_up


def _notified(slot: int, notification: Notification, border: Border, now: float) -> None:
    if notification.event == Event.MEDIA_TIMEOUT:
        event = MediaTimeoutEvent.from_body(notification.body)
        border.relay_silent(event.call, event.end, now)
    elif notification.event == Event.DTMF:
        digit = DigitEvent.from_body(notification.body)
        border.relay_digit(digit.call, digit.end, digit.digit, digit.duration_ms, now)
    elif notification.event == Event.SRTP_FAILED:
        failed = SrtpFailedEvent.from_body(notification.body)
        border.relay_srtp_failed(failed.call, failed.end)
    elif notification.event == Event.PORTS:
        ports = PortsEvent.from_body(notification.body)
        if not ports.exhausted:
            border.relay_replenished(slot, name_of(ports.realm, ports.family))
    elif notification.event == Event.DRAINING:
        border.relay_draining(slot)
