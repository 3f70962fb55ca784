"""CANCEL from both sides: RFC 3261 §9."""

from __future__ import annotations

import pytest

from sbc.transaction.events import State
from sbc.transaction.layer import Cancel, New, TimedOut
from tests.transaction.build import (
    TCP_HOP,
    UDP_HOP,
    Bench,
    a_request,
    answer,
    client_request,
    theirs,
)


def test_cancel_waits_for_the_first_provisional_response() -> None:
    bench = Bench()
    request = client_request()
    txn = bench.layer.request(request, UDP_HOP, "user", 0.0)
    bench.layer.cancel(txn, 0.1)
    bench.run(0.4)
    assert bench.methods() == [b"INVITE"]
    assert bench.layer.receive_response(answer(request.data, 100), UDP_HOP, 0.4) == "user"
    assert bench.methods() == [b"INVITE", b"CANCEL"]
    bench.layer.receive_response(answer(request.data, 180), UDP_HOP, 0.5)
    assert bench.methods() == [b"INVITE", b"CANCEL"]


def test_cancel_leaves_at_once_in_proceeding_and_only_once() -> None:
    bench = Bench()
    request = client_request()
    txn = bench.layer.request(request, UDP_HOP, "user", 0.0)
    bench.layer.receive_response(answer(request.data, 180), UDP_HOP, 0.1)
    bench.layer.cancel(txn, 0.2, b'Reason: SIP;cause=200;text="Call completed elsewhere"\r\n')
    bench.layer.cancel(txn, 0.3)
    assert bench.methods() == [b"INVITE", b"CANCEL"]
    cancel = a_request(bench.sent[1][2])
    assert cancel.first(b"reason") == b'SIP;cause=200;text="Call completed elsewhere"'


def test_cancel_is_its_invite_with_another_method() -> None:
    request = client_request()
    invite, cancel = a_request(request.data), a_request(request.cancel().data)
    for name in (b"via", b"from", b"to", b"call-id", b"route", b"max-forwards"):
        assert cancel.every(name) == invite.every(name)
    assert (cancel.uri, cancel.cseq, cancel.cseq_method) == (invite.uri, invite.cseq, b"CANCEL")
    assert cancel.first(b"contact") is None


def test_the_response_to_cancel_is_nobodys_and_the_487_is_the_invites() -> None:
    bench = Bench()
    request = client_request()
    txn = bench.layer.request(request, UDP_HOP, "user", 0.0)
    bench.layer.receive_response(answer(request.data, 180), UDP_HOP, 0.1)
    bench.layer.cancel(txn, 0.2)
    ok = answer(bench.sent[1][2], 200)
    assert bench.layer.receive_response(ok, UDP_HOP, 0.3) is None
    assert bench.layer.counters["stray_response"] == 0
    assert bench.layer.receive_response(answer(request.data, 487), UDP_HOP, 0.4) == "user"
    assert bench.methods() == [b"INVITE", b"CANCEL", b"ACK"]
    bench.run(40.0)
    assert len(bench.layer) == 0
    assert bench.heard == []


def test_a_cancelled_invite_without_final_response_is_given_up_64_t1_later() -> None:
    bench = Bench()
    request = client_request()
    txn = bench.layer.request(request, UDP_HOP, "user", 0.0)
    bench.layer.receive_response(answer(request.data, 180), UDP_HOP, 0.1)
    bench.run(20.0)
    bench.layer.cancel(txn, 20.0)
    bench.layer.receive_response(answer(bench.sent[-1][2], 200), UDP_HOP, 20.1)
    bench.run(100.0)
    assert bench.heard == [(52.0, "user", TimedOut(txn))]
    assert len(bench.layer) == 0


def test_an_invite_that_is_never_answered_is_never_cancelled() -> None:
    bench = Bench()
    txn = bench.layer.request(client_request(), UDP_HOP, "user", 0.0)
    bench.layer.cancel(txn, 0.1)
    bench.run(100.0)
    assert set(bench.methods()) == {b"INVITE"}
    assert [time for time, _, _ in bench.heard] == [32.0]


