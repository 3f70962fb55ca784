"""`sbc.sip.serialise`: answers (RFC 3261 §8.2.6, §18.2; RFC 3581) and ready-made messages."""

from __future__ import annotations

import pytest

from sbc.sip.message import Request, Response
from sbc.sip.parser import BadRequest, parse
from sbc.sip.serialise import ReplyBase, build_request, build_response, header_line
from sbc.sip.status import METHODS, REASONS, reason_phrase
from tests.sip.build import head_lines, request, request_bytes

SOURCE = ("198.51.100.7", 40_000)


def top_via(via: str, source: tuple[str, int] = SOURCE) -> tuple[bytes, tuple[str, int]]:
    base = ReplyBase(request(Via=via), source)
    return base.build(200).split(b"\r\n")[1], base.destination


def test_a_whole_answer():
    base = ReplyBase(request("Route: <sip:x>", "X: 1"), SOURCE)
    assert base.build(180, to_tag=b"b", head=b"Contact: <sip:us>\r\n") == (
        b"SIP/2.0 180 Ringing\r\n"
        b"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa1;rport=40000;received=198.51.100.7\r\n"
        b'From: "Alice" <sip:alice@example.com>;tag=a\r\n'
        b"Call-ID: c1@192.0.2.1\r\n"
        b"CSeq: 1 INVITE\r\n"
        b"To: <sip:bob@example.com>;tag=b\r\n"
        b"Contact: <sip:us>\r\n"
        b"Content-Length: 0\r\n\r\n"
    )


def test_a_body():
    data = ReplyBase(request(), SOURCE).build(
        200, b"Fine", b"b", b"Content-Type: application/sdp\r\n", b"v=0\r\n"
    )
    answer = parse(data)
    assert isinstance(answer, Response)
    assert (answer.status, answer.reason, answer.body) == (200, b"Fine", b"v=0\r\n")
    assert answer.first(b"content-length") == b"5"
    assert answer.content_type == b"application/sdp"


def test_our_tag_is_put_on_only_where_there_is_none():
    base = ReplyBase(request(To="<sip:bob@example.com>;tag=theirs"), SOURCE)
    assert b"To: <sip:bob@example.com>;tag=theirs\r\n" in base.build(200, to_tag=b"b")
    base = ReplyBase(request(), SOURCE)
    assert b"To: <sip:bob@example.com>\r\n" in base.build(100)


@pytest.mark.parametrize(
    ("via", "expected"),
    [
        # RFC 3581 §4: rport asks for both, even where the address is right.
        ("SIP/2.0/UDP 198.51.100.7;rport;branch=b",
         b"SIP/2.0/UDP 198.51.100.7;rport=40000;branch=b;received=198.51.100.7"),
        ("SIP/2.0/UDP 10.0.0.1:5062;branch=b;RPORT",
         b"SIP/2.0/UDP 10.0.0.1:5062;branch=b;rport=40000;received=198.51.100.7"),
        # §18.2.1: a name or another address gets `received`; the right address stays as it is.
        ("SIP/2.0/UDP host.example:5062;branch=b;x=\"a;b\"",
         b"SIP/2.0/UDP host.example:5062;branch=b;x=\"a;b\";received=198.51.100.7"),
        ("SIP/2.0/UDP 198.51.100.7:5062;branch=b", b"SIP/2.0/UDP 198.51.100.7:5062;branch=b"),
        # What the peer says itself is not believed.
        ("SIP/2.0/UDP 198.51.100.7;received=203.0.113.1;branch=b",
         b"SIP/2.0/UDP 198.51.100.7;branch=b"),
        ("SIP/2.0/UDP a;rport=1;received=203.0.113.1;branch=b",
         b"SIP/2.0/UDP a;rport=40000;branch=b;received=198.51.100.7"),
        ("SIP/2.0/UDP a;branch=b;rport, SIP/2.0/UDP c;rport",
         b"SIP/2.0/UDP a;branch=b;rport=40000;received=198.51.100.7, SIP/2.0/UDP c;rport"),
        ("SIP / 2.0 / UDP a ;\r\n branch=b ; rport",
         b"SIP / 2.0 / UDP a;branch=b;rport=40000;received=198.51.100.7"),
    ],
)  # fmt: skip
def test_top_via(via: str, expected: bytes):
    assert top_via(via)[0] == b"Via: " + expected


