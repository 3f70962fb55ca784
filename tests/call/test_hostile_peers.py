"""What a peer can send to make a call hang, leak, or end another; and our own faults."""

from __future__ import annotations

from typing import Any

import pytest

from sbc.call.cdr import Cause
from sbc.call.legs.a_leg import ALeg
from sbc.call.legs.leg import Leg
from sbc.sip.message import Request
from tests.call.lab import BACKUP, CARRIER, PBX, SDP_A, SDP_B, Lab, statuses


def cancel(lab: Lab, invite: bytes) -> None:
    head, _, _ = invite.partition(b"\r\nContact:")
    head = head.replace(b"INVITE sip:", b"CANCEL sip:").replace(b"1 INVITE", b"1 CANCEL")
    lab.give(head + b"\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n")


ROUTES = (b"Record-Route: <tel:123>\r\n", b"Record-Route: garbage<<\r\n", b"Record-Route: ,<\r\n")


class TestRoutesThatCannotBeRead:
    """RFC 3261 §12.1: what a dialog's requests would need is looked at before it is made."""

    @pytest.mark.parametrize("line", ROUTES)
    def test_of_the_caller_are_400(self, line: bytes) -> None:
        lab = Lab()
        lab.give(lab.invite(extra=line))
        assert statuses(lab.take(PBX[0])) == [400]
        assert lab.record.cause is Cause.BAD_REQUEST
        assert lab.border.core.counters["crashed"] == 0
        lab.assert_nothing_left()

    @pytest.mark.parametrize("line", ROUTES[:2])
    def test_of_the_target_leave_it(self, line: bytes) -> None:
        lab = Lab()
        lab.answer(lab.called(), 200, body=SDP_B, extra=line)
        assert lab.take_one(BACKUP[0]).method == b"INVITE"
        assert lab.border.core.counters["crashed"] == 0
        lab.assert_nothing_left()

    def test_a_contact_in_a_re_invite_is_400(self) -> None:
        lab = Lab()
        success, _ = lab.connected()
        again = lab.in_dialog(b"INVITE", success, 2, body=SDP_A)
        lab.give(again.replace(b"Contact: <sip:", b"Contact: <<sip:"))
        assert statuses(lab.take(PBX[0])) == [400]
        assert len(lab.border.calls) == 1


def test_the_records_clock_outlives_the_targets_last_word() -> None:
    """The 487 of a call that was given up must not stop the wait for the relay's figures."""
    lab = Lab()
    request = lab.invite()
    lab.give(request)
    lab.take(PBX[0])
    invite = lab.take_one(CARRIER[0])
    lab.answer(invite, 183, body=SDP_B)
    cancel(lab, request)
    lab.answer(invite, 487)
    lab.removed.clear()  # the worker never tells
    lab.wait(5.0)
    assert lab.record.cause is Cause.CANCELLED
    assert lab.border.calls == {}


def test_a_bye_to_a_fork_that_lost_does_not_end_the_one_that_won() -> None:
    """RFC 3261 §13.2.2.4: the other early dialogs are over with the 2xx."""
    lab = Lab()
    invite = lab.called()
    lab.answer(invite, 180, tag="fork-1")
    lost = lab.take_one(PBX[0])
    lab.answer(invite, 200, tag="fork-2", body=SDP_B)
    lab.take(CARRIER[0])
    success = lab.take_one(PBX[0])
    lab.give(lab.in_dialog(b"ACK", success, 1))
    lab.give(lab.in_dialog(b"BYE", lost, 2))
    assert statuses(lab.take(PBX[0])) == [481]
    assert lab.take(CARRIER[0]) == []
    lab.give(lab.in_dialog(b"BYE", success, 3))
    assert lab.take_one(CARRIER[0]).method == b"BYE"


