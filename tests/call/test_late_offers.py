"""A caller without an offer gets one: the target's, or for a trunk that wants it, one made up."""

from __future__ import annotations

from typing import Any

import pytest

from policies.media import CodecSettings, TrunkMedia
from policies.settings import Use
from sbc.call.cdr import Cause
from sbc.call.media.early_offer import early_offer
from sbc.sip.message import Request, Response
from tests.call.lab import CARRIER, PBX, SDP_A, SDP_B, Lab, Side, settings

RELIABLE = b"Supported: 100rel\r\n"
EARLY = {"carrier": {"early_offer": True}}


def test_the_targets_offer_comes_in_the_2xx_and_the_answer_goes_in_the_ack() -> None:
    lab = Lab()
    invite = lab.called(body=b"")
    assert invite.body == b""
    assert b"100rel" not in (invite.first(b"supported") or b"")  # its offer must not come early
    lab.answer(invite, 180)
    lab.take()
    lab.answer(invite, 200, body=SDP_B)
    assert lab.take(CARRIER[0]) == []  # the ACK waits
    success = lab.take_one(PBX[0])
    assert success.status == 200
    assert b"10.0.0.1" in success.body
    assert b"10.1.0.2" not in success.body
    assert lab.plans == []
    lab.give(lab.in_dialog(b"ACK", success, 1, body=SDP_A))
    ack = lab.take_one(CARRIER[0])
    assert ack.method == b"ACK"
    assert b"10.1.0.1" in ack.body
    assert b"10.0.0.2" not in ack.body
    ((_, plan),) = lab.plans
    (stream,) = plan.streams
    assert stream.a.remote == ("10.0.0.2", 6000)
    assert stream.b.remote == ("10.1.0.2", 6000)
    assert stream.a.expects
    lab.answer(invite, 200, body=SDP_B)
    assert lab.take_one(CARRIER[0]).body == ack.body
    lab.give(lab.in_dialog(b"BYE", success, 2))
    assert lab.take_one(CARRIER[0]).method == b"BYE"
    lab.assert_nothing_left()


@pytest.mark.parametrize("body", [b"", b"v=0\r\n", SDP_A + b"m=video 0 RTP/AVP 96\r\n"])
def test_an_ack_without_a_good_answer_ends_the_call(body: bytes) -> None:
    lab = Lab()
    invite = lab.called(body=b"")
    lab.answer(invite, 200, body=SDP_B)
    success = lab.take_one(PBX[0])
    lab.give(lab.in_dialog(b"ACK", success, 1, body=body))
    lab.wait(0.1)
    ack, bye = lab.take(CARRIER[0])
    assert (ack.method, bye.method) == (b"ACK", b"BYE")  # type: ignore[union-attr]
    assert b"m=audio 0 " in ack.body  # the answer that says no
    assert b"BYE" in [one.method for one in lab.take(PBX[0]) if isinstance(one, Request)]
    lab.answer_removals()
    assert lab.record.cause is Cause.UNSUPPORTED_MEDIA
    lab.assert_nothing_left()


def test_a_2xx_without_an_offer_is_no_answer_to_anybody() -> None:
    lab = Lab()
    invite = lab.called(body=b"")
    lab.answer(invite, 200)
    ack, bye = lab.take(CARRIER[0])
    assert (ack.method, bye.method) == (b"ACK", b"BYE")  # type: ignore[union-attr]
    assert lab.take_one(PBX[0]).status == 502
    lab.assert_nothing_left()


def test_no_ack_at_all_still_acknowledges_the_target() -> None:
    lab = Lab()
    invite = lab.called(body=b"")
    lab.answer(invite, 200, body=SDP_B)
    lab.wait(33.0)
    methods = [one.method for one in lab.take(CARRIER[0]) if isinstance(one, Request)]
    assert methods[:2] == [b"ACK", b"BYE"]
    lab.assert_nothing_left()


def test_the_offer_of_a_reliable_18x_is_answered_in_the_prack() -> None:
    lab = Lab()
    invite = lab.called(body=b"", extra=RELIABLE)
    assert b"100rel" in (invite.first(b"supported") or b"")
    lab.answer(invite, 183, body=SDP_B, extra=b"Require: 100rel\r\nRSeq: 7\r\n")
    assert lab.take(CARRIER[0]) == []
    ringing = lab.take_one(PBX[0])
    assert ringing.status == 183
    assert ringing.first(b"require") == b"100rel"
    assert b"10.0.0.1" in ringing.body
    rack = b"RAck: %b 1 INVITE\r\n" % (ringing.first(b"rseq") or b"")
    lab.give(lab.in_dialog(b"PRACK", ringing, 2, body=SDP_A, extra=rack))
    assert lab.take_one(PBX[0]).status == 200
    prack = lab.take_one(CARRIER[0])
    assert (prack.method, prack.first(b"rack")) == (b"PRACK", b"7 1 INVITE")
    assert b"10.1.0.1" in prack.body
    assert len(lab.plans) == 1
    lab.answer(prack, 200)
    lab.answer(invite, 200)
    ack = lab.take_one(CARRIER[0])
    assert (ack.method, ack.body) == (b"ACK", b"")
    success = lab.take_one(PBX[0])
    lab.give(lab.in_dialog(b"ACK", success, 1))
    lab.give(lab.in_dialog(b"BYE", success, 3))
    assert lab.take_one(CARRIER[0]).method == b"BYE"
    lab.assert_nothing_left()


