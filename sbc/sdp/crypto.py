"""SRTP keys in session descriptions: `a=crypto` (RFC 4568, RFC 6188, RFC 7714).

A line is taken only if we can do all that it asks for. What weakens a stream (unencrypted,
unauthenticated), what we do not implement (key derivation rates, FEC orders, several keys in one
line) and what we do not know is passed over, as RFC 4568 §5.1.2 wants, with a reason for people.
Keys never appear in a `repr` or in an error.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from sbc.errors import ParseError

__all__ = ["CryptoLine", "Suite", "crypto_lines", "new_line", "parse_crypto", "strength"]


class Suite(Enum):
    """A crypto suite: its name in SDP, the bytes of its master key and of its master salt."""

    AES_CM_128_HMAC_SHA1_80 = ("AES_CM_128_HMAC_SHA1_80", 16, 14)  # RFC 4568 §6.2
    AES_CM_128_HMAC_SHA1_32 = ("AES_CM_128_HMAC_SHA1_32", 16, 14)
    AES_192_CM_HMAC_SHA1_80 = ("AES_192_CM_HMAC_SHA1_80", 24, 14)  # RFC 6188 §4
    AES_192_CM_HMAC_SHA1_32 = ("AES_192_CM_HMAC_SHA1_32", 24, 14)
    AES_256_CM_HMAC_SHA1_80 = ("AES_256_CM_HMAC_SHA1_80", 32, 14)
    AES_256_CM_HMAC_SHA1_32 = ("AES_256_CM_HMAC_SHA1_32", 32, 14)
    AEAD_AES_128_GCM = ("AEAD_AES_128_GCM", 16, 12)  # RFC 7714 §14.2
    AEAD_AES_256_GCM = ("AEAD_AES_256_GCM", 32, 12)

    @property
    def sdp_name(self) -> str:
        """As it is written in a=crypto."""
        return self.value[0]

    @property
    def size(self) -> int:
        """Master key and salt together, in bytes."""
        return self.value[1] + self.value[2]


def strength(suite: Suite | None) -> tuple[int, bool, bool]:
    """For an order by how much a suite protects; None, no encryption, is the least."""
    if suite is None:
        return 0, False, False
    name, key_bytes, _ = suite.value
    return key_bytes, not name.endswith("_32"), name.startswith("AEAD")


_SUITES: Final = {suite.sdp_name: suite for suite in Suite} | {
    # What some stacks wrote before RFC 6188 had settled the names, and still do.
    "AES_CM_192_HMAC_SHA1_80": Suite.AES_192_CM_HMAC_SHA1_80,
    "AES_CM_192_HMAC_SHA1_32": Suite.AES_192_CM_HMAC_SHA1_32,
    "AES_CM_256_HMAC_SHA1_80": Suite.AES_256_CM_HMAC_SHA1_80,
    "AES_CM_256_HMAC_SHA1_32": Suite.AES_256_CM_HMAC_SHA1_32,
}

_LINE: Final = re.compile(
    rb"a=crypto:([0-9]{1,9}) +([A-Za-z0-9_]{1,64}) +(inline:[^ ;]{1,256}(?:;[^ ]{0,512})?)"
    rb"((?: +[^ ]{1,256}){0,16}) *",
    re.IGNORECASE,
)
_PARAMETER: Final = re.compile(rb"[A-Z][A-Z0-9_-]{0,31}")
_LIFETIME: Final = re.compile(rb"(?:2\^([0-9]{1,2})|([0-9]{1,15}))")
_MKI: Final = re.compile(rb"([0-9]{1,39}):([0-9]{1,3})")
_LONGEST_MKI: Final = 128  # RFC 4568 §6.1
_LONGEST_LIFE: Final = 48  # 2^48 packets of SRTP (RFC 3711 §9.2)
_MOST_LINES: Final = 16


@dataclass(slots=True)
class CryptoLine:
    """One line that we can do."""

    tag: int
    suite: Suite
    suite_word: bytes
    """The suite's name as its sender wrote it: what an answer repeats."""
    key: bytes = field(repr=False)
    """Master key and salt."""
    mki: bytes = field(default=b"", repr=False)
    """As it stands in each packet; b"": there is none."""
    lifetime: int = 0
    """How many packets its sender means it for; 0: it does not say."""

    def text(self) -> bytes:
        """The line, with CRLF before it."""
        mki = b"|%d:%d" % (int.from_bytes(self.mki), len(self.mki)) if self.mki else b""
        key = b64encode(self.key)
        return b"\r\na=crypto:%d %b inline:%b%b" % (self.tag, self.suite_word, key, mki)


