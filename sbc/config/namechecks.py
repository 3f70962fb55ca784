"""Whether peers that are names can be looked up, and lead to one trunk each."""

from __future__ import annotations

from collections.abc import Iterator

from policies.settings import Peer, Resolve
from sbc.config.faults import Fault
from sbc.config.models import Border

__all__ = ["is_name", "name_faults"]


def is_name(host: str) -> bool:
    """Whether a peer's address is one that the DNS has to give."""
    return Peer(host=host).is_name


def name_faults(border: Border) -> Iterator[Fault]:
    """Where something does not fit, and what."""
    owners: dict[tuple[str, str], str] = {}
    for name, trunk in border.trunks.items():
        for index, peer in enumerate(trunk.peers):
            if not is_name(peer.address):
                continue
            path = ("trunks", name, "peers", index)
            owner = owners.setdefault((trunk.realm, peer.address), name)
            if not trunk.sources and owner != name:
                yield Fault(
                    path,
                    f"expected sources, or a name of its own in realm {trunk.realm}, got"
                    f" {peer.address}, which trunk {owner} has",
                )
            if trunk.resolve is Resolve.SRV and peer.port is not None:
                yield Fault(
                    path,
                    "expected a name without a port, for SRV says it (resolve: srv), got"
                    f" {peer.address}:{peer.port}",
                )
