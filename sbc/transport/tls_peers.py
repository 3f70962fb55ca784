"""Whose connection is this: what certificates say about trunks (RFC 5922 §7). PURE."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sbc.errors import TransportError
from sbc.transport.identity import Identity, wrong_name
from sbc.transport.settings import PeerSettings

__all__ = ["TlsPeers"]


class TlsPeers:
    """The trunks, by what their certificates must bear.

    Args:
        peers: one for each trunk.
    """

    __slots__ = ("_named", "_of")

    def __init__(self, peers: Iterable[PeerSettings]) -> None:
        self._of: Final = {peer.trunk: peer for peer in peers}
        self._named: Final = [
            peer for peer in self._of.values() if peer.name or peer.by_certificate
        ]

    def of(self, trunk: str) -> PeerSettings | None:
        """A trunk's settings, None for nobody's."""
        return self._of.get(trunk)

    def expected(self, trunk: str, host: str, name: str) -> tuple[str, ...]:
        """The names of which the certificate at `host` must bear one; () where any will do.

        Args:
            trunk: whom we call, "" for nobody known.
            host: the address that we call.
            name: how that address was found, "" where it was given as such.
        """
        peer = self._of.get(trunk)
        if peer is not None and not peer.verify:
            return ()
        if peer is not None and peer.name:
            return (peer.name,)
        if name:
            return (name,)
        return (host, *(peer.hosts if peer is not None else ()))

    def owner(self, realm: str, trunk: str, identity: Identity | None) -> str:
        """The trunk that a connection from outside is known to be by its certificate, or "".

        Args:
            realm: whose listener it came to.
            trunk: whose address it comes from, "" for a stranger's.
            identity: what its verified certificate says, None where it showed none.

        Raises:
            TransportError: it comes from one trunk and bears the name of another.
        """
        if identity is None:
            return ""
        bearers = [
            peer for peer in self._named if peer.realm == realm and identity.bears_any(_names(peer))
        ]
        for peer in bearers:
            if peer.by_certificate:
                return peer.trunk
        ours = self._of.get(trunk)
        if ours is None or ours in bearers:
            return ""
        if ours.name:
            raise TransportError(f"{wrong_name(str(identity), ours.name)} (trunk {trunk})")
        if bearers and not identity.bears_any(ours.hosts):
            other = bearers[0].trunk
            raise TransportError(f"its certificate is that of trunk {other}, not of {trunk}")
        return ""


def _names(peer: PeerSettings) -> tuple[str, ...]:
    return (peer.name,) if peer.name else peer.hosts
