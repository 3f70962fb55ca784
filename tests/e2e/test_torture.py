"""The torture messages of RFC 4475 and RFC 5118 from a trusted peer: answered, and survived."""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path

import pytest

from tests.e2e.phone import Phone
from tests.e2e.sides import INSIDE, TORTURER
from tests.support.border import Border, Shape

pytestmark = pytest.mark.e2e

VECTORS = Path(__file__).parents[1] / "vectors"
MESSAGES = sorted([*VECTORS.glob("rfc4475/*.dat"), *VECTORS.glob("rfc5118/*.dat")])


REFUSED = {400}
ALLOWED = {
    "badaspec": REFUSED,
    "badinv01": REFUSED,
    "clerr": REFUSED,
    "escruri": REFUSED,
    "insuf": REFUSED,
    "ltgtruri": REFUSED,
    "lwsruri": REFUSED,
    "lwsstart": REFUSED,
    "mcl01": REFUSED,
    "mismatch01": REFUSED,
    "mismatch02": {400, 501},
    "multi01": REFUSED,
    "ncl": REFUSED,
    "scalar02": REFUSED,
    "ipv6-bad": REFUSED,
    "badvers": {505},
    "bext01": {420},
    "zeromf": {200, 483},
    "invut": {415, 488, 606},
    "mpart01": {405, 415, 501},
    "intmeth": {405, 501},
    "esc02": {405, 501},
    "novelsc": {416},
    "unkscm": {416},
    "badbranch": {200},
    "lwsdisp": {200},
    "semiuri": {200},
    "transports": {200},
    "wsinv": {481, 503},
    "esc01": {503},
    "longreq": {503},
    "sdp01": {503},
    "dblreq": {405, 501},
    "cparam01": {405, 501},
    "ipv6-good": {405, 501},
    "port-unambiguous": {405, 501},
}
"""What a message may be answered with, where the RFC or our own methods leave no choice."""


@pytest.fixture(scope="module")
def shape() -> Shape:
    return Shape(outside_peer="127.0.2.29:5060", outside_trunk={"no_answer": 1})


def test_the_vectors_are_all_there() -> None:
    assert len(MESSAGES) == 49 + 12


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_message_over_udp(border: Border, path: Path) -> None:
    with Phone((TORTURER, 5060), INSIDE, ("127.0.1.1", 5060)) as phone:
        phone.send(path.read_bytes())

        answer = phone.options()

        assert answer.status == 200
        given = {one.status for one in phone.inbox if one.first("call-id") == _call_id(path)}
    assert given - {100} <= ALLOWED.get(path.stem, given)


def _call_id(path: Path) -> str:
    found = re.search(rb"^(?:Call-ID|i)[ \t]*:\s*(\S+)", path.read_bytes(), re.I | re.M)
    return found[1].decode() if found else ""


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_message_over_tcp(border: Border, path: Path) -> None:
    """What follows a framing error is noise: the border closes, and a new connection works."""
    with _connect() as first:
        first.sendall(path.read_bytes())
        time.sleep(0.02)
    with _connect() as second:
        assert b"SIP/2.0 200" in _options(second)


def _connect() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.bind((TORTURER, 0))
    sock.settimeout(3)
    sock.connect(("127.0.1.1", 5060))
    return sock


def _options(sock: socket.socket) -> bytes:
    serial = time.monotonic_ns()
    lines = (
        "OPTIONS sip:127.0.1.1 SIP/2.0",
        f"Via: SIP/2.0/TCP 127.0.1.28;branch=z9hG4bK{serial}",
        f"From: <sip:insidemark@127.0.1.28>;tag={serial}",
        "To: <sip:127.0.1.1>",
        f"Call-ID: {serial}",
        "CSeq: 1 OPTIONS",
        "Max-Forwards: 70",
        "Content-Length: 0",
    )
    sock.sendall("\r\n".join((*lines, "", "")).encode())
    return sock.recv(65_535)
