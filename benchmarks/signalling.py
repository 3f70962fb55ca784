"""What a call costs in signalling: SIPp calls SIPp through a running border.

`python -m benchmarks.signalling` starts a fresh border for each run, keeps the signalling process
on one core and everything else (SIPp, relay workers) on another, and reads CPU time from /proc.
After the ladder: the delay that the border adds, from packet times; then the memory of held calls.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import machine, report
from benchmarks.added_delay import added_delay
from tests.support.border import Border, Shape, until
from tests.support.capture import Capture
from tests.support.sipp import Sipp, SippFigures
from tests.support.turn import turn

SCENARIOS = Path(__file__).parent / "scenarios"
CALLER, CALLED = ("127.0.1.10", 5060), ("127.0.2.10", 5060)
LINGER_S = 34.0
"""64·T1 and a little: by then an established call holds no transaction."""


def main() -> None:
    options = _options()
    results: dict[str, Any] = {"ladder": [], "delay": [], "held": []}
    pages: list[str] = []
    parameters = {
        "call": "100 ms ring, 1 s hold, G.711, no RTP",
        "seconds": options.seconds,
        "repeats": options.repeats,
        "workers": options.workers,
        "signalling core": options.signalling_core,
        "other core": options.other_core,
        "seed": "none: the load is the same in every run",
    }

    def done(page: str) -> None:
        """Each part is saved when it is finished: the next one may not come to its end."""
        pages.append(page)
        report.save("signalling", parameters, results, "\n\n".join(pages), options.output)

    if options.rates:
        results["ladder"] = _ladder(options)
        done(_ladder_page(results["ladder"], options.rates))
    if options.delay_rates:
        results["delay"] = [_delay(rate, options) for rate in options.delay_rates]
        done(_delay_page(results["delay"]))
    if options.held:
        results["held"] = _held(options)
        done(_held_page(results["held"]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", type=_numbers, default=[500, 1000, 1700], help="calls/s")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of one run")
    parser.add_argument("--warm-up", type=float, default=8.0, help="the same load before it, s")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--delay-rates", type=_numbers, default=[50, 850], help="'' leaves it out")
    parser.add_argument("--held", type=_numbers, default=[2000, 8000], help="'' leaves it out")
    parser.add_argument("--workers", type=int, default=4, help="a call takes 4 descriptors in one")
    parser.add_argument("--quarantine", type=float, default=5.0, help="rest of a media port, s")
    parser.add_argument("--signalling-core", type=int, default=min(1, (os.cpu_count() or 1) - 1))
    parser.add_argument("--other-core", type=int, default=0)
    parser.add_argument("--output", type=Path, default=report.RESULTS)
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",") if word]


@contextmanager
def _border(options: argparse.Namespace) -> Iterator[Border]:
    """A fresh border, each process on its core."""
    shape = Shape(
        inside_ports="10000-32767",
        outside_ports="10000-32767",
        workers=options.workers,
        inside_trunk={"media_timeout": "1h"},  # calls without RTP are held for longer than 60 s
        outside_trunk={"media_timeout": "1h"},
        further={
            "relay": {"workers": options.workers, "quarantine": options.quarantine},
            "log": {"level": "warning"},
        },
    )
    with (
        tempfile.TemporaryDirectory(prefix="sbc-bench-") as folder,
        Border(Path(folder), shape) as border,
    ):
        own = set(_signalling(border))
        for pid in border.processes():
            machine.pin(pid, options.signalling_core if pid in own else options.other_core)
        time.sleep(1.0)
        yield border


def _signalling(border: Border) -> list[int]:
    found = border.role("signalling")
    if not found:
        raise RuntimeError(f"no signalling process among {border.processes()}")
    return found


def _cpu(border: Border) -> tuple[float, float]:
    """Seconds used by signalling, and by the workers with their supervisor."""
    own = set(_signalling(border))
    return (
        sum(machine.cpu_time_s(pid) for pid in own),
        sum(machine.cpu_time_s(pid) for pid in border.processes() if pid not in own),
    )


def _called(options: argparse.Namespace, folder: Path) -> Sipp:
    return Sipp(SCENARIOS / "called.xml", folder, CALLED, core=options.other_core, timeout_s=900)


def _caller(
    options: argparse.Namespace,
    border: Border,
    *,
    calls: int,
    rate: int,
    hold_ms: int = 1000,
    port: int = CALLER[1],
) -> Sipp:
    return Sipp(
        SCENARIOS / "caller.xml",
        border.folder,
        (CALLER[0], port),
        remote=(border.shape.inside, 5060),
        calls=calls,
        rate=rate,
        pause_ms=hold_ms,
        core=options.other_core,
        timeout_s=900,
        extra=("-timer_resol", "5"),
    )


# The ladder


def _ladder(options: argparse.Namespace) -> list[dict[str, Any]]:
    runs = []
    for repeat in range(options.repeats):
        for rate in options.rates:
            report.progress(f"repeat {repeat + 1} of {options.repeats}: {rate} calls/s")
            runs.append({"repeat": repeat, **_run(rate, options)})
            report.progress(f"  {_line(runs[-1])}")
    return runs


def _run(rate: int, options: argparse.Namespace) -> dict[str, Any]:
    calls = round(rate * options.seconds)
    with _border(options) as border, _called(options, border.folder) as called:
        time.sleep(0.5)
        if options.warm_up:
            # Until ports come back from their rest, each call binds new ones: that is the start of
            # a border's life, not its cost.
            with _caller(options, border, calls=round(rate * options.warm_up), rate=rate) as caller:
                caller.wait()
        refused = _refused(border.status())  # the longest pass counts from here, too
        before = _cpu(border)
        started = time.monotonic()
        with _caller(options, border, calls=calls, rate=rate) as caller:
            placed = caller.wait()
        took = time.monotonic() - started
        time.sleep(0.3)
        after = _cpu(border)
        taken = called.stop()
        status = border.status()
        workers = border.workers()
    done = max(1, placed.successful)
    return {
        "rate": rate,
        "calls": calls,
        "took_s": took,
        "signalling_ms": (after[0] - before[0]) * 1000 / done,
        "workers_ms": (after[1] - before[1]) * 1000 / done,
        "answered_per_s": placed.successful * rate / calls,
        "refused": _refused(status) - refused,
        "failed": placed.failed + taken.failed,
        "not_placed": calls - placed.successful - placed.failed,
        "retransmissions": _retransmissions(placed, taken, status),
        "reasons": dict(Counter(placed.reasons) + Counter(taken.reasons)),
        "loop_max_cpu_ms": status.get("loop_max_cpu_ms"),
        "loop_max_wall_ms": status.get("loop_max_wall_ms"),
        "worker_pass_ms": max((worker.longest_pass_ms for worker in workers), default=None),
        "status": status,
    }


def _refused(status: dict[str, Any]) -> int:
    """Calls that the border has answered with 503 so far, because it had too much to do."""
    return int(status["refusals"].get("503", 0))


def _retransmissions(placed: SippFigures, taken: SippFigures, status: dict[str, Any]) -> int:
    """What either SIPp sent again, and what the border did."""
    counters = status.get("counters", {})
    own = sum(
        int(value) for key, value in counters.items() if "retransm" in key and "absorbed" not in key
    )
    return placed.retransmissions + taken.retransmissions + own


def _line(run: dict[str, Any]) -> str:
    return (
        f"signalling {run['signalling_ms']:.3f} ms, workers {run['workers_ms']:.3f} ms a call,"
        f" {run['failed']} failed, {run['retransmissions']} retransmitted, {run['took_s']:.1f} s"
    )


def _ladder_page(runs: list[dict[str, Any]], rates: list[int]) -> str:
    columns = ["calls/s", "runs", "signalling ms/call", "min", "max", "workers ms/call"]
    columns += [
        "answered/s",
        "refused",
        "failed",
        "retransmitted %",
        "clean",
        "longest pass CPU ms",
        "wall ms",
        "worker pass ms",
    ]
    rows = []
    for rate in rates:
        mine = [run for run in runs if run["rate"] == rate]
        costs = [run["signalling_ms"] for run in mine]
        shares = [100 * run["retransmissions"] / run["calls"] for run in mine]
        clean = [
            run["failed"] == run["not_placed"] == 0 and share <= 0.1
            for run, share in zip(mine, shares, strict=True)
        ]
        rows.append(
            [
                rate,
                len(mine),
                report.median(costs),
                min(costs),
                max(costs),
                report.median(run["workers_ms"] for run in mine),
                report.median(run["answered_per_s"] for run in mine),
                sum(run["refused"] for run in mine),
                sum(run["failed"] for run in mine),
                report.median(shares),
                f"{sum(clean)} of {len(clean)}",
                *(
                    report.median(run[key] for run in mine)
                    for key in ("loop_max_cpu_ms", "loop_max_wall_ms", "worker_pass_ms")
                ),
            ]
        )
    return "## Cost of a call\n\n" + report.table(columns, rows)


# The delay


def _delay(rate: int, options: argparse.Namespace) -> dict[str, Any]:
    """INVITE in to INVITE out, and the ways back, from a capture on loopback."""
    report.progress(f"added delay at {rate} calls/s")
    with (
        _border(options) as border,
        _called(options, border.folder) as called,
        Capture(border.folder / "delay.pcap") as capture,
    ):
        time.sleep(0.5)
        with _caller(options, border, calls=rate * 10, rate=rate) as caller:
            placed = caller.wait()
        called.stop()
        missing = capture.stop()
        found = added_delay(capture.packets(), border.shape.inside, border.shape.outside)
    return {"rate": rate, "failed": placed.failed, "packets_missing": missing, **found}


def _delay_page(runs: list[dict[str, Any]]) -> str:
    columns = ["calls/s", "calls", "INVITE p50 ms", "p99", "180 p50", "p99", "200 p50", "p99"]
    columns += ["INVITE→200 added p50", "p99"]
    rows = [
        [
            run["rate"],
            run["calls"],
            *(
                run[hop][share]
                for hop in ("invite", "ringing", "ok", "set_up")
                for share in ("p50", "p99")
            ),
        ]
        for run in runs
    ]
    return "## Added delay\n\n" + report.table(columns, rows)


# Held calls


def _held(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Memory at each number of held calls, their transactions ended; the last with traffic on."""
    steps: list[dict[str, Any]] = []
    with _border(options) as border, _called(options, border.folder) as _:
        callers: list[Sipp] = []
        try:
            steps.append(_memory(border, 0))
            for index, held in enumerate(options.held):
                report.progress(f"holding {held} calls")
                more = held - steps[-1]["held"]
                callers.append(
                    _caller(
                        options, border, calls=more, rate=250, hold_ms=800_000, port=5061 + index
                    )
                )
                until(
                    lambda wanted=held: border.status()["calls"] >= wanted,  # type: ignore[misc]
                    more / 250 + 30,
                    f"{held} calls, SIPp says {callers[-1].error_text(500)}",
                    pause_s=1.0,
                )
                time.sleep(LINGER_S)
                steps.append(_memory(border, held))
            report.progress("100 calls/s more, the others held")
            with _caller(options, border, calls=1000, rate=100) as extra:
                placed = extra.wait()
            status = border.status()
            steps[-1]["loop_max_cpu_ms"] = status.get("loop_max_cpu_ms")
            steps[-1]["loop_max_wall_ms"] = status.get("loop_max_wall_ms")
            steps[-1]["failed"] = placed.failed
        finally:
            for caller in callers:
                caller.__exit__(None, None, None)
            for pid in border.processes():  # nobody is left to answer 8,000 BYEs
                border.kill(pid)
    return steps


