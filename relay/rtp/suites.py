"""Crypto suites, and session keys from a master key (RFC 3711 §4.3).

PURE. Key derivation rates are 0 throughout: keys are derived once (RFC 4568 §6.3.1 lets a line ask
for others, which is not taken).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

__all__ = ["AUTH_KEY_BYTES", "SUITES", "Label", "MasterKey", "Suite"]

AUTH_KEY_BYTES: Final = 20
"""Of HMAC-SHA1 (RFC 3711 §5.2)."""

_SALT_BYTES: Final = 14


class Label(IntEnum):
    """What a derived key is for (RFC 3711 §4.3.1, §4.3.2)."""

    RTP_CIPHER = 0
    RTP_AUTH = 1
    RTP_SALT = 2
    RTCP_CIPHER = 3
    RTCP_AUTH = 4
    RTCP_SALT = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One row of RFC 4568 §6.2, RFC 6188 §4 or RFC 7714 §14.2."""

    key_bytes: int
    salt_bytes: int
    rtp_tag_bytes: int
    rtcp_tag_bytes: int
    aead: bool


def _counter_mode(key_bytes: int, rtp_tag_bytes: int) -> Suite:
    # SRTCP keeps its tag of 80 bits where SRTP has 32 (RFC 4568 §6.2.2).
    return Suite(
        key_bytes=key_bytes,
        salt_bytes=14,
        rtp_tag_bytes=rtp_tag_bytes,
        rtcp_tag_bytes=10,
        aead=False,
    )


def _gcm(key_bytes: int) -> Suite:
    return Suite(key_bytes=key_bytes, salt_bytes=12, rtp_tag_bytes=16, rtcp_tag_bytes=16, aead=True)


SUITES: Final = {
    "AES_CM_128_HMAC_SHA1_80": _counter_mode(16, 10),
    "AES_CM_128_HMAC_SHA1_32": _counter_mode(16, 4),
    "AES_192_CM_HMAC_SHA1_80": _counter_mode(24, 10),
    "AES_192_CM_HMAC_SHA1_32": _counter_mode(24, 4),
    "AES_256_CM_HMAC_SHA1_80": _counter_mode(32, 10),
    "AES_256_CM_HMAC_SHA1_32": _counter_mode(32, 4),
    "AEAD_AES_128_GCM": _gcm(16),
    "AEAD_AES_256_GCM": _gcm(32),
}
"""By their names in SDP."""


class MasterKey:
    """Where session keys come from.

    Args:
        suite: what the key is for.
        key: master key and master salt, as long as the suite says.

    Source: RFC 3711 §4.3.3; RFC 6188 §3 for longer keys; RFC 7714 §11 for a salt of 96 bits, which
    is followed by zeros.
    """

    __slots__ = ("_key", "_salt")

    def __init__(self, suite: Suite, key: bytes) -> None:
        if len(key) != suite.key_bytes + suite.salt_bytes:
            raise ValueError(f"expected a key of {suite.key_bytes + suite.salt_bytes} bytes")
        self._key: Final = key[: suite.key_bytes]
        self._salt: Final = int.from_bytes(key[suite.key_bytes :].ljust(_SALT_BYTES, b"\0"), "big")

    def derive(self, label: Label, size: int) -> bytes:
        """The session key of a kind, `size` bytes."""
        counter = (self._salt ^ label << 48) << 16
        stream = Cipher(AES(self._key), CTR(counter.to_bytes(16, "big"))).encryptor()
        return stream.update(bytes(size))
