"""The RTP header, and telling protocols apart (RFC 3550 §5.1, RFC 7983)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import ParseError
from relay.rtp.packet import Header, Kind, classify, parse
from tests.relay.rig import rtp


def test_a_plain_header():
    assert parse(rtp(7, ssrc=9, payload_type=8, marker=True)) == Header(True, 8, 7, 1120, 9, 12, 0)


def test_csrc_extension_and_padding():
    packet = b"\xb1\x00" + rtp(1)[2:12] + b"csrc" + b"\xbe\xde\x00\x01" + bytes(4) + b"pay\0\0\x03"
    header = parse(packet)
    assert (header.size, header.padding) == (24, 3)


@pytest.mark.parametrize(
    "data",
    [b"", bytes(11), bytes(12), b"\x8f" + bytes(20), b"\x90" + bytes(12), b"\xa0" + bytes(12)],
)
def test_what_is_no_rtp(data):
    with pytest.raises(ParseError):
        parse(data)


@given(st.binary(max_size=64))
def test_parse_is_total(data):
    try:
        header = parse(data)
    except ParseError:
        return
    assert header.size + header.padding <= len(data)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (rtp(1), Kind.RTP),
        (b"\x80\xc8\x00\x01", Kind.RTCP),
        (b"\x00\x01\x00\x00", Kind.STUN),
        (b"\x16\xfe\xff\x00", Kind.DTLS),
        (b"\x40\x00\x00\x00", Kind.OTHER),
        (b"\xff\x00\x00\x00", Kind.OTHER),
        (b"\x80\x00\x00", Kind.OTHER),
        (rtp(1)[:11], Kind.OTHER),
        (b"", Kind.OTHER),
    ],
)
def test_classification(data, kind):
    assert classify(data) == kind
