"""The signalling process: `python -P -m sbc.runtime --settings FILE`; started by the launcher."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Final

import trio

from relay.control import lifeline
from sbc.call.crossing.headers import Hide
from sbc.config.load import load
from sbc.config.problems import ConfigError
from sbc.errors import SbcError
from sbc.extension import core, look
from sbc.runtime.admin import Admin
from sbc.runtime.face import Face
from sbc.runtime.journal import start_logging
from sbc.runtime.public_address import PublicAddresses
from sbc.runtime.server import Server
from sbc.settings import Settings
from sbc.transport.opening import name_of

__all__ = ["main"]

_log = logging.getLogger("sbc.signalling")

_DRAIN_S: Final = 8.0
SIGNALLING_SOCKET: Final = "signalling.sock"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve one border until told to stop; the exit code of the process."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to open again
    options = _options(arguments)
    try:
        settings = load(options.settings)
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201 (before logging is set up)
        return lifeline.EXIT_SETTINGS
    if settings.unread_secrets:
        print(*settings.unread_secrets, sep="\n", file=sys.stderr)  # noqa: T201
        return lifeline.EXIT_SETTINGS
    start_logging(settings.log.level, settings.log.json)
    path = os.path.join(settings.run_dir, SIGNALLING_SOCKET)
    try:
        child = lifeline.Child(
            options.lifeline_fd, path, options.settings_hash, settings.relay.grace_s
        )
    except OSError as error:
        _log.error("cannot listen on %s: %s", path, os.strerror(error.errno or 0))
        return 1
    public = PublicAddresses(settings)
    try:
        trio.run(public.learn)
        server = Server(public.settings, hide=_hide(), public=public)
        server.open()
    except SbcError as error:
        _log.error("%s", error)
        child.close()
        return 1  # the machine's state, not the settings: the same start may work later
    failed = False
    try:
        trio.run(_serve, server, server.settings, child, options.ready_fd)
    except* SbcError as group:
        failed = True
        for fault in group.exceptions:
            _log.error("%s", fault)
    finally:
        child.close()
    return 1 if failed else 0


async def _serve(server: Server, settings: Settings, child: lifeline.Child, ready_fd: int) -> None:
    admin = Admin(flush=server.flush, clock=server.clock)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        await nursery.start(admin.serve, os.path.join(settings.run_dir, "sbc.sock"), Face(server))
        _say_ready(server, settings, child, ready_fd)
        nursery.start_soon(_watch_parent, child, server, nursery.cancel_scope)
        await _wait_for_signal(server, child, nursery.cancel_scope)


def _say_ready(server: Server, settings: Settings, child: lifeline.Child, ready_fd: int) -> None:
    where = " ".join(
        name_of(one.transport, one.host, one.port) for one in settings.transport.listeners
    )
    _log.debug("listening %s", where)  # the launcher says it, once
    _log.info("signalling.running core=%s parser=%s", core(), look().parser)
    child.facts = {"ready": True, "listening": where}
    if ready_fd >= 0:
        os.write(ready_fd, f"ready {where}\n".encode())
        os.close(ready_fd)


async def _watch_parent(child: lifeline.Child, server: Server, scope: trio.CancelScope) -> None:
    """Go on without a launcher for the grace time, then end."""
    while True:
        left_s = child.deadline - time.monotonic() if child.deadline is not None else 3600.0
        with trio.move_on_after(max(0.0, left_s)):
            await trio.lowlevel.wait_readable(child.fileno())
        for event in child.handle(time.monotonic()):
            _log.info("launcher.%s", event.name.lower())
            if event is lifeline.Event.GRACE_OVER:
                await server.drain(_DRAIN_S)
                scope.cancel()
                return


async def _wait_for_signal(server: Server, child: lifeline.Child, scope: trio.CancelScope) -> None:
    """SIGTERM and SIGINT: drain, then end; a second one ends at once. SIGHUP: see below."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:
            stopping = False
            async for number in signals:
                if number == signal.SIGHUP:  # records into a new file, certificates read anew
                    _reopen_records(server)
                    nursery.start_soon(server.certificates.reload)
                elif stopping:
                    break
                else:
                    stopping = child.final = True
                    nursery.start_soon(_drain, server, scope)
            nursery.cancel_scope.cancel()
    scope.cancel()


def _reopen_records(server: Server) -> None:
    """After a rotation; where that cannot be, records go on into the file that is open."""
    try:
        server.cdr.reopen()
        _log.info("cdr.reopened path=%s", server.cdr.path)
    except SbcError as error:
        _log.error("%s", error)


async def _drain(server: Server, scope: trio.CancelScope) -> None:
    await server.drain(_DRAIN_S)
    scope.cancel()


def _hide() -> Hide:
    """Every hiding rule; a test of the hiding check itself may name one to be switched off."""
    off = os.environ.get("SBC_TEST_UNHIDE", "")
    if not off:
        return Hide()
    _log.warning("SBC_TEST_UNHIDE=%s: a hiding rule is off, so a side may see the other", off)
    return Hide(**{off: False})


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sbc.runtime", description=__doc__)
    parser.add_argument("--settings", required=True, help="the border's configuration file")
    parser.add_argument("--settings-hash", default="", help="what an adopting launcher compares")
    parser.add_argument("--lifeline-fd", type=int, default=-1)
    parser.add_argument("--ready-fd", type=int, default=-1)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
