"""Secrets of the configuration: where they are, and that nobody prints them.

A password is written as a reference, `file:PATH` or `env:NAME`; the hash that stands for one may be
in the file itself. Whatever shows a part of the file (a command, a diff, an error) asks `is_secret`
here, by way of `Source.written`, `shown` or `sbc.config.masking`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from policies.users import Secret

__all__ = [
    "HIDDEN",
    "Unread",
    "is_reference",
    "is_secret",
    "open_to_all",
    "read_secret",
    "secrets_in",
    "shown",
]

HIDDEN: Final = "*****"
_MAX_BYTES: Final = 1024
_KINDS: Final = ("file:", "env:")


@dataclass(frozen=True, slots=True)
class Unread:
    """A secret that is not to be had here."""

    text: str
    """What was found, for `expected …, got …`."""
    elsewhere: bool
    """Whether the border itself, as another user in another environment, may well have it."""


def is_reference(text: str) -> bool:
    """Whether `text` says where a secret is, and is none itself."""
    return any(text.startswith(kind) and len(text) > len(kind) for kind in _KINDS)


def read_secret(reference: str, folder: str) -> Secret | Unread:
    """What a reference stands for; one line end after it in a file is not part of it.

    Args:
        reference: `file:PATH` or `env:NAME`.
        folder: where relative paths begin.
    """
    kind, _, where = reference.partition(":")
    if kind == "env":
        text = os.environ.get(where)
        if text is None:
            return Unread(f"no variable {where} in this environment", elsewhere=True)
        value = os.fsencode(text)
    else:
        path = os.path.join(folder, where)
        try:
            with open(path, "rb") as file:
                value = file.read(_MAX_BYTES + 2)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            return Unread(f"{path}: {reason}", elsewhere=isinstance(error, PermissionError))
        value = value.removesuffix(b"\n").removesuffix(b"\r")
    if not value or len(value) > _MAX_BYTES or any(byte < 0x20 or byte == 0x7F for byte in value):
        return Unread(f"something else in {where}", elsewhere=False)
    return Secret(value)


def open_to_all(reference: str, folder: str) -> bool:
    """Whether it is a file that everybody on this machine may read."""
    kind, _, where = reference.partition(":")
    if kind != "file":
        return False
    try:
        return bool(os.stat(os.path.join(folder, where)).st_mode & stat.S_IROTH)
    except (OSError, ValueError):
        return False


def is_secret(path: Iterable[str | int]) -> bool:
    """Whether a text at `path` is shown to nobody, unless it is a reference.

    What stands where a mapping of secrets belongs may be a secret too.
    """
    names = [part for part in path if isinstance(part, str)]
    if names[:1] == ["users"] and len(names) == 2:
        return True
    return bool(names) and (names[-1] in ("password", "credentials") or "ha1" in names[2:])


def secrets_in(data: object) -> frozenset[str]:
    """The secrets that the values of a file hold themselves."""
    found: set[str] = set()
    _walk(data, (), found)
    return frozenset(found)


def shown(value: object, path: Iterable[str | int] = ()) -> object:
    """The values of a file from `path` on, without the secrets among them."""
    return _walk(value, tuple(path), set())


def _walk(value: Any, path: tuple[str | int, ...], found: set[str]) -> object:  # noqa: ANN401
    if isinstance(value, dict):
        return {name: _walk(one, (*path, str(name)), found) for name, one in value.items()}
    if isinstance(value, list):
        return [_walk(one, path, found) for one in value]
    if value is None or isinstance(value, bool) or not is_secret(path):
        return value
    text = str(getattr(value, "written", value))
    if is_reference(text):
        return value
    found.add(text)
    return HIDDEN
