"""The keys of connections: TLS of listeners and trunks, and the limits of all streams."""

from __future__ import annotations

import os
from typing import Annotated, Final

from sbc.config.scalars import COUNT, OneOrMany, Rule, Seconds, Switch, Text, choice, expected
from sbc.config.section import Section
from sbc.transport.settings import (
    ClientCertificate,
    Keypair,
    ListenerTls,
    PeerSettings,
    TlsVersion,
)

__all__ = [
    "Connections",
    "Tls",
    "TrunkTls",
    "full_path",
    "keypair_of",
    "listener_tls",
    "peer_settings",
]

_A_VERSION: Final = '"1.2" or "1.3"'


def _version(value: object) -> TlsVersion:
    """Without quotes YAML makes a number of it, and no harm is done."""
    text = str(value) if isinstance(value, (str, float)) else ""
    if text not in ("1.2", "1.3"):
        raise expected(_A_VERSION)
    return TlsVersion(text)


class Tls(Section):
    """What a TLS listener shows, and whom it lets in. Files are PEM."""

    certificate: Annotated[list[Text], OneOrMany]
    """The certificate, with those between it and its authority. Of several, the client's server
    name chooses; the first is the default."""
    key: Annotated[list[Text], OneOrMany] = []
    """Its key, one for each certificate. Default: in the certificate's file."""
    ca: Text | None = None
    """Who may have signed a client's certificate. Default: whom this machine trusts."""
    client: Annotated[ClientCertificate, choice(ClientCertificate, "required, optional or no")] = (
        ClientCertificate.NO
    )
    """Whether who connects must show a certificate; one that is shown must be good."""
    minimum: Annotated[TlsVersion, Rule(_version, _A_VERSION)] = TlsVersion.TLS_1_2
    """The oldest version that is spoken."""


class TrunkTls(Section):
    """Whom to believe when a trunk speaks TLS, and what it is shown. Files are PEM."""

    name: Text | None = None
    """The name that its certificate must bear. Default: the peer's own name or address."""
    ca: Text | None = None
    """Who may have signed it. Default: whom this machine trusts."""
    certificate: Text | None = None
    """What is shown to it when it is called (mutual TLS). Default: nothing."""
    key: Text | None = None
    """The key of that. Default: in the certificate's file."""
    verify: Switch = True
    """Whether its certificate is looked at; if not, whoever answers is believed to be it."""


class Connections(Section):
    """TCP and TLS connections."""

    connect_timeout: Seconds = 1.0
    """How long a peer may take to accept one."""
    handshake_timeout: Seconds = 5.0
    """How long a TLS handshake may take."""
    idle_timeout: Seconds = 600.0
    """How long one may be silent."""
    most: Annotated[int, COUNT] = 4096
    """How many there may be; strangers get half."""
    most_per_source: Annotated[int, COUNT] = 64
    """How many one address may have, unless it is a trunk's."""
    handshakes: Annotated[int, COUNT] = 256
    """How many TLS handshakes of peers may be open; strangers get half."""
    certificate_check: Seconds = 60.0
    """How often certificate files are looked at: what has changed is read anew."""


def listener_tls(tls: Tls | None, folder: str) -> ListenerTls | None:
    """What a listener is told. Relative paths start at `folder`; the checks have passed."""
    if tls is None:
        return None
    return ListenerTls(
        keypairs=tuple(
            Keypair(certificate=full_path(folder, certificate), key=full_path(folder, key))
            for certificate, key in zip(tls.certificate, tls.key or tls.certificate, strict=True)
        ),
        ca=full_path(folder, tls.ca),
        client=tls.client,
        minimum=tls.minimum,
    )


def peer_settings(
    tls: TrunkTls,
    folder: str,
    *,
    trunk: str,
    realm: str,
    hosts: tuple[str, ...],
    keepalive_s: float,
    by_certificate: bool,
) -> PeerSettings:
    """What connections with a trunk's peers are told."""
    return PeerSettings(
        trunk=trunk,
        realm=realm,
        keepalive_s=keepalive_s,
        name=tls.name or "",
        hosts=hosts,
        ca=full_path(folder, tls.ca),
        keypair=keypair_of(tls, folder),
        verify=tls.verify,
        by_certificate=by_certificate,
    )


def keypair_of(tls: TrunkTls, folder: str) -> Keypair | None:
    """What a trunk is shown."""
    if tls.certificate is None:
        return None
    certificate = full_path(folder, tls.certificate)
    return Keypair(certificate=certificate, key=full_path(folder, tls.key) or certificate)


def full_path(folder: str, path: str | None) -> str:
    """A relative `path` starts at `folder`; None is ""."""
    return os.path.normpath(os.path.join(folder, path)) if path else ""
