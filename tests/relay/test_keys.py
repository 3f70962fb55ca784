"""Keys through plans, and through the death of a worker (relay.keys, relay.kept_keys)."""

from __future__ import annotations

import time

import pytest

from relay.control.messages import Plan, Srtp, Stream
from relay.forward.python import PythonForwarder
from relay.kept_keys import KeptKeys, fingerprint
from relay.rtp.session import SRTCP_ADOPTED
from relay.rtp.srtp import new_session
from tests.relay.rig import Rig, Talk, rtp
from tests.relay.srtp_tools import key_of, sealed, sealed_rtcp, sender_report

SUITE = "AES_CM_128_HMAC_SHA1_80"
IN, OUT = (Srtp(SUITE, key_of(SUITE, n)) for n in (1, 2))


@pytest.fixture
def rig():
    rig = Rig(PythonForwarder)
    yield rig
    rig.close()


def test_fingerprints_tell_keys_apart_and_show_nothing():
    keys = [
        IN,
        OUT,
        Srtp(SUITE, IN.key, b"\x01"),
        Srtp("AES_CM_128_HMAC_SHA1_32", IN.key),
    ]
    prints = {fingerprint(key) for key in keys}
    assert len(prints) == 4
    assert fingerprint(Srtp(SUITE, IN.key, roc=9)) == fingerprint(IN)
    assert all(0 < one < 1 << 64 for one in prints)


def test_how_far_keys_are_used_is_in_the_flow_table(rig):
    talk = Talk(rig, a={"srtp_in": IN, "srtp_out": OUT})
    says = new_session(SUITE, IN.key)
    for number in range(65_534, 65_540):
        talk.a.send(sealed(says, rtp(number, ssrc=5)), talk.to_a)
        talk.b.send(rtp(number, ssrc=6), talk.to_b)
        rig.run()
    talk.b_rtcp.send(sender_report(6), (talk.to_b[0], talk.to_b[1] + 1))
    rig.run()
    for _ in range(3):
        rig.service.sweep(time.monotonic() + 5.0, 10)
    kept = rig.table.keys(rig.service.calls["call"].lanes[0].pair.row)
    assert kept == KeptKeys(
        fingerprint(IN), 5, 65_540, 1, fingerprint(OUT), 65_540, 2, 6 << 32 | 6, 0
    )
    assert rig.table.keys(rig.service.calls["call"].lanes[1].pair.row) == KeptKeys()


def kept_by_a_dead_worker(**more: int) -> KeptKeys:
    return KeptKeys(
        **{
            "in_key": fingerprint(IN),
            "in_ssrc": 5,
            "in_index": 65_540,
            "in_rtcp": 8,
            "out_key": fingerprint(OUT),
            "out_index": 65_540,
            "out_rtcp": 8,
            "out_sources": 6 << 32 | 7,
            "out_shifts": 100 << 32 | 10,
        }
        | more
    )


def test_another_worker_goes_on_with_the_same_keys(rig):
    (pair,) = rig.desk.ports.lease("inside", 1, "test", time.monotonic())
    pair.kept = kept_by_a_dead_worker()
    talk = adopted(rig, pair)
    lanes = rig.service.calls["call"].lanes
    assert lanes[0].srtp_in.index(5) == 65_539
    assert lanes[1].srtp_out.index(6) == 65_539

    says, hears = new_session(SUITE, IN.key), new_session(SUITE, OUT.key)
    says.resume(5, 65_538)
    talk.a.send(sealed(says, rtp(65_539, ssrc=5)), talk.to_a)  # it was accepted before
    talk.a.send(sealed(says, rtp(65_541, ssrc=5)), talk.to_a)
    rig.run()
    assert talk.b.received() == [rtp(65_541, ssrc=5)]
    assert rig.dropped("a") == {"srtp_replay": 1}

    hears.resume(6, 65_530)
    for number in (65_530, 65_531):  # its numbers are shifted by 10, as they were
        talk.b.send(rtp(number, ssrc=7, timestamp=number), talk.to_b)
        rig.run()
    assert [hears.unprotect(one) for one in talk.a.received()] == [
        rtp(65_540, ssrc=6, timestamp=65_630),
        rtp(65_541, ssrc=6, timestamp=65_631),
    ]

    talk.b_rtcp.send(sender_report(9), (talk.to_b[0], talk.to_b[1] + 1))
    rig.run()
    (wire,) = talk.a_rtcp.received()
    hears.resume_rtcp(7 + SRTCP_ADOPTED)
    assert isinstance(hears.unprotect_rtcp(wire), bytes)
    assert hears.rtcp_index == 8 + SRTCP_ADOPTED
    old = new_session(SUITE, IN.key)
    old.resume_rtcp(6)
    talk.a_rtcp.send(sealed_rtcp(old, sender_report(5)), (talk.to_a[0], talk.to_a[1] + 1))
    rig.run()
    assert talk.b_rtcp.received() == []
    assert rig.dropped("a") == {"srtp_replay": 2}


