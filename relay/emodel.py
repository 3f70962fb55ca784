"""How good a call sounds, from what the network did to it: the E-model (ITU-T G.107, G.107.1).

PURE. A rating R is what is left of the best one (93.2 for narrow band, 129 for wide band) after
what codec, loss and delay take from it; MOS is the opinion score that goes with it. Everything that
a border cannot see (noise, loudness, echo) has the Recommendation's default value.

Loss counts by its density: the same share of packets hurts more when they go missing together
(`burst_ratio`). Delay is one way, mouth to ear: path, packetisation and the listener's jitter
buffer, of which only the first is sometimes known, so the others are estimated from what is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

__all__ = ["Codec", "burst_ratio", "codec_named", "delay_ms", "mos", "rating"]

_BEST: Final = 93.2
"""G.107 §7.7: all defaults."""
_BEST_WIDE: Final = 129.0
"""G.107.1 §7.2."""
_WORST: Final = 95.0
"""G.107 §7.5: what impairment by equipment can take at most."""
_BUFFER_JITTERS: Final = 2.0
"""A jitter buffer holds about twice the jitter."""
_LOOKAHEAD_MS: Final = 5.0
"""Of coding and sound devices, at least."""


@dataclass(frozen=True, slots=True)
class Codec:
    """Impairment and robustness of a codec (ITU-T G.113 Appendix I, Tables I.1 to I.4)."""

    impairment: float
    """Ie, or Ie,WB of a wide-band codec."""
    robustness: float
    """Bpl: the loss in per cent that takes half of what is left to lose."""
    wide: bool = False


_CODECS: Final = {
    "PCMU": Codec(0.0, 25.1),  # with packet loss concealment (G.711 Appendix I)
    "PCMA": Codec(0.0, 25.1),
    "G729": Codec(11.0, 19.0),  # G.729A with VAD
    "G723": Codec(15.0, 16.1),  # 6.3 kbit/s
    "GSM": Codec(20.0, 10.0),  # full rate; robustness as of the enhanced one
    "GSM-EFR": Codec(5.0, 10.0),
    "AMR": Codec(5.0, 10.0),  # 12.2 kbit/s
    "ILBC": Codec(11.0, 32.0),  # 15.2 kbit/s
    "G726-32": Codec(7.0, 20.0),
    "G728": Codec(7.0, 17.0),
    "G722": Codec(13.0, 14.0, wide=True),
    "AMR-WB": Codec(7.0, 13.0, wide=True),  # 12.65 kbit/s
    "OPUS": Codec(3.0, 20.0, wide=True),  # no value is in G.113; those of fair listening tests
    "EVS": Codec(3.0, 18.0, wide=True),
}
_UNKNOWN: Final = Codec(5.0, 15.0)


def codec_named(name: str) -> Codec:
    """The codec of this SDP name, in any case; a middling one for a name that is not known."""
    return _CODECS.get(name.upper(), _UNKNOWN)


def rating(codec: Codec, loss_share: float, burst: float = 1.0, delay_ms: float = 0.0) -> float:
    """R, 0 to 93.2 (129 for a wide-band codec).

    Args:
        codec: what is heard.
        loss_share: packets that were not heard, of all, 0 to 1.
        burst: ratio of the mean run of losses to that of random loss, ≥ 1 (`burst_ratio`).
        delay_ms: one way, mouth to ear.

    Source: ITU-T G.107 (06/2015) §7.4 (Idd), §7.5 (Ie,eff); G.107.1 (06/2019) §7.
    """
    percent = 100.0 * min(max(loss_share, 0.0), 1.0)
    lossy = percent / (percent / max(burst, 1.0) + codec.robustness) if percent else 0.0
    equipment = codec.impairment + (_WORST - codec.impairment) * lossy
    best = _BEST_WIDE if codec.wide else _BEST
    return min(max(best - equipment - _delay_impairment(delay_ms), 0.0), best)


def mos(codec: Codec, r: float) -> float:
    """The opinion score of a rating, 1 to 4.5.

    Source: ITU-T G.107 Annex B; G.107.1 §7.6 for wide band, on whose own scale 4.5 is the best.
    """
    scaled = r / 1.29 if codec.wide else r
    if scaled <= 0.0:
        return 1.0
    if scaled >= 100.0:
        return 4.5
    score = 1.0 + 0.035 * scaled + scaled * (scaled - 60.0) * (100.0 - scaled) * 7.0e-6
    return max(score, 1.0)


def burst_ratio(lost: int, runs: int, expected: int) -> float:
    """How much longer runs of losses are than random loss would make them, ≥ 1.

    Args:
        lost: packets lost.
        runs: gaps in the numbering that they make up.
        expected: packets that should have come.

    Source: ITU-T G.107 §3.1: the mean observed run over 1 / (1 - share).
    """
    if lost <= 0 or runs <= 0 or expected <= lost:
        return 1.0
    return max(1.0, lost / runs * (1.0 - lost / expected))


def delay_ms(round_trip_ms: float, jitter_ms: float, ptime_ms: float) -> float:
    """One way, mouth to ear, as far as it can be known; a round trip of 0 is not known."""
    return round_trip_ms / 2.0 + ptime_ms + _BUFFER_JITTERS * jitter_ms + _LOOKAHEAD_MS


def _delay_impairment(delay: float) -> float:
    """Idd: what absolute delay takes, echo apart; nothing below 100 ms."""
    if delay <= 100.0:
        return 0.0
    x = math.log2(delay / 100.0)
    return 25.0 * (_sixth_root(1.0 + x**6) - 3.0 * _sixth_root(1.0 + (x / 3.0) ** 6) + 2.0)


def _sixth_root(value: float) -> float:
    return math.pow(value, 1.0 / 6.0)
