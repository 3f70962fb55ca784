"""`sbc run`."""

from __future__ import annotations

import os
import sys

import click

from relay.control.run_directory import RunDirectoryError, make_run_directory
from sbc.cli.become import as_file, become
from sbc.cli.options import USAGE, config_option, fail
from sbc.config.load import check as check_file

__all__ = ["run"]


@click.command()
@config_option
def run(config: str) -> None:
    """Run the border: signalling and media relay, in the foreground.

    Checks the configuration first: a bad one starts nothing, prints every error and ends with 2.
    Ends with 1 where a border runs already in the same run directory, or where the machine is not
    ready for it: a port is in use, an address is not this machine's. One line names it.

    SIGINT or SIGTERM ends it in order: no new calls, calls that are up are ended on both sides,
    then the media relay. A second one ends it at once. SIGHUP opens the file of call records
    again, after a rotation.
    """
    checked = check_file(config)
    for problem in checked.errors:
        click.echo(str(problem), err=True)
    if checked.settings is None:
        sys.exit(USAGE)
    for note in checked.notes:
        click.echo(str(note), err=True)
    settings = checked.settings
    if settings.unread_secrets:
        fail("\n".join(settings.unread_secrets), USAGE)
    try:
        make_run_directory(settings.run_dir)
    except RunDirectoryError as error:
        fail(str(error))
    relay = as_file(settings.relay.to_json())
    become(["sbc.launcher", "--settings", os.path.abspath(config), "--relay", relay])
