"""PRACK, UPDATE and forks before the answer, each leg by itself (RFC 3262, 3311, 6337)."""

from __future__ import annotations

from typing import Any

import pytest

from policies.media import Dtmf, TrunkMedia
from policies.settings import Use
from sbc.call.cdr import Cause
from sbc.sip.message import Request, Response
from tests.call.lab import BACKUP, CARRIER, PBX, SDP_A, SDP_B, Lab, settings, statuses

SUPPORTED = b"Supported: 100rel\r\nAllow: INVITE, ACK, CANCEL, BYE, PRACK, UPDATE\r\n"
REQUIRED = b"Require: 100rel\r\nSupported: 100rel\r\n"
OTHER_B = SDP_B.replace(b"phone 1 1", b"phone 1 2")


def reliable(number: int) -> bytes:
    return b"Require: 100rel\r\nRSeq: %d\r\nAllow: INVITE, ACK, BYE, PRACK, UPDATE\r\n" % number


def rack(ringing: Response) -> bytes:
    return b"RAck: %b 1 INVITE\r\n" % (ringing.first(b"rseq") or b"")


def rung(lab: Lab, **changes: Any) -> tuple[Request, Response]:
    """Both sides reliable: our INVITE, and the 183 that the caller got."""
    invite = lab.called(extra=SUPPORTED, **changes)
    lab.answer(invite, 183, body=SDP_B, extra=reliable(1))
    ringing = lab.take_one(PBX[0])
    assert isinstance(ringing, Response)
    return invite, ringing


def pracked(lab: Lab, invite: Request, ringing: Response) -> None:
    lab.give(lab.in_dialog(b"PRACK", ringing, 2, extra=rack(ringing)))
    assert lab.take_one(PBX[0]).status == 200
    lab.answer(lab.take_one(CARRIER[0]), 200)


