"""name-addr and addr-spec: the values of From, To, Contact, Route … (RFC 3261 §20.10, §25.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sbc.errors import ParseError
from sbc.sip.grammar import TOKEN, TOKEN_RULE, URI_RULE, quote, shown, unquote
from sbc.sip.params import Params, parse_params

__all__ = ["NameAddr", "parse_name_addr", "tag_of"]

# What the URI means is `parse_uri`'s affair.
# An unquoted display name may be of any bytes but `"<>`: RFC 4475 §3.1.2.15 allows to infer the
# quotes, and commas, brackets and Latin-1 are everyday. No space is needed before `<` (§3.1.1.6).
_NAME_ADDR: Final = re.compile(
    rb'(?:("(?:[^"\\]++|\\.)*")[ \t]*+|([^"<>]*+))<(%b)>[ \t]*+(?:;(.++))?' % URI_RULE,
    re.DOTALL,
)
# Without <>, what follows a `;` belongs to the header, and `,` or `?` must not be (§20.10).
_ADDR_SPEC: Final = re.compile(
    rb"([A-Za-z][A-Za-z0-9+.-]*+:[!#-+\--:=@-~\x80-\xff]++|\*)[ \t]*+(?:;(.++))?", re.DOTALL
)
# What From and To nearly always are; a subset of the above.
_USUAL: Final = re.compile(
    rb'(?:"[^"\\]*+" ?+|[^"<>]*+)<%b>(?:;tag=(%b))?' % (URI_RULE, TOKEN_RULE)
)


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

    Args:
        value: one value, unfolded and already cut out of its comma list.
        section: what a ParseError names.

    Raises:
        ParseError: unbalanced quotes or <>, white space in the URI, malformed parameters.
    """
    match = _NAME_ADDR.fullmatch(value)
    if match is not None:
        quoted, unquoted, uri, params = match.groups()
        display = unquote(quoted) if quoted else unquoted.strip()
    else:
        match = _ADDR_SPEC.fullmatch(value)
        if match is None:
            raise ParseError(section, f"expected a name-addr or addr-spec, got {shown(value, 64)}")
        uri, params = match.groups()
        display = b""
    return NameAddr(display, uri, parse_params(params, section) if params is not None else {})


def tag_of(value: bytes, section: str) -> bytes:
    """The `tag` of a From or To value, b"" where there is none, having checked the whole value."""
    match = _USUAL.fullmatch(value)
    if match is not None:
        return match[1] or b""
    params = parse_name_addr(value, section).params
    tag = params.get(b"tag", b"")
    if b"tag" in params and (not tag or tag.translate(None, TOKEN)):
        raise ParseError(section, f"expected a token as tag, got {shown(tag, 32)}")
    return tag
