"""`sbc check`."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable

import click

from sbc.cli.health.certificates import examine_named
from sbc.cli.health.finding import Finding, Level
from sbc.cli.options import USAGE, json_option, missing, optional_config_option
from sbc.config.load import Checked
from sbc.config.load import check as check_file
from sbc.config.problems import Problem

__all__ = ["check"]


@click.command()
@click.argument("file", required=False)
@optional_config_option
@json_option
@click.option("--resolve", is_flag=True, help="Also look the names of peers up in the DNS.")
def check(file: str | None, config: str | None, as_json: bool, resolve: bool) -> None:
    """Check a configuration file without starting anything.

    Prints every error of FILE (default: as --config) at once, those in the certificates and keys
    that it names too, each as

    \b
      FILE:LINE:COLUMN: KEY: expected WHAT, got WHAT

    and ends with 2; or one line that says what the file holds, and 0. Notes are about what works
    and is probably not meant, such as a trunk that no route uses; they do not fail the check.
    With --resolve a peer's name that leads nowhere now is such a note.
    """
    path = file or config or missing()
    checked = check_file(path)
    unknown = _unknown_names(checked) if resolve else []
    looked = list(examine_named(checked.tls_files))
    errors = _with(checked.errors, looked, Level.FAIL)
    notes = _with(checked.notes, looked, Level.WARN) if checked.settings is not None else []
    if as_json:
        names = {"unknown_names": unknown} if resolve else {}
        found = [dataclasses.asdict(one) for one in dict.fromkeys(one for _, one in looked)]
        files = {"certificates": found} if found else {}
        click.echo(json.dumps(_as_json(path, errors, notes) | names | files, indent=2))
    else:
        for problem in errors:
            click.echo(str(problem), err=True)
        for note in notes:
            click.echo(str(note))
        for one in unknown:
            where = f"trunks.{one['trunk']}.peers"
            click.echo(f"{path}: {where}: note: {one['peer']} leads nowhere ({one['problem']})")
        if not errors:
            click.echo(f"{path}: good: {_contents(checked)}")
    sys.exit(USAGE if errors else 0)


def _with(
    problems: Iterable[Problem], looked: list[tuple[Problem, Finding]], level: Level
) -> list[Problem]:
    """With what is in the files that TLS reads, in the order of the configuration."""
    return sorted({*problems, *(problem for problem, one in looked if one.level is level)})


def _unknown_names(checked: Checked) -> list[dict[str, object]]:
    """The named peers that have no place now, as the DNS says."""
    if checked.settings is None:
        return []
    from sbc.runtime.lookup import look_up  # takes a second, and most checks do without

    return [one for one in look_up(checked.settings) if not one["places"]]


def _contents(checked: Checked) -> str:
    """What a good file holds, counted."""
    assert checked.settings is not None  # noqa: S101 (asked only then)
    policies = checked.settings.policies
    realms = {listener.realm for listener in checked.settings.transport.listeners}
    counted = {
        "realm": len(realms),
        "trunk": len(policies.trunks),
        "route": len(policies.routes),
    }
    return ", ".join(
        f"{count} {word}{'' if count == 1 else 's'}" for word, count in counted.items()
    )


def _as_json(path: str, errors: list[Problem], notes: list[Problem]) -> dict[str, object]:
    return {
        "path": path,
        "good": not errors,
        "errors": [dataclasses.asdict(problem) for problem in errors],
        "notes": [dataclasses.asdict(problem) for problem in notes],
    }
