"""The INVITE to a target: built from what was decided, never copied (RFC 5853 §3.1)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from policies.facts import Target
from policies.settings import TrunkSettings, TrunkTransport
from sbc.call.crossing.headers import CREDENTIALS, Hide, party, user_part
from sbc.call.legs.b_leg import BLeg
from sbc.call.legs.capabilities import head_for
from sbc.call.legs.leg import CONTENT_TYPE_SDP
from sbc.call.legs.local import LocalEnd, LocalEnds
from sbc.call.legs.session_timer import SessionTimer
from sbc.resolve.records import Place
from sbc.sip.message import Message, Request
from sbc.sip.status import INVITE
from sbc.sip.uri import SipUri, TelUri, Uri
from sbc.transaction.hop import TCP, UDP, Hop
from sbc.transaction.request import ClientRequest

__all__ = [
    "AUTO_LIMIT_BYTES",
    "DEFAULT_HOPS",
    "build_invite",
    "crossing_names",
    "in_uri",
    "request_uri",
    "ways_to",
]

AUTO_LIMIT_BYTES: Final = 1300
"""Larger requests go by TCP where the trunk is `auto` (RFC 3261 §18.1.1)."""

_MAX_KEPT: Final = 1024
_INVITE_HEADS: Final[dict[int, tuple[TrunkSettings, bytes, bytes]]] = {}
"""By the trunk's identity, for hashing one costs more than the lines: of every INVITE."""
DEFAULT_HOPS: Final = 70  # RFC 3261 §16.6 step 3
_ALWAYS: Final = frozenset(
    (
        b"reason",
        b"diversion",
        b"history-info",
        b"user-to-user",
        b"alert-info",
        b"subject",
        b"accept-language",
    )
)
_TRUSTED: Final = frozenset((b"p-asserted-identity", b"privacy"))  # RFC 3325


@lru_cache(maxsize=1024)  # one set for all calls between two trunks
def _names(
    trusted: bool, passed_a: tuple[str, ...], passed_b: tuple[str, ...], challenges: bool
) -> frozenset[bytes]:
    names = _ALWAYS | _TRUSTED if trusted else _ALWAYS
    if challenges:
        names |= CREDENTIALS
    return names | {name.lower().encode() for name in passed_a + passed_b}


def crossing_names(a: TrunkSettings, b: TrunkSettings) -> frozenset[bytes]:
    """The header names that may cross between two trunks.

    P-Asserted-Identity and Privacy where both are within the trust domain of RFC 3325, what
    either trunk passes, and digest credentials where the one passes its challenges and the other
    is asked for none by us, for those would be ours.
    """
    challenges = (b.pass_challenges and a.auth is None) or (a.pass_challenges and b.auth is None)
    return _names(a.trusted and b.trusted, a.pass_headers, b.pass_headers, challenges)


def ways_to(target: Target, place: Place, ends: LocalEnds) -> list[tuple[LocalEnd, Hop]]:
    """The transports to try for a place, first choice first; empty where none can reach it.

    For an `auto` trunk's UDP, TCP comes second; the caller takes it instead for a large request.
    """
    trunk, host, port = target.trunk, place.host, place.port
    auto = trunk.transport is TrunkTransport.AUTO and place.transport == UDP
    found = []
    for transport in (UDP, TCP) if auto else (place.transport,):
        end = ends.towards(trunk.realm, transport, host)
        if end is None:
            continue
        if transport == UDP and not place.name:
            hop = end.hops[host, port]
        else:
            hop = Hop(trunk.realm, end.index, transport, host, port, 0, trunk.name, place.name)
        found.append((end, hop))
    return found


def build_invite(
    leg: BLeg,
    invite: Request,
    mark: bytes,
    body: bytes,
    along: bytes,
    hide: Hide,
    reliable: bool = True,
) -> ClientRequest:
    """The INVITE of `leg`, for the INVITE that the caller sent.

    Args:
        mark: by which our Via is known if the call comes back (`incoming.loop_mark`).
        body: our offer.
        along: the header lines of the caller's that cross.
        reliable: whether 100rel may be offered. Not where the offer may come in a 18x and the
            caller could not answer it before the 2xx.
    """
    peer = leg.target.peer
    host = in_uri(peer.host)
    there = host + b":%d" % peer.port if peer.port else host
    number = leg.target.number
    if number is None:
        uri = request_uri(invite.target, there)
    else:  # a redirection's, which may have no user at all
        user = user_part(number)
        uri = b"sip:%b@%b" % (user, there) if user else b"sip:" + there
    branch = leg.next_branch(mark)
    hops = invite.max_forwards
    caller = party(_value(invite, b"from"), leg.end.host, leg.tag, hide)
    callee = party(_value(invite, b"to"), host, hide=hide)
    head = leg.end.contact(leg.token) + _invite_head(leg.trunk, reliable) + along
    return ClientRequest(
        INVITE,
        uri,
        leg.end.via(branch),
        branch,
        b"",
        caller,
        callee,
        leg.token,
        1,
        DEFAULT_HOPS if hops is None else hops - 1,
        head + CONTENT_TYPE_SDP if body else head,
        body,
        leg.prove(INVITE, uri, body),
    )


def _invite_head(trunk: TrunkSettings, reliable: bool) -> bytes:
    """What the first INVITE to a trunk says of us and asks for (RFC 4028 §7.1)."""
    kept = _INVITE_HEADS.get(id(trunk))
    if kept is None or kept[0] is not trunk:
        timer = SessionTimer(trunk.session_timer).request_head()
        plain, full = (head_for(trunk, initial=initial) + timer for initial in (False, True))
        if len(_INVITE_HEADS) >= _MAX_KEPT:
            _INVITE_HEADS.clear()
        kept = _INVITE_HEADS[id(trunk)] = trunk, plain, full
    return kept[2] if reliable else kept[1]


@lru_cache(maxsize=1024)  # of the peers that are configured
def in_uri(host: str) -> bytes:
    """As in a URI: an IPv6 address has its brackets."""
    return (f"[{host}]" if ":" in host else host).encode()


def _value(message: Message, name: bytes) -> bytes:
    return message.first(name) or b""


def request_uri(target: Uri, host: bytes) -> bytes:
    """The number that was called, at the target, with its port unless it is a name without."""
    match target:
        case TelUri():
            return b"sip:%b@%b;user=phone" % (target.number, host)
        case SipUri() if user := user_part(target.user):
            phone = b";user=phone" if target.params.get(b"user") == b"phone" else b""
            return b"sip:%b@%b%b" % (user, host, phone)
        case _:
            return b"sip:%b" % host
