"""TLS on one connection, without a socket: bytes of the wire in and out, plaintext out and in.

`ssl.SSLObject` over `ssl.MemoryBIO`. Every method leaves what must go to the peer in `outgoing`.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Final

from sbc.transport.identity import Identity, identity_of

__all__ = ["ShowingObject", "TlsSession", "is_tls"]

_READ_BYTES: Final = 16_384  # one record (RFC 8446 §5.1)
_HANDSHAKE_RECORD: Final = 22


class ShowingObject(ssl.SSLObject):
    """One that keeps the certificate which its peer has shown, also where it was refused."""

    shown: bytes = b""
    """A Certificate message, set by `tls_contexts`."""
    shown_as_1_3: bool = False
    """Whether in the form of RFC 8446 §4.4.2, not in that of RFC 5246 §7.4.2."""


class TlsSession:
    """One end of one TLS connection.

    Args:
        context: decides about certificates, versions and ciphers.
        server: whether the peer speaks first.
        name: as a client, the server name to ask for (RFC 6066 §3), None for none.
    """

    __slots__ = ("_incoming", "_object", "_outgoing")

    def __init__(self, context: ssl.SSLContext, *, server: bool, name: str | None = None) -> None:
        self._incoming: Final = ssl.MemoryBIO()
        self._outgoing: Final = ssl.MemoryBIO()
        self._object: Final = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server, server_hostname=name
        )

    def handshake(self, data: bytes) -> bool:
        """Go on with what has come; whether the connection is ready. Raises ssl.SSLError."""
        if data:
            self._incoming.write(data)
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        if isinstance(self._object, ShowingObject):
            self._object.shown = b""  # up to 100 kB that nobody will ask for now
        return True

    def open(self, data: bytes) -> tuple[bytes, bool]:
        """The plaintext in `data`, and whether the peer has said its last word.

        Raises:
            ssl.SSLError: what came is no TLS of this connection, or an alert.
        """
        self._incoming.write(data)
        parts: list[bytes] = []
        try:
            while True:
                part = self._object.read(_READ_BYTES)
                if not part:
                    return b"".join(parts), True
                parts.append(part)
                if not self._incoming.pending and not self._object.pending():
                    break  # an exception is dearer
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            return b"".join(parts), True
        except ssl.SSLError:
            if not parts:
                raise
            return b"".join(parts), True  # what was good is good
        return b"".join(parts) if len(parts) != 1 else parts[0], False

    def seal(self, data: bytes) -> bytes:
        """`data` as records. Raises ssl.SSLError."""
        self._object.write(data)
        return self._outgoing.read()

    def outgoing(self) -> bytes:
        """What the peer must get: handshake messages, alerts, new keys."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def farewell(self) -> bytes:
        """A close_notify, as the last word."""
        with suppress(ssl.SSLError):  # the peer's own is still to come, or never will
            self._object.unwrap()
        return self.outgoing()

    def identity(self) -> Identity | None:
        """Whom the peer's verified certificate names; None: it has shown none, or none counts."""
        certificate = self._object.getpeercert()
        return identity_of(certificate) if certificate else None

    def shown(self) -> bytes:
        """The first certificate that the peer showed, DER, be it good or not; b"" for none."""
        of = self._object
        if not isinstance(of, ShowingObject):
            return b""
        return _first_certificate(of.shown, of.shown_as_1_3)


def is_tls(data: bytes) -> bool:
    """Whether what a client sends first may begin a handshake: a look at one byte."""
    return data[:1] == bytes([_HANDSHAKE_RECORD])


def _first_certificate(message: bytes, with_context: bool) -> bytes:
    """The first entry of a Certificate message; b"" where it is cut short."""
    at = 4  # type and length
    if with_context:
        at += 1 + (message[at] if len(message) > at else 0)
    at += 3  # length of the list
    size = int.from_bytes(message[at : at + 3], "big")
    entry = message[at + 3 : at + 3 + size]
    return entry if size and len(entry) == size else b""
