"""How a command becomes one of the border's processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

__all__ = ["as_file", "become"]


def as_file(text: str) -> str:
    """A path that this process, and what it becomes, can read `text` from.

    It is memory and no file: a second `sbc run`, which will be refused, must not write over what
    the first one goes by. Raises OSError if there is no descriptor left.
    """
    descriptor = os.memfd_create("settings", 0)  # unlike a file that is opened, it is inherited
    with os.fdopen(os.dup(descriptor), "w", encoding="utf-8") as file:
        file.write(text)
    return f"/proc/self/fd/{descriptor}"


def become(arguments: Sequence[str]) -> NoReturn:
    """Go on as `python -P -m <arguments>`: small, with nothing of this process left in it.

    Raises SystemExit(1), after one line, where this user may not start the interpreter.
    """
    command = [sys.executable, "-P", "-m", *arguments]
    try:
        os.execv(sys.executable, command)  # noqa: S606 (our own interpreter, no shell)
    except OSError as error:
        fault = error.strerror or str(error)
        print(f"{sys.executable}: cannot be started by this user: {fault}", file=sys.stderr)  # noqa: T201
        raise SystemExit(1) from None
