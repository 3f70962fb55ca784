"""How commands show changes and tables."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

import click

from sbc.cli.admin_client import AdminClient, BorderAway
from sbc.cli.options import USAGE, fail
from sbc.config.edit import Change, Edited, edit
from sbc.config.load import check_text
from sbc.config.problems import ConfigError

__all__ = ["change", "colours", "table"]

_ANSWER_S: Final = 0.2


def change(path: str, what: Change, dry_run: bool) -> None:
    """Make a change to the configuration file and show it as a diff.

    Ends the command with every error, and the file as it was, if the result is not in order.
    """
    try:
        edited = edit(path, what, dry_run=dry_run)
    except ConfigError as error:
        last = "" if "nothing was changed" in str(error) else f"{path}: nothing was changed"
        fail("\n".join(filter(None, (str(error), last))), USAGE)
    for line in edited.diff:
        click.echo(_coloured(line), color=colours())
    for note in edited.notes:
        click.echo(str(note), err=True)
    if edited.new == edited.old:
        click.echo(f"{path}: already so", err=True)
    elif not edited.written:
        click.echo(f"{path}: not written (dry run)", err=True)
    elif _in_use(edited):
        text = "the running border goes on with the old file; restart it to use this one"
        click.echo(f"{path}: {text}", err=True)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with aligned columns."""
    widths = [max(len(row[at]) for row in (header, *rows)) for at in range(len(header))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    ]


def _in_use(edited: Edited) -> bool:
    """Whether a border runs where the file says, or said before a change of `run_dir`."""
    checked = (check_text(text, edited.path).settings for text in (edited.old, edited.new))
    settings = next(filter(None, checked), None)
    if settings is None:
        return False
    try:
        with AdminClient(settings.run_dir, _ANSWER_S):
            return True
    except BorderAway:
        return False


def _coloured(line: str) -> str:
    if line.startswith(("---", "+++")):
        return click.style(line, bold=True)
    colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
    return line if colour is None else click.style(line, fg=colour)


def colours() -> bool:
    """Whether standard output shows colours, and they are wanted (no-color.org)."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ
