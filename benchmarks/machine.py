"""What a figure was measured on: processor, kernel, versions, commit, other load."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from sbc import extension

__all__ = ["cpu_run_s", "cpu_ticks", "cpu_time_s", "facts", "family", "pin", "pss_kb"]


def facts() -> dict[str, Any]:
    """Everything that the next reader needs to compare."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M:%S %Z"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": sys.version.split()[0],
        "trio": metadata.version("trio"),
        "msgpack": metadata.version("msgpack"),
        "core": extension.core(),
        "parser": extension.look().parser,
        "commit": _commit(),
        "load_average": os.getloadavg(),
    }


def family(pid: int) -> list[int]:
    """A process, its children, their children, and so on."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(one for child in children for one in family(int(child)))]


def cpu_time_s(pid: int) -> float:
    """User and system time of one process so far, all threads; 0 once it has ended."""
    user, system = cpu_ticks(pid)
    return (user + system) / os.sysconf("SC_CLK_TCK")


def cpu_run_s(pid: int) -> float:
    """The same by the scheduler's clock, finer than ticks; threads that have ended do not count."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def cpu_ticks(pid: int) -> tuple[int, int]:
    """(utime, stime) of `/proc/PID/stat`."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0, 0
    return int(fields[11]), int(fields[12])


def pss_kb(pid: int) -> int:
    """Proportional set size, kB: what a process really adds to the machine's memory."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def pin(pid: int, core: int | None) -> None:
    """Keeps all threads of a process on one core; None lets them be."""
    if core is None:
        return
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
    )
    return done.stdout.strip() or "unknown"
