"""Where a request inside a dialog goes: route set and remote target (RFC 3261 §12.2.1.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sbc.errors import ParseError
from sbc.sip.address import parse_name_addr
from sbc.sip.grammar import shown
from sbc.sip.uri import SipUri, parse_uri

__all__ = ["Routing", "route"]


@dataclass(slots=True)
class Routing:
    """What a route set makes of a request."""

    uri: bytes
    """The Request-URI."""
    route_lines: bytes
    """Route lines, each with its CRLF; b"" without a route set."""
    next_hop: bytes
    """The URI that says where to send it (§8.1.2)."""


def route(target: bytes, routes: Sequence[bytes]) -> Routing:
    """Route a request to `target` through `routes`.

    A first route with `lr` is a loose router: the target stays the Request-URI, the routes are
    listed as they are. Without it, it is a strict router (RFC 2543): it becomes the Request-URI,
    and the target goes to the end of the list.

    Args:
        target: the remote target, a URI.
        routes: the route set, name-addr values as received, first hop first.

    Raises:
        ParseError: the first route cannot be read.
    """
    if not routes:
        return Routing(target, b"", target)
    first = parse_name_addr(routes[0], "Route").uri
    uri = parse_uri(first)
    if not isinstance(uri, SipUri):
        raise ParseError("Route", f"expected a SIP URI, got {shown(first, 64)}")
    if b"lr" in uri.params:
        return Routing(target, b"".join([b"Route: %b\r\n" % value for value in routes]), first)
    strict = [b"Route: %b\r\n" % value for value in routes[1:]]
    strict.append(b"Route: <%b>\r\n" % target)
    # §19.1.1, table 1: a Request-URI has no headers and no method parameter.
    return Routing(_as_request_uri(first, uri), b"".join(strict), first)


def _as_request_uri(raw: bytes, uri: SipUri) -> bytes:
    """`raw` without what a Request-URI may not have."""
    if uri.headers:
        raw = raw[: -len(uri.headers) - 1]
    if b"method" not in uri.params:
        return raw
    user, at, rest = raw.rpartition(b"@")  # the user part may hold a `;` of its own
    host, *params = rest.split(b";")
    kept = [param for param in params if param.partition(b"=")[0].lower() != b"method"]
    return user + at + b";".join([host, *kept])
