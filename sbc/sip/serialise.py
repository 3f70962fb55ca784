"""Messages → bytes. Heads are ready lines: what crosses the border is decided elsewhere."""

from __future__ import annotations

from typing import Final

from sbc.errors import ParseError
from sbc.sip.grammar import split_list, unfold
from sbc.sip.message import Request
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

    __slots__ = ("_lines", "_tagged", "_to", "destination")

    destination: tuple[str, int]
    """Where a response goes over an unreliable transport: the address that the request came from,
    at the port of RFC 3581, else of sent-by.

    Deviates from RFC 3261 §18.2.2: `maddr` is not believed; it would let a peer aim our answers
    at anybody.
    """

    def __init__(self, request: Request, source: tuple[str, int]) -> None:
        top = request.raw(b"via")
        try:
            top, self.destination = _mark(top, request, source)
        except ParseError:  # a 400 that says so goes back where it came from
            self.destination = source
        self._lines = b"%b%b%b%b%b" % (
            top,
            request.further(b"via"),
            request.raw(b"from"),
            request.raw(b"call-id"),
            request.raw(b"cseq"),
        )
        self._to = request.raw(b"to")[:-2]
        self._tagged = not self._to or request.to_tag != b""

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
        line = b"" if reason else _STATUS_LINES.get(status, b"")
        tag = b"" if self._tagged or not to_tag else b";tag=" + to_tag
        end = b"\r\n" if self._to else b""
        return b"%b%b%b%b%b%b%b" % (
            line or _status_line(status, reason),
            self._lines,
            self._to,
            tag,
            end,
            head,
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body) if body else _NO_BODY,
        )


def _mark(line: bytes, request: Request, source: tuple[str, int]) -> tuple[bytes, tuple[str, int]]:
    """The first Via line with `received` and `rport` as the truth has them; and the destination.

    RFC 3261 §18.2.1, RFC 3581 §4: `received` where sent-by is another address or a name, and
    always with `rport`. What a peer claims in them itself is replaced.
    """
    via: Via | None = getattr(request, "via", None)
    host = source[0].partition("%")[0].encode()
    alone = line.endswith(b";rport\r\n") and b"," not in line  # as nearly always
    if alone and via is not None and via.wants_rport and not via.received:
        return b"%b=%d;received=%b\r\n" % (line[:-2], source[1], host), source
    name, _, rest = line.partition(b":")
    value, others = rest.strip(), b""
    if value.find(b",") >= 0:
        value, *vias = split_list(unfold(value), b",", "Via")
        others = b"".join([b", " + via for via in vias])
    # What `BadRequest` saved of a request has no `via`: the Via may be what is wrong.
    via = via or parse_via(unfold(value))
    if via.wants_rport:
        port = source[1]
    else:
        port = via.port or _DEFAULT_PORTS.get(via.transport, _DEFAULT_PORT)
        if via.host == host and not via.received:
            return line, (source[0], port)
    if via.wants_rport and value.endswith(b";rport") and not via.received:
        marked = b"%b=%d;received=%b" % (value, port, host)
    else:
        marked = _replace(value, via, port, host)
    return b"%b: %b%b\r\n" % (name, marked, others), (source[0], port)


def _replace(value: bytes, via: Via, port: int, host: bytes) -> bytes:
    """`value` with every other parameter byte for byte as it was."""
    kept = []
    for param in split_list(unfold(value), b";", "Via"):
        name = param.partition(b"=")[0].rstrip().lower()
        if name == b"rport":
            kept.append(b"rport=%d" % port)
        elif name != b"received":
            kept.append(param)
    if via.wants_rport or via.host != host:
        kept.append(b"received=" + host)
    return b";".join(kept)
