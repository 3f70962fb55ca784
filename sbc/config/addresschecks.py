"""Whether our addresses can be told to peers: in Via, Contact and SDP, on either side of a NAT."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from sbc.config.build import is_asked_for
from sbc.config.faults import Fault
from sbc.config.models import Border, Realm
from sbc.config.source import Path

__all__ = ["address_faults"]


def address_faults(border: Border) -> Iterator[Fault]:
    """Everything that does not fit."""
    for name, realm in border.realms.items():
        yield from _of_sip(name, realm)
        yield from _of_media(name, realm)
        yield from _of_local_networks(name, realm)
        yield from _of_public_address(name, realm)


def _of_sip(name: str, realm: Realm) -> Iterator[Fault]:
    """What goes into Via and Contact must be one address, of the family that is bound."""
    for index, one in enumerate(realm.listen):
        path: Path = ("realms", name, "listen", index)
        host = one.bind[1]
        if one.advertise is not None:
            yield from _told(path, host, one.advertise[0], "Via and Contact")
        elif ip_address(host).is_unspecified and not is_asked_for(realm, host):
            yield Fault(
                path,
                f"expected advertise: ADDRESS beside a listener on all addresses, got only {host}"
                " (what should Via and Contact say?)",
            )


def _of_media(name: str, realm: Realm) -> Iterator[Fault]:
    """The same of SDP."""
    for index, one in enumerate(realm.media):
        path: Path = ("realms", name, "media", index)
        if one.advertise is not None:
            yield from _told(path, one.address, one.advertise, "SDP")
        if ip_address(one.address).is_unspecified:
            yield Fault(
                (*path, "address"),
                f"expected one address of this machine, got {one.address} (what should SDP say?)",
            )


def _told(path: Path, host: str, told: str, where: str) -> Iterator[Fault]:
    address, bound = ip_address(told), ip_address(host)
    if address.version != bound.version:
        yield Fault(
            (*path, "advertise"),
            f"expected an IPv{bound.version} address, as the bound {host} is, got {told}",
        )
    elif address.is_unspecified or address.is_multicast:
        yield Fault((*path, "advertise"), f"expected an address that {where} can name, got {told}")


def _of_local_networks(name: str, realm: Realm) -> Iterator[Fault]:
    """They need an address that is advertised, and another one that is not."""
    path: Path = ("realms", name, "local_networks")
    if not realm.local_networks:
        return
    for one in realm.listen:
        if ip_address(one.bind[1]).is_unspecified:
            yield Fault(
                path,
                f"expected listeners on one address each beside it, got {one.bind[1]}"
                " (what should peers there be told?)",
            )
    told = any(one.advertise for one in realm.listen) or any(one.advertise for one in realm.media)
    if not told and not realm.public_address:
        yield Fault(path, "nothing is advertised here: all peers are told the same", note=True)


def _of_public_address(name: str, realm: Realm) -> Iterator[Fault]:
    """There must be an address in the realm that nobody has written down."""
    hosts = [one.bind[1] for one in realm.listen if one.advertise is None]
    hosts += [one.address for one in realm.media if one.advertise is None]
    if realm.public_address and not any(is_asked_for(realm, host) for host in hosts):
        yield Fault(
            ("realms", name, "public_address"),
            "nobody is asked: no IPv4 address here is without advertise",
            note=True,
        )
