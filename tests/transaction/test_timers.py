"""TimerTable and TimerWheel: nothing fires early or twice, nothing holds one who has ended."""

from __future__ import annotations

import gc
import weakref
from enum import IntEnum

from hypothesis import given
from hypothesis import strategies as st

from sbc.transaction.timers import Cell, Timer, TimerTable, TimerValues, TimerWheel


class Owner:
    pass


class Mine(IntEnum):
    SOON = 1
    LATER = 2


def test_values_follow_t1() -> None:
    assert TimerValues().give_up_s == 32.0
    assert TimerValues(t1_s=0.1).give_up_s == 6.4


def test_a_timer_fires_once_at_its_time() -> None:
    table = TimerTable()
    table.arm("owner", Timer.A, 0.5, 10.0)
    assert table.next_due() == 10.5
    assert table.due(10.49) == []
    assert table.due(10.5) == [(10.5, "owner", Timer.A)]
    assert table.due(99.0) == []
    assert table.next_due() is None


def test_each_duration_is_in_order() -> None:
    table = TimerTable()
    for number in range(5):
        table.arm(number, Timer.K, 5.0, float(number))
        table.arm(number, Timer.A, 0.5, float(number))
    fired = table.due(100.0)
    for timer in (Timer.A, Timer.K):
        assert [owner for _, owner, which in fired if which is timer] == [0, 1, 2, 3, 4]


def test_an_emptied_cell_holds_nothing() -> None:
    table = TimerTable()
    owner = Owner()
    gone = weakref.ref(owner)
    cell = Cell(owner)
    table.arm(cell, Mine.SOON, 32.0, 0.0)
    cell.owner = None
    gc.disable()
    try:
        del owner
        assert gone() is None
    finally:
        gc.enable()
    assert len(table) == 1
    assert table.due(32.0) == [(32.0, cell, Mine.SOON)]
    assert len(table) == 0


def test_the_wheel_fires_within_its_granularity_and_never_early() -> None:
    wheel = TimerWheel(granularity_s=0.5)
    wheel.arm("owner", Mine.LATER, 180.0, 0.3)
    assert wheel.due(180.0) == []
    assert wheel.next_due() == 180.5
    assert wheel.due(180.49) == []
    assert wheel.due(180.5) == [("owner", Mine.LATER)]
    assert len(wheel) == 0
    assert wheel.next_due() is None


def test_a_cancelled_entry_is_gone_at_once() -> None:
    wheel = TimerWheel()
    owner = Owner()
    gone = weakref.ref(owner)
    entry = wheel.arm(owner, Mine.LATER, 1800.0, 0.0)
    gc.disable()
    try:
        entry.cancel()
        del owner
        assert gone() is None
    finally:
        gc.enable()
    assert len(wheel) == 0
    assert wheel.due(10_000.0) == []
    entry.cancel()


def test_cancelling_after_it_fired_is_harmless() -> None:
    wheel = TimerWheel()
    entry = wheel.arm("owner", Mine.SOON, 40.0, 0.0)
    assert wheel.due(50.0) == [("owner", Mine.SOON)]
    entry.cancel()
    assert entry.owner is None


def test_the_wheel_starts_again_after_it_was_empty_and_takes_earlier_timers_later() -> None:
    wheel = TimerWheel()
    wheel.arm("one", Mine.LATER, 1000.0, 0.0)
    wheel.arm("two", Mine.SOON, 40.0, 1.0)
    assert wheel.due(45.0) == [("two", Mine.SOON)]
    assert wheel.due(1001.0) == [("one", Mine.LATER)]
    wheel.arm("three", Mine.SOON, 40.0, 5000.0)
    assert wheel.due(5041.0) == [("three", Mine.SOON)]


@given(
    st.lists(
        st.tuples(st.sampled_from([33.0, 60.0, 180.0, 1800.0]), st.floats(0, 50), st.booleans()),
        max_size=40,
    ),
    st.floats(0.02, 7.0),
)
def test_the_wheel_fires_everything_that_was_not_cancelled_once(timers, step) -> None:
    wheel = TimerWheel()
    due = {}
    now = 0.0
    for number, (duration_s, later_s, cancelled) in enumerate(timers):
        now += later_s
        for owner, _ in wheel.due(now):
            assert due.pop(owner) <= now
        entry = wheel.arm(number, Mine.LATER, duration_s, now)
        if cancelled:
            entry.cancel()
        else:
            due[number] = now + duration_s
    assert len(wheel) == len(due)
    while due:
        now = max(now + step, min(due.values()) - step)
        for owner, _ in wheel.due(now):
            assert now - step - 0.5 <= due[owner] <= now
            del due[owner]
    assert len(wheel) == 0
