"""A peer tells another SRTP key within a call: what was made with the one before is not lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relay import keys
from relay.control.messages import Srtp
from relay.rtp.srtp import new_session
from tests.relay.rig import Rig, Talk, rtp
from tests.relay.srtp_tools import key_of, sealed, sealed_rtcp, sender_report

SUITES = ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32", "AEAD_AES_256_GCM")


class Rekeyed:
    """A call in full swing whose side A has just told another key, and uses the one before."""

    def __init__(self, rig: Rig, suite: str = SUITES[0], **more: object) -> None:
        self.rig = rig
        first, second = (Srtp(suite, key_of(suite, number)) for number in (1, 2))
        self.talk = Talk(rig, a={"srtp_in": first, "srtp_out": first, **more})
        self.old, self.new = new_session(suite, first.key), new_session(suite, second.key)
        self.number = 0
        self.say(self.old)
        self.say(self.old)
        self.talk.b.send(rtp(1), self.talk.to_b)
        rig.run()
        assert len(self.talk.a.received()) == 1
        self.talk.end_a = replace(self.talk.end_a, srtp_in=second, srtp_out=second)
        self.talk.apply()

    def say(self, session, number: int | None = None) -> int:
        """How many packets come out where B is."""
        if number is None:
            self.number += 1
            number = self.number
        return self.says(sealed(session, rtp(number)))

    def says(self, wire: bytes, peer=None) -> int:
        (peer or self.talk.a).send(wire, self.talk.to_a)
        self.rig.run()
        return len(self.talk.b.received())


@pytest.mark.parametrize("nat", [False, True])
@pytest.mark.parametrize("suite", SUITES)
def test_nothing_is_lost_from_one_key_to_the_next(rig, suite, nat):
    call = Rekeyed(rig, suite, nat=nat)
    overtaken = sealed(call.old, rtp(90))
    for _ in range(5):
        assert call.say(call.old) == 1
    assert call.say(call.new) == 1
    assert call.says(overtaken) == 1
    assert call.say(call.new) == 1
    stats = rig.stats(side="a")
    assert (stats.packets, dict(stats.dropped)) == (10, {})


def test_what_leaves_is_made_with_the_new_key_alone(rig):
    call = Rekeyed(rig)
    call.say(call.old)
    for number in range(2, 5):
        call.talk.b.send(rtp(number, b"from b"), call.talk.to_b)
        rig.run()
    got = call.talk.a.received()
    assert [call.new.unprotect(one) for one in got] == [rtp(n, b"from b") for n in range(2, 5)]


def test_the_fast_path_has_the_stream_again_once_the_former_key_is_void(rig, monkeypatch):
    monkeypatch.setattr(keys, "_OVERTAKING_S", 0.02)
    call = Rekeyed(rig)
    late = sealed(call.old, rtp(90))
    assert call.say(call.new) == 1
    rig.run(0.03)
    assert call.say(call.new) == 1  # the first packet after that has it settled
    punts = rig.service.slowpath.punts
    for _ in range(3):
        assert call.say(call.new) == 1
    assert call.says(late) == 0
    assert rig.service.slowpath.punts == punts
    assert rig.dropped("a") == {"srtp_auth": 1}


def test_a_peer_that_never_changes_is_not_heard_for_ever(rig, monkeypatch):
    monkeypatch.setattr(keys, "_FORMER_S", 0.05)
    call = Rekeyed(rig)
    assert call.say(call.old) == 1
    rig.run(0.06)
    assert call.say(call.old) == 0
    assert rig.dropped("a") == {"srtp_auth": 1}


def test_each_key_has_a_replay_window_of_its_own(rig):
    call = Rekeyed(rig)
    old, new = sealed(call.old, rtp(50)), sealed(call.new, rtp(50))
    assert [call.says(one) for one in (old, new, old, new)] == [1, 1, 0, 0]
    assert rig.dropped("a")["srtp_replay"] >= 1


@pytest.mark.parametrize("nat", [False, True])
def test_what_strangers_have_recorded_of_the_former_key_is_nothing(rig, nat):
    """Nor does it, or what is no SRTP at all, end the time of that key."""
    call = Rekeyed(rig, nat=nat)
    kept_back = [sealed(call.old, rtp(number)) for number in range(60, 65)]
    thief = rig.peer("127.0.6.9")
    for wire in (*kept_back, rtp(66), bytes(100)):
        assert call.says(wire, thief) == 0
    call.talk.b.send(rtp(9), call.talk.to_b)
    rig.run()
    assert (len(call.talk.a.received()), thief.received()) == (1, [])
    assert call.says(rtp(67)) == 0
    assert call.say(call.old) == 1


def test_rtcp_under_the_former_key(rig):
    call = Rekeyed(rig)
    port = call.talk.to_a[0], call.talk.to_a[1] + 1
    for wire in (sealed_rtcp(call.old, sender_report()), sealed_rtcp(call.new, sender_report())):
        call.talk.a_rtcp.send(wire, port)
        call.talk.a_rtcp.send(wire, port)
        rig.run()
        assert len(call.talk.b_rtcp.received()) == 1


def test_rtcp_on_the_same_port_under_the_former_key(rig):
    call = Rekeyed(rig, rtcp_mux=True)
    for session in (call.old, call.new):
        call.says(sealed_rtcp(session, sender_report()))
        assert len(call.talk.b_rtcp.received()) == 1


def test_no_key_is_good_once_the_peer_is_in_the_clear(rig):
    call = Rekeyed(rig)
    call.talk.end_a = replace(call.talk.end_a, srtp_in=None)
    call.talk.apply()
    assert [lane.former for lane in rig.service.calls["call"].lanes] == [None] * 4
