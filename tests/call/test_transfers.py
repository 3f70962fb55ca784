"""Transfers that the border makes: blind (RFC 3515, RFC 5589), and all that can go wrong."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest

from policies.media import Srtp, TrunkMedia
from policies.settings import LimitSettings, Refer, Shield
from sbc.call.cdr import Cause
from sbc.sip.message import Request, Response
from sbc.sip.parser import parse
from tests.call.lab import (
    BACKUP,
    CARRIER,
    INSIDE,
    PBX,
    SDP_A,
    SDP_B,
    Lab,
    Side,
    settings,
    sides,
)

TARGET_SDP = SDP_B.replace(b"6000", b"7000").replace(b"8 0 101", b"8 101")
ANSWER = SDP_B.replace(b"8 0 101", b"8 101")
REFER_TO = b"Refer-To: <sip:%b@198.51.100.9>\r\n"


def sipfrags(messages: list[Any]) -> list[tuple[bytes, bytes]]:
    """Status line and Subscription-State of the NOTIFYs among them."""
    return [
        (one.body.partition(b"\r\n")[0], one.first(b"subscription-state") or b"")
        for one in messages
        if isinstance(one, Request) and one.method == b"NOTIFY"
    ]


def answer_notifies(side: Side, messages: list[Any]) -> None:
    for one in messages:
        if isinstance(one, Request) and one.method == b"NOTIFY":
            side.answer(one, 200)


def is_notify(message: Any) -> bool:
    return isinstance(message, Request) and message.method == b"NOTIFY"


def is_invite(message: Any) -> bool:
    return isinstance(message, Request) and message.method == b"INVITE"


def kinds(messages: list[Any]) -> list[bytes | int]:
    """The method or the status of each."""
    return [one.method if isinstance(one, Request) else one.status for one in messages]


def refer(side: Side, user: bytes = b"4930777", extra: bytes = b"") -> list[Any]:
    """REFER; all that its sender hears at once."""
    side.ask(b"REFER", extra=REFER_TO % user + extra)
    heard = side.lab.take(side.address[0])
    answer_notifies(side, heard)
    return heard


def test_blind_by_the_caller_joins_the_called_side_with_the_target() -> None:
    """The caller (inside) sends its peer (outside) to a number that the outside's route has."""
    lab = Lab()
    a, b = sides(lab)
    first_call = next(iter(lab.border.calls))
    heard = refer(a, extra=b"Referred-By: <sip:alice@10.0.0.2>\r\n")
    assert heard[0].status == 202
    assert sipfrags(heard) == [(b"SIP/2.0 100 Trying", b"active;expires=180")]
    # the route of the carrier leads inside: there the target is
    invite = next(one for one in heard if is_invite(one))
    assert invite.uri == b"sip:4930777@10.0.0.2:5060"
    assert invite.first(b"referred-by") == b"<sip:alice@%b>" % INSIDE.encode()
    assert b"198.51.100.9" not in invite.raw(b"to")
    target = Side(lab, invite, PBX, 0)
    lab.answer(invite, 180, source=PBX, contact=b"<sip:t@10.0.0.2>")
    heard = lab.take(PBX[0])
    assert sipfrags(heard) == [(b"SIP/2.0 180 Ringing", b"active;expires=180")]
    answer_notifies(a, heard)
    assert not lab.take(CARRIER[0])
    target.answer(invite, 200, body=TARGET_SDP)
    heard = lab.take(PBX[0])
    assert kinds(heard) == [b"ACK"]
    again = b.hears()
    assert again.method == b"INVITE"
    assert again.body.count(b"m=audio") == 1
    assert b"sendrecv" in again.body or b"sendonly" not in again.body
    b.answer(again, 200, body=ANSWER)
    assert b.hears().method == b"ACK"
    heard = lab.take(PBX[0])
    assert sipfrags(heard) == [(b"SIP/2.0 200 OK", b"terminated;reason=noresource")]
    answer_notifies(a, heard)
    plan = lab.plans[-1][1]
    assert plan.call != lab.plans[0][1].call
    assert (plan.streams[0].a.remote, plan.streams[0].b.remote) == (
        ("10.1.0.2", 6000),
        ("10.1.0.2", 7000),
    )
    a.ask(b"BYE")
    assert a.hears().status == 200
    lab.answer_removals()
    record = lab.record
    assert (record.call, record.cause, record.transferred_by) == (
        first_call,
        Cause.TRANSFERRED,
        "a",
    )
    assert (record.transferred_to, record.transfer_status) == ("4930777", 200)
    # the two talk on, hold and hang up as in any call
    b.ask(b"BYE")
    assert b.hears().status == 200
    assert target.hears().method == b"BYE"
    lab.answer_removals()
    record = lab.record
    assert record.transferred_from == first_call
    assert (record.trunk_a, record.trunk_b, record.cause) == ("carrier", "pbx", Cause.NORMAL)
    lab.assert_nothing_left()


