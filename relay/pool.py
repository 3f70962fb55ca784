"""The supervisor: starts workers, replaces them, owns what must not die with them.

One thread, one poll, the standard library. N workers serve a slot each; one more, the spare, has
done its imports and waits. When a worker dies its slot is given to the spare at once, with
copies of the slot's bound media sockets, its control listener and its flow table.

The pool's own end: told by SIGTERM, or an orphan whose grace time is over, it lets the workers
drain and exits; a second signal ends them now. What happens on whose death is in
docs/closures.md.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from enum import IntEnum
from typing import Final

from relay.adoption import adopt_workers, end_all
from relay.control import lifeline
from relay.control.line import LineError, Message
from relay.control.run_directory import (
    RELAY_LOCK,
    RELAY_SOCKET,
    Lock,
    LockHeld,
    RunDirectoryError,
    make_run_directory,
)
from relay.control.watch import Signals, Watch, notify_service_manager
from relay.handoff import EXIT_SETTINGS
from relay.media_ports import MediaPorts
from relay.port_blocks import AddressError, ShortOfDescriptors, shortage
from relay.settings import RelaySettings
from relay.slot import Slot, WorkerProcess

__all__ = ["Pool"]

DRAIN_S: Final = 5.0
"""How long workers may take to end their calls once the pool is told to go."""

_WORKER: Final = ("-m", "relay", "worker")
_QUICK_DEATH_S: Final = 2.0
_START_S: Final = 15.0
_LAST_WORDS_S: Final = 1.0
_SILENCE_S: Final = 3.0
"""A worker that has not said for so long that it lives does not."""
_LATE_S: Final = 0.5
"""So late for a worker's time, and it was us who stood still: it gets some more."""
_LONGEST_PAUSE_S: Final = 5.0

_log = logging.getLogger("relay.pool")


class _State(IntEnum):
    STARTING = 1
    RUNNING = 2
    DRAINING = 3
    ENDED = 4


