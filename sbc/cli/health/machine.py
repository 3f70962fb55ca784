"""What this machine says of itself, read from /proc."""

from __future__ import annotations

import ipaddress
import os
import re
import resource
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import relay.extension
import sbc.extension

__all__ = ["CAPABILITIES", "Holder", "Machine"]

CAPABILITIES: Final = {"NET_BIND_SERVICE": 10, "NET_ADMIN": 12, "SYS_RESOURCE": 24, "BPF": 39}
"""Those that make a difference, by bit <linux/capability.h>."""

_LISTEN: Final = "0A"
_WILDCARDS: Final = ("0.0.0.0", "::")  # noqa: S104 (compared, not bound)
_SOCKET: Final = re.compile(r"socket:\[([0-9]+)\]")


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a port."""

    pid: int
    """0 where we may not see it."""
    name: str

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})" if self.pid else "another user's program"


class Machine:
    """The machine that this process runs on.

    Args:
        proc: where the kernel tells.
    """

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = Path(proc)

    def sysctl(self, name: str) -> str:
        """`net.core.rmem_max` as text; empty where there is no such thing."""
        return self._read("sys/" + name.replace(".", "/")).strip()

    def number(self, name: str, default: int) -> int:
        """A sysctl that is one whole number."""
        text = self.sysctl(name)
        return int(text) if text.isdigit() else default

    def extension(self) -> relay.extension.Extension:
        """The compiled part of the relay."""
        return relay.extension.look()

    def core(self) -> str:
        """`compiled` or `interpreted`: how signalling would run."""
        return sbc.extension.core()

    def parser(self) -> sbc.extension.Extension:
        """The compiled parser."""
        return sbc.extension.look()

    def ephemeral_ports(self) -> range:
        """What the kernel gives to outgoing connections."""
        words = self.sysctl("net.ipv4.ip_local_port_range").split()
        if len(words) != 2 or not all(word.isdigit() for word in words):
            return range(0)
        return range(int(words[0]), int(words[1]) + 1)

    def reserved_ports(self) -> set[int]:
        """Those of them that it leaves alone."""
        ports: set[int] = set()
        for part in self.sysctl("net.ipv4.ip_local_reserved_ports").split(","):
            first, _, last = part.partition("-")
            if first.isdigit() and (not last or last.isdigit()):
                ports.update(range(int(first), int(last or first) + 1))
        return ports

    def capabilities(self) -> set[str]:
        """Which of CAPABILITIES this process has in effect."""
        for line in self._read("self/status").splitlines():
            if line.startswith("CapEff:"):
                bits = int(line.split()[1], 16)
                return {name for name, bit in CAPABILITIES.items() if bits >> bit & 1}
        return set()

    def open_files(self) -> tuple[int, int]:
        """RLIMIT_NOFILE: soft, hard."""
        return resource.getrlimit(resource.RLIMIT_NOFILE)

    def processors(self) -> int:
        """Those that we may use."""
        return len(os.sched_getaffinity(0))

    def free_bytes(self, path: str) -> int:
        """What the file system of `path` has left. Raises OSError."""
        return shutil.disk_usage(path).free

    def holder(self, transport: str, host: str, port: int) -> Holder | None:
        """Who keeps us from binding this address; None: nobody."""
        inodes = {inode for held, inode in self._sockets(transport, host) if held == port}
        if not inodes:
            return None
        for process in self._proc.iterdir():
            if not process.name.isdigit():
                continue
            try:
                for descriptor in (process / "fd").iterdir():
                    match = _SOCKET.fullmatch(os.readlink(descriptor))
                    if match is not None and match[1] in inodes:
                        return Holder(int(process.name), self._name(process))
            except OSError:
                continue  # it ended, or is another user's
        return Holder(0, "")

    def udp_ports(self, host: str) -> set[int]:
        """Every UDP port that cannot be bound on this address."""
        return {port for port, _ in self._sockets("udp", host)}

    def _sockets(self, transport: str, host: str) -> list[tuple[int, str]]:
        """(port, inode) of each bound UDP, or listening TCP, socket on `host` or on all."""
        found: list[tuple[int, str]] = []
        for table in (transport, transport + "6"):
            for line in self._read(f"net/{table}").splitlines()[1:]:
                words = line.split()
                if transport == "tcp" and words[3] != _LISTEN:
                    continue
                address, _, port = words[1].rpartition(":")
                if _host(address) in (host, *_WILDCARDS):
                    found.append((int(port, 16), words[9]))
        return found

    def _name(self, process: Path) -> str:
        words = (process / "cmdline").read_bytes().split(b"\0")
        shown = b" ".join(word for word in words if word)[:60]
        return shown.decode("utf-8", "replace") or "a process"

    def _read(self, name: str) -> str:
        try:
            return (self._proc / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""


def _host(words: str) -> str:
    """`0100007F` as 127.0.0.1: 32-bit words, each in the machine's order."""
    raw = bytes.fromhex(words)
    if sys.byteorder == "little":
        raw = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    return str(ipaddress.ip_address(raw))
