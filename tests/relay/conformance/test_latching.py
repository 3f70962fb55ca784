"""Whom a port believes, through real sockets (design of the latch: relay.latch)."""

from __future__ import annotations

import socket
import time
from dataclasses import replace

import pytest

from relay.control.messages import Event
from tests.relay.rig import Peer, Rig, Talk, peer_pair, rtp

_SO_RCVBUFFORCE = 33
NOWHERE = ("127.0.6.99", 9000)


def behind_nat(rig: Rig, **more: object) -> Talk:
    """A's SDP names an address that its packets do not come from."""
    talk = Talk(rig, a={"nat": True, **more})
    talk.end_a = replace(talk.end_a, remote=NOWHERE)
    talk.apply()
    return talk


def speak(rig: Rig, peer: Peer, talk: Talk, number: int = 1) -> int:
    """How many of one packet to A's port come out at B's peer."""
    peer.send(rtp(number), talk.to_a)
    rig.run()
    return len(talk.b.received())


def test_the_signalled_address_locks_at_once(rig):
    talk, other = Talk(rig, a={"nat": True}), rig.peer("127.0.6.1")
    assert speak(rig, talk.a, talk) == 1
    assert speak(rig, other, talk) == 0
    assert rig.stats(side="a").latched == talk.a.address


def test_another_port_of_the_signalled_address_is_believed_behind_nat(rig):
    talk, other = Talk(rig, a={"nat": True}), rig.peer("127.0.6.1")
    assert speak(rig, other, talk) == 1
    talk.b.send(rtp(1), talk.to_b)
    rig.run()
    assert len(other.received()) == 1
    assert talk.a.received() == []


def test_the_host_that_sip_comes_from_is_believed_behind_nat(rig):
    talk, phone = behind_nat(rig, sip_source="127.0.6.7"), rig.peer("127.0.6.7")
    assert speak(rig, phone, talk) == 1
    talk.b.send(rtp(1), talk.to_b)
    rig.run()
    assert len(phone.received()) == 1


@pytest.mark.parametrize("latch_any", [False, True])
def test_any_other_is_believed_only_where_the_plan_says_so(rig, latch_any):
    talk = behind_nat(rig, sip_source="127.0.6.7", latch_any=latch_any)
    assert speak(rig, rig.peer("127.0.6.8"), talk) == latch_any


def test_the_best_of_the_window_wins_and_then_locks(rig):
    talk = behind_nat(rig, sip_source="127.0.6.7", latch_any=True)
    anybody, phone = rig.peer("127.0.6.8"), rig.peer("127.0.6.7")
    assert speak(rig, anybody, talk) == 1
    assert speak(rig, phone, talk) == 1
    assert speak(rig, anybody, talk) == 0
    time.sleep(0.06)
    assert speak(rig, phone, talk) == 1
    assert rig.stats(side="a").latched == phone.address
    latched = [body for event, body in rig.events if event == Event.LATCHED]
    assert latched == [["call", 0, "a", *phone.address]]


def test_the_window_closes_on_the_best_so_far(rig):
    talk = behind_nat(rig, sip_source="127.0.6.7", latch_any=True)
    anybody, phone = rig.peer("127.0.6.8"), rig.peer("127.0.6.7")
    assert speak(rig, anybody, talk) == 1
    time.sleep(0.06)
    assert speak(rig, phone, talk) == 0
    assert speak(rig, anybody, talk) == 1


def test_a_locked_stream_reopens_only_with_another_signalled_address(rig):
    talk = Talk(rig, a={"nat": True}, b={"nat": True})
    talk.both_speak()
    talk.b.received(), talk.a.received()
    new, new_rtcp = peer_pair("127.0.6.1")
    rig.peers += (new, new_rtcp)
    assert speak(rig, new, talk) == 0
    talk.apply()  # the same address again: nothing changes
    assert speak(rig, new, talk) == 0
    talk.end_a = replace(talk.end_a, remote=new.address)
    talk.apply()
    assert speak(rig, new, talk) == 1
    assert speak(rig, talk.a, talk) == 0
    talk.b.send(rtp(9), talk.to_b)
    rig.run()
    assert (len(new.received()), talk.a.received()) == (1, [])
    assert rig.stats(side="b").latched == talk.b.address


@pytest.mark.parametrize("refused", [False, True], ids=["", "an error waits"])
def test_a_peer_that_has_moved_is_heard_alone_whatever_the_former_one_sends(rig, refused):
    talk = Talk(rig)
    talk.both_speak(20)
    talk.b.received()
    new, new_rtcp = peer_pair("127.0.6.1")
    rig.peers += (new, new_rtcp)
    if refused:  # ICMP, and the socket that is now the new one's has it
        talk.a.close()
        talk.b.send(rtp(4), talk.to_b)
    for number in range(40):
        if not refused:
            talk.a.send(rtp(10 + number, b"former"), talk.to_a)
        new.send(rtp(50 + number, b"new"), talk.to_a)
    if rig.forwarder.name == "native":
        rig.run()  # its thread is at it already; where there is none, all of this waits
    before = talk.b.received()
    talk.end_a = replace(talk.end_a, remote=new.address, remote_rtcp=new_rtcp.address)
    talk.apply()
    rig.run()
    after = talk.b.received()
    assert not any(data.endswith(b"former") for data in after)
    for number in range(40):
        if not refused:
            talk.a.send(rtp(100 + number, b"former"), talk.to_a)
        new.send(rtp(200 + number, b"new"), talk.to_a)
        rig.run()
    assert talk.b.received() == [rtp(200 + number, b"new") for number in range(40)]
    wrong = rig.dropped("a").get("wrong_source", 0)
    assert wrong >= (0 if refused else 40)
    assert len(before) + len(after) + wrong == (80 if refused else 160) - 40
    talk.b.send(rtp(9), talk.to_b)
    rig.run()
    assert new.received()[-1] == rtp(9)


