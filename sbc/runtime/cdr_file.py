"""The file that call detail records go to: appended, never rewritten, never torn.

A batch is one `write` to a descriptor opened with O_APPEND, so that a process that dies leaves
whole lines; a line that a crash of the machine tore is closed off at the next start. A full disk
loses nothing until the buffer is full: what could not be written waits, and is counted if it must
be dropped after all.
"""

from __future__ import annotations

import errno
import os
from typing import Final

from sbc.errors import SbcError

__all__ = ["CdrFile"]

_PENDING_MOST_BYTES: Final = 32 * 1024 * 1024


class CdrFile:
    """One JSON-lines file.

    Args:
        path: the file; its folder is made where it is missing.

    Raises:
        SbcError: the file cannot be opened for appending; one line that names it.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.dropped = 0
        """Records lost because the disk stayed full."""
        self.failure: str | None = None
        """Why the last write failed, None while writing works."""
        self._pending = bytearray()
        self._pending_records = 0
        self._dirty = False
        self._fd = self._open()

    def append(self, lines: list[bytes]) -> None:
        """Write records, each one JSON text without a line end. Raises nothing."""
        block = b"\n".join(lines) + b"\n"
        if len(self._pending) + len(block) > _PENDING_MOST_BYTES:
            self.dropped += len(lines)
        else:
            self._pending += block
            self._pending_records += len(lines)
        self.flush()

    def flush(self) -> None:
        """Try again to write what waits. Raises nothing; `failure` tells."""
        while self._pending:
            try:
                written = os.write(self._fd, self._pending)
            except InterruptedError:
                continue
            except OSError as error:
                self.failure = f"{self.path}: {os.strerror(error.errno or 0)}"
                return
            del self._pending[:written]
            self._dirty = True
        self._pending_records = 0
        self.failure = None

    @property
    def waiting(self) -> int:
        """Records that are not in the file yet."""
        return self._pending_records

    def sync(self) -> None:
        """Force what was written to the disk. Blocks: call it from a thread."""
        if self._dirty:
            self._dirty = False
            try:
                os.fdatasync(self._fd)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EROFS):  # a pipe, /dev/null
                    self.failure = f"{self.path}: {os.strerror(error.errno or 0)}"

    def reopen(self) -> None:
        """After a rotation: go on in the file that the path names now."""
        fresh = self._open()
        self.flush()
        os.close(self._fd)
        self._fd = fresh

    def close(self) -> None:
        """Write what waits, force it out, and close."""
        self.flush()
        self.sync()
        os.close(self._fd)

    def _open(self) -> int:
        try:
            os.makedirs(os.path.dirname(self.path) or ".", exist_ok=True)
            fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise SbcError(
                f"cannot write call records to {self.path}: {os.strerror(error.errno or 0)}"
            ) from error
        try:
            end = os.lseek(fd, 0, os.SEEK_END)
            if end and os.pread(fd, 1, end - 1) != b"\n":
                os.write(fd, b"\n")
        except OSError:  # not a regular file: nothing to mend
            pass
        return fd
