"""Peers and calls that die: who is seen to be gone, how soon, and that all else goes on."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.phone import Call, Message, Phone, sdp
from tests.e2e.talk import Talk
from tests.e2e.tcp import answer, incoming, serving
from tests.e2e.ways import (
    WAYS,
    Stage,
    Way,
    both_ways,
    called,
    caller,
    calls_up,
    final_to,
    mirrored,
    takes_up,
)
from tests.support.border import Border, Shape, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

TRUNKS: dict[str, dict[str, Any]] = {
    "0": {},
    "1": {"no_answer": 1},
    "2": {"max_duration": 1},
    "3": {"ping": 1},
    "4": {"transport": "tcp", "keepalive": 1, "ping": 2},
    "5": {"options_ping": 1},
    "6": {},
    "7": {"transport": "tcp"},
}


@pytest.fixture(scope="module")
def shape() -> Shape:
    return mirrored(TRUNKS, {"5": "6"})


@pytest.fixture(scope="module")
def silent(border: Border) -> Iterator[dict[str, Phone]]:
    """The peer of trunk 5 on the called side of each way: it hears, and says nothing."""
    with ExitStack() as stack:
        phones = {}
        for name, way in WAYS.items():
            phone = Phone((f"{way.there}.15", 5060), way.other, (f"{way.there}.1", 5060))
            phones[name] = stack.enter_context(phone)
        yield phones


def rings() -> Talk:
    """A call that the border gives up."""
    talk = called().hear("INVITE").tell(180).hear("CANCEL", ("Reason", "cause=")).tell(200)
    return talk.tell(487, first=True).hear("ACK")


def test_calls_that_ring_or_last_or_are_forgotten_end_on_both_sides(
    border: Border, silent: dict[str, Phone], tmp_path: Path
) -> None:
    """Nobody answers; the longest that a call may last; a ping within the call gets 481."""
    before = len(border.cdrs())
    with Stage(tmp_path) as stage:
        for way in WAYS.values():
            given_up = caller().ask("INVITE", "sendrecv").hear(100, maybe=True).hear(180)
            given_up = given_up.hear(480).ask("ACK")
            stage.is_called(way, rings(), "1")
            stage.calls(way, given_up, "0", "1")

            stage.is_called(way, takes_up().hear("BYE", ("Reason", "cause=")).tell(200), "2")
            talk = calls_up().hear("BYE", ("Reason", "cause=")).tell(200)
            stage.calls(way, talk, "0", "2")

            forgets = takes_up().hear("OPTIONS").tell(200).hear("OPTIONS").tell(481)
            stage.is_called(way, forgets.hear("BYE").tell(200), "3")
            stage.calls(way, talk, "0", "3")

            stage.is_called(way, takes_up().hear("BYE").tell(200), "0")
            talk = calls_up().hear("OPTIONS").tell(481).hear("BYE").tell(200)
            stage.calls(way, talk, "3", "0")
    until(lambda: len(border.cdrs()) == before + 8, 3, "a record of each call")
    causes = sorted(one["cause"] for one in border.cdrs()[before:])
    assert causes == ["max_duration"] * 2 + ["no_answer"] * 2 + ["peer_lost"] * 4
    assert not border.calls()


class Switchboard:
    """A peer over TCP that takes one call on a connection that may break. A context manager."""

    def __init__(self, way: Way, digit: str) -> None:
        self._stack = ExitStack()
        self._mark, self._host = way.other, f"{way.there}.1{digit}"
        self._server = self._stack.enter_context(serving((self._host, 5060)))
        self._server.settimeout(5)
        self._messages: Iterator[bytes] = iter(())

    def __enter__(self) -> Switchboard:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def accept(self) -> None:
        connection, _ = self._server.accept()
        self._connection = self._stack.enter_context(connection)
        self._connection.settimeout(5)
        self._messages = incoming(self._connection)

    def take(self) -> None:
        """The call that comes is up when this returns."""
        self.accept()
        invite = self.next("INVITE")
        head = answer(invite, 200, self._mark).removesuffix(b"Content-Length: 0\r\n\r\n")
        body = sdp(self._host, 42_000, self._mark)
        head += f"Contact: <sip:{self._mark}@{self._host}:5060;transport=tcp>\r\n".encode()
        head += b"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n" % len(body)
        self._connection.sendall(head + body)
        self.next("ACK")

    def next(self, method: str) -> bytes:
        message = next(self._messages)
        assert message.startswith(method.encode() + b" "), message
        return message

    def answer(self, request: bytes, status: int = 200) -> None:
        self._connection.sendall(answer(request, status))

    def breaks(self) -> None:
        """The connection is reset."""
        linger = struct.pack("ii", 1, 0)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._connection.close()

    def goes(self) -> None:
        """And so is the server."""
        self._server.close()
        self.breaks()

    def raw(self) -> socket.socket:
        return self._connection


@both_ways
def test_a_call_outlives_its_connection(border: Border, way: Way) -> None:
    """The BYE comes on a new one."""
    before = len(border.cdrs())
    with ExitStack() as stack:
        calling, _ = way.phones(stack)
        board = stack.enter_context(Switchboard(way, "7"))
        a_leg = calling.invite("700")
        board.take()
        a_leg.establish()
        board.breaks()
        time.sleep(0.1)
        a_leg.request("BYE")
        board.accept()
        board.answer(board.next("BYE"))
        assert final_to(a_leg, "BYE") == 200
    until(lambda: len(border.cdrs()) == before + 1, 3, "its record")
    assert border.cdrs()[-1]["cause"] == "normal"


def test_a_call_whose_peer_is_gone_with_its_connection_ends(border: Border) -> None:
    """The next ping finds nobody; and a BYE that cannot be told holds nothing up."""
    before = len(border.cdrs())
    with ExitStack() as stack:
        calls = []
        for way in WAYS.values():
            # each on the trunk whose number is called, so that both ways go on at once
            calling = Phone((f"{way.here}.10", 5070), way.mark, (f"{way.here}.1", 5060))
            stack.enter_context(calling)
            for digit in "47":
                board = stack.enter_context(Switchboard(way, digit))
                a_leg = calling.invite(f"{digit}00")
                board.take()
                a_leg.establish()
                board.goes()
                calls.append(a_leg)
        for at, a_leg in enumerate(calls):
            if at % 2:
                a_leg.request("BYE")
                assert final_to(a_leg, "BYE") == 200
            else:
                a_leg.hung_up()
    until(lambda: len(border.cdrs()) == before + 4, 3, "a record of each call")
    causes = sorted(one["cause"] for one in border.cdrs()[before:])
    assert causes == ["normal"] * 2 + ["peer_lost"] * 2
    until(lambda: not border.calls(), 3, "the end of each call")


def test_a_call_whose_caller_is_gone_with_its_connection_ends(border: Border) -> None:
    """It has called over TCP, and nobody is there to be connected to."""
    before = len(border.cdrs())
    with ExitStack() as stack:
        taken = []
        for way in WAYS.values():
            phone = Phone((f"{way.there}.10", 5060), way.other, (f"{way.there}.1", 5060))
            stack.enter_context(phone)
            host = f"{way.here}.14"
            raw = socket.create_connection((f"{way.here}.1", 5060), 5, (host, 0))
            stack.enter_context(raw)
            words = stack.enter_context(Phone((host, 5072), way.mark, (f"{way.here}.1", 5060)))
            parts: dict[str, Any] = {
                "call_id": f"{way.mark}-{words.serial()}",
                "from_": f"<sip:alice@{way.mark}.example>;tag={way.mark}",
                "contact": f"<sip:{way.mark}@{host}:5060;transport=tcp>",
            }
            offer = sdp(host, 41_000, way.mark)
            invite = words.request("INVITE", f"sip:000@{way.here}.1", body=offer, **parts)
            raw.sendall(invite.replace(b"/UDP ", b"/TCP ", 1))
            b_leg = phone.answering()
            b_leg.answer()
            final = next(one for one in incoming(raw) if one.startswith(b"SIP/2.0 200"))
            told = Message.parse(final, ("", 0))
            ack = words.request("ACK", told.contact_uri, to=told.first("to"), **parts)
            raw.sendall(ack.replace(b"/UDP ", b"/TCP ", 1))
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            taken.append((raw, b_leg))
        time.sleep(0.1)
        for raw, _ in taken:
            raw.close()
        for _, b_leg in taken:
            b_leg.hung_up()
    until(lambda: len(border.cdrs()) == before + 2, 3, "a record of each call")
    assert {one["cause"] for one in border.cdrs()[before:]} == {"peer_lost"}


def test_connections_are_kept_alive_by_both_ends(border: Border) -> None:
    """CRLF CRLF, answered with CRLF (RFC 5626 §4.4.1), in the midst of a call."""
    with ExitStack() as stack:
        ended = []
        for way in WAYS.values():
            calling = Phone((f"{way.here}.10", 5071), way.mark, (f"{way.here}.1", 5060))
            stack.enter_context(calling)
            board = stack.enter_context(Switchboard(way, "4"))
            a_leg = calling.invite("400")
            board.take()
            a_leg.establish()
            ended.append((a_leg, board))
        for a_leg, board in ended:
            raw = board.raw()
            assert raw.recv(4) == b"\r\n\r\n", "the border's ping"
            raw.sendall(b"\r\n\r\n\r\n")
            assert raw.recv(2) == b"\r\n", "its pong to ours"
            a_leg.request("BYE")
            board.answer(board.next("BYE"))
            assert final_to(a_leg, "BYE") == 200


def test_a_peer_that_is_silent_is_out_and_comes_back(
    border: Border, silent: dict[str, Phone], tmp_path: Path
) -> None:
    """It has been silent since the module began, which is longer than the 5 s that it has."""

    def states() -> dict[str, tuple[str, str]]:
        found = [one for trunk in border.query("trunks") for one in trunk["peers"]]
        return {one["trunk"]: (one["state"], one["reason"]) for one in found}

    sick = ("out", "no answer within 5 s")
    until(lambda: set(states().values()) == {sick}, 8, "both silent peers out", 0.2)
    assert set(states()) == {"inside5", "outside5"}
    with Stage(tmp_path) as stage:
        for way in WAYS.values():
            stage.is_called(way, takes_up().hear("BYE").tell(200), "6")
            stage.calls(way, calls_up().ask("BYE").hear(200), "0", "5")
    for phone in silent.values():
        assert not [one for one in phone.inbox if one.method == "INVITE"]
        healthy = Call.incoming(phone, phone.expect("OPTIONS"))
        while True:  # the latest that has come
            try:
                healthy = Call.incoming(phone, phone.expect("OPTIONS", 0.01))
            except TimeoutError:
                break
        healthy.respond(200)
    until(lambda: set(states().values()) == {("up", "")}, 2, "both back", 0.1)
    with ExitStack() as stack:
        for name, way in WAYS.items():
            calling, _ = way.phones(stack)
            a_leg = calling.invite("500")
            b_leg = silent[name].answering(2)
            b_leg.answer()
            a_leg.establish()
            a_leg.request("BYE")
            b_leg.hung_up()
            assert final_to(a_leg, "BYE") == 200
            stack.pop_all().close()