@pytest.mark.parametrize("status", [200, 486])
def test_after_a_final_response_cancel_comes_too_late(status) -> None:
    bench = Bench()
    request = client_request()
    txn = bench.layer.request(request, UDP_HOP, "user", 0.0)
    bench.layer.receive_response(answer(request.data, status), UDP_HOP, 0.1)
    bench.layer.cancel(txn, 0.2)
    bench.run(50.0)
    bench.layer.cancel(txn, 50.0)
    assert b"CANCEL" not in bench.methods()
    assert bench.layer.counters["unexpected"] == 0


def test_a_final_response_may_cross_the_wish_to_cancel() -> None:
    bench = Bench()
    request = client_request()
    txn = bench.layer.request(request, UDP_HOP, "user", 0.0)
    bench.layer.cancel(txn, 0.1)
    assert bench.layer.receive_response(answer(request.data, 200), UDP_HOP, 0.2) == "user"
    assert bench.methods() == [b"INVITE"]
    assert txn.state == State.ACCEPTED


def test_only_an_invite_is_cancelled() -> None:
    bench = Bench()
    txn = bench.layer.request(client_request(b"OPTIONS"), UDP_HOP, "user", 0.0)
    bench.layer.cancel(txn, 0.1)
    assert bench.methods() == [b"OPTIONS"]


def test_a_transport_error_reaches_the_cancel_too() -> None:
    bench = Bench()
    request = client_request()
    txn = bench.layer.request(request, UDP_HOP, "user", 0.0)
    bench.layer.receive_response(answer(request.data, 180), UDP_HOP, 0.1)
    bench.layer.cancel(txn, 0.2)
    assert len(bench.layer) == 2
    assert bench.layer.transport_failed(UDP_HOP, request.branch, 0.3) == []
    assert len(bench.layer) == 1


def test_a_cancel_of_theirs_finds_its_invite_by_branch_and_has_a_transaction_of_its_own() -> None:
    bench = Bench()
    invite = bench.receive(theirs())
    received = bench.layer.receive_request(theirs(b"CANCEL"), UDP_HOP, 0.1)
    assert isinstance(received, Cancel)
    assert received.of is invite
    assert received.transaction is not invite
    bench.respond(received.transaction, 200)
    bench.respond(invite, 487)
    bench.layer.receive_request(theirs(b"CANCEL"), UDP_HOP, 0.2)
    assert bench.statuses() == [200, 487, 200]


def test_a_cancel_after_the_answer_still_finds_its_invite() -> None:
    bench = Bench()
    invite = bench.receive(theirs())
    bench.respond(invite, 200)
    received = bench.layer.receive_request(theirs(b"CANCEL"), UDP_HOP, 0.1)
    assert isinstance(received, Cancel)
    assert received.of is invite


@pytest.mark.parametrize(
    "cancel",
    [
        theirs(b"CANCEL", b"z9hG4bKother"),
        theirs(b"CANCEL", via=b"SIP/2.0/UDP 192.0.2.21;branch=z9hG4bKtheirs"),
    ],
)
def test_a_cancel_of_nothing_says_so(cancel) -> None:
    bench = Bench()
    bench.receive(theirs())
    received = bench.layer.receive_request(cancel, UDP_HOP, 0.1)
    assert isinstance(received, Cancel)
    assert received.of is None


def test_a_cancel_means_an_invite_and_nothing_else() -> None:
    bench = Bench()
    bench.receive(theirs(b"OPTIONS"))
    received = bench.layer.receive_request(theirs(b"CANCEL"), UDP_HOP, 0.1)
    assert isinstance(received, Cancel)
    assert received.of is None


def test_over_tcp_the_cancel_goes_the_same_way() -> None:
    bench = Bench()
    request = client_request()
    txn = bench.layer.request(request, TCP_HOP, "user", 0.0)
    bench.layer.receive_response(answer(request.data, 180), TCP_HOP, 0.1)
    bench.layer.cancel(txn, 0.2)
    assert [hop for _, hop, _ in bench.sent] == [TCP_HOP, TCP_HOP]


def test_new_is_what_is_not_a_cancel() -> None:
    bench = Bench()
    assert isinstance(bench.layer.receive_request(theirs(b"BYE"), UDP_HOP, 0.0), New)
