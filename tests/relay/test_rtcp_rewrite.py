"""RTCP compounds: read whole, built anew (RFC 3550 §6, Appendix A.2)."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import ParseError
from relay.rtp import rtcp

SR = struct.pack("!BBHIIIIII", 0x80, 200, 6, 1, 2, 3, 4, 5, 6)
RR_BLOCK = struct.pack("!IIIIII", 9, 8, 7, 6, 5, 4)
RR = struct.pack("!BBHI", 0x81, 201, 7, 1) + RR_BLOCK


def ours(theirs: bytes) -> bytes:
    return b"ours-" + theirs[::-1]


TERMS = rtcp.Terms(ours)


def sdes(*chunks: tuple[int, list[tuple[int, bytes]]]) -> bytes:
    body = b""
    for ssrc, items in chunks:
        chunk = struct.pack("!I", ssrc)
        chunk += b"".join(bytes((kind, len(text))) + text for kind, text in items)
        body += chunk + bytes(4 - len(chunk) % 4)
    return struct.pack("!BBH", 0x80 | len(chunks), 202, len(body) // 4) + body


def test_reports_cross_as_they_are():
    assert rtcp.rewrite(SR + RR, TERMS) == SR + RR


def test_profile_specific_extensions_stay_behind():
    longer = struct.pack("!BBHI", 0x81, 201, 8, 1) + RR_BLOCK + b"leak"
    assert rtcp.rewrite(longer, TERMS) == RR


@pytest.mark.parametrize("size", range(9))
def test_cname_is_replaced_whatever_its_length(size):
    theirs = b"c" * size
    crossed = rtcp.rewrite(SR + sdes((5, [(1, theirs), (2, b"Alice")])), TERMS)
    assert crossed == SR + sdes((5, [(1, ours(theirs))]))


def test_every_other_item_and_chunks_without_cname_are_left_out():
    chunks = [
        (5, [(2, b"name"), (3, b"mail"), (1, b"cn"), (4, b"tel"), (8, b"\x01ppriv")]),
        (6, [(7, b"note")]),
        (7, [(1, b"second")]),
    ]
    crossed = rtcp.rewrite(sdes(*chunks), TERMS)
    assert crossed == sdes((5, [(1, b"ours-nc")]), (7, [(1, b"ours-dnoces")]))
    assert rtcp.rewrite(sdes((6, [(7, b"note")])), TERMS) == b""


def test_bye_crosses_without_its_reason():
    bye = struct.pack("!BBHI", 0x81, 203, 3, 1) + b"\x07goodbye"
    assert rtcp.rewrite(bye, TERMS) == struct.pack("!BBHI", 0x81, 203, 1, 1)


def test_feedback_crosses_unless_it_is_the_applications():
    pli = struct.pack("!BBHII", 0x81, 206, 2, 1, 2)
    nack = struct.pack("!BBHIII", 0x81, 205, 3, 1, 2, 3)
    remb = struct.pack("!BBHII4sI", 0x8F, 206, 4, 1, 0, b"REMB", 0)
    assert rtcp.rewrite(pli + nack + remb, TERMS) == pli + nack


@pytest.mark.parametrize("kind", [192, 204, 207, 208, 223])
def test_app_xr_and_unknown_types_stay_behind(kind):
    packet = struct.pack("!BBHI4s", 0x80, kind, 2, 1, b"data")
    assert rtcp.rewrite(SR + packet, TERMS) == SR


def test_padding_is_taken_off():
    padded = struct.pack("!BBHI", 0xA1, 201, 8, 1) + RR_BLOCK + b"\0\0\0\x04"
    assert rtcp.rewrite(padded, TERMS) == RR


@pytest.mark.parametrize(
    "data",
    [
        b"",
        SR[:-1],
        SR + b"\x80\xc8",
        b"\x40" + SR[1:],
        b"\x82" + SR[1:],
        b"\xa0" + SR[1:] + RR,
        b"\xa0" + SR[1:-1] + b"\x03",
        b"\xa0" + SR[1:-1] + b"\xfc",
        struct.pack("!BBHI", 0x81, 202, 1, 5),
        struct.pack("!BBHIBB2s", 0x81, 202, 2, 5, 1, 9, b"ab"),
        struct.pack("!BBHI4s", 0x81, 202, 2, 5, b"\x01\x02ab"),
        struct.pack("!BBHI", 0x82, 203, 1, 5),
        struct.pack("!BBHI", 0x81, 205, 1, 5),
        SR * 80,
    ],
)
def test_what_is_malformed_is_dropped_whole(data):
    with pytest.raises(ParseError):
        rtcp.rewrite(data, TERMS)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_compound_or_a_parse_error(data):
    try:
        crossed = rtcp.rewrite(data, TERMS)
    except ParseError:
        return
    assert len(crossed) % 4 == 0
    if crossed:
        assert rtcp.rewrite(crossed, lambda theirs: theirs) == crossed


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**32 - 1),
            st.lists(st.tuples(st.integers(1, 8), st.binary(max_size=60)), max_size=5),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_description_crosses_with_cnames_alone(chunks):
    crossed = rtcp.rewrite(SR + sdes(*chunks), TERMS)
    names = [
        (ssrc, [(1, ours(next(text for kind, text in items if kind == 1)))])
        for ssrc, items in chunks
        if any(kind == 1 for kind, _ in items)
    ]
    assert crossed == SR + (sdes(*names) if names else b"")
