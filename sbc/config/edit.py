"""Change the configuration file in place: read, change, check the whole, write, show."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, TypeAlias

from sbc.config.load import check_text
from sbc.config.masking import masked_pair
from sbc.config.problems import ConfigError, Problem
from sbc.config.source import Source, parse, read_text
from sbc.config.store import create, locked, replace
from sbc.config.textedit import rewrite

__all__ = ["Change", "Edited", "edit", "make"]

Change: TypeAlias = Callable[[dict[str, Any], Source], None]
"""Changes the file's values in place; raises ConfigError if it cannot be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """What an edit did."""

    path: str
    old: str
    new: str
    written: bool
    notes: tuple[Problem, ...]
    """What is worth a note since the change, and was not before."""

    @property
    def diff(self) -> list[str]:
        """The change as a unified diff, line by line, "" at the ends cut off; no secrets in it."""
        old, new = masked_pair(self.old, self.new, self.path)
        return [
            line.rstrip("\r\n")
            for line in difflib.unified_diff(
                old.splitlines(keepends=True),
                new.splitlines(keepends=True),
                f"{self.path} (before)",
                f"{self.path} (after)",
                n=2,
            )
        ]


def edit(path: str, change: Change, *, dry_run: bool = False) -> Edited:
    """Change the file at `path` and write it if the result, as a whole, is in order.

    Raises ConfigError with everything that is wrong with the result, or with what stood in the
    way; the file is then as it was.
    """
    with locked(path):
        old = read_text(path)
        crlf = "\r\n" in old
        source = parse(old.replace("\r\n", "\n"), path)
        if source.problems:
            raise ConfigError(source.problems)
        if source.data is not None and not isinstance(source.data, dict):
            raise ConfigError([source.problem((), "expected a mapping (key: value)")])
        data = deepcopy(source.data) if source.data is not None else {}
        change(data, source)
        new = rewrite(source, data)
        new = new.replace("\n", "\r\n") if crlf else new
        checked = check_text(new, path)
        if checked.settings is None:
            raise ConfigError(checked.errors)
        written = new != old and not dry_run
        if written:
            replace(path, old, new)
        known = {(note.key, note.text) for note in check_text(old, path).notes}
        notes = tuple(note for note in checked.notes if (note.key, note.text) not in known)
        return Edited(path=path, old=old, new=new, written=written, notes=notes)


def make(path: str, text: str) -> tuple[Problem, ...]:
    """Write a new file that must be in order; returns what is worth a note.

    Raises ConfigError with everything that is wrong, or because a file is there already.
    """
    checked = check_text(text, path)
    if checked.settings is None:
        raise ConfigError(checked.errors)
    create(path, text)
    return checked.notes
