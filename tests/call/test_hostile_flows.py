"""A trunk that is ours, and hostile: where it would have us send, what it would have us hold."""

from __future__ import annotations

import random
import re
import time

import pytest

from policies.media import Srtp, TrunkMedia
from policies.settings import Redirect
from sbc.call.crossing.bodies import hide_body
from sbc.call.crossing.headers import Hide
from sbc.sip.message import Request, Response
from sbc.sip.parser import parse
from tests.call.lab import BACKUP, CARRIER, PBX, SDP_A, SDP_B, Lab, settings, sides, statuses

ELSEWHERE = (
    b"10.0.0.1:5060",  # ourselves, inside
    b"10.1.0.1:5060",  # ourselves, where it stands
    b"10.1.0.1:9999;transport=tcp",
    b"10.0.0.2:5060",  # a peer inside
    b"127.0.0.1:5060",
    b"[::1]:5060",
    b"[::ffff:10.0.0.2]:5060",
    b"0.0.0.0:5060",
    b"224.0.0.1:5060",
)
"""What a peer outside has no business to name."""


class TestWhereAPeerIs:
    """RFC 3261 §12.2.1.1: it may say anything, and we stand in several networks."""

    @pytest.mark.parametrize("place", ELSEWHERE)
    def test_is_never_another_network_by_its_contact(self, place: bytes) -> None:
        lab = Lab()
        lab.answer(lab.called(), 200, body=SDP_B, contact=b"<sip:bob@%b>" % place)
        assert {hop.host for hop, _ in lab.sent} == {CARRIER[0], PBX[0]}
        lab.border.hangup(next(iter(lab.border.calls)), lab.now)
        assert {hop.host for hop, _ in lab.sent} == {CARRIER[0], PBX[0]}

    @pytest.mark.parametrize("place", ELSEWHERE)
    def test_is_never_another_network_by_a_route(self, place: bytes) -> None:
        lab = Lab()
        lab.answer(lab.called(), 200, body=SDP_B, extra=b"Record-Route: <sip:%b;lr>\r\n" % place)
        assert {hop.host for hop, _ in lab.sent} == {CARRIER[0], PBX[0]}

    def test_is_never_another_network_after_a_change(self) -> None:
        lab = Lab()
        _, invite = lab.connected()
        update = lab.in_dialog(b"UPDATE", invite, 5, source=CARRIER)
        lab.give(update.replace(b"<sip:peer@10.1.0.2:5060>", b"<sip:peer@10.0.0.2:5060>"), CARRIER)
        lab.take()
        lab.border.hangup(next(iter(lab.border.calls)), lab.now)
        assert [hop.realm for hop, _ in lab.sent if hop.host == PBX[0]] == ["inside"]
        assert lab.border.core.counters["target_refused"] == 1

    @pytest.mark.parametrize("place", [b"10.1.0.3:5060", b"10.1.0.77:5070", b"203.0.113.9"])
    def test_may_be_anywhere_in_its_own(self, place: bytes) -> None:
        lab = Lab()
        lab.answer(lab.called(), 200, body=SDP_B, contact=b"<sip:bob@%b>" % place)
        assert lab.take_one(place.partition(b":")[0].decode()).method == b"ACK"

    @pytest.mark.parametrize("place", ELSEWHERE)
    def test_is_never_another_network_by_a_redirection(self, place: bytes) -> None:
        lab = Lab(settings({"carrier": {"redirect": Redirect.FOLLOW}}))
        lab.answer(lab.called(), 302, contact=b"<sip:bob@%b>" % place)
        assert {hop.host for hop, _ in lab.sent} == {CARRIER[0], PBX[0]}


