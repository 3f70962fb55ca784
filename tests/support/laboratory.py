"""A laboratory of network namespaces: us — near wire — the link's namespace — far wire — a sender.

Nothing forwards between the two wires but a process of the test's own (`lossy_link`).
"""

from __future__ import annotations

import os
import subprocess
from types import TracebackType

__all__ = ["Laboratory"]


class Laboratory:
    """Made in the constructor, removed at the end of the context; needs root."""

    us = "10.213.9.1"
    """Our end of the near wire."""
    link = "10.213.9.2"
    """The link's end of it: what we see packets come from."""
    link_far = "10.213.10.1"
    sender = "10.213.10.2"

    def __init__(self) -> None:
        mark = os.getpid() % 100_000
        self.middle, self.far, self._wire = f"sbcm{mark}", f"sbcf{mark}", f"sbcl{mark}"
        try:
            self._make()
        except BaseException:
            self.remove()
            raise

    def __enter__(self) -> Laboratory:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()

    def remove(self) -> None:
        for name in (self.far, self.middle):
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
        subprocess.run(["ip", "link", "del", self._wire], capture_output=True)

    def _make(self) -> None:
        middle, far, wire = self.middle, self.far, self._wire
        for line in (
            f"netns add {middle}",
            f"netns add {far}",
            f"link add {wire} type veth peer name near netns {middle}",
            f"addr add {self.us}/24 dev {wire}",
            f"link set {wire} up",
            f"-n {middle} addr add {self.link}/24 dev near",
            f"-n {middle} link add far type veth peer name eth0 netns {far}",
            f"-n {middle} addr add {self.link_far}/24 dev far",
            f"-n {far} addr add {self.sender}/24 dev eth0",
            f"-n {middle} link set near up",
            f"-n {middle} link set far up",
            f"-n {far} link set eth0 up",
        ):
            done = subprocess.run(["ip", *line.split()], capture_output=True, text=True)
            if done.returncode != 0:
                raise RuntimeError(f"ip {line}: {done.stderr.strip()}")
