"""Single calls between two telephones: what the border says to each of them."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.e2e.phone import Call, Message, Phone, sdp
from tests.e2e.sides import INSIDE, OUTSIDE
from tests.e2e.tcp import answer, incoming, serving
from tests.support.border import Border, Shape, until

pytestmark = pytest.mark.e2e

NO_ANSWER_S = 2


@pytest.fixture(scope="module")
def shape() -> Shape:
    return Shape(outside_trunk={"no_answer": NO_ANSWER_S})


def _cdr_of(border: Border, call_id: str) -> dict[str, Any]:
    """The record of this call; those of the tests before may still be coming in."""

    def mine() -> list[dict[str, Any]]:
        return [record for record in border.cdrs() if record["call_id_a"] == call_id]

    until(mine, 3, "a record of the call")
    return mine()[0]


def test_each_leg_has_a_dialog_and_a_session_of_its_own(
    border: Border, caller: Phone, called: Phone
) -> None:
    a_leg = caller.invite()
    b_leg = called.answering()
    assert b_leg.invite is not None
    b_leg.answer()
    final = a_leg.establish()
    invite = b_leg.invite

    assert invite.first("call-id") != a_leg.call_id
    assert invite.tag("from") != a_leg.local_tag
    assert final.tag("to") != b_leg.local_tag
    assert invite.first("max-forwards") == "69"
    assert len(invite.every("via")) == 1
    assert invite.media()[0] == "127.0.2.1"
    assert final.media()[0] == "127.0.1.1"
    assert "127.0.2.1" in invite.contact_uri
    assert "127.0.1.1" in final.contact_uri
    assert "insidemark" not in invite.first("supported")

    a_leg.request("BYE")
    b_leg.hung_up()
    assert a_leg.expect(200).method == "BYE"


def test_called_party_hangs_up_with_its_contact_in_upper_case(
    border: Border, caller: Phone, called: Phone
) -> None:
    a_leg = caller.invite(contact="<sip:insidemark-p@127.0.1.10:5060;transport=UDP>")
    b_leg = called.answering()
    b_leg.answer(contact="<sip:outsidemark-p@127.0.2.10:5060;transport=UDP>")
    a_leg.establish()

    b_leg.request("BYE")

    a_leg.hung_up()
    assert b_leg.expect(200).method == "BYE"


def test_cancel_reaches_the_called_party_and_the_caller_gets_487(
    border: Border, caller: Phone, called: Phone
) -> None:
    a_leg = caller.invite()
    b_leg = called.answering()
    b_leg.respond(180)
    a_leg.expect(180)

    a_leg.cancel()

    assert a_leg.expect(lambda one: one.status == 200 and one.method == "CANCEL")
    cancel = b_leg.expect("CANCEL")
    assert b_leg.invite is not None
    assert cancel.first("via") == b_leg.invite.first("via")
    b_leg.respond(200, to=cancel)
    b_leg.respond(487)
    b_leg.expect("ACK")
    assert a_leg.expect(487).method == "INVITE"
    a_leg.ack(a_leg.branch)
    assert _cdr_of(border, a_leg.call_id)["cause"] == "cancelled"


def test_cancel_that_crosses_the_answer_ends_the_answered_call(
    border: Border, caller: Phone, called: Phone
) -> None:
    """RFC 3261 §9.1: the 200 was on its way; whoever answered is told that it is over."""
    a_leg = caller.invite()
    b_leg = called.answering()
    b_leg.respond(180)
    a_leg.expect(180)

    a_leg.cancel()
    b_leg.expect("CANCEL")
    b_leg.respond(200, sdp("127.0.2.10", 42_000, OUTSIDE))

    b_leg.expect("ACK")
    b_leg.hung_up()
    assert a_leg.expect(487).method == "INVITE"
    a_leg.ack(a_leg.branch)


def test_nobody_answers(border: Border, caller: Phone, called: Phone) -> None:
    a_leg = caller.invite()
    b_leg = called.answering()
    b_leg.respond(180)

    cancel = b_leg.expect("CANCEL")
    b_leg.respond(200, to=cancel)
    b_leg.respond(487)

    assert a_leg.expect(480)
    a_leg.ack(a_leg.branch)
    assert _cdr_of(border, a_leg.call_id)["cause"] == "no_answer"


@pytest.mark.parametrize("status", [404, 486, 503, 603])
def test_refusal_reaches_the_caller(
    border: Border, caller: Phone, called: Phone, status: int
) -> None:
    a_leg = caller.invite()
    b_leg = called.answering()

    b_leg.respond(status, headers="Reason: Q.850;cause=17\r\n")

    final = a_leg.expect(lambda one: one.status >= 300)
    # RFC 3261 §16.7: a 503 would say that it is this border that is overloaded
    assert final.status == (500 if status == 503 else status)
    assert b_leg.expect("ACK")
    a_leg.ack(a_leg.branch)


def test_unchanged_offer_is_accepted_here_and_a_changed_one_is_the_other_sides_to_refuse(
    border: Border, caller: Phone, called: Phone
) -> None:
    offer = sdp("127.0.1.10", 41_000, INSIDE)
    a_leg = caller.invite(body=offer)
    b_leg = called.answering()
    b_leg.answer()
    first = a_leg.establish()

    a_leg.request("INVITE", offer)
    again = a_leg.establish()
    assert again.media() == first.media()
    assert _version(again) == _version(first)

    a_leg.request("INVITE", sdp("127.0.1.10", 43_000, INSIDE, version=2))
    asked = b_leg.expect("INVITE")
    assert asked.media()[0] == "127.0.2.1"
    b_leg.respond(488, to=asked)
    b_leg.expect("ACK")
    refused = a_leg.expect(lambda one: one.status >= 200)
    assert refused.status == 488
    a_leg.ack(a_leg.branch)

    a_leg.request("UPDATE", offer)
    assert a_leg.expect(lambda one: one.status >= 200 and one.method == "UPDATE").status == 200

    called.silence(0.3, lambda one: one.status == 0)
    a_leg.request("BYE")
    b_leg.hung_up()
    assert a_leg.expect(200)


def _version(message: Message) -> str:
    return message.body.decode().split("o=")[1].split()[2]


@pytest.mark.parametrize(
    ("method", "statuses"),
    [
        ("PUBLISH", (405,)),
        ("SPLICE", (501,)),
        ("REFER", (603,)),  # nobody may transfer unless `refer` says so
        ("NOTIFY", (481,)),  # of no subscription (RFC 6665 §4.1.3)
    ],
)
def test_methods_that_have_no_place_in_it_harm_no_call(
    border: Border, caller: Phone, called: Phone, method: str, statuses: tuple[int, ...]
) -> None:
    a_leg = caller.invite()
    b_leg = called.answering()
    b_leg.answer()
    a_leg.establish()

    a_leg.request(method)

    answer = a_leg.expect(lambda one: one.status >= 200 and one.method == method)
    assert answer.status in statuses
    if answer.status == 405:
        assert "INVITE" in answer.first("allow")
    a_leg.request("BYE")
    b_leg.hung_up()
    assert a_leg.expect(lambda one: one.status == 200 and one.method == "BYE")


def test_options_is_answered_truthfully(border: Border, caller: Phone) -> None:
    answer = caller.options()

    assert answer.status == 200
    allowed = {word.strip() for word in answer.first("allow").split(",")}
    assert {"INVITE", "ACK", "BYE", "CANCEL", "OPTIONS"} <= allowed
    assert "UPDATE" in allowed
    assert "insidemark" not in answer.first("supported")


def test_no_hops_left_is_483(border: Border, caller: Phone) -> None:
    a_leg = caller.invite(max_forwards=0)

    assert a_leg.expect(lambda one: one.status >= 200).status == 483
    a_leg.ack(a_leg.branch)


def test_max_forwards_is_70_where_the_caller_had_none(
    border: Border, caller: Phone, called: Phone
) -> None:
    a_leg = caller.invite(max_forwards=None)
    b_leg = called.answering()
    assert b_leg.invite is not None

    assert b_leg.invite.first("max-forwards") == "70"
    b_leg.respond(486)
    a_leg.expect(486)
    a_leg.ack(a_leg.branch)


def test_bye_of_no_call_is_481(border: Border, caller: Phone) -> None:
    uri = "sip:100@127.0.1.1:5060"
    caller.send(caller.request("BYE", uri, call_id="insidemark-x", to=f"<{uri}>;tag=nobody"))

    assert caller.expect(lambda one: one.method == "BYE").status == 481


def test_stranger_is_refused(border: Border) -> None:
    with Phone(("127.0.9.9", 5060), "strange", ("127.0.1.1", 5060)) as stranger:
        call = stranger.invite()

        assert call.expect(lambda one: one.status >= 200).status == 403
        call.ack(call.branch)


def test_each_fork_has_an_early_dialog_of_its_own(
    border: Border, caller: Phone, called: Phone
) -> None:
    """Two To-tags of one called party become two of ours; the 200 bears the tag of its fork."""
    a_leg = caller.invite()
    b_leg = called.answering()
    first_sdp = sdp("127.0.2.10", 42_000, OUTSIDE)
    second_sdp = sdp("127.0.2.10", 42_100, OUTSIDE)

    b_leg.respond(180, tag="outsidemark-fork1")
    b_leg.respond(183, first_sdp, tag="outsidemark-fork1")
    b_leg.respond(183, second_sdp, tag="outsidemark-fork2")
    ringing = a_leg.expect(180)
    early = [a_leg.expect(183), a_leg.expect(183)]
    tags = [message.tag("to") for message in early]
    assert tags[0] == ringing.tag("to")
    assert tags[0] != tags[1]

    b_leg.local_tag = "outsidemark-fork2"
    b_leg.from_ = f"{b_leg.from_.split(';tag=')[0]};tag=outsidemark-fork2"
    b_leg.respond(200, second_sdp, tag="outsidemark-fork2")
    final = a_leg.establish()
    b_leg.expect("ACK")
    assert final.tag("to") == tags[1]

    a_leg.request("BYE")
    bye = b_leg.hung_up()
    assert bye.tag("to") == "outsidemark-fork2"
    assert a_leg.expect(lambda one: one.status == 200 and one.method == "BYE")


def test_retransmitted_invite_makes_one_call(border: Border, caller: Phone, called: Phone) -> None:
    a_leg = caller.invite()
    caller.send(a_leg.last)
    caller.send(a_leg.last)

    b_leg = called.answering()
    called.silence(0.3, lambda one: one.first("call-id") != b_leg.call_id)
    b_leg.answer()
    a_leg.establish()
    a_leg.request("BYE")
    b_leg.hung_up()
    assert a_leg.expect(lambda one: one.status == 200 and one.method == "BYE")


def test_headers_that_cross_and_those_that_do_not(
    border: Border, caller: Phone, called: Phone
) -> None:
    headers = (
        "Subject: hello\r\nAccept-Language: de\r\nAlert-Info: <urn:alert:source:external>\r\n"
        "User-to-User: 56a390;encoding=hex\r\nReason: Q.850;cause=16\r\n"
        "Diversion: <sip:desk@insidemark.example>;reason=unconditional\r\n"
        "History-Info: <sip:desk@127.0.1.10>;index=1\r\nP-Asserted-Identity: <sip:a@insidemark>\r\n"
        "X-Account: insidemark\r\nRecord-Route: <sip:127.0.1.10;lr>\r\n"
    )
    a_leg = caller.invite(headers=headers)
    b_leg = called.answering()
    invite = b_leg.invite
    assert invite is not None

    assert invite.first("subject") == "hello"
    assert invite.first("accept-language") == "de"
    assert invite.first("user-to-user") == "56a390;encoding=hex"
    assert "desk@" in invite.first("diversion")
    assert "desk@" in invite.first("history-info")
    assert not invite.first("p-asserted-identity"), "this trunk is not trusted"
    assert not invite.first("x-account")
    assert not invite.first("record-route")
    b_leg.respond(486)
    a_leg.expect(486)
    a_leg.ack(a_leg.branch)


def test_srtp_is_refused_with_488(border: Border, caller: Phone) -> None:
    offer = sdp("127.0.1.10", 41_000, INSIDE).replace(b"RTP/AVP", b"RTP/SAVP")
    a_leg = caller.invite(body=offer)

    assert a_leg.expect(lambda one: one.status >= 200).status == 488
    a_leg.ack(a_leg.branch)


def test_caller_hangs_up_before_the_answer(border: Border, caller: Phone, called: Phone) -> None:
    """A BYE in an early dialog (RFC 3261 §15) is as good as a CANCEL."""
    a_leg = caller.invite()
    b_leg = called.answering()
    b_leg.respond(180)
    a_leg.take(a_leg.expect(180))

    a_leg.request("BYE")

    b_leg.respond(200, to=b_leg.expect("CANCEL"))
    b_leg.respond(487)
    b_leg.expect("ACK")
    finals = [a_leg.expect(lambda one: one.status >= 200) for _ in range(2)]
    assert {one.method: one.status for one in finals} == {"BYE": 200, "INVITE": 487}
    assert _cdr_of(border, a_leg.call_id)["cause"] == "cancelled"


def test_required_extension_is_420_and_named(border: Border, caller: Phone) -> None:
    a_leg = caller.invite(headers="Require: precondition\r\n")

    refused = a_leg.expect(lambda one: one.status >= 200)

    assert refused.status == 420
    assert refused.first("unsupported") == "precondition"
    a_leg.ack(a_leg.branch)


def test_reliability_that_nobody_offered_does_not_cross(
    border: Border, caller: Phone, called: Phone
) -> None:
    a_leg = caller.invite()
    b_leg = called.answering()
    b_leg.respond(183, headers="Require: 100rel\r\nRSeq: 1\r\n")

    ringing = a_leg.expect(183)

    assert not ringing.first("require")
    assert not ringing.first("rseq")
    b_leg.answer()
    a_leg.establish()
    _end(a_leg, b_leg)


def _end(a_leg: Call, b_leg: Call) -> None:
    a_leg.request("BYE")
    b_leg.hung_up()
    assert a_leg.expect(lambda one: one.status == 200 and one.method == "BYE")


def test_redirection_shows_nothing_of_the_other_network(
    border: Border, caller: Phone, called: Phone
) -> None:
    a_leg = caller.invite()
    called.answering().respond(302, contact="<sip:elsewhere@127.0.2.11>")

    final = a_leg.expect(lambda one: one.status >= 300)

    assert final.status == 480
    assert not final.first("contact")
    a_leg.ack(a_leg.branch)


def test_called_party_repeats_its_offer_in_the_call(
    border: Border, caller: Phone, called: Phone
) -> None:
    description = sdp("127.0.2.10", 42_000, OUTSIDE)
    a_leg = caller.invite()
    b_leg = called.answering()
    b_leg.answer(description)
    a_leg.establish()

    b_leg.request("INVITE", description)
    again = b_leg.expect(lambda one: one.status >= 200 and one.method == "INVITE")
    b_leg.ack()

    assert again.status == 200
    assert b_leg.invite is not None
    assert again.media() == b_leg.invite.media()
    _end(a_leg, b_leg)


def test_request_out_of_order_is_500_and_harms_nothing(
    border: Border, caller: Phone, called: Phone
) -> None:
    """RFC 3261 §12.2.2."""
    a_leg = caller.invite()
    b_leg = called.answering()
    b_leg.answer()
    a_leg.establish()

    a_leg.request("OPTIONS", cseq=50)
    assert a_leg.expect(lambda one: one.method == "OPTIONS").status == 200
    a_leg.request("OPTIONS", cseq=49)
    assert a_leg.expect(lambda one: one.method == "OPTIONS").status == 500

    a_leg.cseq = 50
    _end(a_leg, b_leg)


def test_answer_that_comes_again_is_acknowledged_again(
    border: Border, caller: Phone, called: Phone
) -> None:
    """RFC 3261 §13.2.2.4, also once the call is over: else the called party repeats it for 32 s."""
    description = sdp("127.0.2.10", 42_000, OUTSIDE)
    a_leg = caller.invite()
    b_leg = called.answering()
    b_leg.answer(description)
    a_leg.establish()
    b_leg.respond(200, description)
    b_leg.expect("ACK")
    _end(a_leg, b_leg)

    b_leg.respond(200, description)
    b_leg.expect("ACK")


def test_second_fork_that_answers_is_acknowledged_and_ended(
    border: Border, caller: Phone, called: Phone
) -> None:
    a_leg = caller.invite()
    b_leg = called.answering()
    for fork, port in (("outsidemark-1", 42_000), ("outsidemark-2", 42_100)):
        b_leg.respond(200, sdp("127.0.2.10", port, OUTSIDE), tag=fork)
        assert b_leg.expect("ACK").tag("to") == fork

    assert b_leg.hung_up().tag("to") == "outsidemark-2"
    a_leg.establish()
    a_leg.request("BYE")
    assert b_leg.hung_up().tag("to") == "outsidemark-1"
    assert a_leg.expect(lambda one: one.status == 200 and one.method == "BYE")


def test_closed_connection_is_no_hang_up(border: Border, called: Phone) -> None:
    """The BYE to a caller over TCP goes to its Contact by a new connection (RFC 3261 §18.1)."""
    own = ("127.0.1.10", 5066)
    with serving(own) as server:
        with socket.create_connection(("127.0.1.1", 5060), 3, (own[0], 0)) as first:
            first.sendall(_over_tcp("INVITE", own, body=sdp(own[0], 41_000, INSIDE)))
            b_leg = called.answering()
            b_leg.respond(200, sdp("127.0.2.10", 42_000, OUTSIDE))
            final = next(one for one in incoming(first) if one.startswith(b"SIP/2.0 200"))
            told = Message.parse(final, ("127.0.1.1", 5060))
            first.sendall(_over_tcp("ACK", own, uri=told.contact_uri, to=told.first("to")))
            b_leg.expect("ACK")
        until(lambda: border.status()["streams"]["connections"] == 0, 3, "the connection gone")
        until(lambda: len(border.calls()) == 1, 3, "this call alone")

        b_leg.request("BYE")
        assert b_leg.expect(lambda one: one.method == "BYE").status == 200
        server.settimeout(3)
        second, _ = server.accept()
        with second:
            second.settimeout(3)
            bye = next(incoming(second))
            assert bye.startswith(b"BYE sip:insidemark@127.0.1.10:5066")
            second.sendall(answer(bye, 200))
            until(lambda: border.status()["dialogs"] == 0, 3, "no dialog left")


def _over_tcp(
    method: str,
    own: tuple[str, int],
    *,
    uri: str = "sip:100@127.0.1.1",
    to: str = "<sip:100@127.0.1.1>",
    body: bytes = b"",
) -> bytes:
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/TCP {own[0]}:{own[1]};branch=z9hG4bK{INSIDE}{method}",
        f"From: <sip:alice@{INSIDE}.example>;tag={INSIDE}",
        f"To: {to}",
        f"Call-ID: {INSIDE}-over-tcp",
        f"CSeq: 1 {method}",
        "Max-Forwards: 70",
        f"Contact: <sip:{INSIDE}@{own[0]}:{own[1]};transport=tcp>",
        *(["Content-Type: application/sdp"] if body else []),
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body
