"""A telephone's home network: a namespace behind a router that translates addresses (nft)."""

from __future__ import annotations

import os
import subprocess
from types import TracebackType

__all__ = ["HomeNetwork"]


class HomeNetwork:
    """Us — public wire — router with NAT — home wire — the telephone's namespace.

    The router changes ports, too (`masquerade random`), as a home router may. Made in the
    constructor, removed at the end of the context; needs root.
    """

    public = "10.213.7.1"
    """Our end of the public wire: where the border listens."""
    router = "10.213.7.2"
    """What the border sees every packet of the telephone come from."""
    phone = "192.168.213.2"

    def __init__(self) -> None:
        mark = os.getpid() % 100_000
        self.home = f"sbch{mark}"
        self._gate = f"sbcg{mark}"
        self._wire = f"sbcw{mark}"
        try:
            self._make()
        except BaseException:
            self.remove()
            raise

    def __enter__(self) -> HomeNetwork:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()

    def inside(self) -> list[str]:
        """What to put before a command that is to run in the telephone's namespace."""
        return ["ip", "netns", "exec", self.home]

    def remove(self) -> None:
        for name in (self.home, self._gate):
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
        subprocess.run(["ip", "link", "del", self._wire], capture_output=True)

    def _make(self) -> None:
        gate, home, wire = self._gate, self.home, self._wire
        _ip(f"netns add {gate}")
        _ip(f"netns add {home}")
        _ip(f"link add {wire} type veth peer name public netns {gate}")
        _ip(f"addr add {self.public}/24 dev {wire}")
        _ip(f"link set {wire} up")
        _ip(f"-n {gate} addr add {self.router}/24 dev public")
        _ip(f"-n {gate} link add home type veth peer name eth0 netns {home}")
        _ip(f"-n {gate} addr add 192.168.213.1/24 dev home")
        _ip(f"-n {home} addr add {self.phone}/24 dev eth0")
        for space, link in ((gate, "public"), (gate, "home"), (home, "eth0"), (home, "lo")):
            _ip(f"-n {space} link set {link} up")
        _ip(f"-n {home} route add default via 192.168.213.1")
        _run(["ip", "netns", "exec", gate, "sysctl", "-qw", "net.ipv4.ip_forward=1"])
        rules = (
            "table ip nat { chain post { type nat hook postrouting priority 100;"
            ' oifname "public" masquerade random; }; }'
        )
        _run(["ip", "netns", "exec", gate, "nft", rules])


def _ip(arguments: str) -> None:
    _run(["ip", *arguments.split()])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