class TestWhatAnOfferCosts:
    """Time is counted in the process's own, the best of three, and generously: ours is a tenth."""

    @pytest.mark.parametrize(
        ("streams", "formats", "lines"),
        [(1, 128, 900), (8, 128, 110), (64, 128, 0), (1, 6000, 0), (8, 3, 120), (64, 1, 15)],
    )
    @pytest.mark.parametrize("srtp", [Srtp.OFF, Srtp.PREFERRED])
    def test_is_bounded(self, streams: int, formats: int, lines: int, srtp: Srtp) -> None:
        numbers = b" ".join(b"%d" % (n % 128) for n in range(formats))
        body = SDP_A.partition(b"m=")[0]
        for stream in range(streams):
            body += b"m=audio %d RTP/AVP %b\r\n" % (6000 + 2 * stream, numbers)
            body += b"".join(b"a=rtpmap:%d A%d/8000\r\n" % (n % 128, n) for n in range(lines))
        trunk = {"media": TrunkMedia(srtp=srtp)}
        took = []
        for _ in range(3):
            lab = Lab(settings({"pbx": trunk, "carrier": trunk}))
            invite = lab.invite(body=body)
            assert len(invite) < 65_000
            began = time.process_time()
            lab.give(invite)
            took.append(time.process_time() - began)
            assert lab.border.core.counters["crashed"] == 0
        assert min(took) < 0.015

    def test_of_more_formats_than_there_are_payload_types_is_nothing(self) -> None:
        lab = Lab()
        numbers = b" ".join(b"%d" % (n % 128) for n in range(129))
        lab.give(lab.invite(body=SDP_A.replace(b"8 0 101", numbers)))
        assert statuses(lab.take(PBX[0])) == [100, 400]


class TestStorms:
    """Many requests within one call: the other side hears of few, and nothing stays."""

    def test_of_info_cross_as_far_as_they_are_answered(self) -> None:
        lab = Lab()
        _, carrier = sides(lab)
        for _ in range(200):
            carrier.ask(b"INFO", b"x", b"Content-Type: text/plain\r\n")
        infos = lab.take(PBX[0])
        assert len(infos) == 16
        assert statuses(lab.take(CARRIER[0])) == [500] * 184
        for info in infos:
            lab.answer(info, 200)
        assert statuses(lab.take(CARRIER[0])) == [200] * 16
        carrier.ask(b"INFO", b"x", b"Content-Type: text/plain\r\n")
        assert lab.take_one(PBX[0]).method == b"INFO"

    @pytest.mark.parametrize("method", [b"INVITE", b"UPDATE"])
    @pytest.mark.parametrize("body", [b"", SDP_B, SDP_B.replace(b"8 0 101", b"0 8 101")])
    def test_of_changes_reach_the_other_side_once(self, method: bytes, body: bytes) -> None:
        lab = Lab()
        _, carrier = sides(lab)
        for _ in range(200):
            carrier.ask(method, body)
        assert len(lab.take(PBX[0])) <= 1
        finals = [one for one in statuses(lab.take(CARRIER[0])) if one > 100]
        assert len(finals) >= 199
        assert set(finals) <= {200, 491, 500}
        lab.border.hangup(next(iter(lab.border.calls)), lab.now)
        lab.assert_nothing_left()

    @pytest.mark.parametrize("body", [b"", SDP_B])
    @pytest.mark.parametrize("reliable", [b"", b"Require: 100rel\r\nRSeq: 1\r\n"])
    def test_of_forks_are_bounded(self, body: bytes, reliable: bytes) -> None:
        lab = Lab()
        invite = lab.called()
        for number in range(500):
            lab.answer(invite, 183, tag=f"fork-{number}", body=body, extra=reliable)
        assert len(lab.take(PBX[0])) <= 32
        assert lab.border.status()["dialogs"] <= 40
        lab.answer(invite, 200, tag="fork-7", body=SDP_B)
        lab.give(lab.in_dialog(b"ACK", lab.take(PBX[0])[-1], 1))
        lab.border.hangup(next(iter(lab.border.calls)), lab.now)
        lab.assert_nothing_left()

    def test_of_successes_cost_one_side_alone(self) -> None:
        lab = Lab()
        invite = lab.called()
        for number in range(500):
            lab.answer(invite, 200, tag=f"fork-{number}", body=SDP_B)
        assert statuses(lab.take(PBX[0])) == [200]
        assert len(lab.take(CARRIER[0])) < 200
        lab.border.hangup(next(iter(lab.border.calls)), lab.now)
        lab.assert_nothing_left()


