"""What the relay is told about a peer's media (RFC 3264, 3551, 3605)."""

from __future__ import annotations

from pathlib import Path

import pytest

from sbc.sdp.facts import UnsupportedMedia, check_offer, describe
from sbc.sdp.lines import Direction
from sbc.sdp.parser import parse

VECTORS = Path(__file__).parents[1] / "vectors" / "sdp"


def facts(name):
    return describe(parse((VECTORS / f"{name}.sdp").read_bytes()))


def offer(*lines):
    head = ["v=0", "o=- 1 1 IN IP4 10.66.0.1", "s=-"]
    return describe(parse("\r\n".join([*head, *lines, ""]).encode()))


def test_a_phone():
    (audio,) = facts("g711_phone")
    assert (audio.index, audio.kind, audio.form.proto) == (0, "audio", b"RTP/AVP")
    assert audio.remote == ("10.66.1.10", 31170)
    assert audio.remote_rtcp == ("10.66.1.10", 31171)
    assert audio.form.formats == [
        (0, b"PCMU", 8000),
        (8, b"PCMA", 8000),
        (101, b"telephone-event", 8000),
    ]
    assert audio.form.clock_rates == {0: 8000, 8: 8000, 101: 8000}
    assert audio.ptime_ms == 20
    assert (audio.anchored, audio.sends, audio.receives) == (True, True, True)
    assert (audio.port, audio.rtcp_mux) == (31170, False)


def test_static_payload_types_need_no_rtpmap():
    (audio,) = facts("g729_phone_no_rtpmap")
    assert audio.form.formats[:3] == [(18, b"G729", 8000), (0, b"PCMU", 8000), (9, b"G722", 8000)]


def test_a_dynamic_payload_type_without_rtpmap_has_no_clock():
    (audio,) = offer("c=IN IP4 10.66.0.1", "m=audio 31000 RTP/AVP 0 96 200 x")
    assert audio.form.formats == [(0, b"PCMU", 8000), (96, b"", 0)]
    assert audio.form.clock_rates == {0: 8000}


@pytest.mark.parametrize(
    ("media", "octets_per_s"),
    [
        ("m=audio 31000 RTP/AVP 0 8 9 18", 12_500),
        ("m=audio 31000 RTP/AVP 0 10", 176_400),
        ("m=audio 31000 RTP/AVP 11", 88_200),
        ("m=audio 31000 RTP/AVP 0 96\r\na=rtpmap:96 opus/48000/2", 63_750),
        ("m=audio 31000 RTP/AVP 96\r\na=rtpmap:96 l24/48000/6", 864_000),
        ("m=audio 31000 RTP/AVP 96", 192_000),
        ("m=video 31000 RTP/AVP 96", 250_000),
    ],
)
def test_what_the_widest_codec_needs(media, octets_per_s):
    assert offer("c=IN IP4 10.66.0.1", media)[0].form.octets_per_s == octets_per_s


def test_opus_and_the_port_above():
    assert facts("freeswitch")[0].form.clock_rates[102] == 48000
    assert facts("freeswitch")[0].remote_rtcp == ("10.66.3.7", 31385)


def test_rtcp_attribute():
    assert facts("ipv6")[0].remote == ("2001:db8:66::12", 31800)
    assert facts("ipv6")[0].remote_rtcp == ("2001:db8:66::13", 31901)
    media = "c=IN IP4 10.66.0.1", "m=audio 31000 RTP/AVP 0"
    assert offer(*media, "a=rtcp:31009")[0].remote_rtcp == ("10.66.0.1", 31009)
    assert offer(*media, "a=rtcp:31009 IN IP4 host.example")[0].remote_rtcp is None
    assert offer(*media, "a=rtcp:99999")[0].remote_rtcp == ("10.66.0.1", 31001)
    assert offer("a=rtcp:31009", *media)[0].remote_rtcp == ("10.66.0.1", 31001)
    assert offer(media[0], "m=audio 65535 RTP/AVP 0")[0].remote_rtcp is None


def test_the_medias_connection_goes_before_the_sessions():
    assert facts("video")[1].remote == ("10.66.8.2", 31202)
    assert facts("talkative")[0].remote == ("10.66.10.2", 31002)


