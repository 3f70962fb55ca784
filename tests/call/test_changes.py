"""Offers within a call, either way: re-INVITE and UPDATE go across (RFC 3261 §14, RFC 3311)."""

from __future__ import annotations

from typing import Any

import pytest

from policies.settings import SessionTimerSettings, Shield
from relay.control.messages import Plan
from sbc.call.cdr import Cause
from sbc.sip.message import Request, Response
from tests.call.lab import PBX, SDP_A, SDP_B, Lab, Side, both_ways, settings, sides

WAYS = pytest.mark.parametrize("way", ["a to b", "b to a"])
ALLOW = b"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE\r\n"
DIRECTIONS = frozenset((b"a=sendrecv", b"a=sendonly", b"a=recvonly", b"a=inactive"))
VIDEO = b"m=video 6100 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"


def sdp(side: Side, version: int = 2, *, direction: str = "sendrecv", more: bytes = b"") -> bytes:
    """What a peer says next: another version, and a direction."""
    base = SDP_A if side.address == PBX else SDP_B
    changed = base.replace(b"phone 1 1", b"phone 1 %d" % version)
    return changed.replace(b"a=sendrecv", b"a=" + direction.encode()) + more


def origin(message: Request | Response) -> list[bytes]:
    return message.body.split(b"\r\n")[1].split()


def newest(lab: Lab) -> Plan:
    return lab.plans[-1][1]


def port_for(lab: Lab, side: Side) -> int:
    """Where this peer is to send its media."""
    (stream,) = newest(lab).streams
    return (stream.a if side.address == PBX else stream.b).port


def carried(
    asking: Side, asked: Side, method: bytes = b"INVITE", body: bytes | None = None
) -> Request:
    """The asking peer's request, and what the other one got."""
    asking.ask(method, sdp(asking, direction="sendonly") if body is None else body, ALLOW)
    request = asked.hears()
    assert isinstance(request, Request)
    return request


@WAYS
def test_a_reinvite_is_carried_across_with_one_new_plan(way: str) -> None:
    lab = Lab()
    asking, asked = both_ways(lab, way)
    before, plans = newest(lab).revision, len(lab.plans)
    request = carried(asking, asked)
    assert request.method == b"INVITE"
    assert b"a=sendonly" in request.body
    assert asking.address[0].encode() not in request.body
    assert len(lab.plans) == plans  # nothing moves before the answer
    asked.answer(request, 200, sdp(asked, direction="recvonly"))
    ack, success = asked.hears(), asking.hears()
    assert (ack.method, ack.cseq, ack.body) == (b"ACK", request.cseq, b"")
    assert success.status == 200
    assert b"a=recvonly" in success.body
    assert asked.address[0].encode() not in success.body
    asking.ack()
    assert not lab.sent
    assert (newest(lab).revision, len(lab.plans)) == (before + 1, plans + 1)
    (stream,) = newest(lab).streams
    held = stream.a if asking.address == PBX else stream.b
    assert not held.may_receive


@WAYS
def test_our_versions_grow_on_both_legs(way: str) -> None:
    lab = Lab()
    asking, asked = both_ways(lab, way)
    seen: dict[bytes, int] = {}
    for version, direction in ((2, "sendonly"), (3, "sendrecv"), (4, "inactive")):
        asking.ask(b"INVITE", sdp(asking, version, direction=direction))
        request = asked.hears()
        back = {"sendonly": "recvonly"}.get(direction, direction)
        asked.answer(request, 200, sdp(asked, version, direction=back))
        success = asking.hears()
        asked.hears()
        asking.ack()
        for message in (request, success):
            _, number, ours, *_ = origin(message)
            assert int(ours) > seen.get(number, 0)
            seen[number] = int(ours)


