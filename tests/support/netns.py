"""Networks with a router that translates addresses (nft): a telephone behind it, or the border."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Sequence
from types import TracebackType
from typing import Self

__all__ = ["CloudNetwork", "HomeNetwork", "OwnNetwork"]

_CLONE_NEWNET = 0x40000000


class OwnNetwork:
    """A network of its own, with nothing but a loopback, for this thread and all that it starts.

    Made in the constructor; the thread is back in its former one at the end of the context. Needs
    root.

    Args:
        addresses: of the loopback, IPv6, besides the usual ones.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self._former = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self._libc = ctypes.CDLL(None, use_errno=True)
        if self._libc.unshare(_CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        _ip("link set lo up")
        for address in addresses:
            _ip(f"addr add {address}/128 dev lo nodad")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        failed = self._libc.setns(self._former, _CLONE_NEWNET)
        os.close(self._former)
        if failed:
            raise OSError(ctypes.get_errno(), "setns")


class _Network:
    """Us — our wire — router with NAT — the telephone's wire — the telephone's namespace.

    Made in the constructor, removed at the end of the context; needs root.
    """

    ours: str
    """Our end of our wire: where the border listens."""
    router: str
    """The other end of it."""
    phone: str
    gateway: str
    """The other end of the telephone's wire."""
    rules: tuple[str, ...]
    """Of the router; its wires are `ours` and `home`."""

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

    def __enter__(self) -> Self:
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
        _ip(f"link add {wire} type veth peer name ours netns {gate}")
        _ip(f"addr add {self.ours}/24 dev {wire}")
        _ip(f"link set {wire} up")
        _ip(f"-n {gate} addr add {self.router}/24 dev ours")
        _ip(f"-n {gate} link add home type veth peer name eth0 netns {home}")
        _ip(f"-n {gate} addr add {self.gateway}/24 dev home")
        _ip(f"-n {home} addr add {self.phone}/24 dev eth0")
        for space, link in ((gate, "ours"), (gate, "home"), (home, "eth0"), (home, "lo")):
            _ip(f"-n {space} link set {link} up")
        _ip(f"-n {home} route add default via {self.gateway}")
        _run(["ip", "netns", "exec", gate, "sysctl", "-qw", "net.ipv4.ip_forward=1"])
        for rule in self.rules:
            _run(["ip", "netns", "exec", gate, "nft", rule])


class HomeNetwork(_Network):
    """The telephone is behind the router, which changes ports, too, as a home router may."""

    ours = "10.213.7.1"
    router = "10.213.7.2"
    """What the border sees every packet of the telephone come from."""
    phone = "192.168.213.2"
    gateway = "192.168.213.1"
    rules: tuple[str, ...] = (
        "table ip nat { chain post { type nat hook postrouting priority 100;"
        ' oifname "ours" masquerade random; }; }',
    )


class CloudNetwork(_Network):
    """The border is behind the router: it has a private address, and to all others a public one.

    Nobody but the router reaches the private one.
    """

    ours = "10.213.8.1"
    router = "10.213.8.2"
    phone = "198.51.100.2"
    gateway = "198.51.100.1"
    public = "203.0.113.7"
    rules: tuple[str, ...] = (
        "table ip guard { chain pre { type filter hook prerouting priority -300;"
        f' iifname "home" ip daddr {ours} drop; }}; }}',
        "table ip nat {"
        " chain pre { type nat hook prerouting priority -100;"
        f' iifname "home" ip daddr {public} dnat to {ours}; }};'
        " chain post { type nat hook postrouting priority 100;"
        f' oifname "home" ip saddr {ours} snat to {public}; }}; }}',
    )

    def _make(self) -> None:
        super()._make()
        _ip(f"route add {self.phone} via {self.router}")  # goes with its wire


def _ip(arguments: str) -> None:
    _run(["ip", *arguments.split()])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
