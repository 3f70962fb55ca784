"""Calls whose legs differ in keys, codecs or payload types, through the whole core."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from policies.media import CodecSettings, RtcpMux, Srtp, TrunkMedia
from sbc.call.cdr import Cause
from sbc.sdp.crypto import CryptoLine, parse_crypto
from tests.call.lab import BACKUP, CARRIER, PBX, SDP_A, SDP_B, Lab, Side, settings, statuses

KEY_A = b64encode(bytes(range(30)))
KEY_B = b64encode(bytes(range(100, 130)))
LINE = b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:%b\r\n"
SECURE_A = SDP_A.replace(b"RTP/AVP", b"RTP/SAVP") + LINE % KEY_A
SECURE_B = SDP_B.replace(b"RTP/AVP", b"RTP/SAVP")


def lab(**trunks: TrunkMedia) -> Lab:
    return Lab(settings({name: {"media": media} for name, media in trunks.items()}))


def keys(body: bytes) -> list[CryptoLine]:
    return [parse_crypto(line) for line in body.split(b"\r\n") if line.startswith(b"a=crypto")]


def answer_to(offer: bytes, suite: str = "AES_CM_128_HMAC_SHA1_80", key: bytes = KEY_B) -> bytes:
    """The target's answer: the line of this suite, with its key."""
    tag = next(line.tag for line in keys(offer) if line.suite.sdp_name == suite)
    return SECURE_B + b"a=crypto:%d %b inline:%b\r\n" % (tag, suite.encode(), key)


def secure_outside() -> tuple[Lab, Any, Any]:
    """A clear call of the PBX to a carrier that requires SRTP, up."""
    border = lab(carrier=TrunkMedia(srtp=Srtp.REQUIRED))
    invite = border.called()
    border.answer(invite, 200, body=answer_to(invite.body))
    assert border.take_one(CARRIER[0]).method == b"ACK"
    success = border.take_one(PBX[0])
    border.give(border.in_dialog(b"ACK", success, 1))
    return border, success, invite


def test_a_clear_call_goes_out_in_srtp() -> None:
    border, success, invite = secure_outside()
    assert b" RTP/SAVP 8 0 101\r\n" in invite.body
    assert b" RTP/AVP 8 0 101\r\n" in success.body
    assert b"crypto" not in success.body
    (stream,) = border.plans[-1][1].streams
    assert stream.a.srtp_in is stream.a.srtp_out is None
    assert stream.b.srtp_in is not None
    assert stream.b.srtp_in.key == bytes(range(100, 130))
    assert stream.b.srtp_out is not None
    assert stream.b.srtp_out.key in {line.key for line in keys(invite.body)}


def test_an_answer_in_the_clear_is_not_taken_where_srtp_is_required() -> None:
    border = lab(carrier=TrunkMedia(srtp=Srtp.REQUIRED), backup=TrunkMedia())
    invite = border.called(number="99")
    border.answer(invite, 200, body=SDP_B.replace(b"RTP/AVP", b"RTP/SAVP"))
    methods = [one.method for one in border.take(CARRIER[0])]
    assert methods == [b"ACK", b"BYE"]
    assert statuses(border.take(PBX[0])) == [502]
    assert border.record.cause is Cause.UNSUPPORTED_MEDIA


def test_an_offer_of_srtp_alone_is_refused_where_it_is_off() -> None:
    border = lab()
    border.give(border.invite(body=SECURE_A))
    assert statuses(border.take(PBX[0])) == [100, 488]
    assert "offered only in SRTP" in border.record.reason


BAD_LINES = (
    (LINE % b"AAAA", b"a=crypto:1: expected 30 bytes of key and salt"),
    (LINE % b"!!!!", b"the key is not base64"),
    (LINE.replace(b"\r", b" UNENCRYPTED_SRTP\r") % KEY_A, b"UNENCRYPTED_SRTP is not taken"),
    (LINE.replace(b"AES_CM_128", b"F8_128") % KEY_A, b"F8_128_HMAC_SHA1_80 is not one of ours"),
    (LINE.replace(b"AES_CM_128_HMAC_SHA1_80", b"AEAD_AES_128_GCM") % KEY_A, b"expected 28 bytes"),
    (b"", b"no a=crypto line"),
)


