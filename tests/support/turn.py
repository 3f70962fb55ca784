"""One at a time: every end-to-end test and benchmark uses the same addresses on loopback."""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["turn"]


@contextmanager
def turn() -> Iterator[None]:
    """Waits until no other run on this machine uses the test addresses, and holds them."""
    with (Path(tempfile.gettempdir()) / "sbc-loopback.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
