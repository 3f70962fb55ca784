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
from sbc.sdp.model import Media, Session

__all__ = ["MAX_LINES", "MAX_MEDIA", "MAX_SIZE_BYTES", "parse"]

MAX_SIZE_BYTES: Final = 32_768
MAX_LINES: Final = 1_024
MAX_MEDIA: Final = 64

# RFC 8866 §9: a value is any bytes but NUL, CR and LF. A lone CR is a line end to some parsers: it
# would hide a line of theirs in a line of ours, so it is no tolerance but an error.
_LINES: Final = re.compile(rb"(?:[A-Za-z]=[^\r\n\0]*\r\n)+")
_LINES_AND_BLANKS: Final = re.compile(rb"(?:(?:[A-Za-z]=[^\r\n\0]*)?\r\n)+")
_ANY_LINE_END: Final = re.compile(rb"\r?\n")


def parse(data: bytes) -> Session:
    """The session description in `data`.

    Raises:
        ParseError: not a session description, or beyond the limits of this module.

    Source: RFC 8866 §5, §9.
    """
    if len(data) > MAX_SIZE_BYTES:
        raise ParseError("SDP", f"expected at most {MAX_SIZE_BYTES} bytes, got {len(data)}")
    newline = tail = b"\r\n"
    if _LINES.fullmatch(data) is None:
        data, newline, tail = _tolerate(data)
    if data.count(b"\n") > MAX_LINES:
        raise ParseError("SDP", f"expected at most {MAX_LINES} lines")

    sections = data[:-2].split(b"\r\nm=")
    if len(sections) > MAX_MEDIA + 1:
        raise ParseError("m=", f"expected at most {MAX_MEDIA}, got {len(sections) - 1}")
    lines = sections[0].split(b"\r\n")
    if lines[0].rstrip() != b"v=0":
        raise ParseError("v=", "expected v=0 first", offset=0)
    if len(lines) < 2 or lines[1][:2] != b"o=" or data.count(b"\no=") != 1:
        raise ParseError("o=", "expected one, as the second line")
    if len(lines[1][2:].split()) < 6:
        raise ParseError("o=", "expected six words")
    media = [_parse_media(section) for section in sections[1:]]
    return Session(lines, media, _connections(lines), newline, tail)


def _tolerate(data: bytes) -> tuple[bytes, bytes, bytes]:
    """`data` with CRLF behind each line; the line end it had; what stood behind the last one."""
    newline = b"\r\n" if b"\r\n" in data else b"\n"
    text = _ANY_LINE_END.sub(b"\r\n", data)
    tail = newline
    if text[-2:] != b"\r\n":
        text += b"\r\n"
        tail = b""
    if _LINES_AND_BLANKS.fullmatch(text) is None:
        raise ParseError("SDP", "expected lines of <letter>=<value>")
    return text, newline, tail


def _connections(lines: list[bytes]) -> list[bytes]:
    return [line[2:] for line in lines if line[:2] == b"c="]


def _parse_media(section: bytes) -> Media:
    """One m-line and what belongs to it: `<media> <port>[/<count>] <proto> <fmt> …` (§5.14)."""
    lines = section.split(b"\r\n")
    words = lines[0].split()
    lines[0] = b"m=" + lines[0]
    if len(words) < 3:
        raise ParseError("m=", "expected media, port, protocol and formats")
    port, slash, count = words[1].partition(b"/")
    if not port.isdigit() or len(words[1]) > 11 or (slash and not count.isdigit()):
        raise ParseError("m=", "expected <port> or <port>/<count>")
    number = int(port)
    if number > 65_535:
        raise ParseError("m=", f"expected a port of 0 to 65535, got {number}")
    # Most have the session's c=: looking first is cheaper than going through the lines.
    connections = _connections(lines) if b"\nc=" in section else []
    ports = int(count) if slash else 1
    return Media(words[0], number, ports, words[2], words[3:], lines, connections)
