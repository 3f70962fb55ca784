"""Floods of strangers, most of all before a peer has said anything: it is heard all the same."""

from __future__ import annotations

import socket
import time
from dataclasses import replace

import pytest

from relay import floods
from relay.control.messages import Srtp
from relay.policer import Policer
from relay.rtp.srtp import new_session
from relay.sockets import empty, let_in
from tests.relay.rig import Peer, Rig, Talk, bind_pairs, rtp
from tests.relay.srtp_tools import key_of, sealed, sender_report

SUITE = "AES_CM_128_HMAC_SHA1_80"
NOWHERE = ("127.0.6.99", 9000)
BURST = 700
"""More than a port is given time for, and more than a socket's buffer holds."""


def burst(rig: Rig, stranger: Peer, port: tuple[str, int], count: int = BURST) -> None:
    for number in range(count):
        stranger.send(rtp(number), port)
        if number % 50 == 49:
            rig.run()


def heard(talk: Talk, peer: Peer, count: int = 10) -> int:
    """How many packets of B, 20 ms apart, come out where A is."""
    found = 0
    for number in range(count):
        peer.send(rtp(number, b"from b"), talk.to_b)
        talk.rig.run(0.02)
        found += len(talk.a.received())
    return found


def flood_of(rig: Rig) -> floods.Floods:
    return rig.service.slowpath.floods


# before the latch


@pytest.mark.parametrize("nat", [{"nat": False}, {"nat": False, "asymmetric": True}])
def test_no_flood_stands_before_a_peer_whose_address_is_known(rig, nat):
    talk, stranger = Talk(rig, b=nat), rig.peer("127.0.6.9")
    for number in range(BURST):  # all of it at once: the socket for everybody overflows
        stranger.send(rtp(number), talk.to_b)
    assert heard(talk, talk.b) == 10
    assert rig.stats(side="b").latched == talk.b.address


@pytest.mark.parametrize("at_once", [False, True])
def test_a_peer_behind_nat_is_heard_at_once_where_its_host_may_be_believed(rig, at_once):
    talk = Talk(rig, b={"nat": True, "sip_source": "127.0.6.7"})
    talk.end_b = replace(talk.end_b, remote=NOWHERE)
    talk.apply()
    stranger, phone = rig.peer("127.0.6.9"), rig.peer("127.0.6.7")
    if at_once:
        for number in range(BURST):
            stranger.send(rtp(number), talk.to_b)
        rig.run()
    else:
        burst(rig, stranger, talk.to_b)
    burst(rig, stranger, talk.to_b)
    assert heard(talk, phone) == 10
    assert (flood_of(rig).shut, flood_of(rig).mutes) == (1, 0)


def test_rtcp_finds_its_way_through_a_flood(rig):
    talk, stranger = Talk(rig), rig.peer("127.0.6.9")
    rtcp_port = talk.to_b[0], talk.to_b[1] + 1
    burst(rig, stranger, rtcp_port)
    talk.b_rtcp.send(sender_report(), rtcp_port)
    rig.run()
    assert len(talk.a_rtcp.received()) == 1


def test_others_are_shut_out_for_a_second_only_where_a_key_may_prove_them_right(rig, monkeypatch):
    monkeypatch.setattr(floods, "_SHUT_TO_PROOF_S", 0.05)
    key = Srtp(SUITE, key_of(SUITE))
    talk = Talk(rig, b={"nat": True, "srtp_in": key})
    session = new_session(SUITE, key.key)
    stranger, phone = rig.peer("127.0.6.9"), rig.peer("127.0.6.8")
    burst(rig, stranger, talk.to_b)
    phone.send(sealed(session, rtp(1)), talk.to_b)
    rig.run()
    assert talk.a.received() == []
    rig.run(0.06)
    phone.send(sealed(session, rtp(2)), talk.to_b)
    rig.run()
    assert talk.a.received() == [rtp(2)]
    burst(rig, stranger, talk.to_b)  # it has a socket of its own now, provisional as it is
    phone.send(sealed(session, rtp(3)), talk.to_b)
    rig.run()
    assert talk.a.received() == [rtp(3)]


