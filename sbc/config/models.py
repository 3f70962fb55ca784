"""The grammar of the configuration file.

A string is shorthand for an object wherever one is enough, and a list of one may be written
without brackets. Every key says here what it means and what it is when it is not written.
`sbc.config.build` turns these models into the settings that the programs are given; nothing
outside this package sees a pydantic type.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, Field

from policies.media import PLAIN, Dtmf, RtcpMux, Srtp
from policies.settings import (
    Identify,
    Latch,
    Nat,
    ReasonUse,
    Redirect,
    Refer,
    Resolve,
    Shield,
    Stranger,
    TrunkTransport,
    Use,
)
from relay.settings import FAST_PATHS
from sbc.config.logins import Auth, Credentials, Ha1, User, UserName
from sbc.config.media import Codecs, Dscp, PortRange, SuiteName
from sbc.config.mending import SessionTimer
from sbc.config.scalars import (
    ADDRESS,
    COUNT,
    NUMBER,
    PORT,
    SECONDS,
    Address,
    Bind,
    DialPrefix,
    DnsServer,
    HeaderName,
    Host,
    MethodName,
    Name,
    Network,
    Number,
    OneOrMany,
    Order,
    OutsideMethod,
    Rule,
    Seconds,
    Status,
    StatusKey,
    StunServer,
    Switch,
    Text,
    address_port,
    bind,
    choice,
    expected,
    host_port,
)
from sbc.config.section import Section as _Section
from sbc.config.tls import Connections, Tls, TrunkTls

__all__ = [
    "MODELS",
    "Access",
    "Border",
    "Limits",
    "Listener",
    "Media",
    "Methods",
    "Realm",
    "Route",
    "Trunk",
    "TrunkPeer",
    "model_at",
]


def _one_of(*words: str) -> Rule:
    text = " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))

    def parse(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise expected(text)
        return value

    return Rule(parse, text)


def _workers(value: object) -> int:
    if value == "auto" and isinstance(value, str):
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 256:
        raise expected("auto or a whole number from 1 to 256")
    return value


def _burst(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1 <= value <= 1e9:
        raise expected("a number, 1 or more")
    return float(value)


def _digits(value: object) -> object:
    """A status may be written without quotes where it stands alone."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _listener(value: object) -> object:
    """`"udp:10.0.0.5:5060"` is `{ bind: "udp:10.0.0.5:5060" }`."""
    if isinstance(value, str):
        bind(value)
        return {"bind": value}
    return value


_PEER: Final = '"ADDRESS", "NAME", either with ":PORT", or a mapping'


def _peer(value: object) -> object:
    """`"10.0.0.20:5060"` is `{ address: 10.0.0.20, port: 5060 }`."""
    if isinstance(value, str):
        host, port = host_port(value, _PEER)
        return {"address": host} if port is None else {"address": host, "port": port}
    if not isinstance(value, dict):
        raise expected(_PEER)
    return value


def _advertise(value: object) -> tuple[str, int]:
    """Port 0: the one that is bound."""
    return address_port(value, 0, '"ADDRESS" or "ADDRESS:PORT"')


class Listener(_Section):
    """One address on which SIP is spoken."""

    bind: Bind
    """The local address and port; 5060 where no port is given, over TLS 5061."""
    advertise: Annotated[tuple[str, int] | None, Rule(_advertise, "an address")] = None
    """What peers are told to send to: the public address of a 1:1 NAT. Default: as bound."""
    tls: Tls | None = None
    """Of a tls listener. Default: the realm's."""


class Media(_Section):
    """One address on which media is anchored."""

    address: Address
    """The local address that media sockets are bound to."""
    advertise: Annotated[str | None, ADDRESS] = None
    """What SDP says: the public address of a 1:1 NAT. Default: `address`."""
    ports: PortRange
    """First and last port; a call takes two for each stream and side."""


class Realm(_Section):
    """A network that the border faces."""

    listen: Annotated[list[Annotated[Listener, BeforeValidator(_listener)]], OneOrMany]
    """Where SIP is heard: at least one."""
    media: Annotated[list[Media], OneOrMany]
    """Where this network's media is anchored: at least one. With addresses of IPv4 and of IPv6 each
    peer gets one of the family that its own media, or else its signalling, is of."""
    local_networks: Annotated[list[Network], OneOrMany] = []
    """Networks behind the same 1:1 NAT as the border: peers there are told its own addresses, not
    the advertised ones."""
    public_address: Annotated[list[StunServer], OneOrMany] = []
    """STUN servers, asked in this order as which address the network sees each IPv4 address here
    that has no `advertise`: at the start, and once a minute."""
    tls: Tls | None = None
    """Of all its tls listeners that have none of their own."""
    dscp: Dscp = 46
    """How media towards this network is marked: ef, cs3, af31, … or a number."""


