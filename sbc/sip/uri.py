"""SIP, SIPS and tel URIs (RFC 3261 §19.1, RFC 3966); any other scheme is kept as it came."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from sbc.errors import ParseError
from sbc.sip.grammar import HOST, decimal, is_ipv6, is_word
from sbc.sip.params import Params, parse_params

__all__ = ["OtherUri", "SipUri", "TelUri", "Uri", "parse_host_port", "parse_uri", "unescape"]

_SCHEME: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*+")
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
# §19.1.4: present in one URI only, these make two URIs different.
_SIGNIFICANT: Final = (b"user", b"ttl", b"method", b"maddr", b"transport")


@dataclass(slots=True, eq=False)
class SipUri:
    """A SIP or SIPS URI. Equality is RFC 3261 §19.1.4, not byte by byte."""

    scheme: bytes
    """b"sip" or b"sips"."""
    user: bytes
    """Raw, escapes kept; b"" where there is none."""
    password: bytes
    host: bytes
    """As received; an IPv6 address without its brackets."""
    port: int | None
    params: Params
    """Names lower-case and unescaped, values raw."""
    headers: bytes
    """What follows `?`, raw."""

    @property
    def transport(self) -> bytes:
        """The `transport` parameter in upper case, as Via writes it; b"" where there is none."""
        return self.params.get(b"transport", b"").upper()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SipUri) and self._key() == other._key() and self._agrees(other)

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        params = self.params
        return (
            self.scheme,
            unescape(self.user),
            unescape(self.password),
            self.host.lower(),
            self.port,
            tuple(
                [
                    unescape(params[name]).lower() if name in params else None
                    for name in _SIGNIFICANT
                ]
            ),
            frozenset(unescape(self.headers).lower().split(b"&")),
        )

    def _agrees(self, other: SipUri) -> bool:
        theirs = other.params
        return all(
            unescape(value).lower() == unescape(theirs[name]).lower()
            for name, value in self.params.items()
            if name in theirs
        )


@dataclass(slots=True)
class TelUri:
    """A tel URI (RFC 3966)."""

    number: bytes
    """As received, visual separators included."""
    params: Params


@dataclass(slots=True)
class OtherUri:
    """A URI of a scheme that we do not know (answered 416 where it is a target)."""

    scheme: bytes
    rest: bytes


Uri: TypeAlias = SipUri | TelUri | OtherUri


def parse_uri(value: bytes) -> Uri:
    """Read a URI; without the <> that may stand around it.

    Raises:
        ParseError: white space, no scheme, a malformed host, port or parameter.
    """
    scheme, colon, rest = value.partition(b":")
    if scheme != b"sip":
        scheme = scheme.lower()
    if not is_word(rest) or not colon:
        raise ParseError("URI", f"expected scheme:rest without white space, got {value[:64]!r}")
    if scheme == b"sip" or scheme == b"sips":
        return _sip(scheme, rest)
    if scheme == b"tel":
        number, _, params = rest.partition(b";")
        if not number:
            raise ParseError("URI", "expected a number after tel:")
        return TelUri(number, parse_params(params, "tel URI"))
    if not _SCHEME.fullmatch(scheme):
        raise ParseError("URI", f"expected a scheme, got {scheme[:32]!r}")
    return OtherUri(scheme, rest)


def parse_host_port(value: bytes, section: str) -> tuple[bytes, int | None]:
    """Read `host[:port]`; an IPv6 reference loses its brackets.

    RFC 5118 §4.3: without brackets, colons would make the port ambiguous, so they are refused.
    """
    if value[:1] == b"[":
        host, bracket, tail = value[1:].partition(b"]")
        colon, port = tail[:1], tail[1:]
        if not bracket or not is_ipv6(host) or colon not in (b"", b":"):
            raise ParseError(section, f"expected an IPv6 reference, got {value[:64]!r}")
    else:
        host, colon, port = value.partition(b":")
        if not host or host.translate(None, HOST):
            raise ParseError(section, f"expected a host, got {value[:64]!r}")
    if not colon:
        return host, None
    number = decimal(port, 65_535)
    if not number:
        raise ParseError(section, f"expected a port of 1 to 65535, got {port[:32]!r}")
    return host, number


def unescape(value: bytes) -> bytes:
    """`value` with its %HH read; a % that begins no escape stays (RFC 4475 §3.1.1.5)."""
    if b"%" not in value:
        return value
    return _ESCAPE.sub(lambda match: bytes.fromhex(match[1].decode()), value)


def _sip(scheme: bytes, rest: bytes) -> SipUri:
    # The user part may hold `;` and `?` (RFC 4475 §3.1.1.9), so the `@` is found first. A second
    # `@` would let two elements disagree about the host: refused.
    user, at, rest = rest.rpartition(b"@")
    if at and (not user or b"@" in user):
        raise ParseError("URI", "expected one user part before one @")
    rest, _, headers = rest.partition(b"?")
    host_port, _, tail = rest.partition(b";")
    user, _, password = user.partition(b":")
    host, port = parse_host_port(host_port, "URI")
    params = parse_params(tail, "URI") if tail else {}
    if b"%" in tail:
        params = {unescape(name).lower(): text for name, text in params.items()}
    return SipUri(scheme, user, password, host, port, params, headers)
