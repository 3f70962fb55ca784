"""Who is speaking to us: from realm and source address to trunk.

A source belongs to the trunk of its realm with the most specific network that holds it, as in
IP routing; `sbc check` refuses two trunks of one realm with the same network. Addresses that a
trunk's names have come and go (`follow`); one that the file gives to another trunk stays there.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from policies.settings import Identify, Network, Peer, PolicySettings, TrunkSettings

__all__ = ["Access"]

_REMEMBERED: Final = 8192
"""Sources kept for each of the answers "trunk" and "stranger", in each realm."""


class Access:
    """The trunks' sources as an index, with the latest answers remembered."""

    __slots__ = (
        "_certified",
        "_exempt",
        "_exempt_known",
        "_followed",
        "_known",
        "_networks",
        "_strangers",
        "_trunks",
    )

    def __init__(self, settings: PolicySettings) -> None:
        self._trunks: dict[str, list[TrunkSettings]] = {}
        for trunk in settings.trunks:
            self._trunks.setdefault(trunk.realm, []).append(trunk)
        self._certified = {
            (trunk.realm, trunk.name): trunk
            for trunk in settings.trunks
            if trunk.identify is Identify.CERTIFICATE
        }
        self._followed: dict[str, tuple[Network, ...]] = {}
        self._networks = {realm: self._index(realm) for realm in self._trunks}
        self._known: dict[str, dict[str, TrunkSettings]] = {realm: {} for realm in self._trunks}
        self._strangers: dict[str, set[str]] = {realm: set() for realm in self._trunks}
        self._exempt = settings.access.exempt
        self._exempt_known: dict[str, bool] = {}

    def named(self, realm: str, host: str, port: int) -> tuple[TrunkSettings, Peer] | None:
        """Whose peer has this name, and that peer; with another port, that one there.

        Args:
            host: in lower case.
            port: 0: none is said.
        """
        for trunk in self._trunks.get(realm, ()):
            for peer in trunk.peers:
                if peer.is_name and peer.host == host:
                    return trunk, peer if port in (0, peer.port) else Peer(host=host, port=port)
        return None

    def identify(self, realm: str, host: str, certified: str = "") -> TrunkSettings | None:
        """The trunk that `host` speaks for in `realm`, None for a stranger. Raises nothing.

        Args:
            realm: whose listener heard it.
            host: source address as text, without brackets.
            certified: the trunk that the certificate of its connection names, "" for none.
        """
        if certified:
            return self._certified.get((realm, certified))
        known = self._known.get(realm)
        if known is None:
            return None
        trunk = known.get(host)
        if trunk is not None:
            return trunk
        strangers = self._strangers[realm]
        if host in strangers:
            return None
        return self._look_up(realm, host, known, strangers)

    def follow(self, trunk: str, hosts: Iterable[str]) -> None:
        """From now on `trunk` also speaks from these addresses, and from no others so learnt.

        Args:
            trunk: its name.
            hosts: numeric addresses; what is none is passed over.
        """
        self._followed[trunk] = tuple(
            ip_network(address) for host in sorted(hosts) if (address := _parse(host)) is not None
        )
        for realm, trunks in self._trunks.items():
            if any(one.name == trunk for one in trunks):
                self._networks[realm] = self._index(realm)
                self._known[realm].clear()
                self._strangers[realm].clear()

    def is_exempt(self, host: str) -> bool:
        """Whether `access.exempt` frees this source from the rate limit."""
        if not self._exempt:
            return False
        answer = self._exempt_known.get(host)
        if answer is None:
            address = _parse(host)
            answer = address is not None and any(address in network for network in self._exempt)
            if len(self._exempt_known) >= _REMEMBERED:
                self._exempt_known.clear()
            self._exempt_known[host] = answer
        return answer

    def _index(self, realm: str) -> list[tuple[int, int, dict[int, TrunkSettings]]]:
        """The networks of a realm; of two trunks with the same one the first keeps it."""
        trunks = [one for one in self._trunks[realm] if one.identify is Identify.ADDRESS]
        written = [(network, trunk) for trunk in trunks for network in trunk.sources]
        learnt = [
            (network, trunk) for trunk in trunks for network in self._followed.get(trunk.name, ())
        ]
        return _by_length(written + learnt)

    def _look_up(
        self, realm: str, host: str, known: dict[str, TrunkSettings], strangers: set[str]
    ) -> TrunkSettings | None:
        """Search the networks and remember the answer.

        The two memories are apart so that a flood of strangers cannot push the trunks out.
        """
        address = _parse(host)
        if address is not None:
            for shift, version, trunks in self._networks[realm]:
                if version != address.version:
                    continue
                trunk = trunks.get(int(address) >> shift)
                if trunk is not None:
                    if len(known) >= _REMEMBERED:
                        known.clear()
                    known[host] = trunk
                    return trunk
        if len(strangers) >= _REMEMBERED:
            strangers.clear()
        strangers.add(host)
        return None


def _by_length(
    networks: Iterable[tuple[Network, TrunkSettings]],
) -> list[tuple[int, int, dict[int, TrunkSettings]]]:
    """Networks as one table for each prefix length, the longest first."""
    tables: dict[tuple[int, int], dict[int, TrunkSettings]] = {}
    for network, trunk in networks:
        shift = network.max_prefixlen - network.prefixlen
        table = tables.setdefault((shift, network.version), {})
        table.setdefault(int(network.network_address) >> shift, trunk)
    return [(shift, version, tables[shift, version]) for shift, version in sorted(tables)]


def _parse(host: str) -> IPv4Address | IPv6Address | None:
    """The address in `host`; an IPv4 one in IPv6 clothes (RFC 4291 §2.5.5.2) is IPv4."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
