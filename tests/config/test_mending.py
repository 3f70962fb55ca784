"""The keys of what a trunk's peers cannot do: what arrives, and what wrong values get."""

from __future__ import annotations

import pytest

from policies.settings import ReasonUse, Refresher, SessionTimerSettings, Shield, Use
from tests.config.files import GOOD, errors, load

_PART = "limits: { calls: 200, cps: 20 }"


def carrier(keys):
    return load(GOOD.replace(_PART, keys)).policies.trunks[1]


def test_without_the_keys_everything_is_offered_and_nothing_insisted_on():
    trunk = carrier("trusted: true")
    assert trunk.session_timer == SessionTimerSettings(
        expires_s=1800, minimum_s=90, refresher=Refresher.AUTO, use=Use.AUTO
    )
    assert (trunk.reliable, trunk.shield, trunk.reason) == (Use.AUTO, frozenset(), ReasonUse.PASS)
    assert (trunk.responses, trunk.refusals) == ((), ())


def test_every_key_arrives():
    trunk = carrier(
        "session_timer: { expires: 10m, minimum: 120, refresher: peer, use: always }, "
        "reliable: never, shield: [prack, refer], reason: q850, "
        'responses: { 503: 500, "486": 603, "4xx": 480 }, refusals: { 6xx: 486 }'
    )
    assert trunk.session_timer == SessionTimerSettings(
        expires_s=600, minimum_s=120, refresher=Refresher.PEER, use=Use.ALWAYS
    )
    assert trunk.reliable is Use.NEVER
    assert trunk.shield == {Shield.PRACK, Shield.REFER}
    assert trunk.reason is ReasonUse.Q850
    assert trunk.responses == ((503, 500), (486, 603), (4, 480))
    assert trunk.refusals == ((6, 486),)


def test_one_shield_needs_no_brackets():
    assert carrier("shield: update").shield == {Shield.UPDATE}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            "session_timer: { expires: 60s }",
            "7:77: trunks.carrier.session_timer.expires: expected a time in whole seconds from "
            '"90s" to "24h", got "60s"',
        ),
        (
            "session_timer: { minimum: 90.5 }",
            "7:77: trunks.carrier.session_timer.minimum: expected a time in whole seconds from "
            '"90s" to "24h", got 90.5',
        ),
        (
            "session_timer: 30m",
            '7:66: trunks.carrier.session_timer: expected a mapping (key: value), got "30m"',
        ),
        (
            "session_timer: { use: maybe }",
            '7:73: trunks.carrier.session_timer.use: expected auto, always or never, got "maybe"',
        ),
        (
            "session_timer: { expires: 2m, minimum: 3m }",
            "7:90: trunks.carrier.session_timer.minimum: expected at most the 120 s of "
            "session_timer.expires, got 180 s",
        ),
        (
            "shield: [invite]",
            "7:60: trunks.carrier.shield[1]: expected prack, update, reinvite or refer, "
            'got "invite"',
        ),
        (
            "shield: prack, reliable: always",
            "7:76: trunks.carrier.reliable: expected auto or never beside shield: prack, "
            "got always",
        ),
        (
            "shield: [update, reinvite], session_timer: { use: always }",
            "7:101: trunks.carrier.session_timer.use: expected auto or never beside shield: "
            "[update, reinvite], got always",
        ),
        (
            "responses: { 200: 500 }",
            "7:64: trunks.carrier.responses.200: expected a SIP failure code such as 503, or a "
            'class such as "4xx", got "200"',
        ),
        (
            "responses: { 503: 200 }",
            "7:69: trunks.carrier.responses.503: expected a SIP failure code from 400 to 699, "
            "got 200",
        ),
        (
            "refusals: { 0503: 500 }",
            "7:63: trunks.carrier.refusals: expected a name as key (in quotes?), got 0503",
        ),
        (
            "responses: { 503: 500, 503: 480 }",
            "7:74: trunks.carrier.responses.503: expected each key once, got it again (first in "
            "line 7)",
        ),
        (
            "reason: none",
            '7:59: trunks.carrier.reason: expected pass, q850 or strip, got "none"',
        ),
    ],
)
def test_wrong_values_get_one_clear_line(keys, message):
    assert errors(GOOD.replace(_PART, keys)) == [f"sbc.yaml:{message}"]


def test_a_number_is_a_key_only_where_status_codes_are():
    found = errors(GOOD.replace("limits: {", "limits: { 503: 5,"))
    assert found == [
        "sbc.yaml:7:61: trunks.carrier.limits: expected a name as key (in quotes?), got 503"
    ]
