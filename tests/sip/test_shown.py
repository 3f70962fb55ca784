"""What a text about a fault shows of what a peer sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.errors import ParseError
from sbc.sip.grammar import shown
from sbc.sip.parser import parse
from sbc.sip.uri import parse_uri


def test_it_is_quoted_cut_and_in_printing_ascii() -> None:
    assert shown(b"INVITE", 32) == "'INVITE'"
    assert shown(b"", 32) == "''"
    assert shown(b"\x00\r\n\xff" + b"x" * 99, 6) == "'????xx'"


def test_a_password_in_a_uri_does_not_show_itself() -> None:
    assert shown(b"<sip:alice:secret@a.example>", 64) == "'<sip:alice:...@a.example>'"
    assert shown(b"sip:alice:" + b"secret" * 15 + b"@a", 16) == "'sip:alice:...@a'"
    assert shown(b"sip:alice@a.example:port", 64) == "'sip:alice@a.example:port'"


@given(st.binary(max_size=400), st.integers(0, 64))
def test_any_bytes_become_a_short_text(value: bytes, most: int) -> None:
    text = shown(value, most)
    assert len(text) <= most + 2
    assert text.isascii()
    assert text.isprintable()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"CSeq: 1 INVITE", b"CSeq: 1 BYE"),
        (b"CSeq: 1 INVITE", b"CSeq: INVITE \xe9"),
        (b"INVITE sip:a", b"INVITE sip:[a"),
        (b"SIP/2.0\r\n", b"SIP/9\r\n"),
        (b"Call-ID: c", b"Call-ID: \x01"),
        (b"Via: SIP/2.0", b"Via: SIP"),
        (b"sip:a.example", b"sip:a.example?x=y"),
        (b"CSeq:", b"C Seq:"),
        (b"\r\n\r\n", b"\r\nContent-Length: \xff\r\n\r\n"),
    ],
)
def test_what_the_parser_says_is_ascii_without_the_marks_of_a_language(
    old: bytes, new: bytes
) -> None:
    message = (
        b"INVITE sip:a.example SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n"
        b"From: <sip:b@b>;tag=1\r\nTo: <sip:a@a>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\r\n"
    )
    parse(message)
    with pytest.raises(ParseError) as caught:
        parse(message.replace(old, new, 1))
    text = caught.value.detail
    assert text.isascii()
    assert "b'" not in text
    assert 'b"' not in text
    assert "\\" not in text


def test_a_uri_that_cannot_be_read_is_told_its_form() -> None:
    with pytest.raises(ParseError) as caught:
        parse_uri(b"sip:[a")
    expected = "URI: expected [user@]host[:port][;...][?...], got 'sip:[a'"
    assert caught.value.detail == expected


@pytest.mark.parametrize("line", [b'response="KEY"', b'response="KEY: x"', b"a=KEY", b"a=KEY:x"])
def test_a_line_that_has_no_name_does_not_show_its_value(line: bytes) -> None:
    head = b"INVITE sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n"
    with pytest.raises(ParseError) as caught:
        parse(head + line + b"\r\n\r\n")
    assert "KEY" not in caught.value.detail
