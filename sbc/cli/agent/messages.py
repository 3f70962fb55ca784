"""What the telephones say, word for word (RFC 3261 §8.1.1, RFC 8866)."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import Final

__all__ = [
    "Dialog",
    "audio_address",
    "build_request",
    "description",
    "new_branch",
    "token",
    "uri_host",
]

_CONNECTION: Final = re.compile(rb"^c=IN IP[46] ([^\r\n /]+)", re.MULTILINE)
_AUDIO: Final = re.compile(rb"^m=audio ([0-9]+) ", re.MULTILINE)


@dataclass(slots=True)
class Dialog:
    """What the caller needs for ACK and BYE (RFC 3261 §12.1.2)."""

    call_id: bytes
    local: bytes
    """Our From."""
    remote: bytes
    """Our To."""
    target: bytes
    address: tuple[str, int]
    """Where the next request goes."""
    routes: list[bytes] = field(default_factory=list)


def build_request(
    method: bytes, dialog: Dialog, via: bytes, cseq: int, head: bytes = b"", body: bytes = b""
) -> bytes:
    """A request; `head` are further lines, each with its CRLF."""
    routes = b"".join(b"Route: %b\r\n" % route for route in dialog.routes)
    return (
        b"%b %b SIP/2.0\r\nVia: %b\r\nMax-Forwards: 70\r\n%bFrom: %b\r\nTo: %b\r\n"
        b"Call-ID: %b\r\nCSeq: %d %b\r\n%bContent-Length: %d\r\n\r\n%b"
    ) % (
        method,
        dialog.target,
        via,
        routes,
        dialog.local,
        dialog.remote,
        dialog.call_id,
        cseq,
        method,
        head,
        len(body),
        body,
    )


def description(host: str, port: int) -> bytes:
    """SDP: PCMU at this address, both ways."""
    number = 1 + secrets.randbits(30)
    address = b"IN IP%b %b" % (b"6" if ":" in host else b"4", host.encode())
    return (
        b"v=0\r\no=- %d %d %b\r\ns=-\r\nc=%b\r\nt=0 0\r\nm=audio %d RTP/AVP 0\r\n"
        b"a=rtpmap:0 PCMU/8000\r\na=ptime:20\r\na=sendrecv\r\n"
    ) % (number, number, address, address, port)


def audio_address(sdp: bytes) -> tuple[str, int] | None:
    """Where its sender wants audio; None: nowhere."""
    hosts, audio = _CONNECTION.findall(sdp), _AUDIO.search(sdp)
    if not hosts or audio is None or int(audio[1]) == 0:
        return None
    return hosts[-1].decode("latin-1"), int(audio[1])


def uri_host(host: str) -> bytes:
    """The host as URIs and Via write it."""
    return (f"[{host}]" if ":" in host else host).encode()


def token() -> bytes:
    """A tag or Call-ID that nobody else has."""
    return secrets.token_hex(8).encode()


def new_branch() -> bytes:
    """A Via branch (RFC 3261 §8.1.1.7)."""
    return b"z9hG4bK" + token()