class Blind:
    """A call from the PBX to the carrier, in which one side has asked for a transfer of the other.

    `t` is the transferor, `r` who stays, `invite` what the target gets.
    """

    def __init__(self, lab: Lab, way: str, extra: bytes = b"") -> None:
        self.lab = lab
        a, b = sides(lab)
        self.t, self.r = (a, b) if way == "a" else (b, a)
        self.first = next(iter(lab.border.calls))
        self.t.ask(b"REFER", extra=REFER_TO % b"4930777" + extra)
        self.target_address = PBX if way == "a" else CARRIER
        heard = lab.take()
        assert next(one for one in heard if isinstance(one, Response)).status == 202
        self.notifies = [one for one in heard if isinstance(one, Request) and is_notify(one)]
        answer_notifies(self.t, heard)
        self.invite = next(one for one in heard if is_invite(one))
        self.target = Side(lab, self.invite, self.target_address, 0)

    def respond(self, status: int, body: bytes = b"", extra: bytes = b"") -> None:
        """The target answers its INVITE."""
        self.target.answer(self.invite, status, body=body, extra=extra)

    def heard(self, side: Side) -> list[Any]:
        """What this party was told, in its own dialog; the rest of its host's stays to be read."""
        mine = side.of.call_id
        kept = [(hop, data) for hop, data in self.lab.sent if b"\r\nCall-ID: " + mine in data]
        self.lab.sent = [one for one in self.lab.sent if one not in kept]
        return [parse(data) for _, data in kept]

    def until_asked(self) -> Request:
        """The target answers; the re-INVITE to who stays."""
        self.respond(200, TARGET_SDP)
        assert kinds(self.heard(self.target)) == [b"ACK"]
        (again,) = self.heard(self.r)
        assert again.method == b"INVITE"
        assert b"m=audio" in again.body
        return again

    def news(self) -> list[bytes]:
        """The status lines that the transferor is told."""
        heard = self.heard(self.t)
        answer_notifies(self.t, heard)
        return [line for line, _ in sipfrags(heard)]

    def as_before(self) -> None:
        """The two of the first call still talk: a hold crosses; and they hang up."""
        held = (SDP_A if self.t.address == PBX else SDP_B).replace(b"sendrecv", b"sendonly")
        self.t.ask(b"INVITE", held)
        (again,) = self.heard(self.r)
        assert b"a=sendonly" in again.body
        answer = SDP_B if self.r.address == CARRIER else SDP_A
        self.r.answer(again, 200, body=answer.replace(b"sendrecv", b"recvonly"))
        assert kinds(self.heard(self.r)) == [b"ACK"]
        assert kinds(self.heard(self.t)) == [100, 200]
        self.t.ack()
        self.t.ask(b"BYE")
        assert kinds(self.heard(self.t)) == [200]
        (bye,) = self.heard(self.r)
        assert bye.method == b"BYE"
        self.r.answer(bye, 200)

    def over(self) -> list[Any]:
        """Nothing is left; the records, the first call's first."""
        self.lab.assert_nothing_left()
        assert not self.lab.border.core.counters["crashed"]
        records = self.lab.border.core.records
        return sorted(records, key=lambda one: one.call != self.first)


