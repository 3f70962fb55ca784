"""Certificates and keys from their files: one context for each listener and trunk.

A reload reads every file anew and puts all contexts in place at once, or none where a file is
bad: then the old ones go on serving. Connections keep the context that they began with.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from sbc.errors import FileError, TransportError
from sbc.transport.identity import Identity, identity_of
from sbc.transport.settings import (
    ClientCertificate,
    Keypair,
    ListenerTls,
    PeerSettings,
    TlsVersion,
    TransportSettings,
)
from sbc.transport.tls_session import ShowingObject, TlsSession
from sbc.transport.x509 import read_chain

__all__ = ["TlsContexts", "files_of", "load_keypair", "load_listener", "load_peer"]

_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: forward secrecy and authenticated encryption, nothing else (RFC 9325 §4.2)."""
_APPLICATIONS: Final = ["sip/2", "sip"]
"""What a client may ask for (RFC 7301). One that asks for nothing, or for others, is served too."""
_VERSIONS: Final = {
    TlsVersion.TLS_1_2: ssl.TLSVersion.TLSv1_2,
    TlsVersion.TLS_1_3: ssl.TLSVersion.TLSv1_3,
}
_VERIFY: Final = {
    ClientCertificate.REQUIRED: ssl.CERT_REQUIRED,
    ClientCertificate.OPTIONAL: ssl.CERT_OPTIONAL,
    ClientCertificate.NO: ssl.CERT_NONE,
}
_CERTIFICATE_MESSAGE: Final = 11

Signature = tuple[tuple[str, int, int, int], ...]


@dataclass(slots=True)
class _Loaded:
    """One reading of all files."""

    listeners: dict[ListenerTls, ssl.SSLContext] = field(default_factory=dict)
    peers: dict[str, ssl.SSLContext] = field(default_factory=dict)
    strangers: ssl.SSLContext | None = None
    signature: Signature = ()


class TlsContexts:
    """All contexts of one border.

    Args:
        settings: listeners and peers; those without TLS cost nothing.
    """

    __slots__ = ("_loaded", "_peers", "_settings", "needed")

    def __init__(self, settings: TransportSettings) -> None:
        self._settings = settings
        self._peers: Final = {peer.trunk: peer for peer in settings.peers}
        self._loaded = _Loaded()
        self.needed: Final = any(one.transport == "tls" for one in settings.listeners)
        """Whether TLS is spoken at all: without a listener nobody is called by it either."""

    def load(self) -> None:
        """Read every file; may wait for the disk. Raises TransportError: the first that is bad."""
        if self.needed:
            self._loaded = self._read()

    def reload(self) -> bool:
        """Read every file anew, in a thread of its own if need be; whether one has changed.

        Raises:
            TransportError: a file is bad; nothing has changed.
        """
        if not self.needed:
            return False
        before = self._loaded.signature
        loaded = self._read()
        self._loaded = loaded
        return loaded.signature != before

    def changed(self) -> bool:
        """Whether a file is not the one that was read. Looks at the disk."""
        return self.needed and _signature(files_of(self._settings)) != self._loaded.signature

    def server(self, tls: ListenerTls) -> TlsSession:
        """Our end of a connection that a listener has accepted."""
        return TlsSession(self._loaded.listeners[tls], server=True)

    def client(self, trunk: str, name: str) -> TlsSession:
        """Our end of a connection to a trunk's peer, "" for somebody else.

        Args:
            name: the domain to ask for, "" for none.
        """
        context = self._loaded.peers.get(trunk) or self._loaded.strangers
        if context is None:
            raise TransportError("no tls listener is configured, so nobody is called by TLS")
        return TlsSession(context, server=False, name=name or None)

    def _read(self) -> _Loaded:
        settings, loaded = self._settings, _Loaded()
        # The signature first: a file that changes meanwhile differs from it, and is read again.
        loaded.signature = _signature(files_of(settings))
        for listener in settings.listeners:
            if listener.tls is not None and listener.tls not in loaded.listeners:
                loaded.listeners[listener.tls] = load_listener(listener.tls)
        shared: dict[tuple[str, Keypair | None, bool], ssl.SSLContext] = {}
        for peer in settings.peers:
            key = (peer.ca, peer.keypair, peer.verify)
            if key not in shared:
                shared[key] = load_peer(peer)
            loaded.peers[peer.trunk] = shared[key]
        nobody = PeerSettings(trunk="", realm="")
        loaded.strangers = shared.get(("", None, True)) or load_peer(nobody)
        return loaded


def load_listener(tls: ListenerTls) -> ssl.SSLContext:
    """The context of a listener. Raises TransportError: which file is bad, and how."""
    contexts = [_listener_context(tls, keypair) for keypair in tls.keypairs]
    if len(contexts) > 1:
        names = [_names(keypair) for keypair in tls.keypairs]
        contexts[0].sni_callback = _by_name(list(zip(names, contexts, strict=True)))
    return contexts[0]


