"""What keeps a call alive and finds a dead one: session timers, OPTIONS, the longest duration."""

from __future__ import annotations

from typing import Any

import pytest

from policies.settings import SessionTimerSettings, Use
from sbc.call.cdr import Cause
from sbc.sip.message import Request
from tests.call.lab import (
    CARRIER,
    PBX,
    SDP_A,
    SDP_B,
    Lab,
    Side,
    both_ways,
    settings,
    sides,
    statuses,
)

WAYS = pytest.mark.parametrize("way", ["a to b", "b to a"])
TIMER = b"Supported: timer\r\n"
UPDATES = b"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE\r\n"


def requests(lab: Lab, host: str) -> list[Request]:
    return [one for one in lab.take(host) if isinstance(one, Request)]


def timed(lab: Lab, *, a: bytes = b"", b: bytes = b"") -> tuple[Side, Side]:
    """A call that is up: what each side says of session timers in INVITE and 200."""
    invite = lab.called(extra=a)
    lab.answer(invite, 200, body=SDP_B, extra=b)
    lab.take(CARRIER[0])
    success = lab.take_one(PBX[0])
    lab.give(lab.in_dialog(b"ACK", success, 1))
    return Side(lab, success, PBX, 1), Side(lab, invite, CARRIER, 0)


class TestTheTargetsLeg:
    def test_has_a_timer_of_its_own(self) -> None:
        lab = Lab()
        invite = lab.called(extra=TIMER + b"Session-Expires: 600;refresher=uac\r\n")
        assert invite.first(b"session-expires") == b"1800"
        lab.answer(invite, 200, body=SDP_B, extra=b"Session-Expires: 900;refresher=uas\r\n")
        success = lab.take(PBX[0])[0]
        assert success.first(b"session-expires") == b"600;refresher=uac"
        assert success.first(b"require") == b"timer"

    def test_is_refreshed_by_us_with_what_was_agreed(self) -> None:
        lab = Lab()
        _, b = timed(lab, b=b"Session-Expires: 180;refresher=uac\r\nRequire: timer\r\n")
        lab.wait(89.0, step_s=0.5)
        assert lab.take() == []
        lab.wait(2.0, step_s=0.5)
        refresh = requests(lab, CARRIER[0])[0]
        assert refresh.method == b"INVITE"
        assert refresh.body == b.of.body
        assert refresh.first(b"session-expires") == b"180;refresher=uac"
        b.answer(refresh, 200, SDP_B, b"Session-Expires: 180;refresher=uac\r\n")
        assert b.hears().method == b"ACK"
        lab.wait(91.0, step_s=0.5)
        assert requests(lab, CARRIER[0])[0].method == b"INVITE"
        assert lab.take(PBX[0]) == []  # nothing of it crosses

    def test_is_refreshed_by_an_update_where_the_peer_has_it(self) -> None:
        lab = Lab()
        _, b = timed(lab, b=UPDATES + b"Session-Expires: 180;refresher=uac\r\n")
        lab.wait(91.0, step_s=0.5)
        refresh = requests(lab, CARRIER[0])[0]
        assert (refresh.method, refresh.body) == (b"UPDATE", b"")
        b.answer(refresh, 200, extra=b"Session-Expires: 180;refresher=uac\r\n")
        lab.wait(50.0, step_s=0.5)
        assert lab.take() == []

    @pytest.mark.parametrize("status", [481, 408, 0])
    def test_ends_the_call_where_the_peer_knows_nothing_of_it(self, status: int) -> None:
        lab = Lab()
        _, b = timed(lab, b=b"Session-Expires: 180;refresher=uac\r\n")
        lab.wait(91.0, step_s=0.5)
        refresh = requests(lab, CARRIER[0])[0]
        if status:
            b.answer(refresh, status)
        else:
            lab.wait(33.0, step_s=0.5)
        assert requests(lab, PBX[0])[0].method == b"BYE"
        lab.answer_removals()
        assert lab.record.cause is Cause.SESSION_EXPIRED
        lab.assert_nothing_left()

    def test_the_answer_to_a_refresh_moves_its_media(self) -> None:
        """The peer's media are elsewhere now: a new plan says so, and what says it again is new
        to nobody."""
        lab = Lab()
        _, b = timed(lab, b=b"Session-Expires: 180;refresher=uac\r\n")
        lab.wait(91.0, step_s=0.5)
        moved = SDP_B.replace(b"c=IN IP4 10.1.0.2", b"c=IN IP4 10.1.0.9")
        moved = moved.replace(b"m=audio 6000", b"m=audio 6010")
        b.answer(requests(lab, CARRIER[0])[0], 200, moved)
        assert b.hears().method == b"ACK"
        (stream,) = lab.plans[-1][1].streams
        assert (stream.b.remote, stream.b.remote_rtcp) == (("10.1.0.9", 6010), ("10.1.0.9", 6011))
        assert stream.a.remote == ("10.0.0.2", 6000)
        plans = len(lab.plans)
        b.ask(b"INVITE", moved)
        assert b.hears().status == 200
        assert (len(lab.plans), lab.take(PBX[0])) == (plans, [])

    @pytest.mark.parametrize("body", [SDP_B, SDP_B + b"m=video 0 RTP/AVP 96\r\n", b"v=9\r\n"])
    def test_the_answer_to_a_refresh_that_says_nothing_new_moves_nothing(self, body: bytes) -> None:
        lab = Lab()
        _, b = timed(lab, b=b"Session-Expires: 180;refresher=uac\r\n")
        plans = len(lab.plans)
        lab.wait(91.0, step_s=0.5)
        b.answer(requests(lab, CARRIER[0])[0], 200, body)
        assert b.hears().method == b"ACK"
        assert len(lab.plans) == plans
        b.ask(b"INVITE", SDP_B.replace(b"sendrecv", b"sendonly"))
        assert lab.take_one(PBX[0]).method == b"INVITE"  # no offer stayed open

    def test_tries_again_after_glare_when_the_rfc_says(self) -> None:
        """RFC 3261 §14.1: we made the Call-ID, so after 2.1 to 4 s."""
        lab = Lab()
        _, b = timed(lab, b=b"Session-Expires: 180;refresher=uac\r\n")
        lab.wait(91.0, step_s=0.5)
        b.answer(requests(lab, CARRIER[0])[0], 491)
        assert b.hears().method == b"ACK"
        lab.wait(2.0, step_s=0.1)
        assert lab.take() == []
        lab.wait(2.6, step_s=0.1)
        again = requests(lab, CARRIER[0])
        assert [one.method for one in again][:1] == [b"INVITE"]

    def test_is_offered_more_after_422(self) -> None:
        lab = Lab()
        first = lab.called(number="99")
        lab.answer(first, 422, extra=b"Min-SE: 3600\r\n")
        ack, second = lab.take(CARRIER[0])
        assert ack.method == b"ACK"  # type: ignore[union-attr]
        assert second.first(b"session-expires") == b"3600"
        assert second.first(b"min-se") == b"3600"
        assert second.call_id == first.call_id
        assert second.cseq == 2
        assert isinstance(second, Request)
        lab.answer(second, 200, body=SDP_B)
        assert lab.take_one(CARRIER[0]).cseq == 2
        assert lab.take_one(PBX[0]).status == 200

    def test_is_offered_no_more_after_nonsense(self) -> None:
        lab = Lab()
        lab.answer(lab.called(number="99"), 422, extra=b"Min-SE: 1\r\n")
        assert statuses(lab.take(PBX[0])) == [500]


