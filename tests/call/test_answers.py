"""What helps who has sent something that is refused."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sbc.call.answers import fault_head
from sbc.errors import ParseError, ProtocolError
from sbc.sdp.facts import UnsupportedMedia


def test_who_sent_another_type_of_body_is_told_which_is_taken() -> None:
    """RFC 3261 §21.4.13."""
    head = fault_head(ProtocolError("expected SDP", status=415), b"192.0.2.1")
    assert head == b"Accept: application/sdp\r\n"


def test_a_fault_of_the_message_itself_is_named_in_a_warning() -> None:
    wrong = ParseError("m=", 'expected a port, got "nine"')
    assert fault_head(wrong, b"192.0.2.1") == (
        b'Warning: 399 192.0.2.1 "m=: expected a port, got ?nine?"\r\n'
    )
    assert b"399 [2001:db8::1] " in fault_head(UnsupportedMedia("no stream"), b"[2001:db8::1]")


def test_what_another_trunk_does_not_allow_is_not_told() -> None:
    assert fault_head(ProtocolError("trunk pbx: SRTP is off there", status=488), b"h") == b""


@given(st.text(max_size=400))
def test_no_text_breaks_out_of_the_warning(text: str) -> None:
    head = fault_head(ParseError("SDP", text), b"h")
    assert head.startswith(b'Warning: 399 h "')
    assert head.endswith(b'"\r\n')
    assert head.count(b'"') == 2
    assert head.count(b"\r\n") == 1
    assert b"\\" not in head
