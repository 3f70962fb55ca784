"""The worker's loop: handlers, their faults, the adaptive tick."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator

import pytest

from relay.loop import Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    made = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(3)]
    for pair in made:
        for one in pair:
            one.setblocking(False)
    yield made
    for pair in made:
        for one in pair:
            one.close()


def test_each_ready_descriptor_is_served_once_a_round(loop, pairs):
    served = []
    for number, (ours, theirs) in enumerate(pairs):

        def ready(now, number=number, ours=ours):
            served.append((number, ours.recv(10)))

        loop.watch(ours.fileno(), ready)
        for _ in range(2):
            theirs.send(b"x")
    loop.run_once()
    assert sorted(number for number, _ in served) == [0, 1, 2]
    loop.run_once()
    assert len(served) == 6


def test_a_handler_that_raises_costs_its_descriptor_only(loop, pairs, caplog):
    served = []
    (bad, to_bad), (good, to_good), _ = pairs
    loop.watch(bad.fileno(), lambda now: 1 // 0)
    loop.watch(good.fileno(), lambda now: served.append(good.recv(10)))
    to_bad.send(b"x")
    to_good.send(b"x")
    loop.run_once()
    loop.run_once()
    assert loop.crashes == 1
    assert served == [b"x"]
    assert "handler.crashed" in caplog.text


def test_unwatching_takes_effect_within_the_round(loop, pairs):
    served = []
    (one, to_one), (two, to_two), _ = pairs

    def first(now):
        served.append("one")
        loop.unwatch(one.fileno())
        loop.unwatch(two.fileno())

    def second(now):
        served.append("two")
        loop.unwatch(one.fileno())
        loop.unwatch(two.fileno())

    loop.watch(one.fileno(), first)
    loop.watch(two.fileno(), second)
    to_one.send(b"x")
    to_two.send(b"x")
    loop.run_once()
    assert len(served) == 1
    loop.unwatch(one.fileno())
    loop.watch(one.fileno(), first)


def test_events_may_be_changed(loop, pairs):
    served = []
    ours = pairs[0][0]
    loop.watch(ours.fileno(), lambda now: served.append(1))
    loop.between = lambda now: now
    loop.run_once()
    loop.change(ours.fileno(), select.EPOLLOUT)
    loop.run_once()
    assert served == [1]


def test_it_wakes_when_between_asked_for(loop):
    times = []

    def between(now):
        times.append(now)
        if len(times) == 3:
            loop.stop()
        return now + 0.01

    loop.between = between
    begin = time.monotonic()
    loop.run()
    assert 0.015 < time.monotonic() - begin < 0.5
    assert loop.passes == 3


def test_above_some_thousand_packets_a_second_it_ticks_and_then_wakes_again(loop, pairs):
    (ours, theirs), *_ = pairs
    count = 0

    def ready(now):
        nonlocal count
        count += 1
        ours.recv(10)

    loop.watch(ours.fileno(), ready)
    loop.between = lambda now: now
    assert not loop.ticking
    end = time.monotonic() + 2
    while not loop.ticking and time.monotonic() < end:
        theirs.send(b"x")
        loop.run_once()
    assert loop.ticking
    for _ in range(8):
        theirs.send(b"x")
    before = count
    loop.run_once()
    assert count - before >= 8  # a tick drains all that there is
    while loop.ticking and time.monotonic() < end:
        loop.run_once()
    assert not loop.ticking