def test_however_much_the_former_peer_has_left_nothing_of_it_is_the_new_ones(rig):
    """More than is looked at in one go, as sysctl net.core.rmem_default can make room for."""
    talk = Talk(rig)
    talk.both_speak(20)
    new, new_rtcp = peer_pair("127.0.6.1")
    rig.peers += (new, new_rtcp)
    if rig.forwarder.name == "native":
        pytest.skip("its thread leaves nothing waiting, and its socket is not to be had")
    tx = rig.forwarder._ports[talk.to_a].tx
    try:
        tx.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 24)
    except PermissionError:
        pytest.skip("CAP_NET_ADMIN is missing")
    for number in range(6000):
        talk.a.send(rtp(21 + number, b"former"), talk.to_a)
    talk.b.received()
    talk.end_a = replace(talk.end_a, remote=new.address, remote_rtcp=new_rtcp.address)
    talk.apply()
    rig.run()
    assert talk.b.received() == []
    assert rig.dropped("a") == {"wrong_source": 6000}
    assert speak(rig, new, talk, 9) == 1


def test_nobody_else_can_have_a_port_that_is_in_use(rig):
    talk = Talk(rig)
    talk.both_speak(20)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as third:
        third.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with pytest.raises(OSError, match="in use"):
            third.bind(talk.to_a)


def test_a_changed_address_of_one_stream_leaves_the_other_end_locked(rig):
    talk, other = Talk(rig), rig.peer("127.0.6.2")
    talk.both_speak()
    talk.end_a = replace(talk.end_a, remote=NOWHERE)
    talk.apply()
    talk.a.received()
    other.send(rtp(4), talk.to_b)
    talk.b.send(rtp(4), talk.to_b)
    rig.run()
    assert rig.dropped("b") == {"wrong_source": 1}
    assert rig.stats(side="b").packets == 4
    assert talk.a.received() == []


def test_an_unknown_peer_is_not_believed(rig):
    talk = Talk(rig)
    talk.end_a = replace(talk.end_a, remote=None)
    talk.apply()
    assert speak(rig, talk.a, talk) == 0


def test_rtcp_latches_apart(rig):
    talk = Talk(rig, a={"nat": True})
    assert speak(rig, talk.a, talk) == 1
    lanes = rig.service.calls["call"].lanes
    assert [lane.latch.locked for lane in lanes] == [True, False, False, False]


def test_an_asymmetric_peer_is_heard_and_gets_packets_where_it_said(rig):
    talk, sender = Talk(rig, a={"asymmetric": True}), rig.peer("127.0.6.1")
    assert speak(rig, sender, talk, 1) == 1
    time.sleep(0.06)
    assert speak(rig, sender, talk, 2) == 1
    assert speak(rig, sender, talk, 3) == 1
    talk.b.send(rtp(1), talk.to_b)
    rig.run()
    talk.b.send(rtp(2), talk.to_b)
    rig.run()
    assert len(talk.a.received()) == 2
    assert sender.received() == []
    assert speak(rig, rig.peer("127.0.6.8"), talk, 4) == 0


def test_a_peer_is_found_in_spite_of_a_flood(rig):
    talk, stranger = Talk(rig, a={"nat": True}), rig.peer("127.0.6.3")
    deadline = time.monotonic() + 5
    number = 0
    while not talk.b.received():
        assert time.monotonic() < deadline
        for _ in range(20):
            stranger.send(rtp(number), talk.to_a)
        talk.a.send(rtp(number), talk.to_a)
        number += 1
        rig.run()
    assert rig.stats(side="a").latched == talk.a.address


def test_latched_ipv6(fast_path):
    rig = Rig(fast_path, ours={"inside": "::1", "outside": "127.0.5.2"})
    try:
        six, four = rig.peer("::1"), rig.peer("127.0.6.2")
        talk = Talk.__new__(Talk)
        talk.rig, talk.a, talk.b, talk.revision = rig, six, four, 0
        talk.end_a = rig.end("inside", ("0:0:0:0:0:0:0:1", six.address[1]), expects=True)
        talk.end_b = rig.end("outside", four.address, expects=True)
        talk.apply()
        talk.both_speak(80)
        assert (len(six.received()), len(four.received())) == (80, 80)
        assert rig.stats(side="a").latched == six.address
        assert rig.table.read(rig.service.calls["call"].lanes[0].pair.row).source == six.address
    finally:
        rig.close()
