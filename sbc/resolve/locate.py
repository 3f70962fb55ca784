"""From the name of a server to the places where a request may be sent (RFC 3263 §4).

`locate` walks the whole way each time, over the answers that are at hand, and says which are
missing. Nothing is remembered between two walks but those answers, so none can be out of step
with another. The way:

 1. The transport (§4.1). One that is named is kept. With a port it is the first that we like.
    Else NAPTR records say which the domain prefers; where there are none, the services that we
    can use are asked for one by one.
 2. Port and server (§4.2). With a port, the name's addresses. Without, the SRV records of the
    service; where there are none at all, the name's addresses and the default port.
 3. The addresses of each server, in the families that the realm can use, each family as one
    group, the first family first (RFC 7984 §4.2: never across the order of SRV).

A silent server is not an absent record: where SRV cannot be asked, the name's own addresses are
not tried instead. NAPTR alone is forgiven, as some resolvers do not pass it on.

Left out: NAPTR flags other than "s" and regular expressions, which RFC 3263 §4.1 has no use for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import accumulate
from typing import Final, TypeVar

from sbc.resolve.records import (
    Address,
    Answer,
    Kind,
    Naptr,
    Outcome,
    Place,
    Question,
    Record,
    Srv,
)
from sbc.transaction.hop import TCP, TLS, UDP

__all__ = ["MAX_PLACES", "Located", "Look", "Way", "Wish", "default_port", "is_usable", "locate"]

MAX_PLACES: Final = 32
_MAX_SERVERS: Final = 16
_MAX_ADDRESSES: Final = 16
"""Of one server and family."""

_SERVICES: Final = {"SIP+D2U": UDP, "SIP+D2T": TCP, "SIPS+D2T": TLS}
_PREFIXES: Final = {UDP: "_sip._udp.", TCP: "_sip._tcp.", TLS: "_sips._tcp."}
_KINDS: Final = {4: Kind.A, 6: Kind.AAAA}

Look = Callable[[Question], Answer | None]
"""The answer that is at hand for a question, None where it is yet to be asked."""
UpTo = Callable[[int], int]
"""n → a random whole number from 0 to n, both included."""


class Way(Enum):
    """How far the steps of RFC 3263 are followed."""

    AUTO = "auto"
    """NAPTR, SRV, addresses: as the RFC says."""
    SRV = "srv"
    """SRV alone; a name without such records has no place."""
    A = "a"
    """Addresses alone, at the given or the default port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be located."""

    host: str
    """A name, or a numeric address."""
    port: int = 0
    """0: none is given."""
    transports: tuple[bytes, ...] = (UDP,)
    """Those that we can use there, the best first. One alone is a named transport (§4.1)."""
    secure: bool = False
    """`sips`: nothing but TLS will do."""
    families: tuple[int, ...] = (4, 6)
    """IP versions that can be reached, the best first."""
    way: Way = Way.AUTO


@dataclass(slots=True)
class _Server:
    """One SRV record, or the name itself, with its addresses: groups of a family each."""

    transport: bytes
    port: int
    priority: int
    weight: int
    families: list[tuple[str, ...]]


@dataclass(slots=True)
class Located:
    """What a walk has found."""

    name: str = ""
    missing: list[Question] = field(default_factory=list)
    """To be asked before the walk can end; empty: it has."""
    asked: list[Question] = field(default_factory=list)
    """All whose answers it stands on."""
    steps: list[list[_Server]] = field(default_factory=list)
    """Servers of one transport each, in the order of transports."""
    problem: str = ""
    """Why there is no place."""

    @property
    def addresses(self) -> frozenset[str]:
        """Every address that a place may have."""
        return frozenset(
            host
            for step in self.steps
            for server in step
            for family in server.families
            for host in family
        )

    def places(self, up_to: UpTo) -> list[Place]:
        """The places in the order to try, weights drawn anew (RFC 2782); at most MAX_PLACES."""
        found: dict[Place, None] = {}
        for step in self.steps:
            for server in by_weight(step, up_to):
                for family in server.families:
                    first = up_to(len(family) - 1) if len(family) > 1 else 0
                    for host in family[first:] + family[:first]:
                        found.setdefault(Place(server.transport, host, server.port, self.name))
        return list(found)[:MAX_PLACES]


def locate(wish: Wish, look: Look) -> Located:
    """Go the way of RFC 3263 §4, as far as the answers of `look` lead. Raises nothing."""
    transports = (TLS,) if wish.secure else wish.transports
    address = _numeric(wish.host)
    if address is not None:
        return _numeric_host(wish, transports, address)
    walk = _Walk(wish, look, Located(wish.host))
    if not transports:
        walk.found.problem = "no transport reaches it"
    elif wish.port or wish.way is Way.A:
        walk.own_addresses(transports[0])
    else:
        walk.services(transports)
    found = walk.found
    if found.steps:
        found.problem = ""
    elif not found.missing and not found.problem:
        found.problem = "no address"
    return found


def default_port(transport: bytes) -> int:
    """RFC 3261 §19.1.2."""
    return 5061 if transport == TLS else 5060


def by_weight(servers: Sequence[_Server], up_to: UpTo) -> list[_Server]:
    """SRV records in the order of RFC 2782: by priority, and within one at random by weight.

    Deviates from RFC 2782: where all weights of a priority are 0, each is as likely.
    """
    left = sorted(servers, key=lambda one: (one.priority, one.weight > 0))
    ordered = []
    while left:
        group = [one for one in left if one.priority == left[0].priority]
        sums = list(accumulate(one.weight for one in group))
        if len(group) == 1:
            index = 0
        elif sums[-1]:
            index = bisect_left(sums, up_to(sums[-1]))
        else:  # the RFC would leave all calls to the first
            index = up_to(len(group) - 1)
        ordered.append(left.pop(index))
    return ordered


def is_usable(host: str) -> bool:
    """Whether an address out of the DNS can be anybody's."""
    address = _numeric(host)
    return address is not None and not (
        address.is_unspecified
        or address.is_multicast
        or address == _BROADCAST
        or (address.version == 6 and address.is_link_local)  # nothing says on which link
    )


