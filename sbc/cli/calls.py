"""`sbc calls`: what goes through the border now."""

from __future__ import annotations

import time
from collections.abc import Mapping

import click

from sbc.cli.admin_client import AdminClient
from sbc.cli.options import config_option, fail, json_option
from sbc.cli.output import duration, lines_of, print_json, print_table
from sbc.config.load import load

__all__ = ["calls", "find"]

_HEADER = ("call", "from", "to", "trunks", "state", "for", "codecs")


@click.command()
@click.argument("call", required=False)
@config_option
@json_option
def calls(call: str | None, config: str, as_json: bool) -> None:
    """List the calls that are up, or show one of them in full.

    CALL is a call's identifier, or as much of its beginning or end as is needed to tell it from
    the others.
    """
    with AdminClient(load(config).run_dir) as border:
        if call is not None:
            shown = border.call(find(border, call))
            if shown is None:
                fail(f"{call}: the call has just ended")
            if as_json:
                print_json(shown)
            else:
                click.echo("\n".join(lines_of(shown)))
            return
        listed = border.calls()
    if as_json:
        print_json(listed)
    elif listed:
        print_table(_HEADER, [_row(one) for one in listed])
    else:
        click.echo("no calls")


def find(border: AdminClient, wanted: str) -> str:
    """The identifier that `wanted` is, begins or ends. Ends the command if there is not one."""
    if border.call(wanted) is not None:
        return wanted
    known = [str(one.get("call")) for one in border.calls()]
    matches = [one for one in known if one.startswith(wanted) or one.endswith(wanted)]
    if len(matches) == 1:
        return matches[0]
    if not matches:
        fail(f"{wanted}: no such call (sbc calls lists them)")
    fail(f"{wanted}: {len(matches)} calls begin or end so: give more of the identifier")


def _row(call: Mapping[str, object]) -> tuple[str, ...]:
    since = call.get("answered_s") or call.get("started_s")
    age = duration(time.time() - since) if isinstance(since, int | float) else "-"
    codecs = call.get("codecs")
    return (
        _text(call, "call"),
        _text(call, "from"),
        _text(call, "to"),
        f"{_text(call, 'trunk_a')} → {_text(call, 'trunk_b')}",
        _text(call, "state"),
        age,
        ",".join(str(one) for one in codecs) if isinstance(codecs, list) else "-",
    )


def _text(call: Mapping[str, object], key: str) -> str:
    value = call.get(key)
    return "-" if value is None else str(value)
