"""Bytes to `Session` (RFC 8866 §9).

Total: any bytes give a `Session` or a `ParseError`. Strict about what we act on (`v=`, `o=`,
`m=`, control characters that another parser could take for a line end), tolerant elsewhere:

* line ends may be LF, as RFC 8866 §5 asks; where both kinds are mixed, CRLF is what the model says
* the last line end may be missing, empty lines may stand anywhere (phones append them)
* `s=` and `t=` may be missing, session-level lines may come in any order after `v=`
* a user name in `o=` may hold spaces, an `m=` line may have no formats
"""

from __future__ import annotations

import re
from typing import Final

from sbc.errors import ParseError
from sbc.sdp.model import Media, Session

__all__ = ["MAX_LINES", "MAX_MEDIA", "MAX_SIZE_BYTES", "parse"]

MAX_SIZE_BYTES: Final = 32_768
MAX_LINES: Final = 1_024
MAX_MEDIA: Final = 64

_ANY_LINE_END: Final = re.compile(rb"\r?\n")
_TYPES: Final = frozenset(
    bytes((letter, 0x3D)) for letter in b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)


def parse(data: bytes) -> Session:
    """The session description in `data`.

    Raises:
        ParseError: not a session description, or beyond the limits of this module.

    Source: RFC 8866 §5, §9.
    """
    if len(data) > MAX_SIZE_BYTES:
        raise ParseError("SDP", f"expected at most {MAX_SIZE_BYTES} bytes, got {len(data)}")
    lines, newline = _split(data)
    tail = b""
    if not lines[-1]:
        tail = newline
        lines.pop()
    if not lines or lines[0].rstrip(b" ") != b"v=0":
        raise ParseError("v=", "expected v=0 first", offset=0)

    here: list[bytes] = []
    session_lines, media = here, []
    origins, connection = 0, b""
    current: Media | None = None
    for line in lines:
        key = line[:2]
        if key == b"a=":
            pass
        elif key == b"m=":
            current = _parse_media(line)
            media.append(current)
            here = current.lines
            continue
        elif key == b"c=":
            if current is not None:
                current.connections.append(line[2:])
            elif not connection:
                connection = line[2:]
        elif key == b"o=":
            if current is not None or len(line[2:].split()) < 6:
                raise ParseError("o=", "expected six words, before any m=")
            origins += 1
        elif key not in _TYPES and line:
            raise ParseError("SDP", "expected <letter>=<value>")
        here.append(line)
    if origins != 1:
        raise ParseError("o=", f"expected one, got {origins}")
    if len(media) > MAX_MEDIA:
        raise ParseError("m=", f"expected at most {MAX_MEDIA}, got {len(media)}")
    return Session(session_lines, media, connection, newline, tail)


def _split(data: bytes) -> tuple[list[bytes], bytes]:
    """The lines of `data` and what ends them."""
    newline = b"\r\n" if b"\r" in data else b"\n"
    lines = data.split(newline)
    if len(lines) > MAX_LINES + 1:
        raise ParseError("SDP", f"expected at most {MAX_LINES} lines, got {len(lines)}")
    ends = len(lines) - 1
    if data.count(b"\n") != ends:  # mixed: CRLF in some lines, LF in others
        lines = _ANY_LINE_END.split(data)
        if len(lines) > MAX_LINES + 1:
            raise ParseError("SDP", f"expected at most {MAX_LINES} lines, got {len(lines)}")
        ends = data.count(b"\r\n")
    # §9 byte-string: a lone CR or a NUL is a line end to some parsers and would hide a line from us.
    if newline == b"\r\n" and data.count(b"\r") != ends:
        raise ParseError("SDP", "a carriage return within a line")
    if b"\0" in data:
        raise ParseError("SDP", "a NUL", offset=data.index(b"\0"))
    return lines, newline


def _parse_media(line: bytes) -> Media:
    """One `m=` line: `m=<media> <port>[/<count>] <proto> <fmt> …` (RFC 8866 §5.14)."""
    words = line[2:].split()
    if len(words) < 3:
        raise ParseError("m=", "expected media, port, protocol and formats")
    port, slash, count = words[1].partition(b"/")
    if not port.isdigit() or (slash and not count.isdigit()) or len(words[1]) > 11:
        raise ParseError("m=", "expected <port> or <port>/<count>")
    number = int(port)
    if number > 65_535:
        raise ParseError("m=", f"expected a port of 0 to 65535, got {number}")
    ports = int(count) if slash else 1
    return Media(words[0], number, ports, words[2], words[3:], [line], [])
