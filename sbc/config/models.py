"""The grammar of the configuration file.

A string is shorthand for an object wherever one is enough, and a list of one may be written
without brackets. Every key says here what it means and what it is when it is not written.
`sbc.config.build` turns these models into the settings that the programs are given; nothing
outside this package sees a pydantic type.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from policies.settings import Latch, Nat, Stranger, TrunkTransport
from relay.settings import FAST_PATHS
from sbc.config.scalars import (
    ADDRESS,
    COUNT,
    NUMBER,
    Address,
    Bind,
    DialPrefix,
    HeaderName,
    Name,
    Network,
    Number,
    OneOrMany,
    Order,
    Port,
    PortRange,
    Rule,
    Seconds,
    Status,
    Switch,
    Text,
    address_port,
    bind,
    choice,
    expected,
)

__all__ = [
    "MODELS",
    "Access",
    "Border",
    "Limits",
    "Listener",
    "Media",
    "Realm",
    "Route",
    "Trunk",
    "TrunkPeer",
    "model_at",
]


class _Section(BaseModel):
    """A mapping of the file: unknown keys are errors, an empty one is written as nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    @model_validator(mode="before")
    @classmethod
    def _mapping(cls, value: Any) -> Any:  # noqa: ANN401 (what YAML holds)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise expected("a mapping (key: value)")
        return value


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


def _listener(value: object) -> object:
    """`"udp:10.0.0.5:5060"` is `{ bind: "udp:10.0.0.5:5060" }`."""
    if isinstance(value, str):
        bind(value)
        return {"bind": value}
    return value


def _peer(value: object) -> object:
    """`"10.0.0.20:5060"` is `{ address: 10.0.0.20, port: 5060 }`."""
    if isinstance(value, str):
        host, port = address_port(value, 5060, '"ADDRESS", "ADDRESS:PORT" or a mapping')
        return {"address": host, "port": port}
    if not isinstance(value, dict):
        raise expected('"ADDRESS", "ADDRESS:PORT" or a mapping')
    return value


def _advertise(value: object) -> tuple[str, int]:
    """Port 0: the one that is bound."""
    return address_port(value, 0, '"ADDRESS" or "ADDRESS:PORT"')


class Listener(_Section):
    """One address on which SIP is spoken."""

    bind: Bind
    """The local address and port; 5060 where no port is given."""
    advertise: Annotated[tuple[str, int] | None, Rule(_advertise, "an address")] = None
    """What peers are told to send to: the public address of a 1:1 NAT. Default: as bound."""


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
    """Where this network's media is anchored: at least one."""


class TrunkPeer(_Section):
    """An address that calls are sent to."""

    address: Address
    """Where it is."""
    port: Port = 5060
    """On which port it hears SIP."""
    priority: Order = 0
    """Lower is tried first."""
    weight: Order = 1
    """Within one priority, heavier is tried first."""


class Limits(_Section):
    """What a trunk may use, both directions together. Not written: no limit."""

    calls: Annotated[int | None, COUNT] = None
    """Concurrent calls."""
    cps: Annotated[float | None, NUMBER] = None
    """New calls in a second; as many may come at once."""
    status: Status = 503
    """The answer over the limit, without Retry-After."""


class Trunk(_Section):
    """A peer network: a PBX, a carrier."""

    realm: Name
    """The realm in which it is met."""
    peers: Annotated[list[Annotated[TrunkPeer, BeforeValidator(_peer)]], OneOrMany] = []
    """Where its calls are sent. None: it only calls us, and needs `sources`."""
    sources: Annotated[list[Network], OneOrMany] = []
    """Where its calls come from. Default: the peers' addresses."""
    transport: Annotated[TrunkTransport, choice(TrunkTransport, "udp, tcp, tls or auto")] = (
        TrunkTransport.UDP
    )
    """How it is called; auto is UDP, and TCP for messages above 1300 bytes."""
    limits: Limits = Limits()
    no_answer: Seconds = 180.0
    """How long it may ring before the call is given up (CANCEL, 480)."""
    passed: Annotated[list[HeaderName], OneOrMany, Field(alias="pass")] = []
    """Further headers that cross in its calls, whatever the other trunk says: `[X-Account]`."""
    trusted: Switch = False
    """Whether P-Asserted-Identity and Privacy are believed from it and shown to it."""
    nat: Annotated[Nat, choice(Nat, "auto, always or never")] = Nat.AUTO
    """Whether its peers sit behind NAT; auto looks at each message."""
    latch: Annotated[Latch, choice(Latch, "signalled or any")] = Latch.SIGNALLED
    """Behind NAT: media from addresses that signalling names, or from anybody."""
    media_timeout: Seconds = 60.0
    """Silence of a stream that should flow, after which the call is ended."""


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


class Log(_Section):
    """What the processes say on standard error."""

    level: Annotated[str, _one_of("debug", "info", "warning", "error")] = "info"
    """The least that is worth a line."""
    as_json: Annotated[Switch, Field(alias="json")] = False
    """One JSON object a line, for programs."""


class Border(_Section):
    """The whole file."""

    run_dir: Text | None = None
    """Sockets and locks. Default: /run/sbc, or a folder of the user's."""
    state_dir: Text | None = None
    """What outlives a restart. Default: /var/lib/sbc, or a folder of the user's."""
    realms: dict[Name, Realm] = {}
    trunks: dict[Name, Trunk] = {}
    routes: list[Route] = []
    access: Access = Access()
    cdr: Cdr = Cdr()
    relay: Relay = Relay()
    log: Log = Log()


MODELS: Final[dict[tuple[str, ...], type[_Section]]] = {
    (): Border,
    ("realms", "*"): Realm,
    ("realms", "*", "listen", "*"): Listener,
    ("realms", "*", "media", "*"): Media,
    ("trunks", "*"): Trunk,
    ("trunks", "*", "peers", "*"): TrunkPeer,
    ("trunks", "*", "limits"): Limits,
    ("routes", "*"): Route,
    ("access",): Access,
    ("cdr",): Cdr,
    ("relay",): Relay,
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
