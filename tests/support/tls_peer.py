"""SIP over TLS by hand, in threads: a telephone that answers everybody, and one that calls."""

from __future__ import annotations

import itertools
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Final

from tests.e2e.tcp import answer, incoming, serving
from tests.support.capture import Packet
from tests.support.certificates import Authority, Issued

__all__ = ["DECRYPTED", "TlsCaller", "TlsServer", "client_context", "server_context"]

DECRYPTED: Final[list[Packet]] = []
"""All that these peers have received in the whole run: a capture sees only what encrypts it."""

_SERIAL = itertools.count(1)


def server_context(issued: Issued, client_ca: str = "") -> ssl.SSLContext:
    """A server's; with `client_ca` it wants a certificate from there."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    return context


def client_context(authority: Authority, issued: Issued | None = None) -> ssl.SSLContext:
    """A client's that believes `authority`, and shows `issued`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(authority.path)
    if issued is not None:
        context.load_cert_chain(issued.certificate, issued.key)
    return context


def _read(connection: ssl.SSLSocket) -> Iterator[bytes]:
    """The messages that come, each kept in `DECRYPTED`."""
    source, target = connection.getpeername()[:2], connection.getsockname()[:2]
    for message in incoming(connection):
        DECRYPTED.append(Packet(time.time(), socket.IPPROTO_UDP, source, target, message))
        yield message


def sdp(host: str, port: int, mark: str) -> bytes:
    """Audio at an address."""
    family = "IP6" if ":" in host else "IP4"
    lines = (
        "v=0",
        f"o={mark} 1 1 IN {family} {host}",
        "s=-",
        f"c=IN {family} {host}",
        "t=0 0",
        f"m=audio {port} RTP/AVP 0",
    )
    return "".join(f"{line}\r\n" for line in lines).encode()


class TlsServer:
    """Answers every call at once, on as many connections as come. A context manager."""

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext, mark: str) -> None:
        self.address = address
        self._context = context
        self._mark = mark
        self.requests: list[bytes] = []
        """Everything that came, in order."""
        self.names: list[object] = []
        """What each connection's certificate was for, None where it showed none."""
        self.connections: list[ssl.SSLSocket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> TlsServer:
        self._serving = serving(self.address)
        self._socket = self._serving.__enter__()
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._serving.__exit__(None, None, None)
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def methods(self) -> list[str]:
        """The methods of what came."""
        return [one.partition(b" ")[0].decode() for one in self.requests]

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                raw, _ = self._socket.accept()
            except OSError:
                return
            self._start(self._serve, raw)

    def _serve(self, raw: socket.socket) -> None:
        try:
            connection = self._context.wrap_socket(raw, server_side=True)
        except (OSError, ssl.SSLError):
            raw.close()
            return
        with connection, suppress(OSError):
            certificate = connection.getpeercert()
            self.names.append(certificate.get("subjectAltName") if certificate else None)
            self.connections.append(connection)
            for message in _read(connection):
                self.requests.append(message)
                method = message.partition(b" ")[0]
                if method == b"INVITE":
                    connection.sendall(self._accepted(message))
                elif method not in (b"ACK", b"SIP/2.0"):
                    connection.sendall(answer(message, 200))

    def _accepted(self, invite: bytes) -> bytes:
        host, port = self.address
        head = answer(invite, 200, f"{self._mark}{next(_SERIAL)}").removesuffix(
            b"Content-Length: 0\r\n\r\n"
        )
        at = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        body = sdp(host, 20_000, self._mark)
        contact = f"Contact: <sip:{self._mark}@{at};transport=tls>\r\n".encode()
        kind = b"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n" % len(body)
        return head + contact + kind + body


class TlsCaller:
    """One connection to a border, and calls on it. A context manager."""

    def __init__(
        self, source: str, border: tuple[str, int], context: ssl.SSLContext, mark: str
    ) -> None:
        raw = socket.create_connection(border, timeout=5, source_address=(source, 0))
        self._connection = context.wrap_socket(raw, server_hostname="sbc.example")
        self._messages = _read(self._connection)
        self._host, self._border, self._mark = source, border, mark

    def __enter__(self) -> TlsCaller:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    @property
    def name(self) -> str:
        """The name that the border's certificate bears here."""
        certificate = self._connection.getpeercert()
        assert certificate is not None
        (_, name), *_ = certificate["subjectAltName"]
        return str(name)

    def call(self, number: str = "100") -> list[bytes]:
        """A whole call; what was answered: to the INVITE at last, and to the BYE."""
        serial = next(_SERIAL)
        invite = self._request("INVITE", serial, 1, number, sdp(self._host, 20_002, self._mark))
        self._connection.sendall(invite)
        final = self._final()
        if not final.startswith(b"SIP/2.0 200"):
            return [final]
        to = re.search(rb"^To: ([^\r]*)", final, re.M)
        contact = re.search(rb"^Contact: <([^>]*)>", final, re.M)
        assert to is not None
        assert contact is not None
        target, tagged = contact[1].decode(), to[1].decode()
        self._connection.sendall(self._request("ACK", serial, 1, target, to=tagged))
        self._connection.sendall(self._request("BYE", serial, 2, target, to=tagged))
        return [final, self._final()]

    def _final(self) -> bytes:
        for message in self._messages:
            if message.startswith(b"SIP/2.0 ") and not message.startswith(b"SIP/2.0 1"):
                return message
        raise ConnectionError("the border closed the connection")

    def _request(
        self, method: str, serial: int, cseq: int, target: str, body: bytes = b"", to: str = ""
    ) -> bytes:
        host = f"[{self._host}]" if ":" in self._host else self._host
        border = f"[{self._border[0]}]" if ":" in self._border[0] else self._border[0]
        uri = target if ":" in target else f"sip:{target}@{border}:{self._border[1]}"
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/TLS {host}:5061;branch=z9hG4bK{self._mark}{serial}.{cseq}{method};rport",
            "Max-Forwards: 70",
            f"From: <sip:alice@{self._mark}.example>;tag={self._mark}{serial}",
            f"To: {to or f'<{uri}>'}",
            f"Call-ID: {self._mark}-{serial}",
            f"CSeq: {cseq} {method}",
            f"Contact: <sip:{self._mark}@{host}:5061;transport=tls>",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        return "".join(f"{line}\r\n" for line in (*lines, "")).encode() + body