def test_other_keys_begin_anew(rig):
    (pair,) = rig.desk.ports.lease("inside", 1, "test", time.monotonic())
    pair.kept = kept_by_a_dead_worker(in_key=1, out_key=2)
    adopted(rig, pair)
    lanes = rig.service.calls["call"].lanes
    assert lanes[0].srtp_in.index(5) == lanes[1].srtp_out.index(6) == -1
    assert lanes[1].srtp_out.rtcp_index == 0


def test_a_key_that_sent_no_rtp_still_jumps_in_rtcp():
    session = new_session(SUITE, OUT.key)
    kept = kept_by_a_dead_worker(out_index=0, out_rtcp=1)
    assert not kept.resume_out(OUT, session)
    assert session.rtcp_index == SRTCP_ADOPTED
    assert session.index(6) == -1


def test_what_was_kept_is_forgotten_after_the_call(rig):
    (pair,) = rig.desk.ports.lease("inside", 1, "test", time.monotonic())
    pair.kept = kept_by_a_dead_worker()
    adopted(rig, pair)
    rig.service.remove("call", time.monotonic())
    assert pair.kept is None
    assert rig.table.keys(pair.row) == KeptKeys()


def adopted(rig: Rig, pair) -> Talk:
    """A talk whose A-side is on a pair that a dead worker has used."""
    talk = Talk(rig)
    rig.service.remove("call", time.monotonic())
    talk.end_a.address, talk.end_a.port = pair.key
    talk.end_a.srtp_in, talk.end_a.srtp_out = IN, OUT
    talk.end_b = rig.end("outside", talk.b.address)
    rig.apply(Plan("call", 1, [Stream(0, "audio", talk.end_a, talk.end_b)]))
    return talk


def test_all_that_is_sent_under_one_key_shares_its_indices(rig):
    """Two streams with one key, as a careless signalling might have it."""
    talk = Talk(rig)
    ends = [
        (rig.end("inside", talk.a.address), rig.end("outside", talk.b.address, srtp_out=OUT))
        for _ in range(2)
    ]
    streams = [Stream(n, "audio", a, b) for n, (a, b) in enumerate(ends)]
    rig.apply(Plan("other", 1, streams))
    for a, _ in ends:
        talk.a.send(rtp(5, b"one"), (a.address, a.port))
        rig.run()
    hears = new_session(SUITE, OUT.key)
    got = [hears.unprotect(one) for one in talk.b.received()]
    assert got == [rtp(5, b"one")]


def test_the_same_plan_again_is_answered_as_before(rig):
    talk = Talk(rig, a={"srtp_in": IN, "srtp_out": OUT})
    before = rig.service.calls["call"].lanes[0].srtp_in
    plan = Plan("call", 1, [Stream(0, "audio", talk.end_a, talk.end_b)])
    assert rig.apply(Plan.from_body(plan.to_body())) == 1
    assert rig.service.calls["call"].lanes[0].srtp_in is before


def test_nothing_that_can_be_printed_holds_a_key(rig):
    Talk(rig, a={"srtp_in": IN, "srtp_out": OUT})
    call = rig.service.calls["call"]
    assert repr(IN.key)[2:-1] not in repr(call)
    for lane in call.lanes:
        for shown in (repr(lane.direction), repr(lane.flow), repr(lane.srtp_in)):
            assert repr(IN.key)[2:-1] not in shown
            assert IN.key.hex() not in shown


def test_a_key_that_is_used_for_longer_than_said_is_counted_and_goes_on(rig, caplog):
    short = Srtp(SUITE, IN.key, lifetime_packets=3)
    talk = Talk(rig, a={"srtp_in": short})
    says = new_session(SUITE, IN.key)
    caplog.set_level("INFO")
    for number in range(1, 6):
        talk.a.send(sealed(says, rtp(number)), talk.to_a)
        rig.run()
        for _ in range(3):
            rig.service.sweep(time.monotonic() + 5.0 * number, 10)
        assert rig.service.totals["srtp_outlived"] == (number > 3)
    assert len(talk.b.received()) == 5
    assert caplog.messages == ["srtp.outlived call=call stream=0 end=a"]
    talk.end_a.srtp_in = Srtp(SUITE, IN.key, lifetime_packets=9)
    talk.apply()
    assert rig.service.calls["call"].lanes[0].former is None, "it is the same key"