WAYS = pytest.mark.parametrize("way", ["a", "b"])


# Refused at once


@pytest.mark.parametrize(
    ("extra", "status"),
    [
        (b"", 400),
        (REFER_TO % b"1" + REFER_TO % b"2", 400),
        (b"Refer-To: <sip:no space>\r\n", 400),
        (b"Refer-To: <sip:1@h?Replaces=nothing>\r\n", 400),
        (b"Refer-To: <sip:1@h;method=BYE>\r\n", 501),
        (b"Refer-To: <sip:198.51.100.9>\r\n", 416),
        (b"Refer-To: <http://198.51.100.9/>\r\n", 416),
        (REFER_TO % b"1" + b"Require: teleport\r\n", 420),
    ],
)
def test_a_refer_that_cannot_be_read_changes_nothing(extra: bytes, status: int) -> None:
    lab = Lab()
    a, _ = sides(lab)
    a.ask(b"REFER", extra=extra)
    assert a.hears().status == status
    assert not lab.sent
    a.ask(b"BYE")
    lab.assert_nothing_left()


def test_a_trunk_may_be_refused_transfers() -> None:
    lab = Lab(settings({"pbx": {"refer": Refer.REFUSE}}))
    a, b = sides(lab)
    a.ask(b"REFER", extra=REFER_TO % b"1")
    answer = a.hears()
    assert answer.status == 603
    b.ask(b"REFER", extra=REFER_TO % b"1")
    assert lab.take(CARRIER[0])[0].status == 202  # the other trunk may
    a.ask(b"BYE")
    lab.assert_nothing_left()


def test_a_peer_that_is_shielded_from_refer_cannot_use_it() -> None:
    lab = Lab(settings({"pbx": {"shield": frozenset((Shield.REFER,))}}))
    a, _ = sides(lab)
    a.ask(b"REFER", extra=REFER_TO % b"1")
    answer = a.hears()
    assert answer.status == 405
    assert b"REFER" not in (answer.first(b"allow") or b"")
    a.ask(b"BYE")
    lab.assert_nothing_left()


def test_who_cannot_be_asked_for_a_change_cannot_be_transferred() -> None:
    shield = frozenset((Shield.REINVITE, Shield.UPDATE))
    lab = Lab(settings({"carrier": {"shield": shield}}))
    a, _ = sides(lab)
    a.ask(b"REFER", extra=REFER_TO % b"1")
    assert a.hears().status == 488
    a.ask(b"BYE")
    lab.assert_nothing_left()


def test_one_transfer_at_a_time() -> None:
    lab = Lab()
    blind = Blind(lab, "a")
    blind.t.ask(b"REFER", extra=REFER_TO % b"4930888")
    (answer,) = blind.heard(blind.t)
    assert (answer.status, answer.first(b"retry-after") is not None) == (500, True)
    blind.r.ask(b"REFER", extra=REFER_TO % b"4930888")
    assert blind.heard(blind.r)[0].status == 500
    blind.r.ask(b"BYE")
    blind.over()


# The target


@WAYS
@pytest.mark.parametrize("status", [302, 404, 486, 503, 603])
def test_a_target_that_fails_leaves_the_call_as_it_was(way: str, status: int) -> None:
    lab = Lab()
    blind = Blind(lab, way)
    blind.respond(status)
    assert kinds(blind.heard(blind.target)) == [b"ACK"]
    if status == 503 and way == "b":  # there is a backup trunk
        backup = lab.take_one(BACKUP[0])
        lab.answer(backup, 404, source=BACKUP)
        lab.take(BACKUP[0])
    (line,) = blind.news()
    assert line.split()[1][:1] in (b"4", b"5", b"6")
    blind.as_before()
    first, new = blind.over()
    assert (first.cause, first.transfer_status, new.transferred_from) == (
        Cause.NORMAL,
        new.status,
        first.call,
    )


