"""SRTP with AES-GCM (RFC 7714): one operation encrypts and authenticates.

PURE.

    RTP    header ‖ AES-GCM(payload) and its tag ‖ [MKI]
    RTCP   8 bytes ‖ AES-GCM(rest) and its tag ‖ E and index ‖ [MKI]
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from relay.rtp.context import AUTH, ENCRYPTED, RTCP_CLEAR, WORD, Session
from relay.rtp.suites import Label, MasterKey, Suite

__all__ = ["GcmSession"]


class GcmSession(Session):
    """A session of a suite with AES-GCM; arguments as of `relay.rtp.srtp.new_session`."""

    __slots__ = ("_cipher", "_rtcp", "_salt")

    def __init__(self, suite: Suite, master: MasterKey, mki: bytes, roc: int) -> None:
        super().__init__(suite, master, mki, roc)
        keys = _Keys(suite, master, Label.RTP_CIPHER)
        self._cipher: Final = keys.cipher
        self._salt: Final = keys.salt
        self._rtcp: _Keys | None = None

    def protect(self, packet: bytes | memoryview) -> bytes | int:
        """RTP → SRTP (§8)."""
        place = self._place(packet, len(packet))
        if isinstance(place, int):
            return place
        start, ssrc, source, index = place
        self._use(ssrc, source, index)
        nonce = (self._salt ^ ssrc << 48 ^ index).to_bytes(12, "big")
        header = packet[:start]
        return b"".join((header, self._cipher.encrypt(nonce, packet[start:], header), self._mki))

    def unprotect(self, packet: bytes | memoryview) -> bytes | int:
        """SRTP → RTP (§8)."""
        size = len(packet)
        place = self._place(packet, size - self._rtp_tail)
        if isinstance(place, int):
            return place
        start, ssrc, source, index = place
        end = size - len(self._mki)
        nonce = (self._salt ^ ssrc << 48 ^ index).to_bytes(12, "big")
        header = packet[:start]
        try:
            clear = self._cipher.decrypt(nonce, packet[start:end], header)
        except InvalidTag:
            return AUTH
        if end != size and packet[end:] != self._mki:
            return AUTH
        self._use(ssrc, source, index)
        return b"".join((header, clear))

    def protect_rtcp(self, packet: bytes | memoryview) -> bytes | int:
        """RTCP → SRTCP (§9)."""
        index = self._next_rtcp(len(packet))
        if index < 0:
            return -index
        keys = self._rtcp_keys()
        clear = bytes(packet[:RTCP_CLEAR])
        word = (ENCRYPTED | index).to_bytes(WORD, "big")
        nonce = keys.rtcp_nonce(clear, index)
        sealed = keys.cipher.encrypt(nonce, packet[RTCP_CLEAR:], clear + word)
        return clear + sealed + word + self._mki

    def unprotect_rtcp(self, packet: bytes | memoryview) -> bytes | int:
        """SRTCP → RTCP (§9)."""
        packet = bytes(packet)
        end = len(packet) - self._rtcp_tail
        word_at = end + self._suite.rtcp_tag_bytes
        place = self._rtcp_place(packet, end, word_at)
        if isinstance(place, int):
            return place
        ssrc, source, index = place
        word = packet[word_at : word_at + WORD]
        if packet[word_at + WORD :] != self._mki or not word[0] & 0x80:
            return AUTH
        clear, sealed = packet[:RTCP_CLEAR], packet[RTCP_CLEAR:word_at]
        keys = self._rtcp_keys()
        try:
            rest = keys.cipher.decrypt(keys.rtcp_nonce(clear, index), sealed, clear + word)
        except InvalidTag:
            return AUTH
        self._use_rtcp(ssrc, source, index)
        return clear + rest

    def _rtcp_keys(self) -> _Keys:
        if self._rtcp is None:  # many sessions never see RTCP
            self._rtcp = _Keys(self._suite, self._master, Label.RTCP_CIPHER)
        return self._rtcp


class _Keys:
    """Cipher and salt for RTP or for RTCP; there is no key for authentication.

    Args:
        first: the label of the cipher's key.
    """

    __slots__ = ("cipher", "salt")

    def __init__(self, suite: Suite, master: MasterKey, first: Label) -> None:
        self.cipher: Final = AESGCM(master.derive(first, suite.key_bytes))
        salt = master.derive(Label(first + 2), suite.salt_bytes)
        self.salt: Final = int.from_bytes(salt, "big")

    def rtcp_nonce(self, clear: bytes, index: int) -> bytes:
        """Two zero bytes, the SSRC, two zero bytes and the index, with the salt (§9.1)."""
        ssrc = int.from_bytes(clear[4:], "big")
        return (self.salt ^ ssrc << 48 ^ index).to_bytes(12, "big")