@pytest.mark.parametrize(
    ("line", "direction"),
    [
        ("a=sendrecv", Direction.SENDRECV),
        ("a=sendonly", Direction.SENDONLY),
        ("a=recvonly", Direction.RECVONLY),
        ("a=inactive", Direction.INACTIVE),
    ],
)
def test_direction(line, direction):
    connection, media = "c=IN IP4 10.66.0.1", "m=audio 31000 RTP/AVP 0"
    of_session, of_media = offer(connection, line, media)[0], offer(connection, media, line)[0]
    other = "a=inactive" if direction else "a=sendrecv"
    overridden = offer(connection, other, media, line)[0]
    for found in (of_session, of_media, overridden):
        assert found.direction is direction
        assert found.sends == line.startswith(("a=sendr", "a=sendo"))
        assert found.receives == line.startswith(("a=sendr", "a=recv"))


def test_hold_in_both_spellings():
    assert facts("hold_by_direction")[0].receives is False
    assert facts("hold_by_direction")[0].remote == ("10.66.7.1", 31700)
    for name, direction in (
        ("hold_by_address", Direction.SENDONLY),
        ("hold_ipv6", Direction.INACTIVE),
    ):
        (audio,) = facts(name)
        assert audio.remote is None
        assert audio.remote_rtcp is None
        assert audio.direction is direction
        assert audio.anchored
        assert not audio.receives


@pytest.mark.parametrize(
    "connection",
    [
        "c=IN IP4 host.example",
        "c=IN IP4 224.2.36.42/127",
        "c=IN IP6 ff15::101/3",
        "c=IN IP4 255.255.255.255",
        "c=IN IP4 10.66.0.300",
        "c=IN IP4 010.66.0.1",
        "c=IN IP4 0.1.2.3",
        "c=IN IP6 fe80::1%eth0",
        "c=IN IP6 2001:db8:::1",
        "c=IN IP4",
        "c=",
        "a=x",
    ],
)
def test_an_address_that_packets_must_not_go_to_is_none(connection):
    (audio,) = offer(connection, "m=audio 31000 RTP/AVP 0")
    assert audio.remote is None
    assert audio.anchored
    assert audio.direction is Direction.SENDRECV


def test_bandwidth():
    assert facts("amr_ims")[0].bandwidth_bps == 41_000
    assert [media.bandwidth_bps for media in facts("video")] == [
        64_000,
        1_024_000,
        1_152_000,
        1_152_000,
    ]
    both = offer("m=audio 31000 RTP/AVP 0", "b=TIAS:60000", "b=AS:80")
    assert both[0].bandwidth_bps == 60_000
    assert facts("g711_phone")[0].bandwidth_bps == 0


def test_rtcp_mux_is_seen():
    assert [media.rtcp_mux for media in facts("browser")] == [True, False]


def test_what_is_anchored():
    assert [media.anchored for media in facts("video")] == [True, True, False, True]
    assert [media.anchored for media in facts("rejected_in_the_middle")] == [True, False, True]
    assert [media.port == 0 for media in facts("rejected_in_the_middle")] == [False, True, False]
    assert not offer("m=audio 31000 RTP/AVP")[0].anchored
    assert not offer("m=pbx.internal 31000 RTP/AVP 0")[0].anchored


@pytest.mark.parametrize("name", ["secure_trunk", "browser"])
def test_secure_media_is_refused_with_488(name):
    with pytest.raises(UnsupportedMedia, match="SAVP") as refused:
        check_offer(facts(name))
    assert refused.value.status == 488


def test_no_stream_is_refused_with_488():
    with pytest.raises(UnsupportedMedia, match="udptl"):
        check_offer(facts("t38_reinvite"))
    with pytest.raises(UnsupportedMedia, match="none enabled"):
        check_offer(offer("m=audio 0 RTP/AVP 0"))
    with pytest.raises(UnsupportedMedia, match="none enabled"):
        check_offer(offer())


@pytest.mark.parametrize("name", ["best_effort_srtp", "audio_and_t38", "video", "hold_by_address"])
def test_one_plain_stream_is_enough(name):
    check_offer(facts(name))


def test_a_secure_kind_without_a_plain_one_is_refused_beside_others():
    with pytest.raises(UnsupportedMedia, match="video offered only as RTP/SAVPF"):
        check_offer(offer("m=audio 31000 RTP/AVP 0", "m=video 31002 RTP/SAVPF 97"))