@WAYS
def test_a_target_that_never_answers(way: str) -> None:
    lab = Lab()
    blind = Blind(lab, way)
    lab.wait(70.0, 0.5)
    notifies = [line for line, _ in sipfrags(blind.heard(blind.t))]
    assert notifies[-1].startswith(b"SIP/2.0 4")
    blind.r.ask(b"BYE")
    blind.over()


# The transferor hangs up early


@WAYS
def test_a_transferor_that_hangs_up_at_once_has_transferred_all_the_same(way: str) -> None:
    lab = Lab()
    blind = Blind(lab, way)
    blind.t.ask(b"BYE")
    assert kinds(blind.heard(blind.t)) == [200]
    assert not blind.heard(blind.r)
    blind.respond(180)
    again = blind.until_asked()
    blind.r.answer(again, 200, body=ANSWER)
    assert kinds(blind.heard(blind.r)) == [b"ACK"]
    assert not blind.heard(blind.t)
    lab.answer_removals()
    assert [call.state.name for call in lab.border.calls.values()] == ["UP"]
    blind.target.ask(b"BYE")
    assert kinds(blind.heard(blind.r)) == [b"BYE"]
    first, new = blind.over()
    assert (first.cause, first.transfer_status) == (Cause.TRANSFERRED, 200)
    assert (new.cause, new.hung_up_by) == (Cause.NORMAL, "b")


@WAYS
def test_who_stays_is_let_go_when_nobody_is_left(way: str) -> None:
    lab = Lab()
    blind = Blind(lab, way)
    blind.t.ask(b"BYE")
    blind.heard(blind.t)
    # alone, it can neither hold nor send digits to anybody
    blind.r.ask(b"INVITE", SDP_A.replace(b"sendrecv", b"sendonly"))
    assert kinds(blind.heard(blind.r)) == [491]
    blind.r.ack()
    blind.r.ask(b"INFO")
    assert kinds(blind.heard(blind.r)) == [480]
    blind.respond(486)
    (bye,) = blind.heard(blind.r)
    assert bye.method == b"BYE"
    blind.r.answer(bye, 200)
    first, _ = blind.over()
    assert (first.cause, first.transfer_status) == (Cause.REJECTED, 486)


# Who stays


@WAYS
def test_who_stays_hangs_up_while_it_rings(way: str) -> None:
    lab = Lab()
    blind = Blind(lab, way)
    blind.respond(180)
    blind.news()
    blind.r.ask(b"BYE")
    assert kinds(blind.heard(blind.r)) == [200]
    (cancel,) = blind.heard(blind.target)
    assert cancel.method == b"CANCEL"
    blind.target.answer(cancel, 200)
    blind.respond(487)
    assert kinds(blind.heard(blind.t)) == [b"BYE"]
    first, new = blind.over()
    assert first.cause is Cause.NORMAL
    assert new.answered_s is None


@WAYS
def test_a_target_that_answers_when_it_is_too_late(way: str) -> None:
    lab = Lab()
    blind = Blind(lab, way)
    blind.respond(180)
    blind.r.ask(b"BYE")
    blind.respond(200, TARGET_SDP)
    methods = kinds(blind.heard(blind.target))
    assert methods == [b"CANCEL", b"ACK", b"BYE"]
    blind.over()


@WAYS
@pytest.mark.parametrize("status", [488, 606])
def test_who_stays_refuses_the_new_session(way: str, status: int) -> None:
    lab = Lab()
    blind = Blind(lab, way)
    again = blind.until_asked()
    blind.r.answer(again, status)
    assert kinds(blind.heard(blind.r)) == [b"ACK"]
    assert kinds(blind.heard(blind.target)) == [b"BYE"]
    assert blind.news() == [b"SIP/2.0 %d Not Acceptable%b" % (status, b" Here" * (status == 488))]
    blind.as_before()
    blind.over()


