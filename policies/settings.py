"""What the operator decided, as plain frozen values: trunks, routes, access, limits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network, IPv6Network

from policies.media import PLAIN, TrunkMedia
from policies.users import AuthSettings, CredentialSettings, UserSettings

__all__ = [
    "AccessSettings",
    "Identify",
    "Latch",
    "LimitSettings",
    "Nat",
    "Peer",
    "PolicySettings",
    "ReasonUse",
    "Redirect",
    "Refer",
    "Refresher",
    "Resolve",
    "RouteSettings",
    "SessionTimerSettings",
    "Shield",
    "Stranger",
    "TrunkSettings",
    "TrunkTransport",
    "Use",
]

Network = IPv4Network | IPv6Network


class TrunkTransport(Enum):
    """How we call a trunk. A named one is kept; AUTO is UDP, and TCP above 1300 bytes."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"
    AUTO = "auto"


class Identify(Enum):
    """By what a trunk's requests are known to be its own."""

    ADDRESS = "address"
    """Their source; a certificate, where it shows one, must not be another trunk's."""
    CERTIFICATE = "certificate"
    """The verified certificate of their connection, wherever that comes from."""


class Resolve(Enum):
    """How far a peer's name is followed (RFC 3263)."""

    AUTO = "auto"
    """NAPTR where the transport is ours to choose, SRV, then addresses."""
    SRV = "srv"
    """SRV alone."""
    A = "a"
    """Addresses alone."""


class Nat(Enum):
    """Whether a trunk's peers sit behind NAT; AUTO looks at Via and SDP of each message."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class Latch(Enum):
    """Whom a leg may send media from."""

    SIGNALLED = "signalled"
    """Behind NAT: addresses that signalling names."""
    ANY = "any"
    """Behind NAT: anybody."""
    ASYMMETRIC = "asymmetric"
    """Not behind NAT, whatever its Via says: any port of the address that its SDP names."""


class Use(Enum):
    """How much a trunk's peers see of an extension that they may lack."""

    AUTO = "auto"
    """Offered, and used where the peer has it."""
    ALWAYS = "always"
    """Insisted on."""
    NEVER = "never"


class Refresher(Enum):
    """Who is to keep a session alive (RFC 4028), where that is ours to say."""

    AUTO = "auto"
    """The peer's wish; where it has none, whoever sent the request."""
    US = "us"
    PEER = "peer"


class Shield(Enum):
    """What a trunk's peers are spared: nothing of it is offered or sent to them."""

    PRACK = "prack"
    UPDATE = "update"
    REINVITE = "reinvite"
    REFER = "refer"


class ReasonUse(Enum):
    """Which Reason lines a trunk's peers get (RFC 3326, RFC 6432)."""

    PASS = "pass"  # noqa: S105 (no password)
    """The other side's, as they are."""
    Q850 = "q850"
    """One Q.850 cause: the other side's, or what its SIP status stands for (RFC 3398)."""
    STRIP = "strip"


class Redirect(Enum):
    """What becomes of a 3xx of a trunk's peer."""

    REFUSE = "refuse"
    """The caller is told a failure: the Contacts are of the other network."""
    FOLLOW = "follow"
    """The Contacts are tried, within the realm of that trunk."""
    PASS = "pass"  # noqa: S105 (no password)
    """The caller gets it, with our address in place of each host."""


class Refer(Enum):
    """What becomes of a REFER that a trunk's peer sends within a call."""

    EXECUTE = "execute"
    """The border makes the transfer itself."""
    PASS = "pass"  # noqa: S105 (no password)
    """It goes on to the other side, where that takes it; else the border makes the transfer."""
    REFUSE = "refuse"
    """603 Decline."""


