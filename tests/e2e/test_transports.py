"""A trunk whose transport is `auto`: UDP, TCP for what is large, and back."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.phone import Phone
from tests.e2e.sides import OUTSIDE
from tests.support.border import Border, Shape

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

LARGE = f"User-to-User: {'5a' * 600};encoding=hex\r\n"
"""Crosses, and makes the INVITE on the other side larger than 1300 bytes."""


@pytest.fixture(scope="module")
def shape() -> Shape:
    return Shape(outside_trunk={"transport": "auto"})


def test_auto_sends_what_is_small_by_udp(border: Border, caller: Phone, called: Phone) -> None:
    a_leg = caller.invite()
    b_leg = called.answering()

    assert b_leg.invite is not None
    assert "/UDP " in b_leg.invite.first("via")
    b_leg.respond(486)
    a_leg.expect(486)
    a_leg.ack(a_leg.branch)


def test_auto_sends_what_is_large_by_tcp(border: Border, caller: Phone) -> None:
    """RFC 3261 §18.1.1: larger than 1300 bytes goes by a transport that bears it."""
    with _tcp_server(("127.0.2.10", 5060)) as server:
        a_leg = caller.invite(headers=LARGE)
        server.settimeout(3)
        connection, _ = server.accept()
        with connection:
            connection.settimeout(3)
            invite = _read(connection).decode()
            assert len(invite) > 1300
            assert re.search(r"^Via: SIP/2.0/TCP 127\.0\.2\.1", invite, re.M)
            assert re.search(r"^Contact: <[^>]*;transport=tcp>", invite, re.M)
            connection.sendall(_refusal(invite, 486, OUTSIDE))
            assert _read(connection).startswith(b"ACK ")
        a_leg.expect(486)
        a_leg.ack(a_leg.branch)


def test_auto_returns_to_udp_where_nobody_hears_tcp(
    border: Border, caller: Phone, called: Phone
) -> None:
    a_leg = caller.invite(headers=LARGE)
    b_leg = called.answering(3)
    assert b_leg.invite is not None
    assert len(b_leg.invite.raw) > 1300
    assert "/UDP " in b_leg.invite.first("via")
    b_leg.answer()
    a_leg.establish()
    a_leg.request("BYE")
    b_leg.hung_up()
    a_leg.expect(lambda one: one.status == 200 and one.method == "BYE")


def test_auto_returns_to_udp_where_tcp_is_silent(
    border: Border, caller: Phone, called: Phone
) -> None:
    """A connection that opens and says nothing: the second that it has is over."""
    with _tcp_server(("127.0.2.10", 5060), backlog=0) as server, _filled(server):
        a_leg = caller.invite(headers=LARGE)
        b_leg = called.answering(4)

    assert b_leg.invite is not None
    assert "/UDP " in b_leg.invite.first("via")
    b_leg.respond(486)
    a_leg.expect(486)
    a_leg.ack(a_leg.branch)


@contextmanager
def _tcp_server(address: tuple[str, int], backlog: int = 5) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(address)
        server.listen(backlog)
        yield server


@contextmanager
def _filled(server: socket.socket) -> Iterator[None]:
    """Its queue of unaccepted connections is full: the kernel drops every further SYN."""
    own = []
    try:
        for _ in range(4):
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sock.setblocking(False)
            sock.connect_ex(server.getsockname())
            own.append(sock)
        yield
    finally:
        for sock in own:
            sock.close()


def _read(connection: socket.socket) -> bytes:
    """One message; keep-alives before it are skipped."""
    data = b""
    while True:
        data = (data + connection.recv(65_535)).lstrip(b"\r\n")
        head, end, body = data.partition(b"\r\n\r\n")
        if end:
            length = re.search(rb"^Content-Length: *(\d+)", head, re.M | re.I)
            if len(body) >= int(length[1] if length else 0):
                return data


def _refusal(invite: str, status: int, mark: str) -> bytes:
    lines = {
        name: re.search(rf"^{name}: [^\r]*", invite, re.M)
        for name in ("Via", "From", "To", "Call-ID", "CSeq")
    }
    told = [
        line[0] + (f";tag={mark}" if name == "To" else "") for name, line in lines.items() if line
    ]
    return "\r\n".join([f"SIP/2.0 {status} No", *told, "Content-Length: 0", "", ""]).encode()
