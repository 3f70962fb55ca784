"""What dies, and what then: workers, and each process above them, by kill -9."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.phone import Call, Phone, sdp
from tests.e2e.sides import INSIDE, OUTSIDE
from tests.e2e.tone import Media
from tests.support.border import Border, Shape, cpu_seconds, until
from tests.support.capture import Capture

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture
def own(tmp_path: Path, recording: Capture, shape: Shape) -> Iterator[Border]:
    """A border for one test, which will kill parts of it."""
    with Border(tmp_path / "border", shape) as running:
        yield running


def _call(caller: Phone, called: Phone) -> tuple[Call, Call]:
    a_leg = caller.invite()
    b_leg = called.answering()
    b_leg.answer()
    a_leg.establish()
    return a_leg, b_leg


def _another_worker(own: Border, former: int) -> None:
    until(lambda: any(one.pid != former for one in own.workers()), 5, "another worker")


def _end(a_leg: Call, b_leg: Call) -> None:
    a_leg.request("BYE")
    b_leg.hung_up()
    a_leg.expect(lambda one: one.status == 200 and one.method == "BYE")


def test_a_killed_worker_ends_its_calls_and_the_next_call_works(
    own: Border, caller: Phone, called: Phone
) -> None:
    calls = [_call(caller, called) for _ in range(3)]
    (worker,) = own.workers()

    own.kill(worker.pid)
    killed = time.monotonic()

    for a_leg, b_leg in calls:
        a_leg.hung_up(2.5)
        b_leg.hung_up(2.5)
    assert time.monotonic() - killed < 2.0
    until(lambda: len(own.cdrs()) == 3, 3, "three records")
    assert {record["cause"] for record in own.cdrs()} == {"relay_lost"}
    _another_worker(own, worker.pid)
    _retry_call(caller, called)


def test_a_worker_that_hangs_is_found_out_and_its_calls_end(
    own: Border, caller: Phone, called: Phone
) -> None:
    a_leg, b_leg = _call(caller, called)
    (worker,) = own.workers()

    os.kill(worker.pid, signal.SIGSTOP)
    try:
        a_leg.hung_up(6)
        b_leg.hung_up(1)
        until(lambda: own.cdrs(), 3, "a record")
        assert own.cdrs()[0]["cause"] == "relay_lost"
        assert caller.options().status == 200
        _another_worker(own, worker.pid)
    finally:
        # It is gone by now, unless something above failed.
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGCONT)
    _retry_call(caller, called)


def test_calls_of_a_signalling_process_that_died_are_over_and_hold_nothing(
    own: Border, caller: Phone, called: Phone
) -> None:
    a_leg, b_leg = _call(caller, called)
    (signalling,) = own.role("signalling")

    own.kill(signalling)
    until(own.ready, 10, "signalling again")

    for leg in (a_leg, b_leg):
        leg.request("BYE")
        assert leg.expect(lambda one: one.status >= 200 and one.method == "BYE").status == 481
    until(lambda: own.relayed_calls() == 0 and own.ports("in_use") == 0, 3, "nothing held")
    _end(*_call(caller, called))


def test_calls_of_other_workers_go_on_talking(
    tmp_path: Path, recording: Capture, caller: Phone, called: Phone
) -> None:
    with Border(tmp_path / "border", Shape(workers=2)) as own, ExitStack() as stack:
        talks = [_Talk(stack, caller, called, port) for port in range(4)]
        until(lambda: all(talk.flows() for talk in talks), 3, "media of every call")
        victim = own.workers()[0]
        assert [worker.calls for worker in own.workers()] == [2, 2]

        own.kill(victim.pid)

        until(lambda: len(own.cdrs()) == 2, 3, "records of the calls that were lost")
        left = {str(call["call"]) for call in own.calls()}
        assert len(left) == 2
        before = [talk.heard() for talk in talks]
        time.sleep(1.0)
        grown = [now - then for now, then in zip((t.heard() for t in talks), before, strict=True)]
        assert sorted(count > 80 for count in grown) == [False, False, True, True], grown
        until(lambda: len(own.workers()) == 2, 5, "another worker")
        until(lambda: sorted(own.status()["workers"]) == [0, 1], 5, "both in use")
        _end(*_call(caller, called))


class _Talk:
    """A call in which both sides talk."""

    def __init__(self, stack: ExitStack, caller: Phone, called: Phone, number: int) -> None:
        self._sides = (
            stack.enter_context(Media(caller.address[0], 440, f"alice@{INSIDE}.example")),
            stack.enter_context(Media(called.address[0], 1000, f"bob@{OUTSIDE}.example")),
        )
        inside, outside = self._sides
        a_leg = caller.invite(str(number), sdp(inside.host, inside.port, INSIDE))
        b_leg = called.answering()
        assert b_leg.invite is not None
        b_leg.answer(sdp(outside.host, outside.port, OUTSIDE))
        inside.talk_to(a_leg.establish().media())
        outside.talk_to(b_leg.invite.media())

    def heard(self) -> int:
        """Packets that both sides have received."""
        return sum(side.received for side in self._sides)

    def flows(self) -> bool:
        return all(side.received > 10 for side in self._sides)


def _retry_call(caller: Phone, called: Phone, patience_s: float = 5.0) -> None:
    """A call that works, at the latest after `patience_s`."""
    deadline = time.monotonic() + patience_s
    while True:
        a_leg = caller.invite()
        try:
            b_leg = called.answering(1.0)
        except TimeoutError:
            if time.monotonic() > deadline:
                raise
            continue
        b_leg.answer()
        a_leg.establish()
        _end(a_leg, b_leg)
        return


@pytest.mark.parametrize("role", ["launcher", "supervisor", "signalling"])
def test_after_kill_9_sbc_run_starts_one_clean_border_again(
    own: Border, caller: Phone, called: Phone, role: str
) -> None:
    _end(*_call(caller, called))
    victims = own.role(role)
    assert victims, f"no {role} among {own.processes()}"

    for pid in victims:
        own.kill(pid)
    time.sleep(0.5)
    own.rerun()

    _end(*_call(caller, called))
    assert len(own.role("supervisor")) == 1
    assert len(own.role("signalling")) == 1
    assert len(own.workers()) == own.shape.workers
    own.stop()
    until(lambda: not own.processes(), 20, f"no orphan; left: {own.processes()}")
    # A dying process is out of the listing a moment before the kernel closes its sockets.
    until(lambda: not _bound(), 5, "every port of the border can be bound again")


def _bound() -> list[tuple[str, int]]:
    """The ports of the border that cannot be bound again."""
    return [address for address in _addresses() if not _free(address)]


def _free(address: tuple[str, int]) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(address)
        except OSError:
            return False
    return True


def _addresses() -> Iterator[tuple[str, int]]:
    for host, first in (("127.0.1.1", 12_000), ("127.0.2.1", 14_000)):
        yield host, 5060
        for port in range(first, first + 2000):
            yield host, port


def test_sigterm_ends_calls_with_bye_and_leaves_no_process(
    own: Border, caller: Phone, called: Phone
) -> None:
    a_leg, b_leg = _call(caller, called)
    os.kill(own.pid, 15)

    a_leg.hung_up(5)
    b_leg.hung_up(5)
    until(lambda: not own.processes(), 15, "every process gone")
    assert [record["cause"] for record in own.cdrs()] == ["shutdown"]


def test_a_closed_port_does_not_keep_the_loop_busy(own: Border) -> None:
    """Each INVITE goes to a port where nobody is: an ICMP error each (traps of IP_RECVERR)."""
    with Phone(("127.0.1.10", 5060), INSIDE, ("127.0.1.1", 5060)) as caller:
        for number in range(1000):
            a_leg = caller.invite()
            final = a_leg.expect(lambda one: one.status >= 300, 5)
            a_leg.ack(a_leg.branch)
            assert final.status in (408, 480, 500, 502, 503, 504), (number, final.start)
        (signalling,) = own.role("signalling")
        time.sleep(0.5)
        before = cpu_seconds(signalling)
        time.sleep(3)
        # The timers of 1,000 transactions are a few per cent; a loop that spins is all of it.
        assert cpu_seconds(signalling) - before < 1.0, "idle afterwards"
        assert caller.options().status == 200
    assert OUTSIDE
