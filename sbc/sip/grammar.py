"""The lexical rules that every SIP header shares (RFC 3261 §25.1), and the limits of the parser.

Sets of bytes are tested with `value.translate(None, SET) == b""`. Regexes, here and in the modules
of the headers, use possessive quantifiers only, so that none of them can ever backtrack.
"""

from __future__ import annotations

import re
from typing import Final

from sbc.errors import ParseError

__all__ = [
    "HOST_RULE",
    "MAX_COMMENT_DEPTH",
    "MAX_HEADERS",
    "MAX_LINE_BYTES",
    "MAX_MESSAGE_BYTES",
    "MAX_PARAMS",
    "QUOTED_STRING",
    "TOKEN",
    "TOKEN_RULE",
    "URI_RULE",
    "VISIBLE",
    "decimal",
    "is_ipv6",
    "is_token",
    "quote",
    "shown",
    "split_list",
    "unfold",
    "unquote",
    "without_comments",
]

MAX_MESSAGE_BYTES: Final = 65_535
MAX_HEADERS: Final = 256
MAX_LINE_BYTES: Final = 8_192
"""Of one header field with its folded lines."""
MAX_PARAMS: Final = 64
"""Of one list of `;name=value`."""
MAX_COMMENT_DEPTH: Final = 8

_ALPHANUM: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
TOKEN: Final = _ALPHANUM + b"-.!%*_+`'~"
TOKEN_RULE: Final = rb"[A-Za-z0-9.!%*_+`'~-]++"
VISIBLE: Final = bytes(range(0x21, 0x7F))
# RFC 3261 has no "_" in a hostname; Windows and Docker hosts have, and nothing depends on it.
HOST_RULE: Final = rb"[A-Za-z0-9._-]++"
# Printing bytes but `"<>`: what is taken for a URI can always be written back in <>.
URI_RULE: Final = rb"[!#-;=?-~\x80-\xff]++"
_IPV6: Final = b"0123456789abcdefABCDEF:."

_UNPRINTABLE: Final = re.compile(rb"[^ -~]")
_PASSWORD: Final = re.compile(rb"(:[^:@]++):[^@]*+@")
_MAX_SHOWN: Final = 128
"""Of what a text about it is made from."""

_QUOTED: Final = rb'"(?:[^"\\]++|\\.)*"'

# One member of a list: no separator outside quoted strings and <>. A `"` or `<` that is never
# closed ends the match early, which the caller sees as something that is no separator.
_MEMBER: Final = {
    separator: re.compile(
        rb'(?:[^"<%b]++|%b|<[^<>"]*+(?:%b[^<>"]*+)*>)*' % (separator, _QUOTED, _QUOTED), re.DOTALL
    )
    for separator in (b",", b";")
}
QUOTED_STRING: Final = re.compile(_QUOTED, re.DOTALL)
_ESCAPED: Final = re.compile(rb"\\(.)", re.DOTALL)
_NEEDS_ESCAPE: Final = re.compile(rb'[\\"]')
_COMMENT_PART: Final = re.compile(rb'[^()"\\]++|\\.|%b|[()]' % _QUOTED, re.DOTALL)


def is_token(value: bytes) -> bool:
    """Whether `value` is a `token`: a method, a header or parameter name."""
    return value != b"" and not value.translate(None, TOKEN)


def is_ipv6(value: bytes) -> bool:
    """Whether `value` is an IPv6 address without brackets (RFC 4291 §2.2).

    `:::` before an embedded IPv4 address is taken for `::`: RFC 3261's grammar allowed it until
    RFC 5954, and RFC 5118 §4.10 asks receivers to be lenient.
    """
    if value.translate(None, _IPV6):
        return False
    left, gap, right = value.replace(b":::", b"::").partition(b"::")
    groups = [*(left.split(b":") if left else ()), *(right.split(b":") if right else ())]
    count = len(groups)
    if b"." in value.rpartition(b":")[2]:
        octets = groups.pop().split(b".")
        if len(octets) != 4 or any(decimal(octet, 255) is None for octet in octets):
            return False
        count += 1
    if any(not 1 <= len(group) <= 4 or b"." in group for group in groups):
        return False
    return count <= 7 if gap else count == 8


def decimal(value: bytes, limit: int) -> int | None:
    """`value` as a number of 0 to `limit`, or None; leading zeros are legal (RFC 4475 §3.1.1.1)."""
    if not value.isdigit():
        return None
    if len(value) > 20:  # int() is quadratic: no number is read before its length is known
        value = value.lstrip(b"0")[:21] or b"0"
    number = int(value)
    return number if number <= limit else None


def unfold(value: bytes) -> bytes:
    """`value` with each line fold read as one space (RFC 3261 §7.3.1)."""
    return b" ".join([part.strip(b" \t") for part in value.split(b"\r\n")]).strip(b" ")


def split_list(value: bytes, separator: bytes, section: str) -> list[bytes]:
    """The members of a list, stripped, empty ones included; what is quoted or in <> splits nothing.

    Args:
        value: unfolded.
        separator: `,` or `;`.
        section: what a ParseError names.
    """
    if b'"' not in value and b"<" not in value:
        return [member.strip(b" \t") for member in value.split(separator)]
    match_member = _MEMBER[separator].match
    members = []
    position = 0
    while True:
        match = match_member(value, position)
        end = position if match is None else match.end()
        members.append(value[position:end].strip(b" \t"))
        if end == len(value):
            return members
        if value[end : end + 1] != separator:
            raise ParseError(section, 'expected a closing " or >', offset=end)
        position = end + 1


def shown(value: bytes, most: int) -> str:
    """The first `most` bytes of what a peer sent, for a text about it: quoted, in printing ASCII.

    A password in a URI does not show itself.
    """
    text = _PASSWORD.sub(rb"\1:...@", value[:_MAX_SHOWN])[:most]
    return "'" + _UNPRINTABLE.sub(b"?", text).decode("ascii") + "'"


def quote(text: bytes) -> bytes:
    """`text` as a quoted-string."""
    return b'"' + _NEEDS_ESCAPE.sub(rb"\\\g<0>", text) + b'"'


def unquote(value: bytes) -> bytes:
    """The text of a quoted-string; any other value as it is."""
    if len(value) < 2 or value[:1] != b'"' or value[-1:] != b'"':
        return value
    return _ESCAPED.sub(rb"\1", value[1:-1])


def without_comments(value: bytes, section: str) -> bytes:
    """`value` without its (comments), stripped; what is in a quoted string is none."""
    if b"(" not in value:
        return value
    kept = []
    depth = 0
    position = 0
    for match in _COMMENT_PART.finditer(value):
        if match.start() != position:
            break
        position = match.end()
        part = match[0]
        if part == b"(":
            depth += 1
            if depth > MAX_COMMENT_DEPTH:
                raise ParseError(section, f"comments nested deeper than {MAX_COMMENT_DEPTH}")
        elif part == b")":
            depth -= 1
            if depth < 0:
                break
        elif depth == 0:
            kept.append(part)
    if depth or position != len(value):
        raise ParseError(section, "expected balanced parentheses and quotes", offset=position)
    return b"".join(kept).strip(b" \t")
