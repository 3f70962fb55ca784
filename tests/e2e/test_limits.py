"""What the border does not do without end: calls, ports, silence, strangers; and the operator."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.phone import Call, Phone, sdp
from tests.e2e.sides import INSIDE, OUTSIDE
from tests.e2e.tone import Media
from tests.support.border import Border, Shape, until
from tests.support.capture import Capture

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

Starts = Callable[[Shape], Border]


@pytest.fixture
def starts(tmp_path: Path, recording: Capture) -> Iterator[Starts]:
    """Starts a border of the given shape; it ends with the test."""
    with ExitStack() as stack:

        def start(shape: Shape) -> Border:
            running: AbstractContextManager[Border] = Border(tmp_path / "border", shape)
            return stack.enter_context(running)

        yield start


def _connect(caller: Phone, called: Phone) -> tuple[Call, Call]:
    a_leg = caller.invite()
    b_leg = called.answering()
    b_leg.answer()
    a_leg.establish()
    return a_leg, b_leg


def _hang_up(a_leg: Call, b_leg: Call) -> None:
    a_leg.request("BYE")
    b_leg.hung_up()
    a_leg.expect(lambda one: one.status == 200 and one.method == "BYE")


def _refused(caller: Phone, number: str = "100") -> tuple[int, list[str]]:
    """The status of a call that must fail, and the names of the answer's headers."""
    a_leg = caller.invite(number)
    final = a_leg.expect(lambda one: one.status >= 300)
    a_leg.ack(a_leg.branch)
    return final.status, [name for name, _ in final.headers]


def _causes(border: Border, count: int) -> list[str]:
    until(lambda: len(border.cdrs()) >= count, 4, f"{count} records")
    return [record["cause"] for record in border.cdrs()]


def test_calls_over_a_trunks_limit_are_refused_until_one_ends(
    starts: Starts, caller: Phone, called: Phone
) -> None:
    border = starts(Shape(outside_trunk={"limits": {"calls": 2, "status": 486}}))
    first, second = _connect(caller, called), _connect(caller, called)

    status, names = _refused(caller)
    assert status == 486
    assert "retry-after" not in names

    _hang_up(*first)
    third = _connect(caller, called)
    _hang_up(*second)
    _hang_up(*third)
    assert sorted(_causes(border, 4)) == ["limit", "normal", "normal", "normal"]


def test_calls_that_come_too_fast_are_refused(starts: Starts, caller: Phone, called: Phone) -> None:
    border = starts(Shape(inside_trunk={"limits": {"cps": 3}}))
    calls = [caller.invite() for _ in range(10)]

    for _ in range(3):
        called.answering().respond(486)
    finals = [call.expect(lambda one: one.status >= 300).status for call in calls]
    for call in calls:
        call.ack(call.branch)

    assert finals.count(486) in (3, 4)
    assert finals.count(503) == 10 - finals.count(486)
    assert _causes(border, 10).count("limit") == finals.count(503)


def test_without_a_free_port_a_call_is_refused_and_ports_come_back(
    starts: Starts, caller: Phone, called: Phone
) -> None:
    """Two pairs on one side: two calls; the ports of one that ended rest, then serve again."""
    border = starts(
        Shape(outside_ports="14000-14003", further={"relay": {"workers": 1, "quarantine": 1}})
    )
    first, second = _connect(caller, called), _connect(caller, called)

    status, names = _refused(caller)
    assert status == 503
    assert "retry-after" not in names
    assert _causes(border, 1) == ["ports_exhausted"]

    _hang_up(*first)
    until(lambda: border.status()["ports_in_hand"]["outside"] == 1, 5, "a port to come back")
    third = _connect(caller, called)
    _hang_up(*second)
    _hang_up(*third)
    assert _causes(border, 4).count("normal") == 3


