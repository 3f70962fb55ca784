"""A real worker process: its control socket, its media, its end."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from relay.control.client import Client
from relay.control.codec import MAX_FRAME, Decoder, Request, encode
from relay.control.messages import (
    ControlError,
    End,
    ErrorCode,
    Event,
    Lease,
    Method,
    Plan,
    Stream,
)
from relay.worker import Worker
from tests.relay.rig import Peer, peer_pair, rtp
from tests.relay.supervisor import OneWorker


@pytest.fixture(params=["python", pytest.param("native", marks=pytest.mark.native)])
def fast_path(request) -> str:
    return request.param


@pytest.fixture
def worker(tmp_path, fast_path) -> Iterator[OneWorker]:
    worker = OneWorker(tmp_path, fast_path=fast_path)
    yield worker
    code, printed = worker.close()
    assert "Traceback" not in printed
    assert code == 0


def refused(code: ErrorCode):
    return pytest.raises(ControlError, match=f"^{code.name}")


class Call:
    """A call over the control socket, with real peers."""

    def __init__(self, client: Client, name: str = "call", **more) -> None:
        self.client, self.name, self.revision = client, name, 0
        self.a, self.a_rtcp = peer_pair("127.0.6.1")
        self.b, self.b_rtcp = peer_pair("127.0.6.2")
        ((host, port),) = client.lease("inside", 1)
        self.end_a = End("inside", host, port, self.a.address, expects=True, **more)
        ((host, port),) = client.lease("outside", 1)
        self.end_b = End("outside", host, port, self.b.address, expects=True, **more)

    def apply(self, timeout_s: float = 60.0) -> None:
        self.revision += 1
        stream = Stream(0, "audio", self.end_a, self.end_b)
        self.client.apply(Plan(self.name, self.revision, [stream], timeout_s))

    def speak(self, number: int) -> bool:
        """Whether one packet from A comes out at B."""
        self.a.send(rtp(number), (self.end_a.address, self.end_a.port))
        return heard(self.b)

    def close(self) -> None:
        for peer in (self.a, self.a_rtcp, self.b, self.b_rtcp):
            peer.close()


def heard(peer: Peer, wait_s: float = 0.5) -> bool:
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        if peer.all():
            return True
        time.sleep(0.002)
    return False


def test_a_call_from_lease_to_removal(worker):
    with worker.client() as client:
        call = Call(client)
        call.apply()
        assert call.speak(1)
        assert call.speak(2)
        latched = client.wait(Event.LATCHED)
        assert latched is not None
        assert latched.body == ["call", 0, "a", *call.a.address]
        assert client.query("call").streams[0].a.packets == 2
        assert [key for key, _ in client.list_calls().calls] == ["call"]
        last = client.remove("call")
        assert (last.streams[0].a.packets, last.streams[0].a.latched) == (2, call.a.address)
        assert not call.speak(3)
        stats = client.stats()
        assert (stats.calls, stats.counters["packets"]) == (0, 2)
        assert stats.ports["inside"]["in_use"] == 0
        assert stats.counters["crashes"] == 0
        call.close()


def test_hello_tells_who_answers_and_comes_first(worker, fast_path):
    with Client(worker.path) as client:
        with refused(ErrorCode.VERSION):
            client.ping()
        with refused(ErrorCode.VERSION):
            client.request(Method.HELLO, [99])
        welcome = client.hello("test")
        assert (welcome.version, welcome.slot, welcome.generation) == (1, 0, 7)
        assert (welcome.pid, welcome.fast_path) == (worker.process.pid, fast_path)
        with refused(ErrorCode.UNKNOWN_METHOD):
            client.request(77)
        with refused(ErrorCode.BAD_REQUEST):
            client.request(Method.APPLY, ["call"])


def test_requests_may_be_pipelined_and_are_answered_in_order(worker):
    with worker.client() as client:
        asked = [client.send(Method.PING) for _ in range(500)]
        asked.append(client.send(Method.LEASE, Lease("inside", 2).to_body()))
        assert len(client.answer(asked[-1])) == 2
        for identifier in asked[:-1]:
            assert client.answer(identifier) is None


def test_a_query_connection_only_asks(worker):
    with worker.client() as owner, worker.client(role="query") as asker:
        call = Call(owner)
        call.apply()
        assert asker.query("call").call == "call"
        assert asker.stats().calls == 1
        for request in (
            lambda: asker.lease("inside", 1),
            lambda: asker.remove("call"),
            lambda: asker.apply(Plan("other", 1)),
        ):
            with refused(ErrorCode.BAD_REQUEST):
                request()
        assert call.speak(1)
        asker.ping()
        assert owner.wait(Event.LATCHED) is not None
        assert not asker.notifications
        call.close()


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        (MAX_FRAME + 1).to_bytes(4, "big"),
        b"\0\0\0\1\xc1",
        b"\0\0\0\2\x91\x01",
        bytes(4),
    ],
)
def test_garbage_ends_its_connection_and_nothing_else(worker, data):
    with worker.client() as good:
        call = Call(good)
        call.apply()
        bad = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        bad.settimeout(5)
        bad.connect(worker.path)
        bad.sendall(data)
        assert bad.recv(100) == b""
        bad.close()
        assert call.speak(1)
        assert good.stats().counters["broken_connections"] == 1
        call.close()


def test_a_connection_that_never_reads_is_not_read_either(worker):
    with worker.client() as good:
        call = Call(good)
        call.apply()
        deaf = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        deaf.connect(worker.path)
        deaf.setblocking(False)
        deaf.send(encode(Request(1, Method.HELLO, [1, "query", "", False])))
        question = encode(Request(2, Method.STATS)) * 100
        refusals = 0
        while refusals < 50:
            try:
                deaf.send(question)
            except BlockingIOError:
                refusals += 1
                time.sleep(0.002)
        assert call.speak(1)
        used_s = worker.cpu_s()
        time.sleep(0.2)
        assert worker.cpu_s() - used_s < 0.1  # it waits, it does not spin
        deaf.close()
        assert call.speak(2)
        call.close()


def test_half_a_frame_holds_up_nobody(worker):
    slow = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    slow.connect(worker.path)
    data = encode(Request(5, Method.HELLO, [1, "query", "", False]))
    slow.sendall(data[:7])
    with worker.client() as client:
        client.ping()
    slow.sendall(data[7:])
    slow.settimeout(5)
    (answer,) = Decoder().feed(slow.recv(4096))
    assert answer.id == 5
    slow.close()


def test_a_client_that_vanishes_ends_no_call(worker):
    client = worker.client("one life")
    call = Call(client)
    call.apply()
    assert call.speak(1)
    client.send(Method.STATS)
    client.close()
    assert call.speak(2)
    with worker.client("one life") as again:
        assert again.query("call").streams[0].a.packets == 2
        call.client = again
        call.apply()
        assert call.speak(3)
    call.close()


def test_a_new_session_that_knows_nothing_drops_what_was(worker):
    with worker.client("old") as client:
        call = Call(client)
        call.apply()
        leased = client.lease("inside", 2)
        assert call.speak(1)
    with worker.client("new", fresh=True) as client:
        with refused(ErrorCode.UNKNOWN_CALL):
            client.query("call")
        assert not call.speak(2)
        assert len(client.lease("inside", 8)) == 8
        assert len(leased) == 2
    call.close()


def test_a_fresh_hello_of_the_same_session_drops_nothing(worker):
    with worker.client("one", fresh=True) as client:
        call = Call(client)
        call.apply()
    with worker.client("one", fresh=True) as client:
        assert client.query("call").call == "call"
    call.close()


@pytest.mark.slow
def test_media_timeout_is_told_once(worker):
    with worker.client() as client:
        call = Call(client)
        call.apply(0.3)
        events = [client.wait(Event.MEDIA_TIMEOUT, 3.0) for _ in range(2)]
        assert sorted(event.body for event in events) == [["call", 0, "a"], ["call", 0, "b"]]
        assert client.wait(Event.MEDIA_TIMEOUT, 1.2) is None
        call.close()


def test_ports_run_out_and_the_supervisor_is_asked(worker):
    with worker.client() as client:
        assert len(client.lease("inside", 100)) == 8
        with refused(ErrorCode.PORTS_EXHAUSTED):
            client.lease("inside", 1)
        event = client.wait(Event.PORTS)
        assert event is not None
        assert event.body == ["inside", True, 0]
        worker.wait_for("need")


def test_a_worker_told_to_drain_says_so_and_ends_with_its_last_call(tmp_path, fast_path):
    worker = OneWorker(tmp_path, fast_path=fast_path)
    client = worker.client()
    call = Call(client)
    call.apply()
    worker.line.send({"t": "drain", "deadline_s": 30.0})
    assert client.wait(Event.DRAINING) is not None
    with refused(ErrorCode.DRAINING):
        client.lease("inside", 1)
    assert call.speak(1)
    assert worker.process.poll() is None
    client.remove("call")
    assert worker.process.wait(5) == 0
    client.close()
    call.close()
    code, printed = worker.close()
    assert code == 0
    assert [line for line in printed.splitlines() if "fast_path." not in line] == []


def test_out_of_descriptors_calls_go_on_unconnected(tmp_path):
    worker = OneWorker(tmp_path, files=49)  # 32 media sockets and what the process itself needs
    with worker.client() as client:
        call = Call(client)
        call.apply()
        extra = []
        while True:  # connections take what is left
            one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            one.settimeout(0.3)
            one.connect(worker.path)
            one.sendall(encode(Request(1, Method.HELLO, [1, "query", "", False])))
            extra.append(one)
            try:
                one.recv(1000)
            except TimeoutError:
                break
        used_s = worker.cpu_s()
        assert call.speak(1)
        assert call.speak(2)
        time.sleep(0.2)
        assert worker.cpu_s() - used_s < 0.1  # a connection it cannot accept does not make it spin
        assert client.stats().counters["unconnected"] >= 1
        for one in extra:
            one.close()
        call.close()
    code, printed = worker.close()
    assert (code, "Traceback" in printed) == (0, False)


def test_a_worker_says_that_it_lives_however_much_else_there_is_on_its_line():
    said: list[float] = []
    worker = object.__new__(Worker)
    worker._next_line = worker._next_alive = 0.0
    worker._port = SimpleNamespace(receive=lambda now: [], alive=lambda: said.append(now))
    for step in range(60):  # something comes ten times a second
        now = 100.0 + step / 10
        worker._line(now)
    assert 10 <= len(said) <= 13
