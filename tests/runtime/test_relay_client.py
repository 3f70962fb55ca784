"""The line to a relay worker: leases, plans, a worker that dies, hangs, or talks nonsense."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from relay.control.codec import Decoder, Notification, Request, Response, encode
from relay.control.messages import (
    CallStats,
    DigitEvent,
    ErrorCode,
    Event,
    Inject,
    MediaTimeoutEvent,
    Method,
    PortsEvent,
    SrtpFailedEvent,
    Welcome,
)
from sbc.call.border import Border
from sbc.runtime.relay_client import RelayClient
from tests.call.lab import settings


class Worker:
    """One slot, played by the test."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.streams: list[trio.SocketStream] = []
        self.asked: list[Request] = []
        self.mute = False
        self._port = 10000

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        sock = trio.socket.socket(trio.socket.AF_UNIX)
        await sock.bind(self.path)
        sock.listen()
        await trio.serve_listeners(
            self._answer, [trio.SocketListener(sock)], task_status=task_status
        )

    async def say(self, data: bytes) -> None:
        await self.streams[-1].send_all(data)

    async def die(self) -> None:
        stream = self.streams.pop()
        await stream.aclose()

    async def _answer(self, stream: trio.SocketStream) -> None:
        self.streams.append(stream)
        decoder = Decoder()
        try:
            while data := await stream.receive_some(65536):
                for frame in decoder.feed(data):
                    assert isinstance(frame, Request)
                    self.asked.append(frame)
                    if not self.mute:
                        await stream.send_all(encode(self._response(frame)))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    def _response(self, request: Request) -> Response:
        if request.method == Method.HELLO:
            welcome = Welcome(1, 0, os.getpid(), "python", 1)
            return Response(request.id, welcome.to_body())
        if request.method == Method.LEASE:
            realm, count, _ = request.body  # type: ignore[misc]
            host = "10.0.0.1" if realm == "inside" else "10.1.0.1"
            self._port += 2 * count
            return Response(request.id, [[host, self._port - 2 * n] for n in range(count)])
        if request.method == Method.REMOVE:
            return Response(request.id, CallStats(str(request.body), 1, []).to_body())
        if request.method == Method.APPLY:
            return Response(request.id, None, (ErrorCode.UNKNOWN_PORT, "no such port"))
        if request.method == Method.QUERY:
            return Response(request.id, CallStats(str(request.body), 7, []).to_body())
        return Response(request.id, None)


class Rig:
    """A border, its relay client, and one worker."""

    def __init__(self, folder: Path) -> None:
        self.worker = Worker(folder / "worker-0.sock")
        self.client = RelayClient(str(folder), 1, self.flush)
        self.border = Border(
            settings(),
            key=b"k" * 32,
            random=os.urandom,
            transmit=lambda hop, data: None,
            relay=self.client,
            wall_offset_s=0.0,
        )
        self.heard: list[tuple[object, ...]] = []
        for name in (
            "digit",
            "removed",
            "refused",
            "silent",
            "srtp_failed",
            "replenished",
            "draining",
        ):
            name = f"relay_{name}"
            setattr(self.border, name, lambda *args, name=name: self.heard.append((name, *args)))

    def flush(self) -> None:
        self.border.flush()
        self.client.flush(self.border)

    async def until(self, condition: object) -> None:
        with trio.fail_after(5):
            while not condition():  # type: ignore[operator]  # noqa: ASYNC110
                await trio.sleep(0.005)

    @property
    def ports(self) -> int:
        return min(self.border.core.leases.in_hand().values())


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = Rig(tmp_path)
    async with running(made):
        yield made


@asynccontextmanager
async def running(rig: Rig) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        await nursery.start(rig.worker.serve)
        nursery.start_soon(rig.client.run, rig.border)
        await rig.until(lambda: rig.ports > 0)
        yield
        nursery.cancel_scope.cancel()


async def test_a_worker_is_used_once_it_has_answered_and_leases_come_ahead(rig: Rig) -> None:
    assert rig.border.core.leases.slots == [0]
    assert rig.ports == 64
    methods = [one.method for one in rig.worker.asked]
    assert methods[0] == Method.HELLO
    assert methods.count(Method.LEASE) == 2


async def test_the_first_hello_says_that_we_know_of_no_calls(rig: Rig) -> None:
    assert rig.worker.asked[0].body[3] is True  # type: ignore[index]