@WAYS
def test_who_stays_is_asked_again_after_glare(way: str) -> None:
    lab = Lab()
    blind = Blind(lab, way)
    again = blind.until_asked()
    blind.r.answer(again, 491)
    blind.heard(blind.r)
    lab.wait(4.5)
    again, *_ = blind.heard(blind.r)  # and its repetitions
    blind.r.answer(again, 200, body=ANSWER)
    assert blind.news()[-1] == b"SIP/2.0 200 OK"
    blind.target.ask(b"BYE")
    blind.over()


@WAYS
def test_glare_for_ever_ends_the_transfer(way: str) -> None:
    lab = Lab()
    blind = Blind(lab, way)
    again = blind.until_asked()
    for _ in range(20):
        blind.r.answer(again, 491)
        blind.heard(blind.r)
        lab.wait(4.5, 0.1)
        heard = [one for one in blind.heard(blind.r) if is_invite(one)]
        if not heard:
            break
        again = heard[0]
    assert blind.news()[-1].startswith(b"SIP/2.0 491")
    blind.as_before()
    blind.over()


@WAYS
def test_an_offer_of_who_stays_that_is_under_way_is_waited_for(way: str) -> None:
    lab = Lab()
    blind = Blind(lab, way)
    held = SDP_A.replace(b"sendrecv", b"sendonly")
    blind.r.ask(b"INVITE", held)
    (crossing,) = [one for one in blind.heard(blind.t) if is_invite(one)]
    blind.heard(blind.r)
    blind.respond(200, TARGET_SDP)
    assert not blind.heard(blind.r)
    blind.t.answer(crossing, 200, body=SDP_B.replace(b"sendrecv", b"recvonly"))
    assert kinds(blind.heard(blind.r)) == [200]
    blind.r.ack()
    lab.wait(4.5)
    again, *_ = blind.heard(blind.r)  # and its repetitions
    blind.r.answer(again, 200, body=SDP_A)
    assert blind.news()[-1] == b"SIP/2.0 200 OK"
    blind.target.ask(b"BYE")
    blind.over()


@WAYS
def test_who_stays_never_answers(way: str) -> None:
    lab = Lab()
    blind = Blind(lab, way)
    blind.until_asked()
    lab.wait(40.0, 0.1)
    assert b"BYE" in kinds(blind.heard(blind.target))
    blind.over()


@WAYS
def test_who_stays_rings_for_ever(way: str) -> None:
    """A provisional answer to a re-INVITE is no reason to wait for more than a while."""
    lab = Lab()
    blind = Blind(lab, way)
    again = blind.until_asked()
    blind.r.answer(again, 180)
    lab.wait(33.0, 0.1)
    cancel = blind.heard(blind.r)[-1]
    assert cancel.method == b"CANCEL"
    blind.r.answer(cancel, 200)
    # its late 2xx is acknowledged and taken back
    blind.r.answer(again, 200, body=ANSWER)
    ack, back = blind.heard(blind.r)
    assert (ack.method, back.method) == (b"ACK", b"INVITE")
    blind.r.answer(back, 200, body=SDP_B)
    blind.heard(blind.r)
    blind.news()
    blind.as_before()
    blind.over()


@WAYS
@pytest.mark.parametrize("body", [b"", b"v=0\r\nnonsense", SDP_A + b"m=audio 9 RTP/AVP 0\r\n"])
def test_who_stays_answers_nonsense(way: str, body: bytes) -> None:
    lab = Lab()
    blind = Blind(lab, way)
    again = blind.until_asked()
    blind.r.answer(again, 200, body=body)
    assert kinds(blind.heard(blind.r)) == [b"ACK", b"BYE"]
    assert kinds(blind.heard(blind.target)) == [b"BYE"]
    first, _ = blind.over()
    assert first.cause is Cause.UNSUPPORTED_MEDIA


