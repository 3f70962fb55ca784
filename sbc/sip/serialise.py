"""Messages → bytes. Heads are ready lines: what crosses the border is decided elsewhere."""

from __future__ import annotations

from typing import Final

from sbc.errors import ParseError
from sbc.sip.grammar import split_list
from sbc.sip.message import Request, value_of
from sbc.sip.status import REASONS, reason_phrase
from sbc.sip.via import Via, parse_via

__all__ = ["ReplyBase", "build_request", "build_response", "header_line"]

_STATUS_LINES: Final = {
    status: b"SIP/2.0 %d %b\r\n" % (status, reason) for status, reason in REASONS.items()
}
_DEFAULT_PORTS: Final = {b"TLS": 5061, b"WSS": 443, b"WS": 80}  # RFC 3261 §18.2.2, RFC 7118
_DEFAULT_PORT: Final = 5060
_NO_BODY: Final = b"Content-Length: 0\r\n\r\n"


def header_line(name: bytes, value: bytes) -> bytes:
    """`Name: value` with its CRLF."""
    return b"%b: %b\r\n" % (name, value)


def build_request(
    method: bytes, uri: bytes, head: bytes, body: bytes = b"", content_type: bytes = b""
) -> bytes:
    """A request.

    Args:
        head: ready lines, each with its CRLF, without Content-Type and Content-Length.
        content_type: of the body; b"" where there is none, or where the head names it.
    """
    return b"%b %b SIP/2.0\r\n%b%b" % (method, uri, head, _tail(body, content_type))


def build_response(
    status: int, reason: bytes, head: bytes, body: bytes = b"", content_type: bytes = b""
) -> bytes:
    """A response from ready lines; for answers to a request see `ReplyBase`."""
    return b"%b%b%b" % (_status_line(status, reason), head, _tail(body, content_type))


def _status_line(status: int, reason: bytes) -> bytes:
    if not reason:
        line = _STATUS_LINES.get(status)
        if line is not None:
            return line
        reason = reason_phrase(status)
    return b"SIP/2.0 %d %b\r\n" % (status, reason)


def _tail(body: bytes, content_type: bytes) -> bytes:
    if not body:
        return _NO_BODY
    if content_type:
        return b"Content-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (content_type, len(body), body)
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


class ReplyBase:
    """All that the answers to one request take from it (RFC 3261 §8.2.6).

    Kept by the server transaction's user instead of the whole request.

    Args:
        request: the request, or what `BadRequest.reply_to` saved of it.
        source: the address that it came from.
    """

    __slots__ = ("_lines", "_to", "_to_has_tag", "destination")

    destination: tuple[str, int]
    """Where a response goes over an unreliable transport: the address that the request came from,
    at the port of RFC 3581, else of sent-by (§18.2.2). Never `maddr`, which would let a peer aim
    our answers at anybody."""

    def __init__(self, request: Request, source: tuple[str, int]) -> None:
        fields = request._fields
        name, colon, rest = fields[b"via"]
        value = value_of(fields[b"via"])
        others = b""
        try:
            if value.find(b",") >= 0:
                top, *more = split_list(value, b",", "Via")
                others = b"".join([b"," + via for via in more])
                via = parse_via(top)
            else:
                top = value
                via = request.via if hasattr(request, "via") else parse_via(value)
        except ParseError:  # a 400 that says so goes back where it came from
            self.destination = source
        else:
            self.destination = source[0], _response_port(via, source[1])
            marked = _mark(top, via, source)
            if marked != top:
                rest = b" " + marked + others
        parts = [name, colon, rest, b"\r\n"]
        for via_field in request._repeated.get(b"via", ()):
            parts += via_field
            parts.append(b"\r\n")
        for header in (b"from", b"call-id", b"cseq"):
            if header in fields:
                parts += fields[header]
                parts.append(b"\r\n")
        self._lines = b"".join(parts)
        self._to = b"".join(fields[b"to"]) if b"to" in fields else b""
        self._to_has_tag = not self._to or getattr(request, "to_tag", b"") != b""

    def build(
        self,
        status: int,
        reason: bytes = b"",
        to_tag: bytes = b"",
        head: bytes = b"",
        body: bytes = b"",
    ) -> bytes:
        """One response, ready to send.

        Args:
            reason: b"" for the RFC's phrase.
            to_tag: put on the To header if the request had none there.
            head: ready lines, each with its CRLF; Content-Type is among them, Content-Length not.
        """
        if reason:
            line = b"SIP/2.0 %d %b\r\n" % (status, reason)
        else:
            line = _STATUS_LINES.get(status) or _status_line(status, reason)
        to = self._to
        if to_tag and not self._to_has_tag:
            to = b"%b;tag=%b\r\n" % (to, to_tag)
        elif to:
            to += b"\r\n"
        if not body:
            return b"".join((line, self._lines, to, head, _NO_BODY))
        return b"%b%b%b%bContent-Length: %d\r\n\r\n%b" % (
            line, self._lines, to, head, len(body), body,
        )  # fmt: skip


def _response_port(via: Via, source_port: int) -> int:
    if via.wants_rport:
        return source_port
    return via.port or _DEFAULT_PORTS.get(via.transport, _DEFAULT_PORT)


def _mark(value: bytes, via: Via, source: tuple[str, int]) -> bytes:
    """The topmost Via with `received` and `rport` as the truth has them.

    RFC 3261 §18.2.1, RFC 3581 §4: `received` where sent-by is another address or a name, and
    always with `rport`. What a peer claims in them itself is replaced.
    """
    host = source[0].partition("%")[0].encode()
    params = via.params
    if b"rport" not in params and b"received" not in params:
        return value if via.host == host else b"%b;received=%b" % (value, host)
    kept = []
    for param in split_list(value, b";", "Via"):
        name = param.partition(b"=")[0].strip(b" \t").lower()
        if name == b"rport":
            kept.append(b"rport=%d" % source[1])
        elif name != b"received":
            kept.append(param)
    if b"rport" in params or via.host != host:
        kept.append(b"received=" + host)
    return b";".join(kept)
