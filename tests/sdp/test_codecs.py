"""Codec policy, payload types and G.711 conversion between two legs (RFC 3264, RFC 3551)."""

from __future__ import annotations

import pytest

from sbc.sdp.codecs import (
    CodecPolicy,
    Crossing,
    answered,
    conversions,
    formats_text,
    offered,
    payload_map,
)
from sbc.sdp.forms import FORMS, Form

ALL = CodecPolicy()
PHONE = (
    b" RTP/AVP 96 9 8 0 101",
    b"\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\na=rtpmap:101 telephone-event/8000"
    b"\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv",
)


def form(words: bytes, lines: bytes = b"") -> Form:
    return FORMS[b"audio", words, lines]


def names(crossings: list[Crossing]) -> list[bytes]:
    return [one.name for one in crossings]


def policy(**words: object) -> CodecPolicy:
    return CodecPolicy(**words)  # type: ignore[arg-type]


def test_without_a_policy_everything_crosses_as_it_is() -> None:
    crossings = offered(form(*PHONE), ALL, ALL)
    assert [(one.offerer, one.answerer) for one in crossings] == [
        (96, 96), (9, 9), (8, 8), (0, 0), (101, 101)
    ]  # fmt: skip


@pytest.mark.parametrize("which", ["here", "there"])
def test_a_codec_must_be_allowed_on_both_legs_and_events_stay(which: str) -> None:
    narrow = policy(allow=frozenset([b"PCMA", b"G722"]))
    here, there = (narrow, ALL) if which == "here" else (ALL, narrow)
    assert names(offered(form(*PHONE), here, there)) == [b"G722", b"PCMA", b"TELEPHONE-EVENT"]


def test_stripping_and_clock_rates() -> None:
    there = policy(strip=frozenset([b"OPUS/48000", b"TELEPHONE-EVENT"]))
    assert names(offered(form(*PHONE), ALL, there)) == [b"G722", b"PCMA", b"PCMU"]


def test_order_puts_the_named_first() -> None:
    there = policy(order=(b"PCMU", b"PCMA"))
    assert names(offered(form(*PHONE), ALL, there))[:3] == [b"PCMU", b"PCMA", b"OPUS"]


def test_a_single_codec_keeps_its_events() -> None:
    there = policy(order=(b"PCMA",), single=True)
    assert names(offered(form(*PHONE), ALL, there)) == [b"PCMA", b"TELEPHONE-EVENT"]


def test_events_alone_are_no_call() -> None:
    assert offered(form(*PHONE), ALL, policy(allow=frozenset([b"G729"]))) == []


def test_the_other_law_is_offered_where_nothing_else_is_left() -> None:
    crossings = offered(form(b" RTP/AVP 0"), ALL, policy(allow=frozenset([b"PCMA"])))
    assert [(one.name, one.offerer, one.answerer) for one in crossings] == [(b"PCMA", 0, 8)]
    taken = answered(crossings, form(b" RTP/AVP 8"), ALL)
    assert payload_map(taken, from_offerer=True) == {0: 8}
    assert payload_map(taken, from_offerer=False) == {8: 0}
    assert conversions(taken, from_offerer=True) == {0: b"PCMA"}
    assert conversions(taken, from_offerer=False) == {8: b"PCMU"}


def test_no_conversion_where_both_laws_are_offered() -> None:
    there = policy(allow=frozenset([b"PCMA"]))
    assert [one.converted for one in offered(form(b" RTP/AVP 0 8"), ALL, there)] == [False]


def test_an_answer_by_other_numbers_is_mapped_back() -> None:
    crossings = offered(form(*PHONE), ALL, ALL)
    answer = form(
        b" RTP/AVP 111 100",
        b"\r\na=rtpmap:111 OPUS/48000/2\r\na=rtpmap:100 telephone-event/8000\r\na=fmtp:100 0-15",
    )
    taken = answered(crossings, answer, ALL)
    assert payload_map(taken, from_offerer=True) == {96: 111, 101: 100}
    assert payload_map(taken, from_offerer=False) == {111: 96, 100: 101}
    types, rest = formats_text(answer, [(one.offerer, one) for one in taken], 0)
    assert types == b"96 101"
    assert b"\r\na=rtpmap:96 OPUS/48000/2" in rest
    assert b"\r\na=fmtp:101 0-15" in rest
    assert b"111" not in rest


