"""A plan's streams become directions: what may come to each of our ports, and where it goes.

PURE. Each stream has four: RTP and RTCP from the peer of end `a`, and from that of end `b`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from relay.control.messages import ControlError, End, ErrorCode, Plan, Srtp, Stream
from relay.latch import Address, Rules
from relay.ports import Key

__all__ = ["PLAIN", "Component", "Crossing", "Direction", "Side", "directions"]


class Component(IntEnum):
    """RTP, or the RTCP beside it."""

    RTP = 0
    RTCP = 1


class Side(IntEnum):
    """Which end's peer a direction comes from."""

    A = 0
    B = 1


_FORWARD: Final = 0
_DROP: Final = 1
_PUNT: Final = 2
"""As `relay.forward.base.Verdict`, which is a layer above."""
_DEFAULT_RATES: Final = {"audio": (100, 20_000), "video": (500, 500_000)}
"""Kind → nominal packets/s and bytes/s: audio at 10 ms packets, video of 4 Mbit/s."""
_OTHER_RATES: Final = (100, 100_000)
_POLICED_AT: Final = 3
_LEAST_UNIT: Final = 60
_RTCP_SHARE: Final = 20
"""RTCP takes 5 % of the session's bandwidth (RFC 3550 §6.2)."""
_RTCP_UNIT: Final = 100
_RTCP_LEAST: Final = 1000


@dataclass(frozen=True, slots=True)
class Crossing:
    """How what comes from one peer changes on its way to the other. Its RTP and RTCP share one."""

    srtp_in: Srtp | None = None
    srtp_out: Srtp | None = None
    types: bytes | None = None
    """As in a Flow; so are the next two."""
    payloads: bytes | None = None
    convert: bytes | None = None
    continuity: bool = False
    """One SSRC, and numbers that go on, whatever the source."""
    bye: bool = True
    app: bool = False
    reported_types: tuple[int, ...] = ()
    """Payload types of the telephone-events that are reported and not passed on."""
    injected_type: int = -1
    """Payload type of digits that this direction may have injected; -1: it may not."""

    @property
    def has_digits(self) -> bool:
        """Digits are taken out of it, or put in."""
        return bool(self.reported_types) or self.injected_type >= 0


PLAIN: Final = Crossing()
"""Nothing changes: most calls have this one."""


@dataclass(slots=True)
class Direction:
    """What comes from the peer of one end to one of our ports."""

    stream: int
    kind: str
    side: Side
    component: Component
    realm: str
    key: Key
    """Our (address, port) that it comes to."""
    out: Key
    """Our (address, port) that it leaves from."""
    rules: Rules
    """What is believed of its source."""
    held: bool
    """The peer at the other end may not receive it."""
    expected: bool
    """It should be coming."""
    unit_octets: int
    rate_octets: int
    """Allowance per second: three times the nominal rate."""
    clock_rates: Mapping[int, int]
    crossing: Crossing = PLAIN
    muxed: bool = False
    """This peer's RTCP comes to its RTP port."""
    tos: int = 0
    """The byte that packets from our port to this peer bear."""
    codecs: Mapping[int, str] = field(default_factory=dict)
    """Payload type → encoding name, as signalled."""

    @property
    def place(self) -> tuple[int, Side, Component]:
        """What it is in the call, whatever its ports."""
        return self.stream, self.side, self.component


def directions(plan: Plan) -> list[Direction]:
    """All directions of a plan; those of a stream next to each other: a and b RTP, a and b RTCP.

    Raises ControlError(BAD_REQUEST) for a plan that contradicts itself, PORT_IN_USE for one that
    names a port twice.
    """
    found: list[Direction] = []
    keys: set[Key] = set()
    indices: set[int] = set()
    for stream in plan.streams:
        if stream.index in indices:
            raise ControlError(ErrorCode.BAD_REQUEST, f"stream {stream.index} is there twice")
        indices.add(stream.index)
        a, b = stream.a, stream.b
        ports: list[Key] = []  # kept for as long as the call lasts: each once
        for end in (a, b):
            key = (end.address, end.port)
            if end.port % 2:
                raise ControlError(ErrorCode.BAD_REQUEST, f"expected an even port, got {end.port}")
            if key in keys:
                raise ControlError(ErrorCode.PORT_IN_USE, f"{key[0]} port {key[1]} is there twice")
            keys.add(key)
            ports += key, (end.address, end.port + 1)
        rtp_a, rtcp_a, rtp_b, rtcp_b = ports
        from_a, from_b = _crossing(a, b), _crossing(b, a)
        found += (
            _rtp(stream, Side.A, a, b, rtp_a, rtp_b, from_a),
            _rtp(stream, Side.B, b, a, rtp_b, rtp_a, from_b),
            _rtcp(stream, Side.A, a, rtcp_a, rtp_b if b.rtcp_mux else rtcp_b, from_a),
            _rtcp(stream, Side.B, b, rtcp_b, rtp_a if a.rtcp_mux else rtcp_a, from_b),
        )
    return found


