"""INVITE server transaction: RFC 3261 §17.2.1, RFC 6026 §7.1."""

from __future__ import annotations

import pytest

from sbc.transaction.events import State
from sbc.transaction.hop import Hop
from sbc.transaction.layer import Absorbed, StrayAck, TransportLost
from tests.transaction.build import TCP_HOP, UDP_HOP, Bench, theirs


def test_a_repeated_invite_gets_the_last_provisional_response_again() -> None:
    bench = Bench()
    txn = bench.receive(theirs())
    assert isinstance(bench.layer.receive_request(theirs(), UDP_HOP, 0.0), Absorbed)
    assert bench.sent == []  # nothing was answered yet
    bench.respond(txn, 100)
    bench.layer.receive_request(theirs(), UDP_HOP, 0.5)
    bench.respond(txn, 180)
    bench.layer.receive_request(theirs(), UDP_HOP, 1.5)
    assert bench.statuses() == [100, 100, 180, 180]
    assert bench.layer.counters["absorbed"] == 3


def test_a_failure_is_repeated_at_intervals_up_to_t2_until_64_t1() -> None:
    bench = Bench()
    txn = bench.receive(theirs())
    data = bench.respond(txn, 486)
    bench.run(100.0)
    assert bench.times() == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert {sent for _, _, sent in bench.sent} == {data}
    assert len(bench.layer) == 0
    assert bench.layer.counters["timed_out"] == 1


def test_over_tcp_a_failure_is_sent_once_and_its_ack_awaited_for_64_t1() -> None:
    bench = Bench()
    bench.respond(bench.receive(theirs(), TCP_HOP), 486)
    bench.run(31.9)
    assert bench.times() == [0.0]
    assert len(bench.layer) == 1
    bench.run(32.0)
    assert len(bench.layer) == 0


def test_a_repeated_invite_gets_the_failure_again() -> None:
    bench = Bench()
    bench.respond(bench.receive(theirs()), 486)
    bench.layer.receive_request(theirs(), UDP_HOP, 0.2)
    assert bench.statuses() == [486, 486]


def test_the_ack_ends_repetition_and_later_acks_are_absorbed_for_t4() -> None:
    bench = Bench()
    txn = bench.receive(theirs())
    bench.respond(txn, 486)
    bench.run(1.0)
    ack = theirs(b"ACK", to=b"<sip:alice@192.0.2.10>;tag=ours")
    for _ in range(3):
        assert isinstance(bench.layer.receive_request(ack, UDP_HOP, 1.0), Absorbed)
    assert txn.state == State.CONFIRMED
    assert isinstance(bench.layer.receive_request(theirs(), UDP_HOP, 1.1), Absorbed)
    bench.run(5.9)
    assert bench.times() == [0.0, 0.5]
    assert len(bench.layer) == 1
    bench.run(6.0)
    assert len(bench.layer) == 0
    assert bench.heard == []


def test_over_tcp_the_ack_ends_it_at_once() -> None:
    bench = Bench()
    bench.respond(bench.receive(theirs(), TCP_HOP), 486)
    assert isinstance(bench.layer.receive_request(theirs(b"ACK"), TCP_HOP, 0.1), Absorbed)
    assert len(bench.layer) == 0


@pytest.mark.parametrize("hop", [UDP_HOP, TCP_HOP])
def test_after_a_2xx_repeated_invites_are_absorbed_for_64_t1_without_an_answer(hop) -> None:
    bench = Bench()
    txn = bench.receive(theirs(), hop)
    bench.respond(txn, 200)
    assert isinstance(bench.layer.receive_request(theirs(), hop, 0.5), Absorbed)
    assert bench.statuses() == [200]
    assert txn.state == State.ACCEPTED
    assert txn.last == b""
    bench.run(31.9)
    assert len(bench.layer) == 1
    bench.run(32.0)
    assert len(bench.layer) == 0


def test_the_user_may_repeat_its_2xx_as_long_as_the_transaction_lives() -> None:
    bench = Bench()
    txn = bench.receive(theirs())
    for _ in range(3):
        bench.respond(txn, 200)
    assert bench.statuses() == [200, 200, 200]
    bench.respond(txn, 486)
    bench.run(40.0)
    bench.respond(txn, 200)
    assert bench.statuses() == [200, 200, 200]
    assert bench.layer.counters["unexpected"] == 2


def test_an_ack_with_the_invites_branch_after_a_2xx_is_for_the_dialog() -> None:
    bench = Bench()
    bench.respond(bench.receive(theirs()), 200)
    assert isinstance(bench.layer.receive_request(theirs(b"ACK"), UDP_HOP, 0.1), StrayAck)


def test_an_ack_of_no_transaction_is_for_a_dialog_and_makes_none() -> None:
    bench = Bench()
    received = bench.layer.receive_request(theirs(b"ACK", b"z9hG4bKnew"), UDP_HOP, 0.0)
    assert isinstance(received, StrayAck)
    assert len(bench.layer) == 0
    assert bench.layer.counters["stray_ack"] == 1


def test_an_ack_before_the_answer_is_absorbed_and_counted() -> None:
    bench = Bench()
    txn = bench.receive(theirs())
    assert isinstance(bench.layer.receive_request(theirs(b"ACK"), UDP_HOP, 0.1), Absorbed)
    assert txn.state == State.PROCEEDING
    assert bench.layer.counters["unexpected"] == 1


def test_answers_go_where_the_user_says_once_it_has_said_so() -> None:
    bench = Bench()
    txn = bench.receive(theirs())
    txn.hop = Hop("outside", 0, b"UDP", "192.0.2.20", 5070)
    bench.respond(txn, 180)
    bench.layer.receive_request(theirs(), UDP_HOP, 0.1)
    assert [hop.port for _, hop, _ in bench.sent] == [5070, 5070]


@pytest.mark.parametrize("status", [180, 200])
def test_an_answer_that_cannot_be_carried_is_reported_and_the_transaction_stays(status) -> None:
    bench = Bench()
    txn = bench.receive(theirs())
    txn.user = "user"
    bench.respond(txn, status)
    assert bench.layer.fail(txn, 0.1) == [("user", TransportLost(txn))]
    assert len(bench.layer) == 1


def test_a_failure_lets_the_user_go() -> None:
    bench = Bench()
    txn = bench.receive(theirs())
    txn.user = "user"
    bench.respond(txn, 486)
    assert txn.user is None
    assert bench.layer.fail(txn, 0.1) == []
    assert len(bench.layer) == 1  # RFC 6026 §8.7: it stays in COMPLETED
