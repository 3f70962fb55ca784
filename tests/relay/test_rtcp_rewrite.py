"""RTCP compounds: read whole, built anew (RFC 3550 §6, Appendix A.2)."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import ParseError
from relay.rtp import rtcp
from relay.rtp.numbering import Numbering

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
        assert rtcp.rewrite(crossed, rtcp.Terms(lambda theirs: theirs)) == crossed


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


NUMBERING = Numbering(1, 0xAAAA, 100, 5000)
BACK = Numbering(0x55, 0xBBBB, 0xFFF0, 1)
RENAMED = rtcp.Terms(
    ours,
    source={1: NUMBERING}.get,
    target={0xBBBB: (BACK, 0x2FFF8)}.get,
)


def test_a_senders_report_is_brought_to_the_numbers_of_the_other_side():
    expected = struct.pack("!BBHIIIIII", 0x80, 200, 6, 0xAAAA, 2, 3, 5004, 5, 6)
    assert rtcp.rewrite(SR, RENAMED) == expected
    counted = replace(RENAMED, sent=(70, 80))
    assert rtcp.rewrite(SR, counted)[-8:] == struct.pack("!II", 70, 80)
    last = SR[:16] + b"\xff\xff\xff\xff" + SR[20:]
    assert rtcp.rewrite(last, RENAMED)[16:20] == struct.pack("!I", 4999)


def test_another_sources_report_keeps_its_numbers_or_stays_behind():
    other = SR[:4] + struct.pack("!I", 2) + SR[8:]
    assert rtcp.rewrite(other, RENAMED) == other
    assert rtcp.rewrite(other, replace(RENAMED, sent=(1, 1))) == b""


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        (0xFFE8, 0x2FFF8),  # the numbers that the peer was sent are 16 below
        (0x1FFE8, 0x2FFF8),  # its cycles are its own: it may have come later
        (0xFFF8, 0x30008),
        (0x8, 0x30018),
    ],
)
def test_a_report_block_is_brought_back_to_the_senders_numbers(told, meant):
    block = struct.pack("!IIIIII", 0xBBBB, 7, told, 6, 5, 4)
    report = struct.pack("!BBHI", 0x81, 201, 7, 9) + block
    expected = struct.pack("!IIIIII", 0x55, 7, meant, 6, 5, 4)
    assert rtcp.rewrite(report, RENAMED) == report[:8] + expected


def test_descriptions_and_goodbyes_name_the_source_as_the_other_side_knows_it():
    crossed = rtcp.rewrite(sdes((1, [(1, b"cn")]), (2, [(1, b"cn")])), RENAMED)
    assert crossed == sdes((0xAAAA, [(1, b"ours-nc")]), (2, [(1, b"ours-nc")]))
    bye = struct.pack("!BBHII", 0x82, 203, 2, 1, 2)
    assert rtcp.rewrite(bye, RENAMED) == struct.pack("!BBHII", 0x82, 203, 2, 0xAAAA, 2)
    assert rtcp.rewrite(bye, replace(RENAMED, sent=(1, 1))) == b""
    assert rtcp.rewrite(bye, replace(RENAMED, bye=False)) == b""


def test_feedback_is_about_the_numbers_that_its_reader_gave():
    nack = struct.pack("!BBHIIHH", 0x81, 205, 3, 1, 0xBBBB, 0xFFF5, 3)
    crossed = struct.pack("!BBHIIHH", 0x81, 205, 3, 0xAAAA, 0x55, 5, 3)
    assert rtcp.rewrite(nack, RENAMED) == crossed
    other = struct.pack("!BBHIIHH", 0x81, 205, 3, 3, 4, 0xFFF5, 3)
    assert rtcp.rewrite(other, RENAMED) == other


def test_app_crosses_where_it_may():
    app = struct.pack("!BBHI4s", 0x80, 204, 2, 1, b"name")
    assert rtcp.rewrite(app, TERMS) == b""
    assert rtcp.rewrite(app, rtcp.Terms(ours, app=True)) == app
    with pytest.raises(ParseError):
        rtcp.rewrite(struct.pack("!BBHI", 0x80, 204, 1, 1), rtcp.Terms(ours, app=True))


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_a_compound_or_a_parse_error_whatever_the_terms(data, counted):
    anything = Numbering(1, 2, 0xFFFF, 0xFFFFFFFF)
    terms = rtcp.Terms(
        ours,
        app=True,
        source=lambda ssrc: anything,
        target=lambda ssrc: (anything, 3),
        sent=(1 << 40, 1 << 40) if counted else None,
    )
    for given_data in (data, b"\x81\xcd\x00\x04" + data[:16].ljust(16), SR + data):
        try:
            crossed = rtcp.rewrite(given_data, terms)
        except ParseError:
            continue
        assert len(crossed) % 4 == 0
