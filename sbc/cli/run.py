"""`sbc run`."""

from __future__ import annotations

import os
import sys

import click

from relay.control.run_directory import RunDirectoryError, make_run_directory
from sbc.cli.options import USAGE, config_option
from sbc.config.load import check as check_file

__all__ = ["run"]


@click.command()
@config_option
def run(config: str) -> None:
    """Run the border: signalling and media relay, in the foreground.

    Checks the configuration first: a bad one starts nothing, prints every error and ends with 2.
    Ends with 1 where a border runs already in the same run directory.

    SIGINT or SIGTERM ends it in order: no new calls, calls that are up are ended on both sides,
    then the media relay. A second one ends it at once.
    """
    checked = check_file(config)
    for problem in checked.errors:
        click.echo(str(problem), err=True)
    if checked.settings is None:
        sys.exit(USAGE)
    for note in checked.notes:
        click.echo(str(note), err=True)
    settings = checked.settings
    path = os.path.join(settings.run_dir, "relay-settings.json")
    try:
        make_run_directory(settings.run_dir)
        with open(path, "w", encoding="utf-8") as file:
            file.write(settings.relay.to_json())
    except RunDirectoryError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    except OSError as error:
        click.echo(f"cannot use {error.filename or path}: {error.strerror}", err=True)
        sys.exit(1)
    # A process of its own kind from here on: small, and nothing of this one's is left in it.
    command = [sys.executable, "-P", "-m", "sbc.launcher"]
    command += ["--settings", os.path.abspath(config), "--relay", path]
    os.execv(sys.executable, command)  # noqa: S606 (our own interpreter, no shell)