@WAYS
@pytest.mark.parametrize("status", [488, 491, 500, 603, 415])
def test_a_change_that_is_refused_leaves_both_sides_as_they_were(way: str, status: int) -> None:
    lab = Lab()
    asking, asked = both_ways(lab, way)
    plans = len(lab.plans)
    request = carried(asking, asked, body=sdp(asking, more=VIDEO))
    in_hand = lab.border.core.leases.in_hand()
    asked.answer(request, status)
    assert asked.hears().method == b"ACK"
    assert asking.hears().status == status
    asking.ack()
    assert len(lab.plans) == plans
    assert lab.border.core.leases.in_hand() == {key: n + 1 for key, n in in_hand.items()}
    again = carried(asking, asked)  # and it may be tried again, with something else
    asked.answer(again, 200, sdp(asked, direction="recvonly"))
    assert asking.hears().status == 200


@WAYS
def test_both_at_once_is_glare(way: str) -> None:
    """RFC 3261 §14.2: 491 while ours is open, 500 with Retry-After while theirs is."""
    lab = Lab()
    asking, asked = both_ways(lab, way)
    request = carried(asking, asked)
    asked.ask(b"INVITE", sdp(asked, direction="inactive"))
    assert asked.hears().status == 491
    asked.ask(b"UPDATE", sdp(asked, direction="inactive"))
    assert asked.hears().status == 491
    asking.lab.take(asking.address[0])
    asking.ask(b"UPDATE", sdp(asking, 3))
    early = asking.hears()
    assert early.status == 500
    assert 0 <= int(early.first(b"retry-after")) <= 10
    asked.answer(request, 200, sdp(asked, direction="recvonly"))
    assert asking.hears().status == 200


@WAYS
def test_an_update_is_carried_as_what_the_peer_takes(way: str) -> None:
    lab = Lab()
    asking, asked = both_ways(lab, way)
    request = carried(asking, asked, b"UPDATE")
    assert request.method == b"INVITE"  # it has never said that it takes UPDATE
    asked.answer(request, 200, sdp(asked, direction="recvonly"), ALLOW)
    assert asked.hears().method == b"ACK"
    success = asking.hears()
    assert (success.status, success.cseq_method) == (200, b"UPDATE")
    assert b"a=recvonly" in success.body
    request = carried(asking, asked, b"UPDATE", sdp(asking, 3))
    assert request.method == b"UPDATE"
    asked.answer(request, 200, sdp(asked, 3))
    assert asking.hears().status == 200
    assert not lab.sent


@WAYS
@pytest.mark.parametrize(
    ("status", "cause"), [(481, Cause.REJECTED), (408, Cause.REJECTED), (0, Cause.NO_RESPONSE)]
)
def test_a_peer_that_knows_the_call_no_more_ends_it(way: str, status: int, cause: Cause) -> None:
    lab = Lab()
    asking, asked = both_ways(lab, way)
    request = carried(asking, asked)
    if status:
        asked.answer(request, status)
    else:
        lab.wait(33.0)
    heard = lab.take(asking.address[0])
    finals = [one.status for one in heard if isinstance(one, Response) and one.status > 100]
    assert set(finals) == {status or 408}
    assert [one.method for one in heard if isinstance(one, Request)][:1] == [b"BYE"]
    lab.answer_removals()
    assert lab.record.cause is cause
    lab.assert_nothing_left()


@WAYS
def test_an_offer_without_words_gets_the_other_sides_offer(way: str) -> None:
    """RFC 3261 §14.1: the offer comes in the 2xx, the answer in the ACK."""
    lab = Lab()
    asking, asked = both_ways(lab, way)
    plans = len(lab.plans)
    request = carried(asking, asked, body=b"")
    assert (request.method, request.body) == (b"INVITE", b"")
    asked.answer(request, 200, sdp(asked, more=VIDEO))
    success = asking.hears()
    assert success.status == 200
    assert success.body.count(b"m=") == 2
    assert asked.lab.take(asked.address[0]) == []  # its ACK waits for the answer
    asking.ack(sdp(asking, more=VIDEO.replace(b"6100", b"0")))
    ack = asked.hears()
    assert ack.method == b"ACK"
    assert b"m=video 0 " in ack.body
    assert asking.address[0].encode() not in ack.body
    assert len(lab.plans) == plans + 1
    asked.answer(request, 200, sdp(asked, more=VIDEO))  # its ACK was lost
    assert asked.hears().body == ack.body


