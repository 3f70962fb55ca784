"""SIP over TCP by hand: a server, one message at a time, and answers without a telephone."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["answer", "incoming", "serving"]


@contextmanager
def serving(address: tuple[str, int], backlog: int = 5) -> Iterator[socket.socket]:
    """A listening socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(address)
        server.listen(backlog)
        yield server


def incoming(connection: socket.socket) -> Iterator[bytes]:
    """One message after the other, without the keep-alives between them."""
    data = b""
    while True:
        data = data.lstrip(b"\r\n")
        head, end, rest = data.partition(b"\r\n\r\n")
        length = re.search(rb"^Content-Length: *(\d+)", head, re.M | re.I)
        size = int(length[1] if length else 0)
        if end and len(rest) >= size:
            yield head + end + rest[:size]
            data = rest[size:]
        else:
            more = connection.recv(65_535)
            if not more:
                return
            data += more


def answer(request: bytes, status: int, tag: str = "") -> bytes:
    """A response without a body; `tag` where the To has none yet."""
    head = request.partition(b"\r\n\r\n")[0].decode()
    lines = [f"SIP/2.0 {status} Told"]
    for name in ("Via", "From", "To", "Call-ID", "CSeq"):
        found = re.search(rf"^{name}: [^\r]*", head, re.M)
        if found is not None:
            lines.append(found[0] + (f";tag={tag}" if tag and name == "To" else ""))
    return "\r\n".join([*lines, "Content-Length: 0", "", ""]).encode()
