"""SIP, SIPS and tel URIs (RFC 3261 §19.1, RFC 3966); any other scheme is kept as it came."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from sbc.errors import ParseError
from sbc.sip.grammar import HOST_RULE, URI_RULE, is_ipv6, shown
from sbc.sip.params import Params, parse_params

__all__ = [
    "OtherUri",
    "SipUri",
    "TelUri",
    "Uri",
    "number_of",
    "parse_ipv6",
    "parse_port",
    "parse_uri",
    "unescape",
]

# The user part may hold `;` and `?` (RFC 4475 §3.1.1.9), so it is what stands before the `@`. A
# second `@`, which would let two elements disagree about the host, matches nothing.
_SIP: Final = re.compile(
    rb"([sS][iI][pP][sS]?+):(?:([!#-9;=?A-~\x80-\xff]++)(?::([!#-;=?A-~\x80-\xff]*+))?@)?"
    rb"(%b|\[[^]]*+\])(?::([0-9]++))?"
    rb"(?:;([!#-;=A-~\x80-\xff]++))?(?:\?([!#-;=?A-~\x80-\xff]++))?" % HOST_RULE
)
_OTHER: Final = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]*+):(%b)" % URI_RULE)
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNSAFE: Final = re.compile(rb"[^A-Za-z0-9.!*+_~$&/:'()-]")
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

    def __bytes__(self) -> bytes:
        """The URI; what is not a legal parameter name as it stands is escaped again."""
        parts = [self.scheme, b":"]
        if self.user:
            parts += [self.user, b":", self.password, b"@"] if self.password else [self.user, b"@"]
        parts.append(b"[%b]" % self.host if b":" in self.host else self.host)
        if self.port is not None:
            parts.append(b":%d" % self.port)
        for name, value in self.params.items():
            name = _UNSAFE.sub(lambda match: b"%%%02X" % match[0][0], name)
            parts += [b";", name, b"=", value] if value else [b";", name]
        if self.headers:
            parts += [b"?", self.headers]
        return b"".join(parts)

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
        ParseError: white space, `"<>`, no scheme, a malformed host, port or parameter.
    """
    match = _SIP.fullmatch(value)
    if match is None:
        return _other(value)
    scheme, user, password, host, digits, tail, headers = match.groups()
    if host[:1] == b"[":
        host = parse_ipv6(host[1:-1], "URI")
    port = None if digits is None else parse_port(digits, "URI")
    params: Params = {}
    if tail:
        params = parse_params(tail, "URI")
        if b"%" in tail:  # RFC 4475 §3.1.1.3: `;%6C%72` is `;lr`
            params = _unescaped(params)
    return SipUri(scheme.lower(), user or b"", password or b"", host, port, params, headers or b"")


def number_of(target: Uri) -> bytes:
    """The number or name that a URI calls, without parameters; b"" where there is none."""
    match target:
        case SipUri():
            return unescape(target.user).partition(b";")[0]
        case TelUri():
            return target.number.translate(None, b"-.()")  # visual separators, RFC 3966 §3
        case OtherUri():
            return b""


def unescape(value: bytes) -> bytes:
    """`value` with its %HH read; a % that begins no escape stays (RFC 4475 §3.1.1.5)."""
    if b"%" not in value:
        return value
    return _ESCAPE.sub(lambda match: bytes.fromhex(match[1].decode()), value)


def _unescaped(params: Params) -> Params:
    plain = {unescape(name).lower(): text for name, text in params.items()}
    if len(plain) != len(params):
        raise ParseError("URI", "expected each parameter once, got one twice by its escapes")
    return plain


def _other(value: bytes) -> Uri:
    match = _OTHER.fullmatch(value)
    if match is None:
        raise ParseError("URI", f"expected scheme:rest, got {shown(value, 64)}")
    scheme = match[1].lower()
    if scheme == b"sip" or scheme == b"sips":
        raise ParseError("URI", f"expected [user@]host[:port][;...][?...], got {shown(value, 64)}")
    if scheme != b"tel":
        return OtherUri(scheme, match[2])
    number, semicolon, params = match[2].partition(b";")
    if not number:
        raise ParseError("URI", "expected a number after tel:")
    return TelUri(number, parse_params(params, "URI") if semicolon else {})


def parse_ipv6(value: bytes, section: str) -> bytes:
    """Check an IPv6 address that stood in brackets.

    RFC 5118 §4.3: without brackets its colons would make the port ambiguous; nobody takes that.
    """
    if not is_ipv6(value):
        raise ParseError(section, f"expected an IPv6 address in brackets, got {shown(value, 64)}")
    return value


def parse_port(digits: bytes, section: str) -> int:
    """Read a port of 1 to 65535."""
    port = int(digits) if digits.isdigit() and len(digits) <= 5 else 0
    if not 0 < port <= 65_535:
        raise ParseError(section, f"expected a port of 1 to 65535, got {shown(digits, 32)}")
    return port
