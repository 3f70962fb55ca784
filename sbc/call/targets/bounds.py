"""Which addresses a peer may have our requests sent to: none of ours, none of another network's.

PURE. A peer says by Contact and Record-Route where it is, and may say anything. What it names is
followed to any address of its own network or of nobody's; but a border stands in several networks,
and must not be sent from one into the other, nor to itself, by whoever is in the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from policies.settings import TrunkSettings
from sbc.transport.settings import ListenerSettings

__all__ = ["Bounds"]

_REMEMBERED: Final = 4096


class Bounds:
    """What belongs to whom.

    Args:
        trunks: whose sources and numeric peers are each realm's own. A source of all addresses
            there are says nothing of any.
        listeners: where we are.
    """

    __slots__ = ("_known", "_networks", "_ours")

    def __init__(
        self, trunks: Iterable[TrunkSettings], listeners: Sequence[ListenerSettings]
    ) -> None:
        shown = (host for one in listeners for host in (one.host, one.advertise_host))
        self._ours = frozenset(filter(None, map(_address, shown)))
        self._networks: dict[str, set[IPv4Network | IPv6Network]] = {}
        for trunk in trunks:
            networks = self._networks.setdefault(trunk.realm, set())
            networks.update(one for one in trunk.sources if one.prefixlen)
            for peer in trunk.peers:
                if not peer.is_name:
                    address = _plain(ip_address(peer.host))
                    network = IPv4Network if address.version == 4 else IPv6Network
                    networks.add(network(address))
        self._known: dict[tuple[str, str, str], bool] = {}

    def crosses(self, realm: str, peer: str, host: str) -> bool:
        """Whether a peer must not have us send there.

        Args:
            realm: the peer's.
            peer: where it is as far as we have seen.
            host: the numeric address that it names.
        """
        key = realm, peer, host
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[key] = self._crosses(realm, peer, host)
        return found

    def _crosses(self, realm: str, peer: str, host: str) -> bool:
        address = _plain(ip_address(host))
        if address in self._ours:
            return True
        if self._is_of(realm, address):
            return False
        if address.is_loopback and not ip_address(peer).is_loopback:
            return True
        return any(self._is_of(other, address) for other in self._networks if other != realm)

    def _is_of(self, realm: str, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._networks.get(realm, ()))


def _address(host: str) -> IPv4Address | IPv6Address | None:
    """None for a name."""
    try:
        return _plain(ip_address(host.strip("[]")))
    except ValueError:
        return None


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """An IPv4 address in IPv6 clothes (RFC 4291 §2.5.5.2) is IPv4."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
