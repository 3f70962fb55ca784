"""Calls leave nothing behind, without any help of a garbage collector."""

from __future__ import annotations

import gc
import weakref

import pytest

from tests.call.lab import CARRIER, PBX, SDP_B, Lab

CALLS = 2_000


@pytest.mark.slow
def test_ended_calls_are_freed_by_reference_count_alone() -> None:
    lab = Lab()
    calls: list[weakref.ref[object]] = []
    gc.collect()
    gc.disable()
    try:
        for number in range(CALLS):
            invite = lab.called(call=f"call-{number}")
            call = next(reversed(lab.border.calls.values()))
            calls.append(weakref.ref(call))
            del call
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
        assert sum(ref() is not None for ref in calls) == 0
    finally:
        gc.enable()
    lab.assert_nothing_left()
