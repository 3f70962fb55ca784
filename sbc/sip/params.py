"""Lists of `;name=value` (RFC 3261 §25.1 `generic-param`)."""

from __future__ import annotations

from typing import TypeAlias

from sbc.errors import ParseError
from sbc.sip.grammar import MAX_PARAMS, is_token, is_word, split_list

__all__ = ["Params", "parse_params"]

Params: TypeAlias = dict[bytes, bytes]
"""Lower-case name → raw value (quotes kept, see `grammar.unquote`); a flag has the value b""."""


def parse_params(value: bytes, section: str) -> Params:
    """Read the parameters after the first `;` of a header value; b"" has none.

    Args:
        value: unfolded, without the leading `;`.
        section: what a ParseError names.

    Raises:
        ParseError: an empty parameter, a name twice (§7.3.1), a value that is no token, host or
            quoted string, or more than MAX_PARAMS.
    """
    params: Params = {}
    if not value:
        return params
    members = split_list(value, b";", section)
    if len(members) > MAX_PARAMS:
        raise ParseError(section, f"more than {MAX_PARAMS} parameters")
    for member in members:
        name, equals, text = member.partition(b"=")
        name = name.strip(b" \t").lower()
        text = text.strip(b" \t")
        if not is_token(name):
            raise ParseError(section, f"expected a parameter name, got {name[:32]!r}")
        if name in params:
            raise ParseError(section, f"parameter {name[:32]!r} twice")
        if equals and text[:1] != b'"' and not is_word(text):
            raise ParseError(section, f"expected a value for {name[:32]!r}")
        params[name] = text
    return params
