"""`sbc status`: the running border as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from sbc.cli.admin_client import AdminClient
from sbc.cli.options import config_option, json_option
from sbc.cli.output import duration, lines_of, print_json
from sbc.cli.show import table
from sbc.config.load import load

__all__ = ["status"]

_BORDER: Final = ("calls", "draining", "overloaded", "core", "parser")
_LISTENER: Final = ("received", "sent", "dropped_by_kernel")


@click.command()
@config_option
@json_option
def status(config: str, as_json: bool) -> None:
    """Show the running border at a glance: calls, listeners, relay, records, and what it counts.

    Counters are shown where they are not zero, under the names that --json gives them: stranger
    (from a source of no trunk), rate_limited, malformed, auth_wrong, crashed and others. Refusals
    are answers of 300 and above, for each status; streams are the connections over TCP and TLS,
    how many there are and what came of them. All count from the start of the border.
    """
    with AdminClient(load(config).run_dir) as border:
        told: dict[str, Any] = border.status()
    if as_json:
        print_json(told)
    else:
        click.echo("\n".join(_lines(told)))


def _lines(told: Mapping[str, Any]) -> list[str]:
    """What is worth a line, in parts; what another version of the border does not tell is `-`."""
    counted = ("counters", "refusals", "streams")
    parts = {
        "relay": _relay(told),
        "public addresses": {
            f"{one['local']} of {one['realm']}": one["public"]
            for one in told.get("public_addresses", ())
        },
        "records": _records(told.get("cdr", {})),
    } | {name: _not_zero(told.get(name, {})) for name in counted}
    return [
        *lines_of({"border": _border(told)}),
        *_listeners(told.get("listeners", {})),
        *lines_of({name: part for name, part in parts.items() if part}),
    ]


def _border(told: Mapping[str, Any]) -> dict[str, object]:
    uptime_s = told.get("uptime_s")
    return {
        "pid": told.get("pid"),
        "up": None if uptime_s is None else duration(uptime_s),
        **{name: told.get(name) for name in _BORDER},
    }


def _listeners(listeners: Mapping[str, Mapping[str, object]]) -> list[str]:
    """A line for each: what the kernel dropped is what the border was too slow for."""
    if not listeners:
        return []
    rows = [
        (f"  {name}", *(str(one.get(figure, "-")) for figure in _LISTENER))
        for name, one in listeners.items()
    ]
    return table(("listeners", *(figure.replace("_", " ") for figure in _LISTENER)), rows)


def _relay(told: Mapping[str, Any]) -> dict[str, object]:
    """As signalling sees it; `sbc relay` asks the workers themselves."""
    ports = told.get("ports_in_hand", {})
    return {
        "workers": sorted(told.get("workers", ())) or "none",
        "ports in hand": [f"{pool} {count}" for pool, count in ports.items()],
    }


def _records(cdr: Mapping[str, Any]) -> dict[str, object]:
    """Where they go; what keeps them from going there, only while something does."""
    troubles = ("failure", "waiting", "dropped")
    return {"path": cdr.get("path"), **{name: cdr[name] for name in troubles if cdr.get(name)}}


def _not_zero(counts: Mapping[str, object]) -> dict[str, object]:
    return {name: count for name, count in sorted(counts.items()) if count}
