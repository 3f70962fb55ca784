"""An m-line without its port, and the lines behind it, understood together.

Call after call a phone offers the same codecs in the same words; only the port differs. So what
does not differ is worked out once and found again, in a bounded table, as in `sections.py`: pure,
only faster. Hence a `Form` never changes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sbc.errors import ParseError
from sbc.sdp.lines import Meaning, holds_key
from sbc.sdp.sections import SECTIONS, Section

__all__ = ["FASTEST_HZ", "FORMS", "Form"]

_CACHED_FORMS: Final = 1_024
_CACHED_LENGTH: Final = 1_024
_MOST_FORMATS: Final = 128
"""As many as there are payload types (RFC 3550 §5.1)."""

_DYNAMIC: Final = 35
"""From here on payload types mean what the description says (RFC 3551 §6)."""
_LONGEST_NAME: Final = 64
FASTEST_HZ: Final = 10_000_000
"""As a plan has them; video has 90 kHz."""
_L16_STEREO: Final = 10

_AUDIO_RATE: Final = 12_500
"""Bytes/s: 100 kbit/s covers G.711, G.722, G.726 and all that is narrower, with their headers."""
_VIDEO_RATE: Final = 250_000
_UNKNOWN_RATE: Final = 192_000
"""Of a format without a name: as the widest, L16/48000/2."""
_LINEAR: Final = {b"L8": 1.0, b"L16": 2.0, b"L20": 2.5, b"L24": 3.0}
"""Bytes of a sample (RFC 3551 §4.5, RFC 3190)."""
_WIDE: Final = {
    b"OPUS": 63_750,  # RFC 7587 §6.1: maxaveragebitrate up to 510,000
    b"MPA": 56_000,  # ISO 11172-3, layer I: 448 kbit/s
    b"MPEG4-GENERIC": 72_000,  # ISO 14496-3: two channels of 6,144 bits for 1,024 samples, 48 kHz
    b"MP4A-LATM": 72_000,
}
"""Bytes/s of what may be wider than that."""

_WORDS: Final = re.compile(rb"([^ \r\n\0]++) ++([^ \r\n\0]++)([^\r\n\0]*+)")

# What we anchor (RFC 3551, RFC 4585). AVPF differs from AVP in when RTCP is sent and in its
# feedback messages, neither of which is a relay's business.
_RTP_PROFILES: Final = frozenset((b"RTP/AVP", b"RTP/AVPF"))
_SECURE_PROFILES: Final = frozenset((b"RTP/SAVP", b"RTP/SAVPF"))  # RFC 3711 §12, RFC 5124
_RTP_KINDS: Final = frozenset((b"audio", b"video", b"text", b"application"))

# RFC 3551 §6, tables 4 and 5. G722 is 8000 although it samples at 16000 (RFC 3551 §4.5.2).
_STATIC: Final = {
    payload_type: (payload_type, name, clock_rate)
    for payload_type, name, clock_rate in (
        (0, b"PCMU", 8000), (3, b"GSM", 8000), (4, b"G723", 8000), (5, b"DVI4", 8000),
        (6, b"DVI4", 16000), (7, b"LPC", 8000), (8, b"PCMA", 8000), (9, b"G722", 8000),
        (10, b"L16", 44100), (11, b"L16", 44100), (12, b"QCELP", 8000), (13, b"CN", 8000),
        (14, b"MPA", 90000), (15, b"G728", 8000), (16, b"DVI4", 11025), (17, b"DVI4", 22050),
        (18, b"G729", 8000), (25, b"CelB", 90000), (26, b"JPEG", 90000), (28, b"nv", 90000),
        (31, b"H261", 90000), (32, b"MPV", 90000), (33, b"MP2T", 90000), (34, b"H263", 90000),
    )
}  # fmt: skip


@dataclass(slots=True, eq=False)
class Form:
    """All that one media description says, but for its port."""

    kind: bytes
    proto: bytes
    words: list[bytes]
    """Its formats, as written."""
    section: Section
    """The lines behind the m-line."""
    relayed: bool
    """Whether it is of a kind that we anchor, if its port is not 0: plain RTP."""
    secure: bool
    """The same in SRTP, which is anchored where its keys are dealt with."""
    kind_text: str
    payload_types: bytes
    """Those of the formats that are numbers, as our own m-line lists them."""
    formats: list[tuple[int, bytes, int]]
    """Payload type, encoding name as written, clock rate in Hz; b"" and 0 where not known."""
    clock_rates: dict[int, int]
    """Payload type → Hz, where known and no nonsense."""
    codec_names: dict[int, str]
    """Of audio: payload type → codec, where the number alone does not say it."""
    first: str
    """The first format, which is the one in use once it is answered (RFC 3264 §6.1): its name, or
    the word where there is none."""
    octets_per_s: int
    """What the widest of its codecs needs, at least what any usual one does: for the policer."""


class _Forms(dict[tuple[bytes, bytes, bytes], Form]):
    """Kind, what follows the port, and the lines behind → `Form`, read on first sight; emptied
    when full, as it is only a cache."""

    def __missing__(self, key: tuple[bytes, bytes, bytes]) -> Form:
        form = _read(*key)
        if sum(map(len, key)) <= _CACHED_LENGTH and not holds_key(key[2]):
            if len(self) >= _CACHED_FORMS:
                self.clear()
            self[key] = form
        return form


FORMS: Final = _Forms()
"""`FORMS[kind, rest, text]` raises ParseError for what is no m-line, else never changes its
answer."""


def _read(kind: bytes, rest: bytes, text: bytes) -> Form:
    match = _WORDS.fullmatch(b"%b %b" % (kind, rest))
    if match is None or match[1] != kind:
        raise ParseError("m=", "expected media, port, protocol and formats")
    proto, words = match[2], match[3].split()
    if len(words) > _MOST_FORMATS:
        raise ParseError("m=", f"expected at most {_MOST_FORMATS} formats, got {len(words)}")
    section = SECTIONS[text]
    formats = _formats(words, section.rtpmaps)
    rtp = kind in _RTP_KINDS and bool(words) and words[0].isdigit()
    return Form(
        kind,
        proto,
        words,
        section,
        rtp and proto in _RTP_PROFILES,
        rtp and proto in _SECURE_PROFILES,
        kind.decode("ascii", "replace"),
        b" ".join([word for word in words if word.isdigit()]),
        formats,
        {payload_type: rate for payload_type, _, rate in formats if 0 < rate <= FASTEST_HZ},
        _codec_names(formats) if kind == b"audio" else {},
        ((formats and formats[0][1]) or b" ".join(words[:1])).decode("ascii", "replace"),
        _VIDEO_RATE if kind == b"video" else _octets_per_s(formats, section.rtpmaps),
    )


def _octets_per_s(formats: list[tuple[int, bytes, int]], rtpmaps: dict[int, Meaning]) -> int:
    widest = _AUDIO_RATE
    for number, written, clock_rate in formats:
        name = written.upper()
        sample = _LINEAR.get(name)
        if sample is not None:
            said = rtpmaps.get(number)
            channels = said.channels if said is not None else 2 if number == _L16_STEREO else 1
            widest = max(widest, int(sample * clock_rate * channels))
        else:
            widest = max(widest, _WIDE.get(name, 0) if name else _UNKNOWN_RATE)
    return widest


def _codec_names(formats: list[tuple[int, bytes, int]]) -> dict[int, str]:
    """Digits are no codec."""
    return {
        number: name.decode("ascii", "replace")[:_LONGEST_NAME]
        for number, name, _ in formats
        if number >= _DYNAMIC and name and name.lower() != b"telephone-event"
    }


def _formats(words: list[bytes], rtpmaps: dict[int, Meaning]) -> list[tuple[int, bytes, int]]:
    found = []
    for word in words:
        if word.isdigit() and len(word) <= 3 and (payload_type := int(word)) <= 127:
            said = rtpmaps.get(payload_type)
            if said is not None:
                found.append((payload_type, said.name, said.clock_rate))
            else:
                found.append(_STATIC.get(payload_type) or (payload_type, b"", 0))
    return found