class TestTheCallersLeg:
    def test_ends_when_the_caller_does_not_refresh(self) -> None:
        lab = Lab()
        timed(lab, a=TIMER + b"Session-Expires: 120;refresher=uac\r\n")
        lab.wait(79.0, step_s=0.5)
        assert lab.take() == []
        lab.wait(10.0, step_s=0.5)
        assert {one.method for one in requests(lab, PBX[0])} == {b"BYE"}
        assert {one.method for one in requests(lab, CARRIER[0])} == {b"BYE"}
        lab.answer_removals()
        assert lab.record.cause is Cause.SESSION_EXPIRED

    @pytest.mark.parametrize("method", [b"UPDATE", b"INVITE"])
    def test_goes_on_when_it_does(self, method: bytes) -> None:
        lab = Lab()
        a, _ = timed(lab, a=TIMER + b"Session-Expires: 120;refresher=uac\r\n")
        for _ in range(4):
            lab.wait(60.0, step_s=0.5)
            body = SDP_A if method == b"INVITE" else b""
            a.ask(method, body, TIMER + b"Session-Expires: 120;refresher=uac\r\n")
            answer = a.hears()
            assert answer.status == 200
            assert answer.first(b"session-expires") == b"120;refresher=uac"
            a.ack()
        assert lab.take() == []

    def test_is_refreshed_by_us_where_the_caller_wants_that(self) -> None:
        lab = Lab()
        a, _ = timed(lab, a=TIMER + UPDATES + b"Session-Expires: 120;refresher=uas\r\n")
        lab.wait(61.0, step_s=0.5)
        refresh = requests(lab, PBX[0])[0]
        assert refresh.method == b"UPDATE"
        a.answer(refresh, 200, extra=b"Session-Expires: 120;refresher=uac\r\n")

    def test_is_not_shorter_than_its_trunk_allows(self) -> None:
        lab = Lab()
        lab.give(lab.invite(extra=TIMER + b"Session-Expires: 60\r\n"))
        refused = lab.take_one(PBX[0])
        assert (refused.status, refused.first(b"min-se")) == (422, b"90")
        lab.assert_nothing_left()
        other = Lab()
        a, _ = timed(other, a=TIMER + b"Session-Expires: 120;refresher=uac\r\n")
        a.ask(b"UPDATE", extra=TIMER + b"Session-Expires: 60\r\n")
        assert a.hears().status == 422
        assert len(other.border.calls) == 1


