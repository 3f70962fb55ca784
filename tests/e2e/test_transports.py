"""A trunk whose transport is `auto`: UDP, TCP for what is large, and back."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.phone import Phone
from tests.e2e.sides import OUTSIDE
from tests.e2e.tcp import answer, incoming, serving
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
    with serving(("127.0.2.10", 5060)) as server:
        a_leg = caller.invite(headers=LARGE)
        server.settimeout(3)
        connection, _ = server.accept()
        with connection:
            connection.settimeout(3)
            messages = incoming(connection)
            raw = next(messages)
            invite = raw.decode()
            assert len(raw) > 1300
            assert re.search(r"^Via: SIP/2.0/TCP 127\.0\.2\.1", invite, re.M)
            assert re.search(r"^Contact: <[^>]*;transport=tcp>", invite, re.M)
            connection.sendall(answer(raw, 486, OUTSIDE))
            assert next(messages).startswith(b"ACK ")
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
    with serving(("127.0.2.10", 5060), backlog=0) as server, _filled(server):
        a_leg = caller.invite(headers=LARGE)
        b_leg = called.answering(4)

    assert b_leg.invite is not None
    assert "/UDP " in b_leg.invite.first("via")
    b_leg.respond(486)
    a_leg.expect(486)
    a_leg.ack(a_leg.branch)


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
