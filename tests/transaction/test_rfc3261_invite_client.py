"""INVITE client transaction: RFC 3261 §17.1.1, RFC 6026 §7.2."""

from __future__ import annotations

import pytest

from sbc.errors import LocalProtocolError
from sbc.transaction.events import State
from sbc.transaction.layer import TimedOut, TransportLost
from tests.transaction.build import TCP_HOP, UDP_HOP, Bench, a_request, answer, client_request

SENT_AT = [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]


def test_over_udp_the_invite_is_sent_seven_times_and_given_up_at_32_s() -> None:
    bench = Bench()
    request = client_request()
    txn = bench.layer.request(request, UDP_HOP, "user", 0.0)
    bench.run(100.0)
    assert bench.times() == SENT_AT
    assert {data for _, _, data in bench.sent} == {request.data}
    assert bench.heard == [(32.0, "user", TimedOut(txn))]
    assert len(bench.layer) == 0


def test_over_tcp_it_is_sent_once_and_given_up_at_32_s() -> None:
    bench = Bench()
    bench.layer.request(client_request(), TCP_HOP, "user", 0.0)
    bench.run(100.0)
    assert bench.times() == [0.0]
    assert [time for time, _, _ in bench.heard] == [32.0]


def test_a_provisional_response_ends_retransmission_and_the_wait_has_no_end() -> None:
    bench = Bench()
    txn = bench.layer.request(client_request(), UDP_HOP, "user", 0.0)
    bench.run(2.0)
    trying = answer(bench.sent[0][2], 100)
    assert bench.layer.receive_response(trying, UDP_HOP, 2.0) == "user"
    bench.run(1000.0)
    assert bench.times() == [0.0, 0.5, 1.5]
    assert bench.heard == []
    assert txn.state == State.PROCEEDING


def test_every_provisional_response_of_every_fork_is_passed_up() -> None:
    bench = Bench()
    bench.layer.request(client_request(), UDP_HOP, "user", 0.0)
    for status, tag in ((180, b"one"), (180, b"one"), (183, b"two"), (180, b"three")):
        response = answer(bench.sent[0][2], status, tag)
        assert bench.layer.receive_response(response, UDP_HOP, 0.1) == "user"


def test_a_failure_is_passed_up_once_and_acknowledged_each_time() -> None:
    bench = Bench()
    request = client_request()
    txn = bench.layer.request(request, UDP_HOP, "user", 0.0)
    busy = answer(request.data, 486)
    assert bench.layer.receive_response(busy, UDP_HOP, 0.1) == "user"
    assert bench.layer.receive_response(busy, UDP_HOP, 0.6) is None
    assert bench.layer.receive_response(busy, UDP_HOP, 1.6) is None
    assert bench.methods() == [b"INVITE", b"ACK", b"ACK", b"ACK"]
    assert len({data for _, _, data in bench.sent[1:]}) == 1
    bench.run(32.0)
    assert txn.state == State.COMPLETED
    bench.run(32.2)
    assert len(bench.layer) == 0  # timer D: 32 s after the first failure
    assert bench.heard == []


def test_the_ack_to_a_failure_is_the_invite_hop_by_hop() -> None:
    bench = Bench()
    request = client_request(head=b"Contact: <sip:alice@192.0.2.10>\r\nSupported: x\r\n")
    bench.layer.request(request, UDP_HOP, "user", 0.0)
    bench.layer.receive_response(answer(request.data, 404, b"theirs"), UDP_HOP, 0.1)
    invite, ack = a_request(request.data), a_request(bench.sent[1][2])
    assert bench.sent[1][1] == UDP_HOP
    for name in (b"via", b"from", b"call-id", b"route", b"max-forwards"):
        assert ack.every(name) == invite.every(name)
    assert (ack.method, ack.uri, ack.cseq, ack.cseq_method) == (b"ACK", invite.uri, 7, b"ACK")
    assert ack.first(b"to") == b"<sip:bob@192.0.2.20>;tag=theirs"
    assert ack.first(b"contact") is None
    assert ack.first(b"supported") is None
    assert ack.body == b""


def test_over_tcp_a_failure_ends_the_transaction_at_once() -> None:
    bench = Bench()
    request = client_request()
    bench.layer.request(request, TCP_HOP, "user", 0.0)
    assert bench.layer.receive_response(answer(request.data, 500), TCP_HOP, 0.1) == "user"
    assert bench.methods() == [b"INVITE", b"ACK"]
    assert len(bench.layer) == 0


