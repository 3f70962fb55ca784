"""Whose media the call has, when several targets or forks have described theirs."""

from __future__ import annotations

from policies.settings import Latch, Nat
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
