"""A peer that takes no change within a call: what the other side asks for is answered for it."""

from __future__ import annotations

from typing import Any

import pytest

from policies.media import Srtp, TrunkMedia
from policies.settings import Shield
from tests.call.lab import CARRIER, PBX, SDP_A, Lab, Side, both_ways, settings
from tests.call.test_changes import VIDEO, WAYS, newest, sdp
from tests.call.test_secure_calls import answer_to


def spared(way: str = "a to b", **changes: Any) -> tuple[Lab, Side, Side]:
    """A call whose second peer is shielded from all changes, and the first one is not."""
    who = "carrier" if way == "a to b" else "pbx"
    lab = Lab(settings({who: {"shield": frozenset((Shield.REINVITE, Shield.UPDATE))}}))
    return lab, *both_ways(lab, way, **changes)


@WAYS
@pytest.mark.parametrize("method", [b"INVITE", b"UPDATE"])
@pytest.mark.parametrize(
    ("direction", "told"),
    [("sendonly", b"recvonly"), ("inactive", b"inactive"), ("sendrecv", b"sendrecv")],
)
def test_a_peer_that_is_shielded_from_changes_gets_none(
    way: str, method: bytes, direction: str, told: bytes
) -> None:
    """Hold, and media that move: answered here with what the shielded peer has said."""
    lab, asking, spared_one = spared(way)
    before, plans = newest(lab).streams[0], len(lab.plans)
    moved = sdp(asking, direction=direction).replace(b"m=audio 6000", b"m=audio 6010")
    asking.ask(method, moved)
    success = asking.hears()
    asking.ack()
    assert success.status == 200
    assert b"a=" + told in success.body
    assert spared_one.address[0].encode() not in success.body
    assert lab.take(spared_one.address[0]) == []
    assert len(lab.plans) == plans + 1
    (stream,) = newest(lab).streams
    ends = [(stream.a, before.a), (stream.b, before.b)]
    (moving, _), (staying, was) = ends if way == "a to b" else ends[::-1]
    assert moving.remote == (asking.address[0], 6010)
    assert moving.may_receive is (direction == "sendrecv")
    assert (staying.remote, staying.may_receive) == (was.remote, True)
    asking.ask(b"INVITE", sdp(asking, 3))
    assert asking.hears().status == 200
    asking.ack()
    assert newest(lab).streams[0].a.expects
    assert newest(lab).streams[0].b.expects


@pytest.mark.parametrize(
    ("offer", "status", "formats"),
    [
        (b"RTP/AVP 8", 200, b"RTP/AVP 8\r\n"),
        (b"RTP/AVP 0 8 101", 200, b"RTP/AVP 8 0 101\r\n"),
        (b"RTP/AVP 9 8 101", 200, b"RTP/AVP 8 101\r\n"),
        (b"RTP/AVP 0 101", 488, b""),
        (b"RTP/AVP 9", 488, b""),
        (b"RTP/SAVP 8 0 101", 488, b""),
    ],
)
def test_a_shielded_peer_keeps_the_codec_in_use(offer: bytes, status: int, formats: bytes) -> None:
    lab, a, b = spared()
    plans = len(lab.plans)
    a.ask(b"INVITE", sdp(a).replace(b"RTP/AVP 8 0 101", offer))
    answer = a.hears()
    a.ack()
    assert answer.status == status
    assert formats in answer.body
    assert lab.take(b.address[0]) == []
    assert len(lab.plans) == plans + (status == 200)
    a.ask(b"INVITE", sdp(a, 3, direction="sendonly"))
    assert a.hears().status == 200  # no offer stayed open


def test_a_shielded_peer_keeps_its_numbers() -> None:
    """The other side has another payload type for the digits now."""
    lab, a, _ = spared()
    offer = sdp(a).replace(b" 101\r\n", b" 96\r\n").replace(b"rtpmap:101", b"rtpmap:96")
    a.ask(b"INVITE", offer)
    assert b"RTP/AVP 8 0 96\r\n" in a.hears().body
    (stream,) = newest(lab).streams
    assert (stream.a.payloads, stream.b.payloads) == ({96: 101}, {101: 96})


@pytest.mark.parametrize("more", [VIDEO, VIDEO.replace(b"6100", b"0")])
def test_a_shielded_peer_gets_no_further_streams(more: bytes) -> None:
    """Both legs have the same m-lines."""
    lab, a, _ = spared()
    in_hand = lab.border.core.leases.in_hand()
    a.ask(b"INVITE", sdp(a, more=more))
    assert a.hears().status == 488
    assert lab.border.core.leases.in_hand() == in_hand


def test_who_asks_a_shielded_peer_for_an_offer_gets_the_last_one() -> None:
    lab, a, b = spared()
    a.ask(b"INVITE")
    success = a.hears()
    assert b"m=audio" in success.body
    a.ack(sdp(a))
    assert lab.take(b.address[0]) == []
    a.ask(b"BYE")
    assert b.hears().method == b"BYE"


def test_who_asks_for_an_offer_of_a_shielded_peer_may_move_with_its_answer() -> None:
    lab, a, _ = spared()
    a.ask(b"INVITE")
    assert a.hears().status == 200
    a.ack(sdp(a).replace(b"m=audio 6000", b"m=audio 6010"))
    (stream,) = newest(lab).streams
    assert stream.a.remote == ("10.0.0.2", 6010)


def test_a_secure_peer_that_takes_no_change_keeps_its_keys() -> None:
    """The other side holds, removes and resumes its stream: nothing is ever sent in the clear."""
    trunk = {
        "media": TrunkMedia(srtp=Srtp.REQUIRED),
        "shield": frozenset((Shield.REINVITE, Shield.UPDATE)),
    }
    border = Lab(settings({"carrier": trunk}))
    invite = border.called()
    border.answer(invite, 200, body=answer_to(invite.body))
    border.take(CARRIER[0])
    success = border.take_one(PBX[0])
    border.give(border.in_dialog(b"ACK", success, 1))
    caller = Side(border, success, PBX, 1)
    (before,) = border.plans[-1][1].streams
    for old, new in ((b"6000", b"6010"), (b"sendrecv", b"sendonly"), (b"6000", b"0"), (b"", b"")):
        caller.ask(b"INVITE", SDP_A.replace(old, new) if old else SDP_A)
        answer = caller.hears()
        caller.ack()
        assert answer.status == 200
        assert b"crypto" not in answer.body
        (stream,) = border.plans[-1][1].streams
        assert (stream.b.srtp_in, stream.b.srtp_out) == (before.b.srtp_in, before.b.srtp_out)
    assert (stream.a.may_receive, stream.a.expects, stream.b.expects) == (True, True, True)
    assert len(border.plans) == 5
    assert border.take(CARRIER[0]) == []
