"""Messages: the bytes as they came, and typed views of what is asked for.

A header field stays the pieces that its line was cut into, so that the line can be given back byte
for byte. What a dialog or a transaction cannot do without (Via, CSeq, Call-ID, tags) has been read
and checked by the parser; everything else is read on first access.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from sbc.errors import ParseError
from sbc.sip.address import NameAddr, parse_name_addr
from sbc.sip.grammar import decimal, split_list, without_comments
from sbc.sip.uri import Uri, parse_uri
from sbc.sip.via import Via

__all__ = ["Field", "Message", "Request", "Response", "line_of"]

Field: TypeAlias = tuple[bytes, bytes, bytes] | tuple[bytes, bytes, bytes, bytes]
"""The name as received, b":", the rest of the line without its CRLF. Of a folded line the third
has its folds read as spaces, and a fourth is the line as received."""

_MAX_FORWARDS: Final = 255  # RFC 3261 §20.22
_MAX_SECONDS: Final = 2**32 - 1  # delta-seconds, §20.19


def line_of(field: Field) -> bytes:
    """A field's line as received, with its CRLF."""
    if len(field) == 4:
        return field[3] + b"\r\n"
    return b"%b:%b\r\n" % (field[0], field[2])


class Message:
    """What requests and responses have in common; made by `sbc.sip.parser.parse` alone.

    Header names in arguments are canonical: long form, lower case.
    """

    __slots__ = (
        "_contact",
        "_fields",
        "_repeated",
        "body",
        "call_id",
        "cseq",
        "cseq_method",
        "from_tag",
        "to_tag",
        "via",
    )

    body: bytes
    call_id: bytes
    cseq: int
    cseq_method: bytes
    from_tag: bytes
    """b"" where there is none (RFC 2543)."""
    to_tag: bytes
    via: Via
    """The topmost."""

    def __init__(
        self, fields: dict[bytes, Field], repeated: dict[bytes, list[Field]], body: bytes
    ) -> None:
        self._fields = fields  # canonical name → its first line, in order of first appearance
        self._repeated = repeated  # canonical name → its further lines
        self.body = body
        self._contact: NameAddr | None = None

    def names(self) -> frozenset[bytes]:
        """The canonical names present."""
        return frozenset(self._fields)

    def names_among(self, names: frozenset[bytes]) -> frozenset[bytes]:
        """Which of these canonical names are present."""
        return names.intersection(self._fields)

    def first(self, name: bytes) -> bytes | None:
        """The value of the first line of that name, or None."""
        field = self._fields.get(name)
        return None if field is None else field[2].strip()

    def every(self, name: bytes) -> list[bytes]:
        """The value of each line of that name, in order."""
        field = self._fields.get(name)
        if field is None:
            return []
        if name not in self._repeated:
            return [field[2].strip()]
        return [line[2].strip() for line in (field, *self._repeated[name])]

    def values(self, name: bytes) -> list[bytes]:
        """The members of the comma list that all lines of that name make up (§7.3.1), in order.

        Raises:
            ParseError: a quoted string or <> that is never closed.
        """
        if name not in self._fields:
            return []
        section = name.decode("latin-1")
        return [
            member
            for value in self.every(name)
            for member in split_list(value, b",", section)
            if member
        ]

    def raw(self, name: bytes) -> bytes:
        """The first line of that name, byte for byte as received, with its CRLF; b"" if none."""
        field = self._fields.get(name)
        if field is None:
            return b""
        if len(field) == 3:  # as nearly always, so without the call
            return b"%b:%b\r\n" % (field[0], field[2])
        return line_of(field)

    def further(self, name: bytes) -> bytes:
        """The lines of that name after the first, as `raw`."""
        if name not in self._repeated:
            return b""
        return b"".join(map(line_of, self._repeated[name]))

    def lines(self, names: frozenset[bytes]) -> bytes:
        """The lines of those names, byte for byte as received, each with its CRLF.

        Lines of one name stay in order, and names in the order of their first line; the order of
        lines of *different* names means nothing (§7.3.1).
        """
        if names.isdisjoint(self._fields):
            return b""
        parts: list[bytes] = []
        for name, field in self._fields.items():
            if name in names:
                parts.append(line_of(field))
                if name in self._repeated:
                    parts += map(line_of, self._repeated[name])
        return b"".join(parts)

    @property
    def from_(self) -> NameAddr:
        """The From header."""
        return parse_name_addr(self._fields[b"from"][2].strip(), "From")

    @property
    def to(self) -> NameAddr:
        """The To header."""
        return parse_name_addr(self._fields[b"to"][2].strip(), "To")

    @property
    def contact(self) -> NameAddr | None:
        """The first Contact, or None.

        Raises:
            ParseError: not a name-addr.
        """
        if self._contact is None and b"contact" in self._fields:
            value = self._fields[b"contact"][2].strip()
            if value.find(b",") >= 0:
                value = split_list(value, b",", "Contact")[0]
            self._contact = parse_name_addr(value, "Contact")
        return self._contact

    @property
    def max_forwards(self) -> int | None:
        """Max-Forwards, 0..255, or None where there is none.

        Raises:
            ParseError: not such a number.
        """
        field = self._fields.get(b"max-forwards")
        if field is None:
            return None
        number = decimal(field[2].strip(), _MAX_FORWARDS)
        if number is None:
            raise ParseError("Max-Forwards", f"expected 0 to 255, got {field[2][:32]!r}")
        return number

    @property
    def content_type(self) -> bytes:
        """The media type in lower case without its parameters; b"" where there is none."""
        value = self.first(b"content-type") or b""
        if value == b"application/sdp":  # as nearly always, and in this spelling
            return value
        value = value.partition(b";")[0]
        return b"/".join([part.strip() for part in value.lower().split(b"/")])

    @property
    def retry_after(self) -> int | None:
        """Retry-After in seconds without its comment and parameters, or None (§20.33).

        Raises:
            ParseError: not such a number, comments unbalanced or nested too deep.
        """
        value = self.first(b"retry-after")
        if value is None:
            return None
        text = without_comments(value, "Retry-After").partition(b";")[0].strip()
        number = decimal(text, _MAX_SECONDS)
        if number is None:
            raise ParseError("Retry-After", f"expected seconds, got {text[:32]!r}")
        return number


class Request(Message):
    """A request: the start line is `method uri SIP/2.0`."""

    __slots__ = ("_target", "method", "uri")

    method: bytes
    uri: bytes
    """The request-URI as received."""
    _target: Uri | None

    @property
    def target(self) -> Uri:
        """The request-URI, read; the parser has checked it."""
        if self._target is None:
            self._target = parse_uri(self.uri)
        return self._target


class Response(Message):
    """A response: the start line is `SIP/2.0 status reason`."""

    __slots__ = ("reason", "status")

    status: int
    """100..699."""
    reason: bytes