class TestMadeUp:
    """`offer: early`."""

    def test_the_target_gets_an_offer_and_the_caller_its_answer_as_one(self) -> None:
        lab = Lab(settings(EARLY))
        invite = lab.called(body=b"")
        assert b"m=audio" in invite.body
        assert b"RTP/AVP 0 8 101" in invite.body
        assert b"10.1.0.1" in invite.body
        assert b"192.0.2.1" not in invite.body
        lab.answer(invite, 183, body=SDP_B)
        assert lab.take_one(PBX[0]).body == b""
        lab.answer(invite, 200, body=SDP_B)
        assert lab.take_one(CARRIER[0]).method == b"ACK"
        success = lab.take_one(PBX[0])
        assert b"RTP/AVP 8 0 101" in success.body
        assert lab.plans == []
        lab.give(lab.in_dialog(b"ACK", success, 1, body=SDP_A))
        ((_, plan),) = lab.plans
        (stream,) = plan.streams
        assert stream.a.remote == ("10.0.0.2", 6000)
        assert lab.take(CARRIER[0]) == []  # both have said the same
        lab.give(lab.in_dialog(b"BYE", success, 2))
        lab.assert_nothing_left()

    def test_a_caller_that_takes_less_has_the_target_told(self) -> None:
        lab = Lab(settings(EARLY))
        invite = lab.called(body=b"")
        lab.answer(invite, 200, body=SDP_B)
        lab.take(CARRIER[0])
        success = lab.take_one(PBX[0])
        less = SDP_A.replace(b"RTP/AVP 8 0 101", b"RTP/AVP 8")
        lab.give(lab.in_dialog(b"ACK", success, 1, body=less))
        b = Side(lab, invite, CARRIER, 0)
        again = b.hears()
        assert again.method == b"INVITE"
        assert b"RTP/AVP 8\r\n" in again.body
        less = SDP_B.replace(b"RTP/AVP 8 0 101", b"RTP/AVP 8").replace(b"6000", b"6010")
        b.answer(again, 200, less)
        assert b.hears().method == b"ACK"
        (stream,) = lab.plans[-1][1].streams
        assert stream.b.remote == ("10.1.0.2", 6010)
        lab.give(lab.in_dialog(b"BYE", success, 2))
        lab.assert_nothing_left()

    @pytest.mark.parametrize(
        ("pbx", "carrier", "offered"),
        [
            ((), ("G722",), b"RTP/AVP 9 101\r\na=rtpmap:9 G722/8000\r\n"),
            ((), ("PCMA", "G729"), b"RTP/AVP 8 18 101\r\n"),
            (("G722", "PCMA"), (), b"RTP/AVP 9 8 101\r\n"),
            (("PCMA",), ("G722", "PCMA"), b"RTP/AVP 8 101\r\n"),
            ((), ("opus/48000",), b"a=rtpmap:96 opus/48000/2\r\n"),
            ((), ("L16/16000",), b"a=rtpmap:96 L16/16000\r\n"),
        ],
    )
    def test_is_of_what_the_trunks_allow(
        self, pbx: tuple[str, ...], carrier: tuple[str, ...], offered: bytes
    ) -> None:
        media: dict[str, dict[str, Any]] = {
            name: {"media": TrunkMedia(codecs=CodecSettings(allow=allow))}
            for name, allow in (("pbx", pbx), ("carrier", carrier))
        }
        media["carrier"]["early_offer"] = True
        lab = Lab(settings(media))
        assert offered in lab.called(body=b"").body

    def test_in_another_codec_makes_a_call(self) -> None:
        media = TrunkMedia(codecs=CodecSettings(allow=("G722",)))
        lab = Lab(settings({"carrier": {"early_offer": True, "media": media}}))
        invite = lab.called(body=b"")
        lab.answer(invite, 200, body=SDP_B.replace(b"8 0 101", b"9 101"))
        lab.take(CARRIER[0])
        success = lab.take_one(PBX[0])
        assert b"RTP/AVP 9 101" in success.body
        lab.give(lab.in_dialog(b"ACK", success, 1, body=SDP_A.replace(b"8 0 101", b"9 101")))
        assert len(lab.plans) == 1
        assert lab.take(CARRIER[0]) == []

    def test_of_events_has_one_for_each_clock(self) -> None:
        """RFC 4733 §2.1."""
        body = early_offer(CodecSettings(), CodecSettings(allow=("opus", "G722"))).decode()
        assert "a=rtpmap:101 telephone-event/8000\r\n" in body
        assert "telephone-event/48000\r\n" in body
        assert early_offer(CodecSettings(), CodecSettings(allow=("nobodys",))) == early_offer(
            CodecSettings(), CodecSettings()
        )

    def test_a_second_target_that_wants_none_gets_none(self) -> None:
        lab = Lab(settings(EARLY))
        lab.answer(lab.called(body=b""), 503)
        lab.take(CARRIER[0])
        second = lab.take_one("10.1.0.3")
        assert second.body == b""
        lab.answer(second, 200, body=SDP_B, source=("10.1.0.3", 5060))
        success = lab.take_one(PBX[0])
        lab.give(lab.in_dialog(b"ACK", success, 1, body=SDP_A))
        assert isinstance(success, Response)
        assert len(lab.plans) == 1


def test_a_caller_whose_trunk_has_no_100rel_gets_no_early_offer() -> None:
    lab = Lab(settings({"pbx": {"reliable": Use.NEVER}}))
    invite = lab.called(body=b"", extra=RELIABLE)
    assert b"100rel" not in (invite.first(b"supported") or b"")
