"""Via: where a request came from and where its response goes (RFC 3261 §20.42, RFC 3581)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sbc.errors import ParseError
from sbc.sip.grammar import decimal
from sbc.sip.params import Params, parse_params
from sbc.sip.uri import parse_ipv6, parse_port

__all__ = ["Via", "parse_via"]

# White space may stand around each `/`, `:` and `;` (§25.1 SLASH, COLON, SEMI).
_VIA: Final = re.compile(
    rb"[sS][iI][pP][ \t]*+/[ \t]*+2\.0[ \t]*+/[ \t]*+([A-Za-z0-9.!%*_+`'~-]++)[ \t]++"
    rb"([A-Za-z0-9._-]++|\[[^]]*+\])[ \t]*+(?::[ \t]*+([0-9]++)[ \t]*+)?+(?:;[ \t]*+(.++))?+",
    re.DOTALL,
)
# The same for what nearly every Via is.
_USUAL: Final = re.compile(
    rb"SIP/2\.0/([A-Z]++) ([A-Za-z0-9._-]++)(?::([0-9]++))?+(?:;(.++))?+", re.DOTALL
)


@dataclass(slots=True)
class Via:
    """One Via value. `maddr` and `ttl` are read like any parameter and believed nowhere."""

    transport: bytes
    """Upper case: b"UDP", b"TCP", b"TLS" …"""
    host: bytes
    """sent-by; an IPv6 address without its brackets."""
    port: int | None
    params: Params

    @property
    def branch(self) -> bytes:
        """b"" where there is none (RFC 2543)."""
        return self.params.get(b"branch", b"")

    @property
    def received(self) -> bytes:
        """Without brackets, which some peers write (RFC 5118 §4.5); b"" where there is none."""
        return self.params.get(b"received", b"").strip(b"[]")

    @property
    def rport(self) -> int | None:
        """The port that a server filled in; None where there is none or the flag is still empty."""
        return decimal(self.params.get(b"rport", b""), 65_535)

    @property
    def wants_rport(self) -> bool:
        """Whether the parameter is there at all (RFC 3581 §3)."""
        return b"rport" in self.params


def parse_via(value: bytes) -> Via:
    """Read one Via value, unfolded and already cut out of its comma list.

    Raises:
        ParseError: not SIP/2.0, no or a malformed sent-by, malformed parameters.
    """
    match = _USUAL.fullmatch(value) or _VIA.fullmatch(value)
    if match is None:
        raise ParseError("Via", f"expected SIP/2.0/transport sent-by, got {value[:64]!r}")
    transport, host, digits, tail = match.groups()
    if host[:1] == b"[":
        host = parse_ipv6(host[1:-1], "Via")
    return Via(
        transport.upper(),
        host,
        None if digits is None else parse_port(digits, "Via"),
        {} if tail is None else parse_params(tail, "Via"),
    )
