"""Servers that have just failed (RFC 3263 §4.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.resolve.failures import Failures
from sbc.resolve.records import Place
from sbc.transaction.hop import TCP, UDP

ONE, TWO, THREE = (Place(UDP, f"192.0.2.{number}", 5060) for number in (1, 2, 3))
ALL = [ONE, TWO, THREE]


@pytest.fixture
def failures() -> Failures:
    return Failures()


def test_nothing_changes_where_nothing_has_failed(failures: Failures) -> None:
    assert failures.order(ALL, 0.0) == ALL


def test_what_has_failed_comes_last(failures: Failures) -> None:
    failures.failed(ONE, 0.0)

    assert failures.order(ALL, 1.0) == [TWO, THREE, ONE]


def test_another_transport_of_the_same_host_has_not_failed(failures: Failures) -> None:
    failures.failed(ONE._replace(transport=TCP), 0.0)

    assert failures.order(ALL, 1.0) == ALL


def test_where_all_have_failed_the_one_of_longest_ago_is_first(failures: Failures) -> None:
    for now, place in ((0.0, TWO), (1.0, ONE), (2.0, THREE)):
        failures.failed(place, now)

    assert failures.order(ALL, 3.0) == [TWO, ONE, THREE]


def test_what_works_again_is_good_at_once(failures: Failures) -> None:
    failures.failed(ONE, 0.0)
    failures.worked(ONE)

    assert failures.order(ALL, 1.0) == ALL
    assert len(failures) == 0


def test_after_its_time_one_call_tries_it_and_the_others_wait_for_that(failures: Failures) -> None:
    failures.failed(ONE, 0.0)

    assert failures.order(ALL, 15.0) == ALL
    assert failures.order(ALL, 15.1) == [TWO, THREE, ONE]
    assert failures.order(ALL, 25.1) == ALL


def test_the_time_doubles_with_each_failed_trial_up_to_a_limit(failures: Failures) -> None:
    now, pauses = 0.0, []
    for _ in range(7):
        failures.failed(ONE, now)
        began = now
        while failures.is_bad(ONE, now):
            now += 1.0
        pauses.append(now - began)
        assert failures.order([ONE], now) == [ONE]

    assert pauses == [15, 30, 60, 120, 240, 300, 300]


def test_calls_that_were_out_together_count_once(failures: Failures) -> None:
    for now in (0.0, 1.0, 4.0):
        failures.failed(ONE, now)

    assert failures.is_bad(ONE, 18.9)
    assert not failures.is_bad(ONE, 19.0)


@pytest.mark.parametrize(("asked_s", "until"), [(60.0, 60.0), (1.0, 1.0), (9999.0, 300.0)])
def test_a_retry_after_is_kept_to_within_the_limit(
    failures: Failures, asked_s: float, until: float
) -> None:
    failures.failed(ONE, 0.0, asked_s)

    assert failures.is_bad(ONE, until - 0.1)
    assert not failures.is_bad(ONE, until)


def test_memory_is_bounded() -> None:
    failures = Failures(most=10)
    for number in range(100):
        failures.failed(Place(UDP, f"192.0.2.{number}", 5060), float(number))

    assert len(failures) == 10


PLACES = [Place(UDP, f"192.0.2.{number}", 5060) for number in range(6)]
STEPS = st.lists(st.tuples(st.sampled_from(PLACES), st.booleans(), st.floats(0, 100)), max_size=60)


@given(STEPS)
def test_whatever_happens_no_place_is_lost_or_doubled(steps) -> None:
    failures, now = Failures(most=4), 0.0
    for place, worked, pause in steps:
        now += pause
        if worked:
            failures.worked(place)
        else:
            failures.failed(place, now)
        assert sorted(failures.order(PLACES, now)) == PLACES
        assert len(failures) <= 4
