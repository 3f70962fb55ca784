"""What is agreed for one stream of a call: the keys of both legs, formats, rtcp-mux.

`Terms` (`terms.py`) makes these and decides; here is what they hold, and how single lines and
settings are read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from policies.media import CodecSettings
from relay.control.plans import Srtp as RelayKey
from sbc.sdp.codecs import CodecPolicy, Crossing
from sbc.sdp.crypto import CryptoLine, Suite, strength
from sbc.sdp.model import Media

__all__ = [
    "CiphersUsed",
    "Keys",
    "StreamTerms",
    "matched",
    "other_side",
    "policy_of",
    "relay_key",
]


@dataclass(slots=True)
class Keys:
    """SRTP of one stream on one leg; both or neither."""

    theirs: CryptoLine | None = None
    ours: CryptoLine | None = None

    @property
    def suite(self) -> Suite | None:
        """Of both; None: in the clear."""
        return None if self.ours is None else self.ours.suite


@dataclass(slots=True)
class StreamTerms:
    """One stream, from its offer on."""

    offerer: str
    """`a` or `b`."""
    offer: Media
    keys: dict[str, Keys] = field(default_factory=lambda: {"a": Keys(), "b": Keys()})
    mux: dict[str, bool] = field(default_factory=lambda: {"a": False, "b": False})
    proposed: dict[int, CryptoLine] = field(default_factory=dict)
    """Our lines in the offer to the other side, by tag."""
    required: bool = False
    """The other side must answer with a key."""
    offered_mux: bool = False
    crossings: list[Crossing] | None = None
    """None: the formats cross as they are."""
    taken: list[Crossing] = field(default_factory=list)
    events: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Side whose digits are converted → payload types of its telephone-events; first the one under
    which it is sent some."""

    def copy(self) -> StreamTerms:
        """One that may change while this one is kept."""
        crossings = self.crossings and [replace(one) for one in self.crossings]
        return replace(self, keys=dict(self.keys), mux=dict(self.mux), crossings=crossings)


class CiphersUsed:
    """By which suites each stream of a call was encrypted since the call is up."""

    __slots__ = ("_used",)

    def __init__(self) -> None:
        self._used: dict[tuple[str, int], list[Suite | None]] = {}
        """Side and m-line → its suites, the latest last; None: the clear."""

    def note(
        self, streams: Mapping[int, StreamTerms], enabled: Collection[int]
    ) -> list[tuple[str, int]]:
        """The call is up, and its media are as these terms say now.

        Args:
            enabled: the m-lines that neither side has disabled.

        Returns:
            Side and m-line of what was encrypted until now and is no more.
        """
        ended: list[tuple[str, int]] = []
        for index, stream in streams.items():
            for side, keys in stream.keys.items() if index in enabled else ():
                suite = keys.suite
                used = self._used.setdefault((side, index), [])
                if used and used[-1] is not None and suite is None:
                    ended.append((side, index))
                if suite in used:
                    used.remove(suite)
                used.append(suite)
        return ended

    def names(self, streams: Mapping[int, StreamTerms], side: str) -> list[str]:
        """The suites of each stream of a leg, `none` where it is or was clear: for the record.

        Of a stream that has had several all are told, the weakest first.
        """
        now = {index: [stream.keys[side].suite] for index, stream in streams.items()}
        used = {index: suites for (one, index), suites in self._used.items() if one == side}
        return [
            ", ".join(suite.sdp_name if suite else "none" for suite in sorted(suites, key=strength))
            for _, suites in sorted((now | used).items())
        ]


def matched(lines: Sequence[CryptoLine], proposed: Mapping[int, CryptoLine]) -> Keys:
    """The first line of an answer that takes one of ours, by tag and suite (RFC 4568 §5.1.3)."""
    for line in lines:
        ours = proposed.get(line.tag)
        if ours is not None and ours.suite is line.suite:
            return Keys(line, ours)
    return Keys()


def other_side(side: str) -> str:
    return "b" if side == "a" else "a"


@lru_cache(maxsize=1024)
def policy_of(settings: CodecSettings) -> CodecPolicy:
    """The operator's words as those of SDP."""

    def words(names: Sequence[str]) -> list[bytes]:
        return [name.upper().encode() for name in names]

    return CodecPolicy(
        allow=frozenset(words(settings.allow)) if settings.allow else None,
        strip=frozenset(words(settings.strip)),
        order=tuple(words(settings.order)),
        single=settings.single,
        ptime_ms=settings.ptime_ms,
    )


def relay_key(line: CryptoLine | None) -> RelayKey | None:
    if line is None:
        return None
    name = line.suite.sdp_name
    return RelayKey(name, line.key, line.mki, lifetime_packets=line.lifetime)
