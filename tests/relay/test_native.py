"""What only the native fast path has: a thread that may die, a queue, descriptors of its own."""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

import relay.extension
from relay.extension import look
from relay.forward.choice import choose
from relay.forward.native import NativeEnded, NativeForwarder
from relay.forward.python import PythonForwarder
from relay.handoff import Start
from relay.loop import Loop
from relay.settings import RelaySettings
from relay.sockets import usual_room, widen
from relay.stats import Reception
from relay.worker import Worker
from tests.relay.rig import Peer, Rig, Talk, rtp
from tests.relay.supervisor import OneWorker
from tests.relay.test_worker import Call
from tests.support.border import until

pytestmark = pytest.mark.native


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig(NativeForwarder)
    yield rig
    rig.close()


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_two_thousand_calls_leave_no_descriptor(rig):
    talk = Talk(rig)
    rig.service.remove("call", 0.0)
    gc.collect()  # sockets that an earlier test has forgotten
    before = descriptors()
    for number in range(2000):
        talk.end_a = rig.end("inside", talk.a.address, expects=True)
        talk.end_b = rig.end("outside", talk.b.address, expects=True)
        talk.apply()
        if number % 10 == 0:  # each latches both ways: two sockets more, until it ends
            talk.both_speak(1)
            assert descriptors() == before + 2
        rig.service.remove("call", 0.0)
    assert descriptors() == before
    assert len(rig.forwarder) == 0


def test_a_thread_is_ended_and_leaves_nothing(loop):
    gc.collect()
    before, threads = descriptors(), len(os.listdir("/proc/self/task"))
    for _ in range(20):
        forwarder = NativeForwarder(loop)
        forwarder.stop()
        del forwarder
    assert descriptors() == before
    assert len(os.listdir("/proc/self/task")) == threads


def test_packets_that_wait_for_the_slow_path_are_bounded_and_come_in_order(rig):
    talk, stranger = Talk(rig), rig.peer("127.0.6.3")
    seen = []
    key = rig.lease("inside")
    rx = rig.desk.rx[key]
    widen(rx, usual_room())
    rig.forwarder.open(key, rx, lambda data, source, now: seen.append(bytes(data)))
    for number in range(150):
        stranger.send(rtp(number), key)
    time.sleep(0.02)
    waiting = []
    while (punt := rig.forwarder._engine.next_punt()) is not None and len(waiting) < 64:
        waiting.append(bytes(punt[1]))
    assert waiting == [rtp(number) for number in range(64)]  # the rest is the kernel's
    seen.extend(waiting)
    if punt is not None:
        seen.append(bytes(punt[1]))
    rig.run()
    assert seen == [rtp(number) for number in range(150)]
    talk.both_speak()
    assert len(talk.b.received()) == 3
    rig.forwarder.close([key])


def test_a_slow_path_that_fails_costs_the_packet(rig, caplog):
    key, peer = rig.lease("inside"), rig.peer("127.0.6.3")
    rig.forwarder.open(key, rig.desk.rx[key], lambda data, source, now: 1 // 0)
    peer.send(rtp(1), key)
    rig.run()
    assert rig.loop.crashes == 1
    assert "punt.crashed" in caplog.text
    rig.forwarder.close([key])
    talk = Talk(rig)
    talk.both_speak()
    assert len(talk.b.received()) == 3


def test_a_flow_that_makes_no_sense_is_refused_whole(rig):
    talk = Talk(rig)
    talk.both_speak()
    talk.b.received()
    lane = rig.service.calls["call"].lanes[0]
    bad = SimpleNamespace(key=lane.direction.key, out=lane.direction.out)
    with pytest.raises(AttributeError):
        rig.forwarder.install([bad])
    talk.both_speak(start=4)
    assert len(talk.b.received()) == 3


def test_signals_are_for_pythons_own_thread(rig):
    until(lambda: "relay-native" in blocked_signals(), 2, "the thread's name")
    assert blocked_signals()["relay-native"] >> (signal.SIGTERM - 1) & 1
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())


def blocked_signals() -> dict[str, int]:
    """Mask of each thread, by its name."""
    masks = {}
    for task in Path("/proc/self/task").iterdir():
        fields = dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines())
        masks[fields["Name"]] = int(fields["SigBlk"], 16)
    return masks


def test_a_thread_that_has_died_ends_the_worker():
    before = polls()
    rig = Rig(NativeForwarder)
    talk = Talk(rig)
    talk.both_speak()
    rig.forwarder.between(time.monotonic())
    (own,) = polls() - before - {rig.loop._epoll.fileno()}
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), own)  # it can wait for nothing any more
    talk.a.send(rtp(4), talk.to_a)
    until(lambda: rig.forwarder._engine.fault, 2, "its end")
    rig.loop.run_once()
    with pytest.raises(NativeEnded, match="polling: Invalid argument"):
        rig.forwarder.between(time.monotonic())
    rig.loop.between = lambda now: now + 0.05
    passes = rig.loop.passes
    rig.loop.run_once()  # it sleeps: the flag of a dead thread is looked at no more
    assert rig.loop.passes == passes + 1
    rig.close()