@pytest.mark.parametrize(("line", "words"), BAD_LINES)
def test_whoever_sends_a_bad_key_line_is_told_what_is_wrong_with_it(
    line: bytes, words: bytes
) -> None:
    """RFC 3261 §21.4.26: a 488 should have a Warning. No key stands in it, nor a trunk's name."""
    border = lab(pbx=TrunkMedia(srtp=Srtp.REQUIRED))
    body = SDP_A.replace(b"RTP/AVP", b"RTP/SAVP") + line
    border.give(border.invite(body=body))
    refusal = border.take(PBX[0])[-1]
    warning = refusal.first(b"warning") or b""
    assert statuses([refusal]) == [488]
    assert warning.startswith(b'399 10.0.0.1 "m-line 1: expected SRTP by a suite of ours: ')
    assert words in warning
    assert b"pbx" not in warning
    assert KEY_A not in warning
    assert words.decode() in border.record.reason


def test_a_reinvite_with_a_bad_key_line_is_told_so_too() -> None:
    border, _, invite = secure_outside()
    target = Side(border, invite, CARRIER, 0)
    target.ask(b"INVITE", body=SECURE_B + LINE % b"AAAA")
    refusal = border.take(CARRIER[0])[-1]
    assert statuses([refusal]) == [488]
    assert b"expected 30 bytes of key and salt" in (refusal.first(b"warning") or b"")


def test_srtp_where_it_is_off_is_told_so() -> None:
    border = lab()
    border.give(border.invite(body=SECURE_A))
    assert b"SRTP, which is off" in (border.take(PBX[0])[-1].first(b"warning") or b"")


def test_both_legs_secure_each_with_keys_of_its_own() -> None:
    border = lab(pbx=TrunkMedia(srtp=Srtp.REQUIRED), carrier=TrunkMedia(srtp=Srtp.REQUIRED))
    invite = border.called(body=SECURE_A)
    assert KEY_A not in invite.body
    border.answer(invite, 200, body=answer_to(invite.body))
    success = border.take_one(PBX[0])
    assert KEY_B not in success.body
    (stream,) = border.plans[-1][1].streams
    held = [stream.a.srtp_in, stream.a.srtp_out, stream.b.srtp_in, stream.b.srtp_out]
    assert len({one.key for one in held if one is not None}) == 4


def test_the_next_target_is_offered_by_its_own_rules() -> None:
    border = lab(carrier=TrunkMedia(srtp=Srtp.REQUIRED), backup=TrunkMedia())
    invite = border.called()
    assert b"crypto" in invite.body
    border.answer(invite, 503)
    border.take(CARRIER[0])
    second = border.take_one(BACKUP[0])
    assert b"RTP/AVP" in second.body
    assert b"crypto" not in second.body


def test_no_target_learns_the_key_of_another() -> None:
    """Whoever has refused a call could else decrypt what the next one is sent."""
    secure = TrunkMedia(srtp=Srtp.REQUIRED)
    border = lab(carrier=secure, backup=secure)
    first = border.called()
    border.answer(first, 183, body=answer_to(first.body))
    border.answer(first, 503)
    border.take(CARRIER[0])
    second = border.take_one(BACKUP[0])
    told = [{line.key for line in keys(invite.body)} for invite in (first, second)]
    assert len(told[0]) == len(told[1]) == len(TrunkMedia().suites)
    assert not told[0] & told[1]
    assert [line.tag for line in keys(second.body)] == [line.tag for line in keys(first.body)]
    border.answer(second, 200, body=answer_to(second.body), source=BACKUP)
    out = border.plans[-1][1].streams[0].b.srtp_out
    assert out is not None
    assert out.key in told[1]


def test_forks_of_one_target_answer_one_offer_and_have_one_key() -> None:
    border = lab(carrier=TrunkMedia(srtp=Srtp.REQUIRED))
    invite = border.called()
    for tag in ("fork-1", "fork-2"):
        border.answer(invite, 183, tag=tag, body=answer_to(invite.body))
    ours = [plan.streams[0].b.srtp_out for _, plan in border.plans]
    assert len(ours) == 2
    assert ours[0] == ours[1]