class TestReliability:
    def test_goes_from_end_to_end_where_both_have_it(self) -> None:
        lab = Lab()
        invite, ringing = rung(lab)
        assert ringing.first(b"require") == b"100rel"
        assert lab.take(CARRIER[0]) == []  # its PRACK is the caller's
        lab.wait(0.6)
        assert statuses(lab.take(PBX[0])) == [183]
        lab.give(lab.in_dialog(b"PRACK", ringing, 2, extra=rack(ringing)))
        assert lab.take_one(PBX[0]).status == 200
        prack = lab.take_one(CARRIER[0])
        assert (prack.method, prack.first(b"rack"), prack.cseq) == (b"PRACK", b"1 1 INVITE", 2)
        assert prack.uri == b"sip:bob@10.1.0.2:5060"
        lab.answer(prack, 200)
        lab.wait(5.0)
        assert lab.take() == []
        lab.answer(invite, 200)
        ack = lab.take_one(CARRIER[0])
        assert (ack.method, ack.cseq) == (b"ACK", 1)
        success = lab.take_one(PBX[0])
        lab.give(lab.in_dialog(b"ACK", success, 1))
        lab.give(lab.in_dialog(b"BYE", success, 3))
        assert lab.take_one(PBX[0]).status == 200
        assert lab.take_one(CARRIER[0]).cseq == 3
        lab.assert_nothing_left()

    def test_is_ours_where_only_the_target_has_it(self) -> None:
        lab = Lab()
        invite = lab.called()
        lab.answer(invite, 183, body=SDP_B, extra=reliable(5))
        prack = lab.take_one(CARRIER[0])
        assert (prack.method, prack.first(b"rack")) == (b"PRACK", b"5 1 INVITE")
        ringing = lab.take_one(PBX[0])
        assert (ringing.status, ringing.first(b"require")) == (183, None)
        lab.answer(invite, 183, body=SDP_B, extra=reliable(5))  # it has not heard the PRACK yet
        lab.answer(invite, 180, extra=reliable(7))  # 6 is missing
        assert lab.take() == []
        lab.answer(invite, 180, extra=reliable(6))
        assert lab.take_one(CARRIER[0]).first(b"rack") == b"6 1 INVITE"
        assert lab.take_one(PBX[0]).status == 180

    def test_is_ours_where_only_the_caller_wants_it(self) -> None:
        lab = Lab()
        invite = lab.called(extra=REQUIRED)
        lab.answer(invite, 180)
        ringing = lab.take_one(PBX[0])
        assert ringing.first(b"require") == b"100rel"
        lab.wait(4.0)
        assert statuses(lab.take(PBX[0])) == [180, 180, 180]
        lab.give(lab.in_dialog(b"PRACK", ringing, 2, extra=rack(ringing)))
        assert lab.take_one(PBX[0]).status == 200
        assert lab.take(CARRIER[0]) == []
        lab.answer(invite, 200, body=SDP_B)
        assert lab.take_one(PBX[0]).status == 200

    def test_that_nobody_acknowledges_gives_the_call_up(self) -> None:
        lab = Lab()
        invite = lab.called(extra=REQUIRED)
        lab.answer(invite, 180)
        lab.wait(33.0)
        assert 504 in statuses(lab.take(PBX[0]))
        assert b"CANCEL" in [one.method for one in lab.take(CARRIER[0]) if isinstance(one, Request)]
        lab.answer_removals()
        assert lab.record.cause is Cause.NO_ACK

    @pytest.mark.parametrize(
        ("extra", "status"), [(b"RAck: 1 1 INVITE\r\n", 481), (b"", 400), (b"RAck: x\r\n", 400)]
    )
    def test_a_prack_of_nothing_is_refused(self, extra: bytes, status: int) -> None:
        lab = Lab()
        _, ringing = rung(lab)
        lab.give(lab.in_dialog(b"PRACK", ringing, 2, extra=extra))
        refused = lab.take_one(PBX[0])
        assert refused.status == status
        assert (b"RAck" in (refused.first(b"warning") or b"")) is (status == 400)
        assert lab.take(CARRIER[0]) == []

    @pytest.mark.parametrize("method", [b"PRACK", b"UPDATE"])
    @pytest.mark.parametrize(
        ("kind", "body", "status", "name", "told"),
        [
            (b"text/html", b"x", 415, b"accept", b"application/sdp"),
            (b"application/sdp", b"v=1\r\n", 400, b"warning", b'399 10.0.0.1 "'),
        ],
    )
    def test_what_cannot_be_read_gets_an_answer_that_helps(
        self, method: bytes, kind: bytes, body: bytes, status: int, name: bytes, told: bytes
    ) -> None:
        """RFC 3261 §21.4.13, §20.43: as in a call that is up."""
        lab = Lab()
        _, ringing = rung(lab)
        extra = b"Content-Type: %b\r\n" % kind + (rack(ringing) if method == b"PRACK" else b"")
        lab.give(lab.in_dialog(method, ringing, 2, body=body, extra=extra))
        refused = lab.take_one(PBX[0])
        assert refused.status == status
        assert (refused.first(name) or b"").startswith(told)

    def test_a_2xx_waits_for_the_prack_of_a_description(self) -> None:
        lab = Lab()
        invite, ringing = rung(lab)
        lab.answer(invite, 200)
        assert lab.take_one(CARRIER[0]).method == b"ACK"
        assert lab.take(PBX[0]) == []
        lab.give(lab.in_dialog(b"PRACK", ringing, 2, extra=rack(ringing)))
        assert statuses(lab.take(PBX[0])) == [200, 200]

    def test_a_caller_that_gives_up_then_ends_what_was_answered(self) -> None:
        lab = Lab()
        invite, ringing = rung(lab)
        lab.answer(invite, 200)
        lab.take(CARRIER[0])
        lab.give(lab.in_dialog(b"BYE", ringing, 2))
        assert sorted(statuses(lab.take(PBX[0]))) == [200, 487]
        assert lab.take_one(CARRIER[0]).method == b"BYE"
        lab.assert_nothing_left()

    def test_is_not_offered_where_the_trunk_has_none(self) -> None:
        lab = Lab(settings({"carrier": {"reliable": Use.NEVER}, "pbx": {"reliable": Use.NEVER}}))
        invite = lab.called(extra=SUPPORTED)
        assert b"100rel" not in (invite.first(b"supported") or b"")
        lab.answer(invite, 183, body=SDP_B)
        assert lab.take_one(PBX[0]).first(b"require") is None
        other = Lab(settings({"pbx": {"reliable": Use.NEVER}}))
        other.give(other.invite(extra=REQUIRED))
        assert statuses(other.take(PBX[0])) == [420]


