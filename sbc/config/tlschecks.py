"""Whether the parts of TLS fit each other: listeners, trunks, certificates by name.

Nothing here reads a file: what is in those `sbc check` says (`sbc.cli.health.certificates`), to
which `sbc.config.tlsfiles` says where they are named.
"""

from __future__ import annotations

from collections.abc import Iterator

from policies.settings import Identify, Peer, TrunkTransport
from sbc.config.faults import Fault
from sbc.config.models import Border, Trunk
from sbc.config.source import Path
from sbc.config.tls import Tls
from sbc.transport.settings import ClientCertificate

__all__ = ["tls_faults"]


def tls_faults(border: Border) -> Iterator[Fault]:
    """Everything that does not fit."""
    yield from _listeners(border)
    yield from _certificates(border)
    for name, trunk in border.trunks.items():
        yield from _trunk(border, name, trunk)
    yield from _names_are_one_trunks(border)


def _listeners(border: Border) -> Iterator[Fault]:
    for name, realm in border.realms.items():
        for index, one in enumerate(realm.listen):
            path = ("realms", name, "listen", index)
            is_tls = one.bind[0] == "tls"
            if is_tls and one.tls is None and realm.tls is None:
                text = "expected tls: { certificate: FILE } here or in the realm, got none"
                yield Fault(path, text)
            elif one.tls is not None and not is_tls:
                yield Fault((*path, "tls"), f"expected a tls listener, got {one.bind[0]}")


def _certificates(border: Border) -> Iterator[Fault]:
    for path, tls in _all_tls(border):
        if not tls.certificate:
            yield Fault((*path, "certificate"), "expected a file, or a list of them, got none")
        elif tls.key and len(tls.key) != len(tls.certificate):
            have, want = len(tls.key), len(tls.certificate)
            text = f"expected a key for each of {want} certificates, got {have}"
            yield Fault((*path, "key"), text)


def _all_tls(border: Border) -> Iterator[tuple[Path, Tls]]:
    for name, realm in border.realms.items():
        if realm.tls is not None:
            yield ("realms", name, "tls"), realm.tls
        for index, one in enumerate(realm.listen):
            if one.tls is not None:
                yield ("realms", name, "listen", index, "tls"), one.tls


def _trunk(border: Border, name: str, trunk: Trunk) -> Iterator[Fault]:
    path = ("trunks", name)
    if trunk.tls.key is not None and trunk.tls.certificate is None:
        yield Fault((*path, "tls", "key"), "expected tls.certificate beside it, got none")
    if trunk.transport is TrunkTransport.TLS and not trunk.tls.verify:
        text = "whoever answers is believed to be this trunk, and may read its calls"
        yield Fault((*path, "tls", "verify"), text, note=True)
    if trunk.identify is not Identify.CERTIFICATE:
        return
    if trunk.tls.name is None and not any(Peer(host=one.address).is_name for one in trunk.peers):
        text = "expected tls.name, or a peer with a name, beside identify: certificate"
        yield Fault((*path, "identify"), text)
    realm = border.realms.get(trunk.realm)
    if realm is not None and not any(
        one.bind[0] == "tls"
        and (tls := one.tls or realm.tls) is not None
        and tls.client is not ClientCertificate.NO
        for one in realm.listen
    ):
        text = f"expected a tls listener with client: required or optional in {trunk.realm}"
        yield Fault((*path, "identify"), f"{text}, got none")


def _names_are_one_trunks(border: Border) -> Iterator[Fault]:
    """In one realm a name must tell the trunk."""
    owners: dict[tuple[str, str], str] = {}
    for name, trunk in border.trunks.items():
        if trunk.identify is not Identify.CERTIFICATE:
            continue
        known = [trunk.tls.name] if trunk.tls.name else [one.address for one in trunk.peers]
        for one in known:
            owner = owners.setdefault((trunk.realm, one.lower()), name)
            if owner != name:
                text = f"expected a name of its own in realm {trunk.realm}, got {one}, which"
                yield Fault(("trunks", name, "identify"), f"{text} trunk {owner} has")