@WAYS
@pytest.mark.parametrize("who", ["target", "t", "r"])
def test_anybody_hangs_up_while_who_stays_is_asked(way: str, who: str) -> None:
    lab = Lab()
    blind = Blind(lab, way)
    again = blind.until_asked()
    side: Side = getattr(blind, who)
    side.ask(b"BYE")
    assert blind.heard(side)[0].status == 200
    blind.r.answer(again, 200 if who != "r" else 487, body=SDP_B if who != "r" else b"")
    if who == "t":
        assert kinds(blind.heard(blind.r)) == [b"ACK"]
        lab.answer_removals()
        assert [call.state.name for call in lab.border.calls.values()] == ["UP"]
        blind.target.ask(b"BYE")
    elif who == "target":
        ack, *back = blind.heard(blind.r)
        assert ack.method == b"ACK"
        for one in back:  # told again what it was told before
            blind.r.answer(one, 200, body=SDP_B)
        blind.heard(blind.r)
        assert blind.news()[-1].startswith(b"SIP/2.0 480")
        blind.as_before()
    blind.over()


@WAYS
def test_a_transferor_that_does_not_hang_up_is_hung_up_on(way: str) -> None:
    lab = Lab()
    blind = Blind(lab, way)
    again = blind.until_asked()
    blind.r.answer(again, 200, body=ANSWER)
    blind.heard(blind.r)
    assert blind.news() == [b"SIP/2.0 200 OK"]
    blind.t.ask(b"INVITE", SDP_A.replace(b"sendrecv", b"inactive"))
    assert blind.heard(blind.t)[-1].status == 491
    lab.wait(6.0)
    assert kinds(blind.heard(blind.t))[-1] == b"BYE"
    assert not blind.heard(blind.r)
    blind.r.ask(b"BYE")
    assert kinds(blind.heard(blind.target)) == [b"BYE"]
    first, new = blind.over()
    assert (first.cause, new.cause) == (Cause.TRANSFERRED, Cause.NORMAL)


# NOTIFY


@WAYS
def test_a_transferor_may_want_no_news(way: str) -> None:
    lab = Lab()
    blind = Blind(lab, way, b"Refer-Sub: false\r\n")
    assert not blind.notifies
    blind.respond(486)
    blind.heard(blind.target)
    assert not blind.heard(blind.t)
    blind.as_before()
    blind.over()


def test_a_transferor_that_refuses_its_news_gets_no_more() -> None:
    lab = Lab()
    a, b = sides(lab)
    a.ask(b"REFER", extra=REFER_TO % b"4930777")
    heard = lab.take(PBX[0])
    notify = next(one for one in heard if is_notify(one))
    a.answer(notify, 481)
    invite = next(one for one in heard if is_invite(one))
    lab.answer(invite, 486, source=PBX)
    assert kinds(lab.take(PBX[0])) == [b"ACK"]
    b.ask(b"BYE")
    lab.assert_nothing_left()


def test_who_stays_takes_less_than_the_target_was_told() -> None:
    """The target is offered what is really there: one codec, and a hold."""
    lab = Lab()
    blind = Blind(lab, "a")
    again = blind.until_asked()
    less = SDP_B.replace(b"8 0 101", b"8").replace(b"sendrecv", b"sendonly")
    blind.r.answer(again, 200, body=less)
    (offer,) = [one for one in blind.heard(blind.target) if is_invite(one)]
    assert b"a=sendonly" in offer.body
    assert b"RTP/AVP 8\r\n" in offer.body
    blind.target.answer(offer, 200, body=TARGET_SDP.replace(b"8 101", b"8"))
    blind.target.ask(b"BYE")
    blind.over()


