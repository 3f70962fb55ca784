"""What a call costs a relay worker before and after its packets: its plan, a change, its end.

`python -m benchmarks.plans` has one worker make, change and remove a thousand calls without media,
and takes the CPU time of the pool's processes. Each step is asked for many calls at a time, as
signalling does it: what one pass of its loop produces leaves in one write.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from benchmarks import machine, report
from benchmarks.relay_pool import SUITES, plan_of, running
from relay.control.client import Client
from relay.control.messages import Method, Plan
from relay.extension import look

_AT_ONCE: Final = 8
_MEDIA: Final = {"rtp-rtp": "", "srtp-rtp": "srtp-rtp", "srtp-srtp": "srtp-srtp"}


def main() -> None:
    options = _options()
    kinds = [f"{path}/{media}" for path in options.relays for media in _MEDIA]
    runs = []
    for repeat in range(options.repeats):
        for kind in kinds:
            report.progress(f"run {len(runs) + 1} of {options.repeats * len(kinds)}: {kind}")
            runs.append({"repeat": repeat, "relay": kind, **_measure(kind, options)})
    parameters = {"calls": options.calls, "asked at once": _AT_ONCE, "repeats": options.repeats}
    report.save("plans", parameters, {"runs": runs}, _page(runs, kinds), options.output)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--relays", type=lambda text: text.split(","), default=None)
    parser.add_argument("--relay-core", type=int, default=min(1, (os.cpu_count() or 1) - 1))
    parser.add_argument("--output", type=Path, default=report.RESULTS)
    options = parser.parse_args()
    if options.relays is None:
        options.relays = ["native", "python"] if look().usable else ["python"]
    if "native" in options.relays and look().profile != "release":
        parser.error(f"expected a release build, got: {look()}")
    return options


def _measure(kind: str, options: argparse.Namespace) -> dict[str, Any]:
    """µs of CPU a call for each step."""
    path, _, media = kind.partition("/")
    with running(path, options.calls) as (pid, (client,)):
        for member in machine.family(pid):
            machine.pin(member, options.relay_core)
        plans = [plan_of(client, call, SUITES[_MEDIA[media]]) for call in range(options.calls)]
        moved = [_moved(plan) for plan in plans]
        each = 1e6 / options.calls
        return {
            "set-up": _cost(pid, lambda: _ask(client, Method.APPLY, _bodies(plans))) * each,
            "update": _cost(pid, lambda: _ask(client, Method.APPLY, _bodies(moved))) * each,
            "removal": _cost(pid, lambda: _ask(client, Method.REMOVE, _names(plans))) * each,
        }


def _moved(plan: Plan) -> Plan:
    """The callee has answered from another port than it rang from."""
    (stream,) = plan.streams
    assert stream.b.remote is not None
    host, port = stream.b.remote
    b = replace(stream.b, remote=(host, port + 20_000), remote_rtcp=(host, port + 20_001))
    return replace(plan, revision=2, streams=[replace(stream, b=b)])


def _bodies(plans: Iterable[Plan]) -> Iterator[object]:
    return (plan.to_body() for plan in plans)


def _names(plans: Iterable[Plan]) -> Iterator[object]:
    return (plan.call for plan in plans)


def _ask(client: Client, method: Method, bodies: Iterator[object]) -> None:
    while some := list(islice(bodies, _AT_ONCE)):
        for identifier in client.send_all(method, some):
            client.answer(identifier)


def _cost(pid: int, step: Callable[[], None]) -> float:
    """CPU seconds of the pool's processes."""
    before = _used(pid)
    step()
    return _used(pid) - before


def _used(pid: int) -> float:
    return sum(machine.cpu_run_s(member) for member in machine.family(pid))


def _page(runs: list[dict[str, Any]], kinds: list[str]) -> str:
    steps = ("set-up", "update", "removal")
    rows = []
    for kind in kinds:
        mine = [run for run in runs if run["relay"] == kind]
        sums = [sum(run[step] for step in steps) for run in mine]
        medians = [report.median(run[step] for run in mine) for step in steps]
        rows.append([kind, len(mine), *medians, report.median(sums), min(sums), max(sums)])
    columns = ["relay", "runs", *(f"{step} µs" for step in steps), "a call µs", "min", "max"]
    return report.table(columns, rows)


if __name__ == "__main__":
    main()