def test_whom_signalling_names_later_is_let_in_at_once(rig):
    """Before the answer nobody is believed; then somebody is, whom nobody could have let in."""
    talk = Talk(rig, b={"nat": True})
    talk.end_b = replace(talk.end_b, remote=None)
    talk.apply()
    burst(rig, rig.peer("127.0.6.9"), talk.to_b)
    assert heard(talk, talk.b) == 0
    talk.end_b = replace(talk.end_b, remote=talk.b.address)
    talk.apply()
    assert heard(talk, talk.b) == 10


# after it, and forged


def test_strangers_are_counted_whoever_turns_them_away(rig):
    talk, stranger = Talk(rig), rig.peer("127.0.6.3")
    talk.both_speak()
    talk.a.received()
    burst(rig, stranger, talk.to_a, 900)
    assert flood_of(rig).shut == 1
    assert rig.service.slowpath.punts < 500
    assert rig.dropped("a") == {"wrong_source": 900}
    assert heard(talk, talk.b) == 10
    burst(rig, stranger, talk.to_a, 50)
    assert rig.service.remove("call", time.monotonic()).streams[0].a.dropped == {
        "wrong_source": 950
    }


def test_all_are_let_in_again_after_a_while(rig, monkeypatch):
    monkeypatch.setattr(floods, "_SHUT_S", 0.05)
    talk, stranger = Talk(rig), rig.peer("127.0.6.3")
    burst(rig, stranger, talk.to_a)
    rig.run(0.06)
    punts = rig.service.slowpath.punts
    burst(rig, stranger, talk.to_a, 1)
    rig.run()
    assert rig.service.slowpath.punts == punts + 1
    assert rig.dropped("a") == {"wrong_source": BURST + 1}


@pytest.mark.parametrize("filters", [True, False])
def test_a_flood_that_no_host_tells_apart_has_the_port_left_alone(rig, monkeypatch, filters):
    """From the host of the peer itself, or where the kernel has no filters for us."""
    if not filters:
        monkeypatch.setattr(floods, "let_in", lambda rx, hosts: False)
    talk, forger = Talk(rig, b={"nat": True}), rig.peer("127.0.6.2" if filters else "127.0.6.9")
    talk.both_speak()
    talk.a.received()
    burst(rig, forger, talk.to_b, 1200)
    assert (flood_of(rig).shut, flood_of(rig).mutes) == (int(filters), 1)
    assert heard(talk, talk.b, 3) == 3
    punts = rig.service.slowpath.punts
    burst(rig, forger, talk.to_b, 200)
    assert rig.service.slowpath.punts == punts
    rig.run(0.26)
    assert rig.service.slowpath.punts == punts, "what stood in it is gone"
    burst(rig, forger, talk.to_b, 1)
    rig.run()
    assert rig.service.slowpath.punts == punts + 1


@pytest.mark.parametrize("secure", [False, True])
def test_who_forges_the_address_of_rtcp_does_not_keep_the_slow_path_busy(rig, secure):
    """No fast path polices that port. The stream itself is beside it."""
    key = Srtp(SUITE, key_of(SUITE)) if secure else None
    talk = Talk(rig, b={"srtp_in": key})
    rtcp_port = talk.to_b[0], talk.to_b[1] + 1
    for number in range(2000):
        talk.b_rtcp.send((sender_report(), rtp(number), b"junk")[number % 3], rtcp_port)
        if number % 50 == 49:
            rig.run()
    assert rig.service.slowpath.punts < 1400
    assert flood_of(rig).mutes >= 1
    session = new_session(SUITE, key_of(SUITE))
    for number in range(5):
        packet = rtp(number)
        talk.b.send(sealed(session, packet) if secure else packet, talk.to_b)
        rig.run()
    assert len(talk.a.received()) == 5


def test_who_forges_the_address_of_media_before_the_latch_gets_no_more_time_than_media(rig):
    key = Srtp(SUITE, key_of(SUITE))
    talk = Talk(rig, b={"srtp_in": key, "rate_pps": 50, "rate_bps": 10_000})
    burst(rig, talk.b, talk.to_b, 2000)
    assert rig.service.slowpath.punts < 600, "three times the nominal rate, and two seconds of it"
    assert not flood_of(rig).shut
    session = new_session(SUITE, key.key)
    for number in range(10):
        talk.b.send(sealed(session, rtp(number)), talk.to_b)
        rig.run(0.02)
    assert len(talk.a.received()) >= 9
    assert rig.stats(side="b").latched == talk.b.address