def _memory(border: Border, held: int) -> dict[str, Any]:
    own = set(_signalling(border))
    workers = {worker.pid for worker in border.workers()}
    return {
        "held": held,
        "signalling_kb": sum(machine.pss_kb(pid) for pid in own),
        "workers_kb": sum(machine.pss_kb(pid) for pid in workers),
        "others_kb": sum(machine.pss_kb(pid) for pid in set(border.processes()) - own - workers),
        "transactions": border.status().get("transactions"),
    }


def _held_page(steps: list[dict[str, Any]]) -> str:
    columns = ["held calls", "signalling kB", "slope kB/call", "workers kB", "slope kB/call"]
    columns += ["others kB", "longest pass CPU ms", "wall ms"]
    rows = []
    for before, step in zip([None, *steps], steps, strict=False):
        more = step["held"] - before["held"] if before else 0
        slopes = [
            (step[key] - before[key]) / more if before and more else None
            for key in ("signalling_kb", "workers_kb")
        ]
        rows.append(
            [
                step["held"],
                step["signalling_kb"],
                slopes[0],
                step["workers_kb"],
                slopes[1],
                step["others_kb"],
                step.get("loop_max_cpu_ms"),
                step.get("loop_max_wall_ms"),
            ]
        )
    return "## Held calls\n\n" + report.table(columns, rows)


if __name__ == "__main__":
    with turn():
        main()
