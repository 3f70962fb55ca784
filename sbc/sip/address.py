"""name-addr and addr-spec: the values of From, To, Contact, Route … (RFC 3261 §20.10, §25.1)."""

from __future__ import annotations

from dataclasses import dataclass

from sbc.errors import ParseError
from sbc.sip.grammar import QUOTED_STRING, TOKEN, is_word, quote, unquote
from sbc.sip.params import Params, parse_params

__all__ = ["NameAddr", "parse_name_addr", "tag_of"]


@dataclass(slots=True)
class NameAddr:
    """A display name, a URI, and the parameters of the header (not of the URI)."""

    display: bytes
    """Its text: unquoted, escapes read; b"" where there is none."""
    uri: bytes
    """Raw, without <>; b"*" only in a Contact."""
    params: Params

    def __bytes__(self) -> bytes:
        """The value, always in the <> form."""
        display = quote(self.display) + b" " if self.display else b""
        params = b"".join(
            [
                b";%b=%b" % (name, text) if text else b";" + name
                for name, text in self.params.items()
            ]
        )
        return b"%b<%b>%b" % (display, self.uri, params)


def parse_name_addr(value: bytes, section: str = "name-addr") -> NameAddr:
    """Read one name-addr or addr-spec with its parameters.

    Tolerated: an unquoted display name of any bytes but `"<>` (RFC 4475 §3.1.2.15 allows to
    infer the quotes; commas, brackets and Latin-1 are everyday), and no space before `<`.

    Raises:
        ParseError: unbalanced quotes or <>, a URI with white space, a `?` or `,` outside <>
            (§20.10), malformed parameters.
    """
    if value[:1] == b'"':
        display, value = _quoted_display(value, section)
    elif b"<" in value:
        raw, _, value = value.partition(b"<")
        display = raw.strip(b" \t")
        if b'"' in display or b">" in display:
            raise ParseError(section, f"expected a display name, got {display[:32]!r}")
    else:
        return _bare(value, section)
    uri, closed, tail = value.partition(b">")
    if not closed or not is_word(uri) or b"<" in uri or b'"' in uri:
        raise ParseError(section, f"expected <URI>, got {value[:64]!r}")
    return NameAddr(display, uri, _params(tail, section))


def tag_of(value: bytes, section: str) -> bytes:
    """The `tag` of a From or To value, b"" where there is none, having checked the whole value.

    The usual form, `… <uri>` or `… <uri>;tag=token`, is checked without building anything.
    """
    before, bracket, tail = value.partition(b">")
    if bracket and (not tail or tail[:5] == b";tag="):
        display, opened, uri = before.partition(b"<")
        tag = tail[5:]
        if (
            opened
            and not tag.translate(None, TOKEN)
            and (tag or not tail)
            and is_word(uri)
            and b'"' not in uri
            and b"<" not in uri
            and (b'"' not in display or _is_plainly_quoted(display))
        ):
            return tag
    tag = parse_name_addr(value, section).params.get(b"tag", b"")
    if tag.translate(None, TOKEN):
        raise ParseError(section, f"expected a token as tag, got {tag[:32]!r}")
    return tag


def _is_plainly_quoted(display: bytes) -> bool:
    display = display.strip(b" \t")
    return display[:1] == b'"' == display[-1:] and b"\\" not in display and display.count(b'"') == 2


def _quoted_display(value: bytes, section: str) -> tuple[bytes, bytes]:
    """The text of the quoted string that opens `value`, and what follows the next `<`."""
    match = QUOTED_STRING.match(value)
    if match is None:
        raise ParseError(section, "expected a closing quote")
    rest = value[match.end() :].lstrip(b" \t")
    if rest[:1] != b"<":
        raise ParseError(section, f"expected < after the display name, got {rest[:32]!r}")
    return unquote(match[0]), rest[1:]


def _bare(value: bytes, section: str) -> NameAddr:
    """addr-spec without <>: what follows the first `;` belongs to the header, not to the URI."""
    uri, semicolon, tail = value.partition(b";")
    uri = uri.strip(b" \t")
    if not is_word(uri) or b"?" in uri or b"," in uri or b">" in uri or b'"' in uri:
        raise ParseError(section, f"expected a URI, got {value[:64]!r}")
    if b":" not in uri and uri != b"*":
        raise ParseError(section, f"expected a URI with a scheme, got {uri[:64]!r}")
    return NameAddr(b"", uri, _params(semicolon + tail, section))


def _params(tail: bytes, section: str) -> Params:
    tail = tail.strip(b" \t")
    if not tail:
        return {}
    if tail[:1] != b";":
        raise ParseError(section, f"expected ;parameters, got {tail[:32]!r}")
    if tail == b";":
        raise ParseError(section, "expected a parameter after ;")
    return parse_params(tail[1:], section)
