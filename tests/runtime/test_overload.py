"""When new calls are refused: a load that is too much, never a burst or a pause.

The border is a model of its costs on a virtual clock: one server of one queue, messages of calls
that come when the peers would send them, looks in between.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field

import pytest

from sbc.runtime.overload import CHECK_S, LATE_S, ON_TIME_S, TOO_LATE_S, Overload

LITTLE, MUCH = 0.001, 0.6
T1_S = 0.5
COSTS_US = {"invite": 160, "ringing": 55, "answer": 135, "ack": 25, "bye": 85, "bye answered": 30}
NEXT = {
    "invite": (("ringing", 0.002), ("answer", 0.1)),
    "answer": (("ack", 0.002), ("bye", 1.0)),
    "bye": (("bye answered", 0.002),),
    "refused": (("refusal acked", 0.002),),
}
"""What follows a message, and when; the rest is silence."""
PEAK = 1e6 / sum(COSTS_US.values())
"""Calls/s that take all of the CPU."""


@dataclass
class Model:
    """One signalling process under some load.

    Args:
        rate: calls/s, as a test tool sends them: the calls of 5 ms at a time.
        stops: (when, for how long) the machine does not run us.
        refusal_us: what a refused INVITE and its ACK cost.
    """

    rate: float
    stops: tuple[tuple[float, float], ...] = ()
    refusal_us: tuple[float, float] = (17, 8)
    seconds: float = 8.0
    calls: int = 0
    done: int = 0
    refused: int = 0
    longest_wait_s: float = 0.0
    _coming: list[tuple[float, int, str]] = field(default_factory=list)
    _queue: deque[tuple[float, str]] = field(default_factory=deque)
    _serial: int = 0

    def run(self) -> Model:
        """Until the last message of the last call."""
        costs = COSTS_US | dict(zip(("refused", "refusal acked"), self.refusal_us, strict=True))
        self.calls = round(self.rate * self.seconds)
        for number in range(self.calls):
            self._come("invite", number / self.rate // 0.005 * 0.005)
        overload, refusing, now, next_look = Overload(), False, 0.0, CHECK_S
        stops = deque(self.stops)
        while self._coming or self._queue:
            if stops and now >= stops[0][0]:
                now += stops.popleft()[1]
            while self._coming and self._coming[0][0] <= now:
                at, _, kind = heapq.heappop(self._coming)
                self._queue.append((at, kind))
            if now >= next_look:
                next_look = now + CHECK_S
                refusing = overload.judge([(0, LITTLE if self._queue else 0.0, 0)])
            if not self._queue:
                now = max(now, min(self._coming[0][0], next_look)) if self._coming else now
                continue
            at, kind = self._queue.popleft()
            waited_s = now - at
            self.longest_wait_s = max(self.longest_wait_s, waited_s)
            overload.drained(0, waited_s if self._queue else 0.0)
            if kind == "invite" and refusing:
                kind = "refused"
                self.refused += 1
            now += costs[kind] / 1e6
            for what, after_s in NEXT.get(kind, ()):
                self._come(what, now + after_s)
            self.done += kind == "bye answered" and now <= self.seconds
        return self

    def _come(self, kind: str, at: float) -> None:
        self._serial += 1
        heapq.heappush(self._coming, (at, self._serial, kind))


@pytest.mark.parametrize("share", [0.5, 0.92, 0.98])
def test_what_can_be_served_is(share: float) -> None:
    border = Model(share * PEAK).run()

    assert border.refused == 0


@pytest.mark.parametrize("length_s", [0.05, 0.15, 0.25])
def test_no_call_is_refused_for_a_pause_that_makes_nobody_repeat_anything(length_s: float) -> None:
    border = Model(0.92 * PEAK, stops=((2.0, length_s), (5.0, length_s))).run()

    assert border.refused == 0
    assert border.longest_wait_s < T1_S


def test_after_a_pause_that_makes_everybody_repeat_calls_are_refused_until_it_is_made_up() -> None:
    border = Model(0.92 * PEAK, stops=((3.0, 0.6),)).run()

    assert 0 < border.refused < border.rate  # the calls of a second


@pytest.mark.parametrize("times", [1.05, 1.2, 1.5, 2.0, 3.0])
def test_under_too_much_nearly_all_time_goes_into_calls_and_nobody_repeats_anything(
    times: float,
) -> None:
    border = Model(times * PEAK).run()

    refusing_s = border.refused * sum(border.refusal_us) / 1e6
    possible = PEAK * (border.seconds - refusing_s)
    assert border.done >= 0.9 * (possible - PEAK)  # the calls of the last second are not over
    assert border.longest_wait_s < T1_S


def test_three_times_the_load_leaves_nine_tenths_of_the_peak() -> None:
    border = Model(3 * PEAK, refusal_us=(8, 4), seconds=12.0).run()

    assert border.done >= 0.9 * PEAK * (border.seconds - 1.1)


@pytest.mark.parametrize(("times", "refusal_us"), [(3, (60, 25)), (7, (45, 20)), (10, (30, 15))])
def test_nobody_repeats_anything_even_where_refusing_takes_most_of_the_time(
    times: float, refusal_us: tuple[float, float]
) -> None:
    border = Model(times * PEAK, refusal_us=refusal_us, seconds=4.0).run()

    assert border.longest_wait_s < T1_S


def look(overload: Overload, waited_s: float, fill: float = LITTLE) -> bool:
    overload.drained(0, waited_s)
    return overload.judge([(0, fill, 0)])


def test_a_wait_that_grows_is_too_much_and_one_that_shrinks_is_not() -> None:
    overload = Overload()

    assert not look(overload, LATE_S + 0.02)
    assert not look(overload, LATE_S + 0.01)
    assert look(overload, LATE_S + 0.02)


def test_a_wait_near_t1_is_too_much_even_if_it_shrinks() -> None:
    overload = Overload()

    assert look(overload, TOO_LATE_S + 0.02)
    assert look(overload, TOO_LATE_S + 0.01)


def test_calls_are_refused_until_what_waits_is_on_time() -> None:
    overload = Overload()

    assert look(overload, TOO_LATE_S + 0.01)
    assert look(overload, ON_TIME_S + 0.01)
    assert not look(overload, ON_TIME_S - 0.01)
    assert not look(overload, ON_TIME_S + 0.01)


def test_the_last_that_was_read_says_nothing_about_an_empty_buffer() -> None:
    overload = Overload()

    assert look(overload, TOO_LATE_S + 0.01)
    assert not overload.judge([(0, 0.0, 0)])
    assert not look(overload, LATE_S + 0.01)


def test_nobody_reading_between_two_looks_is_no_growth() -> None:
    overload = Overload()

    looks = [look(overload, LATE_S + 0.01), *(overload.judge([(0, LITTLE, 0)]) for _ in range(3))]

    assert not any(looks)


def test_a_buffer_more_than_half_full_is_too_much_at_once() -> None:
    assert Overload().judge([(0, MUCH, 0)])


def test_one_listener_in_trouble_is_enough_and_an_empty_one_excuses_nothing() -> None:
    overload = Overload()
    overload.drained(1, TOO_LATE_S + 0.01)

    assert overload.judge([(1, LITTLE, 0), (0, 0.0, 0)])
    assert not overload.judge([(1, 0.0, 0), (0, 0.0, 0)])


def test_the_first_look_finds_no_past() -> None:
    assert not Overload().judge([(0, LITTLE, 0)])


def test_lost_datagrams_are_once_for_each_time_that_more_are_lost() -> None:
    overload = Overload()

    looks = [overload.judge([(0, 0.0, dropped)]) for dropped in (0, 7, 7, 9, 9)]

    assert looks == [False, True, False, True, False]