class TestLinesThatAreNone:
    """What another parser might take for the end of a line, or of a text."""

    ENDS = (b"\r", b"\n", b"\0", b"\r\r\n", b"\n\r")

    @pytest.mark.parametrize("end", ENDS)
    @pytest.mark.parametrize(
        "line",
        [
            b'From: "Al%b" <sip:alice@10.0.0.2>;tag=x',
            b'To: "Al%b" <sip:4930123456@10.0.0.1>',
            b'P-Asserted-Identity: "Al%b" <sip:1@10.0.0.2>',
            b'Diversion: "Al%b" <sip:1@10.0.0.2>',
            b'Referred-By: "Al%b" <sip:1@10.0.0.2>',
            b"Subject: Al%b",
            b"User-to-User: 00%b",
            b'Reason: Q.850;cause=16;text="%b"',
            b"Alert-Info: <http://x/%b>",
        ],
    )
    def test_in_a_header_do_not_cross(self, end: bytes, line: bytes) -> None:
        lab = Lab(settings({name: {"trusted": True} for name in ("pbx", "carrier")}))
        line = line % (end + b"X-Evil: 6")
        name = line.partition(b":")[0]
        head, _, body = lab.invite().partition(b"\r\n\r\n")
        kept = [one for one in head.split(b"\r\n") if not one.startswith(name + b":")]
        lab.give(b"\r\n".join((*kept, line)) + b"\r\n\r\n" + body)
        assert not any(b"X-Evil" in data for hop, data in lab.sent if hop.host == CARRIER[0])
        assert lab.border.core.counters["crashed"] == 0

    @pytest.mark.parametrize("end", ENDS)
    @pytest.mark.parametrize(
        "place", [b"s=call", b"telephone-event/8000", b"8 0 101", b"a=sendrecv", b"o=phone"]
    )
    def test_in_a_session_do_not_cross(self, end: bytes, place: bytes) -> None:
        lab = Lab()
        lab.give(lab.invite(body=SDP_A.replace(place, place + end + b"c=IN IP4 192.0.2.6")))
        assert not any(b"192.0.2.6" in data for hop, data in lab.sent if hop.host == CARRIER[0])

    @pytest.mark.parametrize("end", [b"%0d%0a", b"%00", b"%0A"])
    @pytest.mark.parametrize(
        "place",
        [
            b"<sip:1%bX-Evil:6@10.0.0.2>",
            b"<tel:1%bX-Evil:6>",
            b"<sip:1@10.0.0.2?X-Evil=6%bX-Evil:6>",
            b"<sip:1@10.0.0.2?Replaces=a%bX-Evil:6%%3Bto-tag%%3Db%%3Bfrom-tag%%3Dc>",
            b"<sip:1@10.0.0.2;x=%bX-Evil:6>",
        ],
    )
    def test_in_a_transfer_make_none(self, end: bytes, place: bytes) -> None:
        lab = Lab()
        _, carrier = sides(lab)
        refer = b"Refer-To: %b\r\nReferred-By: <sip:me%bX-Evil:6@10.1.0.2>\r\n" % (
            place % end,
            end,
        )
        carrier.ask(b"REFER", extra=refer)
        lines = [line for _, data in lab.sent for line in re.split(rb"[\r\n\0]", data)]
        assert not any(line.startswith(b"X-Evil") for line in lines)
        assert {hop.host for hop, _ in lab.sent} == {CARRIER[0]}  # the route of who stays
        assert lab.border.core.counters["crashed"] == 0


class TestOtherPeoplesDialogs:
    """The identifiers of a dialog are all right, and who names them has no part in it."""

    def test_are_not_to_be_spoken_in(self) -> None:
        lab = Lab()
        _, carrier = sides(lab)
        for method in (b"BYE", b"INVITE", b"UPDATE", b"INFO", b"REFER", b"NOTIFY", b"PRACK"):
            lab.give(lab.in_dialog(method, carrier.of, 9, body=SDP_B, source=BACKUP), BACKUP)
        lab.give(lab.in_dialog(b"ACK", carrier.of, 9, source=BACKUP), BACKUP)
        assert statuses(lab.take(BACKUP[0])) == [403] * 7
        assert lab.sent == []
        assert lab.border.core.counters["dialog_foreign"] == 8

    @pytest.mark.parametrize("source", [PBX, BACKUP])
    def test_are_not_to_be_transferred(self, source: tuple[str, int]) -> None:
        """By REFER: of the same trunk; by INVITE: of the same realm, and nobody can guess one."""
        lab = Lab()
        _, carrier = sides(lab)
        invite = carrier.of
        replaces = b"%b;to-tag=%b;from-tag=bob-tag" % (invite.call_id, invite.from_tag)
        if source is BACKUP:
            refused = replaces.replace(invite.from_tag[-6:], b"000000")
        else:
            refused = replaces
        lab.give(
            lab.invite(source=source, call="other", extra=b"Replaces: %b\r\n" % refused), source
        )
        assert statuses(lab.take(source[0]))[-1] == 481
        assert lab.sent == []

    def test_are_not_to_be_joined_by_another_trunks_refer(self) -> None:
        lab = Lab()
        _, carrier = sides(lab)
        pbx, _ = sides(lab, call="second")
        invite = carrier.of
        target = b"%b%%3Bto-tag%%3D%b%%3Bfrom-tag%%3Dbob-tag" % (invite.call_id, invite.from_tag)
        pbx.ask(b"REFER", extra=b"Refer-To: <sip:1@10.0.0.1?Replaces=%b>\r\n" % target)
        told = lab.take(PBX[0])
        assert [one.body[:11] for one in told if isinstance(one, Request)][-1] == b"SIP/2.0 481"
        assert lab.sent == []

    def test_are_not_to_be_answered_from_another_realm(self) -> None:
        lab = Lab()
        invite = lab.called()
        lab.answer(invite, 200, body=SDP_B, source=PBX)
        lab.answer(invite, 603, source=PBX)
        assert lab.sent == []