INFO = b"Content-Type: application/dtmf-relay\r\n"
DIGIT = b"Signal=5\r\nDuration=160\r\n"


class TestInfo:
    """Digits to an announcement that is heard before the answer."""

    @pytest.mark.parametrize("extra", [reliable(1), b""])
    def test_of_the_caller_reaches_the_target(self, extra: bytes) -> None:
        lab = Lab()
        invite = lab.called(extra=SUPPORTED if extra else b"")
        lab.answer(invite, 183, body=SDP_B, extra=extra.replace(b"UPDATE", b"UPDATE, INFO"))
        ringing = lab.take_one(PBX[0])
        if extra:
            pracked(lab, invite, ringing)
        lab.give(lab.in_dialog(b"INFO", ringing, 3, body=DIGIT, extra=INFO))
        request = lab.take_one(CARRIER[0])
        assert (request.method, request.body, request.to_tag) == (b"INFO", DIGIT, b"bob-tag")
        assert request.uri == b"sip:bob@10.1.0.2:5060"
        lab.answer(request, 200)
        assert lab.take_one(PBX[0]).status == 200
        lab.answer(invite, 200, body=b"" if extra else SDP_B)
        assert lab.take_one(CARRIER[0]).method == b"ACK"
        success = lab.take_one(PBX[0])
        lab.give(lab.in_dialog(b"ACK", success, 1))
        lab.give(lab.in_dialog(b"BYE", success, 4))
        assert lab.take_one(CARRIER[0]).cseq > request.cseq
        assert statuses(lab.take(PBX[0])) == [200]
        lab.assert_nothing_left()

    @pytest.mark.parametrize("extra", [reliable(1), b""])
    def test_of_the_target_reaches_the_caller(self, extra: bytes) -> None:
        lab = Lab()
        invite = lab.called()
        lab.answer(invite, 183, body=SDP_B, extra=extra)
        ringing = lab.take_one(PBX[0])
        lab.take(CARRIER[0])
        lab.give(lab.in_dialog(b"INFO", invite, 1, body=DIGIT, extra=INFO, source=CARRIER), CARRIER)
        request = lab.take_one(PBX[0])
        assert (request.method, request.from_tag) == (b"INFO", ringing.to_tag)
        lab.answer(request, 200, source=PBX)
        assert lab.take_one(CARRIER[0]).status == 200

    @pytest.mark.parametrize("status", [481, 408])
    def test_that_is_not_understood_leaves_the_call_ringing(self, status: int) -> None:
        lab = Lab()
        invite = lab.called()
        lab.answer(invite, 183, body=SDP_B)
        lab.give(lab.in_dialog(b"INFO", lab.take_one(PBX[0]), 2, body=DIGIT, extra=INFO))
        lab.answer(lab.take_one(CARRIER[0]), status)
        assert statuses(lab.take(PBX[0])) == ([481] if status == 481 else [])  # RFC 4320 §4.2
        lab.answer(invite, 200, body=SDP_B)
        assert lab.take_one(PBX[0]).status == 200

    def test_becomes_an_event_where_the_target_has_those(self) -> None:
        media = {"pbx": {"media": TrunkMedia(dtmf=Dtmf.INFO)}}
        lab = Lab(settings({**media, "carrier": {"media": TrunkMedia(dtmf=Dtmf.RFC4733)}}))
        invite = lab.called(body=SDP_A.replace(b" 101", b"").replace(b"a=rtpmap:1", b"a=x:"))
        lab.answer(invite, 183, body=SDP_B)
        lab.give(lab.in_dialog(b"INFO", lab.take_one(PBX[0]), 2, body=DIGIT, extra=INFO))
        assert lab.take_one(PBX[0]).status == 200
        assert lab.take(CARRIER[0]) == []
        assert [wish.digits for _, wish in lab.injected] == ["5"]

    def test_has_nowhere_to_go_while_nothing_is_heard(self) -> None:
        """A 405 whose Allow has it would be no word to go by."""
        lab = Lab()
        invite = lab.called()
        lab.answer(invite, 180)
        lab.give(lab.in_dialog(b"INFO", lab.take_one(PBX[0]), 2, body=DIGIT, extra=INFO))
        refused = lab.take_one(PBX[0])
        assert refused.status == 405
        assert b"INFO" not in refused.values(b"allow")
        assert lab.take(CARRIER[0]) == []