@WAYS
def test_an_ack_without_the_answer_is_made_up_for(way: str) -> None:
    lab = Lab()
    asking, asked = both_ways(lab, way)
    moved = sdp(asked).replace(b"m=audio 6000", b"m=audio 6010")
    asked.answer(carried(asking, asked, body=b""), 200, moved)
    assert asking.hears().status == 200
    asking.ack()
    ack = asked.hears()
    assert ack.method == b"ACK"
    assert b"m=audio %d " % port_for(lab, asked) in ack.body
    assert len(lab.border.calls) == 1
    (stream,) = newest(lab).streams
    assert {stream.a.remote, stream.b.remote} == {
        (asking.address[0], 6000),
        (asked.address[0], 6010),
    }


@WAYS
def test_what_changes_nothing_is_answered_here(way: str) -> None:
    lab = Lab()
    asking, asked = both_ways(lab, way)
    for method in (b"INVITE", b"UPDATE"):
        asking.ask(method, sdp(asking, 1), b"X-Secret: x\r\n")
        assert asking.hears().status == 200
        asking.ack()
    asking.ask(b"UPDATE")
    assert asking.hears().status == 200
    assert lab.take(asked.address[0]) == []


@WAYS
def test_a_target_is_refreshed_by_request_and_by_answer(way: str) -> None:
    lab = Lab()
    asking, asked = both_ways(lab, way)
    request = carried(asking, asked)
    elsewhere = "10.0.0.9" if asked.address == PBX else "10.1.0.9"
    lab.answer(
        request,
        200,
        body=sdp(asked, direction="recvonly"),
        contact=b"<sip:moved@%b:5060>" % elsewhere.encode(),
        source=asked.address,
    )
    assert lab.take_one(elsewhere).uri == b"sip:moved@%b:5060" % elsewhere.encode()
    asking.hears()
    asking.ack()
    asking.ask(b"BYE")
    assert lab.take_one(elsewhere).method == b"BYE"


@WAYS
@pytest.mark.parametrize(
    ("said", "told", "answered", "back"),
    [
        (b"a=sendonly", b"a=sendonly", b"a=recvonly", b"a=recvonly"),
        (b"a=inactive", b"a=inactive", b"a=inactive", b"a=inactive"),
        (b"c=IN IP4 0.0.0.0\r\na=sendrecv", b"a=sendonly", b"a=recvonly", b"a=recvonly"),
        (b"c=IN IP4 0.0.0.0", b"a=sendonly", b"a=recvonly", b"a=recvonly"),
    ],
)
def test_hold_in_every_spelling(
    way: str, said: bytes, told: bytes, answered: bytes, back: bytes
) -> None:
    lab = Lab()
    asking, asked = both_ways(lab, way)
    request = carried(asking, asked, body=sdp(asking).replace(b"a=sendrecv", said))
    assert told in request.body
    assert b"0.0.0.0" not in request.body
    assert b"m=audio 0 " not in request.body
    asked.answer(request, 200, sdp(asked).replace(b"a=sendrecv", answered))
    asked.hears()
    assert back in asking.hears().body
    asking.ack()
    resumed = carried(asking, asked, body=sdp(asking, 3))
    assert told not in resumed.body
    asked.answer(resumed, 200, sdp(asked, 3))
    asking.hears()
    (stream,) = newest(lab).streams
    assert stream.a.may_receive
    assert stream.b.may_receive
    assert stream.a.expects
    assert stream.b.expects


