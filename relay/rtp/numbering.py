"""How one source's packets are numbered on the way out.

PURE.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Numbering"]


@dataclass(slots=True, eq=False)
class Numbering:
    """One source. Never changed, replaced."""

    ssrc: int
    """The source that is meant, as it comes."""
    out_ssrc: int
    """Its SSRC as it leaves."""
    sequence: int
    """Added to its sequence numbers, mod 2^16."""
    timestamp: int
    """Added to its timestamps, mod 2^32."""
