"""Who a certificate says its holder is, in SIP's terms (RFC 5922 §7). PURE.

A `sip:` URI without a user part counts first; DNS names count where there is no such URI; the
common name only where there is no subjectAltName at all. Addresses (iPAddress) count for peers
that are called by address, which RFC 5922 leaves open. Nothing in a certificate is a pattern
(§7.2): `*.example.com` is matched by an operator who writes just that, and by nobody else.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["Identity", "identity_of", "wrong_name"]


@dataclass(frozen=True, slots=True)
class Identity:
    """The names and addresses that a certificate vouches for."""

    names: tuple[str, ...] = ()
    """SIP domains, lower case."""
    addresses: tuple[str, ...] = ()

    def bears(self, wanted: str) -> bool:
        """Whether `wanted`, a domain or an address without brackets, is among them."""
        address = _address(wanted)
        if address is not None:
            return address in self.addresses
        return _domain(wanted) in self.names

    def bears_any(self, wanted: Iterable[str]) -> bool:
        """Whether one of `wanted` is among them."""
        return any(self.bears(one) for one in wanted)

    def __str__(self) -> str:
        """For people: `sip.example.com, 192.0.2.1`, at most four."""
        known = [*self.names, *self.addresses]
        if not known:
            return "nobody"
        return ", ".join(known[:4]) + (", …" if len(known) > 4 else "")


def identity_of(certificate: Mapping[str, object]) -> Identity:
    """The identity in what `ssl.SSLObject.getpeercert()` returns; {} is nobody."""
    domains: list[str] = []
    uris: list[str] = []
    addresses: list[str] = []
    alternatives = certificate.get("subjectAltName")
    for kind, value in alternatives if isinstance(alternatives, tuple) else ():
        if kind == "URI":
            uris += _sip_domain(value)
        elif kind == "DNS":
            domains.append(_domain(value))
        elif kind == "IP Address":
            address = _address(value.strip())
            addresses += [] if address is None else [address]
    if not alternatives:
        domains += _common_names(certificate.get("subject"))
    return Identity(tuple(dict.fromkeys(uris or domains)), tuple(addresses))


def wrong_name(bears: str, expected: str) -> str:
    """A good certificate of somebody else (RFC 5922 §7.3)."""
    text = f"its certificate is for {bears}, expected {expected}"
    if "*" in bears:
        text += " (SIP matches no wildcards, RFC 5922 §7.2: to accept it, write it as tls.name)"
    return text


def _sip_domain(uri: str) -> list[str]:
    """The host of a `sip:` URI without a user part; others name no domain (RFC 5922 §7.1)."""
    scheme, _, rest = uri.partition(":")
    if scheme.lower() != "sip" or "@" in rest:
        return []
    host = rest.partition(";")[0].partition("?")[0]
    if not host.startswith("["):
        host = host.partition(":")[0]
    return [_domain(host)] if host else []


def _common_names(subject: object) -> list[str]:
    """Common names that look like a domain."""
    found = []
    for relative in subject if isinstance(subject, tuple) else ():
        for key, value in relative:
            if key == "commonName" and "." in value and " " not in value:
                found.append(_domain(value))
    return found


def _domain(text: str) -> str:
    return text.lower().removesuffix(".")


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text.removeprefix("[").removesuffix("]")))
    except ValueError:
        return None
