"""Bodies other than SDP: what of them crosses, and that nothing of the other side does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.call.crossing.bodies import hide_body
from sbc.call.crossing.headers import Hide
from sbc.sdp.hosts import holds_host

HOST = b"203.0.113.1"


def hidden(content_type: bytes, body: bytes) -> bytes | None:
    return hide_body(content_type, body, Hide(), HOST, lambda name: b"m%d" % len(name))


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (b"application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n"),
        (b"application/dtmf", b"5"),
        (b"text/plain", b"meet me at 10.0.0.5 or pbx.example.com"),
        (b"application/x-unknown", b"count=4"),
        (b"application/sdp", b""),
    ],
)
def test_what_holds_nothing_of_the_other_side_crosses_as_it_is(
    content_type: bytes, body: bytes
) -> None:
    assert hidden(content_type, body) == body


def test_a_fragment_is_its_status_line() -> None:
    body = b"SIP/2.0 200 OK\r\nContact: <sip:bob@10.0.0.5>\r\n"
    assert hidden(b"message/sipfrag", body) == b"SIP/2.0 200 OK\r\n"
    assert hidden(b"message/sipfrag", b"SIP/2.0 503 pbx.local down") == b"SIP/2.0 503 \r\n"
    assert hidden(b"message/sipfrag", b"INVITE sip:bob@10.0.0.5 SIP/2.0\r\n") is None


def test_dialog_info_has_our_hosts_and_other_names_for_dialogs() -> None:
    body = (
        b'<?xml version="1.0"?>\n'
        b'<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="0" state="full"'
        b' entity="sip:200@pbx.example.com">\n'
        b'<dialog id="as7d900as8" call-id="a84b4c76e66710@10.0.0.5" local-tag="1928"'
        b" remote-tag='8321' direction=\"initiator\"><state>early</state>\n"
        b"<remote><identity>sip:100@10.0.0.9:5060</identity>"
        b'<target uri="sip:100@10.0.0.9;transport=tcp"/></remote></dialog></dialog-info>\n'
    )
    made = hidden(b"application/dialog-info+xml", body)
    assert made is not None
    assert b'xmlns="urn:ietf:params:xml:ns:dialog-info"' in made
    assert b'call-id="m23" local-tag="m4" remote-tag="m4"' in made
    assert b'entity="sip:200@203.0.113.1"' in made
    assert b"<identity>sip:100@203.0.113.1</identity>" in made
    assert b"10.0.0" not in made
    assert b"example.com" not in made


def test_a_document_with_a_host_outside_of_uris_does_not_cross() -> None:
    assert hidden(b"application/pidf+xml", b"<note>on pbx.example.com</note>") is None
    assert hidden(b"application/x-unknown", b"server=10.0.0.5") is None


def test_a_document_with_entities_of_its_own_does_not_cross() -> None:
    body = b'<!DOCTYPE a [<!ENTITY h "10.0.0.5">]><a>sip:x@&h;</a>'
    assert hidden(b"application/pidf+xml", body) is None


def test_a_message_summary_has_our_host() -> None:
    body = b"Messages-Waiting: yes\r\nMessage-Account: sip:200@vm.example.com\r\nVoice-Message: 2/0"
    made = hidden(b"application/simple-message-summary", body)
    assert made == body.replace(b"vm.example.com", HOST)


def test_cpim_keeps_its_text() -> None:
    body = (
        b"From: MR SANDERS <sip:piglet@10.0.0.5>\r\nTo: <sip:eeyore@10.0.0.6>\r\n"
        b"DateTime: 2026-11-22T13:40:00-08:00\r\n"
        b"MyFeatures.Via: 10.0.0.9\r\nX-Secret: a.pbx.lan\r\n\r\n"
        b"Content-type: text/plain; charset=utf-8\r\nContent-ID: <1234@foo.com>\r\n\r\nHere at last"
    )
    made = hidden(b"message/cpim", body)
    assert made == (
        b"From: MR SANDERS <sip:piglet@203.0.113.1>\r\nTo: <sip:eeyore@203.0.113.1>\r\n"
        b"DateTime: 2026-11-22T13:40:00-08:00\r\n\r\n"
        b"Content-type: text/plain; charset=utf-8\r\n\r\nHere at last"
    )


@pytest.mark.parametrize("body", [b"", b"From: x", b"From: x\r\n\r\nno colon\r\n\r\ntext"])
def test_a_broken_cpim_does_not_cross(body: bytes) -> None:
    assert not hidden(b"message/cpim", body)


def test_a_huge_body_does_not_cross() -> None:
    assert hidden(b"application/pidf+xml", b"<a/>" * 20_000) is None
    assert hidden(b"application/pidf+xml", b"a:b " * 3_000) is None


@given(
    st.sampled_from([b"application/pidf+xml", b"application/x-unknown", b"message/cpim"]),
    st.binary(max_size=300),
)
def test_any_body_has_an_answer(content_type: bytes, body: bytes) -> None:
    made = hidden(content_type, body)
    if made and content_type == b"application/x-unknown":
        assert not holds_host(made.replace(HOST, b""))