@pytest.mark.interpreted
class TestOurOwnFaults:
    """The one boundary: a fault ends one call, which leaves a record and nothing else."""

    def fail(self, *_: Any, **__: Any) -> None:
        raise RuntimeError("a fault of ours")

    def check(self, lab: Lab) -> None:
        lab.answer_removals()
        assert lab.record.cause is Cause.CRASHED
        lab.take()
        lab.assert_nothing_left()
        assert lab.border.core.counters["crashed"] == 1
        assert lab.border.core.leases._calls == {0: 0}

    def test_while_the_first_target_is_tried(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sbc.call.targets.hunt.ways_to", self.fail)
        lab = Lab()
        lab.give(lab.invite())
        assert statuses(lab.take(PBX[0])) == [100, 500]
        self.check(lab)

    def test_before_there_is_a_call(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sbc.call.border.facts_of", self.fail)
        lab = Lab()
        lab.give(lab.invite())
        assert statuses(lab.take(PBX[0])) == [500]
        lab.wait(40.0)
        lab.assert_nothing_left()

    def test_while_the_caller_is_answered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        lab = Lab()
        invite = lab.called()
        monkeypatch.setattr(ALeg, "redirect", self.fail)
        lab.answer(invite, 200, body=SDP_B)
        assert statuses(lab.take(PBX[0])) == [500]
        assert b"BYE" in {one.method for one in lab.take(CARRIER[0]) if isinstance(one, Request)}
        self.check(lab)

    def test_while_both_sides_are_told_of_the_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        lab = Lab()
        lab.connected()
        real, seen = Leg.bye, []

        def bye(leg: Leg, now: float, reason: bytes = b"") -> None:
            seen.append(leg.side)
            if leg.side == "a":
                raise RuntimeError("a fault of ours")
            real(leg, now, reason)

        monkeypatch.setattr(Leg, "bye", bye)
        call = next(iter(lab.border.calls))
        lab.border.hangup(call, lab.now)
        assert lab.take_one(CARRIER[0]).method == b"BYE"
        lab.answer_removals()
        assert lab.record.cause is Cause.OPERATOR
        lab.assert_nothing_left()

    @pytest.mark.parametrize("name", ["parse", "ReplyBase"])
    def test_while_a_message_is_read_or_refused(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lab = Lab()
        monkeypatch.setattr(f"sbc.call.border.{name}", self.fail)
        lab.give(lab.invite().replace(b"CSeq: 1", b"CSeq: x"))
        assert lab.border.core.counters["crashed"] == 1

    def test_another_call_of_the_same_call_id_is_not_taken_for_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lab = Lab()
        lab.connected(call="one")
        lab.connected(call="two")
        monkeypatch.setattr("sbc.call.border.facts_of", self.fail)
        lab.give(lab.invite(call="one"))
        assert len(lab.border.calls) == 2


def test_a_fault_outside_of_the_core_ends_one_call_and_no_other() -> None:
    """The boundary once more, with a fault that compiled code meets as interpreted code does."""
    lab = Lab()
    lab.connected(call="one")
    invite = lab.called(call="two")
    lab.take()
    lab.apply = lambda slot, plan: 1 // 0  # type: ignore[assignment,method-assign]
    lab.answer(invite, 200, body=SDP_B)
    assert statuses(lab.take(PBX[0])) == [500]
    assert b"BYE" in {one.method for one in lab.take(CARRIER[0]) if isinstance(one, Request)}
    assert lab.border.core.counters["crashed"] == 1
    lab.answer_removals()
    assert lab.record.cause is Cause.CRASHED
    assert [call.a.call_id for call in lab.border.calls.values()] == [b"one@10.0.0.2"]


def test_more_transactions_than_memory_allows_are_refused_without_a_trace() -> None:
    """A trunk has no rate limit of its own; what its calls need is served all the same."""
    lab = Lab()
    success, _ = lab.connected()
    lab.border.most_transactions = before = len(lab.border.core.layer)
    lab.give(lab.invite(call="other"))
    lab.give(lab.invite(call="other").replace(b"INVITE", b"OPTIONS"))
    lab.give(lab.in_dialog(b"BYE", success, 2).replace(b"tag=s00", b"tag=x00"))
    assert statuses(lab.take(PBX[0])) == [503, 503, 503]
    assert len(lab.border.core.layer) == before
    lab.give(lab.in_dialog(b"BYE", success, 2))
    assert statuses(lab.take(PBX[0])) == [200]
    assert lab.take_one(CARRIER[0]).method == b"BYE"


def test_a_clock_that_is_set_moves_no_duration() -> None:
    lab = Lab()
    success, _ = lab.connected()
    lab.wait(10.0)
    lab.border.core.wall_offset_s += 3600.0  # NTP, or an operator
    lab.give(lab.in_dialog(b"BYE", success, 2))
    lab.answer_removals()
    assert lab.record.duration_s == pytest.approx(10.0, abs=0.1)
    lab.take()
    lab.answer(lab.called(call="next"), 486)
    assert lab.record.started_s == pytest.approx(1e9 + 3600.0 + lab.now, abs=1.0)


def test_what_a_stop_has_said_is_known_to_be_unanswered() -> None:
    lab = Lab()
    lab.connected()
    assert lab.border.core.layer.unanswered == 0
    lab.border.end_all(lab.now)
    assert lab.border.core.layer.unanswered == 2
    for bye in lab.take(CARRIER[0]):
        lab.answer(bye, 200)
    assert lab.border.core.layer.unanswered == 1


def test_the_ack_to_a_fork_goes_the_forks_way_each_time() -> None:
    lab = Lab()
    _, invite = lab.connected()
    for _ in range(2):  # the second one because the ACK was lost
        lab.answer(invite, 200, tag="fork-2", body=SDP_B, contact=b"<sip:bob@10.1.0.9:5060>")
        assert lab.take("10.1.0.9")[0].method == b"ACK"
        assert lab.take(CARRIER[0]) == []


def test_a_target_that_speaks_in_its_early_dialog_is_not_told_that_there_is_none() -> None:
    lab = Lab()
    invite = lab.called()
    lab.answer(invite, 183, body=SDP_B)
    lab.take()
    for number, method in enumerate((b"OPTIONS", b"UPDATE", b"PUBLISH", b"INVITE", b"BYE")):
        lab.give(lab.in_dialog(method, invite, 5 + number, source=CARRIER), CARRIER)
    assert statuses(lab.take(CARRIER[0])) == [200, 200, 405, 491, 481]
    lab.give(lab.in_dialog(b"OPTIONS", invite, 7, source=CARRIER), CARRIER)
    assert statuses(lab.take(CARRIER[0])) == [500]  # RFC 3261 §12.2.2: out of its order
    lab.answer(invite, 200, body=SDP_B)
    assert lab.take_one(PBX[0]).status == 200


def test_a_second_invite_of_the_caller_before_the_answer_is_told_when_to_come_again() -> None:
    """RFC 3261 §14.2."""
    lab = Lab()
    lab.answer(lab.called(), 180)
    lab.give(lab.in_dialog(b"INVITE", lab.take_one(PBX[0]), 2, body=SDP_A))
    refused = lab.take_one(PBX[0])
    assert refused.status == 500
    assert 0 <= int(refused.first(b"retry-after")) <= 10