@pytest.mark.parametrize("hop", [UDP_HOP, TCP_HOP])
def test_every_2xx_of_every_fork_is_passed_up_for_64_t1(hop) -> None:
    bench = Bench()
    request = client_request()
    txn = bench.layer.request(request, hop, "user", 0.0)
    for tag in (b"one", b"two", b"one", b"two"):
        assert bench.layer.receive_response(answer(request.data, 200, tag), hop, 1.0) == "user"
    assert bench.methods() == [b"INVITE"]  # the ACKs are the user's
    bench.run(32.9)
    assert txn.state == State.ACCEPTED
    late = answer(request.data, 200, b"three")
    assert bench.layer.receive_response(late, hop, 32.9) == "user"
    bench.run(33.0)
    assert len(bench.layer) == 0
    assert bench.layer.receive_response(late, hop, 33.1) is None
    assert bench.layer.counters["stray_response"] == 1


def test_after_a_2xx_provisional_responses_and_failures_are_absorbed() -> None:
    bench = Bench()
    request = client_request()
    bench.layer.request(request, UDP_HOP, "user", 0.0)
    bench.layer.receive_response(answer(request.data, 200), UDP_HOP, 0.1)
    for status in (100, 180, 486):
        response = answer(request.data, status)
        assert bench.layer.receive_response(response, UDP_HOP, 0.2) is None
    assert bench.layer.counters["unexpected"] == 3
    assert bench.methods() == [b"INVITE"]


def test_after_a_failure_all_else_is_absorbed() -> None:
    bench = Bench()
    request = client_request()
    bench.layer.request(request, UDP_HOP, "user", 0.0)
    bench.layer.receive_response(answer(request.data, 486), UDP_HOP, 0.1)
    for status in (180, 200):
        response = answer(request.data, status)
        assert bench.layer.receive_response(response, UDP_HOP, 0.2) is None


def test_a_transport_error_while_calling_is_passed_up() -> None:
    bench = Bench()
    txn = bench.layer.request(client_request(), UDP_HOP, "user", 0.0)
    assert bench.layer.transport_failed(UDP_HOP, b"Z9HG4BKONE", 0.1) == [
        ("user", TransportLost(txn))
    ]
    assert len(bench.layer) == 0
    bench.run(100.0)
    assert bench.times() == [0.0]


def test_a_transport_error_after_a_provisional_response_changes_nothing() -> None:
    bench = Bench()
    request = client_request()
    txn = bench.layer.request(request, UDP_HOP, "user", 0.0)
    bench.layer.receive_response(answer(request.data, 180), UDP_HOP, 0.1)
    assert bench.layer.transport_failed(UDP_HOP, request.branch, 0.2) == []
    assert txn.state == State.PROCEEDING


def test_an_ack_that_cannot_be_carried_ends_the_transaction_in_silence() -> None:
    bench = Bench()
    request = client_request()
    bench.layer.request(request, UDP_HOP, "user", 0.0)
    bench.layer.receive_response(answer(request.data, 486), UDP_HOP, 0.1)
    assert bench.layer.transport_failed(UDP_HOP, request.branch, 0.2) == []
    assert len(bench.layer) == 0
    assert bench.layer.counters["transport_lost"] == 1


def test_the_request_and_its_user_are_let_go_with_the_failure() -> None:
    bench = Bench()
    request = client_request()
    txn = bench.layer.request(request, UDP_HOP, "user", 0.0)
    bench.layer.receive_response(answer(request.data, 486), UDP_HOP, 0.1)
    assert (txn.request, txn.user) == (None, None)


def test_the_request_is_let_go_with_a_2xx_and_its_user_may_be_replaced() -> None:
    bench = Bench()
    request = client_request()
    txn = bench.layer.request(request, UDP_HOP, "call", 0.0)
    assert bench.layer.receive_response(answer(request.data, 200), UDP_HOP, 0.1) == "call"
    assert (txn.request, txn.data) == (None, b"")
    txn.user = "something small"
    assert (
        bench.layer.receive_response(answer(request.data, 200), UDP_HOP, 0.5) == "something small"
    )
    txn.user = None
    assert bench.layer.receive_response(answer(request.data, 200), UDP_HOP, 0.5) is None


def test_a_branch_in_use_and_an_ack_are_refused() -> None:
    bench = Bench()
    bench.layer.request(client_request(), UDP_HOP, "user", 0.0)
    with pytest.raises(LocalProtocolError):
        bench.layer.request(client_request(), UDP_HOP, "user", 0.0)
    with pytest.raises(LocalProtocolError):
        bench.layer.request(client_request(b"ACK", b"z9hG4bKtwo"), UDP_HOP, "user", 0.0)


@pytest.mark.parametrize("method", [b"INVITE", b"BYE"])
def test_with_a_tick_of_20_ms_it_is_given_up_no_earlier_and_little_later(method) -> None:
    bench = Bench()
    bench.layer.request(client_request(method), UDP_HOP, "user", 0.013)
    for tick in range(1, 1700):
        bench.now = tick * 0.02
        bench.tick()
    ((gave_up, _, _),) = bench.heard
    assert 32.0 <= gave_up - 0.013 <= 32.25
    assert len(bench.layer) == 0
