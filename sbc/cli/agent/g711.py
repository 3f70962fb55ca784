"""PCMU (ITU-T G.711 µ-law) tones: made, and found again. PURE."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache
from typing import Final

__all__ = ["PACKET_SAMPLES", "SAMPLE_RATE", "decode", "encode", "has_tone", "tone"]

SAMPLE_RATE: Final = 8_000
PACKET_SAMPLES: Final = 160
"""20 ms."""

_BIAS: Final = 0x84
_CLIP: Final = 32_635
_AMPLITUDE: Final = 10_000  # about -10 dBm0
_SHARE: Final = 0.8
_LEAST_POWER: Final = 500.0**2


def _decode_one(code: int) -> int:
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + _BIAS) << ((code & 0x70) >> 4)
    return _BIAS - magnitude if code & 0x80 else magnitude - _BIAS


def _encode_one(sample: int) -> int:
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), _CLIP) + _BIAS
    exponent = magnitude.bit_length() - 8
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    return ~(sign | exponent << 4 | mantissa) & 0xFF


_DECODED: Final = tuple(_decode_one(code) for code in range(256))


def encode(samples: Iterable[int]) -> bytes:
    """16-bit linear samples as µ-law."""
    return bytes(_encode_one(sample) for sample in samples)


def decode(payload: bytes) -> list[int]:
    """µ-law as 16-bit linear samples."""
    return [_DECODED[code] for code in payload]


@cache
def tone(frequency_hz: int) -> bytes:
    """One second of a tone as µ-law; it repeats without a step, as it has whole periods."""
    step = 2 * math.pi * frequency_hz / SAMPLE_RATE
    return encode(round(_AMPLITUDE * math.sin(step * n)) for n in range(SAMPLE_RATE))


def has_tone(payload: bytes, frequency_hz: int) -> bool:
    """Whether most of what is heard in `payload` is this tone (Goertzel).

    For 20 ms two tones are told apart that are 100 Hz or more away from each other.
    """
    samples = decode(payload)
    power = sum(sample * sample for sample in samples)
    if not samples or power < _LEAST_POWER * len(samples):
        return False
    coefficient = 2 * math.cos(2 * math.pi * frequency_hz / SAMPLE_RATE)
    last = before = 0.0
    for sample in samples:
        last, before = sample + coefficient * last - before, last
    found = last * last + before * before - coefficient * last * before
    return 2 * found > _SHARE * power * len(samples)
