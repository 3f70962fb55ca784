"""Messages for tests, from the parts that a test is about."""

from __future__ import annotations

from sbc.sip.message import Request, Response
from sbc.sip.parser import parse

HEAD = {
    "Via": "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa1;rport",
    "Max-Forwards": "70",
    "From": '"Alice" <sip:alice@example.com>;tag=a',
    "To": "<sip:bob@example.com>",
    "Call-ID": "c1@192.0.2.1",
    "CSeq": "1 INVITE",
}


def head_lines(*extra: str, **replaced: str | None) -> bytes:
    """The usual lines, some replaced (`Call_ID="x"`) or left out (None), and further ones."""
    head = HEAD | {name.replace("_", "-"): value for name, value in replaced.items()}
    lines = [f"{name}: {value}" for name, value in head.items() if value is not None]
    return b"".join([line.encode() + b"\r\n" for line in (*lines, *extra)])


def request_bytes(*extra: str, body: bytes = b"", **replaced: str | None) -> bytes:
    return b"INVITE sip:bob@example.com SIP/2.0\r\n%b\r\n%b" % (
        head_lines(*extra, **replaced), body,
    )  # fmt: skip


def request(*extra: str, body: bytes = b"", **replaced: str | None) -> Request:
    message = parse(request_bytes(*extra, body=body, **replaced))
    assert isinstance(message, Request)
    return message


def response(*extra: str, status_line: str = "SIP/2.0 200 OK", **replaced: str | None) -> Response:
    message = parse(status_line.encode() + b"\r\n" + head_lines(*extra, **replaced) + b"\r\n")
    assert isinstance(message, Response)
    return message
