"""`sbc.sip.grammar`, where no header reaches it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sbc.errors import ParseError
from sbc.sip.grammar import decimal, split_list, unfold, unquote, without_comments
from sbc.sip.via import _unusual, parse_via


def test_numbers():
    assert decimal(b"0" * 4000 + b"255", 255) == 255
    assert decimal(b"0" * 30, 255) == 0
    assert decimal(b"256", 255) is None
    assert decimal(b"9" * 60_000, 255) is None
    assert decimal(b"", 255) is None
    assert decimal("٣".encode(), 255) is None


def test_unquote_leaves_what_is_not_quoted():
    assert unquote(b"a") == b"a"
    assert unquote(b'"') == b'"'
    assert unquote(b'"a\\"b\\\\"') == b'a"b\\'


def test_unfold():
    assert unfold(b" a \r\n\t b\r\n c ") == b"a b c"


def test_comments():
    assert without_comments(b"a (b (c)) d", "x") == b"a  d"
    assert without_comments(b'"(a" b (")")', "x") == b'"(a" b'
    with pytest.raises(ParseError, match="deeper"):
        without_comments(b"(" * 9 + b")" * 9, "x")
    with pytest.raises(ParseError, match="balanced"):
        without_comments(b'a (b) "', "x")


def test_lists():
    assert split_list(b'a;"b;c" ; d<e;f>', b";", "x") == [b"a", b'"b;c"', b"d<e;f>"]
    assert split_list(b'<a ">" b>,c', b",", "x") == [b'<a ">" b>', b"c"]
    for value in (b'a, "b', b"a, <b", b'<a "b>', b'"a\\"'):
        with pytest.raises(ParseError):
            split_list(value, b",", "x")


@settings(deadline=None)
@given(
    st.builds(
        lambda host, port, branch, tail: b"SIP/2.0/UDP %b%b;branch=%b%b"
        % (host, port, branch, b"".join(tail)),
        st.sampled_from([b"a", b"192.0.2.1", b"a_b.c-d"]),
        st.sampled_from([b"", b":1", b":5060", b":65535", b":65536", b":0", b":05"]),
        st.sampled_from([b"z9hG4bK", b"a.b~c", b"a:b", b""]),
        st.lists(
            st.sampled_from(
                [b";rport", b";rport=5060", b";rport=59999", b";rport=65535", b";rport=0",
                 b";rport=99999", b";received=192.0.2.1", b";received=::1", b";x", b";branch=x"]
            ),
            max_size=3,
        ),
    )
)  # fmt: skip
def test_the_short_way_through_a_via_says_what_the_long_one_says(value: bytes):
    def outcome(read):
        try:
            return read(value)
        except ParseError:
            return None

    assert outcome(parse_via) == outcome(_unusual)