class TrunkPeer(_Section):
    """An address or a name that calls are sent to."""

    address: Host
    """Where it is; a name is looked up (RFC 3263) and kept up to date."""
    port: Annotated[int | None, PORT] = None
    """On which port it hears SIP. Default: 5060, over TLS 5061; of a name, what the DNS says."""
    priority: Order = 0
    """Lower is tried first."""
    weight: Order = 1
    """Within one priority, heavier is tried first."""


class Limits(_Section):
    """What a trunk may use, both directions together. Not written: no limit."""

    calls: Annotated[int | None, COUNT] = None
    """Concurrent calls."""
    cps: Annotated[float | None, NUMBER] = None
    """New calls, messages, publications and subscriptions in a second; as many may come at
    once."""
    subscriptions: Annotated[int | None, COUNT] = None
    """Subscriptions that it holds at other trunks."""
    status: Status = 503
    """The answer over the limit, without Retry-After."""


class Methods(_Section):
    """Requests that are no part of a call itself."""

    passed: Annotated[list[MethodName], OneOrMany, Field(alias="pass")] = ["INFO", "MESSAGE"]
    """Methods that go across within a call when its peers use them; others get 405, unknown ones
    501."""
    outside: Annotated[list[OutsideMethod], OneOrMany] = ["MESSAGE", "PUBLISH", "SUBSCRIBE"]
    """Methods that go across outside of calls, if the other trunk names them too: `[MESSAGE,
    OPTIONS, X-PING]`. `[]`: none. Without a user in its address, OPTIONS is always answered by
    this border itself. Not for REGISTER, REFER and what belongs to calls."""