async def test_answers_reach_the_border_as_events(rig: Rig) -> None:
    rig.client.remove(0, "call-1")
    rig.flush()
    await rig.until(lambda: rig.heard)
    assert rig.heard[0][:2] == ("relay_removed", "call-1")


async def test_what_a_flush_produces_leaves_in_one_write(rig: Rig) -> None:
    before = len(rig.worker.asked)
    for number in range(50):
        rig.client.remove(0, f"call-{number}")
    assert len(rig.worker.asked) == before
    rig.flush()
    await rig.until(lambda: len(rig.heard) == 50)


async def test_a_media_timeout_reaches_the_border(rig: Rig) -> None:
    body = MediaTimeoutEvent("call-1", 0, "b").to_body()
    await rig.worker.say(encode(Notification(Event.MEDIA_TIMEOUT, body)))
    await rig.until(lambda: rig.heard)
    assert rig.heard[0][:3] == ("relay_silent", "call-1", "b")


async def test_a_stream_that_nobody_can_decrypt_reaches_the_border(rig: Rig) -> None:
    body = SrtpFailedEvent("call-1", 0, "a").to_body()
    await rig.worker.say(encode(Notification(Event.SRTP_FAILED, body)))
    await rig.until(lambda: rig.heard)
    assert rig.heard == [("relay_srtp_failed", "call-1", "a")]


async def test_a_digit_reaches_the_border_and_one_reaches_the_worker(rig: Rig) -> None:
    body = DigitEvent("call-1", 0, "a", "5", 120).to_body()
    await rig.worker.say(encode(Notification(Event.DTMF, body)))
    await rig.until(lambda: rig.heard)
    assert rig.heard[0][:5] == ("relay_digit", "call-1", "a", "5", 120)
    wish = Inject("call-1", 0, "b", 1, "5", 120)
    rig.client.inject(0, wish)
    rig.flush()
    await rig.until(lambda: rig.worker.asked[-1].method == Method.INJECT)
    assert Inject.from_body(rig.worker.asked[-1].body) == wish


async def test_a_worker_that_drains_is_heard(rig: Rig) -> None:
    await rig.worker.say(encode(Notification(Event.DRAINING, None)))
    await rig.until(lambda: rig.heard)
    assert rig.heard == [("relay_draining", 0)]


async def test_only_word_of_ports_that_are_there_again_reaches_the_border(rig: Rig) -> None:
    for exhausted in (True, False):
        body = PortsEvent("inside", exhausted).to_body()
        await rig.worker.say(encode(Notification(Event.PORTS, body)))
    await rig.until(lambda: rig.heard)
    assert rig.heard == [("relay_replenished", 0, "inside")]


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x01\xc1",
        encode(Response(99_999, None)),
        encode(Request(1, 1, None)),
    ],
)
async def test_a_worker_that_talks_nonsense_is_left_and_met_again(
    rig: Rig, nonsense: bytes
) -> None:
    first = rig.worker.streams[-1]
    await rig.worker.say(nonsense)
    if nonsense == encode(Request(1, 1, None)):
        await rig.worker.die()  # a request is none of a worker's business, and harmless
    await rig.until(lambda: rig.worker.streams and rig.worker.streams[-1] is not first)
    await rig.until(lambda: rig.ports > 0)


async def test_a_dead_worker_is_out_of_use_until_it_is_back(rig: Rig) -> None:
    await rig.worker.die()
    await rig.until(lambda: rig.worker.streams)
    await rig.until(lambda: rig.ports > 0)
    assert [one.method for one in rig.worker.asked].count(Method.HELLO) == 2


async def test_a_worker_that_hangs_is_found_out(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sbc.runtime.relay_client._PING_S", 0.02)
    monkeypatch.setattr("sbc.runtime.relay_client._SILENCE_S", 0.1)
    rig.worker.mute = True
    rig.client.remove(0, "call-1")
    rig.flush()
    hung = len(rig.worker.streams)
    await rig.until(lambda: len(rig.worker.streams) > hung)


async def test_requests_for_a_worker_that_is_away_are_dropped(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.client.remove(0, "call-1")
    rig.flush()
    assert rig.heard == []


async def test_what_a_call_is_like_can_be_asked(rig: Rig) -> None:
    assert await rig.client.query(0, "call-1") == CallStats("call-1", 7, [])


async def test_a_worker_that_does_not_answer_is_not_waited_for(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sbc.runtime.relay_client._QUERY_TIMEOUT_S", 0.05)
    rig.worker.mute = True
    assert await rig.client.query(0, "call-1") is None
    assert rig.client._queries == {}