class Stranger(Enum):
    """What a request from nobody we know gets."""

    REFUSE = "refuse"
    """403 Forbidden."""
    IGNORE = "ignore"
    """Silence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """An address or name that we call; `priority` low first, then `weight` (RFC 2782)."""

    host: str
    """Numeric, without brackets; or a name, in lower case."""
    port: int = 5060
    """0: none is given, so that the DNS may say it; of names only."""
    priority: int = 0
    weight: int = 1

    @property
    def is_name(self) -> bool:
        """Whether the DNS has to be asked where it is."""
        return ":" not in self.host and not self.host.rpartition(".")[2].isdigit()

    @property
    def text(self) -> str:
        """As in a configuration file."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else host


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """What a trunk may use; None is no limit."""

    calls: int | None = None
    """Concurrent calls, both directions."""
    cps: float | None = None
    """New calls in a second, both directions, and requests outside of calls; the burst is one
    second's worth, at least 1."""
    subscriptions: int | None = None
    """Subscriptions that it holds at others."""
    status: int = 503
    """The answer over the limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTimerSettings:
    """How a trunk's sessions are kept from outliving their peers (RFC 4028)."""

    expires_s: int = 1800
    """The interval that we ask for, and the longest that we agree to."""
    minimum_s: int = 90
    """The shortest that we agree to; RFC 4028 §4 knows none below 90."""
    refresher: Refresher = Refresher.AUTO
    use: Use = Use.AUTO
    """ALWAYS: a peer without the extension is asked by us all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkSettings:
    """A peer network that we take calls from and give calls to."""

    name: str
    realm: str
    peers: tuple[Peer, ...]
    sources: tuple[Network, ...]
    """Networks that we accept; the peers' own addresses where the file names none."""
    sources_follow: bool = False
    """Whether addresses that the peers' names have are accepted, too."""
    resolve: Resolve = Resolve.AUTO
    invite_timeout_s: float | None = None
    """INVITE to the first response of any kind; then the next target. None: as long as
    RFC 3261 waits (timer B, 32 s)."""
    transport: TrunkTransport = TrunkTransport.UDP
    identify: Identify = Identify.ADDRESS
    options_ping_s: float = 0.0
    """How often each peer is asked whether it is there; 0: never."""
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
    pass_methods: tuple[str, ...] = ("INFO", "MESSAGE")
    """Methods that go across within a call, beside those that change it."""
    outside_methods: tuple[str, ...] = ("MESSAGE", "PUBLISH", "SUBSCRIBE")
    """Methods that go across outside of calls, to and from trunks that name them too."""
    ping_s: float = 0.0
    """How often a peer is asked, within a call, whether it still knows it; 0: never."""
    max_duration_s: float = 0.0
    """Longest call, from its answer; 0: no limit."""
    early_offer: bool = False
    """Whether an INVITE without an offer gets one of ours before it goes there."""
    single_tag: bool = False
    """Whether its callers are shown one early dialog for all forks that use the same codec."""
    redirect: Redirect = Redirect.REFUSE
    refer: Refer = Refer.REFUSE
    failover: frozenset[int] = frozenset((408, 502, 503, 504))
    """Answers after which the next target is tried: statuses, or 4 to 6 for a class."""
    media: TrunkMedia = PLAIN
    session_timer: SessionTimerSettings = SessionTimerSettings()
    reliable: Use = Use.AUTO
    """100rel (RFC 3262)."""
    shield: frozenset[Shield] = frozenset()
    responses: tuple[tuple[int, int], ...] = ()
    """What others are told when it fails a call: (status, or 3 to 6 for its class) → status."""
    refusals: tuple[tuple[int, int], ...] = ()
    """What its own callers are told in place of a failure, in the same form."""
    reason: ReasonUse = ReasonUse.PASS
    reads_causes: bool = False
    """Whether its failure of a call is what its Q.850 cause says, whatever the status."""
    pass_challenges: bool = False
    """Whether its 401 and 407 reach those who call it, and their credentials reach it."""
    auth: AuthSettings | None = None
    """What its requests have to prove; None: where they come from is enough."""
    credentials: CredentialSettings | None = None
    """Who we are when it asks us; None: nobody."""
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
    users: tuple[UserSettings, ...] = ()
