"""Non-INVITE server transaction: RFC 3261 §17.2.2, RFC 4320."""

from __future__ import annotations

import pytest

from sbc.transaction.events import State
from sbc.transaction.layer import Absorbed, TransportLost
from tests.transaction.build import TCP_HOP, UDP_HOP, Bench, theirs


def test_a_repeated_request_is_absorbed_until_there_is_an_answer_and_then_gets_it() -> None:
    bench = Bench()
    txn = bench.receive(theirs(b"BYE"))
    assert isinstance(bench.layer.receive_request(theirs(b"BYE"), UDP_HOP, 0.5), Absorbed)
    assert bench.sent == []
    bench.respond(txn, 100)
    bench.layer.receive_request(theirs(b"BYE"), UDP_HOP, 1.5)
    bench.respond(txn, 100)
    bench.respond(txn, 200)
    bench.layer.receive_request(theirs(b"BYE"), UDP_HOP, 3.5)
    assert bench.statuses() == [100, 100, 100, 200, 200]
    assert bench.layer.counters["unexpected"] == 0


def test_the_answer_is_kept_for_64_t1() -> None:
    bench = Bench()
    bench.respond(bench.receive(theirs(b"BYE")), 200)
    bench.run(31.9)
    assert len(bench.layer) == 1
    bench.run(32.0)  # timer J
    assert len(bench.layer) == 0
    assert bench.heard == []


def test_over_tcp_the_answer_ends_it_at_once() -> None:
    bench = Bench()
    bench.respond(bench.receive(theirs(b"BYE"), TCP_HOP), 200)
    assert bench.statuses() == [200]
    assert len(bench.layer) == 0


def test_a_second_final_answer_is_discarded() -> None:
    bench = Bench()
    txn = bench.receive(theirs(b"BYE"))
    bench.respond(txn, 481)
    bench.respond(txn, 200)
    bench.layer.receive_request(theirs(b"BYE"), UDP_HOP, 0.5)
    assert bench.statuses() == [481, 481]


@pytest.mark.parametrize("status", [180, 183, 199, 408])
def test_rfc4320_forbids_provisional_answers_but_100_and_408(status) -> None:
    bench = Bench()
    txn = bench.receive(theirs(b"OPTIONS"))
    bench.respond(txn, status)
    assert bench.sent == []
    assert txn.state == State.TRYING
    assert bench.layer.counters["unexpected"] == 1


@pytest.mark.parametrize("provisional", [False, True])
def test_rfc4320_nothing_is_sent_once_the_client_has_given_up(provisional) -> None:
    bench = Bench()
    txn = bench.receive(theirs(b"OPTIONS"))
    if provisional:
        bench.respond(txn, 100)
    bench.run(32.0)
    assert len(bench.layer) == 0
    bench.respond(txn, 200)
    assert 200 not in bench.statuses()


@pytest.mark.parametrize("status", [100, 200])
def test_an_answer_that_cannot_be_carried_ends_it(status) -> None:
    bench = Bench()
    txn = bench.receive(theirs(b"OPTIONS"))
    txn.user = "user"
    bench.respond(txn, status)
    heard = [("user", TransportLost(txn))] if status == 100 else []
    assert bench.layer.fail(txn, 0.1) == heard
    assert len(bench.layer) == 0
