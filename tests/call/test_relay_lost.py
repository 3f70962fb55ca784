"""The relay at its worst: answers that never come, come late, or of another call's life."""

from __future__ import annotations

from collections import deque

from policies.settings import LimitSettings
from relay.control.messages import CallStats
from sbc.call.cdr import Cause
from sbc.sip.message import Request
from tests.call.lab import BACKUP, CARRIER, PBX, SDP_B, Lab, settings, statuses


def test_figures_that_never_come_leave_no_plan() -> None:
    lab = Lab()
    success, _ = lab.connected()
    lab.give(lab.in_dialog(b"BYE", success, 2))
    lab.removed.clear()
    lab.wait(3.0)
    assert lab.record.media_complete is False
    assert (lab.border.calls, lab.border.core.plans) == ({}, {})


def test_a_worker_that_dies_before_it_tells_its_figures_holds_no_record_up() -> None:
    lab = Lab()
    success, _ = lab.connected()
    lab.give(lab.in_dialog(b"BYE", success, 2))
    lab.border.relay_down(0, lab.now)
    lab.border.flush()
    assert lab.record.cause is Cause.NORMAL
    assert (lab.border.calls, lab.border.core.plans) == ({}, {})


def test_what_is_said_of_a_plan_that_was_left_for_another_realm_does_not_matter() -> None:
    lab = Lab(settings({"backup": {"realm": "inside"}}))
    invite = lab.called()
    lab.answer(invite, 183, body=SDP_B)
    left = lab.plans[-1][1].call
    lab.answer(invite, 503)
    assert lab.take_one(BACKUP[0]).method == b"INVITE"
    lab.take()
    lab.border.relay_refused(left, "late", lab.now)
    lab.border.relay_removed(left, CallStats(left, 1, []), lab.now)
    lab.border.flush()
    assert len(lab.border.calls) == 1
    assert lab.take() == []


def test_a_lease_of_a_dead_worker_is_not_given_to_its_successor() -> None:
    lab = Lab()
    for number in range(100):  # more than are ended at once
        lab.called(call=f"call-{number}")
        lab.lease()
    lab.border.relay_down(0, lab.now)
    lab.border.relay_up(0)
    lab.lease()
    in_hand = lab.border.core.leases.in_hand()
    lab.wait(1.0)
    assert lab.border.core.leases.in_hand() == in_hand
    assert lab.border.core.leases._calls == {0: 0}


def test_many_calls_are_ended_a_slice_at_a_time() -> None:
    lab = Lab(settings({"carrier": {"limits": LimitSettings()}}))
    for number in range(100):
        lab.connected(call=f"call-{number}")
        lab.lease()
    lab.border.relay_down(0, lab.now)
    at_once = len(lab.take(PBX[0]))
    assert 0 < at_once < 50
    assert lab.border.busy
    lab.give(lab.invite(call="other"))
    assert 503 in statuses(lab.take(PBX[0]))
    lab.wait(0.2)
    assert not lab.border.busy
    byes = [one for one in lab.take(CARRIER[0]) if isinstance(one, Request)]
    assert len({one.call_id for one in byes}) == 100
    assert len(lab.border.core.records) == 101


def test_a_stop_without_time_left_records_every_call_once() -> None:
    lab = Lab()
    for number in range(40):
        lab.connected(call=f"call-{number}")
    lab.called(call="rings")
    lab.border.finish(lab.now)
    lab.border.flush()
    assert len({one.call_id_a for one in lab.border.core.records}) == 41
    assert len(lab.border.core.records) == 41


def test_a_worker_that_drains_gets_no_new_call() -> None:
    """What it would refuse with the answer is better refused, or placed elsewhere, before."""
    lab = Lab(workers=2)
    first = lab.called(call="rings")
    lab.border.relay_draining(0)
    for number in range(5):
        lab.connected(call=f"call-{number}")
        lab.lease()
    assert {slot for slot, _ in lab.plans} == {1}
    lab.answer(first, 486)  # its ports came of the one that drains
    lab.border.relay_replenished(0, "inside")
    lab.lease()
    assert lab.border.core.leases._stocks[0]["inside"].ports == deque()
    lab.border.relay_draining(1)
    lab.take()
    lab.give(lab.invite(call="last"))
    assert 503 in statuses(lab.take(PBX[0]))


def test_the_ports_of_a_plan_that_is_refused_are_given_back() -> None:
    """The worker has not taken them: without this they would stay leased until it ends."""
    lab = Lab()
    lab.connected()
    ((slot, plan),) = lab.plans
    lab.border.relay_refused(plan.call, "refused: PORT_IN_USE", lab.now)
    (stream,) = plan.streams
    assert (slot, sorted(lab.given_back)) == (
        0,
        sorted([(stream.a.address, stream.a.port), (stream.b.address, stream.b.port)]),
    )
