"""Starts the border's two programs, watches them, and ends them in order.

It has no state: what it started survives it for a grace time, and the next launcher on the same
run directory adopts it. One that runs with other settings is ended first. The relay pool comes
up before signalling and goes down after it.

    SIGINT, SIGTERM: signalling drains, then the pool; a second one: both end now.
    SIGHUP: passed on to signalling, which opens its record file again.
    A child that dies is started again, slower each time if it dies at once; one that ends with
    the reserved exit code (bad settings) ends the border. So does one whose very first start
    ends with 1, e.g. because its port is in use: it has said so, and whoever has just started the
    border is there to read it. Later on the same is tried again: the port may become free.

Standard library only. What happens on whose death is in docs/closures.md.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

from relay.control import lifeline
from relay.control.process import Process
from relay.control.process import start as start_process
from relay.control.run_directory import (
    LAUNCHER_LOCK,
    RELAY_LOCK,
    RELAY_SOCKET,
    SIGNALLING_SOCKET,
    Lock,
    LockHeld,
    RunDirectoryError,
    make_run_directory,
)
from relay.control.watch import Signals, Watch, notify_service_manager, start_logging
from relay.settings import RelaySettings
from sbc.launched import Part, end, find, reason

__all__ = [
    "EXIT_ALREADY_RUNNING",
    "EXIT_MACHINE",
    "EXIT_SETTINGS",
    "LauncherSettings",
    "launch",
    "main",
]

EXIT_SETTINGS: Final = lifeline.EXIT_SETTINGS
EXIT_ALREADY_RUNNING: Final = 1
EXIT_MACHINE: Final = 1
"""Nothing is wrong with the settings, but with the machine as it is now."""

_POOL_DRAIN_S: Final = 6.0
"""The pool's own deadline for its workers is 5 s."""
_NOW_S: Final = 1.0
_QUICK_DEATH_S: Final = 5.0
_LONGEST_PAUSE_S: Final = 5.0
_INDEPENDENT_PAUSE_S: Final = 3.0

_log = logging.getLogger("sbc.launcher")


@dataclass(frozen=True, slots=True, kw_only=True)
class LauncherSettings:
    """What to launch."""

    settings_path: str
    """The border's configuration; signalling is given its path."""
    relay: RelaySettings
    """The pool's settings; `relay.run_dir` is the run directory of everything."""
    drain_s: float = 10.0
    """How long signalling may take to end its calls."""
    signalling: tuple[str, ...] = ("-m", "sbc.runtime")
    """The interpreter's arguments that start signalling."""
    pool: tuple[str, ...] = ("-m", "relay", "pool")


class _State(IntEnum):
    STARTING = 1
    RUNNING = 2
    STOPPING_SIGNALLING = 3
    STOPPING_POOL = 4
    ENDED = 5