def test_a_worker_whose_thread_has_died_says_so_and_ends(tmp_path, monkeypatch):
    class Line:
        """The supervisor's line, of which nothing comes."""

        said: ClassVar[list[str]] = []

        def __init__(self):
            self.read, self.write = os.pipe()

        def fileno(self):
            return self.read

        def receive(self, now):
            return []

        def running(self):
            with Path(os.devnull).open("rb") as nothing:
                os.dup2(nothing.fileno(), own)
            own_peer.send(b"wake up", own_peer.address)

        def alive(self):
            pass

        def need(self, realm):
            pass

        def failed(self, text):
            self.said.append(text)

        def close(self):
            os.close(self.read)
            os.close(self.write)

    for name in ("freeze", "disable"):
        monkeypatch.setattr(gc, name, lambda: None)
    handlers = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    table = os.memfd_create("test-flows")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "worker"))
        listener.listen()
        settings = RelaySettings(run_dir=str(tmp_path), workers=1, media=(), fast_path="native")
        before = polls()
        worker = Worker(Start(0, 1, settings, 1, 0, listener, table), Line())
        (own,) = polls() - before - {worker.loop._epoll.fileno()}
        own_peer = Peer("127.0.5.9")
        worker.forwarder.open(own_peer.address, own_peer.socket, lambda *_: True)
        try:
            assert worker.run() == 1
        finally:
            for one, handler in handlers.items():
                signal.signal(one, handler)
    own_peer.close()
    worker.loop.close()
    os.close(table)
    assert Line.said == ["the native fast path has ended: polling: Invalid argument (os error 22)"]


def polls() -> set[int]:
    """Descriptors of epoll."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}") == "anon_inode:[eventpoll]":
                found.add(int(name))
    return found


@pytest.mark.parametrize(
    ("extension", "wanted", "says"),
    [
        (relay.extension.Extension(problem="it was not built"), "auto", "it was not built"),
        (relay.extension.Extension(problem="it is broken: x"), "native", "it is broken"),
    ],
)
def test_without_the_extension_python_serves_and_one_line_says_why(
    loop, monkeypatch, caplog, extension, wanted, says
):
    caplog.set_level("INFO")
    monkeypatch.setattr("relay.forward.choice.look", lambda: extension)
    assert isinstance(choose(wanted, loop), PythonForwarder)
    assert caplog.text.count("fast_path.python") == 1
    assert says in caplog.text


@pytest.mark.parametrize(
    ("profile", "ringless", "level", "calls"),
    [
        ("release", "", "INFO", "io_uring"),
        ("debug", "", "WARNING", "io_uring"),
        ("release", "Operation not permitted", "INFO", "plain reason=Operation not permitted"),
    ],
)
def test_one_line_says_which_build_serves_and_how(
    loop, monkeypatch, caplog, profile, ringless, level, calls
):
    caplog.set_level("INFO")
    extension = relay.extension.Extension("0.1.0", profile, ringless=ringless)
    monkeypatch.setattr("relay.forward.choice.look", lambda: extension)
    choose("auto", loop).stop()
    (record,) = caplog.records
    assert record.levelname == level
    said = f"fast_path.native version=0.1.0 build={profile} calls={calls}"
    assert record.getMessage() == said


def test_a_file_that_is_no_extension_is_a_problem_with_a_name(monkeypatch):
    def broken(name):
        raise ImportError("undefined symbol: x")

    monkeypatch.setattr("relay.extension.import_module", broken)
    look.cache_clear()
    try:
        assert str(look()) == "no native extension: it is broken: undefined symbol: x"
    finally:
        look.cache_clear()


FORBIDDEN = """
import ctypes, struct, sys
LOAD, EQUAL, RETURN, IO_URING_SETUP, EPERM, ALLOW = 0x20, 0x15, 0x06, 425, 0x50001, 0x7FFF0000
steps = (LOAD, 0, 0, 0), (EQUAL, 0, 1, IO_URING_SETUP), (RETURN, 0, 0, EPERM), (RETURN, 0, 0, ALLOW)
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
program = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code))
prctl = ctypes.CDLL(None, use_errno=True).prctl
assert prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
assert prctl(22, 2, ctypes.c_char_p(program)) == 0  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
from relay.extension import look
from relay.forward.native import NativeForwarder
from relay.loop import Loop
from tests.relay.rig import Rig, Talk
rig = Rig(NativeForwarder)
talk = Talk(rig)
talk.both_speak(6)
print(look(), rig.forwarder.ringless, len(talk.a.received()), len(talk.b.received()), sep="|")
rig.close()
"""
"""As containers do it: a filter of system calls."""


def test_where_io_uring_is_forbidden_the_thread_serves_without_and_says_so():
    command = [sys.executable, "-P", "-c", FORBIDDEN]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    said, ringless, to_a, to_b = done.stdout.strip().split("|")
    assert ringless == "Operation not permitted (os error 1)"
    assert said.endswith(f", release build, without io_uring: {ringless}")
    assert (to_a, to_b) == ("6", "6")


def test_it_is_a_release_build():
    assert look().profile == "release"


def test_a_worker_killed_at_work_leaves_its_ports_to_the_next(tmp_path):
    worker = OneWorker(tmp_path, fast_path="native")
    with worker.client() as client:
        call = Call(client)
        call.apply()
        assert call.speak(1)
        assert call.speak(2)
        port = call.end_a.port
        worker.process.kill()
        worker.process.wait(5)
        call.close()
    worker.close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind((call.end_a.address, port))


def test_what_is_kept_of_a_direction_is_what_python_keeps():
    kept = []
    from relay import _native  # it may not be here: then no test of this file runs

    for reception in (_native.Reception({0: 8000}), Reception({0: 8000})):
        before = reception.row
        for number in (1, 2, 3, 5, 9):
            now = 1000.0 + 0.02 * number + 0.003 * (number & 1)
            reception.packet(0, number, 160 * number, 0x9000_0000, 172, now)
        reception.pause()
        kept.append((before, reception.row))
    assert kept[0] == kept[1]
    assert kept[0][1][:3] == (5, 5 * 172, 4)
    assert kept[0][1][4:6] == (1_000_023_000_000, 1_000_183_000_000)
