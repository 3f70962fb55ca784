"""The secret under which our identifiers are checked: one file, kept across restarts."""

from __future__ import annotations

import os
import secrets
from typing import Final

from sbc.errors import SbcError

__all__ = ["identifier_key"]

_KEY_BYTES: Final = 32


def identifier_key(state_dir: str) -> bytes:
    """The key in `state_dir`/identifier.key; made, mode 0600, where there is none yet.

    Raises:
        SbcError: the file cannot be read or made, or is not a key; one line that names it.
    """
    path = os.path.join(state_dir, "identifier.key")
    try:
        os.makedirs(state_dir, mode=0o750, exist_ok=True)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            with open(path, "rb") as file:
                key = file.read(_KEY_BYTES + 1)
        else:
            key = secrets.token_bytes(_KEY_BYTES)
            with open(fd, "wb") as file:
                file.write(key)
                file.flush()
                os.fsync(fd)
    except OSError as error:
        raise SbcError(f"cannot use {path}: {os.strerror(error.errno or 0)}") from error
    if len(key) != _KEY_BYTES:
        raise SbcError(f"{path}: expected {_KEY_BYTES} bytes, found {len(key)}; delete the file")
    return key
