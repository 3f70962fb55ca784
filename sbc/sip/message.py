"""Messages: the bytes as they came, and typed views of what is asked for.

A header line can be given back byte for byte. What a dialog or a transaction cannot do without
(Via, CSeq, Call-ID, tags) has been read and checked by the parser; everything else is read on
first access.

Here is what a message can do. Where its lines are kept is its store's affair: `sbc.sip.fields` for
what the parser in Python has read, `sbc.sip.native` for what the compiled one has.
"""

from __future__ import annotations

from typing import Final

from sbc.errors import ParseError
from sbc.sip.address import NameAddr, parse_name_addr
from sbc.sip.grammar import decimal, shown, split_list, without_comments
from sbc.sip.uri import Uri, parse_uri
from sbc.sip.via import Via

__all__ = ["Message", "Request", "Response"]

_MAX_FORWARDS: Final = 255  # RFC 3261 §20.22
_MAX_SECONDS: Final = 2**32 - 1  # delta-seconds, §20.19


class Message:
    """What requests and responses have in common; made by `sbc.sip.parser.parse` alone.

    Header names in arguments are canonical: long form, lower case. Nothing is ever assigned to a
    message that has been made.
    """

    __slots__ = ()

    body: bytes
    call_id: bytes
    cseq: int
    cseq_method: bytes
    from_tag: bytes
    """b"" where there is none (RFC 2543)."""
    to_tag: bytes
    via: Via
    """The topmost."""
    _contact: NameAddr | None

    # What a store does

    def names(self) -> frozenset[bytes]:
        """The canonical names present."""
        raise NotImplementedError

    def names_among(self, names: frozenset[bytes]) -> frozenset[bytes]:
        """Which of these canonical names are present."""
        raise NotImplementedError

    def first(self, name: bytes) -> bytes | None:
        """The value of the first line of that name, or None."""
        raise NotImplementedError

    def every(self, name: bytes) -> list[bytes]:
        """The value of each line of that name, in order."""
        raise NotImplementedError

    def raw(self, name: bytes) -> bytes:
        """The first line of that name, byte for byte as received, with its CRLF; b"" if none."""
        raise NotImplementedError

    def further(self, name: bytes) -> bytes:
        """The lines of that name after the first, as `raw`."""
        raise NotImplementedError

    def lines(self, names: frozenset[bytes]) -> bytes:
        """The lines of those names, byte for byte as received, each with its CRLF.

        Lines of one name stay in order, and names in the order of their first line; the order of
        lines of *different* names means nothing (§7.3.1).
        """
        raise NotImplementedError

    # Views

    def values(self, name: bytes) -> list[bytes]:
        """The members of the comma list that all lines of that name make up (§7.3.1), in order.

        Raises:
            ParseError: a quoted string or <> that is never closed.
        """
        lines = self.every(name)
        if not lines:
            return lines
        section = name.decode("latin-1")
        return [member for value in lines for member in split_list(value, b",", section) if member]

    @property
    def from_(self) -> NameAddr:
        """The From header."""
        return parse_name_addr(self.first(b"from") or b"", "From")

    @property
    def to(self) -> NameAddr:
        """The To header."""
        return parse_name_addr(self.first(b"to") or b"", "To")

    @property
    def contact(self) -> NameAddr | None:
        """The first Contact, or None.

        Raises:
            ParseError: not a name-addr.
        """
        contact = self._contact
        if contact is None:
            value = self.first(b"contact")
            if value is None:
                return None
            if value.find(b",") >= 0:
                value = split_list(value, b",", "Contact")[0]
            contact = parse_name_addr(value, "Contact")
            self._contact = contact  # type: ignore[misc]  # each store has it
        return contact

    @property
    def max_forwards(self) -> int | None:
        """Max-Forwards, 0..255, or None where there is none.

        Raises:
            ParseError: not such a number.
        """
        value = self.first(b"max-forwards")
        if value is None:
            return None
        number = decimal(value, _MAX_FORWARDS)
        if number is None:
            raise ParseError("Max-Forwards", f"expected 0 to 255, got {shown(value, 32)}")
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
    def body_is_optional(self) -> bool:
        """Whether a body that is not understood is to be ignored (§20.11). Raises nothing."""
        value = self.first(b"content-disposition")
        if value is None:
            return False
        try:
            _, *params = split_list(value.lower(), b";", "Content-Disposition")
        except ParseError:
            return False
        return b"handling=optional" in [param.translate(None, b" \t") for param in params]

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
            raise ParseError("Retry-After", f"expected seconds, got {shown(text, 32)}")
        return number


class Request(Message):
    """A request: the start line is `method uri SIP/2.0`."""

    __slots__ = ()

    method: bytes
    uri: bytes
    """The request-URI as received."""
    _target: Uri | None

    @property
    def target(self) -> Uri:
        """The request-URI, read; the parser has checked it."""
        target = self._target
        if target is None:
            target = parse_uri(self.uri)
            self._target = target  # type: ignore[misc]  # each store has it
        return target


class Response(Message):
    """A response: the start line is `SIP/2.0 status reason`."""

    __slots__ = ()

    status: int
    """100..699."""
    reason: bytes
