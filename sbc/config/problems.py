"""What is wrong with a configuration, said so that an operator can put it right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sbc.errors import SbcError

__all__ = ["ConfigError", "Problem"]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """One thing that is wrong, or worth a note."""

    path: str
    line: int = 0
    """Counted from 1; 0 where the fault is not in a line."""
    column: int = 0
    """Counted from 1, in characters."""
    key: str = ""
    text: str
    """`expected …, got …`, or a clause of its own."""

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}:{self.column}" if self.line else self.path
        line = ": ".join(part for part in (where, self.key, self.text) if part)
        if line.isprintable():
            return line
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)  # stays one line


class ConfigError(SbcError):
    """The configuration cannot be used. `str()` is every problem, one in each line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
