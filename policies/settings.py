"""What the operator decided, as plain frozen values: trunks, routes, access, limits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network, IPv6Network

__all__ = [
    "AccessSettings",
    "Latch",
    "LimitSettings",
    "Nat",
    "Peer",
    "PolicySettings",
    "RouteSettings",
    "Stranger",
    "TrunkSettings",
    "TrunkTransport",
]

Network = IPv4Network | IPv6Network


class TrunkTransport(Enum):
    """How we call a trunk. A named one is kept; AUTO is UDP, and TCP above 1300 bytes."""

    UDP = "udp"
    TCP = "tcp"
    AUTO = "auto"


class Nat(Enum):
    """Whether a trunk's peers sit behind NAT; AUTO looks at Via and SDP of each message."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class Latch(Enum):
    """Whom a leg behind NAT may send media from: addresses that signalling names, or anybody."""

    SIGNALLED = "signalled"
    ANY = "any"


class Stranger(Enum):
    """What a request from nobody we know gets."""

    REFUSE = "refuse"
    """403 Forbidden."""
    IGNORE = "ignore"
    """Silence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """An address that we call; `priority` low first, then `weight`, as in SRV (RFC 2782)."""

    host: str
    port: int = 5060
    priority: int = 0
    weight: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """What a trunk may use; None is no limit."""

    calls: int | None = None
    """Concurrent calls, both directions."""
    cps: float | None = None
    """New calls in a second, both directions; the burst is one second's worth, at least 1."""
    status: int = 503
    """The answer over the limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkSettings:
    """A peer network that we take calls from and give calls to."""

    name: str
    realm: str
    peers: tuple[Peer, ...]
    sources: tuple[Network, ...]
    """Networks that we accept; the peers' own addresses where the file names none."""
    transport: TrunkTransport = TrunkTransport.UDP
    limits: LimitSettings = LimitSettings()
    no_answer_s: float = 180.0
    """INVITE to final answer; then CANCEL and 480."""
    pass_headers: tuple[str, ...] = ()
    """Further headers that cross in its calls, whatever the other trunk says (`[X-Account]`)."""
    trusted: bool = False
    """Whether P-Asserted-Identity and Privacy are believed from it and shown to it (RFC 3325)."""
    nat: Nat = Nat.AUTO
    latch: Latch = Latch.SIGNALLED
    media_timeout_s: float = 60.0
    line: int = 0
    """Line in the configuration file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSettings:
    """Calls of trunk `source` to a number with this prefix go to these trunks, in order."""

    source: str
    to: tuple[str, ...]
    number: str = ""
    """Prefix of the request-URI's user part; the longest match wins, "" matches all."""
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettings:
    """Who may speak to us at all."""

    strangers: Stranger = Stranger.REFUSE
    rate_per_source: float = 50.0
    """Requests in a second that one untrusted address may send before it meets silence."""
    burst_per_source: float = 100.0
    exempt: tuple[Network, ...] = ()
    """Sources without a rate limit, besides every trunk's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """All that policies know."""

    trunks: tuple[TrunkSettings, ...]
    routes: tuple[RouteSettings, ...]
    access: AccessSettings = AccessSettings()
