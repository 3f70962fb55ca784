"""What a 3xx says: where else to try, and what of it a caller may see (RFC 3261 §8.1.3.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sbc.call.crossing.headers import user_part
from sbc.errors import ParseError
from sbc.sip.address import parse_name_addr
from sbc.sip.message import Response
from sbc.sip.uri import SipUri, TelUri, parse_uri

__all__ = ["Elsewhere", "contacts", "shown"]

_MOST: Final = 5


@dataclass(slots=True)
class Elsewhere:
    """One Contact of a redirection."""

    user: bytes
    """As in the URI; b"" where it has none."""
    host: str
    """Numeric without brackets, or a name in lower case; "" in a tel URI."""
    port: int
    """0: not said."""
    q: bytes
    """As written, b"" where it is not."""


def contacts(response: Response) -> list[Elsewhere]:
    """The Contacts of a 3xx, best first, at most five; those that cannot be read are left out."""
    try:
        values = response.values(b"contact")
    except ParseError:
        return []
    found = [one for value in values[: 4 * _MOST] if (one := _read(value)) is not None]
    found.sort(key=lambda one: -_weight(one.q))
    return found[:_MOST]


def shown(response: Response, host: bytes) -> bytes:
    """Contact lines with our address in place of each host.

    Args:
        host: ours on the leg that they go to, IPv6 in brackets.
    """
    lines = []
    for one in contacts(response):
        user = user_part(one.user)
        uri = b"sip:%b@%b" % (user, host) if user else b"sip:%b" % host
        lines.append(b"Contact: <%b>%b\r\n" % (uri, b";q=" + one.q if one.q else b""))
    return b"".join(lines)


def _read(value: bytes) -> Elsewhere | None:
    try:
        address = parse_name_addr(value, "Contact")
        uri = parse_uri(address.uri)
    except ParseError:
        return None
    q = address.params.get(b"q", b"")
    q = q if _weight(q, -1.0) >= 0 else b""
    if isinstance(uri, TelUri):
        return Elsewhere(uri.number.translate(None, b"-.()"), "", 0, q)
    if not isinstance(uri, SipUri):
        return None
    host = uri.host.decode("ascii", "replace").strip("[]").lower()
    return Elsewhere(uri.user, host, uri.port or 0, q)


def _weight(q: bytes, default: float = 1.0) -> float:
    """A q-value (§25.1: 0 to 1, at most three digits); what is none counts as not said."""
    if len(q) > 5 or not q.replace(b".", b"", 1).isdigit():
        return default
    number = float(q)
    return number if number <= 1 else default
