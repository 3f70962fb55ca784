"""RTCP on the RTP port of either side (RFC 5761), and RTCP about media that changed on the way."""

from __future__ import annotations

import struct
import time
from dataclasses import replace

import pytest

from relay.control.messages import Srtp
from relay.rtp import rtcp
from relay.rtp.srtp import new_session
from tests.relay.rig import Talk, rtp
from tests.relay.srtp_tools import key_of, sealed, sealed_rtcp, sender_report


def above(address: tuple[str, int]) -> tuple[str, int]:
    return address[0], address[1] + 1


def reception_report(ssrc: int, about: int, highest: int) -> bytes:
    block = struct.pack("!IIIIII", about, 7, highest, 6, 5, 4)
    return struct.pack("!BBHI", 0x81, 201, 7, ssrc) + block


def head(reports: list[bytes]) -> list[bytes]:
    """SRs without the SDES behind them."""
    return [one[:28] for one in reports]


# rtcp-mux


@pytest.mark.parametrize("mux_a", [False, True])
@pytest.mark.parametrize("mux_b", [False, True])
def test_rtcp_goes_where_each_side_has_it(rig, mux_a, mux_b):
    talk = Talk(rig, a={"rtcp_mux": mux_a}, b={"rtcp_mux": mux_b})
    a, to_a = (talk.a, talk.to_a) if mux_a else (talk.a_rtcp, above(talk.to_a))
    b, to_b = (talk.b, talk.to_b) if mux_b else (talk.b_rtcp, above(talk.to_b))
    for number in range(4):
        talk.a.send(rtp(number), talk.to_a)
        talk.b.send(rtp(number), talk.to_b)
        a.send(sender_report(1, number), to_a)
        b.send(sender_report(2, number), to_b)
        rig.run()
    for socket, source, ssrc, other in ((a, to_a, 2, talk.a), (b, to_b, 1, talk.b)):
        got = socket.all()
        reports = [(one, where) for one, where in got if one[1] == 200]
        assert [one[:28] for one, _ in reports] == [sender_report(ssrc, n)[:28] for n in range(4)]
        assert {where for _, where in reports} == {source}
        media = got if socket is other else other.all()
        assert [one for one, _ in media if one[1] != 200] == [rtp(n) for n in range(4)]
    assert rig.stats(side="a").rtcp_packets == rig.stats(side="b").rtcp_packets == 4
    assert rig.dropped("a") == rig.dropped("b") == {}


def test_with_mux_nothing_is_believed_on_the_rtcp_port(rig):
    talk = Talk(rig, a={"rtcp_mux": True, "nat": True, "latch_any": True})
    talk.a_rtcp.send(sender_report(), above(talk.to_a))
    rig.run()
    assert talk.b_rtcp.received() == []
    assert rig.dropped("a") == {"wrong_source": 1}


def test_without_mux_rtcp_on_the_rtp_port_is_dropped(rig):
    talk = Talk(rig, b={"rtcp_mux": True})
    talk.a.send(sender_report(), talk.to_a)
    rig.run()
    assert talk.b.received() == []
    assert rig.dropped("a") == {"rtcp_on_rtp": 1}


def test_muxed_rtcp_of_strangers_does_not_cross(rig):
    talk, stranger = Talk(rig, a={"rtcp_mux": True}), rig.peer("127.0.6.3")
    for latched in (False, True):
        stranger.send(sender_report(), talk.to_a)
        stranger.send(b"\x80\xcb\x00\x00", talk.to_a)  # BYE
        rig.run()
        if not latched:
            talk.both_speak()
            talk.b.received()
    assert talk.b.received() == talk.b_rtcp.received() == []
    assert rig.dropped("a") == {"wrong_source": 4}


def test_muxed_rtcp_alone_finds_the_peer_behind_nat(rig):
    """One transport, one latch: whoever sends RTCP first gets RTP there."""
    talk = Talk(rig, a={"rtcp_mux": True, "nat": True})
    other = rig.peer("127.0.6.1")
    other.send(sender_report(), talk.to_a)
    rig.run()
    talk.b.send(rtp(1), talk.to_b)
    talk.b_rtcp.send(sender_report(7), above(talk.to_b))
    rig.run()
    got = other.received()
    assert rtp(1) in got
    assert sender_report(7)[:28] in head(got)
    assert talk.a.received() == talk.a_rtcp.received() == []


def test_payload_types_that_look_like_rtcp_are_rtcp_with_mux(rig):
    talk = Talk(rig, a={"rtcp_mux": True, "clock_rates": {72: 8000}})
    talk.a.send(rtp(1, payload_type=72, marker=True), talk.to_a)
    rig.run()
    assert talk.b.received() == []


def test_muxed_srtcp_is_decrypted(rig):
    suite = "AES_CM_128_HMAC_SHA1_32"
    keys = [Srtp(suite, key_of(suite, n)) for n in (1, 2)]
    talk = Talk(rig, a={"rtcp_mux": True, "srtp_in": keys[0], "srtp_out": keys[1]})
    says, hears = (new_session(suite, key.key) for key in keys)
    talk.a.send(sealed(says, rtp(1)), talk.to_a)
    talk.a.send(sealed_rtcp(says, sender_report()), talk.to_a)
    talk.a.send(sender_report(), talk.to_a)
    talk.b_rtcp.send(sender_report(8), above(talk.to_b))
    rig.run()
    assert talk.b.received() == [rtp(1)]
    assert head(talk.b_rtcp.received()) == [sender_report()[:28]]
    assert head([hears.unprotect_rtcp(one) for one in talk.a.received()]) == [sender_report(8)[:28]]
    assert rig.dropped("a") == {"srtp_auth": 1}


