"""The layer's own promises: user timers, notices, and who hears what."""

from __future__ import annotations

from enum import IntEnum

from sbc.transaction.layer import TimedOut
from sbc.transaction.timers import Cell
from tests.transaction.build import TCP_HOP, UDP_HOP, Bench, client_request, theirs


class Mine(IntEnum):
    SOON = 1  # the number of Timer.A: only the type tells them apart
    LATER = 2


def test_user_timers_come_back_with_their_owners() -> None:
    bench = Bench()
    bench.layer.arm_user(Cell("soon"), Mine.SOON, 0.5, 0.0)
    entry = bench.layer.arm_long("later", Mine.LATER, 100.0, 0.0)
    bench.layer.arm_long("never", Mine.LATER, 100.0, 0.0).cancel()
    bench.run(200.0)
    assert bench.heard == [(0.5, "soon", Mine.SOON), (100.5, "later", Mine.LATER)]
    assert entry.owner is None


def test_the_timer_of_a_user_that_has_ended_is_not_heard_of() -> None:
    bench = Bench()
    cell = Cell("ended")
    bench.layer.arm_user(cell, Mine.SOON, 0.5, 0.0)
    cell.owner = None
    bench.run(1.0)
    assert bench.heard == []


def test_transactions_and_users_share_a_tick() -> None:
    bench = Bench()
    bench.layer.arm_user(Cell("mine"), Mine.SOON, 32.0, 0.0)
    txn = bench.layer.request(client_request(), TCP_HOP, "user", 0.0)
    bench.now = 40.0  # a stalled loop: all at once, in any order
    bench.tick()
    assert len(bench.heard) == 2
    assert (40.0, "mine", Mine.SOON) in bench.heard
    assert (40.0, "user", TimedOut(txn)) in bench.heard
    assert len(bench.layer) == 0


def test_with_nothing_armed_nothing_is_due() -> None:
    bench = Bench()
    assert bench.layer.next_due() is None
    bench.layer.arm_long("later", Mine.LATER, 100.0, 0.0)
    assert bench.layer.next_due() == 100.5
    bench.layer.arm_user(Cell("soon"), Mine.SOON, 0.5, 0.0)
    assert bench.layer.next_due() == 0.5


def test_what_belongs_to_a_live_transaction_is_known() -> None:
    bench = Bench()
    assert not bench.layer.knows(theirs(), UDP_HOP)
    bench.respond(bench.receive(theirs()), 486)
    assert bench.layer.knows(theirs(), UDP_HOP)
    assert bench.layer.knows(theirs(b"ACK"), UDP_HOP)
    assert not bench.layer.knows(theirs(b"CANCEL"), UDP_HOP)
    bench.run(40.0)
    assert not bench.layer.knows(theirs(), UDP_HOP)