class Trunk(_Section):
    """A peer network: a PBX, a carrier."""

    realm: Name
    """The realm in which it is met."""
    peers: Annotated[list[Annotated[TrunkPeer, BeforeValidator(_peer)]], OneOrMany] = []
    """Where its calls are sent. None: it only calls us, and needs `sources`."""
    sources: Annotated[list[Network], OneOrMany] = []
    """Where its calls come from. Default: the peers' addresses, those of names as the DNS has
    them."""
    transport: Annotated[TrunkTransport, choice(TrunkTransport, "udp, tcp, tls or auto")] = (
        TrunkTransport.UDP
    )
    """How it is called; auto is UDP, and TCP for messages above 1300 bytes."""
    tls: TrunkTls = TrunkTls()
    identify: Annotated[Identify, choice(Identify, "address or certificate")] = Identify.ADDRESS
    """How its requests are known: by their source, or by the certificate of their connection,
    which must bear `tls.name` or a peer's name, wherever it comes from."""
    keepalive: Seconds | None = None
    """How often TCP and TLS connections with it are shown to be alive (CRLF). Default: never."""
    options_ping: Seconds | None = None
    """How often each peer is asked by OPTIONS whether it is there; one that does not answer is
    not called until it does. Default: never."""
    resolve: Annotated[Resolve, choice(Resolve, "auto, srv or a")] = Resolve.AUTO
    """How a peer's name is looked up; auto is NAPTR where the transport is open, then SRV, then
    A and AAAA; srv and a are those alone. A name with a port has no SRV."""
    invite_timeout: Annotated[float | None, SECONDS] = None
    """How long a peer may leave an INVITE without any response before the next one is tried.
    Default: 32 s, as RFC 3261 says."""
    limits: Limits = Limits()
    no_answer: Seconds = 180.0
    """How long it may ring before the call is given up (CANCEL, 480)."""
    passed: Annotated[list[HeaderName], OneOrMany, Field(alias="pass")] = []
    """Further headers that cross in its calls, whatever the other trunk says: `[X-Account]`."""
    trusted: Switch = False
    """Whether P-Asserted-Identity and Privacy are believed from it and shown to it."""
    nat: Annotated[Nat, choice(Nat, "auto, always or never")] = Nat.AUTO
    """Whether its peers sit behind NAT; auto looks at each message."""
    latch: Annotated[Latch, choice(Latch, "signalled, any or asymmetric")] = Latch.SIGNALLED
    """Behind NAT: media from addresses that signalling names, or from anybody. asymmetric, not
    behind NAT: from any port of the address in its SDP, and to the port in it all the same."""
    media_timeout: Seconds = 60.0
    """Silence of a stream that should flow, after which the call is ended."""
    max_duration: Annotated[float | None, SECONDS] = None
    """The longest that a call with it may last. Default: no limit."""
    ping: Annotated[float | None, SECONDS] = None
    """How often its peer is asked within a call whether it still knows it (OPTIONS). Default:
    never."""
    offer: Annotated[str, _one_of("pass", "early")] = "pass"
    """An INVITE without an offer reaches it so, or with an offer of the codecs that it allows, else
    those that the caller's trunk allows, else what it has first, PCMU and PCMA."""
    single_tag: Switch = False
    """Whether its callers cannot take forks: they see one early dialog for all, as long as the
    codec stays the same."""
    redirect: Annotated[Redirect, choice(Redirect, "follow, pass or refuse")] = Redirect.REFUSE
    """What its 3xx do: those that lead to peers of its realm, by address or name, are tried; the
    caller gets them with our address in place of theirs; or the call fails with 480."""
    refer: Annotated[Refer, choice(Refer, "execute, pass or refuse")] = Refer.REFUSE
    """What becomes of a transfer that it asks for (REFER): the border makes it; the other side gets
    the REFER, or where that takes none the border makes the transfer; 603. The call that comes of
    it is routed, limited and counted as one of the party that is transferred: so only for those who
    may spend its money."""
    failover: Annotated[list[Annotated[StatusKey, BeforeValidator(_digits)]], OneOrMany] = [
        "408",
        "502",
        "503",
        "504",
    ]
    """Its answers after which the next target is tried: `[408, "5xx"]`."""
    methods: Methods = Methods()
    session_timer: SessionTimer = SessionTimer()
    reliable: Annotated[Use, choice(Use, "auto, always or never")] = Use.AUTO
    """Reliable provisional responses (100rel, PRACK): offered, or required of the peers that are
    called and used for every response to those that know it, or not known."""
    shield: Annotated[
        list[Annotated[Shield, choice(Shield, "prack, update, reinvite or refer")]], OneOrMany
    ] = []
    """What its peers cannot do or do badly: it is neither offered nor sent to them. Changes of the
    other side are answered for those that take none, where the codec stays."""
    responses: dict[StatusKey, Status] = {}
    """What others are told when it fails a call: `{ 503: 500, "4xx": 480 }`. Default: 401 and 407
    are told as 403, 420 to 422, 494 and 503 as 500, a redirection as 480."""
    refusals: dict[StatusKey, Status] = {}
    """What its own callers are told in place of a failure, whoever has failed."""
    reason: Annotated[ReasonUse, choice(ReasonUse, "pass, q850 or strip")] = ReasonUse.PASS
    """The Reason that its peers get: the other side's as it is, one Q.850 cause, or none."""
    read_causes: Switch = False
    """Whether a failed call (4xx, 5xx) is what the Q.850 cause in its Reason says, such as 486 for
    a busy user, whatever its status: for gateways that answer all alike."""
    srtp: Annotated[Srtp, choice(Srtp, "off, preferred or required")] = Srtp.OFF
    """Whether its media is encrypted (SDES). Preferred: offered beside the clear (RFC 8643)."""
    srtp_suites: Annotated[list[SuiteName], OneOrMany] = list(PLAIN.suites)
    """Crypto suites that may be used, best first."""
    rtcp_mux: Annotated[RtcpMux, choice(RtcpMux, "off, accept or offer")] = RtcpMux.ACCEPT
    """Whether RTCP may share the RTP port, or is offered to."""
    dtmf: Annotated[Dtmf, choice(Dtmf, "auto, rfc4733, info or info-digit")] = Dtmf.AUTO
    """How its digits come and go; between trunks that differ they are converted."""
    continuity: Switch = False
    """Whether its peers get one SSRC with numbers and timestamps that go on, whatever changes of
    source there are on the other side: for peers that lose a stream by them."""
    strict_payloads: Switch = False
    """Whether media of payload types that were not negotiated is dropped."""
    rtcp_bye: Switch = True
    """Whether RTCP BYE of its peers crosses."""
    rtcp_app: Switch = False
    """Whether RTCP APP of its peers crosses: data of any kind."""
    codecs: Codecs = Codecs()
    auth: Auth = Auth()
    challenges: Annotated[str, _one_of("refuse", "pass")] = "refuse"
    """What its 401 and 407 do that we do not answer ourselves: the caller gets 403, or the
    challenge as it is, and its credentials go to this trunk as they are, host names and all."""
    credentials: Credentials | None = None


