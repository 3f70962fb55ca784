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

_FIGURES = ("jitter_ms", "burst_ms", "gap_ms", "max_gap_ms", "rtt_ms", "r", "mos", "mos_worst")
_MEDIA = (
    *("from", "kind", "packets", "loss"),
    *(one.replace("_", " ") for one in _FIGURES),
    "dropped",
)
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
                _show(shown)
            return
        listed = border.calls()
    if as_json:
        print_json(listed)
    elif listed:
        print_table(_HEADER, [_row(one) for one in listed])
    else:
        click.echo("no calls")


def _show(call: dict[str, object]) -> None:
    """One call in full: what is known of it, then its media, a line for each direction."""
    streams = call.pop("streams", None)
    click.echo("\n".join(lines_of(call)))
    if isinstance(streams, list) and streams:
        click.echo("")
        print_table(_MEDIA, [_direction(one) for one in streams if isinstance(one, Mapping)])


def _direction(stream: Mapping[str, object]) -> tuple[str, ...]:
    """What comes from one side."""
    loss = stream.get("loss")
    return (
        _text(stream, "side"),
        _text(stream, "kind"),
        _text(stream, "packets"),
        f"{100 * loss:.2f} %" if isinstance(loss, int | float) else "-",
        *(_text(stream, name) for name in _FIGURES),
        _counts(stream.get("dropped_by")),
    )


def _counts(counts: object) -> str:
    """Why how much was dropped."""
    if not isinstance(counts, Mapping) or not counts:
        return "-"
    return ", ".join(f"{reason} {count}" for reason, count in counts.items())


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
