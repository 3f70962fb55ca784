"""The configuration file on disk: changed whole or not at all, by one program at a time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from typing import Final

from sbc.config.problems import ConfigError, Problem

__all__ = ["create", "locked", "replace"]

_WAIT_S: Final = 10.0


@contextlib.contextmanager
def locked(path: str) -> Iterator[str]:
    """Hold the file's folder against other `sbc` commands; yields where the file really is.

    The folder is locked and not the file, because a replaced file is another file. Raises
    ConfigError if the folder is not there, or another command holds it for 10 s.
    """
    real = os.path.realpath(path)
    try:
        folder = os.open(os.path.dirname(real), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _failed(path, "cannot be written", error) from None
    try:
        deadline = time.monotonic() + _WAIT_S
        while True:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    text = "another sbc command is changing it; nothing was changed"
                    raise ConfigError([Problem(path=path, text=text)]) from None
                time.sleep(0.02)
            except OSError as error:
                raise _failed(path, "cannot be locked", error) from None
        yield real
    finally:
        os.close(folder)


def replace(path: str, old: str, new: str) -> None:
    """Put `new` where `old` is, inside `locked`: mode and owner stay, a crash leaves one of them.

    Raises ConfigError, and leaves the file as it is, if it is no longer `old` (an editor saved
    it meanwhile) or cannot be written.
    """
    real = os.path.realpath(path)
    try:
        with open(real, "rb") as file:
            before = os.fstat(file.fileno())
            now = file.read()
        if now.decode("utf-8", "replace").removeprefix("\ufeff") != old:
            text = "was changed meanwhile by another program; nothing was changed, try again"
            raise ConfigError([Problem(path=path, text=text)])
        if not os.access(real, os.W_OK):  # a rename would not mind
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        start = b"\xef\xbb\xbf" if now.startswith(b"\xef\xbb\xbf") else b""
        _write(real, start + new.encode(), before)
    except OSError as error:
        raise _failed(path, "cannot be written", error) from None


def create(path: str, text: str) -> None:
    """Make a new file. Raises ConfigError if there is one already, or it cannot be written."""
    mask = os.umask(0o077)
    os.umask(mask)
    temporary = None
    try:
        temporary = _temporary(path, text.encode(), 0o644 & ~mask)
        os.link(temporary, path)  # unlike a rename, fails where something is
        _sync_folder(path)
    except FileExistsError:
        text = "is there already; nothing was changed (sbc config changes it)"
        raise ConfigError([Problem(path=path, text=text)]) from None
    except OSError as error:
        raise _failed(path, "cannot be written", error) from None
    finally:
        if temporary is not None:
            os.unlink(temporary)


def _write(real: str, data: bytes, before: os.stat_result) -> None:
    temporary = _temporary(real, data, stat.S_IMODE(before.st_mode))
    try:
        if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
            with contextlib.suppress(PermissionError):
                os.chown(temporary, before.st_uid, before.st_gid)
                os.chmod(temporary, stat.S_IMODE(before.st_mode))
        os.rename(temporary, real)
    except BaseException:
        os.unlink(temporary)
        raise
    _sync_folder(real)


def _temporary(path: str, data: bytes, mode: int) -> str:
    """A synced file beside `path` that holds `data`; gone again if that fails."""
    folder, name = os.path.split(os.path.abspath(path))
    file, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
    try:
        with open(file, "wb") as writer:
            os.fchmod(file, mode)
            writer.write(data)
            writer.flush()
            os.fsync(file)
    except BaseException:
        os.unlink(temporary)
        raise
    return temporary


def _sync_folder(path: str) -> None:
    """Make a rename last. Some file systems cannot; the change itself is done by then."""
    with contextlib.suppress(OSError):
        folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _failed(path: str, what: str, error: OSError) -> ConfigError:
    reason = error.strerror or str(error)
    return ConfigError([Problem(path=path, text=f"{what}: {reason}; nothing was changed")])