def test_a_held_party_is_offered_to_the_target_unheld() -> None:
    lab = Lab()
    a, b = sides(lab)
    a.ask(b"INVITE", SDP_A.replace(b"sendrecv", b"sendonly"))
    held = b.hears()
    b.answer(held, 200, body=SDP_B.replace(b"sendrecv", b"recvonly"))
    lab.take()
    a.ack()
    a.ask(b"REFER", extra=REFER_TO % b"4930777")
    invite = next(one for one in lab.take(PBX[0]) if is_invite(one))
    assert b"recvonly" not in invite.body
    assert b"inactive" not in invite.body
    a.ask(b"BYE")
    b.ask(b"BYE")
    lab.take()
    lab.assert_nothing_left()


# Policy, operators, media


def failed_at_once(lab: Lab) -> bytes:
    """The last news of a transfer that the caller asks for."""
    a, b = sides(lab)
    a.ask(b"REFER", extra=REFER_TO % b"4930777")
    heard = lab.take(PBX[0])
    answer_notifies(a, heard)
    assert not any(map(is_invite, heard))
    b.ask(b"BYE")
    lab.assert_nothing_left()
    return sipfrags(heard)[-1][0]


def test_a_number_without_a_route() -> None:
    config = settings()
    routes = tuple(one for one in config.policies.routes if one.source == "pbx")
    policies = replace(config.policies, routes=routes)
    assert failed_at_once(Lab(replace(config, policies=policies))) == b"SIP/2.0 404 Not Found"


def test_the_limits_of_trunks_hold_for_transfers() -> None:
    limits = LimitSettings(calls=1, status=486)
    assert failed_at_once(Lab(settings({"carrier": {"limits": limits}}))).startswith(b"SIP/2.0 486")


def test_a_border_without_ports_transfers_nobody() -> None:
    lab = Lab()
    a, b = sides(lab)
    for stocks in lab.border.core.leases._stocks.values():
        stocks["inside"].ports.clear()
    a.ask(b"REFER", extra=REFER_TO % b"4930777")
    heard = lab.take(PBX[0])
    answer_notifies(a, heard)
    assert sipfrags(heard)[-1][0].startswith(b"SIP/2.0 503")
    b.ask(b"BYE")
    lab.lease()
    lab.assert_nothing_left()


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("asked", [False, True])
def test_an_operator_ends_one_of_the_calls(which: int, asked: bool) -> None:
    lab = Lab()
    blind = Blind(lab, "a")
    if asked:
        blind.until_asked()
    lab.border.hangup(list(lab.border.calls)[which], lab.now)
    if which:  # the call as it was is still there
        blind.news()
        blind.r.ask(b"BYE")
    blind.over()


@pytest.mark.parametrize("asked", [False, True])
def test_the_relay_dies(asked: bool) -> None:
    lab = Lab()
    blind = Blind(lab, "b")
    if asked:
        blind.until_asked()
    lab.border.relay_down(0, lab.now)
    lab.wait(1.0)
    assert blind.heard(blind.t)
    assert blind.heard(blind.r)
    blind.over()


def test_silence_of_who_has_left_is_no_fault() -> None:
    lab = Lab()
    blind = Blind(lab, "a")
    blind.t.ask(b"BYE")
    key = lab.plans[-1][1].call
    lab.border.relay_silent(key, "a", lab.now)
    again = blind.until_asked()
    blind.r.answer(again, 200, body=ANSWER)
    blind.target.ask(b"BYE")
    first, _ = blind.over()
    assert first.cause is Cause.TRANSFERRED


