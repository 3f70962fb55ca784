"""Requests and responses of a peer, with the header lines that a test is about."""

from __future__ import annotations

from sbc.sip.message import Request, Response
from tests.transaction.build import a_response, theirs


def request(*lines: bytes, method: bytes = b"INVITE", body: bytes = b"") -> Request:
    """A request with these lines."""
    return theirs(method, extra=b"".join(line + b"\r\n" for line in lines), body=body)


def response(
    status: int, *lines: bytes, tag: bytes = b"theirs", cseq: bytes = b"7 INVITE"
) -> Response:
    """A response to a request of ours, with these lines."""
    head = (
        b"Via: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKone",
        b"From: <sip:alice@192.0.2.10>;tag=ours",
        b"To: <sip:bob@192.0.2.20>" + (b";tag=" + tag if tag else b""),
        b"Call-ID: call",
        b"CSeq: " + cseq,
        *lines,
        b"Content-Length: 0",
    )
    return a_response(b"SIP/2.0 %d X\r\n" % status + b"\r\n".join(head) + b"\r\n\r\n")
