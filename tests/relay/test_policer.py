"""The token bucket."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.policer import Policer


def test_a_burst_and_then_the_rate():
    policer = Policer(10.0, 20.0, 0.0)
    assert sum(policer.take(1.0, 0.0) for _ in range(30)) == 20
    assert sum(policer.take(1.0, 0.5) for _ in range(30)) == 5
    assert sum(policer.take(1.0, 100.0) for _ in range(30)) == 20


def test_a_grant_is_what_there_is():
    policer = Policer(10.0, 20.0, 0.0)
    assert policer.grant(15.0, 0.0) == 15.0
    assert policer.grant(15.0, 0.0) == 5.0
    assert policer.grant(15.0, 0.0) == 0.0


def test_time_that_goes_back_refills_nothing():
    policer = Policer(10.0, 1.0, 5.0)
    assert policer.take(1.0, 5.0)
    assert not policer.take(1.0, 4.0)


@given(st.lists(st.tuples(st.floats(0, 2), st.floats(0.1, 30)), max_size=50))
def test_never_more_than_burst_and_rate_together(uses):
    policer = Policer(10.0, 20.0, 0.0)
    now = passed = 0.0
    for pause, units in uses:
        now += pause
        passed += units if policer.take(units, now) else 0.0
    assert passed <= 20.0 + 10.0 * now + 1e-6
