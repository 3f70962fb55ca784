"""Values as YAML text, the way that an operator would write them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from sbc.config.source import Odd

__all__ = ["entry_line", "entry_lines", "render"]

_PLAIN: Final = re.compile(
    r"[A-Za-z_/][A-Za-z0-9_./-]*\Z|[0-9]+(\.[0-9]+){3}(/[0-9]+)?\Z|\d+-\d+\Z"
)
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_WIDE: Final = 100


def render(value: object) -> str:
    """One value on one line, in flow style; what could be misread is in quotes."""
    if isinstance(value, dict):
        inside = ", ".join(f"{render(key)}: {render(one)}" for key, one in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list):
        return f"[{', '.join(render(one) for one in value)}]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Odd):
        return value.written
    if isinstance(value, str):
        plain = _PLAIN.match(value) and value.lower() not in _WORDS
        return value if plain else _quoted(value)
    return f"{value}"


def _quoted(text: str) -> str:
    """A double-quoted scalar (YAML 1.2 §5.7): what is not printable is escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in escaped) + '"'


def entry_line(name: str, value: object, indent: str, top: bool) -> str:
    """A new key of a block mapping: on one line, or on one line for each of its entries.

    Args:
        top: whether it is a section of the file, which is always broken into lines.
    """
    line = f"{indent}{render(name)}: {render(value)}\n"
    if isinstance(value, (dict, list)) and value and (top or len(line) > _WIDE):
        return f"{indent}{render(name)}:\n" + "".join(entry_lines(value, f"{indent}  ", False))
    return line


def entry_lines(value: dict[str, Any] | list[Any], indent: str, broken: bool) -> Iterator[str]:
    """The entries of a block mapping or list, a line each.

    Args:
        broken: whether the line before them still has to be ended.
    """
    if broken:
        yield "\n"
    if isinstance(value, dict):
        for name, one in value.items():
            yield entry_line(name, one, indent, False)
    else:
        for one in value:
            yield f"{indent}- {render(one)}\n"
