"""Payload types, G.711, continuity and marks on the way across."""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import replace
from itertools import pairwise

import pytest

from relay.control.messages import Srtp
from relay.rtp.g711 import ALAW_TO_ULAW, ULAW_TO_ALAW
from relay.rtp.srtp import new_session
from tests.relay.rig import Rig, Talk, peer_pair, rtp
from tests.relay.srtp_tools import key_of

ALL = bytes(range(256))


def crossed(rig: Rig, talk: Talk, *packets: bytes) -> list[bytes]:
    """What of A's comes to B's peer, one after the other."""
    for packet in packets:
        talk.a.send(packet, talk.to_a)
        rig.run()
    return talk.b.received()


def numbers(packet: bytes) -> tuple[int, ...]:
    """Sequence number, timestamp, SSRC."""
    return struct.unpack_from("!xxHII", packet)


# payload types


def test_payload_types_are_mapped_and_the_marker_stays(rig):
    talk = Talk(rig, a={"payloads": {0: 8, 101: 96}}, b={"payloads": {8: 0, 96: 101}})
    got = crossed(
        rig,
        talk,
        rtp(1),
        rtp(2, marker=True),
        rtp(3, payload_type=101),
        rtp(4, payload_type=101, marker=True),
        rtp(5, payload_type=18),
    )
    assert got == [
        rtp(1, payload_type=8),
        rtp(2, payload_type=8, marker=True),
        rtp(3, payload_type=96),
        rtp(4, payload_type=96, marker=True),
        rtp(5, payload_type=18),
    ]
    talk.b.send(rtp(1, payload_type=8), talk.to_b)
    rig.run()
    assert talk.a.received() == [rtp(1)]
    assert rig.stats(side="a").payload_types == [0, 18, 101]


def test_the_rest_of_a_mapped_packet_stays_as_it_is(rig):
    talk = Talk(rig, a={"payloads": {0: 8}})
    header = b"\x91\x80" + rtp(2)[2:12] + b"CSRC" + b"\xbe\xde\x00\x01" + b"\x10\xff\x00\x00"
    packets = [header + b"pay", b"\xa0\x00" + rtp(3)[2:] + b"\x00\x00\x00\x04"]
    got = crossed(rig, talk, *packets, *packets)
    assert [one[2:] for one in got] == [one[2:] for one in packets * 2]
    assert [one[1] for one in got] == [0x88, 0x08] * 2


def test_a_plan_may_change_the_map_while_packets_flow(rig):
    talk = Talk(rig)
    assert crossed(rig, talk, rtp(1), rtp(2)) == [rtp(1), rtp(2)]
    for kind in (8, 9):
        talk.end_a = replace(talk.end_a, payloads={0: kind})
        talk.apply()
        expected = [rtp(n, payload_type=kind) for n in (3, 4)]
        assert crossed(rig, talk, rtp(3), rtp(4)) == expected
    talk.end_a = replace(talk.end_a, payloads={})
    talk.apply()
    assert crossed(rig, talk, rtp(5), rtp(6)) == [rtp(5), rtp(6)]


def test_a_strict_plan_lets_only_what_was_negotiated_pass(rig):
    talk = Talk(rig, a={"strict": True, "clock_rates": {0: 8000, 101: 8000}})
    kinds = (0, 101, 8, 127, 0)
    got = crossed(rig, talk, *(rtp(n, payload_type=kind) for n, kind in enumerate(kinds)))
    assert [one[1] for one in got] == [0, 101, 0]
    assert rig.dropped("a") == {"payload_type": 2}
    assert rig.stats(side="a").packets == 5


# G.711


@pytest.mark.parametrize(
    ("law", "kind", "other", "table"), [(1, 0, 8, ULAW_TO_ALAW), (2, 8, 0, ALAW_TO_ULAW)]
)
def test_the_law_is_converted(rig, law, kind, other, table):
    talk = Talk(rig, a={"payloads": {kind: other}, "convert": {kind: law}})
    packets = [rtp(n, ALL, payload_type=kind) for n in range(3)]
    expected = [rtp(n, ALL.translate(table), payload_type=other) for n in range(3)]
    assert crossed(rig, talk, *packets) == expected


