"""The directory that holds a border's sockets and locks, and who may have it.

A lock is a `flock` on a file that also names its holder; the kernel lets go of it when the
holder dies, however it dies, so a stale file never keeps anybody out.

Standard library only.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from contextlib import suppress
from typing import Final

__all__ = [
    "LAUNCHER_LOCK",
    "RELAY_LOCK",
    "RELAY_SOCKET",
    "SIGNALLING_SOCKET",
    "Lock",
    "LockHeld",
    "RunDirectoryError",
    "holder",
    "make_run_directory",
]

LAUNCHER_LOCK: Final = "launcher.lock"
RELAY_LOCK: Final = "relay.lock"
RELAY_SOCKET: Final = "relay.sock"
"""Where a supervisor listens for launchers."""
SIGNALLING_SOCKET: Final = "signalling.sock"
"""Where signalling listens for launchers."""

_LONGEST_NAME = SIGNALLING_SOCKET
_MAX_PATH_BYTES = 107
_TRIES = 3
"""`holder` takes a lock for a moment, too."""
_TRY_AGAIN_S = 0.02


class RunDirectoryError(Exception):
    """The directory cannot be used; the text is one line that says why."""


class LockHeld(Exception):
    """Another process has the lock.

    Args:
        pid: its process id, 0 where the file does not tell.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(f"already running (pid {pid})" if pid else "already running")
        self.pid = pid


class Lock:
    """An exclusive lock, held until `release` or the end of this process.

    Args:
        path: the lock's file, made if missing, mode 0600; it stays after the lock is released.

    Raises LockHeld, or RunDirectoryError if the file cannot be opened.
    """

    __slots__ = ("_descriptor",)

    def __init__(self, path: str) -> None:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise RunDirectoryError(f"{path}: {error.strerror}") from None
        for left in reversed(range(_TRIES)):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not left:
                    pid = _written_pid(descriptor)
                    os.close(descriptor)
                    raise LockHeld(pid) from None
                time.sleep(_TRY_AGAIN_S)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Let the next one have it."""
        if self._descriptor >= 0:
            with suppress(OSError):
                os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1


def holder(path: str) -> int | None:
    """Who holds the lock at `path`: a process id, 0 if not known, None if nobody does."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _written_pid(descriptor)
    finally:
        os.close(descriptor)
    return None


def make_run_directory(path: str) -> None:
    """Make it (mode 0700) if it is missing; else see that it is ours and closed to others.

    Raises RunDirectoryError whose text names the directory and what is wrong.
    """
    if len(os.fsencode(os.path.join(path, _LONGEST_NAME))) > _MAX_PATH_BYTES:
        text = f"too long: a socket in it must have a path of at most {_MAX_PATH_BYTES} bytes"
        raise RunDirectoryError(f"run directory {path}: {text}")
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        found = os.stat(path)
        if stat.S_IMODE(found.st_mode) & 0o077:
            os.chmod(path, 0o700)
    except OSError as error:
        reason = error.strerror
        if error.errno in (errno.EEXIST, errno.ENOTDIR):
            reason = "expected a directory, found a file"
        raise RunDirectoryError(f"run directory {path}: {reason}") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise RunDirectoryError(f"run directory {path}: {os.strerror(errno.EACCES)}")


def _written_pid(descriptor: int) -> int:
    try:
        return int(os.pread(descriptor, 32, 0))
    except (OSError, ValueError):
        return 0
