"""Digest authentication: the four headers, and what is hashed (RFC 7616, RFC 8760, RFC 3261 §22).

A challenge is one `WWW-Authenticate` or `Proxy-Authenticate` line, its answer one `Authorization`
or `Proxy-Authorization` line: unlike other headers these are no comma lists (RFC 3261 §7.3.1).

What phones get wrong is read as it was meant: `qop`, `nc`, `algorithm` and `stale` in quotes, the
others without them, a scheme and an algorithm in any case, empty members between commas. What would
leave two meanings is refused: a parameter twice, a quote that is never closed.

Texts are kept unquoted, escapes read, and are hashed like that. RFC 7616 §3.4 leaves open whether
`unq()` reads escapes; curl does, and a text without `"` and `\\` is the same either way.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from enum import Enum
from typing import Final

from sbc.errors import ParseError
from sbc.sip.grammar import QUOTED_STRING, VISIBLE, is_token, quote, shown, split_list, unquote
from sbc.sip.uri import unescape

__all__ = [
    "AUTHENTICATE",
    "Algorithm",
    "Authorization",
    "Challenge",
    "Qop",
    "equal",
    "ha1",
    "parse_authorization",
    "parse_challenge",
    "response",
]

_MAX_PARAMS: Final = 32
_SCHEME: Final = b"digest"
# Wider than `token`: phones write a URI, an address or base64 without its quotes.
_BARE: Final = VISIBLE.translate(None, b'",')
_HEX: Final = b"0123456789abcdef"
_CONTROLS: Final = bytes([*range(0x20), 0x7F])
"""Not in any text of ours: a challenge's texts go back into a header line."""


class Algorithm(Enum):
    """How a response is hashed: its name in the headers, its hash, whether it is keyed anew.

    In order of preference: the strongest first (RFC 8760 §2.1).
    """

    SHA_512_256 = (b"SHA-512-256", "sha512_256", False)
    SHA_256 = (b"SHA-256", "sha256", False)
    MD5 = (b"MD5", "md5", False)
    SHA_512_256_SESS = (b"SHA-512-256-sess", "sha512_256", True)
    SHA_256_SESS = (b"SHA-256-sess", "sha256", True)
    MD5_SESS = (b"MD5-sess", "md5", True)

    def __init__(self, token: bytes, hash_name: str, session: bool) -> None:
        self.token = token
        self.hash_name = hash_name
        self.session = session
        self.digits = 2 * hashlib.new(hash_name, usedforsecurity=False).digest_size
        """Hexadecimal digits of a hash."""

    @property
    def base(self) -> Algorithm:
        """The same hash without `-sess`: what a stored `ha1` is made with."""
        return _BASES[self.hash_name]

    def hash(self, *parts: bytes) -> bytes:
        """H(part:part:…) in lower-case hexadecimal."""
        digest = hashlib.new(self.hash_name, b":".join(parts), usedforsecurity=False)
        return digest.hexdigest().encode()


_BASES: Final = {one.hash_name: one for one in Algorithm if not one.session}
_ALGORITHMS: Final = {one.token.lower(): one for one in Algorithm}


class Qop(Enum):
    """What an answer protects: method and URI, or the body too."""

    AUTH = b"auth"
    AUTH_INT = b"auth-int"


_QOPS: Final = {one.value: one for one in Qop}

AUTHENTICATE: Final = {401: b"www-authenticate", 407: b"proxy-authenticate"}
"""Status → the canonical name of its challenges (RFC 3261 §22.2, §22.3)."""