def crypto_lines(lines: Iterable[bytes]) -> tuple[list[CryptoLine], list[str]]:
    """The lines that we can do, in their sender's order, and why the others are passed over.

    Raises nothing. Lines beyond sixteen are passed over, too.
    """
    taken: list[CryptoLine] = []
    reasons: list[str] = []
    for line in lines:
        if line[:9].lower() != b"a=crypto:":
            continue
        if len(taken) + len(reasons) >= _MOST_LINES:
            reasons.append(f"more than {_MOST_LINES} crypto lines")
            break
        try:
            taken.append(parse_crypto(line))
        except ParseError as error:
            reasons.append(error.detail)
    return taken, reasons


def parse_crypto(line: bytes) -> CryptoLine:
    """One `a=crypto` line, without its end.

    Raises:
        ParseError: not the grammar of RFC 4568 §9.1, or something that we do not take; the text
            names the tag and what is wrong, never the key.
    """
    match = _LINE.fullmatch(line)
    if match is None:
        raise ParseError("a=crypto", "expected <tag> <suite> inline:<key> in a crypto line")
    tag, word, parameters = int(match[1]), match[2], match[3]
    where = f"a=crypto:{tag}"
    suite = _SUITES.get(word.decode("ascii").upper())
    if suite is None:
        raise ParseError(where, f"suite {word.decode('ascii')} is not one of ours")
    for parameter in match[4].split():
        _check_session_parameter(where, parameter)
    if b";" in parameters:
        raise ParseError(where, "expected one key, got several")
    key, *further = parameters[len(b"inline:") :].split(b"|")
    lifetime, mki = _lifetime_and_mki(where, further)
    return CryptoLine(tag, suite, word, _key(where, suite, key), mki, lifetime)


def new_line(tag: int, suite: Suite, random: Callable[[int], bytes]) -> CryptoLine:
    """A line of ours with a fresh key."""
    return CryptoLine(tag, suite, suite.sdp_name.encode(), random(suite.size))


def _check_session_parameter(where: str, parameter: bytes) -> None:
    """Only what asks for nothing that we do not do (RFC 4568 §6.3)."""
    if parameter[:1] == b"-":  # may be ignored, by its sender's own word (§6.3.7)
        return
    name, _, value = parameter.upper().partition(b"=")
    if name == b"WSH" and value.isdigit():  # a hint only: our window is what it is
        return
    if name == b"KDR" and value == b"0":
        return
    shown = name.decode() if _PARAMETER.fullmatch(name) else "of an unknown kind"
    raise ParseError(where, f"session parameter {shown} is not taken")


def _key(where: str, suite: Suite, text: bytes) -> bytes:
    """Master key and salt; the padding may be missing (RFC 4568 §6.1 is silent, peers differ)."""
    bare = text.rstrip(b"=")
    try:
        key = b64decode(bare + b"=" * (-len(bare) % 4), validate=True)
    except Error:
        raise ParseError(where, "the key is not base64") from None
    if len(key) != suite.size:
        raise ParseError(
            where,
            f"expected {suite.size} bytes of key and salt for {suite.sdp_name}, got {len(key)}",
        )
    return key


def _lifetime_and_mki(where: str, further: list[bytes]) -> tuple[int, bytes]:
    """What `|lifetime|MKI:length` says; both may be left out: 0, b""."""
    lifetime, mki = 0, b""
    for at, part in enumerate(further):
        if at == 0 and b":" not in part:
            lifetime = _lifetime(where, part)
            continue
        match = _MKI.fullmatch(part)
        if match is None or mki or at > 1:
            raise ParseError(where, "expected |lifetime|MKI:length after the key")
        value, length = int(match[1]), int(match[2])
        if not 1 <= length <= _LONGEST_MKI or value >= 1 << 8 * length:
            raise ParseError(where, "an MKI that does not fit its length")
        mki = value.to_bytes(length)
    return lifetime, mki


def _lifetime(where: str, text: bytes) -> int:
    match = _LIFETIME.fullmatch(text)
    if match is not None:
        packets = 1 << int(match[1]) if match[1] else int(match[2])
        if 0 < packets <= 1 << _LONGEST_LIFE:
            return packets
    raise ParseError(where, "expected a lifetime from 1 to 2^48 packets")
