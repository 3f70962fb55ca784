"""What a check of whole parts finds: which key does not fit, and why."""

from __future__ import annotations

from dataclasses import dataclass

from sbc.config.source import Path

__all__ = ["Fault"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that does not fit."""

    path: Path
    text: str
    note: bool = False
    """Whether it works and is probably not meant."""
