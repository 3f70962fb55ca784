"""Requests that belong to no call, sources that belong to no trunk, INVITEs that become none."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.settings import AccessSettings, LimitSettings, Stranger
from sbc.call.cdr import Cause
from tests.call.lab import CARRIER, PBX, SDP_A, SDP_B, Lab, settings, statuses

STRANGER = ("10.0.0.66", 5060)


def request(method: bytes, extra: bytes = b"", uri: bytes = b"sip:10.0.0.1") -> bytes:
    return (
        b"%b %b SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK-x%b\r\n"
        b"From: <sip:a@10.0.0.2>;tag=f\r\nTo: <sip:b@10.0.0.1>\r\nCall-ID: c\r\n"
        b"CSeq: 1 %b\r\nMax-Forwards: 70\r\n%bContent-Length: 0\r\n\r\n"
    ) % (method, uri, method, method, extra)


@pytest.mark.parametrize(
    ("method", "status"),
    [
        (b"OPTIONS", 200),
        (b"BYE", 481),
        (b"CANCEL", 481),
        (b"REGISTER", 405),
        (b"SUBSCRIBE", 400),
        (b"NOTIFY", 481),
        (b"REFER", 405),
        (b"UPDATE", 481),
        (b"PRACK", 481),
        (b"INFO", 481),
        (b"FROBNICATE", 501),
    ],
)
def test_each_method_gets_its_answer(method: bytes, status: int) -> None:
    lab = Lab()
    lab.give(request(method))
    assert statuses(lab.take()) == [status]


def test_options_to_a_uri_that_we_cannot_read_is_416() -> None:
    lab = Lab()
    lab.give(request(b"OPTIONS", uri=b"soap.beep://10.0.0.1"))
    assert statuses(lab.take()) == [416]


def test_options_tells_the_truth() -> None:
    lab = Lab()
    lab.give(request(b"OPTIONS"))
    answer = lab.take_one(PBX[0])
    calls = b"INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, REFER"
    assert answer.first(b"allow") == calls + b", NOTIFY, MESSAGE, PUBLISH, SUBSCRIBE"
    assert answer.first(b"accept") == b"application/sdp"
    assert answer.first(b"supported") == b"100rel, timer, replaces, norefersub"
    assert answer.first(b"server") is None


def test_an_ack_of_nothing_is_silence() -> None:
    lab = Lab()
    lab.give(request(b"ACK"))
    assert lab.sent == []


@pytest.mark.parametrize("method", [b"OPTIONS", b"INVITE", b"REGISTER"])
def test_a_stranger_is_refused_without_a_trace(method: bytes) -> None:
    lab = Lab()
    lab.give(request(method), STRANGER)
    assert statuses(lab.take()) == [403]
    assert len(lab.border.core.layer) == 0
    assert lab.border.calls == {}
    assert lab.border.core.counters["stranger"] == 1


def test_a_stranger_is_ignored_where_the_operator_says_so() -> None:
    lab = Lab(settings(access=AccessSettings(strangers=Stranger.IGNORE)))
    lab.give(request(b"INVITE"), STRANGER)
    lab.give(b"garbage that is no message", STRANGER)
    assert lab.sent == []
    assert lab.border.core.counters["stranger"] == 1


def test_a_strangers_flood_meets_silence_and_a_trunks_does_not() -> None:
    lab = Lab(settings(access=AccessSettings(rate_per_source=1, burst_per_source=10)))
    for number in range(100):
        lab.give(request(b"OPTIONS").replace(b"-x", b"-%d" % number), STRANGER)
        lab.give(request(b"OPTIONS").replace(b"-x", b"-%d" % number))
    assert len(lab.take(STRANGER[0])) == 10
    assert len(lab.take(PBX[0])) == 100


@pytest.mark.parametrize(
    ("changes", "status", "cause"),
    [
        ({"extra": b"Require: precondition\r\n"}, 420, Cause.BAD_REQUEST),
        ({"body": SDP_A.replace(b"RTP/AVP", b"RTP/SAVP")}, 488, Cause.UNSUPPORTED_MEDIA),
        ({"body": b"v=0\r\n"}, 400, Cause.UNSUPPORTED_MEDIA),
        ({"hops": b"0"}, 483, Cause.LOOP),
    ],
)
def test_an_invite_that_becomes_no_call_has_an_answer_and_a_record(
    changes: dict[str, bytes], status: int, cause: Cause
) -> None:
    lab = Lab()
    lab.give(lab.invite(**changes))  # type: ignore[arg-type]
    answers = [one.status for one in lab.take(PBX[0]) if one.status != 100]
    assert answers == [status]
    record = lab.record
    assert (record.status, record.cause, record.answered_s) == (status, cause, None)
    lab.assert_nothing_left()


def test_what_is_required_and_missing_is_named() -> None:
    lab = Lab()
    lab.give(lab.invite(extra=b"Require: 100rel, precondition, gruu\r\n"))
    assert lab.take_one(PBX[0]).first(b"unsupported") == b"precondition, gruu"


@pytest.mark.parametrize(
    ("found", "made", "status"),
    [
        (b"sip:4930123456@10.0.0.1", b"urn:service:sos", 416),
        (b"Contact: <sip:alice@10.0.0.2:5060>\r\n", b"", 400),
    ],
)
def test_an_invite_that_cannot_be_routed_back_or_on(found: bytes, made: bytes, status: int) -> None:
    lab = Lab()
    lab.give(lab.invite().replace(found, made, 1))
    assert statuses(lab.take()) == [status]


def test_a_call_that_comes_back_is_482() -> None:
    lab = Lab()
    invite = lab.called()
    via = b"Via: " + (invite.first(b"via") or b"") + b"\r\n"
    lab.give(lab.invite(call="again", extra=via))
    assert 482 in statuses(lab.take(PBX[0]))


def test_a_call_to_another_number_that_comes_back_is_a_spiral_and_goes_on() -> None:
    lab = Lab()
    invite = lab.called()
    via = b"Via: " + (invite.first(b"via") or b"") + b"\r\n"
    lab.give(lab.invite(number="4930999", call="again", extra=via))
    assert lab.take_one(CARRIER[0]).method == b"INVITE"


class TestLimits:
    def test_of_calls_admits_exactly_so_many(self) -> None:
        lab = Lab(settings({"pbx": {"limits": LimitSettings(calls=3, status=486)}}))
        for number in range(5):
            lab.give(lab.invite(call=f"call-{number}"))
        assert statuses(lab.take(PBX[0])).count(486) == 2
        assert len(lab.take(CARRIER[0])) == 3
        record = lab.border.core.records[0]
        assert record.cause is Cause.LIMIT
        assert "trunks.pbx.limits.calls" in record.reason

    def test_are_given_back_when_the_call_ends(self) -> None:
        lab = Lab(settings({"pbx": {"limits": LimitSettings(calls=1)}}))
        for number in range(3):
            success, _ = lab.connected(call=f"call-{number}")
            lab.give(lab.in_dialog(b"BYE", success, 2))
            lab.take()
            lab.answer_removals()

    def test_no_retry_after_is_sent(self) -> None:
        lab = Lab(settings({"pbx": {"limits": LimitSettings(calls=0)}}))
        lab.give(lab.invite())
        answer = [one for one in lab.take(PBX[0]) if one.status == 503]
        assert answer[0].first(b"retry-after") is None


def test_no_route_is_404() -> None:
    config = settings()
    lab = Lab(config)
    lab.give(lab.invite(source=("10.1.0.3", 5060)), ("10.1.0.3", 5060))
    assert 404 in statuses(lab.take())
    assert lab.record.cause is Cause.NO_ROUTE


def test_overload_refuses_new_calls_and_serves_the_rest() -> None:
    lab = Lab()
    ringing = lab.invite(call="ringing")
    lab.give(ringing)
    invite = lab.take_one(CARRIER[0])
    lab.take()
    success, _ = lab.connected(call="up")
    lab.take()
    lab.border.overloaded = True
    lab.give(lab.invite(call="new"))
    assert statuses(lab.take(PBX[0])) == [503]
    lab.give(ringing)
    assert statuses(lab.take(PBX[0])) == [100]
    lab.answer(invite, 200, body=SDP_B)
    assert statuses(lab.take(PBX[0])) == [200]
    lab.give(lab.in_dialog(b"BYE", success, 2))
    assert 200 in statuses(lab.take(PBX[0]))


def test_a_stopping_border_takes_no_calls() -> None:
    lab = Lab()
    lab.border.draining = True
    lab.give(lab.invite())
    lab.give(request(b"OPTIONS"))
    assert statuses(lab.take()) == [503, 503]
    assert lab.record.cause is Cause.SHUTDOWN


def test_malformed_requests_are_answered_and_counted() -> None:
    lab = Lab()
    lab.give(lab.invite().replace(b"CSeq: 1 INVITE", b"CSeq: one INVITE"))
    lab.give(b"\x00\x01\x02\x03 not sip at all, but long enough")
    lab.give(b"\r\n\r\n")
    assert [data[:12] for _, data in lab.sent] == [b"SIP/2.0 400 "]
    assert lab.border.core.counters["malformed"] == 2
    assert lab.border.core.counters["keep_alive"] == 1


def test_who_sends_what_cannot_be_read_is_told_where_it_fails() -> None:
    lab = Lab()
    lab.give(lab.invite().replace(b"CSeq: 1 INVITE", b"CSeq: one INVITE"))
    ((_, answer),) = lab.sent
    assert b'\r\nWarning: 399 10.0.0.1 "CSeq: expected ' in answer
    assert lab.border.core.layer.refusals == {400: 1}


def test_a_stranger_is_not_told_what_we_read() -> None:
    lab = Lab()
    data = lab.invite(source=STRANGER).replace(b"CSeq: 1 INVITE", b"CSeq: one INVITE")
    lab.give(data, STRANGER)
    ((_, answer),) = lab.sent
    assert answer.startswith(b"SIP/2.0 400 ")
    assert b"Warning" not in answer


def test_answers_go_where_rfc_3581_says_and_never_to_maddr() -> None:
    lab = Lab()
    options = request(b"OPTIONS")
    lab.give(options.replace(b"10.0.0.2;branch", b"10.0.0.2:7000;branch"), ("10.0.0.2", 40000))
    lab.give(
        options.replace(b"10.0.0.2;branch=z9hG4bK-x", b"10.0.0.2:7000;rport;branch=z9hG4bK-y"),
        ("10.0.0.2", 40000),
    )
    lab.give(options.replace(b"-xOPTIONS", b"-z;maddr=10.9.9.9"), ("10.0.0.2", 5060))
    assert [hop.address for hop, _ in lab.sent] == [
        ("10.0.0.2", 7000),
        ("10.0.0.2", 40000),
        ("10.0.0.2", 5060),
    ]


@given(data=st.binary(max_size=300), position=st.integers(0, 900), cut=st.integers(0, 200))
def test_no_bytes_make_the_border_raise_or_grow(data: bytes, position: int, cut: int) -> None:
    lab = Lab()
    whole = lab.invite()
    lab.give(whole[:position] + data + whole[position + cut :])
    lab.give(data)
    lab.give(whole[:position] + data + whole[position + cut :], CARRIER)
    assert lab.border.core.counters["crashed"] == 0
    assert len(lab.border.calls) <= 2


def test_identifiers_bear_a_mark_that_only_the_key_can_make() -> None:
    lab = Lab()
    success, invite = lab.connected()
    mint = lab.border.core.mint
    contact = success.contact
    assert contact is not None
    for identifier in (
        invite.call_id, invite.from_tag, invite.via.branch, success.to_tag, contact.uri,
    ):  # fmt: skip
        assert mint.shard_of(identifier) == 0
        forged = re.sub(rb"s00(.)", lambda match: b"s01" + match[1], identifier, count=1)
        assert mint.shard_of(forged) is None
