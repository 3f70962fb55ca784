"""How a parent starts, holds, adopts and ends a child; the child's side of the same.

A child inherits the read end of a pipe whose write end only its parent holds: the lifeline. When
it ends the child is an orphan. It goes on for a grace time, in which a new parent may adopt it:
connect to the socket that the child listens on and pass a new lifeline. A child whose settings
are not the new parent's stays an orphan, and the new parent ends it.

    parent                              child
    start() ──exec, lifeline────────▶   Child(lifeline_fd, path, …)
    Process.fileno(): pidfd, readable when it has ended
    (dies) ─────────────────end─────▶   Event.ORPHANED … Event.GRACE_OVER: drain and exit
    adopt(path) ──lifeline──────────▶   Event.ADOPTED

Shared by the launcher and its children in `sbc` and by the relay's supervisor and its workers.
Standard library only, no thread, nothing here blocks but `adopt`, which is bounded.
"""

from __future__ import annotations

import errno
import hashlib
import os
import select
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from relay.control.line import Line, LineError, Message
from relay.control.process import Process

__all__ = [
    "EXIT_SETTINGS",
    "Adopted",
    "Child",
    "Event",
    "adopt",
    "at_end",
    "check_path",
    "settings_hash",
]

EXIT_SETTINGS: Final = 2
"""Exit code of a child that can never run with these settings: starting it again is no use."""

_UCRED: Final = struct.Struct("3i")
_ADOPTION_WAIT_S: Final = 2.0
_MAX_PATH_BYTES: Final = 107
_MAX_CALLERS: Final = 8
"""Would-be parents that have connected and said nothing yet."""


class Event(IntEnum):
    """What a child learns about its parent."""

    ORPHANED = 1
    """The parent is gone; the grace time runs."""
    ADOPTED = 2
    """A new parent holds the lifeline."""
    GRACE_OVER = 3
    """Nobody came: drain and exit."""


class Child:
    """The child's side: one descriptor to poll, plain synchronous calls.

    Args:
        lifeline_fd: the inherited read end, or -1 for a process that somebody else looks after
            (a service manager): it is never an orphan, answers would-be parents that it is
            `independent`, and nobody holds it.
        path: where to listen for adopters; a stale socket there is replaced. Empty: nowhere.
        settings: hash of the settings that this process runs with (`settings_hash`).
        grace_s: how long an orphan goes on.

    Make it before anything that a second such process could not have, e.g. a SIP port: if the
    parent is gone already, `handle` says GRACE_OVER at once.

    Raises OSError if `path` cannot be listened on.
    """

    def __init__(self, lifeline_fd: int, path: str, settings: str, grace_s: float) -> None:
        self._settings = settings
        self._grace_s = grace_s
        self._lifeline_fd = lifeline_fd
        self._independent = lifeline_fd < 0
        self._path = path
        self._callers: dict[int, Line] = {}
        self._adopter: Line | None = None
        self._poll = select.epoll()
        self._listener = _listen(path) if path else None
        self.facts: Message = {}
        """What adopters are told beside pid and settings, e.g. whether this process is ready."""
        self.orphaned = False
        self.deadline: float | None = None
        """When the grace time is over, monotonic seconds: call `handle` then. None: no orphan."""
        self._born_orphan = lifeline_fd >= 0 and _hung_up(lifeline_fd)
        self.final = False
        """This process is on its way out and takes no parent any more."""
        if lifeline_fd >= 0:
            os.set_blocking(lifeline_fd, False)
            os.set_inheritable(lifeline_fd, False)
            self._poll.register(lifeline_fd, select.EPOLLIN)
        if self._listener is not None:
            self._poll.register(self._listener.fileno(), select.EPOLLIN)

    def fileno(self) -> int:
        """The one descriptor to poll for reading; the same for the object's whole life."""
        return self._poll.fileno()

    def handle(self, now: float) -> list[Event]:
        """Call when readable and at `deadline`. Never blocks, raises nothing for what peers do.

        Args:
            now: monotonic seconds.
        """
        events: list[Event] = []
        for descriptor, _ in self._poll.poll(0):
            if descriptor == self._lifeline_fd:
                if at_end(descriptor):
                    self._orphan(now)
                    events.append(Event.ORPHANED)
            elif self._listener is not None and descriptor == self._listener.fileno():
                self._accept()
            elif descriptor in self._callers and self._answer(descriptor):
                events.append(Event.ADOPTED)
        if self.deadline is not None and now >= self.deadline:
            self.deadline = None
            self.final = True
            events.append(Event.GRACE_OVER)
        return events

    def take_adopter(self) -> Line | None:
        """After ADOPTED: the line to the new parent, now the caller's. None if already taken."""
        line, self._adopter = self._adopter, None
        return line

    def close(self) -> None:
        """Close all of it and remove the socket's file."""
        for line in self._callers.values():
            line.close()
        self._callers.clear()
        if self._adopter is not None:
            self._adopter.close()
        if self._listener is not None:
            self._listener.close()
            with suppress(OSError):
                os.unlink(self._path)
        if self._lifeline_fd >= 0:
            os.close(self._lifeline_fd)
            self._lifeline_fd = -1
        self._poll.close()

    def _orphan(self, now: float) -> None:
        self._poll.unregister(self._lifeline_fd)
        os.close(self._lifeline_fd)
        self._lifeline_fd = -1
        self.orphaned = True
        # Nothing is worth keeping if the parent died before this process was up, and the next
        # parent may have started another in its place.
        self.deadline = now if self._born_orphan else now + self._grace_s

    def _accept(self) -> None:
        assert self._listener is not None  # noqa: S101
        try:
            end, _ = self._listener.accept()
        except OSError:
            return
        if _peer(end)[1] not in (os.getuid(), 0) or len(self._callers) >= _MAX_CALLERS:
            end.close()
            return
        line = Line(end)
        self._callers[line.fileno()] = line
        self._poll.register(line.fileno(), select.EPOLLIN)

    def _answer(self, descriptor: int) -> bool:
        """Read what a would-be parent says; whether it is our parent now."""
        line = self._callers[descriptor]
        try:
            messages = line.receive()
        except LineError:
            messages, line.ended = [], True
        if not messages and not line.ended:
            return False
        self._poll.unregister(descriptor)
        del self._callers[descriptor]
        adopted = False
        for message, descriptors in messages:
            if message.get("t") == "adopt" and len(descriptors) == 1 and not adopted:
                adopted = self._consider(line, message, descriptors.pop())
            for one in descriptors:
                os.close(one)
        if not adopted:
            line.close()
        return adopted

    def _consider(self, line: Line, message: Message, lifeline_fd: int) -> bool:
        same = not self.final and message.get("settings") == self._settings
        answer = {"t": "child", "pid": os.getpid(), "settings": self._settings, "same": same}
        if self._independent:
            answer["independent"] = True
        line.send({**answer, **self.facts})
        if not same or self._independent:
            os.close(lifeline_fd)
            return False
        if self._lifeline_fd >= 0:
            self._poll.unregister(self._lifeline_fd)
            os.close(self._lifeline_fd)
        os.set_blocking(lifeline_fd, False)
        self._lifeline_fd = lifeline_fd
        self._poll.register(lifeline_fd, select.EPOLLIN)
        self.orphaned = False
        self.deadline = None
        if self._adopter is not None:
            self._adopter.close()
        self._adopter = line
        return True