def _crossing(end: End, other: End) -> Crossing:
    """From `end`'s peer to that of `other`. Raises ControlError."""
    if other.rtcp_mux and any(64 <= kind <= 95 for kind in end.payloads.values()):
        # RFC 5761 §4: with the marker they could not be told from RTCP.
        raise ControlError(
            ErrorCode.BAD_REQUEST, "expected no payload type of 64..95 where rtcp-mux is agreed on"
        )
    reported = tuple(end.dtmf_reported)
    allowed = tuple(end.clock_rates) if end.strict else None
    found = Crossing(
        end.srtp_in,
        other.srtp_out,
        None if allowed is None and not reported else _types(allowed, reported),
        _payloads(tuple(end.payloads.items())) if end.payloads else None,
        _conversions(tuple(end.convert.items())) if end.convert else None,
        other.continuity,
        end.rtcp_bye,
        end.rtcp_app,
        reported,
        other.dtmf_pt,
    )
    return PLAIN if found == PLAIN else found


@lru_cache(maxsize=1024)
def _types(allowed: tuple[int, ...] | None, reported: tuple[int, ...]) -> bytes:
    """The verdict for each payload type where only some are allowed, or some are not to pass."""
    table = bytearray([_FORWARD if allowed is None else _DROP]) * 128
    for kind in allowed or ():
        table[kind] = _FORWARD
    for kind in reported:
        table[kind] = _PUNT
    return bytes(table)


@lru_cache(maxsize=1024)
def _payloads(given: tuple[tuple[int, int], ...]) -> bytes:
    """What each payload type becomes."""
    table = bytearray(range(128))
    for kind, other in given:
        table[kind] = other
    return bytes(table)


@lru_cache(maxsize=1024)
def _conversions(given: tuple[tuple[int, int], ...]) -> bytes:
    """The conversion for each payload type."""
    table = bytearray(128)
    for kind, conversion in given:
        table[kind] = conversion
    return bytes(table)


def _rtp(
    stream: Stream, side: Side, end: End, other: End, key: Key, out: Key, crossing: Crossing
) -> Direction:
    unit, rate = _rates(stream.kind, end)
    return Direction(
        stream.index,
        stream.kind,
        side,
        Component.RTP,
        end.realm,
        key,
        out,
        _rules(end, _remote(end, end.remote)),
        not other.may_receive,
        end.expects,
        unit,
        _POLICED_AT * rate,
        end.clock_rates,
        crossing,
        end.rtcp_mux,
        end.dscp << 2,
        end.codecs,
    )


def _rtcp(
    stream: Stream, side: Side, end: End, key: Key, out: Key, crossing: Crossing
) -> Direction:
    remote = end.remote_rtcp
    if remote is None and end.remote is not None:
        remote = (end.remote[0], end.remote[1] + 1)  # RFC 3550 §11
    _, rate = _rates(stream.kind, end)
    return Direction(
        stream.index,
        stream.kind,
        side,
        Component.RTCP,
        end.realm,
        key,
        out,
        _NOBODY if end.rtcp_mux else _rules(end, _remote(end, remote)),
        False,  # RFC 3264 §8.4: RTCP goes on during hold
        False,
        _RTCP_UNIT,
        _POLICED_AT * max(rate // _RTCP_SHARE, _RTCP_LEAST),
        _NO_CLOCKS,
        crossing,
        end.rtcp_mux,
        end.dscp << 2,
        _NO_NAMES,
    )


_NO_NAMES: Final[Mapping[int, str]] = {}
_NOBODY: Final = Rules(None)
"""Who is believed on an RTCP port that rtcp-mux leaves unused."""
_NO_CLOCKS: Final[Mapping[int, int]] = {}


def _rules(end: End, signalled: Address | None) -> Rules:
    sip_source = None
    if end.sip_source is not None:
        sip_source = _host(end.sip_source)
        if sip_source is None:
            raise ControlError(
                ErrorCode.BAD_REQUEST, f"expected an IP address as sip_source: {end.sip_source}"
            )
    return Rules(signalled, end.nat, end.latch_any, sip_source, end.asymmetric)


def _rates(kind: str, end: End) -> tuple[int, int]:
    """(bytes of a nominal packet, nominal bytes/s)."""
    default_pps, default_bps = _DEFAULT_RATES.get(kind, _OTHER_RATES)
    default_unit = default_bps // default_pps
    pps, bps = end.rate_pps, end.rate_bps
    if not pps and not bps:
        return default_unit, default_bps
    if not pps:
        return min(default_unit, bps), bps
    if not bps:
        return default_unit, pps * default_unit
    unit = max(bps // pps, _LEAST_UNIT)
    return unit, max(bps, pps * unit)


def _remote(end: End, remote: Address | None) -> Address | None:
    """The signalled address in the form in which packets bear it; None: nobody to send to."""
    if remote is None or remote[1] == 0 or remote[1] > 65535:
        return None
    host = _host(remote[0])
    if host is None:
        raise ControlError(ErrorCode.BAD_REQUEST, f"expected an IP address, got {remote[0]}")
    if (":" in host) != (":" in end.address):
        raise ControlError(
            ErrorCode.BAD_REQUEST, f"{end.address} cannot reach {host}: another address family"
        )
    return (host, remote[1]) if _reachable(host, end.address) else None


@lru_cache(maxsize=16384)
def _host(text: str) -> str | None:
    """The canonical text of an IP address, which is what `recvfrom` yields; None: it is none."""
    try:
        return str(ip_address(text))
    except ValueError:
        return None


@lru_cache(maxsize=16384)
def _reachable(host: str, local: str) -> bool:
    """Whether a peer may be there: hold (c=0.0.0.0), groups and our own loopback are nobody."""
    address = ip_address(host)
    if address.is_unspecified or address.is_multicast or host == "255.255.255.255":
        return False
    return not address.is_loopback or ip_address(local).is_loopback
