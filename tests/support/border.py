"""A whole border as processes: started from a file, asked by commands, killed and ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from relay.control.client import Client
from relay.control.messages import WorkerStats
from sbc.cli.admin_client import AdminClient, BorderAway

__all__ = ["Border", "Shape", "cpu_seconds", "pss_kb", "until"]

SBC = Path(sys.executable).parent / "sbc"
_MARK = "SBC_TESTED_IN"
_FAULTS = ("Traceback (most recent call last)", "call.crashed", "Warning: ", "Exception ignored")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the border under test looks like: two realms, a trunk in each, a route each way."""

    inside: str = "127.0.1.1"
    outside: str = "127.0.2.1"
    inside_peer: str = "127.0.1.10:5060"
    outside_peer: str = "127.0.2.10:5060"
    inside_sources: tuple[str, ...] = ("127.0.1.0/24",)
    outside_sources: tuple[str, ...] = ("127.0.2.0/24",)
    inside_ports: str = "12000-13999"
    outside_ports: str = "14000-15999"
    workers: int = 1
    inside_trunk: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of the trunk `pbx`."""
    outside_trunk: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of the trunk `carrier`."""
    further: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of the file."""

    def document(self, folder: Path) -> dict[str, Any]:
        """The configuration file, as plain values."""
        return {
            "run_dir": str(folder / "run"),
            "state_dir": str(folder / "state"),
            "realms": {
                "inside": _realm(self.inside, self.inside_ports),
                "outside": _realm(self.outside, self.outside_ports),
            },
            "trunks": {
                "pbx": {
                    "realm": "inside",
                    "peers": [self.inside_peer],
                    "sources": list(self.inside_sources),
                    **self.inside_trunk,
                },
                "carrier": {
                    "realm": "outside",
                    "peers": [self.outside_peer],
                    "sources": list(self.outside_sources),
                    **self.outside_trunk,
                },
            },
            "routes": [{"from": "pbx", "to": "carrier"}, {"from": "carrier", "to": "pbx"}],
            "relay": {"workers": self.workers},
            **self.further,
        }


def _realm(host: str, ports: str) -> dict[str, Any]:
    return {
        "listen": [f"udp:{host}:5060", f"tcp:{host}:5060"],
        "media": {"address": host, "ports": ports},
    }


class Border:
    """A running border. A context manager that leaves no process behind.

    Args:
        folder: its configuration, sockets, state and log.
        shape: the two sides.
        config: a file that is there already; then `shape` only tells the addresses.
        environment: further variables.
        prefix: what to run it under (`taskset -c 0`, `ip netns exec x`).
    """

    def __init__(
        self,
        folder: Path,
        shape: Shape | None = None,
        *,
        config: Path | None = None,
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.shape = shape or Shape()
        folder.mkdir(parents=True, exist_ok=True)
        self.config = config or folder / "sbc.yaml"
        if config is None:  # JSON is YAML 1.2, and this file is nobody's to read
            self.config.write_text(json.dumps(self.shape.document(folder), indent=1))
        self._environment = {**os.environ, **(environment or {}), _MARK: str(folder)}
        self._prefix = list(prefix)
        self.log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Border:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        left = self.stop()
        if kind is None:
            assert not left, f"it did not end by itself: {left}\n{self.log_text()}"
            faults = self.faults()
            assert not faults, "the border met faults of its own:\n" + "\n".join(faults)

    @property
    def run_dir(self) -> str:
        return str(self.folder / "run")

    @property
    def pid(self) -> int:
        """The launcher's process id."""
        assert self._process is not None, "the border was never started"
        return self._process.pid

    def start(self, wait_s: float = 20) -> None:
        """Starts it and returns once it answers on both sides. Raises RuntimeError with its log."""
        self._process = self._run()
        self._await_ready(wait_s)

    def rerun(self, wait_s: float = 40) -> None:
        """`sbc run` after something of it died: a new border, or word that one runs already."""
        before, self._process = self._process, self._run()
        if before is not None and before.poll() is None:
            after, self._process = self._process, before
            if after.wait(wait_s) == 0:
                raise RuntimeError("a second border ended well beside the first")
        self._await_ready(wait_s)

    def _run(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*self._prefix, str(SBC), "run", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                cwd=self.folder,
            )

    def _await_ready(self, wait_s: float) -> None:
        deadline = time.monotonic() + wait_s
        while not self.ready():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"the border did not start:\n{self.log_text()}")
            time.sleep(0.1)

    def ready(self) -> bool:
        """Whether it answers SIP on both sides and has a relay worker that runs."""
        hosts = (self.shape.inside, self.shape.outside)
        return (
            len(self.workers()) >= self.shape.workers
            and all(_answers(host) for host in hosts)
            and self._is_asked()
        )

    def _is_asked(self) -> bool:
        """Whether it takes commands; another border on its addresses would not take them here."""
        try:
            return bool(self.status())
        except BorderAway:
            return False

    def stop(self, wait_s: float = 15) -> list[str]:
        """SIGTERM, as an operator would. What had to be killed instead, told by its role."""
        process = self._process
        if process is None:
            return []
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(wait_s)
        with suppress(TimeoutError):
            until(lambda: not self.processes(), 1.0, "every process of it gone")
        self._process = None
        left = {pid: _role(pid) or "process" for pid in self.processes()}
        for pid in left:
            _kill(pid)
        process.wait()
        return list(left.values())

    def kill(self, pid: int) -> None:
        """kill -9."""
        os.kill(pid, signal.SIGKILL)
        if self._process is not None and pid == self._process.pid:
            self._process.wait()

    def processes(self) -> list[int]:
        """Every process of this border, orphans too: all inherit a variable that names it."""
        mark = f"{_MARK}={self.folder}".encode()
        return [pid for pid, variables in _environments() if mark in variables]

    def role(self, name: str) -> list[int]:
        """Process ids of one role: `launcher`, `signalling`, `supervisor`, `worker`."""
        return [pid for pid in self.processes() if _role(pid) == name]

    def run(self, *arguments: str, timeout_s: float = 15) -> subprocess.CompletedProcess[str]:
        """One `sbc` command beside it, with its configuration."""
        return subprocess.run(
            [str(SBC), *arguments, "--config", str(self.config)],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env=self._environment,
            cwd=self.folder,
        )

    def query(self, *arguments: str) -> Any:
        """What a query command says with `--json`. Raises RuntimeError with its complaint."""
        done = self.run(*arguments, "--json")
        if done.returncode != 0:
            raise RuntimeError(f"sbc {' '.join(arguments)}: {done.stderr or done.stdout}")
        return json.loads(done.stdout)

    def status(self) -> dict[str, Any]:
        """The signalling process as a whole. Raises BorderAway if it does not run."""
        with AdminClient(self.run_dir) as client:
            return client.status()

    def calls(self) -> list[dict[str, Any]]:
        """Every call that lives in signalling."""
        with AdminClient(self.run_dir) as client:
            return client.calls()

    def workers(self) -> list[WorkerStats]:
        """The relay workers that run, by slot."""
        found = []
        for path in sorted(Path(self.run_dir).rglob("worker-*.sock")):
            try:
                with Client(str(path), timeout_s=2.0) as client:
                    client.hello(role="query")
                    found.append(client.stats())
            except (OSError, TimeoutError):
                continue  # its process is away, or not running yet
        return found

    def ports(self, state: str) -> int:
        """Port pairs in one state (`free`, `leased`, `in_use`, `quarantined`), over all workers."""
        return sum(one.get(state, 0) for worker in self.workers() for one in worker.ports.values())

    def relayed_calls(self) -> int:
        """Calls that the workers carry."""
        return sum(worker.calls for worker in self.workers())

    def cdrs(self) -> list[dict[str, Any]]:
        """Every call detail record so far."""
        return [
            json.loads(line)
            for path in sorted((self.folder / "state").rglob("*cdr*"))
            for line in path.read_text().splitlines()
        ]

    def faults(self) -> list[str]:
        """What its log says of faults of its own: no peer and no death may bring one out."""
        if not self.log.exists():
            return []
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if any(sign in line for sign in _FAULTS)]

    def log_text(self, limit: int = 6000) -> str:
        return self.log.read_text(errors="replace")[-limit:] if self.log.exists() else ""