def test_where_all_ports_are_flooded_each_is_shut_at_once(rig):
    talk = Talk(rig, b={"nat": True, "sip_source": "127.0.6.7"})
    flood_of(rig)._all = Policer(1.0, 20.0, time.monotonic())
    stranger, phone = rig.peer("127.0.6.9"), rig.peer("127.0.6.7")
    ports = [(host, port + offset) for host, port in (talk.to_a, talk.to_b) for offset in (0, 1)]
    for number in range(100):
        for port in ports:
            stranger.send(rtp(number), port)
        rig.run()
    assert (flood_of(rig).shut, flood_of(rig).mutes) == (4, 0)
    assert rig.service.slowpath.punts < 100
    assert heard(talk, phone) == 10


def test_a_port_whose_peer_may_come_from_anywhere_is_listened_to_even_then(rig):
    key = Srtp(SUITE, key_of(SUITE))
    talk = Talk(rig, b={"nat": True, "srtp_in": key})
    flood_of(rig)._all = Policer(1.0, 20.0, time.monotonic())
    burst(rig, rig.peer("127.0.6.9"), talk.to_a, 100)
    burst(rig, rig.peer("127.0.6.9"), talk.to_b, 100)
    assert flood_of(rig).shut == 1
    session = new_session(SUITE, key.key)
    rig.peer("127.0.6.8").send(sealed(session, rtp(1)), talk.to_b)
    rig.run()
    assert talk.a.received() == [rtp(1)]


# ports that nobody uses


def test_a_port_that_no_call_uses_holds_next_to_nothing(rig):
    """Thousands of them full would leave no memory for the sockets of calls."""
    talk = Talk(rig)
    stranger, rx = rig.peer("127.0.6.9"), rig.desk.rx[talk.to_b]
    usual = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    room = usual.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    usual.close()
    assert rx.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == room
    for key, unused in rig.desk.rx.items():
        if key not in (talk.to_a, talk.to_b) and key[1] % 2 == 0:
            assert unused.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) < 10_000
    rig.service.remove("call", time.monotonic())
    for number in range(300):
        stranger.send(rtp(number), talk.to_b)
    assert empty(rx) < 10


def test_the_next_call_on_a_port_knows_nothing_of_a_flood(rig):
    talk = Talk(rig)
    burst(rig, rig.peer("127.0.6.9"), talk.to_b)
    rig.service.remove("call", time.monotonic())
    rx = rig.desk.rx[talk.to_b]
    rig.peer("127.0.6.9").send(rtp(1), talk.to_b)
    assert empty(rx) == 1
    burst(rig, rig.peer("127.0.6.9"), talk.to_b)
    rig.run(0.01)
    assert flood_of(rig).shut == 1


def test_a_flood_under_which_a_worker_has_died_is_forgotten(rig):
    ports, sockets = bind_pairs("127.0.5.2", 1)
    rig.sockets += sockets
    for rx in sockets:
        assert let_in(rx, ["127.0.6.99"])
    rig.desk.add_block("outside", "127.0.5.2", ports, -1, sockets, time.monotonic())
    rig.peer("127.0.6.9").send(rtp(1), sockets[0].getsockname())
    assert empty(sockets[0]) == 1


# the filter


@pytest.mark.parametrize(
    ("ours", "sources"),
    [
        ("127.0.0.1", ["127.0.6.1", "127.0.6.2", "127.0.6.3"]),
        ("::1", ["::1"]),
    ],
)
def test_the_kernel_lets_in_whom_it_is_told(ours, sources):
    family = socket.AF_INET6 if ":" in ours else socket.AF_INET
    rx = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    peers = [Peer(source) for source in sources]
    rx.bind((ours, 0))
    others = ["::2", "1::1", "127.0.6.8"]
    try:
        for allowed in ([], sources[:1], sources[1:], sources, sources[::-1]):
            assert let_in(rx, others + allowed)
            for peer in peers:
                peer.send(b"x" * 300, rx.getsockname()[:2])
            for peer in peers:
                if peer.address[0] in allowed:
                    assert rx.recvfrom(500)[0:1] == (b"x" * 300,)
            with pytest.raises(BlockingIOError):
                rx.recv(500)
        assert not let_in(rx, ["fe80::1%lo"] if family == socket.AF_INET6 else ["nobody"])
    finally:
        for one in (rx, *peers):
            one.close()
