"""A call from INVITE to its record (RFC 3261 §9, §12–§15, RFC 6026)."""

from __future__ import annotations

import pytest

from sbc.call.cdr import Cause
from sbc.sip.message import Request, Response
from tests.call.lab import CARRIER, PBX, SDP_A, SDP_B, Lab, settings, statuses


def test_a_call_is_set_up_and_ended_by_the_caller() -> None:
    lab = Lab()
    success, invite = lab.connected()
    assert success.body.startswith(b"v=0\r\no=- ")
    lab.give(lab.in_dialog(b"BYE", success, 2))
    assert lab.take_one(PBX[0]).status == 200
    bye = lab.take_one(CARRIER[0])
    assert bye.method == b"BYE"
    assert bye.uri == b"sip:bob@10.1.0.2:5060"
    assert bye.call_id == invite.call_id
    assert bye.cseq == 2
    lab.answer(bye, 200)
    lab.answer_removals()
    record = lab.record
    assert record.cause is Cause.NORMAL
    assert record.hung_up_by == "a"
    assert record.status == 200
    assert [stream.packets for stream in record.streams] == [50, 50]
    lab.assert_nothing_left()


def test_a_call_is_ended_by_the_called_side() -> None:
    lab = Lab()
    success, invite = lab.connected()
    lab.give(lab.in_dialog(b"BYE", invite, 1, source=CARRIER), CARRIER)
    assert lab.take_one(CARRIER[0]).status == 200
    bye = lab.take_one(PBX[0])
    assert bye.method == b"BYE"
    assert bye.uri == b"sip:alice@10.0.0.2:5060"
    assert bye.to_tag == b"alice-tag"
    assert bye.from_tag == success.to_tag
    lab.answer(bye, 200, contact=b"<sip:alice@10.0.0.2>")
    lab.answer_removals()
    assert lab.record.hung_up_by == "b"
    lab.assert_nothing_left()


def test_the_legs_share_no_identifier() -> None:
    lab = Lab()
    success, invite = lab.connected()
    a = lab.invite()
    for theirs in (invite.call_id, invite.from_tag, invite.via.branch, b"bob", b"10.1.0."):
        assert theirs not in b"".join((success.first(name) or b"") for name in success.names())
    for theirs in (b"call-1", b"alice-tag", b"10.0.0.", b"z9hG4bK-a"):
        assert theirs in a
        assert theirs not in b"".join((invite.first(name) or b"") for name in invite.names())


@pytest.mark.parametrize(
    ("given", "expected"), [(b"70", b"69"), (b"1", b"0"), (None, b"70"), (b"255", b"254")]
)
def test_max_forwards_goes_on_counting(given: bytes | None, expected: bytes) -> None:
    assert Lab().called(hops=given).first(b"max-forwards") == expected


def test_max_forwards_at_its_end_is_483() -> None:
    lab = Lab()
    lab.give(lab.invite(hops=b"0"))
    assert statuses(lab.take()) == [483]
    assert lab.record.cause is Cause.LOOP


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [(486, 486), (404, 404), (600, 600), (603, 603), (302, 480), (401, 403), (407, 403)],
)
def test_a_failure_is_passed_on_and_nothing_that_the_caller_could_not_use(
    theirs: int, ours: int
) -> None:
    lab = Lab()
    invite = lab.called()
    lab.answer(invite, theirs)
    assert lab.take_one(CARRIER[0]).method == b"ACK"
    refusal = lab.take_one(PBX[0])
    assert refusal.status == ours
    lab.answer_removals()
    record = lab.record
    assert (record.status, record.cause) == (ours, Cause.REJECTED)
    assert f"target answered {theirs}" in record.reason


def test_the_next_target_is_tried_where_one_is_out_of_order() -> None:
    lab = Lab()
    first = lab.called()
    lab.answer(first, 503)
    assert lab.take_one(CARRIER[0]).method == b"ACK"
    second = lab.take_one("10.1.0.3")
    assert second.method == b"INVITE"
    assert second.call_id != first.call_id
    assert lab.border.core.policies.calls() == {"pbx": 1, "carrier": 0, "backup": 1}
    lab.answer(second, 200, body=SDP_B, source=("10.1.0.3", 5060))
    assert lab.take_one(PBX[0]).status == 200
    lab.border.end_all(lab.now)
    lab.answer_removals()
    record = lab.record
    assert (record.attempts, record.trunk_b) == (2, "backup")


