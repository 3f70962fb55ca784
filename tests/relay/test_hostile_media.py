"""Peers of a call that mean harm, and strangers who have recorded it: on each fast path."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from relay.control.messages import Event, Inject, Srtp
from relay.dtmf import DigitReceiver, DigitSender
from relay.rtp.session import SrtpSession
from relay.rtp.srtp import new_session
from tests.relay.conformance.conftest import FAST_PATHS
from tests.relay.rig import Peer, Rig, Talk, rtp
from tests.relay.srtp_tools import key_of, sealed, sealed_rtcp, sender_report

SUITES = ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32", "AEAD_AES_128_GCM")
BYE = struct.pack("!BBHI", 0x81, 203, 1, 0x1234)
EVENTS = 101


@pytest.fixture(params=["python", pytest.param("native", marks=pytest.mark.native)])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    rig = Rig(FAST_PATHS[request.param])
    yield rig
    rig.close()


class Secure:
    """A call whose side A is SRTP, behind NAT or not, and in full swing."""

    def __init__(self, rig: Rig, suite: str, *, nat: bool) -> None:
        self.rig = rig
        key = Srtp(suite, key_of(suite, 1))
        self.talk = Talk(rig, a={"nat": nat, "srtp_in": key, "srtp_out": key})
        self.session = new_session(suite, key.key)
        self.wire: list[bytes] = []
        """All that A has sent."""
        for number in range(1, 6):
            self.speak(number)
        rig.run(0.06)  # the learn window
        for number in range(6, 11):
            self.speak(number)
        self.talk.a_rtcp.send(self.report(), self.rtcp_port)
        rig.run()
        assert len(self.talk.b.received()) == 10
        assert len(self.talk.b_rtcp.received()) == 1

    @property
    def rtcp_port(self) -> tuple[str, int]:
        return self.talk.to_a[0], self.talk.to_a[1] + 1

    def speak(self, number: int) -> None:
        self.wire.append(sealed(self.session, rtp(number)))
        self.talk.a.send(self.wire[-1], self.talk.to_a)
        self.rig.run()

    def report(self) -> bytes:
        return sealed_rtcp(self.session, sender_report())

    def harmed_by(self, packets: list[bytes], sender: Peer) -> int:
        """How many of these reach B, or A as answers to them, in RTP or RTCP."""
        for packet in packets:
            sender.send(packet, self.talk.to_a)
            sender.send(packet, self.rtcp_port)
        self.rig.run()
        self.talk.b.send(rtp(500), self.talk.to_b)
        self.rig.run()
        reached = len(self.talk.b.received()) + len(self.talk.b_rtcp.received())
        if sender not in (self.talk.a, self.talk.a_rtcp):
            reached += len(sender.received())
        assert len(self.talk.a.received()) == 1, "B is still heard where A is"
        return reached


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("nat", [False, True])
@pytest.mark.parametrize("from_peer", [False, True])
def test_what_no_key_has_made_or_has_come_before_is_nothing(rig, suite, nat, from_peer):
    call = Secure(rig, suite, nat=nat)
    stranger = new_session(suite, key_of(suite, 9))
    last = call.wire[-1]
    packets = [
        *call.wire,
        *(sealed(stranger, rtp(number)) for number in range(8, 14)),
        *(last[:-cut] for cut in (1, 4, 10, 16)),
        *(
            last[:at] + bytes((last[at] ^ 1,)) + last[at + 1 :]
            for at in (1, 3, 8, 12, len(last) - 1)
        ),
        last + bytes(4),
        rtp(11),
        sealed_rtcp(stranger, BYE),
        sealed_rtcp(stranger, sender_report()),
        BYE,
        sender_report() + BYE,
    ]
    assert call.harmed_by(packets, call.talk.a if from_peer else rig.peer("127.0.6.9")) == 0
    call.speak(11)
    assert call.talk.b.received() == [rtp(11)]
    assert rig.stats(side="a").lost == 0


@pytest.mark.parametrize("suite", SUITES)
def test_a_recording_moves_nothing_and_the_peer_itself_does(rig, suite):
    call = Secure(rig, suite, nat=True)
    thief, phone = rig.peer("127.0.6.9"), rig.peer("127.0.6.8")
    assert call.harmed_by(call.wire, thief) == 0
    phone.send(sealed(call.session, rtp(11)), call.talk.to_a)
    rig.run()
    assert call.talk.b.received() == [rtp(11)]
    call.talk.b.send(rtp(600), call.talk.to_b)
    rig.run()
    assert (len(phone.received()), call.talk.a.received()) == (1, [])
    thief.send(sealed(call.session, rtp(12)), call.talk.to_a)  # at once: it would be a see-saw
    rig.run()
    assert thief.received() == []


@pytest.mark.parametrize("suite", SUITES)
def test_another_source_with_the_key_is_the_peers(rig, suite):
    """RFC 3711 §3.2.3: a key may serve several SSRCs; each has a window of its own."""
    call = Secure(rig, suite, nat=False)
    other = sealed(call.session, rtp(7, ssrc=0x77))
    for packet in (other, other, other):
        call.talk.a.send(packet, call.talk.to_a)
    rig.run()
    assert call.talk.b.received() == [rtp(7, ssrc=0x77)]


@pytest.mark.parametrize("nat", [False, True])
@pytest.mark.parametrize("suite", SUITES)
def test_what_was_made_with_the_key_before_is_dropped_once_there_is_another(rig, suite, nat):
    call = Secure(rig, suite, nat=nat)
    late = [sealed(call.session, rtp(number)) for number in range(11, 15)]
    call.talk.end_a = replace(call.talk.end_a, srtp_in=Srtp(suite, key_of(suite, 2)))
    call.talk.apply()
    for packet in call.wire:
        call.talk.a.send(packet, call.talk.to_a)
    for packet in (*late, *call.wire):
        rig.peer("127.0.6.9").send(packet, call.talk.to_a)
    rig.run()
    assert call.talk.b.received() == []
    fresh: SrtpSession = new_session(suite, key_of(suite, 2))
    call.talk.a.send(sealed(fresh, rtp(15)), call.talk.to_a)
    rig.run()
    assert call.talk.b.received() == [rtp(15)]
    assert call.harmed_by([*late, *call.wire], rig.peer("127.0.6.9")) == 0


# Digits


def event(code: int, duration: int = 1) -> bytes:
    return struct.pack("!BBH", code, 0x8A, duration)


def test_a_packet_full_of_digits_tells_of_few(rig):
    """Each one that is told costs signalling more than its four bytes cost the sender."""
    talk = Talk(
        rig,
        a={"dtmf_pt": EVENTS, "dtmf_reported": [EVENTS], "clock_rates": {0: 8000, EVENTS: 8000}},
    )
    for number in range(1, 41):
        many = b"".join(event(code % 16) for code in range(350))
        talk.a.send(rtp(number, many, payload_type=EVENTS), talk.to_a)
        rig.run()
    told = [body for kind, body in rig.events if kind == Event.DTMF]
    assert 1 <= len(told) < 80


def test_no_more_digits_are_told_of_than_can_be_dialled():
    receiver, told = DigitReceiver(), 0
    for number in range(1000):  # one each 10 ms
        packet = event(number % 16, 80)
        told += len(receiver.packet(packet, 1, number * 80, 8000, number / 100))
    assert 200 < told <= 50 + 25 * 10 + 1


def test_digits_that_nobody_waits_for_do_not_pile_up(rig):
    talk = Talk(rig, b={"dtmf_pt": EVENTS, "clock_rates": {0: 8000, EVENTS: 8000}})
    for number in range(1, 200):
        rig.service.inject(Inject("call", 0, "b", number, "5" * 8, 8000), time.monotonic())
    rig.run()
    sender = DigitSender(8000)
    for _ in range(100):
        sender.add("0123456789", 8000, 0.0)
    assert len(sender._queue) == 64
    assert talk.b.received()