_BROADCAST: Final = IPv4Address("255.255.255.255")


@dataclass(slots=True)
class _Walk:
    wish: Wish
    look: Look
    found: Located

    def services(self, transports: tuple[bytes, ...]) -> None:
        """§4.1 without a port, then the SRV part of §4.2."""
        wanted = [(one, _PREFIXES[one] + self.wish.host) for one in transports]
        if len(transports) > 1 and self.wish.way is Way.AUTO:
            answer = self.ask(self.wish.host, Kind.NAPTR)
            if answer is None:
                return
            wanted = _preferred(_of(answer, Naptr), transports) or wanted
        answers = [(one, self.ask(name, Kind.SRV)) for one, name in wanted]
        if any(answer is None for _, answer in answers):
            return
        silent = denied = False
        for transport, answer in answers:
            assert answer is not None  # noqa: S101 (all are here)
            silent = silent or answer.outcome is Outcome.FAILED
            denied = denied or bool(answer.records)
            self.servers(transport, _of(answer, Srv))
        if silent and not self.found.steps:
            self.found.problem = "SRV: no answer"
        elif denied or silent:
            return
        elif self.wish.way is Way.SRV:
            self.found.problem = "no SRV record"
        else:
            self.own_addresses(transports[0])

    def servers(self, transport: bytes, records: Sequence[Srv]) -> None:
        """§4.2: the servers of one service; `.` alone says that there is none (RFC 2782)."""
        there = sorted({one for one in records if one.target and one.port})
        if records and not there:
            self.found.problem = "the domain says that it has no such service"
        step = [
            _Server(transport, one.port, one.priority, one.weight, addresses)
            for one in there[:_MAX_SERVERS]
            if (addresses := self.addresses(one.target))
        ]
        if step:
            self.found.steps.append(step)

    def own_addresses(self, transport: bytes) -> None:
        """The name is the server's."""
        addresses = self.addresses(self.wish.host)
        if addresses:
            port = self.wish.port or default_port(transport)
            self.found.steps.append([_Server(transport, port, 0, 0, addresses)])

    def addresses(self, host: str) -> list[tuple[str, ...]]:
        """Those of one server, a group for each family that has some."""
        groups = []
        literal = _numeric(host)  # RFC 2782 forbids it in SRV; it is found there all the same
        if literal is not None:
            return [(str(literal),)] if literal.version in self.wish.families else []
        for family in self.wish.families:
            answer = self.ask(host, _KINDS[family])
            if answer is None:
                continue
            hosts = dict.fromkeys(one.host for one in _of(answer, Address) if is_usable(one.host))
            if hosts:
                groups.append(tuple(hosts)[:_MAX_ADDRESSES])
            elif not self.found.problem:
                self.found.problem = f"{host}: {answer.outcome.value}"
        return groups

    def ask(self, name: str, kind: Kind) -> Answer | None:
        question = Question(name, kind)
        if question not in self.found.asked:
            self.found.asked.append(question)
        answer = self.look(question)
        if answer is None and question not in self.found.missing:
            self.found.missing.append(question)
        return answer


def _numeric_host(
    wish: Wish, transports: tuple[bytes, ...], address: IPv4Address | IPv6Address
) -> Located:
    """§4.1 and §4.2, "if the TARGET is a numeric IP address": nothing is asked."""
    found = Located()
    if not transports or address.version not in wish.families:
        found.problem = "no listener reaches it"
        return found
    port = wish.port or default_port(transports[0])
    found.steps.append([_Server(transports[0], port, 0, 0, [(str(address),)])])
    return found


def _preferred(records: Sequence[Naptr], transports: tuple[bytes, ...]) -> list[tuple[bytes, str]]:
    """Service names to ask for, by NAPTR: of the lowest order that we can use at all, and no
    other (RFC 3403 §4.1), by preference."""
    usable = sorted(
        (one.order, one.preference, one.services, one.replacement)
        for one in records
        if one.flags == "S"
        and not one.regexp
        and one.replacement
        and _SERVICES.get(one.services) in transports
    )
    return [
        (_SERVICES[services], replacement)
        for order, _, services, replacement in usable[:_MAX_SERVERS]
        if order == usable[0][0]
    ]


R = TypeVar("R", bound=Record)


def _of(answer: Answer, kind: type[R]) -> list[R]:
    return [one for one in answer.records if isinstance(one, kind)]


def _numeric(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
