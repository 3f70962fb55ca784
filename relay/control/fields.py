"""Reads the fields of a message body one after the other, each with its type and range.

PURE. A missing field takes its default, one without a default is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import length_hint
from sys import intern
from typing import Final

from relay.control.refusals import ControlError, ErrorCode

__all__ = ["BadField", "Fields", "pair", "reading"]

_REQUIRED: Final = object()
# Tuples of types, as `list | tuple` would be made anew on each use.
_LISTS: Final = (list, tuple)
_NUMBERS: Final = (int, float)
_MAX_TEXT: Final = 1024
_MAX_MAP: Final = 4096

_NO_MAP: Final[Mapping[int, int]] = {}

_NO_NAMES: Final[Mapping[int, str]] = {}
_MAX_NAME: Final = 64

_payload_names: dict[tuple[tuple[int, str], ...], dict[int, str]] = {}
_payload_maps: dict[tuple[tuple[int, int], ...], dict[int, int]] = {}
"""Each map of payload types once: thousands of calls share a handful of them."""


class BadField(Exception):
    """A field that is not what the message wants."""


class Fields:
    """A cursor over one body, opened by `reading`. Every method raises BadField and nothing else;
    leaving the `with` turns a field's fault into the protocol's error."""

    __slots__ = ("_body", "_name", "_values")

    def __init__(self, name: str, body: object) -> None:
        self._name = name
        self._body = body

    def __enter__(self) -> Fields:
        body = self._body
        if not isinstance(body, _LISTS):
            expected = f"{self._name}: expected a list, got {type(body).__name__}"
            raise ControlError(ErrorCode.BAD_REQUEST, expected)
        self._values = iter(body)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, BadField):
            raise ControlError(ErrorCode.BAD_REQUEST, f"{self._name}: {error}") from error

    def any(self, default: object = _REQUIRED) -> object:
        """The next field, whatever it is."""
        value = next(self._values, default)
        if value is _REQUIRED:
            raise self._bad("", value)
        return value

    def number(self, low: int, high: int, default: object = _REQUIRED) -> int:
        """A whole number, low..high."""
        value = next(self._values, default)
        if type(value) is not int or not low <= value <= high:
            raise self._bad(f"a whole number {low}..{high}", value)
        return value

    def number_or_none(self, high: int) -> int | None:
        """0..high, or None."""
        value = next(self._values, None)
        if value is None:
            return None
        if type(value) is not int or not 0 <= value <= high:
            raise self._bad(f"a whole number up to {high} or nil", value)
        return value

    def real(self, low: float, high: float, default: object = _REQUIRED) -> float:
        """A number, low..high; NaN is none."""
        value = next(self._values, default)
        if type(value) is float and low <= value <= high:  # as nearly always
            return value
        if type(value) not in (int, float) or not low <= value <= high:  # type: ignore[operator]
            raise self._bad(f"a number {low}..{high}", value)
        return float(value)  # type: ignore[arg-type]

    def real_or_none(self) -> float | None:
        """Any number but NaN, or None."""
        value = next(self._values, None)
        if value is None:
            return None
        if type(value) is float and value == value:
            return value
        if not isinstance(value, _NUMBERS) or value != value:
            raise self._bad("a number or nil", value)
        return float(value)

    def text(self, default: object = _REQUIRED) -> str:
        """A string of at most 1024 characters."""
        value = next(self._values, default)
        if not isinstance(value, str) or len(value) > _MAX_TEXT:
            raise self._bad("a string", value)
        return value

    def word(self) -> str:
        """A string that many messages have: kept once."""
        return intern(self.text())

    def text_or_none(self, default: object = _REQUIRED) -> str | None:
        """A string or None."""
        value = next(self._values, default)
        if value is None:
            return None
        if not isinstance(value, str) or len(value) > _MAX_TEXT:
            raise self._bad("a string or nil", value)
        return value

    def flag(self, default: object = _REQUIRED) -> bool:
        """True or False."""
        value = next(self._values, default)
        if not isinstance(value, bool):
            raise self._bad("true or false", value)
        return value

    def items(self, most: int) -> Sequence[object]:
        """A list of at most so many."""
        value = self.any(())
        if not isinstance(value, _LISTS) or len(value) > most:
            raise self._bad(f"a list of at most {most}", value)
        return value

    def address(self, default: object = _REQUIRED) -> tuple[str, int] | None:
        """(host, port), or None."""
        value = next(self._values, default)
        if value is None:
            return None
        if isinstance(value, _LISTS) and len(value) == 2:
            host, port = value
            if isinstance(host, str) and type(port) is int and 0 <= port <= 65535:
                return intern(host), port
        raise self._bad("[host, port] or nil", value)

    def octets(self, least: int, most: int, default: object = _REQUIRED) -> bytes:
        """So many bytes. They may be a secret: an error says how many came, never which."""
        value = next(self._values, default)
        if isinstance(value, bytes) and least <= len(value) <= most:
            return value
        count = f"{least}..{most} bytes" if least < most else f"{least} bytes"
        if isinstance(value, str | bytes):
            raise self._bad(f"{count} and no text", len(value))
        raise self._bad(count, value)

    def payload_map(self, of: str, low: int, high: int) -> Mapping[int, int]:
        """Payload type → a whole number, low..high; empty if there is none.

        Args:
            of: what the numbers are, for an error.
            low, high: their range.
        """
        value = self.any(None)
        if not value and (value is None or isinstance(value, dict)):
            return _NO_MAP
        if not isinstance(value, dict) or len(value) > 128:
            raise self._bad(f"a map of payload types to {of}", value)
        for key, number in value.items():
            known = type(key) is int and type(number) is int
            if not known or not (0 <= key <= 127 and low <= number <= high):
                raise self._bad(f"a map of payload types to {of}, {low}..{high}", value)
        if len(_payload_maps) > _MAX_MAP:
            _payload_maps.clear()
        return _payload_maps.setdefault(tuple(value.items()), value)

    def payload_types(self) -> Sequence[int]:
        """Payload types; empty if there are none."""
        value = self.any(())
        if value == ():
            return ()
        if not isinstance(value, _LISTS) or len(value) > 128:
            raise self._bad("a list of payload types", value)
        if not all(type(one) is int and 0 <= one <= 127 for one in value):
            raise self._bad("a list of payload types", value)
        return tuple(value)

    def payload_names(self) -> Mapping[int, str]:
        """Payload type → encoding name; empty if there is none."""
        value = self.any(None)
        if not value and (value is None or isinstance(value, dict)):
            return _NO_NAMES
        if not isinstance(value, dict) or len(value) > 128:
            raise self._bad("a map of payload types to names", value)
        for key, name in value.items():
            if type(key) is not int or not 0 <= key <= 127 or not isinstance(name, str):
                raise self._bad("a map of payload types to names", value)
            if len(name) > _MAX_NAME:
                raise self._bad(f"names of up to {_MAX_NAME} characters", name)
        if len(_payload_names) > _MAX_MAP:
            _payload_names.clear()
        return _payload_names.setdefault(tuple(value.items()), value)

    def counters(self) -> dict[str, int]:
        """Name → whole number."""
        return self._counters(self.any(None))

    def counter_groups(self) -> dict[str, dict[str, int]]:
        """Name → name → whole number."""
        value = self.any(None)
        if value is None:
            return {}
        if not isinstance(value, dict) or len(value) > _MAX_MAP:
            raise self._bad("a map", value)
        if not all(isinstance(key, str) for key in value):
            raise self._bad("a map with string keys", value)
        return {key: self._counters(one) for key, one in value.items()}

    def numbers(self) -> list[int]:
        """A list of whole numbers."""
        value = self.items(_MAX_MAP)
        return [self._whole(one) for one in value]

    def _counters(self, value: object) -> dict[str, int]:
        if value is None or value == {}:
            return {}
        if not isinstance(value, dict) or len(value) > _MAX_MAP:
            raise self._bad("a map of counters", value)
        if not all(isinstance(key, str) for key in value):
            raise self._bad("a map of counters", value)
        return {key: self._whole(one) for key, one in value.items()}

    def _whole(self, value: object) -> int:
        if type(value) is not int:
            raise self._bad("a whole number", value)
        return value

    def _bad(self, expected: str, value: object) -> BadField:
        count = length_hint(self._body)
        index = count - length_hint(self._values)
        if value is _REQUIRED:  # which no check of a type lets pass
            return BadField(f"expected a field {index}, got {count} fields")
        shown = repr(value) if isinstance(value, int | float | str) else type(value).__name__
        return BadField(f"field {index - 1}: expected {expected}, got {shown[:60]}")


def reading(name: str, body: object) -> Fields:
    """Opens a body for reading: `with reading("plan", body) as fields`.

    Raises ControlError(BAD_REQUEST), which names the message, for whatever is wrong in it.
    """
    return Fields(name, body)


def pair(body: object) -> tuple[str, int]:
    """[text, number ≥ 0]. Raises ControlError(BAD_REQUEST)."""
    with reading("pair", body) as fields:
        return fields.text(), fields.number(0, 1 << 63)
