"""Whether the codecs of trunks are called as SDP calls them: by encoding names of RTP (RFC 3551).

A name that we do not know may be right, for a border passes what it does not know. Those here are
what people say where SDP says something else, so that no call would have the codec, and all of
them would get 488.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sbc.config.faults import Fault
from sbc.config.models import Border

__all__ = ["codec_faults"]

_SAID: Final = {
    "PCMU PCMA": "G711",
    "PCMU": "G711U G711MU G711ULAW G711MULAW ULAW MULAW PCMULAW",
    "PCMA": "G711A G711ALAW ALAW PCMALAW",
    "G722": "",
    "G7221": "",
    "AMR-WB": "G7222",
    "AMR": "AMRNB",
    "G723": "G7231",
    "G726-32": "G726",
    "G728": "",
    "G729": "G729A G729B G729AB",
    "GSM": "GSMFR GSM610",
    "L16": "SLIN SLINEAR",
    "telephone-event": "DTMF TELEVENT RFC2833 RFC4733",
}
"""Encoding names, and what else is said for them, both without regard to dots and dashes."""
_SENT_TOO: Final = frozenset(["G7231", "G729A", "G729B", "G729AB"])
"""Wrong names that some telephones do write in their SDP."""


def codec_faults(border: Border) -> Iterator[Fault]:
    """Each name that is none, where the right one is not beside it."""
    for trunk, settings in border.trunks.items():
        codecs = settings.codecs
        lists = {"allow": codecs.allow, "strip": codecs.strip, "order": codecs.order}
        for key, names in lists.items():
            there = {_encoding(name) for name in names}
            for index, name in enumerate(names):
                right = _RIGHT.get(_bare(name), ())
                if right and there.isdisjoint(one.upper() for one in right):
                    hint = ", or both" if _bare(name) in _SENT_TOO else ""
                    text = f'expected an encoding name of RTP, got "{name}"'
                    path = ("trunks", trunk, "codecs", key, index)
                    yield Fault(path, f"{text} (write {', '.join(right)}{hint})")


def _encoding(name: str) -> str:
    """`opus/48000` → `OPUS`."""
    return name.partition("/")[0].upper()


def _bare(name: str) -> str:
    """What is left of `G.711-alaw/8000`: letters and digits, without the clock rate."""
    return "".join(one for one in _encoding(name) if one.isalnum())


_RIGHT: Final = {
    bare: tuple(right.split())
    for right, said in _SAID.items()
    for bare in (*said.split(), *([_bare(right)] if " " not in right else []))
}
