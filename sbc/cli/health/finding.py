"""One line of `sbc doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Finding", "Level", "fail", "ok", "warn"]


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    """It works, and worse than it could."""
    FAIL = "fail"
    """The border cannot start, or cannot carry calls."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, what was found, and what to do about it."""

    topic: str
    level: Level
    text: str
    advice: str = ""
    file: str = ""
    """Of which file, where it is one's."""


def ok(topic: str, text: str) -> Finding:
    """All is well."""
    return Finding(topic, Level.OK, text)


def warn(topic: str, text: str, advice: str) -> Finding:
    """It works, and worse than it could."""
    return Finding(topic, Level.WARN, text, advice)


def fail(topic: str, text: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(topic, Level.FAIL, text, advice)