@dataclass(slots=True)
class Challenge:
    """One challenge."""

    realm: bytes
    nonce: bytes
    algorithm: Algorithm = Algorithm.MD5
    named: bool = True
    """Whether it names its algorithm; MD5 where it does not (RFC 7616 §3.3)."""
    qop: tuple[Qop, ...] | None = None
    """What it offers, as far as we know it; None: it is of RFC 2069, which has none."""
    stale: bool = False
    opaque: bytes | None = None

    def __bytes__(self) -> bytes:
        """The header's value."""
        params = [b"realm=" + quote(self.realm), b"nonce=" + quote(self.nonce)]
        if self.opaque is not None:
            params.append(b"opaque=" + quote(self.opaque))
        if self.stale:
            params.append(b"stale=true")
        if self.named:
            params.append(b"algorithm=" + self.algorithm.token)
        if self.qop is not None:
            params.append(b'qop="%b"' % b",".join([one.value for one in self.qop]))
        return b"Digest " + b", ".join(params)


@dataclass(slots=True)
class Authorization:
    """The answer to a challenge."""

    username: bytes
    realm: bytes
    nonce: bytes
    uri: bytes
    """What was hashed for the Request-URI: to be compared with it."""
    response: bytes
    """Lower-case hexadecimal digits, as many as the algorithm has."""
    algorithm: Algorithm = Algorithm.MD5
    named: bool = True
    """Whether the algorithm is named."""
    qop: Qop | None = None
    nc: bytes = b""
    """Eight hexadecimal digits as they were sent, b"" without `qop`."""
    cnonce: bytes = b""
    opaque: bytes | None = None
    userhash: bool = False
    """Whether `username` is a hash of it (RFC 7616 §3.4.4)."""

    @property
    def count(self) -> int:
        """The nonce count; 0 without `qop`."""
        return int(self.nc, 16) if self.nc else 0

    def __bytes__(self) -> bytes:
        """The header's value."""
        params = [
            b"username=" + quote(self.username),
            b"realm=" + quote(self.realm),
            b"nonce=" + quote(self.nonce),
            b"uri=" + quote(self.uri),
            b"response=" + quote(self.response),
        ]
        if self.named:
            params.append(b"algorithm=" + self.algorithm.token)
        if self.qop is not None:
            params += [b"cnonce=" + quote(self.cnonce), b"qop=" + self.qop.value, b"nc=" + self.nc]
        elif self.cnonce:
            params.append(b"cnonce=" + quote(self.cnonce))  # a -sess key needs it
        if self.opaque is not None:
            params.append(b"opaque=" + quote(self.opaque))
        if self.userhash:
            params.append(b"userhash=true")
        return b"Digest " + b", ".join(params)


def parse_challenge(value: bytes) -> Challenge | None:
    """Read the value of one `WWW-Authenticate` or `Proxy-Authenticate` line.

    Returns:
        None for another scheme or an algorithm that we do not know: RFC 7616 §3.3 lets a client
        ignore those.

    Raises:
        ParseError: not the grammar, or no realm or nonce.
    """
    params = _params(value, "Authenticate")
    if params is None:
        return None
    algorithm = _ALGORITHMS.get(params.get(b"algorithm", b"md5").lower())
    if algorithm is None:
        return None
    qop = None
    if b"qop" in params:
        words = [word.strip().lower() for word in params[b"qop"].split(b",")]
        qop = tuple([_QOPS[word] for word in dict.fromkeys(words) if word in _QOPS])
    return Challenge(
        _needed(params, b"realm", "Authenticate"),
        _needed(params, b"nonce", "Authenticate"),
        algorithm,
        b"algorithm" in params,
        qop,
        params.get(b"stale", b"").lower() == b"true",
        params.get(b"opaque"),
    )


