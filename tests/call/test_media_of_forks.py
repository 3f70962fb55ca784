"""Whose media the call has, when several targets or forks have described theirs."""

from __future__ import annotations

import pytest

from policies.settings import Latch, Nat
from relay.plan import directions
from sbc.call.cdr import Cause
from tests.call.lab import BACKUP, CARRIER, PBX, SDP_B, Lab, settings, statuses

OTHER = SDP_B.replace(b"6000", b"7000")
NOWHERE = SDP_B.replace(b"c=IN IP4 10.1.0.2", b"c=IN IP4 0.0.0.0")


def remote(lab: Lab) -> object:
    return lab.plans[-1][1].streams[0].b.remote


def test_the_answer_of_a_fork_that_was_heard_before_takes_the_media_back() -> None:
    lab = Lab()
    invite = lab.called()
    lab.answer(invite, 183, tag="fork-1", body=SDP_B)
    lab.answer(invite, 183, tag="fork-2", body=OTHER)
    assert remote(lab) == ("10.1.0.2", 7000)
    lab.answer(invite, 200, tag="fork-1", body=SDP_B)
    assert remote(lab) == ("10.1.0.2", 6000)


def test_an_answer_without_description_is_that_of_its_early_dialog() -> None:
    lab = Lab()
    invite = lab.called()
    lab.answer(invite, 183, tag="fork-1", body=SDP_B)
    lab.answer(invite, 183, tag="fork-2", body=OTHER)
    lab.answer(invite, 200, tag="fork-1")
    assert remote(lab) == ("10.1.0.2", 6000)
    end = lab.plans[-1][1].streams[0].b
    assert end.expects  # silence is a fault from here on
    success = lab.take(PBX[0])[-1]
    assert (success.status, success.body != b"") == (200, True)


def test_an_answer_that_never_came_is_no_call() -> None:
    """RFC 3261 §13.2.1: an offer in the INVITE is answered in the 2xx at the latest."""
    lab = Lab()
    lab.answer(lab.called(), 200)
    assert [one.method for one in lab.take(CARRIER[0])] == [b"ACK", b"BYE"]
    assert statuses(lab.take(PBX[0])) == [502]
    assert lab.record.cause is Cause.UNSUPPORTED_MEDIA
    lab.assert_nothing_left()


def test_a_fork_on_hold_does_not_inherit_the_address_of_another() -> None:
    lab = Lab()
    invite = lab.called()
    lab.answer(invite, 183, tag="fork-1", body=SDP_B)
    lab.answer(invite, 200, tag="fork-2", body=NOWHERE)
    assert remote(lab) is None


def test_the_next_targets_trunk_has_the_word_on_its_media() -> None:
    """`latch: any` of one trunk must not open the media of another's call (RFC 7362 §5)."""
    lab = Lab(settings({"carrier": {"nat": Nat.ALWAYS, "latch": Latch.ANY}}))
    invite = lab.called()
    lab.answer(invite, 183, body=SDP_B)
    assert lab.plans[-1][1].streams[0].b.latch_any
    lab.answer(invite, 503)
    lab.answer(lab.take(BACKUP[0])[0], 200, body=SDP_B, source=BACKUP)
    end = lab.plans[-1][1].streams[0].b
    assert (end.latch_any, end.nat) == (False, False)


class TestBeforeAnyAnswer:
    """Media may come as soon as the offer is there (RFC 3264 §5.1)."""

    def test_a_target_behind_nat_is_heard_from_where_its_signalling_is(self) -> None:
        lab = Lab(settings({"carrier": {"nat": Nat.ALWAYS}}))
        invite = lab.called()
        lab.answer(invite, 180)
        lab.answer(invite, 180)
        ((_, plan),) = lab.plans
        (stream,) = plan.streams
        assert (stream.a.remote, stream.b.remote) == (("10.0.0.2", 6000), None)
        assert (stream.b.nat, stream.b.sip_source) == (True, CARRIER[0])
        assert not stream.a.expects
        assert not stream.b.expects
        assert len(directions(plan)) == 4
        lab.answer(invite, 200, body=SDP_B)
        assert (remote(lab), lab.plans[-1][1].revision) == (("10.1.0.2", 6000), 2)

    def test_what_it_has_said_is_not_forgotten_when_it_rings_again(self) -> None:
        lab = Lab(settings({"carrier": {"nat": Nat.ALWAYS}}))
        invite = lab.called()
        lab.answer(invite, 183, body=SDP_B)
        lab.answer(invite, 180)
        lab.answer(invite, 180, tag="fork-2")
        assert len(lab.plans) == 1

    def test_the_next_target_is_heard_and_the_last_one_no_more(self) -> None:
        both = {"nat": Nat.ALWAYS}
        lab = Lab(settings({"carrier": both, "backup": both}))
        invite = lab.called()
        lab.answer(invite, 183, body=SDP_B)
        lab.answer(invite, 503)
        second = lab.take(BACKUP[0])[0]
        lab.answer(second, 180, source=BACKUP)
        end = lab.plans[-1][1].streams[0].b
        assert (end.remote, end.sip_source) == (None, BACKUP[0])

    @pytest.mark.parametrize("changes", [{}, {"nat": Nat.ALWAYS, "latch": Latch.ASYMMETRIC}])
    def test_another_is_known_by_its_answer_alone(self, changes: dict[str, object]) -> None:
        lab = Lab(settings({"carrier": changes}))
        lab.answer(lab.called(), 180)
        assert lab.plans == []

    def test_a_call_that_comes_to_nothing_has_its_ports_taken_back(self) -> None:
        lab = Lab(settings({"carrier": {"nat": Nat.ALWAYS}}))
        invite = lab.called()
        lab.answer(invite, 180)
        lab.answer(invite, 486)
        assert len(lab.removed) == 1
        lab.answer_removals()
        assert lab.record.status == 486
        lab.assert_nothing_left()
