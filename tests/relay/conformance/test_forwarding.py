"""What a fast path does with each kind of packet (relay.forward.base)."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.control.messages import Event
from tests.relay.rig import Peer, Rig, Talk, rtp


def test_packets_cross_both_ways_unchanged(rig):
    talk = Talk(rig)
    for number in range(5):
        talk.a.send(rtp(number, bytes([number]) * 160), talk.to_a)
        talk.b.send(rtp(100 + number, bytes([number]) * 20), talk.to_b)
        rig.run()
    assert talk.b.all() == [(rtp(n, bytes([n]) * 160), talk.to_b) for n in range(5)]
    assert talk.a.all() == [(rtp(100 + n, bytes([n]) * 20), talk.to_a) for n in range(5)]
    assert rig.stats(side="a").packets == 5
    assert rig.stats(side="b").octets == 5 * 32
    assert rig.dropped("a") == rig.dropped("b") == {}


@pytest.mark.parametrize("size", [12, 13, 172, 1472, 2048, 2049, 9000])
def test_any_size_of_packet_crosses_whole(rig, size):
    talk = Talk(rig, a={"rate_pps": 50, "rate_bps": 500_000})
    for number in range(3):
        talk.a.send(rtp(number, bytes(size - 12)), talk.to_a)
        rig.run()
    assert [len(data) for data in talk.b.received()] == [size] * 3


def test_the_header_crosses_with_csrc_extension_padding_and_marker(rig):
    talk = Talk(rig)
    packets = [
        rtp(1),
        b"\x91\xe5" + rtp(2)[2:12] + b"CSRC" + b"\xbe\xde\x00\x01" + b"\x10\xff\x00\x00" + b"pay",
        b"\xa0\x00" + rtp(3)[2:] + b"\x00\x00\x00\x04",
    ]
    for packet in packets:
        talk.a.send(packet, talk.to_a)
        rig.run()
    assert talk.b.received() == packets


def test_a_peer_not_behind_nat_gets_packets_before_it_sends_any(rig):
    talk = Talk(rig)
    talk.a.send(rtp(1), talk.to_a)
    rig.run()
    assert talk.b.received() == [rtp(1)]


def test_a_peer_behind_nat_gets_none_before_it_sends_one(rig):
    talk = Talk(rig, b={"nat": True})
    talk.a.send(rtp(1), talk.to_a)
    rig.run()
    assert talk.b.received() == []
    assert rig.dropped("a") == {"unlatched": 1}
    talk.b.send(rtp(1), talk.to_b)
    rig.run()
    talk.a.send(rtp(2), talk.to_a)
    rig.run()
    assert talk.b.received() == [rtp(2)]


def test_another_address_is_refused_before_the_latch_and_after(rig):
    talk, stranger = Talk(rig), rig.peer("127.0.6.3")
    stranger.send(rtp(1), talk.to_a)
    rig.run()
    assert talk.b.received() == []
    talk.both_speak()
    talk.b.received()
    stranger.send(rtp(4), talk.to_a)
    rig.run()
    assert talk.b.received() == []
    assert rig.dropped("a") == {"wrong_source": 2}
    assert rig.stats(side="a").packets == 3


def test_another_port_is_refused_before_the_latch_and_after(rig):
    talk, stranger = Talk(rig), rig.peer("127.0.6.1")
    stranger.send(rtp(1), talk.to_a)
    rig.run()
    talk.both_speak()
    talk.b.received()
    stranger.send(rtp(4), talk.to_a)
    rig.run()
    assert talk.b.received() == []
    assert rig.dropped("a") == {"wrong_source": 2}


def test_a_stranger_gets_nothing_not_even_icmp(rig):
    talk, stranger = Talk(rig), rig.peer("127.0.6.3")
    stranger.socket.setsockopt(socket.IPPROTO_IP, 11, 1)  # IP_RECVERR
    for latched in (False, True):
        for data in (rtp(1), b"\x00\x01", b"", b"\x16\xfe\xff" + bytes(20), b"garbage" * 10):
            for offset in (0, 1):
                stranger.send(data, (talk.to_a[0], talk.to_a[1] + offset))
                rig.run()
        if not latched:
            talk.both_speak()
    assert stranger.all() == []
    assert stranger.errors() == 0
    with pytest.raises(BlockingIOError):
        stranger.socket.recvmsg(2048, 2048, socket.MSG_ERRQUEUE)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12), "stun"),
        (b"\x16\xfe\xff" + bytes(40), "dtls"),
        (b"\x80\xc8\x00\x06" + bytes(24), "rtcp_on_rtp"),
        (b"\x40" + bytes(171), "not_rtp"),
        (b"\xff" * 172, "not_rtp"),
        (b"", "not_rtp"),
        (rtp(1)[:11], "not_rtp"),
    ],
    ids=["stun", "dtls", "rtcp", "version 1", "version 3", "empty", "short"],
)
@pytest.mark.parametrize("latched", [False, True])
def test_what_is_not_rtp_does_not_cross(rig, data, reason, latched):
    talk = Talk(rig)
    if latched:
        talk.both_speak()
        talk.b.received()
    talk.a.send(data, talk.to_a)
    rig.run()
    assert talk.b.received() == []
    assert rig.dropped("a") == {reason: 1}
    talk.both_speak(start=10)
    assert len(talk.b.received()) == 3


def test_a_signalled_payload_type_that_looks_like_rtcp_crosses(rig):
    talk = Talk(rig, a={"clock_rates": {72: 8000}})
    for number in range(3):
        talk.a.send(rtp(number, payload_type=72, marker=True), talk.to_a)
        rig.run()
    assert len(talk.b.received()) == 3


def test_more_than_three_times_the_rate_is_policed(rig):
    talk = Talk(rig, a={"rate_pps": 50, "rate_bps": 8600})
    for number in range(500):
        talk.a.send(rtp(number), talk.to_a)
        if number % 50 == 49:
            rig.run()
    crossed = len(talk.b.received())
    assert 300 <= crossed <= 330  # a burst of 2 s at 3 × 50, and what refills meanwhile
    assert rig.dropped("a")["policed"] == 500 - crossed
    talk.b.send(rtp(1), talk.to_b)
    rig.run()
    assert talk.a.received() == [rtp(1)]


def test_bytes_are_policed_as_well_as_packets(rig):
    talk = Talk(rig, a={"rate_pps": 50, "rate_bps": 8600})
    for number in range(100):
        talk.a.send(rtp(number, bytes(1428)), talk.to_a)
        rig.run()
    assert 2 * 3 * 8600 // 1440 <= len(talk.b.received()) <= 2 * 3 * 8600 // 1440 + 4


def test_small_packets_are_policed_by_their_number(rig):
    talk = Talk(rig, a={"rate_pps": 50, "rate_bps": 8600})
    for number in range(500):
        talk.a.send(rtp(number, b""), talk.to_a)
        if number % 50 == 49:
            rig.run()
    assert 300 <= len(talk.b.received()) <= 330


def test_a_held_peer_gets_nothing_until_it_is_resumed(rig):
    talk = Talk(rig)
    talk.both_speak()
    talk.b.received()
    talk.end_b = replace(talk.end_b, may_receive=False)
    talk.apply()
    talk.both_speak(start=4)
    assert talk.b.received() == []
    assert len(talk.a.received()) == 6
    assert rig.dropped("a") == {"held": 3}
    talk.end_b = replace(talk.end_b, may_receive=True)
    talk.apply()
    talk.both_speak(start=7)
    assert len(talk.b.received()) == 3
    assert rig.stats(side="a").lost == 0


def test_a_port_without_a_call_swallows_everything(rig):
    key, peer = rig.lease("inside"), rig.peer("127.0.6.1")
    peer.send(rtp(1), key)
    rig.run()
    assert peer.all() == []


def test_what_came_to_a_port_before_its_call_is_discarded(rig):
    key, stranger = rig.lease("inside"), rig.peer("127.0.6.3")
    for number in range(20):
        stranger.send(rtp(number), key)
    rig.desk.give_back([key], "test")
    for _ in range(16):
        talk = Talk(rig)
        if talk.to_a == key:
            break
        rig.service.remove("call", 0.0)
    rig.run()
    assert rig.dropped("a") == {}


def test_removal_while_traffic_flows_stops_it(rig):
    talk = Talk(rig)
    talk.both_speak()
    talk.a.received(), talk.b.received()
    talk.a.send(rtp(50), talk.to_a)
    stats = rig.service.remove("call", 0.0)
    for number in range(5):
        talk.a.send(rtp(51 + number), talk.to_a)
        talk.b.send(rtp(51 + number), talk.to_b)
    rig.run()
    in_time = talk.b.received()  # a thread of its own may have had the first one before
    assert in_time in ([], [rtp(50)])
    assert talk.a.all() == []
    assert 3 <= stats.streams[0].a.packets <= 3 + len(in_time)
    assert len(rig.forwarder) == 0


def test_the_next_call_on_a_port_gets_nothing_of_the_last(fast_path):
    rig = Rig(fast_path, pairs=1)
    try:
        first = Talk(rig)
        first.both_speak()
        rig.service.remove("call", 0.0)
        first.a.send(rtp(99), first.to_a)
        second = Talk(rig)
        assert second.to_a == first.to_a
        first.a.send(rtp(100), first.to_a)
        rig.run()
        second.both_speak()
        assert [len(data) for data in second.b.received()] == [132] * 3
        assert rig.stats(side="a").packets == 3
        assert rig.dropped("a") == {"wrong_source": 1}
        lane = rig.service.calls["call"].lanes[0]
        assert lane.pair.generation == 2
        assert rig.table.read(lane.pair.row).generation == 2
    finally:
        rig.close()


def test_flushing_the_fast_path_loses_no_packet(rig):
    talk = Talk(rig)
    for number in range(10):
        talk.a.send(rtp(number), talk.to_a)
        rig.run()
        rig.forwarder.flush()
        talk.b.send(rtp(number), talk.to_b)
        rig.run()
    assert len(talk.b.received()) == len(talk.a.received()) == 10
    assert rig.stats(side="a").packets == 10
    assert rig.stats(side="a").lost == 0
    assert len([event for event, _ in rig.events if event == Event.LATCHED]) == 2


def test_packets_keep_their_order_over_the_latch(rig):
    talk = Talk(rig)
    for number in range(30):
        talk.a.send(rtp(number), talk.to_a)
    rig.run()
    assert talk.b.received() == [rtp(number) for number in range(30)]


def test_packets_are_counted_by_sequence_number(rig):
    talk = Talk(rig)
    for number in (65533, 65534, 65535, 65537, 65538, 65538, 65540):
        talk.a.send(rtp(number), talk.to_a)
        rig.run()
    stats = rig.stats(side="a")
    assert (stats.packets, stats.lost, stats.payload_types) == (7, 1, [0])
    assert stats.ssrc == 0x1234
    assert stats.latched == talk.a.address


def test_a_closed_port_costs_no_packet_once_it_is_open_again(rig):
    talk = Talk(rig)
    talk.both_speak()
    host, port = talk.b.address
    talk.b.close()
    for number in range(4, 10):
        talk.a.send(rtp(number), talk.to_a)
        if number % 2:
            rig.run()
    assert rig.dropped("a").get("unsent", 0) == 0
    rig.peers.remove(talk.b)
    talk.b = Peer(host, port)
    rig.peers.append(talk.b)
    for number in range(10, 16):
        talk.a.send(rtp(number), talk.to_a)
        rig.run()
    assert talk.b.received() == [rtp(number) for number in range(10, 16)]
    talk.b.send(rtp(4), talk.to_b)
    rig.run()
    assert rtp(4) in talk.a.received()


def test_an_error_of_the_kernel_is_no_packet(rig):
    talk = Talk(rig)
    talk.both_speak()
    talk.a.received()
    talk.b.close()
    rig.peers.remove(talk.b)
    for number in range(4, 10):
        talk.a.send(rtp(number), talk.to_a)
        rig.run()
    assert talk.a.received() == []
    assert rig.stats(side="b").packets == 3


def test_long_streams_of_many_calls_cross_in_order_and_whole(rig):
    """So long that the first packets, which a fast path may look at more closely, are past."""
    talks = [Talk(rig, call=f"call-{number}") for number in range(3)]
    there, back = (
        [
            [
                rtp(number, bytes([first + index]) * (3000 if number % 50 == 9 else 160))
                for number in range(200)
            ]
            for index in range(3)
        ]
        for first in (0, 9)
    )
    for start in range(0, 200, 4):
        for number in range(start, start + 4):
            for index, talk in enumerate(talks):
                talk.a.send(there[index][number], talk.to_a)
                talk.b.send(back[index][number], talk.to_b)
        rig.run()
    for index, talk in enumerate(talks):
        assert talk.b.all() == [(data, talk.to_b) for data in there[index]]
        assert talk.a.all() == [(data, talk.to_a) for data in back[index]]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(datagrams=st.lists(st.binary(max_size=80), max_size=12), from_peer=st.booleans())
def test_no_datagram_stops_the_relay(rig, datagrams, from_peer):
    talk = Talk(rig)
    sender = talk.a if from_peer else rig.peer("127.0.6.3")
    for data in datagrams:
        for offset in (0, 1):
            sender.send(data, (talk.to_a[0], talk.to_a[1] + offset))
    rig.run()
    talk.b.received(), talk.a.received()
    talk.both_speak(start=1000)
    assert len(talk.b.received()) == 3
    assert rig.loop.crashes == 0
    rig.service.remove("call", 0.0)
    for peer in (talk.a, talk.b, talk.a_rtcp, talk.b_rtcp):
        rig.peers.remove(peer)
        peer.close()
