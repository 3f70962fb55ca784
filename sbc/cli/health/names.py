"""Where the peers are that are names: as the running border has them, or as the DNS says now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sbc.cli.health.finding import Finding, fail, ok, warn
from sbc.cli.health.machine import Machine
from sbc.cli.health.running import Running
from sbc.settings import Settings

__all__ = ["names"]


def names(settings: Settings, machine: Machine, running: Running) -> Iterator[Finding]:
    """What each named peer leads to, who says so, and until when."""
    if not any(peer.is_name for trunk in settings.policies.trunks for peer in trunk.peers):
        return
    told = running.status.get("names") if running.status is not None else None
    if not isinstance(told, list):
        from sbc.runtime.lookup import look_up  # takes a second, and most borders have no names

        told = look_up(settings)
    for one in told:
        yield _finding(one)


def _finding(one: Mapping[str, Any]) -> Finding:
    name = f"{one['trunk']}: {one['peer']}"
    if not one["places"]:
        return fail(
            "names",
            f"{name} leads nowhere ({one['problem']})",
            "see the records of the name, dns.servers, and the transport of the trunk",
        )
    places = ", ".join(_place(place) for place in one["places"])
    servers = ", ".join(one["servers"]) or "nobody"
    text = f"{name} is {places}; says {servers}"
    if one["stale"]:
        return warn("names", f"{text}, which is silent now", "see why the DNS does not answer")
    return ok("names", f"{text}, good for {one['fresh_for_s']:g} s more")


def _place(place: Mapping[str, Any]) -> str:
    host = str(place["address"])
    text = f"{place['transport']}:[{host}]" if ":" in host else f"{place['transport']}:{host}"
    ago = place["failed_s_ago"]
    failed = "" if ago is None else f" (failed {ago:.0f} s ago)"
    return f"{text}:{place['port']}{failed}"
