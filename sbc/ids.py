"""Identifiers that we generate: Call-IDs, tags, Via branches, Contact user parts.

Each leg of a call gets one random *token*; every identifier of that leg is derived from it, so
that one keyed check, paid once, stands behind all of them, and the two legs of a call share
nothing. A token is `s` + shard (two hex digits) + 20 random hex digits + 8 check digits; the
check is a BLAKE2s MAC under a key that is kept across restarts. The shard mark is for several
signalling processes that share one port: whoever owns the shard owns the dialog.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from binascii import hexlify
from collections.abc import Callable
from typing import Final, NewType

__all__ = ["BRANCH_COOKIE", "CallId", "Mint", "Token"]

Token = NewType("Token", bytes)
CallId = NewType("CallId", str)

BRANCH_COOKIE: Final = b"z9hG4bK"  # RFC 3261 §8.1.1.7

_RANDOM_BYTES: Final = 10  # 80 bits
_CHECK_BYTES: Final = 4
_TOKEN: Final = re.compile(rb"s([0-9a-f]{2})[0-9a-f]{20}([0-9a-f]{8})")


class Mint:
    """Makes tokens and tells its own from forged ones.

    Args:
        key: 16 to 32 secret bytes, the same across restarts and in every shard.
        shard: the permanent number of this process, 0..255.
        random: n -> n random bytes.
    """

    __slots__ = ("_mac", "_prefix", "_random")

    def __init__(self, key: bytes, shard: int, random: Callable[[int], bytes]) -> None:
        if not 16 <= len(key) <= 32:
            raise ValueError(f"expected a key of 16 to 32 bytes, got {len(key)}")
        if not 0 <= shard <= 255:
            raise ValueError(f"expected a shard of 0 to 255, got {shard}")
        self._mac = hashlib.blake2s(key=key, digest_size=_CHECK_BYTES)
        self._prefix = b"s%02x" % shard
        self._random = random

    def token(self) -> Token:
        """A fresh token: 31 characters of `[a-z0-9]`, valid in every SIP identifier."""
        body = self._prefix + hexlify(self._random(_RANDOM_BYTES))
        return Token(body + self._check(body))

    def shard_of(self, identifier: bytes) -> int | None:
        """The shard that made the first token in `identifier`, or None if no key of ours did."""
        match = _TOKEN.search(identifier)
        if match is None:
            return None
        body, check = match[0][: -len(match[2])], match[2]
        return int(match[1], 16) if hmac.compare_digest(self._check(body), check) else None

    def mark(self, text: bytes) -> bytes:
        """Eight hex digits that only we can tell from any others: for what a peer may not guess."""
        return self._check(text)

    def _check(self, body: bytes) -> bytes:
        mac = self._mac.copy()
        mac.update(body)
        return hexlify(mac.digest())