class TestOffers:
    def test_a_prack_carries_an_offer_and_its_200_the_answer(self) -> None:
        lab = Lab()
        _, ringing = rung(lab)
        held = SDP_A.replace(b"sendrecv", b"sendonly").replace(b"phone 1 1", b"phone 1 2")
        lab.give(lab.in_dialog(b"PRACK", ringing, 2, body=held, extra=rack(ringing)))
        assert lab.take(PBX[0]) == []
        prack = lab.take_one(CARRIER[0])
        assert prack.method == b"PRACK"
        assert b"a=sendonly" in prack.body
        lab.answer(prack, 200, body=OTHER_B.replace(b"sendrecv", b"recvonly"))
        success = lab.take_one(PBX[0])
        assert (success.status, success.cseq_method) == (200, b"PRACK")
        assert b"a=recvonly" in success.body

    def test_an_update_of_the_caller_crosses_before_the_answer(self) -> None:
        lab = Lab()
        invite, ringing = rung(lab)
        pracked(lab, invite, ringing)
        held = SDP_A.replace(b"sendrecv", b"inactive").replace(b"phone 1 1", b"phone 1 2")
        lab.give(lab.in_dialog(b"UPDATE", ringing, 3, body=held))
        update = lab.take_one(CARRIER[0])
        assert update.method == b"UPDATE"
        assert b"a=inactive" in update.body
        lab.answer(update, 200, body=OTHER_B.replace(b"sendrecv", b"inactive"))
        assert lab.take_one(PBX[0]).status == 200
        lab.answer(invite, 200)
        assert lab.take_one(CARRIER[0]).method == b"ACK"
        success = lab.take_one(PBX[0])
        assert b"a=inactive" in success.body

    def test_an_update_of_the_target_crosses_before_the_answer(self) -> None:
        lab = Lab()
        invite, ringing = rung(lab)
        pracked(lab, invite, ringing)
        lab.give(lab.in_dialog(b"UPDATE", invite, 1, body=OTHER_B, source=CARRIER), CARRIER)
        update = lab.take_one(PBX[0])
        assert (update.method, update.cseq) == (b"UPDATE", 1)
        assert update.from_tag == ringing.to_tag
        lab.give(lab.in_dialog(b"UPDATE", ringing, 3, body=SDP_A))
        assert statuses(lab.take(PBX[0])) == [491]
        lab.answer(update, 200, body=SDP_A, contact=b"<sip:alice@10.0.0.2:5060>", source=PBX)
        assert lab.take_one(CARRIER[0]).status == 200
        lab.answer(invite, 200, body=OTHER_B)  # said again, it counts for nothing
        assert lab.take_one(CARRIER[0]).method == b"ACK"
        assert lab.take_one(PBX[0]).status == 200

    def test_one_that_is_refused_changes_nothing(self) -> None:
        lab = Lab()
        invite, ringing = rung(lab)
        pracked(lab, invite, ringing)
        plans = len(lab.plans)
        lab.give(lab.in_dialog(b"UPDATE", invite, 1, body=OTHER_B, source=CARRIER), CARRIER)
        lab.answer(lab.take_one(PBX[0]), 488, source=PBX)
        assert lab.take_one(CARRIER[0]).status == 488
        assert len(lab.plans) == plans
        lab.answer(invite, 200)
        assert lab.take(PBX[0])[0].status == 200

    def test_a_peer_without_update_is_not_sent_one(self) -> None:
        lab = Lab()
        invite = lab.called(extra=b"Supported: 100rel\r\nAllow: INVITE, ACK, BYE, PRACK\r\n")
        lab.answer(invite, 183, body=SDP_B, extra=reliable(1))
        pracked(lab, invite, lab.take_one(PBX[0]))
        moved = OTHER_B.replace(b"RTP/AVP 8 0 101", b"RTP/AVP 9")
        lab.give(lab.in_dialog(b"UPDATE", invite, 1, body=moved, source=CARRIER), CARRIER)
        assert statuses(lab.take()) == [488]
        self.moves(lab, invite)

    def moves(self, lab: Lab, invite: Request) -> None:
        """The target's media move, the caller is not told, and the answer changes nothing."""
        moved = OTHER_B.replace(b"m=audio 6000", b"m=audio 6010")
        lab.give(lab.in_dialog(b"UPDATE", invite, 2, body=moved, source=CARRIER), CARRIER)
        success = lab.take_one(CARRIER[0])
        assert (success.status, success.cseq_method) == (200, b"UPDATE")
        (stream,) = lab.plans[-1][1].streams
        assert b"m=audio %d RTP/AVP 8 0 101" % stream.b.port in success.body
        assert stream.b.remote == ("10.1.0.2", 6010)
        assert lab.take() == []
        lab.answer(invite, 200, body=moved)
        assert lab.take_one(CARRIER[0]).method == b"ACK"
        answer = lab.take_one(PBX[0])
        assert (answer.status, b"m=audio %d " % stream.a.port in answer.body) == (200, True)
        assert lab.plans[-1][1].streams[0].b.remote == ("10.1.0.2", 6010)

    def test_a_target_moves_its_media_whatever_the_caller_knows(self) -> None:
        lab = Lab()
        invite = lab.called()
        lab.answer(invite, 183, body=SDP_B, extra=reliable(1))
        assert lab.take_one(PBX[0]).first(b"rseq") is None
        lab.answer(lab.take_one(CARRIER[0]), 200)
        self.moves(lab, invite)

    def test_a_caller_moves_its_media_whatever_the_target_knows(self) -> None:
        lab = Lab()
        invite = lab.called(extra=SUPPORTED + b"Require: 100rel\r\n")
        lab.answer(invite, 183, body=SDP_B)
        ringing = lab.take_one(PBX[0])
        lab.give(lab.in_dialog(b"PRACK", ringing, 2, extra=rack(ringing)))
        lab.take()
        moved = SDP_A.replace(b"m=audio 6000", b"m=audio 6010")
        lab.give(lab.in_dialog(b"UPDATE", ringing, 3, body=moved))
        assert statuses(lab.take()) == [200]
        (stream,) = lab.plans[-1][1].streams
        assert stream.a.remote == ("10.0.0.2", 6010)
        lab.answer(invite, 200, body=SDP_B)
        assert lab.take_one(PBX[0]).status == 200
        assert lab.plans[-1][1].streams[0].a.remote == ("10.0.0.2", 6010)


