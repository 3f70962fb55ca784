"""What TLS costs in signalling: new handshakes, and calls over connections that are held.

`python -m benchmarks.tls` starts a fresh border for each run, keeps the signalling process on one
core and everything else (the load of `benchmarks.tls_load`, relay workers) on another, and reads
CPU time from /proc. Handshakes are full ones, with ECDSA P-256 and RSA-2048 apart; the load makes
as many as it can, so the limit of one core is told by the CPU that each costs, too.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from benchmarks import machine, report
from tests.support.border import Border, Shape
from tests.support.certificates import Authority, Issued
from tests.support.turn import turn

Case = TypeVar("Case", str, int)

_ROOT = Path(__file__).parents[1]
KINDS = {"ECDSA P-256": 0, "RSA-2048": 2048}


def main() -> None:
    options = _options()
    results: dict[str, Any] = {"handshakes": [], "calls": []}
    pages: list[str] = []
    parameters = {
        "call": "answered at once, held 1 s, G.711, no RTP, TLS on both legs",
        "seconds": options.seconds,
        "repeats": options.repeats,
        "connections": options.connections,
        "signalling core": options.signalling_core,
        "other core": options.other_core,
    }

    def done(page: str) -> None:
        """Each part is saved when it is finished."""
        pages.append(page)
        report.save("tls", parameters, results, "\n\n".join(pages), options.output)

    if not options.no_handshakes:
        results["handshakes"] = _every(options, KINDS, _handshakes)
        done(_handshake_page(results["handshakes"]))
    if options.rates:
        results["calls"] = _every(options, options.rates, _calls)
        done(_call_page(results["calls"], options.rates))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", type=_numbers, default=[500, 1000], help="calls/s; '' for none")
    parser.add_argument("--no-handshakes", action="store_true")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of one run")
    parser.add_argument("--warm-up", type=float, default=3.0, help="the same load before it, s")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--connections", type=int, default=8, help="held by the caller")
    parser.add_argument("--signalling-core", type=int, default=min(1, (os.cpu_count() or 1) - 1))
    parser.add_argument("--other-core", type=int, default=0)
    parser.add_argument("--output", type=Path, default=report.RESULTS)
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",") if word]


def _every(
    options: argparse.Namespace,
    cases: Iterable[Case],
    run: Callable[[Case, argparse.Namespace], dict[str, Any]],
) -> list[dict[str, Any]]:
    runs = []
    for repeat in range(options.repeats):
        for case in cases:
            report.progress(f"repeat {repeat + 1} of {options.repeats}: {case}")
            runs.append({"repeat": repeat, "case": case, **run(case, options)})
            told = {key: value for key, value in runs[-1].items() if key != "status"}
            report.progress(f"  {told}")
    return runs


@contextmanager
def _border(options: argparse.Namespace, rsa_bits: int = 0) -> Iterator[tuple[Border, Issued]]:
    """A fresh border that speaks TLS on both sides, and a certificate for the called party."""
    with tempfile.TemporaryDirectory(prefix="sbc-bench-") as name:
        folder = Path(name)
        authority = Authority(folder / "certificates")
        shown = authority.issue("border", "sbc.example", rsa_bits=rsa_bits)
        called = authority.issue("called", addresses=("127.0.2.10",), rsa_bits=rsa_bits)
        shape = Shape(inside_ports="10000-32767", outside_ports="10000-32767", workers=4)
        document = shape.document(folder)
        for realm, host in (("inside", shape.inside), ("outside", shape.outside)):
            document["realms"][realm]["listen"].append(f"tls:{host}:5061")
            document["realms"][realm]["tls"] = {"certificate": shown.certificate, "key": shown.key}
        for trunk, peer in (("pbx", "127.0.1.10"), ("carrier", "127.0.2.10")):
            tls = {"transport": "tls", "peers": peer, "tls": {"ca": authority.path}}
            document["trunks"][trunk] |= tls | {"media_timeout": "1h"}
        document["log"] = {"level": "warning"}
        config = folder / "sbc.yaml"
        config.write_text(json.dumps(document))
        with Border(folder, shape, config=config) as border:
            own = set(border.role("signalling"))
            for pid in border.processes():
                machine.pin(pid, options.signalling_core if pid in own else options.other_core)
            time.sleep(1.0)
            yield border, called


def _load(options: argparse.Namespace, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.tls_load", *arguments]
    return subprocess.Popen(
        ["taskset", "-c", str(options.other_core), *command],
        stdout=subprocess.PIPE,
        text=True,
        cwd=_ROOT,
    )


def _told(load: subprocess.Popen[str]) -> dict[str, Any]:
    """What it prints at its end."""
    text, _ = load.communicate(timeout=120)
    result: dict[str, Any] = json.loads(text)
    return result


def _cpu(border: Border) -> float:
    return sum(machine.cpu_time_s(pid) for pid in border.role("signalling"))


def _handshakes(kind: str, options: argparse.Namespace) -> dict[str, Any]:
    with _border(options, KINDS[kind]) as (border, _):
        if options.warm_up:
            _told(_load(options, "handshakes", "--seconds", str(options.warm_up)))
        before = _cpu(border)
        told = _told(_load(options, "handshakes", "--seconds", str(options.seconds)))
        used = _cpu(border) - before
        counters = border.status()["streams"]
    return {
        **told,
        "per_s": told["done"] / told["took_s"],
        "signalling_ms": 1000 * used / max(1, told["done"]),
        "busy": used / told["took_s"],
        "load_busy": told["load_cpu_s"] / told["took_s"],
        "status": counters,
    }


def _calls(rate: int, options: argparse.Namespace) -> dict[str, Any]:
    with _border(options) as (border, issued):
        files = ("--certificate", issued.certificate, "--key", issued.key)
        called = _load(options, "called", *files)
        try:
            time.sleep(0.5)
            caller = ("caller", "--rate", str(rate), "--connections", str(options.connections))
            if options.warm_up:
                _told(_load(options, *caller, "--seconds", str(options.warm_up)))
            border.status()  # the longest pass counts from here
            before = _cpu(border)
            told = _told(_load(options, *caller, "--seconds", str(options.seconds)))
            used = _cpu(border) - before
            status = border.status()
        finally:
            called.send_signal(signal.SIGTERM)
            answered = _told(called)
    return {
        **told,
        "called": answered,
        "load_busy": (told["load_cpu_s"] + answered["load_cpu_s"]) / told["took_s"],
        "signalling_ms": 1000 * used / max(1, told["answered"]),
        "loop_max_wall_ms": status.get("loop_max_wall_ms"),
        "status": status,
    }


def _handshake_page(runs: list[dict[str, Any]]) -> str:
    columns = ["key", "runs", "handshakes/s", "min", "max", "signalling ms each", "core busy %"]
    columns += ["limit of a core /s", "p50 ms", "p99 ms", "load's core %", "failed"]
    rows = []
    for kind in KINDS:
        mine = [run for run in runs if run["case"] == kind]
        cost = report.median(run["signalling_ms"] for run in mine)
        busy = report.median(100 * run["busy"] for run in mine)
        rows.append(
            [
                kind,
                len(mine),
                report.median(run["per_s"] for run in mine),
                min(run["per_s"] for run in mine),
                max(run["per_s"] for run in mine),
                cost,
                busy,
                1000 / cost if cost else None,
                report.median(run["p50_ms"] for run in mine),
                report.median(run["p99_ms"] for run in mine),
                report.median(100 * run["load_busy"] for run in mine),
                sum(run["failed"] for run in mine),
            ]
        )
    return "## New handshakes\n\n" + report.table(columns, rows)


def _call_page(runs: list[dict[str, Any]], rates: list[int]) -> str:
    columns = ["calls/s", "runs", "signalling ms/call", "min", "max", "INVITE→200 p50 ms", "p99"]
    columns += ["load's core %", "failed", "longest pass wall ms"]
    rows = []
    for rate in rates:
        mine = [run for run in runs if run["case"] == rate]
        costs = [run["signalling_ms"] for run in mine]
        rows.append(
            [
                rate,
                len(mine),
                report.median(costs),
                min(costs),
                max(costs),
                report.median(run["p50_ms"] for run in mine),
                report.median(run["p99_ms"] for run in mine),
                report.median(100 * run["load_busy"] for run in mine),
                sum(run["failed"] for run in mine),
                report.median(run["loop_max_wall_ms"] for run in mine),
            ]
        )
    return "## Calls over held connections\n\n" + report.table(columns, rows)


if __name__ == "__main__":
    with turn():
        main()