@pytest.mark.parametrize(
    ("via", "port"),
    [("SIP/2.0/UDP a;rport", 40_000), ("SIP/2.0/UDP a:5070;rport", 40_000),
     ("SIP/2.0/UDP a:5070", 5070), ("SIP/2.0/UDP a", 5060), ("SIP/2.0/TLS a", 5061),
     ("SIP/2.0/UDP a;maddr=203.0.113.9", 5060), ("SIP/2.0/UDP a;received=203.0.113.9", 5060)],
)  # fmt: skip
def test_destination(via: str, port: int):
    """§18.2.2 without `maddr`: an answer goes to nobody but who asked."""
    assert top_via(via)[1] == (SOURCE[0], port)


def test_scoped_addresses():
    line, destination = top_via("SIP/2.0/UDP [fe80::1];branch=b;rport", ("fe80::1%eth0", 5060))
    assert line.endswith(b";received=fe80::1")
    assert destination == ("fe80::1%eth0", 5060)


def test_further_vias_stay():
    data = request_bytes("Via: SIP/2.0/TCP b:1;branch=2", "v:SIP/2.0/UDP  c", "V : SIP/2.0/UDP d")
    message = parse(data)
    assert isinstance(message, Request)
    answer = ReplyBase(message, SOURCE).build(200)
    assert (
        b"\r\nVia: SIP/2.0/TCP b:1;branch=2\r\nv:SIP/2.0/UDP  c\r\nV : SIP/2.0/UDP d\r\n" in answer
    )


def test_a_malformed_via_is_answered_where_it_came_from():
    with pytest.raises(BadRequest) as caught:
        parse(request_bytes(Via="SIP/2.0/UDP 192.0.2.15;;,;,,"))
    assert caught.value.reply_to is not None
    base = ReplyBase(caught.value.reply_to, SOURCE)
    assert base.destination == SOURCE
    assert b"Via: SIP/2.0/UDP 192.0.2.15;;,;,,\r\n" in base.build(400)


def test_a_partial_request_is_answered_with_what_there_is():
    with pytest.raises(BadRequest) as caught:
        parse(request_bytes(To=None, Call_ID=None))
    assert caught.value.reply_to is not None
    answer = ReplyBase(caught.value.reply_to, SOURCE).build(400, to_tag=b"b")
    assert b"To:" not in answer
    assert b";tag=b" not in answer
    assert b"CSeq: 1 INVITE\r\n" in answer


def test_reasons():
    assert reason_phrase(486) == b"Busy Here"
    assert reason_phrase(499) == b"Request Failure"
    assert reason_phrase(999) == b"Unknown"
    assert ReplyBase(request(), SOURCE).build(299).startswith(b"SIP/2.0 299 OK\r\n")
    assert all(100 <= status < 700 and phrase for status, phrase in REASONS.items())
    assert all(method.isupper() for method in METHODS)


def test_build_request():
    data = build_request(b"BYE", b"sip:a@b", head_lines(CSeq="2 BYE"))
    bye = parse(data)
    assert isinstance(bye, Request)
    assert (bye.method, bye.uri, bye.body) == (b"BYE", b"sip:a@b", b"")
    data = build_request(b"INVITE", b"sip:a@b", head_lines(), b"v=0", b"application/sdp")
    invite = parse(data)
    assert (invite.body, invite.content_type) == (b"v=0", b"application/sdp")


def test_build_response():
    head = head_lines() + header_line(b"Content-Type", b"a/b")
    answer = parse(build_response(486, b"", head, b"body"))
    assert isinstance(answer, Response)
    assert (answer.status, answer.reason) == (486, b"Busy Here")
    assert (answer.content_type, answer.body) == (b"a/b", b"body")
