"""Our 2xx is repeated until its ACK: RFC 3261 §13.3.1.4."""

from __future__ import annotations

import gc
import weakref

import pytest

from sbc.dialog.final_response import AcceptedInvite, AcceptTimer
from tests.support.census import Census
from tests.transaction.build import TCP_HOP, UDP_HOP, Bench, theirs


class User:
    pass


def drive(bench: Bench, until: float) -> list[tuple[float, object]]:
    """Let time pass; return who was told when that no ACK came."""
    told = []
    while (due := bench.layer.next_due()) is not None and due <= until:
        bench.now = due
        for owner, notice in bench.layer.tick(due):
            assert isinstance(owner, AcceptedInvite)
            assert isinstance(notice, AcceptTimer)
            user = owner.handle(notice, due)
            if user is not None:
                told.append((due, user))
    bench.now = until
    return told


@pytest.mark.parametrize("hop", [UDP_HOP, TCP_HOP])
def test_it_is_repeated_at_intervals_up_to_t2_on_every_transport_and_given_up_at_64_t1(hop) -> None:
    bench = Bench()
    txn = bench.receive(theirs(), hop)
    data = bench.respond(txn, 200)
    accepted = AcceptedInvite(bench.layer, hop, data, 1, "user", 0.0)
    assert drive(bench, 100.0) == [(32.0, "user")]
    assert bench.times() == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert {sent for _, _, sent in bench.sent} == {data}
    assert not accepted.waiting
    assert len(bench.layer) == 0


def test_the_ack_ends_it() -> None:
    bench = Bench()
    accepted = AcceptedInvite(bench.layer, UDP_HOP, b"2xx", 1, "user", 0.0)
    assert drive(bench, 2.0) == []
    assert accepted.waiting
    accepted.acked()
    accepted.acked()
    assert drive(bench, 100.0) == []
    assert bench.times() == [0.5, 1.5]


def test_a_timer_that_was_already_taken_out_does_nothing() -> None:
    bench = Bench()
    accepted = AcceptedInvite(bench.layer, UDP_HOP, b"2xx", 1, "user", 0.0)
    accepted.acked()
    for timer in AcceptTimer:
        assert accepted.handle(timer, 0.5) is None
    assert bench.sent == []


def test_once_acknowledged_it_holds_neither_user_nor_bytes() -> None:
    bench = Bench()
    user = User()
    gone = weakref.ref(user)
    held = Census(AcceptedInvite)
    accepted = AcceptedInvite(bench.layer, UDP_HOP, b"2xx", 1, user, 0.0)
    assert len(held.born()) == 1
    gc.disable()
    try:
        accepted.acked()
        del user
        assert gone() is None
        assert accepted.data == b""
        del accepted
        assert len(held.born()) == 0
    finally:
        gc.enable()
