"""`sbc route add | move | remove | list`."""

from __future__ import annotations

import json
from typing import Any

import click

from policies.settings import RouteSettings
from sbc.cli.edit import dry_run_option
from sbc.cli.options import config_option, json_option
from sbc.cli.show import change, table
from sbc.config.load import load
from sbc.config.problems import ConfigError
from sbc.config.source import Source

__all__ = ["route"]


@click.group()
def route() -> None:
    """Add, move, remove and list routes: whose calls go where.

    Of a trunk's routes the one with the longest matching --number takes the call, wherever it
    stands; the order of the list is for its readers. Routes count from 1.
    """


@route.command("add")
@click.option("--from", "source", required=True, metavar="TRUNK", help="The trunk that calls.")
@click.option(
    "--to",
    multiple=True,
    required=True,
    metavar="TRUNK",
    help="The trunk that is called; may be repeated, tried in this order.",
)
@click.option("--number", metavar="DIGITS", help="First digits of the called number.")
@click.option("--at", metavar="N", type=click.IntRange(1), help="Its place. Default: the last.")
@config_option
@dry_run_option
def add(
    source: str, to: tuple[str, ...], number: str | None, at: int | None, config: str, dry_run: bool
) -> None:
    """Add a route.

    \b
      sbc route add --from pbx --to carrier --to second-carrier
      sbc route add --from pbx --to mobile-gateway --number +4917
    """
    new: dict[str, object] = {"from": source, "to": to[0] if len(to) == 1 else list(to)}
    if number is not None:
        new["number"] = number

    def apply(data: dict[str, Any], file: Source) -> None:
        routes = _routes(data, file)
        place = len(routes) if at is None else at - 1
        if place > len(routes):
            _no_place(file, len(routes) + 1, place + 1)
        routes.insert(place, new)

    change(config, apply, dry_run)


@route.command("move")
@click.argument("which", type=click.IntRange(1), metavar="N")
@click.argument("to", type=click.IntRange(1), metavar="PLACE")
@config_option
@dry_run_option
def move(which: int, to: int, config: str, dry_run: bool) -> None:
    """Move route N to PLACE; the others keep their order."""

    def apply(data: dict[str, Any], file: Source) -> None:
        routes = _routes(data, file)
        for place in (which, to):
            if place > len(routes):
                _no_place(file, len(routes), place)
        routes.insert(to - 1, routes.pop(which - 1))

    change(config, apply, dry_run)


@route.command("remove")
@click.argument("which", type=click.IntRange(1), metavar="N")
@config_option
@dry_run_option
def remove(which: int, config: str, dry_run: bool) -> None:
    """Remove route N; those after it move up."""

    def apply(data: dict[str, Any], file: Source) -> None:
        routes = _routes(data, file)
        if which > len(routes):
            _no_place(file, len(routes), which)
        del routes[which - 1]

    change(config, apply, dry_run)


@route.command("list")
@config_option
@json_option
def list_(config: str, as_json: bool) -> None:
    """List all routes, with the number that `move` and `remove` take."""
    routes = load(config).policies.routes
    if as_json:
        rows = [_as_json(at, one) for at, one in enumerate(routes, 1)]
        click.echo(json.dumps(rows, indent=2))
        return
    table_rows = [
        (str(at), one.source, ", ".join(one.to), one.number or "any")
        for at, one in enumerate(routes, 1)
    ]
    for line in table(("N", "FROM", "TO", "NUMBER"), table_rows):
        click.echo(line)


def _routes(data: dict[str, Any], file: Source) -> list[Any]:
    """The file's routes as a list to change in place."""
    routes = data.get("routes")
    if routes is None:
        routes = data["routes"] = []
    if not isinstance(routes, list):
        raise ConfigError([file.problem(("routes",), "expected a list of routes")])
    return routes


def _no_place(file: Source, last: int, got: int) -> None:
    expected = f"a route from 1 to {last}" if last else "a route, and there is none yet"
    raise ConfigError([file.problem(("routes",), f"expected {expected}, got {got}")])


def _as_json(at: int, one: RouteSettings) -> dict[str, object]:
    return {
        "n": at,
        "from": one.source,
        "to": list(one.to),
        "number": one.number,
        "line": one.line,
    }
