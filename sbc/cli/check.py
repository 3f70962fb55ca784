"""`sbc check`."""

from __future__ import annotations

import dataclasses
import json
import sys

import click

from sbc.cli.health.certificates import examine
from sbc.cli.health.finding import Finding, Level
from sbc.cli.options import USAGE, json_option, missing, optional_config_option
from sbc.config.load import Checked
from sbc.config.load import check as check_file

__all__ = ["check"]


@click.command()
@click.argument("file", required=False)
@optional_config_option
@json_option
@click.option("--resolve", is_flag=True, help="Also look the names of peers up in the DNS.")
def check(file: str | None, config: str | None, as_json: bool, resolve: bool) -> None:
    """Check a configuration file without starting anything.

    Prints every error of FILE (default: as --config) at once, each as

    \b
      FILE:LINE:COLUMN: KEY: expected WHAT, got WHAT

    then what is wrong with the certificates that it names, and ends with 2; or one line that
    says what the file holds, and 0. Notes are about what works
    and is probably not meant, such as a trunk that no route uses; they do not fail the check.
    With --resolve a peer's name that leads nowhere now is such a note.
    """
    path = file or config or missing()
    checked = check_file(path)
    unknown = _unknown_names(checked) if resolve else []
    shown = list(examine(checked.settings.transport)) if checked.settings is not None else []
    bad = [one for one in shown if one.level is Level.FAIL]
    if as_json:
        names = {"unknown_names": unknown} if resolve else {}
        files = {"certificates": [dataclasses.asdict(one) for one in shown]} if shown else {}
        click.echo(json.dumps(_as_json(path, checked, bad) | names | files, indent=2))
    else:
        for problem in checked.errors:
            click.echo(str(problem), err=True)
        for note in checked.notes:
            click.echo(str(note))
        for one in unknown:
            where = f"trunks.{one['trunk']}.peers"
            click.echo(f"{path}: {where}: note: {one['peer']} leads nowhere ({one['problem']})")
        for finding in shown:
            if finding.level is Level.FAIL:
                click.echo(f"{finding.text} ({finding.advice})", err=True)
            elif finding.level is Level.WARN:
                click.echo(f"{finding.text} (note: {finding.advice})")
        if checked.settings is not None and not bad:
            click.echo(f"{path}: good: {_contents(checked)}")
    sys.exit(0 if checked.settings is not None and not bad else USAGE)


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


def _as_json(path: str, checked: Checked, bad: list[Finding]) -> dict[str, object]:
    return {
        "path": path,
        "good": checked.settings is not None and not bad,
        "errors": [dataclasses.asdict(problem) for problem in checked.errors],
        "notes": [dataclasses.asdict(problem) for problem in checked.notes],
    }
