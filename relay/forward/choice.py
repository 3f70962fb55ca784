"""Which fast path a worker has: the best that this machine can run, or the one configured."""

from __future__ import annotations

import logging
from typing import TypeAlias

from relay.extension import look
from relay.forward.native import NativeForwarder
from relay.forward.python import PythonForwarder
from relay.loop import Loop

__all__ = ["FastPath", "choose"]

FastPath: TypeAlias = PythonForwarder | NativeForwarder

_log = logging.getLogger(__name__)


def choose(wanted: str, loop: Loop) -> FastPath:
    """The fast path for this loop; one line of the log says which, and why not a better one.

    Args:
        wanted: `auto`, or one of `relay.settings.FAST_PATHS`. Where it cannot run here, `python`
            serves in its place.
        loop: the worker's.

    Raises OSError: out of descriptors.
    """
    if wanted == "python":
        return PythonForwarder(loop)
    extension = look()
    if not extension.usable:
        level = logging.WARNING if wanted == "native" else logging.INFO
        _log.log(level, "fast_path.python reason=%s", extension)
        return PythonForwarder(loop)
    level = logging.INFO if extension.profile == "release" else logging.WARNING
    calls = f"plain reason={extension.ringless}" if extension.ringless else "io_uring"
    said = extension.version, extension.profile, calls
    _log.log(level, "fast_path.native version=%s build=%s calls=%s", *said)
    return NativeForwarder(loop)
