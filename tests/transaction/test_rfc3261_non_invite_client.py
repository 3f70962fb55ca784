"""Non-INVITE client transaction: RFC 3261 §17.1.2."""

from __future__ import annotations

import pytest

from sbc.transaction.events import State
from sbc.transaction.layer import TimedOut, TransportLost
from tests.transaction.build import TCP_HOP, UDP_HOP, Bench, answer, client_request


def test_over_udp_it_is_repeated_at_intervals_up_to_t2_and_given_up_at_32_s() -> None:
    bench = Bench()
    request = client_request(b"BYE")
    txn = bench.layer.request(request, UDP_HOP, "user", 0.0)
    bench.run(100.0)
    assert bench.times() == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert {data for _, _, data in bench.sent} == {request.data}
    assert bench.heard == [(32.0, "user", TimedOut(txn))]
    assert len(bench.layer) == 0


def test_over_tcp_it_is_sent_once_and_given_up_at_32_s() -> None:
    bench = Bench()
    bench.layer.request(client_request(b"BYE"), TCP_HOP, "user", 0.0)
    bench.run(100.0)
    assert bench.times() == [0.0]
    assert [time for time, _, _ in bench.heard] == [32.0]


def test_after_a_provisional_response_it_is_repeated_every_t2_until_32_s() -> None:
    bench = Bench()
    request = client_request(b"BYE")
    bench.layer.request(request, UDP_HOP, "user", 0.0)
    bench.run(0.6)
    assert bench.layer.receive_response(answer(request.data, 100), UDP_HOP, 0.6) == "user"
    bench.run(100.0)
    assert bench.times() == [0, 0.5, 1.5, 5.5, 9.5, 13.5, 17.5, 21.5, 25.5, 29.5]
    assert [time for time, _, _ in bench.heard] == [32.0]


@pytest.mark.parametrize("status", [200, 302, 481, 503, 603])
def test_the_final_response_is_passed_up_once_and_its_repetitions_absorbed(status) -> None:
    bench = Bench()
    request = client_request(b"BYE")
    txn = bench.layer.request(request, UDP_HOP, "user", 0.0)
    response = answer(request.data, status)
    assert bench.layer.receive_response(response, UDP_HOP, 1.0) == "user"
    assert bench.layer.receive_response(response, UDP_HOP, 2.0) is None
    assert (txn.state, txn.request, txn.user) == (State.COMPLETED, None, None)
    bench.run(5.9)
    assert len(bench.layer) == 1
    bench.run(6.0)  # timer K: T4
    assert len(bench.layer) == 0
    assert bench.heard == []
    assert bench.layer.counters["unexpected"] == 0


def test_over_tcp_the_final_response_ends_it_at_once() -> None:
    bench = Bench()
    request = client_request(b"BYE")
    bench.layer.request(request, TCP_HOP, "user", 0.0)
    assert bench.layer.receive_response(answer(request.data, 200), TCP_HOP, 1.0) == "user"
    assert len(bench.layer) == 0


def test_provisional_responses_in_proceeding_are_passed_up_and_after_the_end_absorbed() -> None:
    bench = Bench()
    request = client_request(b"BYE")
    bench.layer.request(request, UDP_HOP, "user", 0.0)
    trying = answer(request.data, 100)
    assert bench.layer.receive_response(trying, UDP_HOP, 0.1) == "user"
    assert bench.layer.receive_response(trying, UDP_HOP, 0.2) == "user"
    assert bench.layer.receive_response(answer(request.data, 200), UDP_HOP, 0.3) == "user"
    assert bench.layer.receive_response(trying, UDP_HOP, 0.4) is None
    assert bench.layer.counters["unexpected"] == 1


@pytest.mark.parametrize("provisional", [False, True])
def test_a_transport_error_is_passed_up(provisional) -> None:
    bench = Bench()
    request = client_request(b"BYE")
    txn = bench.layer.request(request, UDP_HOP, "user", 0.0)
    if provisional:
        bench.layer.receive_response(answer(request.data, 100), UDP_HOP, 0.1)
    heard = bench.layer.transport_failed(UDP_HOP, request.branch, 0.2)
    assert heard == [("user", TransportLost(txn))]
    assert len(bench.layer) == 0


def test_without_a_user_nobody_hears() -> None:
    bench = Bench()
    request = client_request(b"BYE")
    bench.layer.request(request, UDP_HOP, None, 0.0)
    bench.run(40.0)
    assert bench.heard == []
    assert bench.layer.counters["timed_out"] == 1
