"""RTCP through real sockets (RFC 3550 §6)."""

from __future__ import annotations

import struct

from relay.rtp import rtcp
from tests.relay.rig import Talk, rtp

THEIRS = b"alice@pbx.inside.example"


def sender_report(ssrc: int = 0x1234) -> bytes:
    return struct.pack("!BBHIIIIII", 0x80, 200, 6, ssrc, 1, 2, 3, 4, 5)


def description(ssrc: int = 0x1234, cname: bytes = THEIRS) -> bytes:
    items = b"".join(
        bytes((kind, len(text))) + text
        for kind, text in ((1, cname), (2, b"Alice Inside"), (6, b"PBX 1.0"))
    )
    chunk = struct.pack("!I", ssrc) + items
    chunk += bytes(4 - len(chunk) % 4)
    return struct.pack("!BBH", 0x81, 202, len(chunk) // 4) + chunk


def test_rtcp_crosses_with_our_cname_and_nothing_else_of_sdes(rig):
    talk = Talk(rig)
    to = (talk.to_a[0], talk.to_a[1] + 1)
    for _ in range(2):
        talk.a_rtcp.send(sender_report() + description(), to)
        rig.run()
    first, second = talk.b_rtcp.all()
    assert first == second
    assert first[1] == (talk.to_b[0], talk.to_b[1] + 1)
    assert first[0].startswith(sender_report())
    assert b"inside" not in first[0]
    assert b"Alice" not in first[0]
    assert b"PBX" not in first[0]
    kind, count, body = rtcp.packets(first[0])[1]
    assert (kind, count, body[:6]) == (202, 1, struct.pack("!IBB", 0x1234, 1, 16))
    assert rig.stats(side="a").rtcp_packets == 2


def test_each_stream_and_source_has_its_own_cname(rig):
    talk = Talk(rig)
    to = (talk.to_a[0], talk.to_a[1] + 1)
    for cname in (b"one@host", b"two@host"):
        talk.a_rtcp.send(sender_report() + description(cname=cname), to)
        rig.run()
    talk.b_rtcp.send(
        sender_report() + description(cname=b"one@host"), (talk.to_b[0], talk.to_b[1] + 1)
    )
    rig.run()
    seen = talk.b_rtcp.received() + talk.a_rtcp.received()
    assert len({rtcp.packets(data)[1][2] for data in seen}) == 3


def test_rtcp_goes_where_the_sdp_says(rig):
    elsewhere = rig.peer("127.0.6.2")
    talk = Talk(rig, b={"remote_rtcp": elsewhere.address})
    talk.a_rtcp.send(sender_report(), (talk.to_a[0], talk.to_a[1] + 1))
    rig.run()
    assert elsewhere.received() == [sender_report()]


def test_rtcp_of_strangers_malformed_and_empty_does_not_cross(rig):
    talk, stranger = Talk(rig), rig.peer("127.0.6.3")
    to = (talk.to_a[0], talk.to_a[1] + 1)
    stranger.send(sender_report(), to)
    talk.a_rtcp.send(sender_report()[:-4], to)
    talk.a_rtcp.send(rtp(1), to)
    talk.a_rtcp.send(b"\x00\x01" + bytes(18), to)
    talk.a_rtcp.send(struct.pack("!BBHI4s", 0x80, 204, 2, 1, b"name"), to)
    rig.run()
    assert talk.b_rtcp.received() == []
    assert rig.dropped("a") == {
        "wrong_source": 1,
        "rtcp_malformed": 2,
        "stun": 1,
        "rtcp_empty": 1,
    }


def test_rtcp_crosses_during_hold(rig):
    talk = Talk(rig, b={"may_receive": False})
    talk.a_rtcp.send(sender_report(), (talk.to_a[0], talk.to_a[1] + 1))
    rig.run()
    assert talk.b_rtcp.received() == [sender_report()]


def test_rtcp_is_policed(rig):
    talk = Talk(rig)
    for _ in range(8):
        for _ in range(25):
            talk.a_rtcp.send(sender_report(), (talk.to_a[0], talk.to_a[1] + 1))
        rig.run()
    crossed = len(talk.b_rtcp.received())
    assert 60 <= crossed <= 70
    assert rig.dropped("a")["policed"] == 200 - crossed


def test_behind_nat_rtcp_goes_where_rtcp_has_come_from(rig):
    talk = Talk(rig, b={"nat": True})
    talk.a_rtcp.send(sender_report(), (talk.to_a[0], talk.to_a[1] + 1))
    rig.run()
    assert talk.b_rtcp.received() == []
    talk.b_rtcp.send(sender_report(), (talk.to_b[0], talk.to_b[1] + 1))
    rig.run()
    talk.a_rtcp.send(sender_report(), (talk.to_a[0], talk.to_a[1] + 1))
    rig.run()
    assert talk.b_rtcp.received() == [sender_report()]