def test_a_silent_target_is_left_after_timer_b() -> None:
    lab = Lab()
    lab.called(number="99")
    lab.wait(32.5)
    assert statuses(lab.take(PBX[0])) == [408]
    lab.answer_removals()
    assert lab.record.cause is Cause.NO_RESPONSE


def test_an_unreachable_target_is_left_at_once() -> None:
    lab = Lab()
    invite = lab.called(number="99")
    hop = next(iter(lab.border.calls.values())).b.hop
    lab.border.unreachable(hop, invite.via.branch, lab.now)
    assert statuses(lab.take(PBX[0])) == [503]
    lab.answer_removals()
    assert lab.record.cause is Cause.UNREACHABLE


def test_retransmitted_requests_are_answered_again_and_make_nothing_new() -> None:
    lab = Lab()
    request = lab.invite()
    lab.give(request)
    first = [data for _, data in lab.sent if data.startswith(b"SIP/2.0 100")]
    lab.sent.clear()
    lab.give(request)
    assert [data for _, data in lab.sent] == first
    assert len(lab.border.calls) == 1


def test_a_2xx_is_repeated_until_its_ack_and_its_repetition_is_acknowledged_again() -> None:
    lab = Lab()
    invite = lab.called()
    lab.answer(invite, 200, body=SDP_B)
    ack = lab.sent[0][1]
    lab.sent.clear()
    lab.wait(1.6)
    assert statuses(lab.take(PBX[0])) == [200, 200]
    lab.answer(invite, 200, body=SDP_B)
    assert [data for _, data in lab.sent] == [ack]


def test_a_2xx_that_nobody_acknowledges_ends_both_legs() -> None:
    lab = Lab()
    lab.answer(lab.called(), 200, body=SDP_B)
    lab.wait(33.0, step_s=0.1)
    methods = {one.method for one in lab.take() if isinstance(one, Request)}
    assert b"BYE" in methods
    lab.answer_removals()
    assert lab.record.cause is Cause.NO_ACK
    lab.assert_nothing_left()


class TestCancel:
    """RFC 3261 §9."""

    def cancel(self, lab: Lab, invite: bytes) -> None:
        head, _, _ = invite.partition(b"\r\nContact:")
        head = head.replace(b"INVITE sip:", b"CANCEL sip:").replace(b"1 INVITE", b"1 CANCEL")
        lab.give(head + b"\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n")

    def test_waits_for_a_provisional_response(self) -> None:
        lab = Lab()
        request = lab.invite()
        lab.give(request)
        lab.take(PBX[0])
        invite = lab.take_one(CARRIER[0])
        self.cancel(lab, request)
        assert sorted(statuses(lab.take(PBX[0]))) == [200, 487]
        assert lab.take(CARRIER[0]) == []
        lab.answer(invite, 100, tag="")
        cancel = lab.take_one(CARRIER[0])
        assert cancel.method == b"CANCEL"
        assert cancel.via.branch == invite.via.branch
        lab.answer(cancel, 200)
        lab.answer(invite, 487)
        assert lab.take_one(CARRIER[0]).method == b"ACK"
        lab.answer_removals()
        record = lab.record
        assert (record.cause, record.status, record.hung_up_by) == (Cause.CANCELLED, 487, "a")
        lab.assert_nothing_left()

    def test_crossing_a_2xx_of_the_target_ends_it(self) -> None:
        lab = Lab()
        request = lab.invite()
        lab.give(request)
        lab.take(PBX[0])
        invite = lab.take_one(CARRIER[0])
        lab.answer(invite, 180)
        lab.take()
        self.cancel(lab, request)
        lab.take()
        lab.answer(invite, 200, body=SDP_B)
        assert [one.method for one in lab.take(CARRIER[0])] == [b"ACK", b"BYE"]
        assert lab.take(PBX[0]) == []
        lab.assert_nothing_left()

    def test_after_the_answer_changes_nothing(self) -> None:
        lab = Lab()
        request = lab.invite()
        lab.give(request)
        lab.take(PBX[0])
        lab.answer(lab.take_one(CARRIER[0]), 200, body=SDP_B)
        lab.take()
        self.cancel(lab, request)
        assert statuses(lab.take()) == [200]
        assert len(lab.border.calls) == 1

    def test_of_nothing_is_481(self) -> None:
        lab = Lab()
        self.cancel(lab, lab.invite())
        assert statuses(lab.take()) == [481]

    def test_a_target_that_ignores_it_holds_nothing_for_ever(self) -> None:
        lab = Lab()
        request = lab.invite()
        lab.give(request)
        lab.take(PBX[0])
        lab.answer(lab.take_one(CARRIER[0]), 180)
        self.cancel(lab, request)
        lab.assert_nothing_left()