def until(
    wanted: Callable[[], object], timeout_s: float, what: str, pause_s: float = 0.05
) -> float:
    """Seconds until `wanted()` was true. Raises TimeoutError, naming `what`."""
    started = time.monotonic()
    while not wanted():
        if time.monotonic() - started > timeout_s:
            raise TimeoutError(f"not within {timeout_s} s: {what}")
        time.sleep(pause_s)
    return time.monotonic() - started


def cpu_seconds(pid: int) -> float:
    """User and system time of one process so far; 0 once it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pss_kb(pid: int) -> int:
    """Proportional set size: what a process really adds to the machine's memory."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def _answers(host: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        sock.settimeout(0.3)
        port = sock.getsockname()[1]
        lines = (
            f"OPTIONS sip:{host}:5060 SIP/2.0",
            f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bKready",
            f"From: <sip:ready@{host}>;tag=ready",
            f"To: <sip:{host}>",
            f"Call-ID: ready-{port}@{host}",
            "CSeq: 1 OPTIONS",
            "Max-Forwards: 70",
            "Content-Length: 0",
        )
        try:
            sock.sendto("\r\n".join((*lines, "", "")).encode(), (host, 5060))
            return sock.recv(65_535).startswith(b"SIP/2.0 ")
        except OSError:
            return False


def _environments() -> Iterator[tuple[int, list[bytes]]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                yield int(entry.name), (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue


def _role(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    if b"worker" in words:
        return "worker"
    if b"relay" in words and b"pool" in words:
        return "supervisor"
    if b"sbc.runtime" in words:
        return "signalling"
    return "launcher" if b"sbc.launcher" in words else ""


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
