"""SIPp as a caller or a called party: one process, its figures as numbers.

Nothing is asked of the network: every end has an address of its own in 127.0.0.0/8.
"""

from __future__ import annotations

import csv
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

__all__ = ["Sipp", "SippFigures"]


@dataclass(frozen=True, slots=True)
class SippFigures:
    """What SIPp counted from its start on."""

    successful: int
    failed: int
    retransmissions: int
    unexpected: int
    lost: int
    current: int
    """Calls that had not ended when it counted."""
    reasons: Mapping[str, int]
    """Why calls failed, in SIPp's words; only what is not zero."""

    @property
    def total(self) -> int:
        return self.successful + self.failed


class Sipp:
    """One SIPp process. A context manager: what still runs at its end is killed.

    Args:
        scenario: an XML file.
        folder: where its logs go.
        local: our address and port.
        remote: whom to call; None waits for calls.
        calls: how many; None goes on until `stop`.
        rate: new calls in a second.
        keys: what the scenario's `[name]` stand for.
        lost: per cent of the packets that it loses on purpose, in each direction.
        service: user part of the request-URI.
        transport: `u1` (UDP), `t1` (one TCP connection), `tn` (one for each call).
        pause_ms: what a `<pause/>` without a length waits.
        held: most calls at once.
        timeout_s: the process ends by itself after this long.
        core: the CPU to run on; None leaves it to the kernel.
        extra: further options.
    """

    def __init__(
        self,
        scenario: Path,
        folder: Path,
        local: tuple[str, int],
        *,
        remote: tuple[str, int] | None = None,
        calls: int | None = None,
        rate: float = 10,
        keys: Mapping[str, str] | None = None,
        lost: int = 0,
        service: str = "100",
        transport: str = "u1",
        pause_ms: int = 500,
        held: int = 20_000,
        timeout_s: int = 120,
        core: int | None = None,
        extra: Sequence[str] = (),
    ) -> None:
        role = f"{scenario.stem}-{local[0]}-{local[1]}-{time.monotonic_ns()}"
        self._stat = folder / f"{role}.csv"
        self.errors = folder / f"{role}.errors"
        self.messages = folder / f"{role}.messages"
        self._output = (folder / f"{role}.out").open("wb")
        self._timeout_s = timeout_s
        command = [] if core is None else ["taskset", "-c", str(core)]
        command += ["sipp", "-sf", str(scenario), "-i", local[0], "-p", str(local[1])]
        command += ["-bind_local", "-mi", local[0], "-t", transport, "-s", service]
        command += ["-nostdin", "-trace_err", "-error_file", str(self.errors)]
        command += ["-trace_stat", "-stf", str(self._stat), "-fd", "1"]
        command += ["-timeout", str(timeout_s), "-d", str(pause_ms), "-l", str(held)]
        mark = (keys or {}).get("mark", "sipp")
        command += ["-cid_str", f"%u-%p-{mark}@%s"]
        # A message loop limit and a big buffer: SIPp's own defaults drop datagrams above 1,000/s.
        command += ["-buff_size", "4000000", "-skip_rlimit", *extra]
        for key, value in (keys or {}).items():
            command += ["-key", key, value]
        if lost:
            command += ["-lost", str(lost)]
        if calls is not None:
            command += ["-m", str(calls)]
        if remote is not None:
            rate_args = ["-r", str(int(rate))] if rate >= 1 else ["-r", "1", "-rp", f"{1 / rate}s"]
            host = f"[{remote[0]}]" if ":" in remote[0] else remote[0]
            command += [*rate_args, f"{host}:{remote[1]}"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._output, stderr=subprocess.STDOUT
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Sipp:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._output.close()

    def wait(self) -> SippFigures:
        """Waits for the last call, then tells the figures. Raises TimeoutExpired."""
        self._process.wait(self._timeout_s + 10)
        return self.figures()

    def stop(self, wait_s: float = 40) -> SippFigures:
        """Takes no new call, lets those that live end, then tells the figures."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGUSR1)
            try:
                self._process.wait(wait_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        return self.figures()

    def running(self) -> bool:
        return self._process.poll() is None

    def figures(self) -> SippFigures:
        """The last line of the statistics; at most a second old while it runs."""
        with self._stat.open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter=";"))
        if not rows:
            return SippFigures(0, 0, 0, 0, 0, 0, {})
        last = rows[-1]
        reasons = {
            name.removesuffix("(C)"): int(value)
            for name, value in last.items()
            if name
            and name.startswith("Failed")
            and name.endswith("(C)")
            and value not in ("0", "")
        }
        reasons.pop("FailedCall", None)
        return SippFigures(
            successful=int(last["SuccessfulCall(C)"]),
            failed=int(last["FailedCall(C)"]),
            retransmissions=int(last["Retransmissions(C)"]),
            unexpected=int(reasons.get("FailedUnexpectedMessage", 0)),
            lost=0,
            current=int(last["CurrentCall"]),
            reasons=reasons,
        )

    def error_text(self, limit: int = 4000) -> str:
        """The beginning of what it complained about, for an assertion's message."""
        text = self.errors.read_text(errors="replace")[:limit] if self.errors.exists() else ""
        return text or Path(self._output.name).read_text(errors="replace")[-limit:]
