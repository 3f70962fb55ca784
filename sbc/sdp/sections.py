"""The lines behind `o=`, or behind one `m=`, read together.

A phone sends the same lines call after call; what differs is in `o=`, in `m=` and sometimes in
`c=`. So the text between is read once and then found again, in a bounded table: pure, only faster,
and all calls of one kind of phone share one `Section` in memory. Hence a `Section` never changes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from sbc.errors import ParseError
from sbc.sdp.addresses import address_of
from sbc.sdp.lines import MEANINGS, Meaning, Role, holds_key

__all__ = ["SECTIONS", "Said", "Section"]

_CACHED_SECTIONS: Final = 1_024
_CACHED_LENGTH: Final = 1_024

# RFC 8866 §9: a value is any bytes but NUL, CR and LF. A lone CR is a line end to some parsers: it
# would hide a line of theirs in a line of ours, so it is no tolerance but an error.
_LINES: Final = re.compile(rb"(?:\r\n(?:[A-Za-z]=[^\r\n\0]*+)?)*")

Said: TypeAlias = list[Meaning | None]
"""What the lines of one section say, by `Role`; of two that say the same, the last counts."""


@dataclass(slots=True, eq=False)
class Section:
    """Some lines, understood."""

    text: bytes
    """All of them as received, each with CRLF before it; b"" for none."""
    lines: tuple[bytes, ...]
    connections: tuple[bytes, ...]
    """The values of the `c=` lines."""
    host: str
    """The address in the first of them; "" where packets cannot or must not be sent to it."""
    held: bool
    """Whether that address is one of a hold (RFC 3264 §8.4)."""
    said: Said
    rtpmaps: dict[int, Meaning]
    """By payload type."""
    bandwidth: bytes
    """The `b=` lines that cross the border, each with CRLF before it."""
    timing: bytes
    """The `t=` line that crosses, the same way; b"" if there is none."""
    rest: bytes
    """All other lines that cross, the same way."""


class _Sections(dict[bytes, Section]):
    """Text → `Section`, read on first sight; emptied when full, as it is only a cache."""

    def __missing__(self, text: bytes) -> Section:
        section = _read(text)
        if len(text) <= _CACHED_LENGTH and not holds_key(text):
            if len(self) >= _CACHED_SECTIONS:
                self.clear()
            self[text] = section
        return section


SECTIONS: Final = _Sections()
"""`SECTIONS[text]` raises ParseError for text that is not lines, else never changes its answer."""


def _read(text: bytes) -> Section:
    if _LINES.fullmatch(text) is None:
        raise ParseError("SDP", "expected lines of <letter>=<value>")
    lines = tuple(text.split(b"\r\n")[1:])
    said: Said = [None] * len(Role)
    rtpmaps: dict[int, Meaning] = {}
    bandwidth: list[bytes] = []
    rest: list[bytes] = []
    timing = b""
    for line in lines:
        key = line[:2]
        if key in (b"o=", b"v="):
            raise ParseError(key.decode(), "expected one, in its place")
        meant = MEANINGS[line]
        if meant.role is Role.RTPMAP:
            rtpmaps[meant.number] = meant
        elif meant.role is not Role.OTHER:
            said[meant.role] = meant
        if not meant.crosses:
            continue
        if meant.role is Role.TIMING:
            timing = b"\r\n" + line
        else:
            (bandwidth if key == b"b=" else rest).append(b"\r\n" + line)
    connections = tuple(line[2:] for line in lines if line[:2] == b"c=")
    host, held = address_of(connections[0]) if connections else ("", False)
    return Section(
        text,
        lines,
        connections,
        host,
        held,
        said,
        rtpmaps,
        b"".join(bandwidth),
        timing,
        b"".join(rest),
    )
