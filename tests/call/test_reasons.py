"""The Reason that a trunk's peers get (RFC 3326, RFC 6432)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.settings import ReasonUse, TrunkSettings
from sbc.call.crossing.reasons import crossing_reason, own_reason, q850_in, reason_crosses
from tests.call.messages import request, response

TRUNKS = {
    use: replace(TrunkSettings(name="t", realm="r", peers=(), sources=()), reason=use)
    for use in ReasonUse
}
Q850 = TRUNKS[ReasonUse.Q850]


def test_only_with_pass_does_a_reason_cross_as_it_is() -> None:
    assert [use for use, trunk in TRUNKS.items() if reason_crosses(trunk)] == [ReasonUse.PASS]


@pytest.mark.parametrize("use", [ReasonUse.PASS, ReasonUse.STRIP])
def test_there_is_nothing_to_write_where_it_crosses_or_is_not_wanted(use) -> None:
    bye = request(b"Reason: Q.850;cause=17", method=b"BYE")
    assert crossing_reason(bye, TRUNKS[use]) == b""


def test_a_q850_cause_stays_and_its_text_is_ours() -> None:
    bye = request(b'Reason: Q.850 ;cause=17 ;text="at 10.0.0.7"', method=b"BYE")
    assert crossing_reason(bye, Q850) == b'Reason: Q.850;cause=17;text="User busy"\r\n'


def test_a_sip_cause_becomes_the_q850_one_that_it_stands_for() -> None:
    cancel = request(b'Reason: SIP;cause=486;text="Busy, here"', method=b"CANCEL")
    assert b";cause=17;" in crossing_reason(cancel, Q850)


def test_of_several_the_q850_one_is_taken() -> None:
    bye = request(b"Reason: SIP;cause=500, q.850;cause=34", b"Reason: X;cause=1", method=b"BYE")
    assert b";cause=34;" in crossing_reason(bye, Q850)


def test_a_bye_without_a_reason_is_normal_clearing() -> None:
    assert b";cause=16;" in crossing_reason(request(method=b"BYE"), Q850)


def test_a_call_that_somebody_else_took_is_normal_clearing() -> None:
    cancel = request(b"Reason: SIP;cause=200", method=b"CANCEL")
    assert b";cause=16;" in crossing_reason(cancel, Q850)


def test_a_failure_has_the_cause_of_its_status_unless_it_gives_one() -> None:
    assert b";cause=34;" in crossing_reason(response(503, b"Reason: Q.850;cause=34"), Q850)
    assert b";cause=41;" in crossing_reason(response(503), Q850)
    assert crossing_reason(response(183), Q850) == b""
    assert b";cause=31;" in crossing_reason(response(183, b"Reason: Q.850;cause=31"), Q850)


@pytest.mark.parametrize(
    "value",
    [
        b"Q.850",
        b"Q.850;text=x",
        b"Q.850;cause=",
        b"Q.850;cause=x",
        b"Q.850;cause=128",
        b'Q.850;text="',
        b"",
        b";;;",
    ],
)
def test_a_reason_that_gives_no_cause_counts_as_none(value) -> None:
    assert q850_in(request(b"Reason: " + value, method=b"BYE")) == 0


def test_what_the_border_wants_is_said_in_each_trunks_way() -> None:
    said = {use: own_reason(480, b"no_answer", trunk) for use, trunk in TRUNKS.items()}
    assert said == {
        ReasonUse.PASS: b'Reason: SIP;cause=480;text="no_answer"\r\n',
        ReasonUse.Q850: b'Reason: Q.850;cause=18;text="No user responding"\r\n',
        ReasonUse.STRIP: b"",
    }


@given(value=st.binary(max_size=60).filter(lambda v: not set(v) & set(b"\r\n\0")))
def test_any_value_gives_a_cause_of_q850_or_none(value) -> None:
    assert 0 <= q850_in(request(b"Reason: " + value, method=b"BYE")) <= 127