@WAYS
def test_a_stream_comes_and_goes(way: str) -> None:
    lab = Lab()
    asking, asked = both_ways(lab, way)
    request = carried(asking, asked, body=sdp(asking, more=VIDEO))
    asked.answer(request, 200, sdp(asked, more=VIDEO))
    asked.hears()
    asking.hears()
    asking.ack()
    audio, video = newest(lab).streams
    assert (video.index, video.kind) == (1, "video")
    ports = {audio.a.port, audio.b.port, video.a.port, video.b.port}
    assert len(ports) == 4
    assert b"m=video %d " % (video.b if asking.address == PBX else video.a).port in request.body
    gone = VIDEO.replace(b"6100", b"0")
    request = carried(asking, asked, body=sdp(asking, 3, more=gone))
    assert b"m=video 0 " in request.body
    asked.answer(request, 200, sdp(asked, 3, more=gone))
    asked.hears()
    asking.hears()
    asking.ack()
    _, video = newest(lab).streams
    assert not video.a.may_receive
    assert not video.b.may_receive
    request = carried(asking, asked, body=sdp(asking, 4, more=VIDEO))
    assert b"m=video %d " % (video.b if asking.address == PBX else video.a).port in request.body


@WAYS
@pytest.mark.parametrize("method", [b"INVITE", b"UPDATE"])
def test_all_streams_may_go_and_come_back(way: str, method: bytes) -> None:
    """RFC 3264 §8.2: port 0 removes a stream, the last one, too; §8.1: its place may be used
    again."""
    lab = Lab()
    asking, asked = both_ways(lab, way)
    in_hand = lab.border.core.leases.in_hand()
    gone, back = b"m=audio 0 ", b"m=audio %d " % port_for(lab, asked)
    for version, port, told in ((2, b" 0 ", gone), (3, b" 6000 ", back)):
        request = carried(asking, asked, method, sdp(asking, version).replace(b" 6000 ", port))
        assert told in request.body
        asked.answer(request, 200, sdp(asked, version).replace(b" 6000 ", port))
        assert asked.hears().method == b"ACK"
        success = asking.hears()
        asking.ack()
        assert (success.status, gone in success.body) == (200, told == gone)
        (stream,) = newest(lab).streams
        for end in (stream.a, stream.b):
            assert end.may_receive is end.expects is (told == back)
    assert lab.border.core.leases.in_hand() == in_hand


def shielded(*what: Shield) -> dict[str, dict[str, Any]]:
    return {"carrier": {"shield": frozenset(what)}}


def test_a_peer_that_is_shielded_from_reinvite_gets_an_update() -> None:
    lab = Lab(settings(shielded(Shield.REINVITE)))
    a, b = sides(lab)
    b.ask(b"OPTIONS", extra=ALLOW)
    b.hears()
    b.ask(b"UPDATE", extra=ALLOW)
    b.hears()
    request = carried(a, b)
    assert request.method == b"UPDATE"
    b.answer(request, 200, sdp(b, direction="recvonly"))
    success = a.hears()
    assert (success.status, success.cseq_method) == (200, b"INVITE")


@WAYS
def test_a_cancelled_reinvite_is_cancelled_on_the_other_side(way: str) -> None:
    lab = Lab()
    asking, asked = both_ways(lab, way)
    data = asking.ask(b"INVITE", sdp(asking, direction="sendonly"))
    request = asked.hears()
    asked.answer(request, 180)
    lab.take()
    cancel = data.partition(b"\r\n\r\n")[0].replace(b"INVITE", b"CANCEL")
    cancel = cancel.replace(b"Content-Type: application/sdp\r\n", b"")
    head, _, _ = cancel.partition(b"Content-Length")
    lab.give(head + b"Content-Length: 0\r\n\r\n", asking.address)
    assert asking.hears().status == 200
    assert asked.hears().method == b"CANCEL"
    asked.answer(request, 487)
    asked.hears()
    assert asking.hears().status == 487
    assert len(lab.border.calls) == 1


