"""`sbc trunk add | set | remove | list`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from policies.settings import TrunkSettings
from sbc.cli.edit import dry_run_option
from sbc.cli.options import config_option, json_option
from sbc.cli.show import change, table
from sbc.config.load import load
from sbc.config.paths import parse_value, set_at
from sbc.config.problems import ConfigError
from sbc.config.source import Path, Source

__all__ = ["trunk"]

F = TypeVar("F", bound=Callable[..., Any])

_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "realm": ("realm",),
    "peer": ("peers",),
    "source": ("sources",),
    "transport": ("transport",),
    "resolve": ("resolve",),
    "invite_timeout": ("invite_timeout",),
    "calls": ("limits", "calls"),
    "cps": ("limits", "cps"),
    "status": ("limits", "status"),
    "no_answer": ("no_answer",),
    "pass_header": ("pass",),
    "trusted": ("trusted",),
    "nat": ("nat",),
    "latch": ("latch",),
    "media_timeout": ("media_timeout",),
}
"""Option → its key below the trunk."""


def _trunk_options(command: F) -> F:
    """The options that `add` and `set` share. Their values are checked as part of the file."""
    options = (
        click.option("--realm", metavar="REALM", help="The realm in which it is met."),
        click.option(
            "--peer",
            multiple=True,
            metavar="HOST[:PORT]",
            help="Where its calls are sent: address or name; may be repeated, tried in order.",
        ),
        click.option(
            "--source",
            multiple=True,
            metavar="NETWORK",
            help="Where its calls come from; may be repeated. Default: the peers.",
        ),
        click.option("--transport", metavar="udp|tcp|tls|auto", help="How it is called."),
        click.option("--resolve", metavar="auto|srv|a", help="How a peer's name is looked up."),
        click.option(
            "--invite-timeout", metavar="TIME", help="No response at all: try the next peer (4s)."
        ),
        click.option("--calls", metavar="N", help="Most concurrent calls, both directions."),
        click.option("--cps", metavar="N", help="Most new calls in a second, both directions."),
        click.option("--status", metavar="CODE", help="SIP answer over a limit (503)."),
        click.option("--no-answer", metavar="TIME", help="How long it may ring (180, 3m)."),
        click.option(
            "--pass",
            "pass_header",
            multiple=True,
            metavar="HEADER",
            help="A further header that may cross; may be repeated.",
        ),
        click.option("--trusted/--not-trusted", default=None, help="Believe its identities."),
        click.option("--nat", metavar="auto|always|never", help="Whether it sits behind NAT."),
        click.option("--latch", metavar="signalled|any|asymmetric", help="Whose media is taken."),
        click.option("--media-timeout", metavar="TIME", help="Silence that ends a call (60)."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def trunk() -> None:
    """Add, change, remove and list trunks: the networks that call us and that we call.

    `sbc config` reaches every key of a trunk; these commands are the short way. Changes are
    checked and shown as `sbc config set` does.
    """


@trunk.command("add")
@click.argument("name")
@_trunk_options
@config_option
@dry_run_option
def add(name: str, config: str, dry_run: bool, **options: object) -> None:
    """Add trunk NAME, with a --realm and at least one --peer or --source.

    \b
      sbc trunk add carrier --realm outside --peer 198.51.100.7 --calls 200
    """

    def apply(data: dict[str, Any], source: Source) -> None:
        if name in _trunks(data):
            problem = source.problem(("trunks", name), "is there already (sbc trunk set)")
            raise ConfigError([problem])
        set_at(data, ("trunks", name), {}, source)
        _set(data, name, options, source)

    change(config, apply, dry_run)


@trunk.command("set")
@click.argument("name")
@_trunk_options
@config_option
@dry_run_option
def set_(name: str, config: str, dry_run: bool, **options: object) -> None:
    """Change trunk NAME: only what is given, and a list as a whole.

    \b
      sbc trunk set carrier --calls 300
    """

    def apply(data: dict[str, Any], source: Source) -> None:
        _known(data, name, source)
        _set(data, name, options, source)

    change(config, apply, dry_run)


@trunk.command("remove")
@click.argument("name")
@click.option("--with-routes", is_flag=True, help="Remove its routes too.")
@config_option
@dry_run_option
def remove(name: str, with_routes: bool, config: str, dry_run: bool) -> None:
    """Remove trunk NAME.

    Refused while routes use it, unless --with-routes removes those from it and those that lead
    to it alone; from the others it is taken out.
    """

    def apply(data: dict[str, Any], source: Source) -> None:
        _known(data, name, source)
        routes = data.get("routes") or []
        using = [at for at, route in enumerate(routes) if name in _uses(route)]
        if using and not with_routes:
            text = "route " if len(using) == 1 else "routes "
            text += ", ".join(str(at + 1) for at in using)
            text = f"expected a trunk that no route uses, got one in {text} (--with-routes)"
            raise ConfigError([source.problem(("trunks", name), text)])
        if using:
            data["routes"] = [left for route in routes if (left := _without(route, name))]
        del data["trunks"][name]

    change(config, apply, dry_run)


@trunk.command("list")
@config_option
@json_option
def list_(config: str, as_json: bool) -> None:
    """List all trunks."""
    trunks = load(config).policies.trunks
    if as_json:
        click.echo(json.dumps([_as_json(one) for one in trunks], indent=2))
        return
    header = ("NAME", "REALM", "PEERS", "SOURCES", "TRANSPORT", "CALLS", "CPS")
    for line in table(header, [_row(one) for one in trunks]):
        click.echo(line)


def _set(data: dict[str, Any], name: str, options: dict[str, object], source: Source) -> None:
    """Put the options that were given into the trunk."""
    for option, key in _KEYS.items():
        given = options[option]
        path: Path = ("trunks", name, *key)
        if isinstance(given, tuple):
            if given:
                set_at(data, path, [_value(one, path, source) for one in given], source)
        elif given is not None:
            set_at(data, path, _value(given, path, source), source)


def _value(given: object, path: Path, source: Source) -> object:
    return parse_value(given, path, source) if isinstance(given, str) else given


def _trunks(data: dict[str, Any]) -> dict[str, Any]:
    trunks = data.get("trunks")
    return trunks if isinstance(trunks, dict) else {}


def _known(data: dict[str, Any], name: str, source: Source) -> None:
    trunks = _trunks(data)
    if name not in trunks:
        known = ", ".join(trunks) or "there is none yet"
        text = f'expected a trunk ({known}), got "{name}"'
        raise ConfigError([source.problem(("trunks",), text)])


def _uses(route: object) -> list[object]:
    """The trunks of a route."""
    if not isinstance(route, dict):
        return []
    to = route.get("to")
    return [route.get("from"), *(to if isinstance(to, list) else [to])]


def _without(route: object, name: str) -> object:
    """A route without a trunk, None if nothing is left of it."""
    if not isinstance(route, dict) or name not in _uses(route):
        return route
    to = route.get("to")
    left = [one for one in to if one != name] if isinstance(to, list) else []
    if route.get("from") == name or not left:
        return None
    return {**route, "to": left[0] if len(left) == 1 else left}


def _row(one: TrunkSettings) -> tuple[str, ...]:
    limits = one.limits
    return (
        one.name,
        one.realm,
        " ".join(_peers(one)) or "-",
        " ".join(_sources(one)),
        one.transport.value,
        "-" if limits.calls is None else str(limits.calls),
        "-" if limits.cps is None else f"{limits.cps:g}",
    )


def _as_json(one: TrunkSettings) -> dict[str, object]:
    return {
        "name": one.name,
        "realm": one.realm,
        "peers": _peers(one),
        "sources": _sources(one),
        "transport": one.transport.value,
        "resolve": one.resolve.value,
        "invite_timeout_s": one.invite_timeout_s,
        "calls": one.limits.calls,
        "cps": one.limits.cps,
        "status": one.limits.status,
        "no_answer_s": one.no_answer_s,
        "pass": list(one.pass_headers),
        "trusted": one.trusted,
        "nat": one.nat.value,
        "latch": one.latch.value,
        "media_timeout_s": one.media_timeout_s,
        "line": one.line,
    }


def _peers(one: TrunkSettings) -> list[str]:
    return [peer.text for peer in one.peers]


def _sources(one: TrunkSettings) -> list[str]:
    written = [
        str(network) if network.num_addresses > 1 else str(network.network_address)
        for network in one.sources
    ]
    followed = [peer.host for peer in one.peers if peer.is_name] if one.sources_follow else []
    return written + followed
