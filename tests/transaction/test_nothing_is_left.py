"""Nothing of an ended call stays: no transaction, no live timer, no object, without a collector."""

from __future__ import annotations

import gc
import weakref
from enum import IntEnum

import pytest

from sbc.transaction.hop import Hop
from sbc.transaction.layer import Cancel, New
from sbc.transaction.machine import Transaction
from sbc.transaction.timers import Cell
from tests.support.census import Census
from tests.transaction.build import UDP_HOP, Bench, answer, client_request, theirs

INSIDE = Hop("inside", 1, b"UDP", "10.0.0.20", 5060)


class CallTimer(IntEnum):
    NO_ANSWER = 1
    RING = 2


class Call:
    """What hangs on the transactions, with a cycle through them as a real call has."""

    def __init__(self) -> None:
        self.parts: list[object] = []


def place(bench: Bench, number: int, *, succeeds: bool) -> Call:
    """One short call: INVITE in and out, answered or refused; BYE in and out."""
    layer, now = bench.layer, bench.now
    call = Call()
    cell = Cell(call)
    layer.arm_user(cell, CallTimer.RING, 10.0, now)
    entry = layer.arm_long(call, CallTimer.NO_ANSWER, 180.0, now)
    received = layer.receive_request(theirs(branch=b"z9hG4bKin%d" % number), INSIDE, now)
    assert isinstance(received, New)
    server = received.transaction
    server.user = call
    invite = client_request(branch=b"z9hG4bKout%d" % number)
    client = layer.request(invite, UDP_HOP, call, now)
    call.parts += [cell, entry, server, client]
    layer.receive_response(answer(invite.data, 100), UDP_HOP, now)
    bench.respond(server, 180)
    status = 200 if succeeds else 486
    assert layer.receive_response(answer(invite.data, status), UDP_HOP, now) is call
    bench.respond(server, status)
    entry.cancel()
    if succeeds:
        received = layer.receive_request(theirs(b"BYE", b"z9hG4bKbye%d" % number), INSIDE, now)
        assert isinstance(received, New)
        received.transaction.user = call
        bench.respond(received.transaction, 200)
        bye = client_request(b"BYE", b"z9hG4bKby%d" % number)
        layer.request(bye, UDP_HOP, call, now)
        layer.receive_response(answer(bye.data, 200), UDP_HOP, now)
    cell.owner = None
    return call


@pytest.fixture
def without_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.slow
def test_10_000_short_calls_leave_nothing(without_collector) -> None:
    bench = Bench()
    calls: list[weakref.ref] = []
    transactions = Census(Transaction)
    for number in range(10_000):
        bench.now = number / 1000
        bench.tick()
        calls.append(weakref.ref(place(bench, number, succeeds=number % 4 != 0)))
        bench.sent.clear()
    assert len(bench.layer) > 20_000
    bench.heard.clear()
    bench.run(10.0 + 32.0)
    assert len(bench.layer) == 0
    assert sum(ref() is not None for ref in calls) == 0
    assert len(bench.layer.wheel) == 0
    bench.run(10.0 + 32.0 + 4.0)  # the last timer G may hold what is left of a refused INVITE
    assert len(transactions.born()) == 0
    bench.run(10.0 + 64.0)
    assert len(bench.layer.timers) == 0


def test_a_refused_call_is_free_at_once_while_its_transactions_linger(without_collector) -> None:
    bench = Bench()
    call = place(bench, 1, succeeds=False)
    gone = weakref.ref(call)
    call.parts.clear()
    del call
    assert len(bench.layer) == 2
    assert gone() is None


def test_an_accepted_call_is_free_once_its_users_are_cleared(without_collector) -> None:
    bench = Bench()
    call = place(bench, 1, succeeds=True)
    gone = weakref.ref(call)
    for part in call.parts[2:4]:
        part.user = None
    call.parts.clear()
    del call, part
    assert len(bench.layer) == 4
    assert gone() is None


def test_timed_out_lost_and_cancelled_transactions_are_unlinked(without_collector) -> None:
    bench = Bench()
    transactions = Census(Transaction)
    users = []
    for number, lose in enumerate((False, True)):
        request = client_request(branch=b"z9hG4bK%d" % number)
        txn = bench.layer.request(request, UDP_HOP, Call(), bench.now)
        users.append(weakref.ref(txn.user))
        if lose:
            bench.layer.transport_failed(UDP_HOP, request.branch, bench.now)
        del txn, request
    received = bench.layer.receive_request(theirs(b"CANCEL"), UDP_HOP, 0.0)
    assert isinstance(received, Cancel)
    del received
    assert len(transactions.born()) == 3
    bench.run(40.0)
    bench.heard.clear()
    assert [ref() for ref in users if ref() is not None] == []
    assert len(transactions.born()) == 0
    assert len(bench.layer) == 0
