"""`sbc relay`: the media workers of a running border, or a relay pool by itself."""

from __future__ import annotations

import sys
from typing import Final

import click

from relay.control.messages import WorkerStats
from relay.control.run_directory import RunDirectoryError, make_run_directory
from sbc.cli.become import as_file, become
from sbc.cli.health.running import ask_worker
from sbc.cli.options import config_option, fail, json_option, missing, optional_config_option
from sbc.cli.output import duration, print_json, print_table
from sbc.config.load import load

__all__ = ["relay"]

_HEADER: Final = ("worker", "pid", "fast path", "up", "calls", "packets", "dropped", "cpu")
_PORTS_HEADER: Final = ("worker", "realm", "free", "leased", "in use", "quarantined")


@click.group(invoke_without_command=True)
@click.pass_context
@optional_config_option
@json_option
def relay(context: click.Context, config: str | None, as_json: bool) -> None:
    """Show the relay workers (the default), or run a relay pool by itself."""
    # `sbc relay -c FILE status` means the same as `sbc relay status -c FILE`.
    context.find_root().params["config"] = config
    context.obj = as_json
    if context.invoked_subcommand is None:
        _show(config or missing(), as_json)


@relay.command()
@click.pass_obj
@config_option
@json_option
def status(json_before: bool, config: str, as_json: bool) -> None:
    """Ask each worker for its calls, ports and packets. Ends with 1 if one does not answer."""
    _show(config, as_json or json_before)


@relay.command()
@config_option
def run(config: str) -> None:
    """Run the relay pool in the foreground, without signalling.

    For a systemd unit of its own, so that signalling can be restarted without it: `sbc run` with
    the same file finds the pool and uses it.
    """
    settings = load(config).relay
    try:
        make_run_directory(settings.run_dir)
    except RunDirectoryError as error:
        fail(str(error))
    become(["relay", "pool", "--settings", as_file(settings.to_json())])


def _show(config: str, as_json: bool) -> None:
    settings = load(config).relay
    workers = {slot: ask_worker(settings.run_dir, slot) for slot in range(settings.workers)}
    stats = [one for one in workers.values() if isinstance(one, WorkerStats)]
    away = {slot: one for slot, one in workers.items() if isinstance(one, str)}
    if as_json:
        print_json({"workers": [_plain(one) for one in stats], "away": away})
    else:
        if stats:
            print_table(_HEADER, [_row(one) for one in stats])
            click.echo()
            print_table(_PORTS_HEADER, [row for one in stats for row in _port_rows(one)])
        for slot, reason in away.items():
            click.echo(f"worker {slot}: {reason}", err=True)
    sys.exit(1 if away else 0)


def _row(one: WorkerStats) -> tuple[str, ...]:
    return (
        str(one.slot),
        str(one.pid),
        one.fast_path,
        duration(one.uptime_s),
        str(one.calls),
        str(one.counters.get("packets", 0)),
        str(_dropped(one)),
        f"{one.cpu_s:.1f}s",
    )


def _port_rows(one: WorkerStats) -> list[tuple[str, ...]]:
    states = ("free", "leased", "in_use", "quarantined")
    return [
        (str(one.slot), realm, *(str(counts.get(state, 0)) for state in states))
        for realm, counts in sorted(one.ports.items())
    ]


def _dropped(one: WorkerStats) -> int:
    return sum(count for name, count in one.counters.items() if name.startswith("drop"))


def _plain(one: WorkerStats) -> dict[str, object]:
    return {
        "slot": one.slot,
        "pid": one.pid,
        "fast_path": one.fast_path,
        "uptime_s": one.uptime_s,
        "cpu_s": one.cpu_s,
        "calls": one.calls,
        "longest_pass_ms": one.longest_pass_ms,
        "ports": {realm: dict(counts) for realm, counts in one.ports.items()},
        "dropped": _dropped(one),
        "counters": dict(one.counters),
    }