class Route(_Section):
    """Where the calls of one trunk go."""

    source: Annotated[Name, Field(alias="from")]
    """The trunk that brings the call."""
    to: Annotated[list[Name], OneOrMany]
    """The trunks that may carry it on, in the order to try."""
    number: DialPrefix = ""
    """First digits of the called number, in quotes; the longest match wins. Default: any."""


class Access(_Section):
    """Who may speak to the border at all."""

    strangers: Annotated[Stranger, choice(Stranger, "refuse or ignore")] = Stranger.REFUSE
    """What a request from no trunk's source gets: 403 or silence."""
    rate: Number = 50.0
    """Requests in a second that one address may send, unless it is a trunk's."""
    burst: Annotated[float, Rule(_burst, "a number, 1 or more")] = 100.0
    """How many may come at once."""
    exempt: Annotated[list[Network], OneOrMany] = []
    """Addresses without that limit, besides every trunk's."""


class Cdr(_Section):
    """Call detail records: one JSON line for each call."""

    path: Text | None = None
    """Default: cdr.jsonl in `state_dir`."""
    sync: Seconds = 1.0
    """How often lines are forced to the disk."""


class Relay(_Section):
    """The media relay pool of this machine."""

    workers: Annotated[int, Rule(_workers, "auto or a number")] = 0
    """Worker processes; auto: one for each processor."""
    fast_path: Annotated[str, _one_of("auto", *FAST_PATHS)] = "auto"
    """What carries the packets; auto: the fastest that this machine can run."""
    grace: Seconds = 15.0
    """How long workers go on without the processes above them."""
    quarantine: Seconds = 5.0
    """How long a media port rests between two calls."""
    learn_window: Seconds = 1.0
    """How long after its first packet a stream may still change its mind about its peer."""


class Dns(_Section):
    """How names of peers are looked up."""

    servers: Annotated[list[DnsServer], OneOrMany] = []
    """Whom to ask, in this order. Default: as /etc/resolv.conf says."""
    timeout: Seconds = 2.0
    """How long one question may take, all servers together."""
    search: Switch = False
    """Whether the search domains of /etc/resolv.conf are tried for a name without a dot."""


class Log(_Section):
    """What the processes say on standard error."""

    level: Annotated[str, _one_of("debug", "info", "warning", "error")] = "info"
    """The least that is worth a line."""
    as_json: Annotated[Switch, Field(alias="json")] = False
    """One JSON object a line, for programs."""
    digits: Switch = False
    """Show dialled digits (DTMF) in the log; else each is an x, for they may be a PIN."""


class Border(_Section):
    """The whole file."""

    run_dir: Text | None = None
    """Sockets and locks. Default: /run/sbc, or a folder of the user's."""
    state_dir: Text | None = None
    """What outlives a restart. Default: /var/lib/sbc, or a folder of the user's."""
    realms: dict[Name, Realm] = {}
    trunks: dict[Name, Trunk] = {}
    routes: list[Route] = []
    users: dict[UserName, User] = {}
    access: Access = Access()
    cdr: Cdr = Cdr()
    relay: Relay = Relay()
    connections: Connections = Connections()
    dns: Dns = Dns()
    log: Log = Log()


MODELS: Final[dict[tuple[str, ...], type[_Section]]] = {
    (): Border,
    ("realms", "*"): Realm,
    ("realms", "*", "tls"): Tls,
    ("realms", "*", "listen", "*"): Listener,
    ("realms", "*", "listen", "*", "tls"): Tls,
    ("realms", "*", "media", "*"): Media,
    ("trunks", "*"): Trunk,
    ("trunks", "*", "peers", "*"): TrunkPeer,
    ("trunks", "*", "tls"): TrunkTls,
    ("trunks", "*", "limits"): Limits,
    ("trunks", "*", "methods"): Methods,
    ("trunks", "*", "session_timer"): SessionTimer,
    ("trunks", "*", "codecs"): Codecs,
    ("trunks", "*", "auth"): Auth,
    ("trunks", "*", "credentials"): Credentials,
    ("trunks", "*", "credentials", "ha1"): Ha1,
    ("routes", "*"): Route,
    ("users", "*"): User,
    ("users", "*", "ha1"): Ha1,
    ("access",): Access,
    ("cdr",): Cdr,
    ("relay",): Relay,
    ("connections",): Connections,
    ("dns",): Dns,
    ("log",): Log,
}


def model_at(path: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The model of the mapping at `path`, None if no mapping of ours belongs there."""
    for pattern, model in MODELS.items():
        if len(pattern) == len(path) and all(
            one in ("*", part) for one, part in zip(pattern, path, strict=True)
        ):
            return model
    return None
