"""Two layers over a link that loses, delays, reorders and repeats: one answer for each request."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.support.link import Weather
from tests.support.pair import Callee, Pair

ANSWERS = st.sampled_from([200, 302, 404, 486, 600])


class LossyPair(RuleBasedStateMachine):
    """Requests, answers and second thoughts, in any order, on any link."""

    @initialize(
        seed=st.integers(0, 2**32),
        loss=st.sampled_from([0.0, 0.1, 0.3, 0.6]),
        repeat=st.sampled_from([0.0, 0.3]),
        jitter_s=st.sampled_from([0.0, 0.3, 2.0]),
        reliable=st.booleans(),
    )
    def start(self, seed, loss, repeat, jitter_s, reliable) -> None:
        weather = Weather() if reliable else Weather(loss, repeat, 0.02, jitter_s)
        self.pair = Pair(seed, weather, b"TCP" if reliable else b"UDP")
        self.slow = jitter_s > 0.4 and not reliable

    @rule(method=st.sampled_from([b"INVITE", b"INVITE", b"BYE", b"OPTIONS"]))
    def request(self, method) -> None:
        if len(self.pair.callers) < 8:
            self.pair.request(method)

    @rule(number=st.integers(0, 7), status=ANSWERS)
    def answer(self, number, status) -> None:
        callee = self._callee(number)
        if callee is not None:
            self.pair.answer(callee, status)

    @rule(number=st.integers(0, 7))
    def ring(self, number) -> None:
        callee = self._callee(number)
        if callee is not None and callee.method == b"INVITE":
            self.pair.answer(callee, 180)

    @rule(number=st.integers(0, 7))
    def cancel(self, number) -> None:
        callers = list(self.pair.callers.values())
        if number < len(callers):
            self.pair.cancel(callers[number])

    @rule(seconds=st.sampled_from([0.01, 0.1, 0.6, 3.0, 10.0, 40.0]))
    def wait(self, seconds) -> None:
        self.pair.run(seconds)

    @invariant()
    def one_answer_each(self) -> None:
        if hasattr(self, "pair"):
            for caller in self.pair.callers.values():
                assert len(caller.finals) + caller.timed_out <= 1

    def teardown(self) -> None:
        if not hasattr(self, "pair"):
            return
        pair = self.pair
        pair.on_request = lambda callee: pair.answer(callee, 480)
        for callee in pair.callees.values():
            pair.answer(callee, 480)
        pair.run_out()
        self._check_the_end()

    def _callee(self, number: int) -> Callee | None:
        callees = list(self.pair.callees.values())
        return callees[number] if number < len(callees) else None

    def _check_the_end(self) -> None:
        pair = self.pair
        for caller in pair.callers.values():
            assert len(caller.finals) + caller.timed_out == 1
            callee = pair.callees.get(caller.branch)
            if caller.finals and callee is not None and not self.slow:
                assert caller.finals == [callee.answered]
            if callee is not None and callee.accepted is not None:
                assert callee.acked != callee.given_up
        # A request is shown once while its transaction lives; the last copy leaves at 31.5 s, so
        # only on a link that is slower than 0.5 s can one arrive after that.
        for (branch, method), times in pair.shown.items():
            assert times == 1 or self.slow, (branch, method)
        for layer in (pair.calling, pair.called):
            assert len(layer) == 0
            assert len(layer.timers) == len(layer.wheel) == 0
        assert len(pair.there) == len(pair.back) == 0


LossyPair.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.mark.slow
class TestLossyPair(LossyPair.TestCase):
    pass


@pytest.mark.parametrize("seed", range(20))
def test_calls_get_through_a_link_that_loses_a_tenth(seed) -> None:
    pair = Pair(seed, Weather(loss=0.1, repeat=0.1, delay_s=0.02, jitter_s=0.1))
    pair.on_request = lambda callee: pair.answer(callee, 200)
    callers = [pair.request(method) for method in (b"INVITE", b"BYE") * 20]
    pair.run_out()
    assert all(caller.finals == [200] for caller in callers)
    assert len(pair.calling) == len(pair.called) == 0
