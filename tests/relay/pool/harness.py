"""Real processes under test: started, asked, killed, and all gone afterwards."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from relay.settings import MediaSettings, RelaySettings

RUN_POOL = Path(__file__).with_name("run_pool.py")
MEDIA = MediaSettings(
    realm="outside", address="127.0.9.1", advertise="127.0.9.1", port_min=21000, port_max=21255
)


def settings(run_dir: Path, **changes: Any) -> RelaySettings:
    values: dict[str, Any] = {"workers": 1, "media": (MEDIA,), "grace_s": 1.0}
    return RelaySettings(run_dir=str(run_dir), **(values | changes))


def eventually(true: Callable[[], bool], what: str, wait_s: float = 5.0) -> float:
    """Wait until it is true; how long that took."""
    begin = time.monotonic()
    while not true():
        assert time.monotonic() - begin < wait_s, f"not within {wait_s} s: {what}"
        time.sleep(0.005)
    return time.monotonic() - begin


class Running:
    """One process of the test, with its lifeline and what it printed."""

    def __init__(
        self,
        arguments: list[str],
        *,
        lifeline: bool = True,
        environment: dict[str, str] | None = None,
        files: int = 0,
    ) -> None:
        self.lifeline = -1
        ready, ready_theirs = os.pipe()
        fds = [ready_theirs]
        command = [sys.executable, "-P", *arguments, "--ready-fd", str(ready_theirs)]
        if lifeline:
            theirs, self.lifeline = os.pipe()
            fds.append(theirs)
            command += ["--lifeline-fd", str(theirs)]
        if files:
            command = ["prlimit", f"--nofile={files}:{files}", *command]
        self.process = subprocess.Popen(
            command,
            pass_fds=fds,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=os.environ | (environment or {}),
        )
        for one in fds:
            os.close(one)
        self._ready = ready

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_ready(self, wait_s: float = 10.0) -> None:
        readable, _, _ = select.select([self._ready], [], [], wait_s)
        data = os.read(self._ready, 64) if readable else b""
        if data != b"ready\n":
            self.process.kill()
            _, printed = self.process.communicate()
            raise AssertionError(f"not ready: {printed.decode()}")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def cut_lifeline(self) -> None:
        os.close(self.lifeline)
        self.lifeline = -1

    def end(self, wait_s: float = 10.0) -> tuple[int, str]:
        """Exit code and output; fails if it does not end by itself."""
        try:
            _, printed = self.process.communicate(timeout=wait_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            _, printed = self.process.communicate()
            raise AssertionError(f"did not end: {printed.decode()}") from None
        return self.process.returncode, printed.decode()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()
        for one in (self.lifeline, self._ready):
            if one >= 0:
                os.close(one)
        self.lifeline = self._ready = -1


class Pools:
    """Pools on one run directory."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.started: list[Running] = []

    def write(self, relay: RelaySettings) -> str:
        path = self.run_dir.parent / "relay.json"
        path.write_text(relay.to_json())
        return str(path)

    def start(self, relay: RelaySettings, *, ready: bool = True, **options: Any) -> Running:
        pool = Running([str(RUN_POOL), "--settings", self.write(relay)], **options)
        self.started.append(pool)
        if ready:
            pool.wait_ready()
        return pool

    def ask(self, slot: int = 0, command: str = "facts", wait_s: float = 2.0) -> dict[str, Any]:
        """What the worker in this slot says, within the time, reconnecting as signalling does."""
        deadline = time.monotonic() + wait_s
        while True:
            with socket.socket(socket.AF_UNIX) as client, suppress(OSError, ValueError):
                client.settimeout(max(0.01, deadline - time.monotonic()))
                client.connect(str(self.run_dir / f"worker-{slot}.sock"))
                client.sendall(command.encode())
                answer = b""
                while not answer.endswith(b"\n"):
                    piece = client.recv(65536)
                    if not piece:
                        break
                    answer += piece
                facts: dict[str, Any] = json.loads(answer)
                return facts
            assert time.monotonic() < deadline, f"no answer from slot {slot}"
            time.sleep(0.002)

    def close(self) -> None:
        for pool in self.started:
            pool.close()
        for pid in processes_of(str(self.run_dir)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def processes_of(run_dir: str) -> list[int]:
    """Processes that hold a Unix socket or a file in this run directory, or wait to."""
    inodes = set()
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if len(fields) > 7 and fields[7].startswith(run_dir):
            inodes.add(f"socket:[{fields[6]}]")
    return [
        pid
        for pid, names in _open_files()
        if any(name in inodes or name.startswith(run_dir) for name in names)
    ]


def children_of(pid: int) -> list[int]:
    """Direct children, dead ones that were not waited for included."""
    try:
        return [int(x) for x in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def bound_udp_ports(address: str) -> set[int]:
    """UDP ports that any process has on this IPv4 address, parked ones included."""
    wanted = "".join(f"{byte:02X}" for byte in reversed(socket.inet_aton(address)))
    ports = set()
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        host, port = line.split()[1].split(":")
        if host == wanted:
            ports.add(int(port, 16))
    return ports


def descriptors_of(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def no_orphans(pids: Iterable[int]) -> Callable[[], bool]:
    wanted = list(pids)
    return lambda: not any(alive(pid) for pid in wanted)


def _open_files() -> Iterable[tuple[int, list[str]]]:
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            names = []
            with suppress(OSError):
                for one in os.listdir(f"/proc/{entry}/fd"):
                    with suppress(OSError):
                        names.append(os.readlink(f"/proc/{entry}/fd/{one}"))
            if names:
                yield int(entry), names


def soft_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
