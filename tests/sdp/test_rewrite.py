"""Nothing of one side reaches the other (RFC 5853 §3.1), and no m-line moves (RFC 3264 §6)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.errors import LocalProtocolError
from sbc.sdp.parser import parse
from sbc.sdp.rewrite import Anchor, content, whole

VECTORS = sorted((Path(__file__).parents[1] / "vectors" / "sdp").glob("*.sdp"))
MARKERS = re.compile(
    rb"10[.]66[.]|2001:db8:66|inside[.]example|\b31[0-9]{3}\b|marker|127\.0\.0\.1|6f1a0e4c", re.I
)


def ours(session, host="192.0.2.1"):
    return [Anchor(host, 40_000 + 2 * index) for index in range(len(session.media))]


def rewrite(session, anchors, offer=None):
    return whole(content(session, anchors, "192.0.2.1", offer), 42, 7, "192.0.2.1")


def rewritten(*lines, anchors=None, offer=None):
    head = ["v=0", "o=- 1 1 IN IP4 10.66.0.1", "s=-"]
    session = parse("\r\n".join([*head, *lines, ""]).encode())
    return rewrite(session, anchors or ours(session), offer).decode().split("\r\n")[:-1]


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_no_marker_of_the_peer_crosses(path):
    data = path.read_bytes()
    assert MARKERS.search(data)
    session = parse(data)
    out = rewrite(session, ours(session))
    assert not MARKERS.search(out)
    again = parse(out)
    assert [media.kind for media in again.media] == [media.kind for media in session.media]
    assert again.origin.address == b"192.0.2.1"


def test_a_phone_word_for_word():
    session = parse((VECTORS[0].parent / "g711_phone.sdp").read_bytes())
    assert rewrite(session, ours(session)) == (
        b"v=0\r\no=- 42 7 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
        b"m=audio 40000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
        b"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"
    )


def test_what_must_cross_does():
    session = parse((VECTORS[0].parent / "talkative.sdp").read_bytes())
    out = rewrite(session, ours(session)).decode().split("\r\n")
    assert out == [
        "v=0",
        "o=- 42 7 IN IP4 192.0.2.1",
        "s=-",
        "c=IN IP4 192.0.2.1",
        "b=AS:80",
        "t=3034423619 3042462419",
        "y=plain",
        "a=cat:plain",
        "a=charset:ISO-8859-1",
        "a=sdplang:en",
        "a=x-version:1.0",
        "m=audio 40000 RTP/AVP 0 96",
        "a=rtpmap:96 vnd.example.codec/8000",
        "a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt",
        "a=zrtp-hash:1.10 fe30efd02423cb054e50efd0248742ac7a52c8f91bc2df881ae642c371ba46df",
        "a=label:1",
        "a=lang:en",
        "",
    ]


def test_order_is_that_of_the_rfc_whatever_the_peers_was():
    out = rewritten("a=x", "t=1 2", "b=AS:64", "c=IN IP4 10.66.0.1", "m=audio 31000 RTP/AVP 0")
    assert [line[:2] for line in out] == ["v=", "o=", "s=", "c=", "b=", "t=", "a=", "m="]


def test_a_missing_time_is_added():
    assert "t=0 0" in rewritten("m=audio 31000 RTP/AVP 0")


def test_ipv6_and_mixed_anchors():
    out = rewritten(
        "m=audio 31000 RTP/AVP 0",
        "m=video 31002 RTP/AVP 34",
        anchors=[Anchor("2001:db8::1", 5000), Anchor("192.0.2.1", 6000)],
    )
    assert out[3:] == [
        "c=IN IP6 2001:db8::1",
        "t=0 0",
        "m=audio 5000 RTP/AVP 0",
        "m=video 6000 RTP/AVP 34",
        "c=IN IP4 192.0.2.1",
    ]


def test_rejected_disabled_and_unknown_m_lines_stay_in_their_place():
    out = rewritten(
        "m=audio 31000 RTP/AVP 0",
        "a=ptime:20",
        "m=video 0 RTP/AVP 34",
        "a=x",
        "m=image 31004 udptl t38",
        "a=T38FaxVersion:0",
        "m=audio 31006 RTP/AVP 8",
        "a=ptime:30",
        "m=message 31008 TCP/MSRP *",
        "m=pbx.internal 31010 RTP/AVP 0",
        anchors=[None, *[Anchor("192.0.2.1", 5000)] * 5],
    )
    assert out[5:] == [
        "m=audio 0 RTP/AVP 0",
        "m=video 0 RTP/AVP 34",
        "m=image 0 udptl t38",
        "m=audio 5000 RTP/AVP 8",
        "a=ptime:30",
        "m=message 0 TCP/MSRP *",
        "m=application 0 RTP/AVP 0",
    ]


def test_an_m_line_without_formats_is_given_one():
    assert rewritten("m=audio 31000 RTP/AVP")[5:] == ["m=audio 0 RTP/AVP 0"]


def test_only_payload_types_go_into_an_rtp_m_line():
    assert rewritten("m=audio 31000/2 RTP/AVP 0 pbx.internal 8")[5:] == [
        "m=audio 40000 RTP/AVP 0 8"
    ]


@pytest.mark.parametrize(
    ("session_line", "media_line", "direction"),
    [
        ("a=x", "a=x", "a=sendonly"),
        ("a=x", "a=sendrecv", "a=sendonly"),
        ("a=x", "a=recvonly", "a=inactive"),
        ("a=recvonly", "a=x", "a=inactive"),
        ("a=inactive", "a=sendonly", "a=sendonly"),
    ],
)
@pytest.mark.parametrize("address", ["IN IP4 0.0.0.0", "IN IP6 ::"])
def test_hold_by_address_becomes_hold_by_direction(session_line, media_line, direction, address):
    out = rewritten(
        f"c={address}", session_line, "m=audio 31000 RTP/AVP 0", media_line, "a=ptime:20"
    )
    media = out[out.index("m=audio 40000 RTP/AVP 0") :]
    assert media[-1] == direction
    assert "a=ptime:20" in media
    assert sum(line[2:] in ("sendrecv", "sendonly", "recvonly", "inactive") for line in media) == 1


def test_an_answer_speaks_of_the_kinds_and_protocols_of_the_offer():
    offer = parse(
        b"v=0\r\no=- 1 1 IN IP4 10.66.0.1\r\nm=audio 31000 RTP/AVPF 0\r\nm=video 31002 RTP/AVP 34"
        b"\r\nm=image 31004 udptl t38\r\nm=audio 0 RTP/AVP 8\r\n"
    )
    out = rewritten(
        "m=audio 31000 RTP/AVP 0",
        "m=audio 31002 RTP/AVP 0",
        "m=audio 0 RTP/AVP 0",
        "m=audio 31006 RTP/AVP 8",
        offer=offer,
    )
    assert out[5:] == [
        "m=audio 40000 RTP/AVPF 0",
        "m=video 0 RTP/AVP 34",
        "m=image 0 udptl t38",
        "m=audio 0 RTP/AVP 8",
    ]


def test_anchors_and_m_lines_must_agree():
    session = parse(b"v=0\r\no=- 1 1 IN IP4 10.66.0.1\r\nm=audio 31000 RTP/AVP 0\r\n")
    other = parse(b"v=0\r\no=- 1 1 IN IP4 10.66.0.1\r\n")
    with pytest.raises(LocalProtocolError):
        rewrite(session, [])
    with pytest.raises(LocalProtocolError):
        rewrite(session, [None], other)


HOSTS = [
    "10.66.3.4",
    "2001:db8:66::9",
    "[2001:db8:66::9]",
    "2001:db8:66:0:1:2:3:4",
    "pbx.inside.example",
    "PBX.Inside.Example.",
    "http://marker-pbx",
    "alice@marker-pbx",
]
NAMES = (
    "rtpmap",
    "fmtp",
    "ptime",
    "rtcp",
    "rtcp-fb",
    "extmap",
    "mid",
    "label",
    "tool",
    "candidate",
    "crypto",
    "ssrc",
    "x-foo",
    "group",
    "sendrecv",
)
_host = st.sampled_from(HOSTS)
_glue = st.text(alphabet="abcxyz0189 =;,:/-_<>\"'()[]", max_size=6)
_line = st.one_of(
    st.builds("{}={}{}{}".format, st.sampled_from("abtyxuepirzkcs"), _glue, _host, _glue),
    st.builds("a={}:{}{}{}".format, st.sampled_from(NAMES), _glue, _host, _glue),
    st.builds("a={}:{} marker-pbx:31060".format, st.sampled_from(NAMES), _glue),
    st.builds("b={}:{}".format, _glue, _host),
)
_media = st.builds(
    lambda kind, port, proto, formats, lines: [f"m={kind} {port} {proto} {formats}", *lines],
    st.one_of(
        st.sampled_from(["audio", "video", "image"]), st.sampled_from(["pbx.inside.example"])
    ),
    st.sampled_from([0, 31000, 31999, "31000/2"]),
    st.sampled_from(["RTP/AVP", "RTP/AVPF", "RTP/SAVP", "udptl", "x.inside.example"]),
    st.sampled_from(["0", "0 8", "0 pbx.inside.example", "t38", "pbx.inside.example", ""]),
    st.lists(_line, max_size=6),
)


@given(st.lists(_line, max_size=6), st.lists(_media, max_size=5), st.integers(0, 31))
def test_no_host_and_no_port_crosses_and_no_m_line_is_lost(session_lines, media, rejected):
    media_lines = [line for lines in media for line in lines]
    lines = ["v=0", "o=marker 1 1 IN IP4 10.66.0.1", *session_lines, *media_lines, ""]
    session = parse("\r\n".join(lines).encode())
    anchors = [
        None if rejected >> index & 1 else Anchor("192.0.2.1", 5000) for index in range(len(media))
    ]
    out = rewrite(session, anchors)
    assert not MARKERS.search(out)
    again = parse(out)
    assert len(again.media) == len(media)
    for media_out, media_in, anchor in zip(again.media, session.media, anchors, strict=True):
        assert media_out.port in ((0,) if anchor is None or media_in.port == 0 else (0, 5000))
    assert rewrite(again, anchors) == out
