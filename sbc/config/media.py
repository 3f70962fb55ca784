"""The grammar of what realms and trunks say about media."""

from __future__ import annotations

import re
from typing import Annotated, Final, NamedTuple

from policies.media import SUITES, CodecSettings
from sbc.config.scalars import OneOrMany, Rule, Switch, expected
from sbc.config.section import Section

__all__ = ["CodecName", "Codecs", "Dscp", "PortRange", "Ports", "SuiteName", "codec_settings"]

_CODEC: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}(?:/[1-9][0-9]{0,6})?\Z")
_A_CODEC: Final = "the name of a codec as in SDP, such as PCMU, G722 or opus/48000"
_A_SUITE: Final = f"one of {', '.join(SUITES)}"
_PTIME: Final = "a number of milliseconds from 5 to 200"
_RANGE: Final = "a range of ports such as 12000-21999"
_DSCP: Final = "a name such as ef, cs3 or af31, or a number from 0 to 63"
_DSCP_NAMES: Final = (
    {f"cs{number}": 8 * number for number in range(8)}  # RFC 2474 §4.2.2
    | {f"af{kind}{drop}": 8 * kind + 2 * drop for kind in range(1, 5) for drop in range(1, 4)}
    | {"ef": 46, "va": 44, "be": 0}  # RFC 3246, RFC 5865
)


class Ports(NamedTuple):
    """A range of pairs: the even port RTP's, the odd one RTCP's (RFC 3550 §11)."""

    first: int
    """Even."""
    last: int
    """Odd: a port without a partner at the end is left unused."""
    written: str
    """The whole range, as errors show it."""


def _port_range(value: object) -> Ports:
    """`12000-21999`."""
    match = re.fullmatch(r"([0-9]{1,5})\s*-\s*([0-9]{1,5})", value) if type(value) is str else None
    if match is None:
        raise expected(_RANGE)
    first, last = int(match[1]), int(match[2])
    if not 1024 <= first <= 65535 or not 1024 <= last <= 65535:
        raise expected(_RANGE, "ports go from 1024 to 65535")
    if first % 2:
        raise expected(
            "a range that starts with an even port", "RTP takes the even port of each pair"
        )
    if last <= first:
        raise expected(_RANGE, "the last must be above the first")
    return Ports(first, last - 1 + last % 2, f"{first}-{last}")


def _codec_name(value: object) -> str:
    if not isinstance(value, str) or _CODEC.match(value) is None:
        raise expected(_A_CODEC)
    return value


def _suite_name(value: object) -> str:
    if not isinstance(value, str) or value.upper() not in SUITES:
        raise expected(_A_SUITE)
    return value.upper()


def _ptime(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 5 <= value <= 200:
        raise expected(_PTIME)
    return value


def _dscp(value: object) -> int:
    if isinstance(value, str) and value.lower() in _DSCP_NAMES:
        return _DSCP_NAMES[value.lower()]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 63:
        raise expected(_DSCP)
    return value


PortRange = Annotated[Ports, Rule(_port_range, _RANGE)]
CodecName = Annotated[str, Rule(_codec_name, _A_CODEC)]
SuiteName = Annotated[str, Rule(_suite_name, _A_SUITE)]
Dscp = Annotated[int, Rule(_dscp, _DSCP)]


class Codecs(Section):
    """Which codecs a trunk's audio may have; telephone-event stays unless it is stripped."""

    allow: Annotated[list[CodecName], OneOrMany] = []
    """Only these. Default: all."""
    strip: Annotated[list[CodecName], OneOrMany] = []
    """Never these."""
    order: Annotated[list[CodecName], OneOrMany] = []
    """These first, in this order."""
    single: Switch = False
    """One codec in each offer and answer, for peers that do not cope with more."""
    ptime: Annotated[int | None, Rule(_ptime, _PTIME)] = None
    """Packet length asked for, in milliseconds, or the longest that the other side can take.
    Default: what it says."""


def codec_settings(codecs: Codecs) -> CodecSettings:
    """The model as settings."""
    return CodecSettings(
        allow=tuple(codecs.allow),
        strip=tuple(codecs.strip),
        order=tuple(codecs.order),
        single=codecs.single,
        ptime_ms=codecs.ptime or 0,
    )
