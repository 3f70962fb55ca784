"""SIP statuses and Q.850 causes: the tables of RFC 3398, and each trunk's own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policies.responses import (
    CAUSE_TEXTS,
    cause_text,
    map_status,
    q850_of,
    reason_head,
    status_of,
)
from policies.settings import TrunkSettings

TRUNK = TrunkSettings(name="t", realm="r", peers=(), sources=())

RFC3398_8_2_6_1 = {
    400: 41, 401: 21, 402: 21, 403: 21, 404: 1, 405: 63, 406: 79, 407: 21, 408: 102, 410: 22,
    413: 127, 414: 127, 415: 79, 416: 127, 420: 127, 421: 127, 423: 127, 480: 18, 481: 41,
    482: 25, 483: 25, 484: 28, 485: 1, 486: 17, 500: 41, 501: 79, 502: 38, 503: 41, 504: 102,
    505: 127, 513: 127, 600: 17, 603: 21, 604: 1,
}  # fmt: skip
RFC3398_7_2_4_1 = {
    1: 404, 2: 404, 3: 404, 17: 486, 18: 408, 19: 480, 20: 480, 21: 403, 22: 410, 23: 410,
    26: 404, 27: 502, 28: 484, 29: 501, 31: 480, 34: 503, 38: 503, 41: 503, 42: 503, 47: 503,
    55: 403, 57: 403, 58: 503, 65: 488, 70: 488, 79: 501, 87: 403, 88: 503, 102: 504, 111: 500,
    127: 500,
}  # fmt: skip


@pytest.mark.parametrize("cause", range(128))
def test_a_cause_stands_for_the_status_that_the_rfc_says_or_for_none(cause) -> None:
    assert status_of(cause) == RFC3398_7_2_4_1.get(cause, 0)


@pytest.mark.parametrize(("status", "cause"), RFC3398_8_2_6_1.items())
def test_a_status_stands_for_the_cause_that_the_rfc_says(status, cause) -> None:
    assert q850_of(status) == cause


@pytest.mark.parametrize(
    ("status", "cause"), [(200, 16), (487, 16), (302, 31), (499, 41), (599, 41), (699, 17)]
)
def test_a_status_that_the_rfc_does_not_list_has_a_cause_too(status, cause) -> None:
    assert q850_of(status) == cause


def test_every_status_has_a_named_cause() -> None:
    assert {q850_of(status) for status in range(200, 700)} <= set(CAUSE_TEXTS)


def test_every_cause_has_a_text_at_least_that_of_its_class() -> None:
    assert cause_text(17) == "User busy"
    assert cause_text(45) == "Resource unavailable, unspecified"
    assert cause_text(126) == "Interworking, unspecified"
    assert cause_text(5000) == "Interworking, unspecified"
    assert not any('"' in cause_text(cause) for cause in range(128))


def test_a_reason_of_ours() -> None:
    assert reason_head(cause=16) == b'Reason: Q.850;cause=16;text="Normal call clearing"\r\n'
    assert reason_head(status=486) == b"Reason: SIP;cause=486\r\n"
    assert reason_head(status=486, cause=17).startswith(b"Reason: Q.850;cause=17;")
    assert reason_head() == b""


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (302, 480),
        (401, 403),
        (407, 403),
        (404, 404),
        (420, 500),
        (421, 500),
        (422, 500),
        (486, 486),
        (487, 487),
        (494, 500),
        (500, 500),
        (503, 500),
        (504, 504),
        (603, 603),
    ],
)
def test_a_targets_failure_by_default(status, told) -> None:
    assert map_status(status, TRUNK, TRUNK) == told
    assert map_status(status, TRUNK, None) == told


def test_our_own_failures_mean_what_they_say() -> None:
    assert map_status(503, None, TRUNK) == 503


def test_a_trunks_responses_say_what_its_failures_mean() -> None:
    carrier = replace(TRUNK, responses=((4, 480), (486, 600), (503, 503), (3, 404)))
    told = [map_status(status, carrier, TRUNK) for status in (404, 486, 503, 302, 500, 407)]
    assert told == [480, 600, 503, 404, 500, 480]


def test_the_exact_status_goes_before_its_class_wherever_it_stands() -> None:
    for table in (((4, 480), (486, 600)), ((486, 600), (4, 480))):
        assert map_status(486, replace(TRUNK, responses=table), None) == 600


def test_a_trunks_refusals_say_what_its_callers_are_told_whoever_failed() -> None:
    pbx = replace(TRUNK, refusals=((500, 503), (6, 486)))
    assert map_status(500, None, pbx) == 503
    assert map_status(603, TRUNK, pbx) == 486
    assert map_status(404, TRUNK, pbx) == 404


def test_both_apply_one_after_the_other() -> None:
    carrier = replace(TRUNK, responses=((503, 486),))
    pbx = replace(TRUNK, refusals=((486, 600),))
    assert map_status(503, carrier, pbx) == 600
    assert map_status(486, pbx, carrier) == 486