def test_a_target_whose_codecs_do_not_fit_is_passed_over() -> None:
    border = lab(carrier=TrunkMedia(codecs=CodecSettings(allow=("G729",))), backup=TrunkMedia())
    border.give(border.invite())
    assert statuses(border.take(PBX[0])) == [100]
    assert border.take_one(BACKUP[0]).method == b"INVITE"
    assert border.take(CARRIER[0]) == []


def test_no_target_whose_codecs_fit_is_488() -> None:
    border = lab(carrier=TrunkMedia(codecs=CodecSettings(allow=("G729",))))
    border.give(border.invite(number="99"))
    assert statuses(border.take(PBX[0])) == [100, 488]
    assert border.record.cause is Cause.UNSUPPORTED_MEDIA


def test_g711_is_converted_where_the_legs_have_different_laws() -> None:
    only = TrunkMedia(codecs=CodecSettings(allow=("PCMU",)))
    border = lab(pbx=only, carrier=TrunkMedia(codecs=CodecSettings(allow=("PCMA",))))
    invite = border.called(body=SDP_A.replace(b"AVP 8 0 101", b"AVP 0 101"))
    assert b"RTP/AVP 8 101\r\n" in invite.body
    border.answer(invite, 200, body=SDP_B.replace(b"AVP 8 0 101", b"AVP 8 101"))
    assert b"RTP/AVP 0 101\r\n" in border.take_one(PBX[0]).body
    (stream,) = border.plans[-1][1].streams
    assert (stream.a.payloads, stream.a.convert) == ({0: 8}, {0: 1})
    assert (stream.b.payloads, stream.b.convert) == ({8: 0}, {8: 2})


def test_an_answer_by_other_numbers_is_mapped_without_any_rule() -> None:
    border = lab()
    invite = border.called()
    other = SDP_B.replace(b"AVP 8 0 101", b"AVP 8 96").replace(b"rtpmap:101", b"rtpmap:96")
    border.answer(invite, 200, body=other)
    body = border.take_one(PBX[0]).body
    assert b"RTP/AVP 8 101\r\n" in body
    assert b"a=rtpmap:101 telephone-event/8000" in body
    (stream,) = border.plans[-1][1].streams
    assert stream.a.payloads == {101: 96}
    assert stream.b.payloads == {96: 101}


def test_mux_is_taken_on_the_leg_that_offers_it() -> None:
    border = lab()
    invite = border.called(body=SDP_A + b"a=rtcp-mux\r\n")
    assert b"rtcp-mux" not in invite.body
    border.answer(invite, 200, body=SDP_B)
    assert b"a=rtcp-mux" in border.take_one(PBX[0]).body
    (stream,) = border.plans[-1][1].streams
    assert (stream.a.rtcp_mux, stream.b.rtcp_mux) == (True, False)


def test_mux_may_be_off() -> None:
    border = lab(pbx=TrunkMedia(rtcp_mux=RtcpMux.OFF))
    invite = border.called(body=SDP_A + b"a=rtcp-mux\r\n")
    border.answer(invite, 200, body=SDP_B)
    assert b"rtcp-mux" not in border.take_one(PBX[0]).body


def test_a_reinvite_keeps_our_keys_and_its_own_new_ones_reach_the_plan() -> None:
    border, success, invite = secure_outside()
    caller = Side(border, success, PBX, 1)
    caller.ask(b"INVITE", body=SDP_A.replace(b"sendrecv", b"sendonly"))
    border.take(PBX[0])
    again = border.take_one(CARRIER[0])
    assert [line.key for line in keys(again.body)] == [line.key for line in keys(invite.body)]
    new = b64encode(bytes(range(50, 80)))
    border.answer(again, 200, body=answer_to(again.body, key=new))
    border.take()
    (stream,) = border.plans[-1][1].streams
    assert stream.b.srtp_in is not None
    assert stream.b.srtp_in.key == bytes(range(50, 80))
    assert stream.b.srtp_out is not None
    assert stream.b.srtp_out.key in {line.key for line in keys(invite.body)}


NEW_KEY = b64encode(bytes(range(50, 80)))
TIMER = b"Supported: timer\r\nRequire: timer\r\n"


