"""SRTP on one side or on both, packet by packet: the unhappy paths first."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import pytest

from relay.control.messages import SUITES, Event, Srtp
from relay.rtp.srtp import new_session
from tests.relay.rig import Rig, Talk, rtp
from tests.relay.srtp_tools import key_of, sealed, sealed_rtcp, sender_report

SUITE = "AES_CM_128_HMAC_SHA1_80"
GCM = "AEAD_AES_256_GCM"


class Secure(Talk):
    """A talk in which A's peer, and B's if so wished, speaks SRTP."""

    def __init__(self, rig: Rig, suite: str = SUITE, other: str | None = None, **more):
        self.keys = {
            "a": [Srtp(suite, key_of(suite, n), more.pop("mki", b"")) for n in (1, 2)],
            "b": [Srtp(other, key_of(other, n)) for n in (3, 4)] if other else [None, None],
        }
        ends = {side: {"srtp_in": keys[0], "srtp_out": keys[1]} for side, keys in self.keys.items()}
        for side, given in more.items():
            ends[side] |= given
        super().__init__(rig, **ends)
        self.a_says, self.a_hears = (session(key) for key in self.keys["a"])
        if other:
            self.b_says, self.b_hears = (session(key) for key in self.keys["b"])

    def a_sends(self, packet: bytes) -> None:
        self.a.send(sealed(self.a_says, packet), self.to_a)
        self.rig.run()


def session(key: Srtp):
    return new_session(key.suite, key.key, key.mki, key.roc)


# what is refused


def test_rtp_where_srtp_is_due_does_not_cross(rig):
    talk = Secure(rig)
    for number in range(3):
        talk.a.send(rtp(number), talk.to_a)
        rig.run()
    assert talk.b.received() == []
    assert rig.dropped("a") == {"srtp_auth": 3}
    assert rig.stats(side="a").packets == 0


@pytest.mark.parametrize("latched", [False, True])
def test_another_key_does_not_cross(rig, latched):
    talk = Secure(rig)
    if latched:
        talk.a_sends(rtp(1))
        talk.a_sends(rtp(2))
    stranger = new_session(SUITE, key_of(SUITE, 9))
    for number in range(3, 6):
        talk.a.send(sealed(stranger, rtp(number)), talk.to_a)
        rig.run()
    assert len(talk.b.received()) == (2 if latched else 0)
    assert rig.dropped("a") == {"srtp_auth": 3}


@pytest.mark.parametrize("latched", [False, True])
def test_what_came_before_does_not_cross_again(rig, latched):
    talk = Secure(rig)
    wires = [sealed(talk.a_says, rtp(n)) for n in range(4)]
    for wire in wires[: 4 if latched else 1] * 2:
        talk.a.send(wire, talk.to_a)
        rig.run()
    assert talk.b.received() == [rtp(n) for n in range(4 if latched else 1)]
    assert rig.dropped("a") == {"srtp_replay": 4 if latched else 1}


@pytest.mark.parametrize("latched", [False, True])
def test_what_is_cut_or_changed_does_not_cross(rig, latched):
    talk = Secure(rig)
    if latched:
        talk.a_sends(rtp(1))
        talk.a_sends(rtp(2))
        talk.b.received()
    wire = sealed(talk.a_says, rtp(3))
    changed = bytearray(wire)
    changed[50] ^= 1
    longer = b"\x9f" + wire[1:14]  # its header says that it is longer
    for data in (wire[:-1], wire[:60], wire[:21], bytes(changed), longer, wire[:12]):
        talk.a.send(data, talk.to_a)
        rig.run()
    assert talk.b.received() == []
    assert rig.dropped("a") == {"srtp_auth": 3, "size": 3}
    talk.a.send(wire, talk.to_a)
    rig.run()
    assert talk.b.received() == [rtp(3)]


def test_garbage_into_every_port_harms_nothing(rig):
    chance = random.Random(1)  # noqa: S311 - it is for a test
    talk, stranger = Secure(rig, other=GCM), rig.peer("127.0.6.3")
    for round_ in range(60):
        for port in (0, 1):
            junk = chance.randbytes(chance.randrange(80))
            stranger.send(junk, (talk.to_a[0], talk.to_a[1] + port))
            (talk.a, talk.a_rtcp)[port].send(junk, (talk.to_a[0], talk.to_a[1] + port))
        talk.a_sends(rtp(round_))
    assert [talk.b_hears.unprotect(one) for one in talk.b.received()] == [rtp(n) for n in range(60)]
    assert talk.b_rtcp.received() == talk.a.received() == talk.a_rtcp.received() == []
    assert stranger.all() == []
    assert rig.loop.crashes == 0


def test_the_alarm_is_raised_once_when_nothing_is_authentic(rig):
    talk = Secure(rig)
    stranger = new_session(SUITE, key_of(SUITE, 9))

    def failing(seconds: float) -> list[object]:
        for number in range(5):
            talk.a.send(sealed(stranger, rtp(failing.sent + number)), talk.to_a)
            rig.run()
            failing.now += seconds / 5
            for _ in range(3):
                rig.service.sweep(failing.now, 10)
        failing.sent += 5
        return [body for event, body in rig.events if event == Event.SRTP_FAILED]

    failing.sent, failing.now = 0, time.monotonic() + 10
    assert failing(1.9) == []
    assert failing(5.0) == failing(30.0) == [["call", 0, "a"]]
    assert rig.service.totals["srtp_failures"] == 1
    talk.end_a = replace(talk.end_a, srtp_in=Srtp(SUITE, key_of(SUITE, 8)))
    talk.apply()  # another key may fail, too
    assert len(failing(10.0)) == 2


def test_a_duplicate_is_not_encrypted_twice(rig):
    talk = Talk(rig, b={"srtp_out": Srtp(SUITE, key_of(SUITE))})
    for number in (1, 2, 2, 3, 2, 3, 4):
        talk.a.send(rtp(number, b"another payload" * number), talk.to_a)
        rig.run()
    receiver = new_session(SUITE, key_of(SUITE))
    assert [receiver.unprotect(one) for one in talk.b.received()] == [
        rtp(number, b"another payload" * number) for number in (1, 2, 3, 4)
    ]
    assert rig.dropped("a") == {"srtp_reuse": 3}


# what crosses


@pytest.mark.parametrize("suite", SUITES)
def test_srtp_becomes_rtp_and_back(rig, suite):
    talk = Secure(rig, suite)
    for number in range(5):
        talk.a_sends(rtp(number, bytes([number]) * 160))
        talk.b.send(rtp(100 + number, b"b" * 160), talk.to_b)
        rig.run()
    assert talk.b.received() == [rtp(n, bytes([n]) * 160) for n in range(5)]
    assert [talk.a_hears.unprotect(one) for one in talk.a.received()] == [
        rtp(100 + n, b"b" * 160) for n in range(5)
    ]
    assert rig.stats(side="a").packets == 5
    assert rig.dropped("a") == rig.dropped("b") == {}


@pytest.mark.parametrize(("suite", "other"), [(SUITE, SUITE), (SUITE, GCM), (GCM, SUITE)])
def test_srtp_is_encrypted_anew_under_the_other_key(rig, suite, other):
    talk = Secure(rig, suite, other)
    for number in range(5):
        wire = sealed(talk.a_says, rtp(number))
        talk.a.send(wire, talk.to_a)
        talk.b.send(sealed(talk.b_says, rtp(number)), talk.to_b)
        rig.run()
        crossed = talk.b.received()
        assert crossed != [wire]
        assert [talk.b_hears.unprotect(one) for one in crossed] == [rtp(number)]
        assert [talk.a_hears.unprotect(one) for one in talk.a.received()] == [rtp(number)]


def test_an_mki_is_taken_and_given(rig):
    talk = Secure(rig, mki=b"\x01\x02\x03\x04")
    talk.a_sends(rtp(1))
    talk.b.send(rtp(1), talk.to_b)
    rig.run()
    assert talk.b.received() == [rtp(1)]
    assert [talk.a_hears.unprotect(one) for one in talk.a.received()] == [rtp(1)]


@pytest.mark.parametrize("size", [12, 172, 1357, 1460, 2048, 8000])
def test_any_size_crosses(rig, size):
    talk = Secure(rig, SUITE, GCM, a={"rate_pps": 50, "rate_bps": 500_000})
    for number in range(3):
        talk.a_sends(rtp(number, bytes(size - 12)))
    assert [talk.b_hears.unprotect(one) for one in talk.b.received()] == [
        rtp(number, bytes(size - 12)) for number in range(3)
    ]


def test_the_sequence_rolls_over_twice_with_loss_and_reordering_there(rig):
    chance = random.Random(5)  # noqa: S311 - it is for a test
    talk = Secure(rig, SUITE, GCM, a={"rate_pps": 100_000})
    steps = [*range(65500, 65560), *range(66000, 131000, 1000), *range(131040, 131100)]
    late = sorted(steps, key=lambda number: number + chance.randrange(30))
    lost = {number for number in steps if chance.random() < 0.1} - {steps[0]}
    sent, got = [], []
    wires = {number: sealed(talk.a_says, rtp(number)) for number in steps}
    for number in late:
        if number in lost:
            continue
        sent.append(rtp(number))
        talk.a.send(wires[number], talk.to_a)
        rig.run()
        got += [talk.b_hears.unprotect(one) for one in talk.b.received()]
    assert got == sent
    assert talk.b_hears.index(0x1234) >> 16 == 2
    assert rig.dropped("a") == {}


def test_rtcp_is_decrypted_and_encrypted_too(rig):
    talk = Secure(rig, SUITE, GCM)
    to_a, to_b = ((host, port + 1) for host, port in (talk.to_a, talk.to_b))
    for number in range(3):
        talk.a_rtcp.send(sealed_rtcp(talk.a_says, sender_report(packets=number)), to_a)
        talk.b_rtcp.send(sealed_rtcp(talk.b_says, sender_report(9, number)), to_b)
        rig.run()
    crossed = [talk.b_hears.unprotect_rtcp(one) for one in talk.b_rtcp.received()]
    assert [one[:28] for one in crossed] == [sender_report(packets=n)[:28] for n in range(3)]
    assert b"name" not in b"".join(crossed)
    back = [talk.a_hears.unprotect_rtcp(one) for one in talk.a_rtcp.received()]
    assert [one[:28] for one in back] == [sender_report(9, n)[:28] for n in range(3)]
    talk.a_rtcp.send(sender_report(), to_a)
    talk.a_rtcp.send(sealed_rtcp(talk.b_says, sender_report()), to_a)
    rig.run()
    assert talk.b_rtcp.received() == []
    assert rig.dropped("a") == {"srtp_auth": 2}


# keys and plans


def test_the_same_key_in_a_new_plan_goes_on(rig):
    talk = Secure(rig, SUITE, SUITE)
    for number in range(65530, 65540):
        talk.a_sends(rtp(number))
    talk.end_a = replace(talk.end_a, may_receive=False)
    talk.apply()
    talk.end_a = replace(talk.end_a, may_receive=True)
    talk.apply()
    talk.a_sends(rtp(65540))
    assert [talk.b_hears.unprotect(one) for one in talk.b.received()] == [
        rtp(n) for n in range(65530, 65541)
    ]
    assert rig.dropped("a") == {}


def test_another_key_in_a_new_plan_begins_at_zero(rig):
    talk = Secure(rig, SUITE, SUITE)
    for number in range(65530, 65540):
        talk.a_sends(rtp(number))
    talk.b.received()
    new_in, new_out = (Srtp(SUITE, key_of(SUITE, n)) for n in (5, 6))
    talk.end_a = replace(talk.end_a, srtp_in=new_in)
    talk.end_b = replace(talk.end_b, srtp_out=new_out)
    talk.apply()
    talk.a_says, talk.b_hears = session(new_in), session(new_out)
    for number in range(4, 8):
        talk.a_sends(rtp(number))
    assert [talk.b_hears.unprotect(one) for one in talk.b.received()] == [
        rtp(n) for n in range(4, 8)
    ]


def test_a_key_that_comes_back_goes_on_where_it_was(rig):
    """Or it would protect two packets with one index."""
    talk = Secure(rig, SUITE, SUITE)
    for number in range(65530, 65540):
        talk.a_sends(rtp(number))
    first = talk.end_b
    talk.end_b = replace(first, srtp_out=Srtp(SUITE, key_of(SUITE, 6)))
    talk.apply()
    talk.a_sends(rtp(65540))
    for wire in talk.b.received()[:-1]:
        talk.b_hears.unprotect(wire)
    talk.end_b = first
    talk.apply()
    talk.a_sends(rtp(65541))
    talk.a_sends(rtp(65542))
    assert [talk.b_hears.unprotect(one) for one in talk.b.received()] == [
        rtp(65541),
        rtp(65542),
    ]
    assert talk.b_hears.index(0x1234) == 65542


@pytest.mark.parametrize("step", [-20_000, 20_000, -3000, 40_000])
def test_a_source_that_numbers_anew_is_numbered_on(rig, step):
    """The same SSRC jumps: its peer must neither take it for a replay nor be given one."""
    talk = Talk(rig, b={"srtp_out": Srtp(SUITE, key_of(SUITE))}, a={"rate_pps": 10_000})
    for number in range(30_000, 30_005):
        talk.a.send(rtp(number), talk.to_a)
        rig.run()
    anew = range(30_000 + step, 30_000 + step + 6)
    for number in anew:
        talk.a.send(rtp(number, b"anew", timestamp=7), talk.to_a)
        rig.run()
    receiver = new_session(SUITE, key_of(SUITE))
    got = [receiver.unprotect(one) for one in talk.b.received()]
    assert got[:5] == [rtp(n) for n in range(30_000, 30_005)]
    assert got[5:] == [rtp(30_005 + n, b"anew", timestamp=7) for n in range(5)]
    assert rig.dropped("a") == {"sequence": 1}


def test_a_stray_number_changes_nothing(rig):
    talk = Talk(rig, b={"srtp_out": Srtp(SUITE, key_of(SUITE))})
    for number in (1, 2, 3, 20_000, 4, 5):
        talk.a.send(rtp(number), talk.to_a)
        rig.run()
    receiver = new_session(SUITE, key_of(SUITE))
    assert [receiver.unprotect(one) for one in talk.b.received()] == [
        rtp(n) for n in (1, 2, 3, 4, 5)
    ]
    assert rig.dropped("a") == {"sequence": 1}


def test_after_a_long_hold_the_numbers_still_fit(rig):
    """What was held back has used no index; the nearest guess would go backwards."""
    talk = Talk(rig, a={"rate_pps": 100_000}, b={"srtp_out": Srtp(SUITE, key_of(SUITE))})
    receiver = new_session(SUITE, key_of(SUITE))

    def said(numbers) -> list[bytes | int]:
        for number in numbers:
            talk.a.send(rtp(number, number.to_bytes(4, "big")), talk.to_a)
            rig.run()
        return [receiver.unprotect(one) for one in talk.b.received()]

    assert len(said(range(10))) == 10
    talk.end_b = replace(talk.end_b, may_receive=False)
    talk.apply()
    assert said(range(10, 40_000, 2000)) == []
    talk.end_b = replace(talk.end_b, may_receive=True)
    talk.apply()
    got = said(range(40_000, 40_005))
    assert [one[12:] for one in got] == [n.to_bytes(4, "big") for n in range(40_000, 40_005)]


def test_two_sources_at_once_both_cross(rig):
    talk = Talk(rig, b={"srtp_out": Srtp(SUITE, key_of(SUITE))})
    packets = [
        rtp(100 * source + number, ssrc=source) for number in range(20) for source in (1, 2, 3)
    ]
    for packet in packets:
        talk.a.send(packet, talk.to_a)
        rig.run()
    receiver = new_session(SUITE, key_of(SUITE))
    assert [receiver.unprotect(one) for one in talk.b.received()] == packets
    assert rig.dropped("a") == {}


# who is believed


def test_who_has_the_key_is_believed_behind_nat(rig):
    talk = Secure(rig, a={"nat": True})
    talk.end_a = replace(talk.end_a, remote=("127.0.6.99", 9000))
    talk.apply()
    phone, stranger = rig.peer("127.0.6.8"), rig.peer("127.0.6.9")
    stranger.send(rtp(1, bytes(40)), talk.to_a)
    rig.run()
    assert talk.b.received() == []
    phone.send(sealed(talk.a_says, rtp(1)), talk.to_a)
    rig.run()
    assert talk.b.received() == [rtp(1)]
    talk.b.send(rtp(1), talk.to_b)
    rig.run()
    assert len(phone.received()) == 1


def test_a_locked_stream_follows_who_has_the_key_and_says_something_new(rig):
    talk = Secure(rig, a={"nat": True})
    old = [sealed(talk.a_says, rtp(n)) for n in range(5)]
    for wire in old[:4]:
        talk.a.send(wire, talk.to_a)
        rig.run()
    assert rig.stats(side="a").latched == talk.a.address
    elsewhere = rig.peer("127.0.6.8")
    elsewhere.send(old[3], talk.to_a)  # a replay
    elsewhere.send(rtp(6), talk.to_a)
    rig.run()
    assert rig.stats(side="a").latched == talk.a.address
    assert len(talk.b.received()) == 4
    for number in (6, 7, 8):
        elsewhere.send(sealed(talk.a_says, rtp(number)), talk.to_a)
        rig.run()
    assert talk.b.received() == [rtp(6), rtp(7), rtp(8)]
    assert rig.stats(side="a").latched == elsewhere.address
    talk.b.send(rtp(1), talk.to_b)
    rig.run()
    assert (len(elsewhere.received()), talk.a.received()) == (1, [])
    talk.a.send(old[4], talk.to_a)  # late, and from where it was: no reason to go back
    rig.run()
    assert rig.stats(side="a").latched == elsewhere.address


def test_without_nat_nobody_is_followed(rig):
    talk = Secure(rig)
    talk.a_sends(rtp(1))
    elsewhere = rig.peer("127.0.6.8")
    elsewhere.send(sealed(talk.a_says, rtp(2)), talk.to_a)
    rig.run()
    assert talk.b.received() == [rtp(1)]
    assert rig.dropped("a") == {"wrong_source": 1}


def test_another_key_opens_the_window_again(rig):
    talk = Secure(rig, a={"nat": True})
    talk.a_sends(rtp(1))
    new = Srtp(SUITE, key_of(SUITE, 5))
    talk.end_a = replace(talk.end_a, srtp_in=new)
    talk.apply()
    talk.b.send(rtp(1), talk.to_b)
    rig.run()
    assert len(talk.a.received()) == 1  # it may have nothing to say, and still wants to hear
    elsewhere, talk.a_says = rig.peer("127.0.6.1"), session(new)
    elsewhere.send(sealed(talk.a_says, rtp(2)), talk.to_a)
    talk.b.received()
    rig.run()
    assert talk.b.received() == [rtp(2)]
    talk.b.send(rtp(2), talk.to_b)
    rig.run()
    assert (len(elsewhere.received()), talk.a.received()) == (1, [])


def test_a_source_that_numbers_anew_behind_a_packet_of_another_one_is_heard(rig):
    talk = Secure(rig)
    opens = new_session(SUITE, talk.keys["a"][1].key)
    packets = [rtp(30_000 + n, ssrc=1) for n in range(5)]
    packets += [rtp(900, ssrc=2), *(rtp(20_000 + n, ssrc=1) for n in range(5))]
    packets += [rtp(901, ssrc=2), *(rtp(20_005 + n, ssrc=1) for n in range(5))]
    for packet in packets:
        talk.b.send(packet, talk.to_b)
        rig.run()
    numbers = [opens.unprotect(packet)[2:4] for packet in talk.a.received()]
    ours = [int.from_bytes(one, "big") for one in numbers if one[0] >> 4 == 7]
    assert ours == [30_000 + n for n in range(14)]  # the first may have been a stray
    assert rig.dropped("b") == {"sequence": 1}


def test_a_late_packet_behind_one_of_another_source_changes_no_number(rig):
    talk = Secure(rig)
    opens = new_session(SUITE, talk.keys["a"][1].key)
    packets = [rtp(30_000 + n, ssrc=1) for n in range(5)]
    packets += [rtp(900, ssrc=2), rtp(29_890, ssrc=1), *(rtp(30_005 + n, ssrc=1) for n in range(5))]
    for packet in packets:
        talk.b.send(packet, talk.to_b)
        rig.run()
    numbers = [opens.unprotect(packet)[2:4] for packet in talk.a.received()]
    ours = [int.from_bytes(one, "big") for one in numbers if one[0] >> 4 == 7]
    assert ours == [30_000 + n for n in range(10)]
    assert rig.dropped("b") == {"sequence": 1}
