"""Bytes → message. Total: any bytes give a Request, a Response or a ParseError, in linear time.

One pass cuts the head into lines and each line at its colon; then the headers that every
transaction needs are read (Via, CSeq, Call-ID, the tags), and nothing else. Limits are in
`sbc.sip.grammar`.

Strict, because two elements that read a message differently are how borders are passed: bare CR
or LF in the head, a second From, To, Call-ID, CSeq, Max-Forwards or Content-Length, white space
in URIs, single spaces in the start line. Tolerated, because everyday equipment does it and it can
be read in one way only: a datagram without the empty line, a datagram whose head has LF and no CR
at all, an empty or absent reason phrase, CRLFs before the start line (§7.5 has them on streams).

Where `sbc.sip.native` has a compiled parser, it reads the messages that are usual; this one reads
all others, and alone says what is an error.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import lru_cache
from typing import Final

from sbc.errors import ParseError
from sbc.sip.address import tag_of
from sbc.sip.fields import Field, FieldsMessage, FieldsRequest, FieldsResponse
from sbc.sip.grammar import (
    MAX_HEADERS,
    MAX_LINE_BYTES,
    MAX_MESSAGE_BYTES,
    VISIBLE,
    decimal,
    is_token,
    shown,
    unfold,
)
from sbc.sip.headers import CANONICAL, SINGLE
from sbc.sip.message import Request, Response
from sbc.sip.native import recognise
from sbc.sip.status import ACK, METHODS
from sbc.sip.uri import SipUri, Uri, parse_uri
from sbc.sip.via import parse_via

__all__ = ["BadRequest", "parse", "parse_in_python"]

_FOLD: Final = re.compile(rb"\r\n(?![ \t])")
# A request-URI that can be read whenever it is wanted: `parse_uri` has no objection to it.
_USUAL_URI: Final = re.compile(
    rb"sip:(?:[A-Za-z0-9+.&=$,;?/~*!'()%_-]++@)?[A-Za-z0-9._-]++(?::[1-9][0-9]{0,3}+)?"
)
_VERSION: Final = re.compile(rb"SIP/[0-9]++\.[0-9]++", re.IGNORECASE)
_CR: Final = 0x0D
_MAX_CSEQ: Final = 2**31 - 1  # RFC 3261 §8.1.1.5
_STATUSES: Final = {b"%d" % status: status for status in range(100, 700)}
_NUMBERS: Final = {b"%d" % number: number for number in range(1_000)}
"""What Content-Length nearly always holds: looking it up costs less than reading it."""
_MAX_KNOWN_BYTES: Final = 64
_ANSWER_NEEDS: Final = (b"via", b"from", b"to", b"call-id", b"cseq")


class BadRequest(ParseError):
    """A request that is not in the grammar.

    Attributes:
        reply_to: what `ReplyBase` needs to answer with `.status`: only its Via, From, To,
            Call-ID and CSeq lines may be used, as far as they are there. None where no answer is
            possible (no Via, no CSeq) or allowed (ACK).
    """

    def __init__(self, error: ParseError, reply_to: Request | None) -> None:
        detail = error.detail.removeprefix(f"{error.section}: ")
        super().__init__(error.section, detail, offset=error.offset, status=error.status)
        self.reply_to = reply_to


def parse(data: bytes) -> Request | Response:
    """Read one message: a datagram, or a frame of `StreamFramer`.

    Raises:
        BadRequest: a malformed request, with what is needed to answer it.
        ParseError: anything else; there is nobody to answer.
    """
    message = recognise(data)
    return parse_in_python(data) if message is None else message


def parse_in_python(data: bytes) -> Request | Response:
    """The same without the compiled parser, whose specification this is."""
    if len(data) > MAX_MESSAGE_BYTES:
        raise ParseError("message", f"more than {MAX_MESSAGE_BYTES} bytes", status=513)
    head, end, body = data.partition(b"\r\n\r\n")
    if not end or data[0] == _CR:
        head, body = _unusual_head(data)
    lines = head.splitlines()
    is_response = head[:4].upper() == b"SIP/"
    try:
        # splitlines() takes CR, LF and CRLF: if two bytes are missing for each cut, all were CRLF.
        if len(head) - sum(map(len, lines)) != 2 * len(lines) - 2:
            raise ParseError("head", "expected CRLF, got a bare CR or LF")
        if len(lines) > MAX_HEADERS or len(head) > MAX_LINE_BYTES:
            _check_limits(head)
        return _response(lines, body) if is_response else _request(lines, body)
    except ParseError as error:
        if is_response:
            raise
        raise BadRequest(error, _salvage(head)) from None


def _request(lines: list[bytes], body: bytes) -> FieldsRequest:
    words = lines[0].split(b" ")
    if len(words) != 3:
        raise ParseError("Request-Line", f"expected method URI SIP/2.0, got {shown(lines[0], 64)}")
    method, uri, version = words
    if method not in METHODS and not is_token(method):
        raise ParseError("Request-Line", f"expected a method, got {shown(method, 32)}")
    if version != b"SIP/2.0":
        _check_version(version)
    fields, repeated = _cut(lines)
    request = FieldsRequest(fields, repeated, body)
    request.method = method
    request.uri = uri
    request._target = None if _USUAL_URI.fullmatch(uri) else _request_uri(uri)
    _read_common(request, fields, body)
    if request.cseq_method != method:
        got = shown(request.cseq_method, 32)
        raise ParseError("CSeq", f"expected {shown(method, 32)}, got {got}")
    return request


def _response(lines: list[bytes], body: bytes) -> FieldsResponse:
    line = lines[0]
    status, reason = (_known_status if len(line) <= _MAX_KNOWN_BYTES else _status_of)(line)
    fields, repeated = _cut(lines)
    response = FieldsResponse(fields, repeated, body)
    response.status = status
    response.reason = reason
    _read_common(response, fields, body)
    return response


def _status_of(line: bytes) -> tuple[int, bytes]:
    """Status and reason phrase of a Status-Line."""
    words = line.split(b" ", 2)
    if words[0] != b"SIP/2.0":
        _check_version(words[0])
    status = _STATUSES.get(words[1]) if len(words) > 1 else None
    if status is None:
        raise ParseError("Status-Line", f"expected 100 to 699, got {shown(line, 32)}")
    return status, words[2] if len(words) > 2 else b""


def _check_version(version: bytes) -> None:
    """§7.1: the version is compared without case; any other number is answered 505."""
    if version.upper() == b"SIP/2.0":
        return
    known = _VERSION.fullmatch(version)
    raise ParseError("SIP-Version", f"got {shown(version, 32)}", status=505 if known else 400)


def _request_uri(uri: bytes) -> Uri:
    target = parse_uri(uri)
    if isinstance(target, SipUri) and target.headers:
        raise ParseError("Request-URI", "expected no headers (RFC 3261, 19.1.1)")
    return target


def _check_limits(head: bytes) -> None:
    whole_lines = _FOLD.split(head)
    if len(whole_lines) > MAX_HEADERS + 1:
        raise ParseError("head", f"more than {MAX_HEADERS} header fields")
    if max(map(len, whole_lines)) > MAX_LINE_BYTES:
        raise ParseError("head", f"a header field longer than {MAX_LINE_BYTES} bytes")


def _cut(lines: list[bytes]) -> tuple[dict[bytes, Field], dict[bytes, list[Field]]]:
    """The header fields after the start line, by canonical name: first lines, and further ones."""
    fields: dict[bytes, Field] = {}
    repeated: dict[bytes, list[Field]] = {}
    canonical = CANONICAL
    try:
        for line in lines[1:]:
            field: Field = line.partition(b":")
            name = canonical[field[0]]
            if not field[1]:
                raise ParseError("header", f"expected name: value, got {_name_in(line)}")
            if name not in fields:
                fields[name] = field
            elif name in SINGLE:
                raise ParseError(field[0].decode("latin-1"), "more than one line")
            else:
                repeated.setdefault(name, []).append(field)
    except ParseError:
        # The second line of a folded header can never be taken for a field: no name begins with
        # white space. So folding, which is rare, costs the usual message nothing.
        if not any(line.startswith((b" ", b"\t")) for line in lines):
            raise
        return _cut_folded(lines)
    return fields, repeated


def _name_in(line: bytes) -> str:
    """What stands where a name should; a value after it may be a secret or of the body."""
    return shown(line.partition(b"=")[0], 32)


def _cut_folded(lines: list[bytes]) -> tuple[dict[bytes, Field], dict[bytes, list[Field]]]:
    whole_lines = _FOLD.split(b"\r\n".join(lines))
    if whole_lines[0] != lines[0] or lines[0].startswith((b" ", b"\t")):
        raise ParseError("start line", "expected no white space before it, and no folding")
    fields, repeated = _cut(whole_lines)
    for name, field in fields.items():
        fields[name] = _unfolded(field)
    for name, further in repeated.items():
        repeated[name] = [_unfolded(field) for field in further]
    return fields, repeated


def _unfolded(field: Field) -> Field:
    name, colon, rest = field[:3]
    return field if b"\n" not in rest else (name, colon, unfold(rest), name + colon + rest)


def _read_common(message: FieldsMessage, fields: dict[bytes, Field], body: bytes) -> None:
    """Read what every message must have, and cut the body to its length."""
    try:
        via = fields[b"via"][2].strip()
        from_ = fields[b"from"][2].strip()
        to = fields[b"to"][2].strip()
        call_id = fields[b"call-id"][2].strip()
        cseq = fields[b"cseq"][2]
    except KeyError as error:
        raise ParseError(error.args[0].decode(), "missing") from None
    length = fields.get(b"content-length")
    if length is not None:
        digits = length[2].strip()
        declared = _NUMBERS.get(digits)
        if declared is None:
            declared = decimal(digits, MAX_MESSAGE_BYTES)
        if declared is None or declared > len(body):
            raise ParseError("Content-Length", f"got {shown(digits, 32)} for {len(body)} bytes")
        if declared < len(body):
            message.body = body[:declared]  # §18.3: the rest of the datagram is dropped
    if not call_id or call_id.translate(None, VISIBLE):
        raise ParseError("Call-ID", f"got {shown(call_id, 32)}")
    message.call_id = call_id
    known = len(cseq) <= _MAX_KNOWN_BYTES
    message.cseq, message.cseq_method = (_known_sequence if known else _sequence_of)(cseq)
    message.from_tag = tag_of(from_, "From")
    message.to_tag = tag_of(to, "To")
    message.via = parse_via(via)


def _sequence_of(value: bytes) -> tuple[int, bytes]:
    """Number and method of a CSeq."""
    words = value.split()
    number = decimal(words[0], _MAX_CSEQ) if len(words) == 2 else None
    if number is None:
        raise ParseError("CSeq", f"expected 0 to 2^31-1 and a method, got {shown(value, 32)}")
    return number, words[1]


# Status-Lines and CSeqs are nearly all the same few; those that somebody makes up push each other
# out, and what is long is not kept at all.
_known_status: Final = lru_cache(maxsize=512)(_status_of)
_known_sequence: Final = lru_cache(maxsize=512)(_sequence_of)


def _unusual_head(data: bytes) -> tuple[bytes, bytes]:
    """Head and body of what does not have the empty line where it belongs."""
    data = data.lstrip(b"\r\n")
    head, end, body = data.partition(b"\r\n\r\n")
    if end:
        return head, body
    if data.endswith(b"\r\n"):
        return data[:-2], b""  # the datagram ends with its head
    head, _, body = data.partition(b"\n\n")
    if b"\r" not in head and b"\n" in head:
        # No CR anywhere: no element that insists on CRLF can have read another head in this.
        return head.rstrip(b"\n").replace(b"\n", b"\r\n"), body
    raise ParseError("message", "expected a head that ends with an empty line")


def _salvage(head: bytes) -> Request | None:
    """As much of a malformed request as answering it takes."""
    fields: dict[bytes, Field] = {}
    repeated: dict[bytes, list[Field]] = {}
    start, *lines = _FOLD.split(head)[: MAX_HEADERS + 1]
    for line in lines:
        if len(line) > MAX_LINE_BYTES or not (
            line.count(b"\n") == line.count(b"\r\n") == line.count(b"\r")
        ):
            continue
        name = _name(line)
        if name not in _ANSWER_NEEDS:
            continue
        field = _unfolded(line.partition(b":"))
        if name not in fields:
            fields[name] = field
        elif name == b"via":
            repeated.setdefault(name, []).append(field)
    method = start.partition(b" ")[0]
    if b"via" not in fields or b"cseq" not in fields:
        return None
    if method == ACK or fields[b"cseq"][2].rstrip().endswith(ACK):
        return None
    request = FieldsRequest(fields, repeated, b"")
    request.method = method
    request.uri = b""
    request._target = None
    request.to_tag = b""
    with suppress(KeyError, ParseError):
        request.to_tag = tag_of(fields[b"to"][2].strip(), "To")
    return request


def _name(line: bytes) -> bytes:
    try:
        return CANONICAL[line.partition(b":")[0]]
    except ParseError:
        return b""