class TestForks:
    def test_each_has_its_own_dialogs_and_reliability(self) -> None:
        lab = Lab()
        invite = lab.called(extra=SUPPORTED)
        tags = []
        for number, tag in enumerate(("desk", "mobile")):
            lab.answer(invite, 183, tag=tag, body=SDP_B, extra=reliable(10 + number))
            ringing = lab.take_one(PBX[0])
            tags.append(ringing.to_tag)
            lab.give(lab.in_dialog(b"PRACK", ringing, 2, extra=rack(ringing)))
            lab.take(PBX[0])
            prack = lab.take_one(CARRIER[0])
            assert prack.to_tag == tag.encode()
            assert prack.first(b"rack") == b"%d 1 INVITE" % (10 + number)
        assert len(set(tags)) == 2
        lab.answer(invite, 200, tag="mobile")
        success = lab.take_one(PBX[0])
        assert success.to_tag == tags[1]
        lab.take(CARRIER[0])
        lab.answer(invite, 200, tag="desk", body=SDP_B)
        assert [one.method for one in lab.take(CARRIER[0]) if isinstance(one, Request)] == [
            b"ACK",
            b"BYE",
        ]
        lab.give(lab.in_dialog(b"ACK", success, 1))
        lab.give(lab.in_dialog(b"BYE", success, 3))
        lab.assert_nothing_left()

    @pytest.mark.parametrize("extra", [reliable(1), b""])
    def test_are_left_one_by_one(self, extra: bytes) -> None:
        """RFC 3261 §15: a caller's BYE ends the early dialog that it was sent in."""
        lab = Lab()
        invite = lab.called()
        tags = []
        for fork in ("desk", "mobile"):
            lab.answer(invite, 183, tag=fork, body=SDP_B, extra=extra)
            tags.append(lab.take_one(PBX[0]))
        lab.take(CARRIER[0])
        lab.give(lab.in_dialog(b"BYE", tags[0], 2))
        assert statuses(lab.take(PBX[0])) == [200]
        bye = lab.take_one(CARRIER[0])
        assert (bye.method, bye.to_tag) == (b"BYE", b"desk")
        lab.answer(bye, 200)
        lab.give(lab.in_dialog(b"INFO", tags[0], 3))
        assert statuses(lab.take(PBX[0])) == [481]
        lab.answer(invite, 180, tag="desk")  # it has not heard it yet
        assert lab.take() == []
        lab.answer(invite, 200, tag="mobile", body=SDP_B)
        success = lab.take_one(PBX[0])
        assert (success.status, success.to_tag) == (200, tags[1].to_tag)
        lab.take(CARRIER[0])
        lab.give(lab.in_dialog(b"ACK", success, 1))
        lab.give(lab.in_dialog(b"BYE", success, 4))
        lab.assert_nothing_left()

    def test_that_was_left_and_answers_all_the_same_ends_the_call(self) -> None:
        """Its proxy gives up all others then."""
        lab = Lab()
        invite = lab.called()
        for fork in ("desk", "mobile"):
            lab.answer(invite, 180, tag=fork)
        lab.give(lab.in_dialog(b"BYE", lab.take(PBX[0])[0], 2))
        assert statuses(lab.take(PBX[0])) == [200]
        assert lab.take(CARRIER[0]) == []  # no more is known of it than its tag
        lab.answer(invite, 200, tag="desk", body=SDP_B)
        ended = [one.method for one in lab.take(CARRIER[0]) if isinstance(one, Request)]
        assert ended == [b"ACK", b"BYE"]
        assert statuses(lab.take(PBX[0])) == [487]
        lab.answer_removals()
        assert lab.record.cause is Cause.CANCELLED
        lab.assert_nothing_left()

    def test_that_are_all_left_end_the_call(self) -> None:
        lab = Lab()
        invite = lab.called()
        for fork in ("desk", "mobile"):
            lab.answer(invite, 180, tag=fork)
        first, second = lab.take(PBX[0])
        lab.give(lab.in_dialog(b"BYE", first, 2))
        lab.give(lab.in_dialog(b"BYE", second, 2))
        assert statuses(lab.take(PBX[0])) == [200, 200, 487]
        assert lab.take_one(CARRIER[0]).method == b"CANCEL"

    def test_that_is_left_is_not_repeated_any_more(self) -> None:
        lab = Lab()
        invite = lab.called(extra=REQUIRED)
        for fork in ("desk", "mobile"):
            lab.answer(invite, 180, tag=fork)
        first, second = lab.take(PBX[0])
        lab.give(lab.in_dialog(b"PRACK", second, 2, extra=rack(second)))
        lab.give(lab.in_dialog(b"BYE", first, 2))
        assert statuses(lab.take(PBX[0])) == [200, 200]
        lab.wait(40.0)
        assert lab.take() == []

    def test_are_one_for_a_caller_that_cannot_take_them(self) -> None:
        lab = Lab(settings({"pbx": {"single_tag": True}}))
        invite = lab.called()
        seen = []
        for tag in ("desk", "mobile"):
            lab.answer(invite, 183, tag=tag, body=SDP_B)
            seen.append(lab.take_one(PBX[0]).to_tag)
        lab.answer(invite, 200, tag="mobile", body=SDP_B)
        seen.append(lab.take_one(PBX[0]).to_tag)
        assert len(set(seen)) == 1

    @pytest.mark.parametrize("theirs", [True, False])
    def test_are_one_for_such_a_caller_with_100rel_too(self, theirs: bool) -> None:
        """Each PRACK goes to the fork whose 18x it acknowledges."""
        lab = Lab(settings({"pbx": {"single_tag": True}}))
        invite = lab.called(extra=SUPPORTED)
        forks = ("desk", "mobile", "home")
        for number, tag in enumerate(forks):
            extra = reliable(10 + number) if theirs else b""
            lab.answer(invite, 183, tag=tag, body=SDP_B, extra=extra)
        seen, waiting = [], lab.take(PBX[0])
        for number, tag in enumerate(forks):
            (ringing,) = [one for one in waiting if isinstance(one, Response) and one.status == 183]
            seen.append((ringing.to_tag, int(ringing.first(b"rseq") or b"")))
            lab.give(lab.in_dialog(b"PRACK", ringing, 2 + number, extra=rack(ringing)))
            if theirs:
                prack = lab.take_one(CARRIER[0])
                assert prack.to_tag == tag.encode()
                assert prack.first(b"rack") == b"%d 1 INVITE" % (10 + number)
                lab.answer(prack, 200)
            waiting = lab.take(PBX[0])  # its 200, and the 183 that has waited for the PRACK
            assert sorted(statuses(waiting)) == [183, 200][number // 2 :]
        (tag,) = {tag for tag, _ in seen}
        numbers = [number for _, number in seen]
        assert numbers == list(range(numbers[0], numbers[0] + 3))
        lab.answer(invite, 200, tag="mobile", body=b"" if theirs else SDP_B)
        success = lab.take_one(PBX[0])
        assert (success.status, success.to_tag) == (200, tag)
        assert lab.take_one(CARRIER[0]).method == b"ACK"
        lab.give(lab.in_dialog(b"ACK", success, 1))
        lab.give(lab.in_dialog(b"BYE", success, 9))
        bye = lab.take_one(CARRIER[0])
        assert (bye.method, bye.to_tag) == (b"BYE", b"mobile")
        lab.answer(bye, 200)
        lab.assert_nothing_left()

    def test_are_two_once_more_was_said_in_the_one(self) -> None:
        """What the caller has changed by UPDATE is known to the first fork alone."""
        lab = Lab(settings({"pbx": {"single_tag": True}}))
        invite, ringing = rung(lab)
        pracked(lab, invite, ringing)
        held = SDP_A.replace(b"sendrecv", b"sendonly").replace(b"phone 1 1", b"phone 1 2")
        lab.give(lab.in_dialog(b"UPDATE", ringing, 3, body=held))
        lab.answer(lab.take_one(CARRIER[0]), 200, body=OTHER_B.replace(b"sendrecv", b"recvonly"))
        assert lab.take_one(PBX[0]).status == 200
        lab.answer(invite, 183, tag="mobile", body=SDP_B, extra=reliable(1))
        assert lab.take_one(PBX[0]).to_tag != ringing.to_tag

    def test_are_two_where_the_codec_is_another(self) -> None:
        lab = Lab(settings({"pbx": {"single_tag": True}}))
        invite = lab.called()
        lab.answer(invite, 183, tag="desk", body=SDP_B)
        first = lab.take_one(PBX[0]).to_tag
        other = SDP_B.replace(b"RTP/AVP 8 0", b"RTP/AVP 0 8")
        lab.answer(invite, 183, tag="mobile", body=other)
        assert lab.take_one(PBX[0]).to_tag != first

    def test_of_the_next_target_count_anew(self) -> None:
        """RFC 3262 §4: RSeq is of one dialog, and two targets may have chosen the same tag."""
        lab = Lab()
        invite = lab.called()
        lab.answer(invite, 183, body=SDP_B, extra=reliable(1))
        lab.answer(invite, 503)
        second = lab.take(BACKUP[0])[0]
        lab.take()
        assert isinstance(second, Request)
        lab.answer(second, 183, body=SDP_B, extra=reliable(1), source=BACKUP)
        assert statuses(lab.take(PBX[0])) == [183]

    def test_of_the_next_target_keep_the_tag(self) -> None:
        lab = Lab(settings({"pbx": {"single_tag": True}}))
        invite = lab.called()
        lab.answer(invite, 183, tag="desk", body=SDP_B)
        first = lab.take_one(PBX[0])
        lab.answer(invite, 503)
        lab.take(CARRIER[0])
        second = lab.take_one("10.1.0.3")
        lab.answer(second, 183, body=SDP_B, source=("10.1.0.3", 5060))
        again = lab.take_one(PBX[0])
        assert again.to_tag == first.to_tag
        versions = [int(one.body.split(b"\r\n")[1].split()[2]) for one in (first, again)]
        assert versions == sorted(versions)
