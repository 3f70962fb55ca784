"""As whom the network sees us: as the running border knows it, or as a STUN server says now."""

from __future__ import annotations

from collections.abc import Iterator

from sbc.cli.health.finding import Finding, fail, ok
from sbc.cli.health.machine import Machine
from sbc.cli.health.running import Running
from sbc.settings import Settings

__all__ = ["public_addresses"]


def public_addresses(settings: Settings, machine: Machine, running: Running) -> Iterator[Finding]:
    """Each address that nobody has written down."""
    if not settings.stun:
        return
    import trio

    from sbc.runtime.public_address import PublicAddresses

    public, faults = PublicAddresses(settings), {}
    if running.status is None:
        faults = trio.run(public.ask)
    else:
        public.adopt(running.status)
    for one in public.describe():
        yield ok("public", f"{one['local']} of realm {one['realm']} is {one['public']} outside")
    for text in faults.values():
        yield fail("public", text, "see whether the server answers, or write advertise: ADDRESS")