def test_only_the_payload_of_its_types_is_converted(rig):
    talk = Talk(rig, a={"convert": {0: 1}})
    first = b"\x91\x80" + rtp(2)[2:12] + b"CSRC" + b"\xbe\xde\x00\x01" + b"\x10\xff\x00\x00"
    padded = b"\xa0\x00" + rtp(3)[2:12]
    event = rtp(4, bytes(4), payload_type=101)
    noise = rtp(5, b"\x20", payload_type=13)
    got = crossed(rig, talk, rtp(1), first + ALL, padded + ALL + b"\x00\x00\x00\x04", event, noise)
    assert got[1:] == [
        first + ALL.translate(ULAW_TO_ALAW),
        padded + ALL.translate(ULAW_TO_ALAW) + b"\x00\x00\x00\x04",
        event,
        noise,
    ]


@pytest.mark.parametrize(
    "packet",
    [
        b"\x90\x00" + rtp(3)[2:12],  # no room for the extension's header
        b"\x90\x00" + rtp(3)[2:12] + b"\xbe\xde\x00\x09" + bytes(8),
        b"\x8f\x00" + rtp(3)[2:12] + bytes(20),
        b"\xa0\x00" + rtp(3)[2:12],  # padding, and not a byte for it
        b"\xa0\x00" + rtp(3)[2:12] + bytes(20),
        b"\xa0\x00" + rtp(3)[2:12] + bytes(19) + b"\x15",
    ],
)
def test_what_has_no_payload_to_be_found_is_not_converted(rig, packet):
    talk = Talk(rig, a={"convert": {0: 1}})
    assert len(crossed(rig, talk, rtp(1), packet, rtp(2), packet)) == 2
    assert rig.dropped("a") == {"size": 2}


def test_conversion_and_srtp_go_together(rig):
    key = Srtp("AEAD_AES_128_GCM", key_of("AEAD_AES_128_GCM"))
    talk = Talk(rig, a={"payloads": {0: 8}, "convert": {0: 1}}, b={"srtp_out": key})
    receiver = new_session(key.suite, key.key)
    got = crossed(rig, talk, *(rtp(n, ALL) for n in range(3)))
    assert [receiver.unprotect(one) for one in got] == [
        rtp(n, ALL.translate(ULAW_TO_ALAW), payload_type=8) for n in range(3)
    ]


# continuity


def steady(got: list[bytes], first: int = 1) -> None:
    """One SSRC, each sequence number one above the last, timestamps that grow."""
    found = [numbers(one) for one in got]
    assert [one[0] for one in found] == [n & 0xFFFF for n in range(first, first + len(got))]
    assert len({one[2] for one in found}) == 1
    steps = [after[1] - before[1] & 0xFFFFFFFF for before, after in pairwise(found)]
    assert all(0 < step < 80_000 for step in steps), steps


def test_another_source_goes_on_where_the_former_one_was(rig):
    talk = Talk(rig, b={"continuity": True})
    packets = [rtp(n) for n in range(1, 6)]
    packets += [rtp(n, ssrc=9, timestamp=n) for n in range(40_000, 40_005)]
    packets += [rtp(n, ssrc=8, timestamp=160 * n) for n in range(65_534, 65_540)]
    got = crossed(rig, talk, *packets)
    assert len(got) == len(packets)
    steady(got)
    assert numbers(got[0])[2] == 0x1234
    assert rig.dropped("a") == {}


def test_the_time_that_a_change_took_is_in_the_timestamps(rig):
    talk = Talk(rig, b={"continuity": True})
    first = crossed(rig, talk, rtp(1, timestamp=1000), rtp(2, timestamp=1160))
    time.sleep(0.1)
    second = crossed(rig, talk, rtp(1, ssrc=2, timestamp=5), rtp(2, ssrc=2, timestamp=165))
    gap = numbers(second[0])[1] - numbers(first[1])[1]
    assert 800 <= gap <= 2400  # 0.1 s and a little at 8000 Hz
    assert numbers(second[1])[1] - numbers(second[0])[1] == 160


def test_what_a_former_source_still_had_on_the_way_is_late(rig):
    talk = Talk(rig, b={"continuity": True})
    got = crossed(
        rig, talk, rtp(1), rtp(2), rtp(7, ssrc=2), rtp(3), rtp(8, ssrc=2), rtp(4), rtp(9, ssrc=2)
    )
    assert len(got) == 5
    steady(got)
    assert rig.dropped("a") == {"ssrc": 2}


