"""The programs that a launcher looks after: what it knows of each, and how it finds and ends one.

Standard library only.
"""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from relay.control import lifeline
from relay.control.process import Process
from relay.control.run_directory import holder

__all__ = ["Part", "end", "find", "reason"]

_WAIT_S: Final = 8.0
"""For a pool that is coming up by itself, or on its way out."""
_KILLED_S: Final = 1.0


@dataclass(slots=True, eq=False)
class Part:
    """One of the two programs."""

    name: str
    arguments: tuple[str, ...]
    socket_path: str
    lock_path: str
    """What it holds while it runs; empty for none."""
    settings_hash: str
    drain_s: float
    process: Process | None = None
    since: float = 0.0
    ready_fd: int = -1
    ready: bool = False
    independent: bool = False
    """Somebody else started it and looks after it: we use it and do not end it."""
    told: str = ""
    """What it said with its readiness: where it listens."""
    tried: bool = False
    """It has been ready, or has died another way than by giving up: it is worth starting again."""
    quick_deaths: int = 0
    start_at: float | None = None
    """When to start it again."""
    kill_at: float | None = None
    """When it has had its time to end."""


def find(part: Part) -> lifeline.Adopted | None:
    """The running process of this part, given time to come up or to go where it is doing that.

    One that holds the part's lock and neither answers nor ends is killed.
    """
    deadline = time.monotonic() + _WAIT_S
    while True:
        late = time.monotonic() > deadline
        found = lifeline.adopt(part.socket_path, part.settings_hash)
        if found is None:
            if not part.lock_path or holder(part.lock_path) is None:
                return None
            if late:
                _kill_holder(part.lock_path)
                return None
        else:
            if found.line is not None:
                found.line.close()
            if late or found.ready or not found.same or not found.independent:
                return found
            found.process.close()
        time.sleep(0.05)


def end(process: Process, wait_s: float) -> None:
    """SIGTERM, `wait_s` seconds to end, SIGKILL; forgotten when this returns."""
    process.signal(signal.SIGTERM)
    if not process.ended(wait_s):
        process.signal(signal.SIGKILL)
        process.ended(_KILLED_S)
    process.close()


def reason(code: int | None) -> str:
    """An exit code in words."""
    if code is None:
        return "not a child of ours"
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _kill_holder(path: str) -> None:
    pid = holder(path)
    if pid:
        with suppress(OSError):
            process = Process(pid)
            if holder(path) == pid:  # it is still the same process
                end(process, 0.0)
            else:
                process.close()
