"""What the SIP transports are told at start."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network, IPv6Network

__all__ = [
    "ClientCertificate",
    "Keypair",
    "ListenerSettings",
    "ListenerTls",
    "PeerSettings",
    "TlsVersion",
    "TransportSettings",
]


class ClientCertificate(Enum):
    """Whether who connects to us shows a certificate."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    """One that is shown must be good."""
    NO = "no"


class TlsVersion(Enum):
    """The oldest version that a listener speaks; older ones are gone (RFC 8996)."""

    TLS_1_2 = "1.2"
    TLS_1_3 = "1.3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keypair:
    """A certificate, with what stands between it and its authority, and its key. PEM files."""

    certificate: str
    key: str
    """May be the same file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerTls:
    """What a TLS listener shows, and what it wants to see."""

    keypairs: tuple[Keypair, ...]
    """At least one. The client's server name (RFC 6066 §3) chooses; the first is the default."""
    ca: str = ""
    """Who may have signed a client's certificate; "": whom this machine trusts."""
    client: ClientCertificate = ClientCertificate.NO
    minimum: TlsVersion = TlsVersion.TLS_1_2


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerSettings:
    """One address on which we speak SIP."""

    realm: str
    transport: str
    """`udp`, `tcp` or `tls`."""
    host: str
    port: int
    advertise_host: str
    """What goes into Via and Contact: `host`, or the public address of a 1:1 NAT."""
    advertise_port: int
    local_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Whose hosts are told `host` and `port`: they are behind the same NAT."""
    tls: ListenerTls | None = None
    """Of a `tls` listener; None makes a start fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSettings:
    """A trunk, as far as connections with its peers need to know it."""

    trunk: str
    realm: str
    keepalive_s: float = 0.0
    """How often a connection is shown to be alive (RFC 5626 §3.5.1); 0: never."""
    name: str = ""
    """What its certificate must bear (RFC 5922 §7); "": one of `hosts`."""
    hosts: tuple[str, ...] = ()
    """Its peers, as configured: names and addresses."""
    ca: str = ""
    """Who may have signed its certificate; "": whom this machine trusts."""
    keypair: Keypair | None = None
    """What we show when we call it."""
    verify: bool = True
    """False: whoever answers is believed to be it."""
    by_certificate: bool = False
    """Whether its connections are known by their certificate, not by where they come from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportSettings:
    """All listeners; a Hop names one by its index here."""

    listeners: tuple[ListenerSettings, ...]
    peers: tuple[PeerSettings, ...] = ()
    tcp_connect_timeout_s: float = 1.0
    tcp_idle_timeout_s: float = 600.0
    tcp_max_connections: int = 4096
    tcp_max_per_source: int = 64
    handshake_timeout_s: float = 5.0
    """For the whole TLS handshake, either way."""
    handshakes: int = 256
    """TLS handshakes of peers that may be open at one time; strangers get half."""
    handshakes_per_source: int = 16
    """Of one address that is no trunk's."""
    certificate_check_s: float = 60.0
    """How often certificate files are looked at for changes."""
