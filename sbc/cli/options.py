"""What the commands share: which configuration file, and how an error is shown."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final, NoReturn, TypeVar

import click

from sbc.errors import SbcError

__all__ = [
    "NEW_FILE",
    "USAGE",
    "config_option",
    "fail",
    "json_option",
    "missing",
    "optional_config_option",
]

F = TypeVar("F", bound=Callable[..., Any])

NEW_FILE: Final = "sbc.yaml"
USAGE: Final = 2
"""Exit code of a bad configuration or command line."""

_PLACES: Final = (NEW_FILE, "/etc/sbc/sbc.yaml", "examples/demo.yaml")
"""The last one is that of a checkout: after `make run`, which runs it, `sbc call` and all other
commands mean that border. Nobody has a folder of this name beside a border of his own."""
_HELP: Final = (
    "The configuration file. Default: $SBC_CONFIG, else the first that is there of ./sbc.yaml, "
    "/etc/sbc/sbc.yaml, ./examples/demo.yaml."
)


def config_option(command: F) -> F:
    """Give a command `--config FILE` and, as its argument `config`, the path that it means.

    The command ends where no file is named and none is in the usual places.
    """
    return _option(_found)(command)


def optional_config_option(command: F) -> F:
    """As `config_option`, for a command that may do without: its `config` is None then."""
    return _option(_resolve)(command)


def json_option(command: F) -> F:
    """Give a query command `--json`, as its argument `as_json`."""
    option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
    return option(command)


def fail(error: SbcError | str, code: int = 1) -> NoReturn:
    """Print an error as it is and end with `code`."""
    click.echo(str(error), err=True)
    raise click.exceptions.Exit(code)


def missing() -> NoReturn:
    """End the command: no file is named, and none is in the usual places."""
    places = ", ".join(_PLACES)
    fail(
        f"no configuration found, looked for {places} (sbc init writes one, -c FILE names one)",
        USAGE,
    )


def _option(callback: Callable[..., str | None]) -> Callable[[F], F]:
    return click.option("--config", "-c", "config", metavar="FILE", callback=callback, help=_HELP)


def _found(context: click.Context, parameter: click.Parameter, value: str | None) -> str:
    return _resolve(context, parameter, value) or missing()


def _resolve(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """The command's own option, the one before the command, the environment, the usual places."""
    group = context.find_root().params.get("config") if context.parent is not None else None
    chosen = value or group or os.environ.get("SBC_CONFIG")
    if chosen:
        return str(chosen)
    return next((path for path in _PLACES if os.path.exists(path)), None)