def test_a_number_that_means_something_else_in_the_answer_is_told_by_its_name() -> None:
    crossings = offered(form(*PHONE), ALL, ALL)
    answer = form(b" RTP/AVP 8 96", b"\r\na=rtpmap:96 telephone-event/8000")
    taken = answered(crossings, answer, ALL)
    assert [(one.name, one.answered) for one in taken] == [(b"PCMA", 8), (b"TELEPHONE-EVENT", 96)]


def test_what_was_not_offered_is_passed_over_in_an_answer() -> None:
    crossings = offered(form(b" RTP/AVP 8"), ALL, ALL)
    assert names(answered(crossings, form(b" RTP/AVP 18 8 0"), ALL)) == [b"PCMA"]


def test_an_answer_that_takes_nothing_is_empty() -> None:
    assert answered(offered(form(b" RTP/AVP 8"), ALL, ALL), form(b" RTP/AVP 18"), ALL) == []


def test_an_answer_to_a_leg_of_a_single_codec_has_one() -> None:
    crossings = offered(form(*PHONE), ALL, ALL)
    taken = answered(crossings, form(*PHONE), policy(single=True))
    assert names(taken) == [b"OPUS", b"TELEPHONE-EVENT"]


def test_a_number_keeps_its_meaning_on_a_leg() -> None:
    known = [(96, b"AMR", 8000), (97, b"opus", 48000)]
    crossings = offered(form(*PHONE), ALL, ALL, known)
    numbers = {one.name: one.answerer for one in crossings}
    assert numbers[b"OPUS"] == 97
    other = offered(form(b" RTP/AVP 96", b"\r\na=rtpmap:96 iLBC/8000"), ALL, ALL, known)
    assert other[0].answerer == 98


def test_lines_of_formats_that_are_left_out_do_not_cross() -> None:
    phone = form(*PHONE)
    crossings = offered(phone, ALL, policy(allow=frozenset([b"PCMA"])))
    types, rest = formats_text(phone, [(one.answerer, one) for one in crossings], 30)
    assert types == b"8 101"
    assert rest == (
        b"\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=sendrecv\r\na=ptime:30"
    )


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"\r\na=maxptime:20", b"\r\na=maxptime:20\r\na=ptime:20"),
        (b"\r\na=ptime:20\r\na=maxptime:60", b"\r\na=maxptime:60\r\na=ptime:40"),
        (b"\r\na=maxptime:0", b"\r\na=maxptime:0\r\na=ptime:40"),
        (b"\r\na=maxptime:many", b"\r\na=maxptime:many\r\na=ptime:40"),
    ],
)
def test_no_more_is_asked_for_than_the_other_side_can_take(said: bytes, expected: bytes) -> None:
    """RFC 8866 §6.4: `a=ptime` is a recommendation; §6.5: `a=maxptime` a limit."""
    phone = form(b" RTP/AVP 0", said)
    crossings = offered(phone, ALL, ALL)
    _, rest = formats_text(phone, [(one.answerer, one) for one in crossings], 40)
    assert rest == expected


def test_a_converted_format_has_a_line_of_ours() -> None:
    phone = form(b" RTP/AVP 0", b"\r\na=rtpmap:0 PCMU/8000\r\na=sendrecv")
    crossings = offered(phone, ALL, policy(allow=frozenset([b"PCMA"])))
    types, rest = formats_text(phone, [(one.answerer, one) for one in crossings], 0)
    assert (types, rest) == (b"8", b"\r\na=rtpmap:8 PCMA/8000\r\na=sendrecv")
    answer = form(b" RTP/AVP 8", b"\r\na=rtpmap:8 PCMA/8000\r\na=recvonly")
    taken = answered(crossings, answer, ALL)
    types, rest = formats_text(answer, [(one.offerer, one) for one in taken], 0)
    assert (types, rest) == (b"0", b"\r\na=rtpmap:0 PCMU/8000\r\na=recvonly")


def test_references_inside_redundancy_follow_their_numbers() -> None:
    lines = b"\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:98 red/48000/2\r\na=fmtp:98 96/96"
    crossings = offered(form(b" RTP/AVP 98 96", lines), ALL, ALL, [(96, b"AMR", 8000)])
    _, rest = formats_text(
        form(b" RTP/AVP 98 96", lines), [(one.answerer, one) for one in crossings], 0
    )
    number = next(one.answerer for one in crossings if one.name == b"OPUS")
    assert b"a=fmtp:98 %d/%d" % (number, number) in rest
