"""How good one direction was: loss, bursts and gaps, round trip, rating and opinion score.

PURE. Packets are counted elsewhere (`relay.stats`); here is what the counts mean, for the whole
time (`quality`) and for the worst ten seconds of it (`Window`), which are looked at once a second.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from relay.emodel import Codec, burst_ratio, codec_named, delay_ms, mos, rating
from relay.stats import Reception

__all__ = ["Quality", "Window", "codec_of", "quality"]

_SECONDS: Final = 10
_SUMS: Final = 3 * _SECONDS
_BEFORE: Final = _SUMS + 3
_MOST: Final = 32_767
_MASK: Final = (1 << 31) - 1
_HALF: Final = 1 << 30
_HARMLESS_MS: Final = 20.0
"""So much jitter costs no point of the rating: with it a packet is in time for G.114."""
_LONGEST_SPACING_MS: Final = 60.0
"""Of packets; what is more is silence."""
_ANY: Final = codec_named("PCMU")
"""Tells a bad time from a worse one; which codec does that matters little."""
_STATIC: Final = {0: "PCMU", 3: "GSM", 4: "G723", 8: "PCMA", 9: "G722", 15: "G728", 18: "G729"}
"""RFC 3551 §6."""
_NO_SPEECH: Final = frozenset(("TELEPHONE-EVENT", "CN", "RED"))
_CN: Final = 13


@dataclass(slots=True)
class Quality:
    """What one direction was like."""

    loss_share: float = 0.0
    """Of the packets that were sent, 0 to 1."""
    burst_ms: float = 0.0
    """Mean length of the bursts (RFC 3611 §4.7.2, Gmin 16); 0: there was none."""
    burst_density: float = 0.0
    """Share of the packets in bursts that were lost."""
    gap_ms: float = 0.0
    """Mean length of the gaps between bursts; 0: nothing was lost at all."""
    gap_density: float = 0.0
    """Share of the packets in gaps that were lost."""
    rtt_ms: float | None = None
    """Between us and the peer; None: no report of its has told."""
    r: float | None = None
    """Of speech: rating by the E-model (ITU-T G.107, G.107.1)."""
    mos: float | None = None
    """The opinion score that goes with it, 1 to 4.5."""
    mos_worst: float | None = None
    """That of the worst ten seconds."""


class Window:
    """Ten seconds of a direction, and the worst that they have been.

    Made when something first goes wrong (`is_worth`): what was before counts as good.

    Args:
        reception: the direction, a second at most after that.
    """

    __slots__ = ("_figures", "_seconds", "worst")

    def __init__(self, reception: Reception) -> None:
        self._figures = array("i", bytes(4 * 3 * (_SECONDS + 2)))
        """Packets expected, lost, and holes that they make up: for each second, their sums, and
        how they were when we looked last. In one, for there are thousands of directions."""
        elapsed = int(reception.last_packet - reception.first)
        each = min(reception.expected // (elapsed + 1), _MOST)
        self._seconds = min(elapsed, _SECONDS - 1)
        for second in range(self._seconds):
            self._figures[3 * second] = each
        self._figures[_SUMS] = each * self._seconds
        self._figures[_BEFORE] = reception.expected - each & _MASK
        self.worst: tuple[float, float, float] | None = None
        """Share of loss, burst ratio, and jitter in ms; None: ten seconds are not over."""

    @staticmethod
    def is_worth(reception: Reception) -> bool:
        """Whether there is anything that could make ten seconds worse than others."""
        return reception.lost > 0 or reception.jitter_ms > _HARMLESS_MS

    def second(self, reception: Reception) -> None:
        """One more second is over."""
        figures, place = self._figures, self._seconds % _SECONDS * 3
        now = (reception.expected, reception.lost, reception.tally[1])
        for column, count in enumerate(now):
            count &= _MASK
            step = (count - figures[_BEFORE + column] + _HALF & _MASK) - _HALF
            step = max(-_MOST, min(step, _MOST))
            figures[_BEFORE + column] = count
            figures[_SUMS + column] += step - figures[place + column]
            figures[place + column] = step
        self._seconds += 1
        if self._seconds >= _SECONDS and figures[_SUMS] > 0:
            self._judge(reception.jitter_ms)

    def _judge(self, jitter_ms: float) -> None:
        expected, lost, holes = self._figures[_SUMS:_BEFORE]
        share = max(0, lost) / expected
        worst = self.worst
        if worst is not None and share <= worst[0] and jitter_ms <= worst[2]:
            return  # it cannot be worse
        now = (share, burst_ratio(lost, holes, expected), jitter_ms)
        if worst is None or _rated(_ANY, now, 0.0, 0.0) <= _rated(_ANY, worst, 0.0, 0.0):
            self.worst = now


def codec_of(payload_types: list[int], names: Mapping[int, str]) -> Codec:
    """The codec that a direction is heard with.

    Args:
        payload_types: those that came.
        names: payload type → encoding name, as signalled; static types need not be in it.
    """
    for kind in payload_types:
        name = names.get(kind) or _STATIC.get(kind, "")
        if kind != _CN and name.upper() not in _NO_SPEECH:
            return codec_named(name)
    return codec_named("")


def quality(
    reception: Reception, window: Window | None, rtt_s: float | None, codec: Codec | None
) -> Quality:
    """What a direction has been so far.

    Args:
        reception: with one packet at least.
        window: its seconds, if any was looked at.
        rtt_s: the last known round trip.
        codec: of speech; None: it is none.
    """
    expected, lost = reception.expected, max(0, reception.lost)
    tally = reception.tally
    found = Quality(loss_share=min(1.0, lost / expected) if expected > 0 else 0.0)
    elapsed_ms = 1000.0 * (reception.last_packet - reception.first)
    spacing_ms = min(elapsed_ms / max(1, expected - 1), _LONGEST_SPACING_MS)
    _bursts(found, tally, expected, spacing_ms)
    if rtt_s is not None:
        found.rtt_ms = 1000.0 * rtt_s
    if codec is not None:
        ratio = burst_ratio(tally[0], tally[1], expected) if lost else 1.0
        rtt_ms = found.rtt_ms or 0.0
        whole = (found.loss_share, ratio, reception.jitter_ms)
        found.r = _rated(codec, whole, rtt_ms, spacing_ms)
        worst = found.r
        if window is not None and window.worst is not None:
            worst = min(worst, _rated(codec, window.worst, rtt_ms, spacing_ms))
        found.mos, found.mos_worst = mos(codec, found.r), mos(codec, worst)
    return found


def _bursts(found: Quality, tally: tuple[int, ...], expected: int, spacing_ms: float) -> None:
    """Means and densities (RFC 3611 §4.7.2)."""
    lost, _, bursts, burst_lost, burst_span = tally
    if not lost:
        return
    outside = max(1, expected - burst_span)
    found.gap_ms = outside * spacing_ms / (bursts + 1)
    found.gap_density = min(1.0, (lost - burst_lost) / outside)
    if bursts:
        found.burst_ms = burst_span * spacing_ms / bursts
        found.burst_density = burst_lost / burst_span


def _rated(
    codec: Codec, figures: tuple[float, float, float], rtt_ms: float, spacing_ms: float
) -> float:
    share, ratio, jitter_ms = figures
    return rating(codec, share, ratio, delay_ms(rtt_ms, jitter_ms, spacing_ms))