def test_mux_may_be_agreed_on_later(rig):
    talk = Talk(rig)
    talk.a_rtcp.send(sender_report(), above(talk.to_a))
    rig.run()
    assert len(talk.b_rtcp.received()) == 1
    talk.end_a = replace(talk.end_a, rtcp_mux=True)
    talk.end_b = replace(talk.end_b, rtcp_mux=True)
    talk.apply()
    talk.a.send(sender_report(), talk.to_a)
    talk.b.send(sender_report(), talk.to_b)
    rig.run()
    assert (len(talk.b.received()), len(talk.a.received())) == (1, 1)


# policy


def test_bye_crosses_unless_the_plan_says_no(rig):
    talk = Talk(rig, b={"rtcp_bye": False})
    bye = struct.pack("!BBHI", 0x81, 203, 1, 9)
    for _ in range(2):
        talk.a_rtcp.send(bye, above(talk.to_a))
        talk.b_rtcp.send(bye, above(talk.to_b))
        rig.run()
    assert talk.b_rtcp.received() == [bye] * 2
    assert talk.a_rtcp.received() == []
    assert rig.dropped("b") == {"rtcp_empty": 2}


def test_app_crosses_only_where_the_plan_says_so(rig):
    talk = Talk(rig, a={"rtcp_app": True})
    app = struct.pack("!BBHI4s4s", 0x80, 204, 3, 1, b"name", b"data")
    talk.a_rtcp.send(app, above(talk.to_a))
    talk.b_rtcp.send(app, above(talk.to_b))
    rig.run()
    assert talk.b_rtcp.received() == [app]
    assert talk.a_rtcp.received() == []


# numbers that have changed


def test_reports_have_the_numbers_that_their_reader_knows(rig):
    talk = Talk(rig, b={"continuity": True})
    for number in range(1, 4):
        talk.a.send(rtp(number, timestamp=number), talk.to_a)
        rig.run()
    for number in range(500, 503):  # another source
        talk.a.send(rtp(number, ssrc=9, timestamp=number), talk.to_a)
        rig.run()
    sequence, timestamp, ssrc = struct.unpack_from("!xxHII", talk.b.received()[-1])
    assert (sequence, ssrc) == (6, 0x1234)

    talk.a_rtcp.send(sender_report(9, 3, 502), above(talk.to_a))
    rig.run()
    report = talk.b_rtcp.received()[0]
    assert struct.unpack_from("!xxxxIIIIII", report) == (0x1234, 1, 2, timestamp, 6, 6 * 160)

    talk.b_rtcp.send(reception_report(77, 0x1234, 6), above(talk.to_b))
    rig.run()
    assert talk.a_rtcp.received() == [reception_report(77, 9, 502)]


def test_what_a_former_source_says_of_itself_does_not_cross_with_continuity(rig):
    talk = Talk(rig, b={"continuity": True})
    for packet in (rtp(1), rtp(2), rtp(500, ssrc=9)):
        talk.a.send(packet, talk.to_a)
        rig.run()
    bye = struct.pack("!BBHI", 0x81, 203, 1, 9)
    for data in (sender_report(0x1234)[:28], bye):
        talk.a_rtcp.send(data, above(talk.to_a))
        rig.run()
    assert talk.b_rtcp.received() == []
    assert rig.dropped("a") == {"rtcp_empty": 2}


def test_feedback_names_what_its_reader_has_sent(rig):
    talk = Talk(rig, b={"continuity": True})
    for packet in (rtp(1), rtp(2), rtp(500, ssrc=9), rtp(501, ssrc=9)):
        talk.a.send(packet, talk.to_a)
        rig.run()
    nack = struct.pack("!BBHIIHH", 0x81, 205, 3, 77, 0x1234, 4, 1)
    fir = struct.pack("!BBHIIIBxxx", 0x84, 206, 4, 77, 0, 0x1234, 5)
    for data in (nack, fir):
        talk.b_rtcp.send(data, above(talk.to_b))
        rig.run()
    assert talk.a_rtcp.received() == [
        struct.pack("!BBHIIHH", 0x81, 205, 3, 77, 9, 501, 1),
        struct.pack("!BBHIIIBxxx", 0x84, 206, 4, 77, 0, 9, 5),
    ]


def test_one_name_for_all_sources_with_continuity(rig):
    talk = Talk(rig, b={"continuity": True})
    talk.a.send(rtp(1, ssrc=1), talk.to_a)
    rig.run()
    talk.a_rtcp.send(sender_report(1), above(talk.to_a))
    rig.run()
    talk.a.send(rtp(1, ssrc=2), talk.to_a)
    rig.run()
    talk.a_rtcp.send(sender_report(2).replace(b"name", b"eman"), above(talk.to_a))
    rig.run()
    first, second = (rtcp.packets(one)[1][2] for one in talk.b_rtcp.received())
    assert first == second


def test_silence_is_told_by_muxed_rtcp_too(rig):
    """A held peer sends RTCP alone: that is a sign of life."""
    talk = Talk(rig, a={"rtcp_mux": True})
    talk.a.send(sender_report(), talk.to_a)
    rig.run()
    assert time.monotonic() - rig.service.calls["call"].lanes[2].heard < 1.0