@WAYS
def test_a_reinvite_that_rings_for_ever_is_given_up(way: str) -> None:
    lab = Lab()
    asking, asked = both_ways(lab, way)
    request = carried(asking, asked)
    asked.answer(request, 180)
    lab.take()
    lab.wait(61.0, step_s=0.5)
    assert {one.method for one in lab.take(asked.address[0])} == {b"CANCEL"}
    asked.answer(request, 487)
    lab.take(asked.address[0])
    assert asking.hears().status == 487
    assert len(lab.border.calls) == 1


@WAYS
def test_a_bye_answers_what_is_open(way: str) -> None:
    """RFC 3261 §15.1.2."""
    lab = Lab()
    asking, asked = both_ways(lab, way)
    request = carried(asking, asked)
    lab.take()
    asked.ask(b"BYE")
    heard = lab.take(asking.address[0])
    assert [one.status for one in heard if isinstance(one, Response)] == [487]
    assert [one.method for one in heard if isinstance(one, Request)] == [b"BYE"]
    asked.answer(request, 200, sdp(asked))  # it crossed: still to be acknowledged
    assert b"ACK" in [one.method for one in lab.take(asked.address[0]) if isinstance(one, Request)]
    lab.assert_nothing_left()


@WAYS
@pytest.mark.parametrize("ours", [True, False])
def test_an_answer_that_comes_after_the_call_is_acknowledged(way: str, ours: bool) -> None:
    """RFC 3261 §13.2.2.4: or it is sent again for half a minute. Both to what crosses and to a
    refresh of ours."""
    timer = SessionTimerSettings(expires_s=90)
    lab = Lab(settings({"carrier": {"session_timer": timer}}))
    asking, asked = both_ways(lab, way)
    if ours:
        extra = b"Supported: timer\r\nSession-Expires: 90;refresher=uas\r\n"
        asked.ask(b"INVITE", sdp(asked, 1), extra)
        assert asked.hears().status == 200
        asked.ack()
        lab.wait(46.0)
        request = lab.take(asked.address[0])[0]
        assert isinstance(request, Request)
    else:
        request = carried(asking, asked)
    lab.border.hangup(next(iter(lab.border.calls)), lab.now)
    for side in (asking, asked):
        (bye,) = [one for one in lab.take(side.address[0]) if isinstance(one, Request)]
        side.answer(bye, 200)
    lab.answer_removals()
    assert not lab.border.calls
    for _ in range(2):
        asked.answer(request, 200, sdp(asked))
        assert asked.hears().method == b"ACK"
    lab.assert_nothing_left()


@WAYS
@pytest.mark.parametrize(
    ("body", "extra", "status"),
    [
        (b"x", b"Content-Type: text/html\r\n", 415),
        (b"v=0\r\n", b"", 400),
        (b"v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nt=0 0\r\n", b"", 488),
        (b"", b"Require: something\r\n", 420),
    ],
)
def test_what_cannot_be_taken_harms_nothing(
    way: str, body: bytes, extra: bytes, status: int
) -> None:
    lab = Lab()
    asking, asked = both_ways(lab, way)
    asking.ask(b"INVITE", body, extra)
    assert asking.hears().status == status
    asking.ack()
    assert lab.take(asked.address[0]) == []
    assert len(lab.border.calls) == 1


OPTIONAL = b"Content-Type: application/x-own\r\nContent-Disposition: render;handling=optional\r\n"


@WAYS
def test_a_body_that_may_be_ignored_is(way: str) -> None:
    """RFC 3261 §20.11: handling=optional. The request counts as one without a body."""
    lab = Lab()
    asking, asked = both_ways(lab, way)
    asking.ask(b"UPDATE", b"at 10.0.0.9", OPTIONAL)
    assert asking.hears().status == 200
    asking.ask(b"INVITE", b"at 10.0.0.9", OPTIONAL)
    late = asked.hears()
    assert (late.method, late.body) == (b"INVITE", b"")
    asked.answer(late, 488)
    assert asked.hears().method == b"ACK"
    assert asking.hears().status == 488
    asking.ack()
    asking.ask(b"INFO", b"at 10.0.0.9", OPTIONAL)
    info = asked.hears()
    assert (info.body, info.first(b"content-type")) == (b"", None)
    asked.answer(info, 200)
    assert asking.hears().status == 200
    for handling in (b"handling=required", b"x=1", b'x=";handling=optional"'):
        asking.ask(b"INFO", b"at 10.0.0.9", OPTIONAL.replace(b"handling=optional", handling))
        assert asking.hears().status == 415


