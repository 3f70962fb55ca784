"""Bytes to `Session` (RFC 8866 §9).

Total: any bytes give a `Session` or a `ParseError`. Strict about what we act on (`v=`, `o=`,
`m=`, control characters that another parser could take for a line end), tolerant elsewhere:

* line ends may be LF, as RFC 8866 §5 asks; where both kinds are mixed, CRLF is what the model says
* the last line end may be missing, empty lines may stand anywhere (phones append them)
* `s=` and `t=` may be missing, session-level lines may come in any order after `v=` and `o=`
* a user name in `o=` may hold spaces, an `m=` line may have no formats
"""

from __future__ import annotations

import re
from typing import Final

from sbc.errors import ParseError
from sbc.sdp.forms import FORMS
from sbc.sdp.model import Media, Session
from sbc.sdp.native import description
from sbc.sdp.sections import SECTIONS

__all__ = ["MAX_LINES", "MAX_MEDIA", "MAX_SIZE_BYTES", "parse", "parse_in_python"]

MAX_SIZE_BYTES: Final = 32_768
MAX_LINES: Final = 1_024
MAX_MEDIA: Final = 64

_VERSION: Final = b"v=0"
_CRLF: Final = b"\r\n"
_ANY_LINE_END: Final = re.compile(rb"\r?\n")
_ORIGIN: Final = re.compile(rb"o=[^ \r\n\0]++(?: ++[^ \r\n\0]++){5,} *+")
_MEDIA: Final = re.compile(rb"([^ \r\n\0]++) ++([0-9]{1,5}+)(?:/([0-9]{1,5}+))? ++([^\r\n\0]++)")


def parse(data: bytes) -> Session:
    """The session description in `data`.

    Raises:
        ParseError: not a session description, or beyond the limits of this module.

    Source: RFC 8866 §5, §9.
    """
    cut = description(data)
    if cut is None:
        return parse_in_python(data)
    origin, text, sections = cut
    media = [Media(port, 1, line, FORMS[form]) for port, line, form in sections]
    return Session(_VERSION, origin, SECTIONS[text], media, _CRLF, _CRLF)


def parse_in_python(data: bytes) -> Session:
    """The same without the compiled extension, whose specification this is."""
    if len(data) > MAX_SIZE_BYTES:
        raise ParseError("SDP", f"expected at most {MAX_SIZE_BYTES} bytes, got {len(data)}")
    newline = tail = _CRLF
    count = data.count(b"\n")
    if count > MAX_LINES:
        raise ParseError("SDP", f"expected at most {MAX_LINES} lines, got {count}")
    if data[-2:] != newline or data.count(newline) != count:
        data, newline, tail = _tolerate(data)
    head, *sections = data[:-2].split(b"\r\nm=")
    if len(sections) > MAX_MEDIA:
        raise ParseError("m=", f"expected at most {MAX_MEDIA}, got {len(sections)}")
    version, _, rest = head.partition(b"\r\n")
    if version.rstrip(b" ") != _VERSION:
        raise ParseError("v=", "expected v=0 first", offset=0)
    end = rest.find(b"\r\n")
    origin, text = (rest[:end], rest[end:]) if end >= 0 else (rest, b"")
    if _ORIGIN.fullmatch(origin) is None:
        raise ParseError("o=", "expected six words, as the second line")
    media = [_parse_media(section) for section in sections]
    return Session(version, origin, SECTIONS[text], media, newline, tail)


def _tolerate(data: bytes) -> tuple[bytes, bytes, bytes]:
    """`data` with CRLF behind each line; the line end it had; what stood behind the last one."""
    newline = b"\r\n" if b"\r\n" in data else b"\n"
    text = _ANY_LINE_END.sub(b"\r\n", data)
    if text[-2:] == b"\r\n":
        return text, newline, newline
    return text + b"\r\n", newline, b""


def _parse_media(section: bytes) -> Media:
    """One m-line and what belongs to it: `<media> <port>[/<count>] <proto> <fmt> …` (§5.14)."""
    end = section.find(b"\r\n")
    words, text = (section[:end], section[end:]) if end >= 0 else (section, b"")
    match = _MEDIA.fullmatch(words)
    if match is None:
        raise ParseError("m=", "expected media, port, protocol and formats")
    kind, port, count, rest = match.groups()
    number = int(port)
    if number > 65_535:
        raise ParseError("m=", f"expected a port of 0 to 65535, got {number}")
    count = 1 if count is None else int(count)
    return Media(number, count, b"m=" + words, FORMS[kind, rest, text])