def test_a_silent_side_ends_the_call_and_one_that_only_reports_does_not(
    starts: Starts, caller: Phone, called: Phone
) -> None:
    border = starts(Shape(outside_trunk={"media_timeout": 1.5}))
    with (
        Media(caller.address[0], 440, f"alice@{INSIDE}.example") as inside,
        Media(called.address[0], 1000, f"bob@{OUTSIDE}.example") as outside,
    ):
        a_leg = caller.invite(body=sdp(inside.host, inside.port, INSIDE))
        b_leg = called.answering()
        b_leg.answer(sdp(outside.host, outside.port, OUTSIDE))
        final = a_leg.establish()
        assert b_leg.invite is not None
        inside.talk_to(final.media())
        outside.talk_to(b_leg.invite.media())
        time.sleep(2.5)
        assert len(border.calls()) == 1
        outside.quiet()

        a_leg.hung_up(4)
        b_leg.hung_up(1)
    (record,) = _cdrs(border, 1)
    assert record["cause"] == "media_timeout"
    assert "side b" in record["reason"]


def _cdrs(border: Border, count: int) -> list[dict[str, Any]]:
    until(lambda: len(border.cdrs()) >= count, 4, f"{count} records")
    return border.cdrs()


def test_a_call_on_hold_lives_on_in_silence(starts: Starts, caller: Phone, called: Phone) -> None:
    """Nobody is expected to send: the answer said inactive (RFC 3264 §6.1)."""
    border = starts(Shape(outside_trunk={"media_timeout": 1}))
    silent = sdp("127.0.2.10", 42_000, OUTSIDE, more="a=inactive\r\n")
    a_leg = caller.invite(body=sdp("127.0.1.10", 41_000, INSIDE, more="a=sendrecv\r\n"))
    b_leg = called.answering()
    b_leg.answer(silent)
    a_leg.establish()

    time.sleep(2.5)
    assert len(border.calls()) == 1
    _hang_up(a_leg, b_leg)


def test_strangers_meet_silence_where_that_is_wanted(starts: Starts, caller: Phone) -> None:
    border = starts(Shape(further={"access": {"strangers": "ignore"}}))
    with Phone(("127.0.9.9", 5060), "strange", ("127.0.1.1", 5060)) as stranger:
        stranger.invite()
        stranger.send("OPTIONS nonsense\r\n\r\n")
        stranger.silence(0.5, lambda one: True)
    assert border.status()["counters"]["stranger"] >= 1
    assert caller.options().status == 200


def test_a_flood_from_one_stranger_is_not_answered_and_harms_no_trunk(
    starts: Starts, caller: Phone
) -> None:
    border = starts(Shape(further={"access": {"rate": 5, "burst": 10}}))
    with Phone(("127.0.9.9", 5060), "strange", ("127.0.1.1", 5060)) as stranger:
        for _ in range(200):
            stranger.send(stranger.request("OPTIONS", "sip:x@127.0.1.1", call_id="strange"))
        for _ in range(100):
            assert caller.options().status == 200
        stranger.silence(0.2, lambda one: False)
        assert 10 <= len(stranger.inbox) <= 15
    assert border.status()["counters"]["rate_limited"] >= 180


def test_numbers_find_their_route_and_the_rest_is_told_so(
    starts: Starts, caller: Phone, called: Phone
) -> None:
    border = starts(Shape(further={"routes": [{"from": "pbx", "to": "carrier", "number": "49"}]}))
    assert _refused(caller, "0123")[0] == 404
    a_leg = caller.invite("4912")
    b_leg = called.answering()
    assert b_leg.invite is not None
    assert "sip:4912@" in b_leg.invite.uri
    b_leg.respond(486)
    a_leg.expect(486)
    a_leg.ack(a_leg.branch)
    assert sorted(_causes(border, 2)) == ["no_route", "rejected"]


def test_the_operator_sees_a_call_and_ends_it(starts: Starts, caller: Phone, called: Phone) -> None:
    border = starts(Shape())
    a_leg, b_leg = _connect(caller, called)

    (listed,) = border.query("calls")
    done = border.run("hangup", str(listed["call"]))

    assert done.returncode == 0, done.stderr
    a_leg.hung_up(2)
    b_leg.hung_up(2)
    assert _causes(border, 1) == ["operator"]
    assert border.query("calls") == []
