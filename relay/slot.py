"""A worker's place in the pool: what stays when the worker in it dies."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from relay import handoff
from relay.control.line import Line
from relay.control.process import Process
from relay.control.process import start as start_process
from relay.port_blocks import ParkedBlock
from relay.settings import RelaySettings

__all__ = ["Slot", "WorkerProcess", "control_path"]


@dataclass(slots=True, eq=False)
class WorkerProcess:
    """One worker, from its start to its end."""

    process: Process
    line: Line
    since: float
    """When it was started, or given its slot: monotonic seconds."""
    ready: bool = False
    """Its imports are done: it may be given a slot."""
    running: bool = False
    """It serves its slot."""
    slot: Slot | None = None
    """None: a spare."""
    kill_at: float | None = None
    """When its time is up: to take its slot, or to end."""
    complaint: str = ""
    """The last that it said was wrong."""

    @classmethod
    def start(cls, arguments: Sequence[str], now: float) -> WorkerProcess:
        """A new one, which does its imports and waits. Raises OSError.

        Args:
            arguments: the interpreter's, without those that name the descriptors.
            now: monotonic seconds.
        """
        line, theirs = Line.pair()
        try:
            fd = theirs.fileno()
            process = start_process([*arguments, "--fd", str(fd)], pass_fds=[fd])
        except OSError:
            line.close()
            raise
        finally:
            theirs.close()
        return cls(process, line, now)

    def close(self) -> None:
        """Forget it; it has ended."""
        self.line.close()
        self.process.close()


@dataclass(slots=True, eq=False)
class Slot:
    """A slot, 0 ≤ index < workers."""

    index: int
    listener: socket.socket
    """Where signalling connects, whichever worker serves it."""
    table: int
    """The flow table's memory (memfd)."""
    generation: int = 0
    worker: WorkerProcess | None = None
    blocks: list[ParkedBlock] = field(default_factory=list)
    next_row: int = 0

    @classmethod
    def open(cls, index: int, run_dir: str) -> Slot:
        """A new slot with an empty table. Raises OSError."""
        table = os.memfd_create(f"relay-flows-{index}", os.MFD_CLOEXEC)
        try:
            listener = _listen(control_path(run_dir, index))
        except OSError:
            os.close(table)
            raise
        return cls(index, listener, table)

    def keep(self, block: ParkedBlock) -> None:
        """This block is the slot's now."""
        self.blocks.append(block)
        self.next_row = max(self.next_row, block.row + 2 * handoff.BLOCK_PAIRS)

    def next_block_id(self) -> int:
        """Unique within the slot."""
        return max((block.block_id for block in self.blocks), default=0) + 1

    def give(self, worker: WorkerProcess, settings: RelaySettings, rows: int, now: float) -> None:
        """Let this worker serve the slot, with all its blocks.

        Raises OSError or ShortOfDescriptors if it cannot be told; it must be ended then.
        """
        self.generation += 1
        self.worker = worker
        worker.slot = self
        worker.since = now
        start = handoff.start_message(
            slot=self.index,
            generation=self.generation,
            settings=settings,
            rows=rows,
            blocks=len(self.blocks),
        )
        worker.line.send(start, [self.listener.fileno(), self.table])
        for block in self.blocks:
            worker.line.send(block.message(), block)

    def close(self, run_dir: str) -> None:
        """Let everything go and remove the socket's file."""
        for path in (control_path(run_dir, self.index), handoff.handoff_path(run_dir, self.index)):
            with suppress(OSError):
                os.unlink(path)
        self.listener.close()
        os.close(self.table)
        for block in self.blocks:
            block.close()


def control_path(run_dir: str, index: int) -> str:
    """Where the worker in this slot serves signalling."""
    return os.path.join(run_dir, f"worker-{index}.sock")


def _listen(path: str) -> socket.socket:
    with suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        mask = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(mask)
        listener.listen(16)
    except OSError:
        listener.close()
        raise
    return listener