class TestForks:
    """RFC 3261 §13.2.2.4: each early dialog of the target is one of the caller's own."""

    def test_each_has_a_tag_of_its_own_and_the_2xx_bears_that_of_its_fork(self) -> None:
        lab = Lab()
        invite = lab.called()
        lab.answer(invite, 180, tag="fork-1")
        one = lab.take_one(PBX[0])
        lab.answer(invite, 183, tag="fork-2", body=SDP_B)
        two = lab.take_one(PBX[0])
        lab.answer(invite, 180, tag="fork-1")
        assert lab.take_one(PBX[0]).to_tag == one.to_tag
        assert one.to_tag != two.to_tag
        assert b"fork" not in one.to_tag + two.to_tag
        lab.answer(invite, 200, tag="fork-2", body=SDP_B)
        success = lab.take_one(PBX[0])
        assert success.to_tag == two.to_tag
        assert success.body == two.body  # the same answer keeps its version

    def test_a_late_2xx_of_another_is_acknowledged_and_ended(self) -> None:
        lab = Lab()
        success, invite = lab.connected()
        lab.answer(invite, 200, tag="fork-2", body=SDP_B)
        ack, bye = lab.take(CARRIER[0])
        assert (ack.method, bye.method) == (b"ACK", b"BYE")
        assert ack.to_tag == bye.to_tag == b"fork-2"
        lab.give(lab.in_dialog(b"BYE", success, 2))
        assert lab.take_one(CARRIER[0]).to_tag == b"bob-tag"

    def test_their_number_is_bounded(self) -> None:
        lab = Lab()
        invite = lab.called()
        for number in range(100):
            lab.answer(invite, 180, tag=f"fork-{number}")
        assert len({one.to_tag for one in lab.take(PBX[0])}) == 32


def test_the_called_side_hangs_up_before_the_callers_ack() -> None:
    """RFC 3261 §15: no BYE to the caller before its ACK."""
    lab = Lab()
    invite = lab.called()
    lab.answer(invite, 200, body=SDP_B)
    success = lab.take(PBX[0])[0]
    lab.take()
    lab.give(lab.in_dialog(b"BYE", invite, 1, source=CARRIER), CARRIER)
    assert statuses(lab.take(CARRIER[0])) == [200]
    assert lab.take(PBX[0]) == []
    lab.give(lab.in_dialog(b"ACK", success, 1))
    assert lab.take_one(PBX[0]).method == b"BYE"
    lab.assert_nothing_left()


def test_nobody_answers_in_time() -> None:
    lab = Lab(settings({"carrier": {"no_answer_s": 20.0}}))
    invite = lab.called()
    lab.answer(invite, 180)
    lab.take()
    lab.wait(21.0, step_s=0.5)
    assert set(statuses(lab.take(PBX[0]))) == {480}
    assert {one.method for one in lab.take(CARRIER[0])} == {b"CANCEL"}
    lab.answer_removals()
    assert lab.record.cause is Cause.NO_ANSWER
    lab.assert_nothing_left()