def load_peer(peer: PeerSettings) -> ssl.SSLContext:
    """The context by which a trunk's peers are called. Raises TransportError."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # RFC 5922 has other rules than RFC 6125: `identity.py`
    context.verify_mode = ssl.CERT_REQUIRED if peer.verify else ssl.CERT_NONE
    if peer.verify:
        _load_authorities(context, peer.ca, ssl.Purpose.SERVER_AUTH)
        _show_certificates(context)
    if peer.keypair is not None:
        load_keypair(context, peer.keypair)
    return context


def load_keypair(context: ssl.SSLContext, keypair: Keypair) -> None:
    """Read a certificate and its key. Raises FileError: which of the two, and what is wrong."""
    for path in dict.fromkeys((keypair.certificate, keypair.key)):
        _readable(path)
    try:
        context.load_cert_chain(keypair.certificate, keypair.key, password=_no_password)
    except _Locked:
        text = "the key is encrypted: store it without a passphrase, readable for sbc alone"
        raise FileError(keypair.key, text) from None
    except ssl.SSLError as error:
        if "KEY_VALUES_MISMATCH" in str(error) or "KEY_TYPE_MISMATCH" in str(error):
            text = f"the key does not fit the certificate in {keypair.certificate}"
            raise FileError(keypair.key, text) from None
        raise _bad_pem(keypair, error) from None


def files_of(settings: TransportSettings) -> list[str]:
    """Every file that TLS reads, each once, in the order of the settings."""
    paths: list[str] = []
    for listener in settings.listeners:
        if listener.tls is not None:
            for keypair in listener.tls.keypairs:
                paths += [keypair.certificate, keypair.key]
            paths.append(listener.tls.ca)
    for peer in settings.peers:
        if peer.keypair is not None:
            paths += [peer.keypair.certificate, peer.keypair.key]
        paths.append(peer.ca)
    return [path for path in dict.fromkeys(paths) if path]


def _listener_context(tls: ListenerTls, keypair: Keypair) -> ssl.SSLContext:
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[tls.minimum]
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_SINGLE_ECDH_USE
    context.set_alpn_protocols(_APPLICATIONS)
    context.verify_mode = _VERIFY[tls.client]
    load_keypair(context, keypair)
    if tls.client is ClientCertificate.NO:
        context.num_tickets = 1
    else:
        # A resumed session shows no certificate: one that has run out meanwhile would still do.
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET
        _load_authorities(context, tls.ca, ssl.Purpose.CLIENT_AUTH)
        _show_certificates(context)
    return context


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.sslobject_class = ShowingObject
    return context


def _load_authorities(context: ssl.SSLContext, path: str, purpose: ssl.Purpose) -> None:
    if not path:
        context.load_default_certs(purpose)
        return
    _readable(path)
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError:
        raise FileError(path, "expected certificates in PEM form, found none") from None


def _show_certificates(context: ssl.SSLContext) -> None:
    """Keep what peers show, so that a refusal can say what was wrong with it.

    `ssl` gives the certificate out only after a handshake that went well. The hook is there for
    debugging; on a Python without it, refusals are merely told with fewer words.
    """
    context._msg_callback = _note_certificate  # type: ignore[attr-defined]


def _note_certificate(
    connection: object, direction: str, version: int, content: int, kind: int, data: bytes
) -> None:
    is_certificate = kind == _CERTIFICATE_MESSAGE and data[:1] == b"\x0b"
    if is_certificate and direction == "read" and isinstance(connection, ShowingObject):
        connection.shown = data
        connection.shown_as_1_3 = version == ssl.TLSVersion.TLSv1_3


def _by_name(
    choices: list[tuple[Identity, ssl.SSLContext]],
) -> Callable[[ssl.SSLObject, str | None, ssl.SSLContext], None]:
    """The callback that takes the certificate of the name that the client asks for."""
    exact: dict[str, ssl.SSLContext] = {}
    for identity, context in choices:
        for name in identity.names:
            exact.setdefault(name, context)

    def choose(connection: ssl.SSLObject, name: str | None, first: ssl.SSLContext) -> None:
        if name is None:
            return
        wanted = name.lower()
        found = exact.get(wanted) or exact.get("*." + wanted.partition(".")[2])
        if found is not None:
            connection.context = found

    return choose


def _names(keypair: Keypair) -> Identity:
    """The names in a certificate that has been read already."""
    with open(keypair.certificate, "rb") as file:
        leaf = read_chain(file.read())[0]
    return identity_of({"subjectAltName": tuple(("DNS", name) for name in leaf.names)})


def _signature(paths: Iterable[str]) -> Signature:
    """What tells whether a file is still the same; a missing one has one, too."""
    found = []
    for path in paths:
        try:
            facts = os.stat(path)
        except OSError:
            found.append((path, 0, 0, 0))
        else:
            found.append((path, facts.st_mtime_ns, facts.st_size, facts.st_ino))
    return tuple(found)


def _readable(path: str) -> None:
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise FileError(path, error.strerror or str(error)) from None


class _Locked(Exception):
    """A key wants a passphrase, and nobody is there to type it."""


def _no_password() -> str:
    raise _Locked


def _bad_pem(keypair: Keypair, error: ssl.SSLError) -> FileError:
    """Which of the two files is not what it should be."""
    for path, begin in (
        (keypair.certificate, b"-----BEGIN CERTIFICATE-----"),
        (keypair.key, b"PRIVATE KEY-----"),
    ):
        with open(path, "rb") as file:
            if begin not in file.read(1 << 20):
                what = "a certificate" if b"CERT" in begin else "a private key"
                return FileError(path, f"expected {what} in PEM form, found none")
    reason = (error.reason or str(error)).replace("_", " ").lower()
    if "too small" in reason or "too weak" in reason:
        text = f"the key or its signature is too weak ({reason})"
        return FileError(keypair.certificate, text)
    return FileError(keypair.certificate, f"cannot be used with its key: {reason}")
