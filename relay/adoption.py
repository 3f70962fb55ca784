"""How a new supervisor takes over the workers of a dead one.

Each worker listens at `<run_dir>/handoff-<slot>.sock`. One that runs with our settings hands
back copies of what its supervisor kept, which are parked again, and forwards on without a gap.
Any other is told to go, waited for, and killed at the deadline, so that its ports are free.
"""

from __future__ import annotations

import glob
import os
import re
import select
import signal
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from relay.control import lifeline
from relay.control.line import Line, LineError, Message
from relay.control.process import Process
from relay.handoff import handoff_path
from relay.port_blocks import ParkedBlock, ShortOfDescriptors, park
from relay.slot import Slot, WorkerProcess

__all__ = ["adopt_workers", "end_all"]

_ANSWER_S = 2.0
_END_S = 2.0


def adopt_workers(
    run_dir: str, settings: str, slots: int, say: Callable[[str], None]
) -> list[Slot]:
    """The slots whose workers are ours now, each running, with its blocks parked.

    Args:
        run_dir: where workers listen.
        settings: hash of our settings.
        slots: how many we want; a worker in a higher slot is ended.
        say: for one line about each worker that is not taken.

    When it returns, no other worker of this run directory is alive.
    """
    found: list[Slot] = []
    strangers: list[Process] = []
    for path in glob.glob(handoff_path(glob.escape(run_dir), 0).replace("-0.", "-*.")):
        adopted = lifeline.adopt(path, settings)
        if adopted is None:
            with suppress(OSError):
                os.unlink(path)
            continue
        slot = _take_back(path, adopted, slots)
        if slot is None:
            say(f"worker.ended pid={adopted.process.pid} reason=not-ours")
            strangers.append(adopted.process)
        else:
            found.append(slot)
    end_all(strangers, _END_S)
    return found


def end_all(processes: Iterable[Process], wait_s: float) -> None:
    """SIGTERM, up to `wait_s` seconds for all of them together, then SIGKILL."""
    left = list(processes)
    for process in left:
        process.signal(signal.SIGTERM)
    deadline = time.monotonic() + wait_s
    for process in left:
        if not process.ended(max(0.0, deadline - time.monotonic())):
            process.signal(signal.SIGKILL)
            process.ended(_END_S)
        process.close()


def _take_back(path: str, adopted: lifeline.Adopted, slots: int) -> Slot | None:
    """The slot of this worker, or None if it is not to be had."""
    line, answer = adopted.line, adopted.answer
    index = _slot_index(path)
    if line is None:
        return None
    if index >= slots or not answer.get("running"):
        line.close()
        return None
    worker = WorkerProcess(adopted.process, line, time.monotonic(), ready=True, running=True)
    slot = _receive_slot(line, index)
    if slot is None:
        line.close()
        return None
    slot.generation = int(answer.get("generation", 1))
    slot.worker = worker
    worker.slot = slot
    return slot


def _receive_slot(line: Line, index: int) -> Slot | None:
    """What the worker hands back, complete or not at all."""
    incoming = _Incoming(line)
    first = incoming.next()
    if first is None:
        return None
    message, descriptors = first
    if message.get("t") != "kept" or len(descriptors) != 2:
        _close_all(descriptors)
        return None
    slot = Slot(index, socket.socket(fileno=descriptors[0]), descriptors[1])
    for _ in range(message["blocks"]):
        block = _receive_block(incoming)
        if block is None:
            slot.listener.close()
            os.close(slot.table)
            for one in slot.blocks:
                one.close()
            return None
        slot.keep(block)
    return slot


def _receive_block(incoming: _Incoming) -> ParkedBlock | None:
    one = incoming.next()
    if one is None:
        return None
    message, descriptors = one
    if message.get("t") != "block" or message.get("truncated"):
        _close_all(descriptors)
        return None
    try:
        return park(
            [socket.socket(fileno=descriptor) for descriptor in descriptors],
            block_id=message["id"],
            realm=message["realm"],
            address=message["address"],
            ports=tuple(message["ports"]),
            row=message["row"],
        )
    except ShortOfDescriptors:
        return None


class _Incoming:
    """Messages one at a time, with one deadline for all of them."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._deadline = time.monotonic() + _ANSWER_S
        self._poll = select.poll()
        self._poll.register(line.fileno(), select.POLLIN)

    def next(self) -> tuple[Message, list[int]] | None:
        """The next message, or None if it does not come in time."""
        while not self._line.ended and (left := self._deadline - time.monotonic()) > 0:
            try:
                one = self._line.receive_one()
            except LineError:
                return None
            if one is not None:
                return one
            self._poll.poll(left * 1000)
        return None


def _slot_index(path: str) -> int:
    found = re.search(r"-(\d+)\.sock$", path)
    return int(found[1]) if found else 1 << 30


def _close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