class Pool:
    """One relay pool on one run directory.

    Args:
        settings: checked by whoever made them; addresses are tried here.
        lifeline_fd: read end of the launcher's lifeline, -1 for none.
        ready_fd: gets one line when every slot is served, then closed; -1 for none.
        worker: the interpreter's arguments that start a worker.
    """

    def __init__(
        self,
        settings: RelaySettings,
        lifeline_fd: int = -1,
        ready_fd: int = -1,
        worker: Sequence[str] = _WORKER,
    ) -> None:
        self._settings = settings
        self._settings_hash = lifeline.settings_hash(settings.to_json())
        self._lifeline_fd = lifeline_fd
        self._ready_fd = ready_fd
        self._worker_arguments = worker
        self._watch = Watch()
        self._state = _State.STARTING
        self._exit_code = 0
        self._slots: list[Slot] = []
        self._workers: list[WorkerProcess] = []
        self._ports = MediaPorts(settings)
        self._quick_deaths = 0
        self._next_spawn = 0.0
        self._kill_at: float | None = None
        self._lock: Lock | None = None
        self._child: lifeline.Child | None = None
        self._signals: Signals | None = None

    def run(self) -> int:
        """Serve until told to go. Returns the exit code of the process."""
        try:
            self._open()
            while self._state is not _State.ENDED:
                self._step()
        except LockHeld as error:
            _log.error("relay pool in %s: %s", self._settings.run_dir, error)
            return 1
        except RunDirectoryError as error:
            _log.error("%s", error)
            return EXIT_SETTINGS
        except (AddressError, ShortOfDescriptors) as error:  # the machine's state: it may change
            _log.error("%s", error)
            return 1
        finally:
            self._close()
        return self._exit_code

    # Start

    def _open(self) -> None:
        make_run_directory(self._settings.run_dir)
        self._lock = Lock(self._path(RELAY_LOCK))
        self._ports.check()
        self._signals = Signals((signal.SIGTERM, signal.SIGINT), ignored=(signal.SIGHUP,))
        self._watch.add(self._signals.fileno(), self._signalled)
        grace_s = self._settings.grace_s
        path = self._path(RELAY_SOCKET)
        try:
            self._child = lifeline.Child(self._lifeline_fd, path, self._settings_hash, grace_s)
            self._watch.add(self._child.fileno(), self._parent_said)
            self._open_slots()
        except OSError as error:
            raise RunDirectoryError(f"{path}: {error.strerror}") from error
        self._maintain(time.monotonic())

    def _open_slots(self) -> None:
        run_dir, wanted = self._settings.run_dir, self._settings.workers
        for slot in adopt_workers(run_dir, self._settings_hash, wanted, _log.warning):
            self._slots.append(slot)
            self._accept_adopted(slot)
        missing = set(range(wanted)) - {slot.index for slot in self._slots}
        new = [Slot.open(index, run_dir) for index in sorted(missing)]
        self._slots += new
        self._slots.sort(key=lambda slot: slot.index)
        self._ports.provide(new)

    def _accept_adopted(self, slot: Slot) -> None:
        worker = slot.worker
        if worker is None:
            return
        self._workers.append(worker)
        self._watch_worker(worker)
        self._ports.exclude(slot.blocks)
        _log.info(
            "worker.adopted slot=%d pid=%d blocks=%d",
            slot.index,
            worker.process.pid,
            len(slot.blocks),
        )

    # The loop

    def _step(self) -> None:
        self._watch.wait(self._patience_s(time.monotonic()))
        self._maintain(time.monotonic())

    def _patience_s(self, now: float) -> float:
        """How long nothing is due."""
        times = [now + 60.0]
        if self._next_spawn > now:
            times.append(self._next_spawn)
        if self._kill_at is not None:
            times.append(self._kill_at)
        if self._child is not None and self._child.deadline is not None:
            times.append(self._child.deadline)
        times += [one.kill_at for one in self._workers if one.kill_at is not None]
        return max(0.0, min(times) - now) + 0.001

    def _maintain(self, now: float) -> None:
        """Whatever is due: the grace time, late workers, free slots, a spare, the end."""
        if self._child is not None and self._child.deadline is not None:
            self._parent_said()
        for worker in self._workers:
            if worker.kill_at is None or now < worker.kill_at:
                continue
            if now - worker.kill_at > _LATE_S:
                worker.kill_at = now + _LATE_S
            else:
                _log.error("worker.stuck pid=%d", worker.process.pid)
                worker.kill_at = None
                worker.process.signal(signal.SIGKILL)
        if self._state is _State.DRAINING:
            if not self._workers:
                self._state = _State.ENDED
            elif self._kill_at is not None and now >= self._kill_at:
                self._kill_all()
            return
        self._fill_slots(now)
        self._spawn_missing(now)
        if self._state is _State.STARTING and all(_served(slot) for slot in self._slots):
            self._state = _State.RUNNING
            self._announce()
            self._spawn_missing(now)

    def _announce(self) -> None:
        ports = sum(len(block.ports) for slot in self._slots for block in slot.blocks)
        taken = self._ports.taken
        _log.info("pool.running workers=%d pairs=%d taken=%d", len(self._slots), ports, taken)
        if self._child is not None:
            self._child.facts["ready"] = True
        if self._ready_fd >= 0:
            with suppress(OSError):
                os.write(self._ready_fd, b"ready\n")
            os.close(self._ready_fd)
            self._ready_fd = -1
        notify_service_manager("READY=1")  # a launcher's pool has not been told where to

    # Workers

    def _fill_slots(self, now: float) -> None:
        spares = [one for one in self._workers if one.ready and one.slot is None]
        for slot in self._slots:
            if slot.worker is None and spares:
                worker = spares.pop(0)
                worker.kill_at = now + _START_S
                try:
                    slot.give(worker, self._settings, self._ports.rows, now)
                except (OSError, ShortOfDescriptors) as error:
                    _log.error("worker.start slot=%d: %s", slot.index, error)
                    worker.process.signal(signal.SIGKILL)
                self._watch_line(worker)

    def _spawn_missing(self, now: float) -> None:
        """One process for each slot without any, and the spare once all slots are served."""
        if now < self._next_spawn:
            return
        free = sum(slot.worker is None for slot in self._slots)
        spares = sum(one.slot is None for one in self._workers)
        wanted = free + (self._state is _State.RUNNING)
        for _ in range(wanted - spares):
            try:
                worker = WorkerProcess.start(self._worker_arguments, now)
            except OSError as error:
                _log.error("worker.start: %s", shortage(error))
                self._next_spawn = now + _LONGEST_PAUSE_S
                return
            self._workers.append(worker)
            self._watch_worker(worker)

    def _watch_worker(self, worker: WorkerProcess) -> None:
        self._watch.add(worker.process.fileno(), lambda: self._worker_ended(worker))
        self._watch.add(worker.line.fileno(), lambda: self._worker_said(worker))

    def _worker_ended(self, worker: WorkerProcess) -> None:
        now = time.monotonic()
        self._worker_said(worker)  # its last words
        code = worker.process.exit_code()
        slot = worker.slot
        self._watch.remove(worker.process.fileno())
        if worker.line.fileno() >= 0:
            self._watch.remove(worker.line.fileno())
        worker.close()
        self._workers.remove(worker)
        if slot is not None and slot.worker is worker:
            slot.worker = None
        if self._state is _State.DRAINING:
            return
        name = "spare" if slot is None else f"slot={slot.index}"
        _log.warning("worker.died %s pid=%d exit=%s", name, worker.process.pid, code)
        if code == EXIT_SETTINGS:
            _log.error("relay worker refuses these settings: %s", worker.complaint or "no reason")
            self._exit_code = EXIT_SETTINGS
            self._begin_drain(0.0)
        elif now - worker.since < _QUICK_DEATH_S:
            self._quick_deaths += 1
            pause_s = min(_LONGEST_PAUSE_S, 0.05 * 2.0**self._quick_deaths)
            self._next_spawn = now + pause_s
        else:
            self._quick_deaths = 0

    def _worker_said(self, worker: WorkerProcess) -> None:
        line = worker.line
        if line.fileno() < 0:
            return
        try:
            line.flush()
            for message, descriptors in line.receive():
                for descriptor in descriptors:
                    os.close(descriptor)
                self._obey(worker, message)
        except (LineError, KeyError, TypeError, ShortOfDescriptors, OSError) as error:
            _log.error("worker.line pid=%d: %s", worker.process.pid, error)
            line.ended = True
        if line.ended:  # it is on its way out: let it get to its exit code
            self._watch.remove(line.fileno())
            line.close()
            worker.ready = False
            worker.kill_at = time.monotonic() + _LAST_WORDS_S
        else:
            self._watch_line(worker)

    def _obey(self, worker: WorkerProcess, message: Message) -> None:
        slot = worker.slot
        if worker.running:  # whatever it says: it lives
            worker.kill_at = time.monotonic() + _SILENCE_S
        match message.get("t"):
            case "ready":
                worker.ready = True
            case "running" if slot is not None:
                worker.running = True
                worker.kill_at = time.monotonic() + _SILENCE_S
                _log.info(
                    "worker.running slot=%d pid=%d generation=%d",
                    slot.index,
                    worker.process.pid,
                    slot.generation,
                )
            case "need" if slot is not None:
                realm, address = message["realm"], message["address"]
                block = self._ports.more(slot, realm, address)
                if block is not None:
                    worker.line.send(block.message(), block)
                else:
                    exhausted = {"t": "exhausted", "realm": realm, "address": address}
                    worker.line.send(exhausted)
            case "failed":
                text = str(message["text"])
                if text != worker.complaint:
                    worker.complaint = text
                    _log.error("relay worker (pid %d): %s", worker.process.pid, text)
            case _:
                pass

    # The end

    def _parent_said(self) -> None:
        if self._child is None:
            return
        for event in self._child.handle(time.monotonic()):
            match event:
                case lifeline.Event.ORPHANED:
                    _log.warning("launcher.gone grace_s=%g", self._settings.grace_s)
                case lifeline.Event.ADOPTED:
                    _log.info("launcher.new")
                    line = self._child.take_adopter()
                    if line is not None:
                        line.close()
                case lifeline.Event.GRACE_OVER:
                    self._begin_drain(DRAIN_S)

    def _signalled(self) -> None:
        if self._signals is None:
            return
        for _ in self._signals.taken():
            if self._state is _State.DRAINING:
                self._kill_all()
            else:
                self._begin_drain(DRAIN_S)

    def _begin_drain(self, deadline_s: float) -> None:
        if self._state is _State.DRAINING:
            return
        self._state = _State.DRAINING
        notify_service_manager("STOPPING=1")
        self._kill_at = time.monotonic() + deadline_s + 0.5
        if self._child is not None:
            self._child.final = True
        for worker in self._workers:
            if worker.slot is None or not worker.running:
                worker.process.signal(signal.SIGKILL)  # it has nothing to lose
                continue
            with suppress(OSError):
                worker.line.send({"t": "drain", "deadline_s": deadline_s})
            self._watch_line(worker)

    def _kill_all(self) -> None:
        for worker in self._workers:
            worker.process.signal(signal.SIGKILL)
        self._kill_at = time.monotonic() + 1.0

    def _close(self) -> None:
        for worker in self._workers:
            worker.process.signal(signal.SIGKILL)
        end_all([worker.process for worker in self._workers], 0.0)
        for worker in self._workers:
            worker.line.close()
        for slot in self._slots:
            slot.close(self._settings.run_dir)
        if self._signals is not None:
            self._signals.close()
        if self._child is not None:
            self._child.close()
        if self._ready_fd >= 0:
            os.close(self._ready_fd)
        if self._lock is not None:
            self._lock.release()
        self._watch.close()

    def _path(self, name: str) -> str:
        return os.path.join(self._settings.run_dir, name)

    def _watch_line(self, worker: WorkerProcess) -> None:
        if worker.line.fileno() >= 0:
            self._watch.writing(worker.line.fileno(), worker.line.waiting)


def _served(slot: Slot) -> bool:
    return slot.worker is not None and slot.worker.running
