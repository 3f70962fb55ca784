"""SRTP with AES in counter mode and HMAC-SHA1 (RFC 3711 §4.1.1, §4.2.1; RFC 6188).

PURE.

    RTP    header ‖ AES-CTR(payload) ‖ [MKI] ‖ tag of header, payload and roll-over counter
    RTCP   8 bytes ‖ AES-CTR(rest) ‖ E and index ‖ [MKI] ‖ tag of all before the MKI
"""

from __future__ import annotations

from hmac import compare_digest
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.hmac import HMAC

from relay.rtp.context import AUTH, ENCRYPTED, RTCP_CLEAR, WORD, Session
from relay.rtp.suites import AUTH_KEY_BYTES, Label, MasterKey, Suite

__all__ = ["CounterSession"]

_ZERO: Final = bytes(16)


class CounterSession(Session):
    """A session of a suite in counter mode; arguments as of `relay.rtp.srtp.new_session`."""

    __slots__ = ("_cipher", "_mac", "_rtcp", "_salt", "_tag_bytes")

    def __init__(self, suite: Suite, master: MasterKey, mki: bytes, roc: int) -> None:
        super().__init__(suite, master, mki, roc)
        keys = _Keys(suite, master, Label.RTP_CIPHER)
        self._cipher: Final = keys.cipher
        self._mac: Final = keys.mac
        self._salt: Final = keys.salt
        self._tag_bytes: Final = suite.rtp_tag_bytes
        self._rtcp: _Keys | None = None

    def protect(self, packet: bytes | memoryview) -> bytes | int:
        """RTP → SRTP."""
        place = self._place(packet, len(packet))
        if isinstance(place, int):
            return place
        start, ssrc, source, index = place
        self._use(ssrc, source, index)
        cipher = self._cipher
        cipher.reset_nonce((self._salt ^ ssrc << 64 ^ index << 16).to_bytes(16, "big"))
        body = b"".join((packet[:start], cipher.update(packet[start:])))
        mac = self._mac.copy()
        mac.update(body)
        mac.update((index >> 16).to_bytes(4, "big"))
        return b"".join((body, self._mki, mac.finalize()[: self._tag_bytes]))

    def unprotect(self, packet: bytes | memoryview) -> bytes | int:
        """SRTP → RTP."""
        size = len(packet)
        end = size - self._rtp_tail
        place = self._place(packet, end)
        if isinstance(place, int):
            return place
        start, ssrc, source, index = place
        mac = self._mac.copy()
        mac.update(packet[:end])
        mac.update((index >> 16).to_bytes(4, "big"))
        tag_at = size - self._tag_bytes
        if not compare_digest(mac.finalize()[: self._tag_bytes], packet[tag_at:]):
            return AUTH
        if tag_at != end and packet[end:tag_at] != self._mki:
            return AUTH
        self._use(ssrc, source, index)
        cipher = self._cipher
        cipher.reset_nonce((self._salt ^ ssrc << 64 ^ index << 16).to_bytes(16, "big"))
        return b"".join((packet[:start], cipher.update(packet[start:end])))

    def protect_rtcp(self, packet: bytes | memoryview) -> bytes | int:
        """RTCP → SRTCP."""
        index = self._next_rtcp(len(packet))
        if index < 0:
            return -index
        keys = self._rtcp_keys()
        clear = bytes(packet[:RTCP_CLEAR])
        word = (ENCRYPTED | index).to_bytes(WORD, "big")
        body = clear + keys.crypt(clear, index, packet[RTCP_CLEAR:]) + word
        return body + self._mki + keys.tag(body)

    def unprotect_rtcp(self, packet: bytes | memoryview) -> bytes | int:
        """SRTCP → RTCP."""
        packet = bytes(packet)
        end = len(packet) - self._rtcp_tail
        place = self._rtcp_place(packet, end, end)
        if isinstance(place, int):
            return place
        ssrc, source, index = place
        keys = self._rtcp_keys()
        mki_at, tag_at = end + WORD, end + WORD + len(self._mki)
        if not compare_digest(keys.tag(packet[:mki_at]), packet[tag_at:]):
            return AUTH
        if packet[mki_at:tag_at] != self._mki or not packet[end] & 0x80:
            return AUTH
        self._use_rtcp(ssrc, source, index)
        clear = packet[:RTCP_CLEAR]
        return clear + keys.crypt(clear, index, packet[RTCP_CLEAR:end])

    def _rtcp_keys(self) -> _Keys:
        if self._rtcp is None:  # many sessions never see RTCP
            self._rtcp = _Keys(self._suite, self._master, Label.RTCP_CIPHER)
        return self._rtcp


class _Keys:
    """Cipher, authentication and salt for RTP or for RTCP.

    Args:
        first: the label of the cipher's key; those of the others follow it.
    """

    __slots__ = ("cipher", "mac", "salt", "tag_bytes")

    def __init__(self, suite: Suite, master: MasterKey, first: Label) -> None:
        key = master.derive(first, suite.key_bytes)
        self.cipher: Final = Cipher(AES(key), CTR(_ZERO)).encryptor()
        mac_key = master.derive(Label(first + 1), AUTH_KEY_BYTES)
        self.mac: Final = HMAC(mac_key, SHA1())  # noqa: S303 - RFC 3711 §4.2.1 has no other
        salt = master.derive(Label(first + 2), suite.salt_bytes)
        self.salt: Final = int.from_bytes(salt, "big") << 16
        self.tag_bytes: Final = suite.rtcp_tag_bytes

    def crypt(self, clear: bytes, index: int, rest: bytes | memoryview) -> bytes:
        """Encrypt or decrypt the rest of an RTCP packet whose clear part ends with the SSRC."""
        ssrc = int.from_bytes(clear[4:], "big")
        self.cipher.reset_nonce((self.salt ^ ssrc << 64 ^ index << 16).to_bytes(16, "big"))
        return self.cipher.update(rest)

    def tag(self, body: bytes) -> bytes:
        """The authentication tag of an RTCP packet."""
        mac = self.mac.copy()
        mac.update(body)
        return mac.finalize()[: self.tag_bytes]
