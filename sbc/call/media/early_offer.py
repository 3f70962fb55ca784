"""The offer of a trunk with `offer: early`, for a caller that has offered nothing."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from policies.media import CodecSettings

__all__ = ["early_offer"]

_USUAL: Final = ("PCMU", "PCMA")
_FORMATS: Final = {
    "PCMU": (0, "PCMU/8000"),
    "GSM": (3, "GSM/8000"),
    "PCMA": (8, "PCMA/8000"),
    "G722": (9, "G722/8000"),
    "G729": (18, "G729/8000"),
    "OPUS": (None, "opus/48000/2"),  # RFC 7587 §7
    "ILBC": (None, "iLBC/8000"),
    "AMR": (None, "AMR/8000"),
    "AMR-WB": (None, "AMR-WB/16000"),
}
"""Name → its static payload type (RFC 3551 §6), if it has one, and its rtpmap."""
_EVENTS: Final = 101
_MOST: Final = 8
_HEAD: Final = "v=0\r\no=- 0 0 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
"""Its address is never shown."""


@lru_cache(maxsize=256)  # of the combinations that are configured
def early_offer(caller: CodecSettings, target: CodecSettings) -> bytes:
    """Audio in the codecs that the target's trunk names, else those that the caller's does.

    What neither trunk takes is left to the terms. A name that says no clock and is none of the
    usual ones cannot be offered. Without any there are PCMU and PCMA.
    """
    words = target.allow or caller.allow or (*target.order, *_USUAL)
    rtpmaps = _numbered(words) or _numbered(_USUAL)
    free = (number for number in range(_EVENTS, 128) if number not in rtpmaps)
    for clock in sorted({rtpmap.split("/")[1] for rtpmap in rtpmaps.values()}, key=int):
        rtpmaps[next(free)] = f"telephone-event/{clock}"  # one for each clock, RFC 4733 §2.1
    lines = [f"m=audio 9 RTP/AVP {' '.join(map(str, rtpmaps))}"]
    for number, rtpmap in rtpmaps.items():
        lines.append(f"a=rtpmap:{number} {rtpmap}")
        if rtpmap.startswith("telephone-event"):
            lines.append(f"a=fmtp:{number} 0-15")
    return (_HEAD + "\r\n".join((*lines, "a=ptime:20", "a=sendrecv", ""))).encode()


def _numbered(words: Iterable[str]) -> dict[int, str]:
    """Payload types and rtpmaps of those codecs that can be told; telephone-event is none."""
    found: dict[int, str] = {}
    free = (number for number in range(96, 128) if number != _EVENTS)
    for word in dict.fromkeys(map(str.upper, words)):
        number, rtpmap = _format(word)
        if rtpmap and len(found) < _MOST:
            found[next(free) if number is None else number] = rtpmap
    return found


def _format(word: str) -> tuple[int | None, str]:
    """Payload type and rtpmap of a codec as a trunk names it; "" for one that cannot be told."""
    name, _, clock = word.partition("/")
    if name == "TELEPHONE-EVENT":
        return None, ""
    number, rtpmap = _FORMATS.get(name, (None, ""))
    if rtpmap and clock in ("", rtpmap.split("/")[1]):
        return number, rtpmap
    return None, word if clock else ""
