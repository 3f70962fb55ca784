"""The command `sbc`: a group whose commands are imported when they are called.

So `sbc --help` and shell completion stay quick, whatever a command needs.
"""

from __future__ import annotations

import importlib
from typing import Final

import click

from sbc.cli.options import USAGE
from sbc.config.problems import ConfigError
from sbc.errors import SbcError

__all__ = ["app"]

_COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "run": ("sbc.cli.run", "Run the border: signalling and media relay."),
    "check": ("sbc.cli.check", "Check the configuration and print everything wrong with it."),
    "init": ("sbc.cli.init", "Write a first configuration file."),
    "config": ("sbc.cli.edit", "Read and change any key of the configuration."),
    "trunk": ("sbc.cli.trunk", "Add, change, remove and list trunks."),
    "route": ("sbc.cli.route", "Add, move, remove and list routes."),
    "user": ("sbc.cli.user", "Add, change, remove and list users: who may call with a password."),
    "relay": ("sbc.cli.relay", "Show the relay workers; or run a media relay by itself."),
    "status": ("sbc.cli.status", "Show the running border at a glance, and what it counts."),
    "trunks": ("sbc.cli.trunks", "Show the trunks' calls, and which of their peers answer."),
    "calls": ("sbc.cli.calls", "List the calls that are up."),
    "reload": ("sbc.cli.reload", "Have a running border read files anew."),
    "hangup": ("sbc.cli.hangup", "End a call."),
    "call": ("sbc.cli.call", "Place a test call through the running border."),
    "doctor": ("sbc.cli.doctor", "Look for what would keep a border from working well."),
}
"""Command → its module, which holds it under the same name, and its line in the help."""


class _LazyGroup(click.Group):
    """Commands by name; errors of ours end as their own text, never as a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(_COMMANDS[cmd_name][0])
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101 (our own table)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except SbcError as error:
            click.echo(str(error), err=True)
            ctx.exit(USAGE if isinstance(error, ConfigError) else 1)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", "-c", metavar="FILE", help="The configuration file of any command.")
@click.version_option(package_name="python-sbc", prog_name="sbc")
def app(config: str | None) -> None:
    """A session border controller.

    From an empty folder to a first call:

    \b
      sbc init --inside 10.0.0.5 --outside 192.0.2.10
      sbc trunk add pbx --realm inside --peer 10.0.0.20
      sbc trunk add carrier --realm outside --peer 198.51.100.7 --calls 200
      sbc route add --from pbx --to carrier
      sbc route add --from carrier --to pbx
      sbc run

    Exit codes: 0 done; 1 it did not work; 2 the configuration or the command line is wrong.
    """
