"""A process that we started or adopted: watched by pidfd, held by a lifeline.

Standard library only. Children are exec'd in a session of their own, never forked without an
exec, and never tied to a thread of ours (PDEATHSIG would be).
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

__all__ = ["Process", "start"]


class Process:
    """A process that we look after: a child of ours, or one that we adopted.

    Args:
        pid: its process id, alive or not yet waited for.
        lifeline: the write end that we hold, or -1.
        popen: the handle if it is our child; an adopted process has no exit code for us.
    """

    __slots__ = ("_lifeline", "_pidfd", "_popen", "pid")

    def __init__(
        self, pid: int, lifeline: int = -1, popen: subprocess.Popen[bytes] | None = None
    ) -> None:
        self.pid = pid
        self._lifeline = lifeline
        self._popen = popen
        self._pidfd = os.pidfd_open(pid)

    def fileno(self) -> int:
        """The pidfd: readable when the process has ended."""
        return self._pidfd

    def ended(self, wait_s: float = 0) -> bool:
        """Whether it has ended, within `wait_s` seconds."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(wait_s * 1000))

    def exit_code(self) -> int | None:
        """Exit code, negative for a signal; None if it is not our child or has not ended."""
        return None if self._popen is None else self._popen.poll()

    def signal(self, number: int) -> None:
        """Send a signal; nothing happens if it has ended."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)

    def let_go(self) -> None:
        """End its lifeline: it is an orphan from now on."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def close(self) -> None:
        """Forget it. Its lifeline ends, its exit status is collected if it is there."""
        self.let_go()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        if self._popen is not None and self._popen.poll() is None:
            self._popen.returncode = 0  # not waited for on purpose: no ResourceWarning


def start(
    arguments: Sequence[str],
    *,
    pass_fds: Sequence[int] = (),
    lifeline_option: str = "--lifeline-fd",
) -> Process:
    """Start `python -P <arguments> --lifeline-fd N` in a session of its own.

    Args:
        arguments: for the interpreter, e.g. `["-m", "relay", "worker", "--fd", "7"]`.
        pass_fds: further descriptors that it inherits, under the same numbers.

    Raises OSError if there are no descriptors or processes left.
    """
    theirs, ours = os.pipe()
    environment = {key: value for key, value in os.environ.items() if key != "NOTIFY_SOCKET"}
    try:
        popen = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", *arguments, lifeline_option, str(theirs)],
            pass_fds=(*pass_fds, theirs),
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # a terminal's Ctrl-C reaches the launcher alone
            close_fds=True,
            env=environment,
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return Process(popen.pid, ours, popen)