@dataclass(slots=True)
class Adopted:
    """A process found at its socket."""

    process: Process
    answer: Message
    """What it says of itself: `pid`, `settings`, `same`, `independent`, and its own facts."""
    line: Line | None
    """The line to it if it took the lifeline (`same`), else None."""

    @property
    def same(self) -> bool:
        """It runs with our settings and has taken our lifeline, unless it is independent."""
        return self.line is not None

    @property
    def independent(self) -> bool:
        """Somebody else looks after it: it is used, but neither held nor ended."""
        return bool(self.answer.get("independent"))

    @property
    def ready(self) -> bool:
        """It does its work."""
        return bool(self.answer.get("ready"))


def adopt(path: str, settings: str, wait_s: float = _ADOPTION_WAIT_S) -> Adopted | None:
    """Become the parent of the process that listens at `path`, if its settings are ours.

    Args:
        path: the socket of the orphan's `Child`.
        settings: hash of our settings.
        wait_s: how long it may take to answer.

    Returns None if nothing alive listens there. Raises OSError if descriptors run out.
    """
    end = _connect(path, wait_s)
    if end is None:
        return None
    theirs, ours = os.pipe()
    line = Line(end)
    try:
        process = Process(_peer_process(end), ours)
    except OSError:
        os.close(theirs)
        os.close(ours)
        line.close()
        return None
    line.send({"t": "adopt", "settings": settings}, [theirs])
    answer = _first_answer(line, wait_s)
    os.close(theirs)
    if answer is None and process.ended():
        process.close()
        line.close()
        return None
    if answer is None or not answer.get("same"):
        line.close()  # it lives and is not ours: the caller ends it
        process.let_go()
        return Adopted(process, answer or {}, None)
    return Adopted(process, answer, line)


def settings_hash(*parts: str) -> str:
    """What tells two settings apart; equal in every process of one version of the program."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def check_path(path: str) -> None:
    """Raise OSError (ENAMETOOLONG) if a Unix socket cannot have this path."""
    if len(os.fsencode(path)) > _MAX_PATH_BYTES:
        raise OSError(errno.ENAMETOOLONG, f"path over {_MAX_PATH_BYTES} bytes", path)


def _listen(path: str) -> socket.socket:
    check_path(path)
    with suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        listener.setblocking(False)
        mask = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(mask)
        listener.listen(4)
    except OSError:
        listener.close()
        raise
    return listener


def _connect(path: str, wait_s: float) -> socket.socket | None:
    end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    end.settimeout(wait_s)
    try:
        end.connect(path)
    except (OSError, ValueError):
        end.close()
        return None
    return end


def _first_answer(line: Line, wait_s: float) -> Message | None:
    """The answer to our proposal, or None if none came in time."""
    deadline = time.monotonic() + wait_s
    poll = select.poll()
    poll.register(line.fileno(), select.POLLIN)
    while (left := deadline - time.monotonic()) > 0 and not line.ended:
        poll.poll(left * 1000)
        try:
            message = line.receive_one()
        except LineError:
            return None
        if message is not None:
            return message[0]
    return None


def _peer(end: socket.socket) -> tuple[int, int]:
    """Process and user at the other end; the process is the one that listens or connected."""
    raw = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, _ = _UCRED.unpack(raw)
    return pid, uid


def _peer_process(end: socket.socket) -> int:
    pid = _peer(end)[0]
    if pid <= 0:
        raise OSError(errno.ESRCH, "the socket's owner is in another pid namespace")
    return pid


def _hung_up(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)
    return bool(poll.poll(0))


def at_end(descriptor: int) -> bool:
    """Whether a lifeline has ended. Nobody writes to it; a byte would be ignored."""
    try:
        return not os.read(descriptor, 64)
    except BlockingIOError:
        return False
    except OSError:
        return True
