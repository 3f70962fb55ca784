"""Via: where a request came from and where its response goes (RFC 3261 §20.42, RFC 3581)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sbc.errors import ParseError
from sbc.sip.grammar import decimal, is_token
from sbc.sip.params import Params, parse_params
from sbc.sip.uri import parse_host_port

__all__ = ["Via", "parse_via"]

_TRANSPORTS: Final = {
    b"SIP/2.0/" + name: name for name in (b"UDP", b"TCP", b"TLS", b"WS", b"WSS", b"SCTP")
}


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
    protocol, _, rest = value.partition(b" ")
    transport = _TRANSPORTS.get(protocol)
    if transport is None:
        transport, rest = _protocol(value)
    sent_by, semicolon, tail = rest.partition(b";")
    host, port = parse_host_port(sent_by.strip(b" \t"), "Via")
    if semicolon and not tail:
        raise ParseError("Via", "expected a parameter after ;")
    return Via(transport, host, port, parse_params(tail, "Via"))


def _protocol(value: bytes) -> tuple[bytes, bytes]:
    """The transport, and what follows it; white space may stand around each `/` (§25.1 SLASH)."""
    name, _, rest = value.partition(b"/")
    version, _, rest = rest.partition(b"/")
    words = rest.split(None, 1)
    if name.strip().upper() != b"SIP" or version.strip() != b"2.0":
        raise ParseError("Via", f"expected SIP/2.0/transport, got {value[:32]!r}")
    if len(words) != 2 or not is_token(words[0]):
        raise ParseError("Via", f"expected a transport and sent-by, got {rest[:32]!r}")
    return words[0].upper(), words[1]
