"""By what a target is reached: `udp`, `tcp`, `auto` (RFC 3261 §18.1.1), and back again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from policies.settings import Peer, TrunkTransport
from sbc.call.legs.b_leg import BLeg
from sbc.sip.message import Request
from sbc.transaction.hop import TCP, UDP, Hop
from tests.call.lab import CARRIER, PBX, SDP_A, SDP_B, Lab, settings, statuses

LONG = SDP_A + b"a=x-long:" + b"y" * 900 + b"\r\n"


def lab_with(transport: TrunkTransport, **changes: Any) -> Lab:
    return Lab(settings({"carrier": {"transport": transport, **changes}}))


def invites(lab: Lab) -> list[tuple[Hop, bytes]]:
    return [one for one in lab.sent if one[1].startswith(b"INVITE")]


def leg(lab: Lab) -> BLeg:
    (call,) = lab.border.calls.values()
    assert call.b is not None
    return call.b


@pytest.mark.parametrize(
    ("trunk", "body", "transport"),
    [
        (TrunkTransport.UDP, SDP_A, UDP),
        (TrunkTransport.UDP, LONG, UDP),
        (TrunkTransport.TCP, SDP_A, TCP),
        (TrunkTransport.AUTO, SDP_A, UDP),
        (TrunkTransport.AUTO, LONG, TCP),
    ],
)
def test_a_named_one_is_kept_and_auto_goes_by_size(
    trunk: TrunkTransport, body: bytes, transport: bytes
) -> None:
    lab = lab_with(trunk)
    lab.give(lab.invite(body=body))
    ((hop, data),) = invites(lab)
    assert hop.transport == transport
    assert b"Via: SIP/2.0/%b " % transport in data
    assert (b";transport=tcp>" in data) is (transport == TCP)
    assert hop.listener == (3 if transport == TCP else 2)


def test_auto_returns_to_udp_where_tcp_is_refused() -> None:
    lab = lab_with(TrunkTransport.AUTO)
    lab.give(lab.invite(body=LONG))
    ((hop, first),) = invites(lab)
    lab.sent.clear()
    branch = first.partition(b"branch=")[2].partition(b";")[0]
    lab.border.unreachable(hop, branch, lab.now)
    ((hop, second),) = invites(lab)
    assert hop.transport == UDP
    assert second.partition(b"branch=")[2].partition(b";")[0] != branch
    lab.answer(lab.take_one(CARRIER[0]), 200, body=SDP_B)
    assert statuses(lab.take(PBX[0])) == [200]


def test_a_named_tcp_does_not() -> None:
    lab = lab_with(TrunkTransport.TCP)
    lab.give(lab.invite(number="99"))
    ((hop, data),) = invites(lab)
    branch = data.partition(b"branch=")[2].partition(b";")[0]
    lab.sent.clear()
    lab.border.unreachable(hop, branch, lab.now)
    assert statuses(lab.take()) == [503]


def test_the_end_of_a_connection_fails_what_waits_on_it() -> None:
    lab = lab_with(TrunkTransport.TCP)
    lab.give(lab.invite(number="99"))
    hop = leg(lab).hop
    hop.connection = 17
    lab.border.unreachable(Hop(*_parts(hop), connection=17), None, lab.now)
    assert 503 in statuses(lab.take(PBX[0]))


def test_requests_in_a_call_stay_on_its_connection() -> None:
    lab = lab_with(TrunkTransport.TCP)
    lab.give(lab.invite())
    hop = leg(lab).hop
    hop.connection = 17
    lab.take(PBX[0])
    invite = lab.take_one(CARRIER[0])
    lab.answer(invite, 200, body=SDP_B)
    assert leg(lab).hop.connection == 17
    assert leg(lab).hop.transport == TCP


def test_a_contact_that_asks_for_tcp_gets_it() -> None:
    lab = Lab()
    invite = lab.called()
    lab.answer(invite, 200, body=SDP_B, contact=b"<sip:bob@10.1.0.9:5070;transport=TCP>")
    ack = [(hop, data) for hop, data in lab.sent if data.startswith(b"ACK")]
    assert ack[0][0].transport == TCP
    assert ack[0][0].address == ("10.1.0.9", 5070)
    assert ack[0][1].startswith(b"ACK sip:bob@10.1.0.9:5070;transport=TCP SIP/2.0")


@pytest.mark.parametrize("name", [b"<sip:bob@phones.example>", b"<sip:bob@[2001:db8::1]>"])
def test_a_target_that_cannot_be_reached_stays_where_the_call_went(name: bytes) -> None:
    lab = Lab()
    lab.answer(lab.called(), 200, body=SDP_B, contact=name)
    ack = [(hop, data) for hop, data in lab.sent if data.startswith(b"ACK")]
    assert ack[0][0].address == CARRIER


def test_a_route_set_is_followed() -> None:
    lab = Lab()
    route = b"Record-Route: <sip:10.1.0.8;lr>, <sip:10.1.0.7:5080;lr>\r\n"
    lab.answer(lab.called(), 200, body=SDP_B, extra=route)
    ((hop, data),) = [one for one in lab.sent if one[1].startswith(b"ACK")]
    assert hop.address == ("10.1.0.7", 5080)
    assert data.startswith(b"ACK sip:bob@10.1.0.2:5060 SIP/2.0")
    assert data.index(b"10.1.0.7:5080;lr") < data.index(b"10.1.0.8;lr")


def test_a_trunk_that_no_listener_can_reach_is_an_error_of_its_own() -> None:
    lab = Lab(settings({"carrier": {"peers": (Peer(host="2001:db8::9"),)}}))
    lab.give(lab.invite(number="99"))
    assert 503 in statuses(lab.take())
    assert "no listener can reach" in lab.record.reason


def test_an_ipv6_peer_has_its_brackets() -> None:
    config = settings({"carrier": {"peers": (Peer(host="2001:db8::9"),)}})
    listeners = tuple(
        replace(one, host="2001:db8::1", advertise_host="2001:db8::1")
        if one.realm == "outside"
        else one
        for one in config.transport.listeners
    )
    lab = Lab(replace(config, transport=replace(config.transport, listeners=listeners)))
    lab.give(lab.invite())
    ((hop, data),) = invites(lab)
    assert hop.host == "2001:db8::9"
    assert data.startswith(b"INVITE sip:4930123456@[2001:db8::9]:5060 SIP/2.0")
    assert b"@[2001:db8::1]:5060>" in data
    assert isinstance(lab.take("2001:db8::9")[0], Request)


def _parts(hop: Hop) -> tuple[str, int, bytes, str, int]:
    return hop.realm, hop.listener, hop.transport, hop.host, hop.port