class Launcher:
    """One border.

    Args:
        settings: where everything is and what to start.
    """

    def __init__(self, settings: LauncherSettings) -> None:
        relay = settings.relay
        run_dir = relay.run_dir
        self._run_dir = run_dir
        self._relay = relay
        self._relay_path = os.path.join(run_dir, "relay.json")
        file = Path(settings.settings_path).read_text(encoding="utf-8")
        border_hash = lifeline.settings_hash(file, relay.to_json())
        self._pool = Part(
            "relay pool",
            (*settings.pool, "--settings", self._relay_path),
            os.path.join(run_dir, RELAY_SOCKET),
            os.path.join(run_dir, RELAY_LOCK),
            lifeline.settings_hash(relay.to_json()),
            _POOL_DRAIN_S,
        )
        self._signalling = Part(
            "signalling",
            (
                *settings.signalling,
                *("--settings", settings.settings_path, "--settings-hash", border_hash),
            ),
            os.path.join(run_dir, SIGNALLING_SOCKET),
            "",
            border_hash,
            settings.drain_s,
        )
        self._parts = (self._pool, self._signalling)
        self._state = _State.STARTING
        self._exit_code = 0
        self._watch = Watch()
        self._signals: Signals | None = None
        self._lock: Lock | None = None

    def run(self) -> int:
        """Launch, and stay until the border has ended. Returns the exit code."""
        try:
            self._open()
            while self._state is not _State.ENDED:
                self._watch.wait(self._patience_s(time.monotonic()))
                self._maintain(time.monotonic())
        except LockHeld as error:
            _log.error("%s", error)
            return EXIT_ALREADY_RUNNING
        except RunDirectoryError as error:
            _log.error("%s", error)
            return EXIT_SETTINGS
        except KeyboardInterrupt:  # before the loop took signals over; survivors look on
            return 128 + signal.SIGINT
        finally:
            self._close()
        if self._exit_code == 0:  # it was told to stop; else what ended it was the last word
            _log.info("stopped")
        return self._exit_code

    # Start

    def _open(self) -> None:
        make_run_directory(self._run_dir)
        self._lock = Lock(os.path.join(self._run_dir, LAUNCHER_LOCK))
        self._find_survivors()
        temporary = f"{self._relay_path}.new"
        try:
            Path(temporary).write_text(self._relay.to_json(), encoding="utf-8")
            os.replace(temporary, self._relay_path)
        except OSError as error:
            raise RunDirectoryError(f"{self._relay_path}: {error.strerror}") from None
        self._signals = Signals((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
        self._watch.add(self._signals.fileno(), self._signalled)
        self._maintain(time.monotonic())

    def _find_survivors(self) -> None:
        """Adopt what a dead launcher left, and end what is not as we want it."""
        strangers: list[tuple[Part, Process]] = []
        for part in reversed(self._parts):  # in the order in which they are ended
            found = find(part)
            if found is None:
                continue
            if found.same and found.ready:
                self._adopt(part, found)
            elif found.independent:
                text = f"{part.name} (pid {found.process.pid}) was started by itself, with other"
                raise RunDirectoryError(f"{text} settings or is not ready: restart it first")
            else:
                strangers.append((part, found.process))
        for part, process in strangers:
            _log.info("ending the %s of another launcher (pid %d)", part.name, process.pid)
            end(process, part.drain_s)

    def _adopt(self, part: Part, found: lifeline.Adopted) -> None:
        word = "found" if found.independent else "adopted"
        _log.info("%s %s (pid %d)", word, part.name, found.process.pid)
        part.independent = found.independent
        part.ready = part.tried = True
        part.told = str(found.answer.get("listening", ""))
        part.since = time.monotonic()
        self._hold(part, found.process)

    def _start(self, part: Part, now: float) -> None:
        part.start_at = None
        if part.independent:
            found = find(part)
            if found is not None and found.same and found.ready:
                self._adopt(part, found)
                return
            part.independent = False
        ours, theirs = os.pipe()
        try:
            process = start_process([*part.arguments, "--ready-fd", str(theirs)], pass_fds=[theirs])
        except OSError as error:
            os.close(ours)
            _log.error("%s: cannot start: %s", part.name, error.strerror)
            part.start_at = now + _LONGEST_PAUSE_S
            return
        finally:
            os.close(theirs)
        os.set_blocking(ours, False)
        part.ready_fd = ours
        part.ready = False
        self._watch.add(ours, lambda: self._part_ready(part))
        part.since = now
        self._hold(part, process)

    def _hold(self, part: Part, process: Process) -> None:
        part.process = process
        self._watch.add(process.fileno(), lambda: self._part_ended(part))

    def _part_ready(self, part: Part) -> None:
        try:
            told = os.read(part.ready_fd, 4096).decode("utf-8", "replace").strip()
        except BlockingIOError:
            return
        self._forget_ready_pipe(part)
        if told:  # else it closed the pipe on its way out, and its pidfd tells the rest
            part.ready = part.tried = True
            part.told = told.partition(" ")[2]
            if self._state is _State.RUNNING and part.process is not None:
                _log.info("%s is back (pid %d)", part.name, part.process.pid)

    # The loop

    def _patience_s(self, now: float) -> float:
        times = [now + 60.0]
        for part in self._parts:
            times += [at for at in (part.start_at, part.kill_at) if at is not None]
        return max(0.0, min(times) - now) + 0.001

    def _maintain(self, now: float) -> None:
        """Whatever is due."""
        if self._state in (_State.STARTING, _State.RUNNING):
            self._maintain_parts(now)
        if self._state is _State.STOPPING_SIGNALLING:
            self._stop_late(self._signalling, now)
            if self._signalling.process is None:
                self._state = _State.STOPPING_POOL
                self._tell_toend(self._pool, self._pool.drain_s)
        if self._state is _State.STOPPING_POOL:
            self._stop_late(self._pool, now)
            if self._pool.process is None:
                self._state = _State.ENDED

    def _maintain_parts(self, now: float) -> None:
        for part in self._parts:
            if part.process is None and (part.start_at is None or now >= part.start_at):
                self._start(part, now)
            if self._state is _State.STARTING and not part.ready:
                return  # one after the other
        if self._state is _State.STARTING:
            self._state = _State.RUNNING
            told = self._signalling.told
            _log.info("the border listens%s", f" on {told}" if told else "")
            notify_service_manager("READY=1")

    def _part_ended(self, part: Part) -> None:
        process = part.process
        if process is None:
            return
        now = time.monotonic()
        code = process.exit_code()
        self._watch.remove(process.fileno())
        self._forget_ready_pipe(part)
        process.close()
        part.process = None
        part.ready = False
        if self._state >= _State.STOPPING_SIGNALLING:
            return
        if code == EXIT_SETTINGS or (code == EXIT_MACHINE and not part.tried):
            self._exit_code = code or EXIT_MACHINE  # it has said why, in one line
            self._stop()
            return
        part.tried = True
        _log.warning("%s (pid %d) has ended: %s", part.name, process.pid, reason(code))
        part.quick_deaths = part.quick_deaths + 1 if now - part.since < _QUICK_DEATH_S else 0
        pause_s = 0.1 * 2.0**part.quick_deaths if part.quick_deaths else 0.0
        part.start_at = now + min(_LONGEST_PAUSE_S, pause_s)
        if part.independent:  # whoever looks after it may start it again first
            part.start_at = now + _INDEPENDENT_PAUSE_S

    # The end

    def _signalled(self) -> None:
        if self._signals is None:
            return
        for number in self._signals.taken():
            if number == signal.SIGHUP:
                if self._signalling.process is not None and self._signalling.ready:
                    self._signalling.process.signal(signal.SIGHUP)
                continue
            if self._state < _State.STOPPING_SIGNALLING:
                _log.info("stopping: calls that are up are ended (a second signal hurries it)")
                self._stop()
                continue
            for part in self._parts:
                self._tell_toend(part, _NOW_S)
                part.drain_s = min(part.drain_s, _NOW_S)

    def _stop(self) -> None:
        self._state = _State.STOPPING_SIGNALLING
        notify_service_manager("STOPPING=1")
        self._tell_toend(self._signalling, self._signalling.drain_s)

    def _tell_toend(self, part: Part, wait_s: float) -> None:
        if part.process is not None and part.independent:
            self._watch.remove(part.process.fileno())
            part.process.close()
            part.process = None
        elif part.process is not None:
            part.process.signal(signal.SIGTERM)
            part.kill_at = time.monotonic() + wait_s

    def _stop_late(self, part: Part, now: float) -> None:
        if part.process is not None and part.kill_at is not None and now >= part.kill_at:
            _log.warning("%s (pid %d) does not end: killed", part.name, part.process.pid)
            part.process.signal(signal.SIGKILL)
            part.kill_at = now + _NOW_S

    def _forget_ready_pipe(self, part: Part) -> None:
        if part.ready_fd >= 0:
            self._watch.remove(part.ready_fd)
            os.close(part.ready_fd)
            part.ready_fd = -1

    def _close(self) -> None:
        for part in self._parts:
            self._forget_ready_pipe(part)
            if part.process is not None:
                part.process.close()
        if self._signals is not None:
            self._signals.close()
        if self._lock is not None:
            self._lock.release()
        self._watch.close()


def launch(settings: LauncherSettings) -> int:
    """Run a border until it is told to end.

    Returns the exit code: 0, EXIT_ALREADY_RUNNING, EXIT_MACHINE, or EXIT_SETTINGS where starting
    again with the same settings is no use. Raises OSError if the settings file cannot be read.
    """
    return Launcher(settings).run()


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -P -m sbc.launcher`: as `launch`, with the pool's settings in a file."""
    parser = argparse.ArgumentParser(prog="sbc.launcher", description=__doc__)
    parser.add_argument("--settings", required=True, help="the border's configuration")
    parser.add_argument("--relay", required=True, help="a file with RelaySettings as JSON")
    options = parser.parse_args(arguments)
    start_logging()
    try:
        relay = RelaySettings.from_json(Path(options.relay).read_text(encoding="utf-8"))
        start_logging(relay.log_level, relay.log_json)
        return launch(LauncherSettings(settings_path=options.settings, relay=relay))
    except OSError as error:
        _log.error("%s: %s", error.filename, error.strerror)
    except (ValueError, KeyError, TypeError) as error:
        _log.error("%s: expected relay settings as JSON: %s", options.relay, error)
    return EXIT_SETTINGS


if __name__ == "__main__":
    sys.exit(main())
