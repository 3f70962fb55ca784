"""Lists of `;name=value` (RFC 3261 §25.1 `generic-param`)."""

from __future__ import annotations

from typing import Final, TypeAlias

from sbc.errors import ParseError
from sbc.sip.grammar import MAX_PARAMS, QUOTED_STRING, VISIBLE, shown, split_list

__all__ = ["Params", "parse_params"]

Params: TypeAlias = dict[bytes, bytes]
"""Lower-case name → raw value (quotes kept, see `grammar.unquote`); a flag has the value b""."""

# Wider than `token`: peers write IPv6 addresses, base64 and e-mail addresses without quotes.
_UNQUOTED: Final = VISIBLE.translate(None, b'"<>,;')


def parse_params(value: bytes, section: str) -> Params:
    """Read the parameters that follow the first `;` of a header value.

    Args:
        value: unfolded, without the leading `;`.
        section: what a ParseError names.

    Raises:
        ParseError: an empty parameter, a name twice (§7.3.1), a value that is neither a run of
            printing ASCII nor a quoted string, or more than MAX_PARAMS.
    """
    if value.translate(None, _UNQUOTED).strip(b";"):
        members = [_cut(member, section) for member in split_list(value, b";", section)]
    else:
        members = [member.partition(b"=") for member in value.split(b";")]
    if len(members) > MAX_PARAMS:
        raise ParseError(section, f"more than {MAX_PARAMS} parameters")
    params: Params = {}
    for name, _, text in members:
        key = name.lower()
        if not key or key in params:
            raise ParseError(section, f"expected another parameter, got {shown(name, 32)}")
        params[key] = text
    return params


def _cut(member: bytes, section: str) -> tuple[bytes, bytes, bytes]:
    name, equals, text = member.partition(b"=")
    name, text = name.rstrip(b" \t"), text.lstrip(b" \t")
    if name.translate(None, _UNQUOTED):
        raise ParseError(section, f"expected a parameter name, got {shown(name, 32)}")
    if text.translate(None, _UNQUOTED) and QUOTED_STRING.fullmatch(text) is None:
        raise ParseError(section, f"expected a value for {shown(name, 32)}, got {shown(text, 32)}")
    return name, equals, text
