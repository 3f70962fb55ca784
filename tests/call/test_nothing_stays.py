"""Calls leave nothing behind, without any help of a garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest

from sbc.call.call import Call
from sbc.sip.message import Request
from tests.call.lab import CARRIER, PBX, SDP_A, SDP_B, Lab, settings, sides
from tests.support.census import Census

CALLS = 2_000


@pytest.mark.slow
def test_ended_calls_are_freed_by_reference_count_alone() -> None:
    lab = Lab()
    calls = Census(Call)
    gc.disable()
    try:
        for number in range(CALLS):
            invite = lab.called(call=f"call-{number}")
            assert lab.border.calls
            how = number % 3
            if how == 0:
                lab.answer(invite, 486)
            else:
                lab.answer(invite, 200, body=SDP_B)
                success = lab.take(PBX[0])[-1]
                if how == 1:
                    lab.give(lab.in_dialog(b"ACK", success, 1))
                lab.give(lab.in_dialog(b"BYE", success, 2))
            for one in lab.take(CARRIER[0]):
                if getattr(one, "method", b"") == b"BYE":
                    lab.answer(one, 200)
            lab.take()
            lab.plans.clear()
            lab.answer_removals()
            lab.border.core.records.clear()
            lab.now += 0.01
            lab.border.tick(lab.now)
            lab.sent.clear()
        assert lab.border.calls == {}
        lab.wait(70.0, step_s=0.5)
        lab.sent.clear()
        assert len(calls.born()) == 0
    finally:
        gc.enable()
    lab.assert_nothing_left()


def _changed(lab: Lab, number: int) -> None:
    """A call that is changed, refused a change, refreshed and pinged, then hung up, by turns."""
    a, b = sides(lab, call=f"call-{number}")
    for direction in (b"sendonly", b"inactive"):
        a.ask(b"INVITE", SDP_A.replace(b"sendrecv", direction).replace(b"1 1", b"1 %d" % a.cseq))
        request = b.hears()
        b.answer(request, 200 if number % 2 else 488, SDP_B if number % 2 else b"")
        lab.take()
        a.ack()
    lab.wait(100.0, step_s=5.0)
    for side in (a, b):
        for one in lab.take(side.address[0]):
            if isinstance(one, Request) and one.method in (b"OPTIONS", b"INVITE"):
                side.answer(one, 200, SDP_B if one.method == b"INVITE" else b"")
    if number % 3:  # else it ends in the middle of another change
        b.ask(b"BYE")
    else:
        a.ask(b"INVITE")
        a.ask(b"BYE")


def _early(lab: Lab, number: int) -> None:
    """A call with 100rel, without an offer, on which the caller gives up or not."""
    invite = lab.called(call=f"call-{number}", body=b"", extra=b"Supported: 100rel\r\n")
    lab.answer(invite, 183, body=SDP_B, extra=b"Require: 100rel\r\nRSeq: 1\r\n")
    ringing = lab.take_one(PBX[0])
    if number % 3:
        rack = b"RAck: %b 1 INVITE\r\n" % (ringing.first(b"rseq") or b"")
        lab.give(lab.in_dialog(b"PRACK", ringing, 2, body=SDP_A, extra=rack))
        for one in lab.take(CARRIER[0]):
            lab.answer(one, 200)  # type: ignore[arg-type]
    if number % 2:
        lab.answer(invite, 200)
    lab.give(lab.in_dialog(b"BYE", ringing, 3))


@pytest.mark.parametrize("flow", [_changed, _early])
def test_no_flow_leaves_anything(flow: Callable[[Lab, int], None]) -> None:
    lab = Lab(settings({"carrier": {"ping_s": 60.0, "max_duration_s": 900.0}}))
    calls = Census(Call)
    gc.disable()
    try:
        for number in range(12):
            flow(lab, number)
            lab.sent.clear()
        lab.plans.clear()
        lab.wait(100.0, step_s=0.5)
        lab.answer_removals()
        lab.wait(100.0, step_s=0.5)
        lab.sent.clear()
        assert lab.border.calls == {}
        assert len(calls.born()) == 0
    finally:
        gc.enable()
    lab.assert_nothing_left()
