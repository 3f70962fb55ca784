"""`sbc reload certificates`."""

from __future__ import annotations

import sys

import click

from sbc.cli.admin_client import AdminClient
from sbc.cli.options import config_option, json_option
from sbc.cli.output import print_json
from sbc.config.load import load

__all__ = ["reload"]


@click.group()
def reload() -> None:
    """Have a running border read files anew, without a restart."""


@reload.command("certificates")
@config_option
@json_option
def certificates(config: str, as_json: bool) -> None:
    """Read all certificates and keys anew.

    New TLS connections meet the new ones; those that are open stay as they are. A file that
    cannot be used leaves the old ones in service, is named, and ends this with 1. The border
    looks at the files once a minute by itself (connections.certificate_check); SIGHUP to the
    launcher does the same as this.
    """
    with AdminClient(load(config).run_dir) as border:
        done = border.reload_certificates()
    if as_json:
        print_json(done)
    else:
        click.echo(str(done.get("text")), err=not done.get("good"))
    sys.exit(0 if done.get("good") else 1)