def test_there_is_none_where_the_trunk_has_none() -> None:
    off = SessionTimerSettings(use=Use.NEVER)
    lab = Lab(settings({"pbx": {"session_timer": off}, "carrier": {"session_timer": off}}))
    invite = lab.called(extra=TIMER + b"Session-Expires: 600\r\n")
    assert invite.first(b"session-expires") is None
    assert b"timer" not in (invite.first(b"supported") or b"")
    lab.answer(invite, 200, body=SDP_B, extra=b"Session-Expires: 90;refresher=uac\r\n")
    assert lab.take_one(PBX[0]).first(b"session-expires") is None
    lab.wait(300.0, step_s=0.5)
    assert len(lab.border.calls) == 0  # for want of an ACK alone


def _with(key: str, value: Any) -> dict[str, dict[str, Any]]:
    return {"pbx": {key: value}, "carrier": {key: value}}


@WAYS
@pytest.mark.parametrize("status", [200, 405, 481, 408, 0])
def test_a_peer_is_asked_whether_it_is_there(way: str, status: int) -> None:
    lab = Lab(settings(_with("ping_s", 300.0)))
    asked, other = both_ways(lab, way)
    lab.wait(301.0, step_s=0.5)
    pings = [requests(lab, side.address[0])[0] for side in (asked, other)]
    assert [ping.method for ping in pings] == [b"OPTIONS", b"OPTIONS"]
    other.answer(pings[1], 200)
    if status:
        asked.answer(pings[0], status)
    if not status:
        lab.wait(33.0, step_s=0.5)
    if status in (200, 405):
        lab.take()
        lab.wait(301.0, step_s=0.5)
        assert requests(lab, asked.address[0])[0].method == b"OPTIONS"
        return
    assert b"BYE" in {one.method for one in requests(lab, other.address[0])}
    lab.answer_removals()
    assert lab.record.cause is Cause.PEER_LOST
    lab.assert_nothing_left()


def test_a_call_has_a_longest_duration() -> None:
    lab = Lab(settings({"carrier": {"max_duration_s": 600.0}, "pbx": {"max_duration_s": 900.0}}))
    sides(lab)
    lab.wait(599.0, step_s=0.5)
    assert lab.take() == []
    lab.wait(2.0, step_s=0.5)
    assert requests(lab, PBX[0])[0].method == b"BYE"
    assert requests(lab, CARRIER[0])[0].method == b"BYE"
    lab.answer_removals()
    assert lab.record.cause is Cause.MAX_DURATION
    lab.assert_nothing_left()
