"""What a new request tells policy, and what disqualifies it before policy is asked."""

from __future__ import annotations

from typing import Final

from policies.facts import CallFacts
from policies.settings import TrunkSettings
from sbc.call.answers import Refusal
from sbc.call.cdr import Cause
from sbc.call.legs.a_leg import ALeg
from sbc.call.legs.capabilities import unsupported
from sbc.dialog.route_set import route
from sbc.errors import ParseError
from sbc.ids import Mint
from sbc.sip.message import Request
from sbc.sip.status import INVITE, SUBSCRIBE
from sbc.sip.uri import OtherUri, Uri, number_of, unescape
from sbc.transaction.hop import Hop

__all__ = ["facts_of", "loop_mark", "refusal_of", "timer_refusal", "user_of"]


_OPENING: Final = frozenset((INVITE, SUBSCRIBE))
"""What makes a dialog, so that the peer must say where it is."""


def facts_of(request: Request, hop: Hop) -> CallFacts:
    """The plain values that policies know about."""
    target = request.target
    return CallFacts(
        hop.realm,
        hop.host,
        hop.port,
        hop.transport,
        hop.listener,
        number_of(target),
        user_of(request.first(b"from") or b""),
        certified=hop.trunk,
    )


def timer_refusal(a: ALeg, request: Request) -> Refusal | None:
    """422 where the caller asks for a session timer that is too short for its trunk (RFC 4028)."""
    refusal = a.session_timer().on_request(request) if a.wants_timer(request) else None
    if refusal is None:
        return None
    text = "a session timer below the trunk's minimum"
    return Refusal(refusal.status, Cause.BAD_REQUEST, text, refusal.head)


def loop_mark(trunk: TrunkSettings, target: Uri, mint: Mint) -> bytes:
    """What our branch says about the call that it was made for (RFC 5393 §4.2.2).

    The same number brought by the same trunk is the same call; brought by another trunk it is a
    hairpin, which carriers do for numbers of their own customers. Keyed, so that the other side
    cannot try out trunk names on it.
    """
    return b"." + mint.mark(number_of(target) + b"\x00" + trunk.name.encode())


def refusal_of(request: Request, trunk: TrunkSettings, mint: Mint) -> Refusal | None:
    """Why this INVITE cannot become a call, None if it can (RFC 3261 §8.2, §16.3).

    The same for other requests that are to go across, with or without a dialog.
    """
    try:
        hops, contact = request.max_forwards, request.contact
        missing = unsupported(request, trunk)
        looped = _has_been_here(request, trunk, mint)
        routes = request.values(b"record-route")
        if routes and contact is not None:
            route(contact.uri, routes)  # by which our BYE will go
    except ParseError as error:
        return Refusal(error.status, Cause.BAD_REQUEST, str(error))
    if isinstance(request.target, OtherUri):
        scheme = request.target.scheme.decode("ascii", "replace")
        return Refusal(416, Cause.BAD_REQUEST, f"request-URI of scheme {scheme}")
    if missing:
        return Refusal(420, Cause.BAD_REQUEST, "an extension is required", missing)
    if request.method in _OPENING and (contact is None or contact.uri == b"*"):
        method = request.method.decode("latin-1")
        return Refusal(400, Cause.BAD_REQUEST, f"expected a Contact in a request {method}")
    if hops == 0:
        return Refusal(483, Cause.LOOP, "Max-Forwards is 0")
    if looped:
        return Refusal(482, Cause.LOOP, "the call has been here before")
    return None


def _has_been_here(request: Request, trunk: TrunkSettings, mint: Mint) -> bool:
    """Whether a Via of ours says that this call is going round (RFC 3261 §16.3)."""
    lines = request.every(b"via")
    if len(lines) == 1 and b"," not in lines[0]:
        return False
    mark = loop_mark(trunk, request.target, mint)
    return any(mark in line and mint.shard_of(line) is not None for line in lines)


def user_of(value: bytes) -> bytes:
    """User of the URI in a From value, b"" where it has none; good enough for a record."""
    uri = value.partition(b"<")[2].partition(b">")[0] or value.partition(b";")[0]
    rest = uri.partition(b":")[2]
    user, at, _ = rest.rpartition(b"@")
    if not at and uri[:4].lower() == b"tel:":
        user = rest
    return unescape(user.partition(b";")[0])