class TestReInvite:
    """Inside a call: what repeats what was agreed is answered here; changes: test_changes.py."""

    def test_that_repeats_gets_200_with_what_it_has(self) -> None:
        lab = Lab()
        success, _ = lab.connected()
        lab.give(lab.in_dialog(b"INVITE", success, 2, body=SDP_A))
        again = lab.take_one(PBX[0])
        assert again.status == 200
        assert again.body == success.body
        lab.wait(0.6)
        assert statuses(lab.take(PBX[0])) == [200]
        lab.give(lab.in_dialog(b"ACK", again, 2))
        lab.wait(5.0)
        assert lab.take(PBX[0]) == []

    def test_from_the_called_side_too(self) -> None:
        lab = Lab()
        _, invite = lab.connected()
        lab.give(lab.in_dialog(b"INVITE", invite, 1, body=SDP_B, source=CARRIER), CARRIER)
        again = lab.take_one(CARRIER[0])
        assert (again.status, again.body) == (200, invite.body)

    def test_out_of_order_is_500(self) -> None:
        lab = Lab()
        success, _ = lab.connected()
        lab.give(lab.in_dialog(b"OPTIONS", success, 5))
        lab.give(lab.in_dialog(b"OPTIONS", success, 4))
        assert statuses(lab.take(PBX[0])) == [200, 500]


def test_a_bye_from_the_other_trunk_does_not_end_the_call() -> None:
    lab = Lab()
    success, _ = lab.connected()
    lab.give(lab.in_dialog(b"BYE", success, 2, source=CARRIER), CARRIER)
    assert statuses(lab.take()) == [403]
    assert len(lab.border.calls) == 1


def test_a_dialog_that_does_not_exist_is_481() -> None:
    lab = Lab()
    success, _ = lab.connected()
    bye = lab.in_dialog(b"BYE", success, 2)
    lab.give(bye.replace(success.to_tag, b"nonsense"))
    lab.give(bye.replace(b"alice-tag", b"mallory"))
    assert statuses(lab.take()) == [481, 481]
    assert len(lab.border.calls) == 1


def test_an_early_bye_of_the_caller_gives_the_call_up() -> None:
    lab = Lab()
    invite = lab.called()
    lab.answer(invite, 183, body=SDP_B)
    early = lab.take_one(PBX[0])
    lab.give(lab.in_dialog(b"BYE", early, 2))
    assert sorted(statuses(lab.take(PBX[0]))) == [200, 487]
    assert lab.take_one(CARRIER[0]).method == b"CANCEL"
    lab.assert_nothing_left()


def test_a_target_answers_with_something_that_is_no_answer() -> None:
    lab = Lab()
    invite = lab.called()
    lab.answer(invite, 200, body=b"v=0\r\nnot an answer")
    assert [one.method for one in lab.take(CARRIER[0])] == [b"ACK", b"BYE"]
    assert statuses(lab.take(PBX[0])) == [502]
    lab.assert_nothing_left()


def test_responses_of_one_call_reach_no_other() -> None:
    lab = Lab()
    one = lab.called(call="one")
    two = lab.called(call="two")
    lab.answer(two, 486)
    assert isinstance(lab.take(PBX[0])[0], Response)
    assert len(lab.border.calls) == 1
    lab.answer(one, 180)
    assert lab.take_one(PBX[0]).call_id.startswith(b"one")


def test_an_invite_that_comes_on_two_ways_is_one_call() -> None:
    """RFC 3261 §8.2.2.2: a proxy before us has forked, and both branches have met here again."""
    lab = Lab()
    request = lab.invite()
    lab.give(request)
    lab.take()
    lab.give(request.replace(b"branch=z9hG4bK-a", b"branch=z9hG4bK-other"))
    assert statuses(lab.take(PBX[0])) == [482]
    assert len(lab.border.calls) == 1
    assert lab.border.core.counters["merged"] == 1


def test_the_same_invite_may_come_again_once_it_was_refused() -> None:
    lab = Lab()
    request = lab.invite(number="99")
    lab.give(request)
    lab.answer(lab.take(CARRIER[0])[0], 404)
    lab.take()
    lab.give(request.replace(b"branch=z9hG4bK-a", b"branch=z9hG4bK-other"))
    assert lab.take(CARRIER[0])
    lab.assert_nothing_left()
    assert not lab.border.core.inviting


def test_an_ack_of_another_trunk_acknowledges_nothing() -> None:
    lab = Lab()
    lab.answer(lab.called(), 200, body=SDP_B)
    lab.take(CARRIER[0])
    success = lab.take_one(PBX[0])
    ack = lab.in_dialog(b"ACK", success, 1, source=CARRIER)
    lab.give(ack, CARRIER)
    assert lab.border.core.counters["dialog_foreign"] == 1
    lab.wait(0.6)
    assert statuses(lab.take(PBX[0])) == [200]
