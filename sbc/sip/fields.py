"""Messages as dictionaries of header fields: what the parser in Python makes.

A header field stays the pieces that its line was cut into, so that the line can be given back byte
for byte.
"""

from __future__ import annotations

from typing import TypeAlias

from sbc.sip.address import NameAddr
from sbc.sip.message import Message, Request, Response
from sbc.sip.uri import Uri

__all__ = ["Field", "FieldsMessage", "FieldsRequest", "FieldsResponse"]

Field: TypeAlias = tuple[bytes, bytes, bytes] | tuple[bytes, bytes, bytes, bytes]
"""The name as received, b":", the rest of the line without its CRLF. Of a folded line the third
has its folds read as spaces, and a fourth is the line as received."""


def _line_of(field: Field) -> bytes:
    """A field's line as received, with its CRLF."""
    if len(field) == 4:
        return field[3] + b"\r\n"
    return b"%b:%b\r\n" % (field[0], field[2])


class FieldsMessage(Message):
    """The fields of a message, and what the parser reads of them."""

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

    def __init__(
        self, fields: dict[bytes, Field], repeated: dict[bytes, list[Field]], body: bytes
    ) -> None:
        self._fields = fields  # canonical name → its first line, in order of first appearance
        self._repeated = repeated  # canonical name → its further lines
        self.body = body
        self._contact: NameAddr | None = None

    def names(self) -> frozenset[bytes]:
        return frozenset(self._fields)

    def names_among(self, names: frozenset[bytes]) -> frozenset[bytes]:
        return names.intersection(self._fields)

    def first(self, name: bytes) -> bytes | None:
        field = self._fields.get(name)
        return None if field is None else field[2].strip()

    def every(self, name: bytes) -> list[bytes]:
        field = self._fields.get(name)
        if field is None:
            return []
        if name not in self._repeated:
            return [field[2].strip()]
        return [line[2].strip() for line in (field, *self._repeated[name])]

    def raw(self, name: bytes) -> bytes:
        field = self._fields.get(name)
        if field is None:
            return b""
        if len(field) == 3:  # as nearly always, so without the call
            return b"%b:%b\r\n" % (field[0], field[2])
        return _line_of(field)

    def further(self, name: bytes) -> bytes:
        if name not in self._repeated:
            return b""
        return b"".join(map(_line_of, self._repeated[name]))

    def lines(self, names: frozenset[bytes]) -> bytes:
        if names.isdisjoint(self._fields):
            return b""
        parts: list[bytes] = []
        for name, field in self._fields.items():
            if name in names:
                parts.append(_line_of(field))
                if name in self._repeated:
                    parts += map(_line_of, self._repeated[name])
        return b"".join(parts)


class FieldsRequest(FieldsMessage, Request):
    """A request."""

    __slots__ = ("_target", "method", "uri")

    _target: Uri | None


class FieldsResponse(FieldsMessage, Response):
    """A response."""

    __slots__ = ("reason", "status")
