"""How query commands print: a table for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence

import click

from sbc.cli.show import table

__all__ = ["duration", "lines_of", "print_json", "print_table"]


def print_json(value: object) -> None:
    """One JSON document."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A drawn table on a terminal; aligned columns, for `awk` and friends, everywhere else."""
    if not sys.stdout.isatty():
        for line in table(header, rows):
            click.echo(line)
        return
    from rich.console import Console
    from rich.table import Table

    drawn = Table(header_style="bold")
    for name in header:
        drawn.add_column(name, overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    Console(markup=False, highlight=False).print(drawn)


def lines_of(values: Mapping[str, object], indent: str = "") -> list[str]:
    """A map as `key  value` lines, maps in it indented below their key."""
    width = max(
        (len(key) for key, one in values.items() if not isinstance(one, Mapping)), default=0
    )
    lines: list[str] = []
    for key, one in values.items():
        if isinstance(one, Mapping):
            lines.append(f"{indent}{key}")
            lines += lines_of(one, indent + "  ")
        else:
            lines.append(f"{indent}{key.ljust(width)}  {_plain(one)}")
    return lines


def duration(seconds: float) -> str:
    """`4s`, `3:25`, `1:02:03`."""
    whole = max(0, int(seconds))
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minute:02}:{second:02}"
    return f"{minute}:{second:02}" if minute else f"{second}s"


def _plain(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_plain(one) for one in value) or "-"
    return str(value)
