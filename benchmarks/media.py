"""What relaying a packet costs: N calls at 50 packets/s each way, every packet verified.

`python -m benchmarks.media` runs the relay pool exactly as the border does (supervisor, workers,
control socket), pinned to one core, and the generator of `rtp_load` on another. Interleaved with
it runs `floor`, a bare receive-and-send loop in Python: what is left to win. rtpengine joins
where it is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import machine, report
from benchmarks.relay_pool import FIRST_PORT, HOSTS, OURS, SUITES, plan_of, running
from benchmarks.rtp_load import LoadPlan, master_key
from relay.extension import look
from tests.support.turn import turn

Targets = list[tuple[str, int]]


def main() -> None:
    options = _options()
    runs: list[dict[str, Any]] = []
    total = options.repeats * len(options.calls) * len(options.relays)
    for repeat in range(options.repeats):
        for calls in options.calls:
            for name in options.relays:
                report.progress(f"run {len(runs) + 1} of {total}: {name}, {calls} calls")
                runs.append({"repeat": repeat, **_measure(name, calls, options)})
    parameters = {
        "calls": options.calls,
        "seconds": options.seconds,
        "repeats": options.repeats,
        "relay core": options.relay_core,
        "generator core": options.generator_core,
        "workers": options.workers,
        "seed": "none: the load is the same in every run",
    }
    report.save(options.name, parameters, {"runs": runs}, _page(runs, options), options.output)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=_numbers, default=[10, 100, 500], help="10,100,500")
    parser.add_argument("--seconds", type=float, default=5.0, help="counted window of one run")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--relays", type=_words, default=None, help="native,native/srtp-srtp,python,floor,rtpengine"
    )
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--relay-core", type=int, default=min(1, (os.cpu_count() or 1) - 1))
    parser.add_argument("--generator-core", type=int, default=0)
    parser.add_argument("--output", type=Path, default=report.RESULTS)
    parser.add_argument("--name", default="media", help="of the files in the output folder")
    options = parser.parse_args()
    if options.relays is None:
        options.relays = ["python", "floor"]
        if look().usable:
            options.relays = ["native", "native/srtp-rtp", "native/srtp-srtp", *options.relays]
        if shutil.which("rtpengine"):
            options.relays += [name for name in _RELAYS if name.startswith("rtpengine")]
    if (
        any("native" in name or "srtp" in name for name in options.relays)
        and look().profile != "release"
    ):
        parser.error(f"expected a release build, got: {look()}")
    return options


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def _words(text: str) -> list[str]:
    return text.split(",")


def _measure(name: str, calls: int, options: argparse.Namespace) -> dict[str, Any]:
    """One relay, one load: a fresh relay each time."""
    suites = SUITES[name.partition("/")[2]]
    with _RELAYS[name](calls, options) as (pid, targets, keys):
        members = machine.family(pid)
        for member in members:
            machine.pin(member, options.relay_core)
        plan = LoadPlan(
            HOSTS, FIRST_PORT, targets, options.seconds, suites=suites, received_keys=keys
        )
        idle_kb = sum(machine.pss_kb(member) for member in members)
        figures, user, system = _load(plan, pid, options.generator_core)
        busy_kb = sum(machine.pss_kb(member) for member in machine.family(pid))
    relayed = figures["received"]
    each = 1e6 / relayed if relayed else float("nan")
    return {
        "relay": name,
        "calls": calls,
        "us_per_packet": (user + system) * each,
        "user_us": user * each,
        "system_us": system * each,
        "packets_per_s": relayed / (figures["window"][1] - figures["window"][0]),
        "pss_kb": idle_kb,
        "pss_growth_kb": busy_kb - idle_kb,
        **figures,
    }


def _load(plan: LoadPlan, pid: int, core: int) -> tuple[dict[str, Any], float, float]:
    """Runs the generator; its figures and the relay's user and system seconds in its window."""
    load = subprocess.Popen(
        ["taskset", "-c", str(core), sys.executable, "-P", "-m", "benchmarks.rtp_load"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert load.stdin is not None
    assert load.stdout is not None
    with load:
        json.dump(asdict(plan), load.stdin)
        load.stdin.close()
        _await(load.stdout, "open")
        before = _cpu(pid)
        _await(load.stdout, "close")
        after = _cpu(pid)
        figures: dict[str, Any] = json.loads(load.stdout.read())
    return figures, after[0] - before[0], after[1] - before[1]


def _await(stream: Any, word: str) -> None:  # noqa: ANN401 (a pipe of text)
    said = stream.readline().strip()
    if said != word:
        raise RuntimeError(f"the generator said {said!r}, expected {word!r}")


def _cpu(pid: int) -> tuple[float, float]:
    ticks = [machine.cpu_ticks(member) for member in machine.family(pid)]
    second = os.sysconf("SC_CLK_TCK")
    return sum(one[0] for one in ticks) / second, sum(one[1] for one in ticks) / second


@contextmanager
def _pool(
    fast_path: str, media: str, calls: int, options: argparse.Namespace
) -> Iterator[tuple[int, Targets, list[str]]]:
    """The relay pool of this project, driven over its control sockets."""
    with running(fast_path, calls, options.workers) as (pid, clients):
        targets: Targets = []
        for call in range(calls):
            client = clients[call % len(clients)]
            plan = plan_of(client, call, SUITES[media])
            client.apply(plan)
            targets += [(end.address, end.port) for end in (plan.streams[0].a, plan.streams[0].b)]
        yield pid, targets, []


@contextmanager
def _floor(calls: int, options: argparse.Namespace) -> Iterator[tuple[int, Targets, list[str]]]:
    """The bare loop of `floor_relay`."""
    pairs = [
        [
            (ours, 12_000 + 2 * call, (theirs, FIRST_PORT + 2 * call))
            for ours, theirs in zip(OURS, HOSTS, strict=True)
        ]
        for call in range(calls)
    ]
    relay = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.floor_relay"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert relay.stdin is not None
    assert relay.stdout is not None
    with relay:
        relay.stdin.write(json.dumps(pairs) + "\n")
        relay.stdin.close()
        relay.stdout.readline()
        try:
            yield relay.pid, [(end[0], end[1]) for pair in pairs for end in pair], []
        finally:
            relay.terminate()


@contextmanager
def _rtpengine(
    media: str, calls: int, options: argparse.Namespace
) -> Iterator[tuple[int, Targets, list[str]]]:
    """rtpengine in user space, one thread, told by its `ng` protocol (bencode over UDP)."""
    command = [
        "rtpengine",
        "--config-file=none",
        "--table=-1",
        "--interface=127.0.0.1",
        "--listen-ng=127.0.0.1:12230",
        "--port-min=12000",
        "--port-max=31999",
        "--foreground",
        "--log-stderr",
        "--log-level=3",
        "--endpoint-learning=immediate",
        "--num-threads=1",
    ]
    relay = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        time.sleep(1.5)
        made = [_ng_call(call, SUITES[media]) for call in range(calls)]
        keys = [key for _, both in made for key in both]
        targets = [target for both, _ in made for target in both]
        yield relay.pid, targets, keys if any(keys) else []
    finally:
        relay.terminate()
        relay.wait(10)


def _ng_call(call: int, suites: tuple[str, str]) -> tuple[Targets, list[str]]:
    """One call of rtpengine: where each end sends to, and the key of what it is sent."""
    about = {"call-id": f"c{call}", "from-tag": "a"}
    profile = {"transport-protocol": "RTP/SAVP" if suites[1] else "RTP/AVP"}
    offered = _ng({"command": "offer", "sdp": _sdp(0, call, suites[0], 1), **about, **profile})
    tag, called_key = _crypto(offered, suites[1])
    answer = _sdp(1, call, suites[1], tag)
    answered = _ng({"command": "answer", "sdp": answer, "to-tag": "b", **about})
    _, caller_key = _crypto(answered, suites[0])
    # What the offer becomes is what the called side sends to, and the reverse.
    targets = [("127.0.0.1", _audio_port(answered)), ("127.0.0.1", _audio_port(offered))]
    return targets, [caller_key, called_key]


def _sdp(side: int, call: int, suite: str, tag: int) -> str:
    text = (
        f"v=0\r\no=- 1 1 IN IP4 {HOSTS[side]}\r\ns=-\r\nc=IN IP4 {HOSTS[side]}\r\nt=0 0\r\n"
        f"m=audio {FIRST_PORT + 2 * call} RTP/{'SAVP' if suite else 'AVP'} 0\r\n"
    )
    if suite:
        key = b64encode(master_key(suite, 2 * call + side, sent=True)).decode()
        text += f"a=crypto:{tag} {suite} inline:{key}\r\n"
    return text


def _crypto(reply: bytes, suite: str) -> tuple[int, str]:
    """Tag and key, in hex, of the line of this suite that rtpengine has written."""
    if not suite:
        return 1, ""
    match = re.search(rf"a=crypto:([0-9]+) {suite} inline:([A-Za-z0-9+/]+)", reply.decode())
    assert match is not None, f"no crypto line of {suite} in {reply!r}"
    bare = match[2]
    return int(match[1]), b64decode(bare + "=" * (-len(bare) % 4)).hex()


def _audio_port(reply: bytes) -> int:
    return int(reply.partition(b"m=audio ")[2].split()[0])


def _ng(request: dict[str, str]) -> bytes:
    """One exchange with rtpengine."""
    items = (f"{len(key)}:{key}{len(value)}:{value}" for key, value in sorted(request.items()))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        sock.sendto(f"{time.monotonic_ns()} d{''.join(items)}e".encode(), ("127.0.0.1", 12230))
        return sock.recv(65_535)


_RELAYS: dict[str, Callable[..., Any]] = {
    **{
        f"{path}/{media}".rstrip("/"): partial(_pool, path, media)
        for path in ("native", "python")
        for media in SUITES
    },
    "floor": _floor,
    **{f"rtpengine/{media}".rstrip("/"): partial(_rtpengine, media) for media in SUITES},
}


def _page(runs: list[dict[str, Any]], options: argparse.Namespace) -> str:
    columns = ["relay", "calls", "runs", "pps", "µs/packet", "min", "max", "user", "system"]
    columns += ["p50 ms", "p99 ms", "max ms", "lost %", "wrong", "disordered", "generator CPU %"]
    rows = []
    for calls in options.calls:
        for name in options.relays:
            mine = [run for run in runs if run["relay"] == name and run["calls"] == calls]
            costs = [run["us_per_packet"] for run in mine]
            rows.append(
                [
                    name,
                    calls,
                    len(mine),
                    _median(mine, "packets_per_s"),
                    report.median(costs),
                    min(costs),
                    max(costs),
                    _median(mine, "user_us"),
                    _median(mine, "system_us"),
                    *(
                        report.median(run["delay_us"].get(key, 0) / 1000 for run in mine)
                        for key in ("p50", "p99", "max")
                    ),
                    report.median(100 * run["lost"] / run["sent"] for run in mine),
                    sum(run["wrong"] + run["strangers"] for run in mine),
                    sum(run["disordered"] for run in mine),
                    report.median(
                        100 * run["own_cpu_s"] / (run["window"][1] - run["window"][0])
                        for run in mine
                    ),
                ]
            )
    return report.table(columns, rows)


def _median(runs: list[dict[str, Any]], key: str) -> float | None:
    return report.median(run[key] for run in runs)


if __name__ == "__main__":
    with turn():
        main()
