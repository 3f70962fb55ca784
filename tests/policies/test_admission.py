"""How much anybody may ask of us."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from policies.admission import SourceRates, TokenBucket, TrunkAdmission
from tests.policies.border import trunk


def test_a_bucket_gives_its_burst_and_then_its_rate():
    bucket = TokenBucket(2.0, 3.0)
    assert [bucket.take(100.0) for _ in range(5)] == [True, True, True, False, False]
    assert bucket.take(100.5)
    assert not bucket.take(100.5)
    assert [bucket.take(1000.0) for _ in range(4)] == [True, True, True, False]


def test_a_clock_that_steps_back_gives_nothing():
    bucket = TokenBucket(1.0, 1.0)
    assert bucket.take(100.0)
    assert not bucket.take(50.0)
    assert not bucket.take(100.5)
    assert bucket.take(101.0)


@given(
    st.floats(0.1, 1000),
    st.floats(1, 1000),
    st.lists(st.floats(0, 1), max_size=100),
)
def test_no_more_than_burst_plus_rate_times_time(rate, burst, steps):
    bucket, now, taken = TokenBucket(rate, burst), 0.0, 0
    for step in steps:
        now += step
        taken += bucket.take(now)
    assert taken <= burst + rate * now + 1e-6


def test_sources_are_counted_apart():
    rates = SourceRates(1.0, 2.0)
    assert [rates.allow("10.0.0.1", 0.0) for _ in range(3)] == [True, True, False]
    assert rates.allow("10.0.0.2", 0.0)


def test_ipv6_sources_of_one_subscriber_are_one():
    rates = SourceRates(1.0, 2.0)
    assert rates.allow("2001:db8::1", 0.0)
    assert rates.allow("2001:db8::2", 0.0)
    assert not rates.allow("2001:db8::3", 0.0)
    assert rates.allow("2001:db8:0:1::1", 0.0)
    assert rates.allow("not:an:address", 0.0)


def test_the_table_of_sources_is_bounded_and_remembers_who_keeps_coming():
    rates = SourceRates(0.001, 2.0)
    rates.allow("192.0.2.1", 0.0)
    rates.allow("192.0.2.1", 0.0)
    for number in range(50_000):
        rates.allow(str(number), 0.0)
        if number % 1000 == 0:
            assert not rates.allow("192.0.2.1", 0.0)
    assert len(rates) <= 2 * 8192


def test_calls_over_the_limit_get_the_trunks_status_and_the_reason():
    pbx = trunk("pbx", "r", "10.0.0.1", calls=2, status=486)
    admission = TrunkAdmission([pbx])
    for _ in range(2):
        assert admission.admit(pbx, 0.0) is None
        admission.begin(pbx)
    refusal = admission.admit(pbx, 0.0)
    assert refusal is not None
    assert (refusal.status, refusal.trunk) == (486, pbx)
    assert refusal.why == ("trunks.pbx.limits.calls", 10, "all 2 calls of pbx are in use")
    admission.end(pbx)
    assert admission.admit(pbx, 0.0) is None


def test_calls_in_a_second_over_the_limit():
    pbx = trunk("pbx", "r", "10.0.0.1", cps=2.0)
    admission = TrunkAdmission([pbx])
    assert admission.admit(pbx, 0.0) is None
    assert admission.admit(pbx, 0.0) is None
    refusal = admission.admit(pbx, 0.0)
    assert refusal is not None
    assert refusal.status == 503
    assert refusal.why == ("trunks.pbx.limits.cps", 10, "pbx has more than 2 new calls a second")
    assert admission.admit(pbx, 0.5) is None


def test_a_rate_below_one_call_a_second_lets_one_call_through():
    pbx = trunk("pbx", "r", "10.0.0.1", cps=0.5)
    admission = TrunkAdmission([pbx])
    assert admission.admit(pbx, 0.0) is None
    assert admission.admit(pbx, 1.0) is not None
    assert admission.admit(pbx, 2.0) is None


def test_ending_twice_frees_nobody_elses_call():
    pbx = trunk("pbx", "r", "10.0.0.1")
    admission = TrunkAdmission([pbx])
    admission.begin(pbx)
    admission.end(pbx)
    admission.end(pbx)
    assert admission.calls() == {"pbx": 0}
