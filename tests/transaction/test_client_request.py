"""ClientRequest: its bytes are what its parts say, made once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sbc.sip.parser import parse
from sbc.transaction.request import ClientRequest, via_line
from tests.transaction.build import a_request, answer, client_request


def test_lines_come_in_the_order_that_helps_proxies() -> None:
    head = client_request().data.partition(b"\r\n\r\n")[0].split(b"\r\n")
    names = [line.partition(b":")[0] for line in head[1:]]
    assert names == [
        b"Via",
        b"Route",
        b"Max-Forwards",
        b"From",
        b"To",
        b"Call-ID",
        b"CSeq",
        b"Contact",
        b"Content-Length",
    ]


@given(st.binary(max_size=300), st.integers(0, 2**31 - 1), st.integers(0, 255))
def test_what_is_built_is_what_is_parsed(body, cseq, hops) -> None:
    request = ClientRequest(
        b"MESSAGE",
        b"sip:bob@[2001:db8::1]:5070;transport=tcp",
        via_line(b"TCP", b"[2001:db8::2]:5080", b"z9hG4bKbranch"),
        b"z9hG4bKbranch",
        b"Route: <sip:a;lr>\r\nRoute: <sip:b;lr>\r\n",
        b"<sip:a@b>;tag=x",
        b"<sip:c@d>",
        b"id@host",
        cseq,
        hops,
        b"Content-Type: application/octet-stream\r\n",
        body,
    )
    message = a_request(request.data)
    assert (message.method, message.uri) == (request.method, request.uri)
    assert (message.cseq, message.cseq_method, message.max_forwards) == (cseq, b"MESSAGE", hops)
    assert message.values(b"route") == [b"<sip:a;lr>", b"<sip:b;lr>"]
    assert message.via.branch == b"z9hG4bKbranch"
    assert message.via.wants_rport
    assert (message.via.host, message.via.port) == (b"2001:db8::2", 5080)
    assert message.body == body


def test_an_ack_starts_its_own_count_of_hops() -> None:
    request = ClientRequest(
        b"INVITE",
        b"sip:bob@192.0.2.20",
        via_line(b"UDP", b"192.0.2.10", b"z9hG4bKone"),
        b"z9hG4bKone",
        b"",
        b"<sip:a@b>;tag=x",
        b"<sip:c@d>",
        b"id",
        1,
        3,
    )
    ack = parse(request.ack_for(answer(request.data, 486)))
    assert ack.max_forwards == 70