def refreshed(side: str) -> tuple[Lab, Side, Any]:
    """A call whose leg on that side alone is secure, and our refresh of it."""
    if side == "b":
        border = lab(carrier=TrunkMedia(srtp=Srtp.REQUIRED))
        invite = border.called()
        body = answer_to(invite.body)
        border.answer(invite, 200, body=body, extra=b"Session-Expires: 180;refresher=uac\r\n")
        peer = Side(border, invite, CARRIER, 0)
    else:
        border = lab(pbx=TrunkMedia(srtp=Srtp.REQUIRED), carrier=TrunkMedia(srtp=Srtp.OFF))
        refresher = TIMER + b"Session-Expires: 180;refresher=uas\r\n"
        border.answer(border.called(body=SECURE_A, extra=refresher), 200, body=SDP_B)
    border.take(CARRIER[0])
    success = border.take_one(PBX[0])
    border.give(border.in_dialog(b"ACK", success, 1))
    if side == "a":
        peer = Side(border, success, PBX, 1)
    border.wait(91.0, step_s=0.5)
    return border, peer, border.take(peer.address[0])[0]


@pytest.mark.parametrize("side", ["a", "b"])
def test_the_key_in_the_answer_to_a_refresh_reaches_the_plan(side: str) -> None:
    border, peer, refresh = refreshed(side)
    (before,) = border.plans[-1][1].streams
    peer.answer(refresh, 200, answer_to(refresh.body, key=NEW_KEY))
    (stream,) = border.plans[-1][1].streams
    end, old = (stream.a, before.a) if side == "a" else (stream.b, before.b)
    other = stream.b if side == "a" else stream.a
    assert end.srtp_in is not None
    assert end.srtp_in.key == bytes(range(50, 80))
    assert end.srtp_out == old.srtp_out
    assert end.payloads == old.payloads
    assert other.srtp_in is other.srtp_out is None


@pytest.mark.parametrize("side", ["a", "b"])
@pytest.mark.parametrize("body", [SDP_B, SECURE_B, SECURE_B + LINE.replace(b":1 ", b":7 ") % KEY_B])
def test_an_answer_to_a_refresh_without_a_key_changes_nothing(side: str, body: bytes) -> None:
    border, peer, refresh = refreshed(side)
    before = border.plans[-1][1]
    peer.answer(refresh, 200, body)
    assert border.plans[-1][1] == before
    border.take()
    peer.ask(b"INVITE", answer_to(refresh.body).replace(b"sendrecv", b"sendonly"))
    assert len(border.take(CARRIER[0] if side == "a" else PBX[0])) == 1  # no offer stayed open


def test_who_is_told_of_less_after_a_late_offer_keeps_its_key() -> None:
    """The caller takes less than our early offer has said: the secure target is asked again."""
    border = Lab(
        settings({"carrier": {"media": TrunkMedia(srtp=Srtp.REQUIRED), "early_offer": True}})
    )
    invite = border.called(body=b"")
    border.answer(invite, 200, body=answer_to(invite.body))
    border.take(CARRIER[0])
    less = SDP_A.replace(b"RTP/AVP 8 0 101", b"RTP/AVP 8")
    border.give(border.in_dialog(b"ACK", border.take_one(PBX[0]), 1, body=less))
    target = Side(border, invite, CARRIER, 0)
    again = border.take_one(CARRIER[0])
    target.answer(again, 200, answer_to(again.body, key=NEW_KEY))
    (stream,) = border.plans[-1][1].streams
    assert stream.b.srtp_in is not None
    assert stream.b.srtp_in.key == bytes(range(50, 80))
    assert stream.b.srtp_out is not None


@pytest.mark.parametrize("body", [SDP_B, SECURE_B])
def test_a_reinvite_of_the_secure_side_without_a_key_is_refused_and_changes_nothing(
    body: bytes,
) -> None:
    border, _, invite = secure_outside()
    plans = len(border.plans)
    target = Side(border, invite, CARRIER, 0)
    target.ask(b"INVITE", body=body.replace(b"sendrecv", b"sendonly"))
    assert statuses(border.take(CARRIER[0]))[-1] == 488
    assert border.take(PBX[0]) == []
    assert len(border.plans) == plans