@pytest.mark.parametrize("secure", ["carrier", "pbx", "both"])
def test_each_side_keeps_to_its_rules_of_encryption(secure: str) -> None:
    """Who stays and the target each have keys with us, or none, as their trunks say."""
    media = TrunkMedia(srtp=Srtp.REQUIRED)
    names = ("carrier", "pbx") if secure == "both" else (secure,)
    lab = Lab(settings({name: {"media": media} for name in names}))
    key = b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + b64encode(b"k" * 30) + b"\r\n"

    def body(sdp: bytes, name: str) -> bytes:
        return sdp.replace(b"RTP/AVP", b"RTP/SAVP") + key if name in names else sdp

    def suited(request: Request) -> bytes:
        """Our key's line as an answer would have it."""
        lines = request.body.split(b"\r\n")
        line = next((one for one in lines if b" AES_CM_128_HMAC_SHA1_80 " in one), b"")
        words = line.split(b" ")
        tag = words[0].partition(b":")[2]
        suite = b" ".join((b"a=crypto:" + tag, *words[1:2]))
        return suite + b" inline:" + b64encode(b"r" * 30) + b"\r\n" if line else b""

    def answer(request: Request, sdp: bytes) -> bytes:
        line = suited(request)
        return sdp.replace(b"RTP/AVP", b"RTP/SAVP") + line if line else sdp

    invite = lab.called(body=body(SDP_A, "pbx"))
    lab.answer(invite, 200, body=answer(invite, SDP_B))
    lab.take(CARRIER[0])
    success = lab.take_one(PBX[0])
    lab.give(lab.in_dialog(b"ACK", success, 1))
    a, b = Side(lab, success, PBX, 1), Side(lab, invite, CARRIER, 0)
    a.ask(b"REFER", extra=REFER_TO % b"4930777")
    heard = lab.take(PBX[0])
    answer_notifies(a, heard)
    offer = next(filter(is_invite, heard))
    assert (b"a=crypto" in offer.body) is ("pbx" in names)
    target = Side(lab, offer, PBX, 0)
    target.answer(offer, 200, body=answer(offer, TARGET_SDP))
    again = b.hears()
    assert (b"a=crypto" in again.body) is ("carrier" in names)
    b.answer(again, 200, body=answer(again, ANSWER))
    stream = lab.plans[-1][1].streams[0]
    assert (stream.a.srtp_in is not None) is ("carrier" in names)
    assert (stream.b.srtp_out is not None) is ("pbx" in names)
    a.ask(b"BYE")
    b.ask(b"BYE")
    lab.take()
    lab.assert_nothing_left()


def test_a_target_that_answers_reliably_before_it_answers() -> None:
    lab = Lab()
    blind = Blind(lab, "a")
    blind.respond(183, TARGET_SDP, b"Require: 100rel\r\nRSeq: 7\r\n")
    (prack,) = blind.heard(blind.target)
    assert prack.method == b"PRACK"
    blind.target.answer(prack, 200)
    assert blind.news() == [b"SIP/2.0 183 Session Progress"]
    assert not blind.heard(blind.r)  # it hears what it heard before
    blind.respond(200)
    assert kinds(blind.heard(blind.target)) == [b"ACK"]
    (again,) = blind.heard(blind.r)
    blind.r.answer(again, 200, body=ANSWER)
    assert blind.news() == [b"SIP/2.0 200 OK"]
    blind.target.ask(b"BYE")
    blind.over()


def test_of_several_forks_the_one_that_answers_is_joined() -> None:
    lab = Lab()
    blind = Blind(lab, "b")
    for tag in ("one", "two"):
        lab.answer(blind.invite, 183, tag=tag, body=TARGET_SDP, source=CARRIER)
    lab.answer(blind.invite, 200, tag="two", body=TARGET_SDP, source=CARRIER)
    lab.answer(blind.invite, 200, tag="one", body=TARGET_SDP, source=CARRIER)
    assert kinds(blind.heard(blind.target)) == [b"ACK", b"ACK", b"BYE"]
    (again,) = blind.heard(blind.r)
    blind.r.answer(again, 200, body=ANSWER)
    assert blind.news()[-1] == b"SIP/2.0 200 OK"
    blind.r.ask(b"BYE")
    blind.over()