class TestBodies:
    def test_that_swallow_what_stands_for_a_namespace_do_not_cross(self) -> None:
        body = b'<a xmlns="urn:x">sip:alice@10.1.0.2 http://x/ xmlns="y" xmlns="z"</a>'
        for text in (body, b"http://" + b' xmlns="a"' * 50):
            crossing = hide_body(b"application/xml", text, Hide(), b"10.0.0.1", lambda name: b"n")
            assert crossing is None or b"10.1.0.2" not in crossing

    @pytest.mark.parametrize(
        "unit",
        [b"<", b'"', b" ", b"\r\n", b"sip:a@b;", b"http://a/", b"1.", b"[::", b"a=b;", b"%41"],
    )
    def test_cost_little_whatever_is_in_them(self, unit: bytes) -> None:
        body = unit * (65_000 // len(unit))
        for kind in (b"application/dialog-info+xml", b"message/cpim", b"application/x"):
            for size in (32_000, 65_000):
                began = time.process_time()
                hide_body(kind, body[:size], Hide(), b"10.0.0.1", lambda name: b"n")
                assert time.process_time() - began < 0.03


class TestDialogsThatCannotBe:
    """RFC 3261 §12.1: what its requests would need is looked at before there is a dialog."""

    UNREADABLE = (b"Record-Route: <tel:1>\r\n", b"Record-Route: <<\r\n")

    @pytest.mark.parametrize("line", UNREADABLE)
    def test_of_a_reliable_response_make_it_be_passed_over(self, line: bytes) -> None:
        lab = Lab()
        invite = lab.called(extra=b"Supported: 100rel\r\n")
        lab.answer(invite, 183, body=SDP_B, extra=b"Require: 100rel\r\nRSeq: 1\r\n" + line)
        assert lab.sent == []
        assert lab.border.core.counters["unreadable_18x"] == 1
        lab.answer(invite, 200, body=SDP_B)
        assert lab.take_one(PBX[0]).status == 200

    @pytest.mark.parametrize("status", [183, 200])
    def test_with_a_contact_that_is_no_uri(self, status: int) -> None:
        lab = Lab()
        invite = lab.called()
        extra = b"Require: 100rel\r\nRSeq: 1\r\n" if status == 183 else b""
        lab.answer(invite, status, body=SDP_B, extra=extra, contact=b"*")
        assert not any(data.startswith((b"ACK *", b"PRACK *")) for _, data in lab.sent)
        assert lab.border.core.counters["crashed"] == 0

    @pytest.mark.parametrize("place", ELSEWHERE)
    def test_early_ones_lead_into_no_other_network(self, place: bytes) -> None:
        lab = Lab()
        extra = b"Require: 100rel\r\nRSeq: 1\r\nRecord-Route: <sip:%b;lr>\r\n" % place
        lab.answer(lab.called(), 183, body=SDP_B, extra=extra)
        assert {hop.host for hop, _ in lab.sent} <= {CARRIER[0], PBX[0]}


HEADERS = (
    b"Contact: <sip:x@10.0.0.2>",
    b"Contact: *",
    b"Contact: <tel:1>",
    b"Contact: <<",
    b"Record-Route: <sip:10.0.0.1;lr>",
    b"Record-Route: <tel:1>",
    b"Require: 100rel",
    b"Require: timer",
    b"RSeq: 1",
    b"RSeq: 2",
    b"RAck: 1 1 INVITE",
    b"Session-Expires: 90;refresher=uas",
    b"Session-Expires: 4294967296;refresher=uac",
    b"Min-SE: 9999999999",
    b"Supported: 100rel, timer, replaces",
    b"Allow: INVITE, ACK, PRACK, UPDATE, BYE, REFER, NOTIFY",
    b"Retry-After: x",
    b"Refer-To: <sip:1@h>",
    b"Refer-To: <sip:1@h?Replaces=a>",
    b"Replaces: a;to-tag=b;from-tag=c",
    b"Event: refer",
    b"Subscription-State: active;expires=-1",
    b"Session-ID: x",
    b'WWW-Authenticate: Digest realm="a", nonce="b"',
    b"Content-Type: application/sdp",
    b"Content-Type: application/dtmf-relay",
    b"Content-Type: application/xml",
    b"Expires: 99999999999999",
)
BODIES = (
    b"",
    SDP_A,
    SDP_B,
    SDP_A.replace(b"6000", b"0"),
    SDP_A.replace(b"sendrecv", b"inactive"),
    SDP_A.replace(b"RTP/AVP", b"RTP/SAVP"),
    SDP_A.replace(b"IP4 10.0.0.2", b"IP6 ::1"),
    b"v=0\r\n",
    b"Signal=5\r\n",
    b"http:// xmlns='a'",
)
METHODS = b"INVITE UPDATE BYE PRACK INFO REFER NOTIFY MESSAGE OPTIONS SUBSCRIBE ACK FOO".split()
STATUSES = (180, 183, 199, 200, 202, 302, 401, 407, 408, 422, 481, 488, 491, 500, 503, 603, 699)


@pytest.mark.parametrize("seed", range(60))
def test_no_game_of_a_hostile_trunk_crashes_a_call_or_leaves_anything(seed: int) -> None:
    """Responses and requests at any moment, with any of what is not to be there."""
    chance = random.Random(seed)  # noqa: S311 - it is for a test
    redirects = {name: {"redirect": Redirect.FOLLOW} for name in ("carrier", "backup")}
    lab = Lab(settings(redirects))
    heard: dict[str, list[Request]] = {PBX[0]: [], CARRIER[0]: [], BACKUP[0]: []}
    made: dict[str, Response] = {}

    def lines() -> bytes:
        return b"".join(one + b"\r\n" for one in chance.sample(HEADERS, chance.randrange(4)))

    lab.give(lab.invite(body=chance.choice(BODIES[:3]), extra=lines()))
    for step in range(40):
        for hop, data in lab.sent:
            message = parse(data)
            if isinstance(message, Request):
                heard[hop.host].append(message)  # KeyError: it was sent to somebody else
            elif message.contact is not None and message.to_tag:
                made[hop.host] = message
        lab.sent.clear()
        source = chance.choice((PBX, CARRIER, CARRIER, BACKUP))
        asked, body, tag = heard[source[0]][-4:], chance.choice(BODIES), chance.choice("ab")
        if asked and chance.random() < 0.5:
            contact = chance.choice((b"<sip:x@%b:5060>" % source[0].encode(), b"<sip:x@10.0.0.2>"))
            lab.answer(
                chance.choice(asked), chance.choice(STATUSES), tag, body, lines(), contact, source
            )
        elif (of := made.get(source[0]) or (asked and asked[0])) and of.contact is not None:
            method, cseq = chance.choice(METHODS), chance.randrange(1, 30)
            data = lab.in_dialog(method, of, cseq, body=body, source=source, extra=lines(), tag=tag)
            lab.give(data, source)
        else:
            lab.give(lab.invite(body=body, extra=lines(), source=source, call=str(step)), source)
        lab.wait(chance.choice((0.1, 0.1, 1.0, 8.0)), 0.1)
        lab.answer_removals()
        assert lab.border.core.counters["crashed"] == 0
    for _ in range(3):
        lab.border.end_all(lab.now)
        lab.answer_removals()
        lab.wait(70.0, 1.0)
    lab.wait(200.0, 5.0)
    lab.border.core.records.clear()
    lab.assert_nothing_left()
