"""`sbc trunks`."""

from __future__ import annotations

from typing import Any

import click

from sbc.cli.admin_client import AdminClient
from sbc.cli.options import config_option, json_option
from sbc.cli.output import print_json
from sbc.cli.show import table
from sbc.config.load import load

__all__ = ["trunks"]


@click.command()
@config_option
@json_option
def trunks(config: str, as_json: bool) -> None:
    """Show the trunks of the running border: their calls, and which of their peers answer.

    Peers are asked by OPTIONS where the trunk's `options_ping` says so: up, out (and then passed
    over until it answers), or unknown before the first answer.
    """
    with AdminClient(load(config).run_dir) as border:
        status: dict[str, Any] = border.status()
    found = [
        {
            "trunk": name,
            "calls": calls,
            "peers": [one for one in status.get("peers", ()) if one.get("trunk") == name],
        }
        for name, calls in status.get("trunks", {}).items()
    ]
    if as_json:
        print_json(found)
        return
    rows = []
    for one in found:
        peers: list[dict[str, Any]] = one["peers"] or [{}]
        for at, peer in enumerate(peers):
            first = (one["trunk"], str(one["calls"])) if at == 0 else ("", "")
            rows.append((*first, peer.get("address", "-"), peer.get("state", "-"), _since(peer)))
    for line in table(("NAME", "CALLS", "PEER", "STATE", "SINCE"), rows):
        click.echo(line)


def _since(peer: dict[str, Any]) -> str:
    """`42 s`, and why where it is out."""
    seconds = peer.get("for_s")
    if seconds is None:
        return "-"
    reason = peer.get("reason")
    return f"{seconds:.0f} s ({reason})" if reason else f"{seconds:.0f} s"