def test_a_source_may_not_change_all_the_time(rig):
    talk = Talk(rig, a={"rate_pps": 1000}, b={"continuity": True})
    got = crossed(rig, talk, *(rtp(n, ssrc=n) for n in range(1, 50)))
    assert 5 <= len(got) <= 10
    steady(got)
    assert rig.dropped("a") == {"ssrc": 49 - len(got)}


def test_the_same_source_numbered_anew_goes_on(rig):
    talk = Talk(rig, b={"continuity": True})
    got = crossed(
        rig, talk, *(rtp(n) for n in range(1, 5)), *(rtp(n) for n in range(30_000, 30_004))
    )
    assert len(got) == 7  # the first of the new numbers might have been a stray
    steady(got)


def test_continuity_outlives_another_port_and_peer(rig):
    talk = Talk(rig, b={"continuity": True})
    first = crossed(rig, talk, rtp(1), rtp(2))
    new, new_rtcp = peer_pair("127.0.6.4")
    rig.peers += (new, new_rtcp)
    talk.end_a = rig.end("inside", new.address, expects=True)
    talk.a = new
    talk.apply()
    second = crossed(rig, talk, rtp(700, ssrc=5), rtp(701, ssrc=5))
    steady(first + second)


def test_without_continuity_everything_keeps_its_numbers(rig):
    talk = Talk(rig)
    packets = [rtp(1), rtp(2), rtp(40_000, ssrc=9), rtp(3), rtp(5), rtp(4)]
    assert crossed(rig, talk, *packets) == packets


# marks


def seen_tos(rig: Rig, talk: Talk, size: int = 3) -> list[int]:
    """The ToS byte or traffic class of what comes to B's peer."""
    six = talk.b.socket.family == socket.AF_INET6
    level, option, asked = (
        (socket.IPPROTO_IPV6, socket.IPV6_TCLASS, socket.IPV6_RECVTCLASS)
        if six
        else (socket.IPPROTO_IP, socket.IP_TOS, 13)  # IP_RECVTOS
    )
    talk.b.socket.setsockopt(level, asked, 1)
    found = []
    for number in range(1, size + 1):
        talk.a.send(rtp(number), talk.to_a)
        talk.b.send(rtp(number), talk.to_b)  # so that it is latched, and has its connected socket
        rig.run()
        _, control, _, _ = talk.b.socket.recvmsg(2048, 256)
        found += [data[0] for kind, name, data in control if (kind, name) == (level, option)]
    return found


def test_packets_are_marked_and_no_longer_when_the_port_is_used_again(fast_path):
    rig = Rig(fast_path, pairs=1)
    try:
        talk = Talk(rig, b={"dscp": 46})
        assert seen_tos(rig, talk) == [46 << 2] * 3
        talk.end_b = replace(talk.end_b, dscp=34)
        talk.apply()
        assert seen_tos(rig, talk) == [34 << 2] * 3
        rig.service.remove("call", time.monotonic())
        assert seen_tos(rig, Talk(rig)) == [0] * 3
    finally:
        rig.close()


def test_rtcp_is_marked_too(rig):
    talk = Talk(rig, b={"dscp": 46})
    talk.b_rtcp.socket.setsockopt(socket.IPPROTO_IP, 13, 1)
    talk.a_rtcp.send(b"\x80\xc9\x00\x01" + bytes(4), (talk.to_a[0], talk.to_a[1] + 1))
    rig.run()
    _, control, _, _ = talk.b_rtcp.socket.recvmsg(2048, 256)
    assert [data[0] for _, _, data in control] == [46 << 2]


def test_ipv6_is_marked(fast_path):
    rig = Rig(fast_path, ours={"inside": "127.0.5.2", "outside": "::1"})
    try:
        four, six = rig.peer("127.0.6.2"), rig.peer("::1")
        talk = Talk.__new__(Talk)
        talk.rig, talk.a, talk.b, talk.revision = rig, four, six, 0
        talk.end_a = rig.end("inside", four.address)
        talk.end_b = rig.end("outside", ("::1", six.address[1]), dscp=46)
        talk.apply()
        assert seen_tos(rig, talk) == [46 << 2] * 3
    finally:
        rig.close()