def hang_up(border: Lab, success: Any) -> None:
    border.give(border.in_dialog(b"BYE", success, 9))
    border.answer(border.take_one(CARRIER[0]), 200)
    border.answer_removals()


def ended(border: Lab) -> list[dict[str, object]]:
    """What is said of SRTP that has come to an end, since the last call of this."""
    milestones = border.border.core.milestones
    found = [fields for _, event, _, fields in milestones if event == "media.srtp_ended"]
    milestones.clear()
    return found


def preferred_on_both_legs() -> tuple[Lab, Any]:
    """A call that is encrypted on both legs, though neither must be."""
    use = TrunkMedia(srtp=Srtp.PREFERRED)
    border = lab(pbx=use, carrier=use)
    invite = border.called(body=SECURE_A)
    answer = answer_to(invite.body).replace(b"RTP/SAVP", b"RTP/AVP")
    border.answer(invite, 200, body=answer)
    border.take_one(CARRIER[0])
    success = border.take_one(PBX[0])
    border.give(border.in_dialog(b"ACK", success, 1))
    assert ended(border) == []
    return border, success


def test_srtp_that_a_peer_gives_up_within_a_call_is_told_and_recorded() -> None:
    border, success = preferred_on_both_legs()
    caller = Side(border, success, PBX, 1)
    caller.ask(b"INVITE", body=SDP_A)
    again = border.take(CARRIER[0])[-1]
    border.answer(again, 200, body=answer_to(again.body).replace(b"RTP/SAVP", b"RTP/AVP"))
    assert ended(border) == [{"side": "a", "stream": 0}]
    assert border.border.core.counters["srtp_ended"] == 1
    border.take()
    caller.ack()
    caller.ask(b"INVITE", body=SECURE_A)  # and takes up again
    again = border.take(CARRIER[0])[-1]
    border.answer(again, 200, body=SDP_B)
    assert ended(border) == [{"side": "b", "stream": 0}]
    border.take()
    caller.ack()
    border.take()
    hang_up(border, success)
    record = border.record
    assert record.srtp_a == record.srtp_b == ["none, AES_CM_128_HMAC_SHA1_80"]


def test_a_stream_that_is_disabled_has_not_given_up_its_srtp() -> None:
    border, success = preferred_on_both_legs()
    video = b"m=video 6002 RTP/SAVP 96\r\na=rtpmap:96 H264/90000\r\n" + LINE % KEY_A
    taken = b"m=video 6002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    caller = Side(border, success, PBX, 1)
    for port, theirs in ((b"6002", taken), (b"6004", b"m=video 0 RTP/AVP 96\r\n")):
        caller.ask(b"INVITE", body=SECURE_A + video.replace(b"6002", port))
        again = border.take(CARRIER[0])[-1]
        at = again.body.index(b"m=video")
        answer = answer_to(again.body[:at]).replace(b"RTP/SAVP", b"RTP/AVP")
        if b" 0 " not in theirs:
            key = answer_to(again.body[at:]).rpartition(b"a=crypto")
            theirs += b"".join(key[1:])
        border.answer(again, 200, body=answer + theirs)
        assert ended(border) == []
        border.take()
        caller.ack()
        border.take()
    hang_up(border, success)
    assert border.record.srtp_b == ["AES_CM_128_HMAC_SHA1_80"] * 2


def test_a_stream_that_nobody_can_decrypt_is_an_alarm_in_the_log() -> None:
    border, _, _ = secure_outside()
    border.border.core.milestones.clear()
    border.border.relay_srtp_failed(border.plans[-1][1].call, "b")
    ((level, event, call, fields),) = border.border.core.milestones
    assert (level, event, fields) == (30, "media.srtp_failed", {"side": "b"})
    assert call in border.border.calls
    assert border.border.core.counters["srtp_failed"] == 1


def test_nothing_stays_of_a_secure_call() -> None:
    border, success, _ = secure_outside()
    border.give(border.in_dialog(b"BYE", success, 2))
    bye = border.take_one(CARRIER[0])
    border.answer(bye, 200)
    border.assert_nothing_left()
