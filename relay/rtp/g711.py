"""From µ-law to A-law and back (ITU-T G.711), one table look-up a byte.

PURE. The tables are those of the recommendation, tables 3 and 4: for each code the one of the other
law, with its sign, whose level is nearest. The laws overload at 3.17 dBm0 (µ, 8159 of 14 bits) and
at 3.14 dBm0 (A, 4096 of 13 bits), so a µ-law amplitude is 10^(0.03/20) · 8192/8159 = 1.0075 times
as large in A-law's units. Decoding and encoding again would leave that out.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ALAW_TO_ULAW", "ULAW_TO_ALAW", "decode_alaw", "decode_ulaw"]


def decode_ulaw(code: int) -> int:
    """The decoder's output for a µ-law byte, 16 bits signed (G.711 table 2, aligned left)."""
    bits = ~code & 0xFF
    magnitude = (((bits & 0x0F) << 3) + 0x84 << (bits >> 4 & 7)) - 0x84
    return -magnitude if bits & 0x80 else magnitude


def decode_alaw(code: int) -> int:
    """The decoder's output for an A-law byte, 16 bits signed (G.711 table 1, aligned left)."""
    bits = code ^ 0x55
    segment, step = bits >> 4 & 7, (bits & 0x0F) << 4
    magnitude = step + 0x108 << segment - 1 if segment else step + 8
    return magnitude if bits & 0x80 else -magnitude


_ULAW_LEVELS: Final = [abs(decode_ulaw(code)) * 10_075 for code in range(256)]
_ALAW_LEVELS: Final = [abs(decode_alaw(code)) * 10_000 for code in range(256)]


def _table(given: list[int], wanted: list[int]) -> bytes:
    return bytes(
        min(
            range(code & 0x80, (code & 0x80) + 128),
            key=lambda other, level=level: abs(wanted[other] - level),  # type: ignore[misc]
        )
        for code, level in enumerate(given)
    )


ULAW_TO_ALAW: Final = _table(_ULAW_LEVELS, _ALAW_LEVELS)
"""A-law for each µ-law byte: for `bytes.translate`."""
ALAW_TO_ULAW: Final = _table(_ALAW_LEVELS, _ULAW_LEVELS)
"""µ-law for each A-law byte."""
