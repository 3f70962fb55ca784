"""What the tests with real peers need of the machine, and the name of what is missing."""

from __future__ import annotations

import os
import shutil
import socket
from functools import cache

import relay.extension
import sbc.extension

__all__ = ["KINDS", "missing", "required"]

_TOOLS = {
    "e2e": (
        ("sipp", "sip-tester"),
        ("baresip", "baresip-core"),
        ("sox", "sox"),
        ("tshark", "tshark"),
    ),
    "netns": (
        ("ip", "iproute2"),
        ("nft", "nftables"),
        ("sysctl", "procps"),
        ("turnserver", "coturn"),
    ),
}
"""For each marker the commands that its tests run, and the Debian package of each."""

_EXTENSIONS = {"native": relay.extension, "parser": sbc.extension}

KINDS = (*_TOOLS, *_EXTENSIONS)


def required() -> frozenset[str]:
    """The kinds of test that must not be skipped: `SBC_REQUIRE=e2e,netns`. Raises ValueError."""
    asked = frozenset(filter(None, os.environ.get("SBC_REQUIRE", "").split(",")))
    unknown = asked - set(KINDS)
    if unknown:
        raise ValueError(f"SBC_REQUIRE: expected some of {', '.join(KINDS)}, got {unknown}")
    return asked


@cache
def missing(kind: str) -> str | None:
    """What this machine lacks for the tests of `kind`, or None."""
    if kind in _EXTENSIONS:
        found = _EXTENSIONS[kind].look()
        return None if found.usable else f"missing: {found}"
    lacking = [f"{tool} (Debian: {package})" for tool, package in _TOOLS[kind] if not _find(tool)]
    if lacking:
        return "missing: " + ", ".join(lacking)
    if kind == "netns" and os.geteuid() != 0:
        return "missing: root, to make network namespaces"
    if kind == "e2e" and not _may_capture():
        return "missing: CAP_NET_RAW, to capture what each side receives"
    return None


def _find(tool: str) -> str | None:
    """Where a command is; Debian keeps some out of an ordinary user's path."""
    beside = os.environ.get("SBC_TOOL_PATH", "/usr/sbin:/sbin")
    return shutil.which(tool) or shutil.which(tool, path=beside)


def _may_capture() -> bool:
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except PermissionError:
        return False
    return True