def test_an_invite_with_such_a_body_is_one_without_an_offer() -> None:
    lab = Lab()
    data = lab.invite(body=b"at 10.0.0.9")
    lab.give(data.replace(b"Content-Type: application/sdp\r\n", OPTIONAL))
    assert lab.take_one(PBX[0]).status == 100
    assert lab.take()[0].body == b""


def test_refusals_are_counted_by_their_status() -> None:
    """Whoever asks why a phone's hold does not work finds that it was refused, and how often."""
    lab = Lab()
    a, _ = sides(lab)
    for method, body, extra in (
        (b"UPDATE", b"v=0\r\n", b""),
        (b"UPDATE", b"x", b"Content-Type: text/html\r\n"),
        (b"PUBLISH", b"", b""),
        (b"SHOUT", b"", b""),
        (b"PRACK", b"", b""),
        (b"UPDATE", b"", b"Require: something\r\n"),
        (b"PUBLISH", b"", b""),
    ):
        a.ask(method, body, extra)
        a.hears()
    refusals = lab.border.status()["refusals"]
    assert refusals == {"400": 1, "405": 2, "415": 1, "420": 1, "481": 1, "501": 1}


@WAYS
def test_info_goes_across_and_other_methods_do_not(way: str) -> None:
    lab = Lab()
    asking, asked = both_ways(lab, way)
    kind = b"Content-Type: application/dtmf-relay\r\n"
    asking.ask(b"INFO", b"Signal=5\r\nDuration=160\r\n", kind)
    request = asked.hears()
    assert (request.method, request.body) == (b"INFO", b"Signal=5\r\nDuration=160\r\n")
    assert request.content_type == b"application/dtmf-relay"
    asked.answer(request, 200)
    assert asking.hears().status == 200
    asking.ask(b"INFO", b"see 10.0.0.9", b"Content-Type: application/x-own\r\n")
    assert asking.hears().status == 415
    for method, status in ((b"PUBLISH", 405), (b"SHOUT", 501), (b"PRACK", 481), (b"OPTIONS", 200)):
        asking.ask(method)
        assert asking.hears().status == status
    assert lab.take(asked.address[0]) == []


@WAYS
def test_what_is_refused_within_a_call_is_not_among_what_is_allowed_there(way: str) -> None:
    """RFC 3261 §21.4.6: the valid methods; §13.2.1: those that may be invoked within the dialog.
    What both trunks let cross outside of calls is no such."""
    lab = Lab()
    asking, asked = both_ways(lab, way)
    told = asking.of.values(b"allow")
    for method in (b"PUBLISH", b"SUBSCRIBE"):
        asking.ask(method, extra=b"Event: presence\r\n")
        refused = asking.hears()
        assert refused.status == 405
        assert method not in refused.values(b"allow")
        assert method not in told
    for method in (b"INFO", b"MESSAGE"):
        assert method in told
        asking.ask(method)
        request = asked.hears()
        assert request.method == method
        asked.answer(request, 200)
        assert asking.hears().status == 200


@WAYS
def test_what_the_other_side_takes_not_is_not_among_what_is_allowed_just_then(way: str) -> None:
    lab = Lab()
    asking, asked = both_ways(lab, way)
    asked.ask(b"UPDATE", extra=b"Allow: INVITE, ACK, BYE\r\n")
    assert asked.hears().status == 200
    asking.ask(b"MESSAGE", b"hello", b"Content-Type: text/plain\r\n")
    refused = asking.hears()
    assert refused.status == 405
    assert b"MESSAGE" not in refused.values(b"allow")
    assert b"INVITE" in refused.values(b"allow")
    assert lab.take(asked.address[0]) == []