def parse_authorization(value: bytes) -> Authorization | None:
    """Read the value of one `Authorization` or `Proxy-Authorization` line.

    Returns:
        None for another scheme, algorithm or `qop` than we know.

    Raises:
        ParseError: not the grammar, or something missing that the answer needs.
    """
    section = "Authorization"
    params = _params(value, section)
    if params is None:
        return None
    algorithm = _ALGORITHMS.get(params.get(b"algorithm", b"md5").lower())
    qop = _QOPS.get(params.get(b"qop", b"").lower())
    if algorithm is None or (qop is None and b"qop" in params):
        return None
    nc = b""
    if qop is not None:
        nc = _needed(params, b"nc", section)
        if len(nc) != 8 or nc.lower().translate(None, _HEX):
            raise ParseError(section, f"expected 8 hexadecimal digits as nc, got {shown(nc, 16)}")
        _needed(params, b"cnonce", section)
    digits = _needed(params, b"response", section).lower()
    if len(digits) != algorithm.digits or digits.translate(None, _HEX):
        raise ParseError(section, f"expected {algorithm.digits} hexadecimal digits as response")
    return Authorization(
        _username(params, section),
        _needed(params, b"realm", section),
        _needed(params, b"nonce", section),
        _needed(params, b"uri", section),
        digits,
        algorithm,
        b"algorithm" in params,
        qop,
        nc,
        params.get(b"cnonce", b""),
        params.get(b"opaque"),
        params.get(b"userhash", b"").lower() == b"true",
    )


def ha1(algorithm: Algorithm, username: bytes, realm: bytes, password: bytes) -> bytes:
    """What stands for a password in one realm, in hexadecimal; `-sess` makes no difference here."""
    return algorithm.hash(username, realm, password)


def response(key: bytes, method: bytes, body: bytes, answer: Authorization) -> bytes:
    """The response that `answer` should hold (RFC 7616 §3.4.1 to §3.4.3).

    Args:
        key: the `ha1` of its user, realm and hash.
        method: of the request.
        body: of the request; hashed for `auth-int` only.
    """
    algorithm, qop = answer.algorithm, answer.qop
    if algorithm.session:
        key = algorithm.hash(key, answer.nonce, answer.cnonce)
    what = [method, answer.uri]
    if qop is Qop.AUTH_INT:
        what.append(algorithm.hash(body))
    hashed = algorithm.hash(*what)
    if qop is None:
        return algorithm.hash(key, answer.nonce, hashed)  # RFC 2069, as RFC 7616 §3.4.1 has it
    return algorithm.hash(key, answer.nonce, answer.nc, answer.cnonce, qop.value, hashed)


def equal(one: bytes, other: bytes) -> bool:
    """Whether two responses are the same, in a time that tells nothing about them."""
    return hmac.compare_digest(one, other)


def _params(value: bytes, section: str) -> dict[bytes, bytes] | None:
    """Lower-case name → text without quotes; None for another scheme."""
    value = value.replace(b"\t", b" ").strip(b" ")
    scheme, _, rest = value.partition(b" ")
    if len(value.translate(None, _CONTROLS)) != len(value):
        raise ParseError(section, "expected text, got a control character")
    if scheme.lower() != _SCHEME:
        if not is_token(scheme):
            raise ParseError(section, f"expected a scheme, got {shown(scheme, 32)}")
        return None
    params: dict[bytes, bytes] = {}
    for member in split_list(rest, b",", section):
        if not member:
            continue
        name, equals, text = member.partition(b"=")
        name, text = name.rstrip(b" \t").lower(), text.lstrip(b" \t")
        if not equals or not is_token(name) or name in params:
            raise ParseError(section, f"expected another parameter, got {shown(name, 32)}")
        if text.translate(None, _BARE) and QUOTED_STRING.fullmatch(text) is None:
            raise ParseError(section, f"expected a value for {shown(name, 32)}")  # may be a secret
        params[name] = unquote(text)
        if len(params) > _MAX_PARAMS:
            raise ParseError(section, f"more than {_MAX_PARAMS} parameters")
    return params


def _needed(params: dict[bytes, bytes], name: bytes, section: str) -> bytes:
    value = params.get(name)
    if value is None:
        raise ParseError(section, f"expected {name.decode()}, got none")
    return value


def _username(params: dict[bytes, bytes], section: str) -> bytes:
    """`username`, or `username*` for one that no quoted string can hold (RFC 7616 §3.4)."""
    if b"username" in params:
        return params[b"username"]
    charset, _, text = _needed(params, b"username*", section).partition(b"'")
    if charset.lower() != b"utf-8":
        raise ParseError(section, f"expected a user name in UTF-8, got {shown(charset, 16)}")
    return unescape(text.partition(b"'")[2])
