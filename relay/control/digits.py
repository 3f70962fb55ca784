"""Digits between signalling and relay: those that came as packets, those that shall leave so.

PURE. The rules for bodies are those of `relay.control.messages`, which offers these types too.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from relay.control.fields import BadField, reading

__all__ = ["DigitEvent", "Inject"]

_DIGITS = frozenset("0123456789*#ABCD")
_MOST = 64
_SHORTEST_MS = 40
_LONGEST_MS = 8000


@dataclass(slots=True)
class DigitEvent:
    """Body of DTMF."""

    call: str
    stream: int
    """Index of the m-line."""
    end: str
    """`a` or `b`: whose peer has sent it."""
    digit: str = field(repr=False)
    """One of 0 to 9, *, #, A to D."""
    duration_ms: int

    def to_body(self) -> list[object]:
        return [self.call, self.stream, self.end, self.digit, self.duration_ms]

    @classmethod
    def from_body(cls, body: object) -> DigitEvent:
        """Raises ControlError(BAD_REQUEST)."""
        with reading("digit", body) as fields:
            return cls(
                fields.text(),
                fields.number(0, 1 << 16),
                fields.text(),
                _digits(fields.text(), 1),
                fields.number(0, 1 << 31),
            )


@dataclass(slots=True)
class Inject:
    """Body of INJECT: digits that the peer of one end is to hear as telephone-events."""

    call: str
    stream: int
    end: str
    """`a` or `b`: whose peer is sent them."""
    number: int
    """Grows with each request for this end: one that was carried out is not carried out again."""
    digits: str = field(repr=False)
    """1 to 64 of 0 to 9, *, #, A to D."""
    duration_ms: int
    """Of each, 40..8000."""

    def to_body(self) -> list[object]:
        return [self.call, self.stream, self.end, self.number, self.digits, self.duration_ms]

    @classmethod
    def from_body(cls, body: object) -> Inject:
        """Raises ControlError(BAD_REQUEST), which never holds a digit."""
        with reading("inject", body) as fields:
            return cls(
                fields.text(),
                fields.number(0, 1 << 16),
                fields.text(),
                fields.number(1, 1 << 63),
                _digits(fields.text(), _MOST),
                fields.number(_SHORTEST_MS, _LONGEST_MS),
            )


def _digits(text: str, most: int) -> str:
    """Raises BadField, which never holds a digit."""
    if not 0 < len(text) <= most or not _DIGITS.issuperset(text):
        raise BadField(f"expected 1 to {most} digits")
    return text