@WAYS
@pytest.mark.parametrize(
    ("method", "status", "name", "told"),
    [
        (b"INVITE", 405, b"allow", b"UPDATE"),
        (b"INVITE", 415, b"accept", b"application/sdp"),
        (b"UPDATE", 415, b"accept", b"application/sdp"),
        (b"INFO", 405, b"allow", b"INVITE"),
        (b"INFO", 415, b"accept", b"text/plain"),
    ],
)
def test_who_is_refused_by_the_other_side_hears_what_would_do(
    way: str, method: bytes, status: int, name: bytes, told: bytes
) -> None:
    """RFC 3261 §21.4.6, §21.4.13: a 405 must have an Allow, a 415 an Accept."""
    lab = Lab()
    asking, asked = both_ways(lab, way)
    asked.ask(b"UPDATE", extra=b"Allow: INVITE, UPDATE, INFO\r\n")
    assert asked.hears().status == 200
    if method == b"INFO":
        asking.ask(method, b"Signal=5\r\n", b"Content-Type: application/dtmf-relay\r\n")
    else:
        asking.ask(method, sdp(asking, direction="sendonly"))
    asked.answer(asked.hears(), status, extra=b"Allow: X-SECRET\r\nAccept: x/secret\r\n")
    refused = asking.hears()
    assert refused.status == status
    assert told in refused.values(name)
    assert method not in refused.values(b"allow")
    assert b"secret" not in (refused.first(name) or b"").lower()


@WAYS
@pytest.mark.parametrize(
    ("said", "told"), [(b"7 (busy at pbx.lan);duration=3600", b"7"), (b"soon", None)]
)
def test_when_to_try_again_is_the_other_sides_word(
    way: str, said: bytes, told: bytes | None
) -> None:
    """RFC 3261 §14.2: a 500 to a re-INVITE says when."""
    lab = Lab()
    asking, asked = both_ways(lab, way)
    request = carried(asking, asked, body=sdp(asking, direction="sendonly"))
    asked.answer(request, 500, extra=b"Retry-After: %b\r\n" % said)
    refused = asking.hears()
    assert (refused.status, refused.first(b"retry-after")) == (500, told)


def test_a_trunk_lets_other_methods_pass() -> None:
    lab = Lab(settings({"pbx": {"pass_methods": ("MESSAGE", "SHOUT")}}))
    a, b = sides(lab)
    a.ask(b"MESSAGE", b"hello", b"Content-Type: text/plain\r\n")
    request = b.hears()
    assert request.body == b"hello"
    b.answer(request, 202)
    assert a.hears().status == 202
    a.ask(b"SHOUT")
    assert b.hears().method == b"SHOUT"


@WAYS
@pytest.mark.parametrize(
    ("offered", "answered", "told"),
    [
        ("sendonly", "sendrecv", "recvonly"),
        ("sendonly", "sendonly", "inactive"),
        ("recvonly", "sendrecv", "sendonly"),
        ("inactive", "sendrecv", "inactive"),
        ("inactive", "recvonly", "inactive"),
    ],
)
def test_an_answer_never_says_more_than_the_offer_allows(
    way: str, offered: str, answered: str, told: str
) -> None:
    """RFC 3264 §6.1: peers that answer a hold wrongly must not make the other one hang up."""
    lab = Lab()
    asking, asked = both_ways(lab, way)
    request = carried(asking, asked, body=sdp(asking, direction=offered))
    asked.answer(request, 200, sdp(asked, direction=answered))
    asked.hears()
    body = asking.hears().body
    assert [line for line in body.split(b"\r\n") if line in DIRECTIONS] == [b"a=" + told.encode()]
