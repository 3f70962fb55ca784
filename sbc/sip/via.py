"""Via: where a request came from and where its response goes (RFC 3261 §20.42, RFC 3581)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Protocol

from sbc.errors import ParseError
from sbc.sip.grammar import HOST_RULE, TOKEN, TOKEN_RULE, shown, split_list
from sbc.sip.params import parse_params
from sbc.sip.uri import parse_ipv6, parse_port

__all__ = ["Via", "parse_via"]

# White space may stand around each `/`, `:` and `;` (§25.1 SLASH, COLON, SEMI).
_VIA: Final = re.compile(
    rb"[sS][iI][pP][ \t]*+/[ \t]*+2\.0[ \t]*+/[ \t]*+(%b)[ \t]++"
    rb"(%b|\[[^]]*+\])[ \t]*+(?::[ \t]*+([0-9]++)[ \t]*+)?(?:;[ \t]*+(.++))?"
    % (TOKEN_RULE, HOST_RULE),
    re.DOTALL,
)
# What nearly every Via of a user agent or proxy is: a subset, read without making a dictionary.
_USUAL: Final = re.compile(
    rb"SIP/2\.0/([A-Z]++) (%b)(?::([1-9][0-9]{0,3}+))?;branch=(%b)"
    rb"(;rport(?:=([1-5][0-9]{4}|[1-9][0-9]{0,3}+))?)?(?:;received=([0-9.]++))?"
    % (HOST_RULE, TOKEN_RULE)
)


class Via(Protocol):
    """One Via value. `maddr` and `ttl` are checked like any parameter, and believed nowhere."""

    @property
    def transport(self) -> bytes:
        """Upper case: b"UDP", b"TCP", b"TLS" …"""

    @property
    def host(self) -> bytes:
        """sent-by; an IPv6 address without its brackets."""

    @property
    def port(self) -> int | None:
        """Of sent-by."""

    @property
    def branch(self) -> bytes:
        """b"" where there is none (RFC 2543)."""

    @property
    def wants_rport(self) -> bool:
        """Whether the parameter is there at all (RFC 3581 §3)."""

    @property
    def rport(self) -> int | None:
        """The port that a server filled in; None where there is none or the flag is empty."""

    @property
    def received(self) -> bytes:
        """Without brackets, which some peers write (RFC 5118 §4.5); b"" where there is none."""


@dataclass(slots=True)
class _Via:
    transport: bytes
    host: bytes
    port: int | None
    branch: bytes
    wants_rport: bool
    rport: int | None
    received: bytes


def parse_via(value: bytes) -> Via:
    """Read a Via value, unfolded; the first of a comma list.

    Raises:
        ParseError: not SIP/2.0, no or a malformed sent-by, malformed parameters.
    """
    match = _USUAL.fullmatch(value)
    if match is None:
        return _unusual(value)
    transport, host, port, branch, flag, rport, received = match.groups()
    return _Via(
        transport,
        host,
        None if port is None else int(port),
        branch,
        flag is not None,
        None if rport is None else int(rport),
        received or b"",
    )


def _unusual(value: bytes) -> Via:
    if b"," in value:
        value = split_list(value, b",", "Via")[0]
    match = _VIA.fullmatch(value)
    if match is None:
        raise ParseError("Via", f"expected SIP/2.0/transport sent-by, got {shown(value, 64)}")
    transport, host, port, tail = match.groups()
    if host[:1] == b"[":
        host = parse_ipv6(host[1:-1], "Via")
    params = {} if tail is None else parse_params(tail, "Via")
    branch = params.get(b"branch", b"")
    if branch.translate(None, TOKEN):
        raise ParseError("Via", f"expected a token as branch, got {shown(branch, 64)}")
    rport = params.get(b"rport")
    return _Via(
        transport.upper(),
        host,
        None if port is None else parse_port(port, "Via"),
        branch,
        rport is not None,
        parse_port(rport, "Via") if rport else None,
        params.get(b"received", b"").removeprefix(b"[").removesuffix(b"]"),
    )
