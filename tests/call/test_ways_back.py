"""Where requests inside a call go, by which socket, and what they must not show."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from policies.settings import Nat
from sbc.call.legs.local import LocalEnds
from sbc.ids import Token
from sbc.settings import Settings
from sbc.transaction.hop import TLS, UDP, Hop
from sbc.transport.settings import ListenerSettings
from tests.call.lab import CARRIER, INSIDE, PBX, SDP_A, SDP_B, Lab, settings, statuses


def test_a_call_stays_on_the_listener_that_it_came_by() -> None:
    """A peer lets in only the address that it was told of; the first of the realm is another."""
    config = settings()
    second = ListenerSettings(
        realm="inside",
        transport="udp",
        host=INSIDE,
        port=5070,
        advertise_host=INSIDE,
        advertise_port=5070,
    )
    listeners = (*config.transport.listeners, second)
    lab = Lab(replace(config, transport=replace(config.transport, listeners=listeners)))
    lab.border.receive(lab.invite(), Hop("inside", 4, UDP, *PBX), lab.now)
    lab.answer(lab.take(CARRIER[0])[0], 200, body=SDP_B)
    success = lab.take(PBX[0])[-1]
    lab.border.receive(lab.in_dialog(b"ACK", success, 1), Hop("inside", 4, UDP, *PBX), lab.now)
    lab.take()
    lab.border.hangup(next(iter(lab.border.calls)), lab.now)
    hop = next(hop for hop, _ in lab.sent if hop.host == PBX[0])
    assert hop.listener == 4
    assert lab.take_one(PBX[0]).via.port == 5070


@pytest.mark.parametrize("host", [b"0.0.0.0", b"224.0.0.5", b"255.255.255.255", b"a.name"])
def test_a_target_that_is_no_one_peers_address_is_not_followed(host: bytes) -> None:
    lab = Lab()
    lab.answer(lab.called(), 200, body=SDP_B, contact=b"<sip:bob@%b:5060>" % host)
    assert lab.take_one(CARRIER[0]).method == b"ACK"


def test_a_peer_that_is_always_behind_nat_is_found_where_it_was_called() -> None:
    lab = Lab(settings({"carrier": {"nat": Nat.ALWAYS}}))
    lab.answer(lab.called(), 200, body=SDP_B, contact=b"<sip:bob@192.168.7.7:5062>")
    ack = lab.take_one(CARRIER[0])
    assert (ack.method, ack.uri) == (b"ACK", b"sip:bob@192.168.7.7:5062")


def test_the_callers_record_route_comes_back_to_it() -> None:
    """RFC 3261 §12.1.1: the caller takes its route set from our answer."""
    lab = Lab()
    routes = [b"<sip:10.0.0.2;lr;x=1>", b"<sip:10.0.0.9;lr>"]
    extra = b"".join(b"Record-Route: %b\r\n" % one for one in routes)
    invite = lab.called(extra=extra)
    assert invite.every(b"record-route") == []
    lab.answer(invite, 180)
    assert lab.take_one(PBX[0]).every(b"record-route") == routes
    lab.answer(invite, 200, body=SDP_B)
    assert lab.take_one(PBX[0]).every(b"record-route") == routes


def test_a_re_invite_that_crosses_our_bye_finds_no_dialog() -> None:
    lab = Lab()
    success, invite = lab.connected()
    lab.give(lab.in_dialog(b"BYE", success, 2))
    lab.take()
    lab.give(lab.in_dialog(b"INVITE", invite, 1, body=SDP_B, source=CARRIER), CARRIER)
    lab.give(lab.in_dialog(b"BYE", invite, 2, source=CARRIER), CARRIER)
    assert statuses(lab.take(CARRIER[0])) == [481, 200]
    lab.assert_nothing_left()


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (b"+4930;tgrp=in;trunk-context=pbx.inside.example", b"+4930"),
        (b"+4930;phone-context=inside.example", b"+4930"),
        (b"+4930;npdi;rn=+4931", b"+4930;npdi;rn=+4931"),
        (b"bob%40pbx.inside.example", b"anonymous"),
    ],
)
def test_the_number_goes_on_without_the_names_of_the_callers_network(
    user: bytes, expected: bytes
) -> None:
    lab = Lab()
    lab.give(lab.invite(body=SDP_A).replace(b"INVITE sip:4930123456@", b"INVITE sip:%b@" % user))
    invite = lab.take_one(CARRIER[0])
    assert invite.uri == b"sip:%b@10.1.0.2:5060" % expected


def test_hosts_behind_the_same_nat_see_another_end_than_all_others() -> None:
    listener = ListenerSettings(
        realm="inside",
        transport="tls",
        host=INSIDE,
        port=5061,
        advertise_host="203.0.113.7",
        advertise_port=5062,
        local_networks=(ip_network("10.0.0.0/29"),),
    )
    ends = LocalEnds([listener])
    near, far = Hop("inside", 0, TLS, "10.0.0.2", 9), Hop("inside", 0, TLS, "10.0.0.9", 9)
    for sips, scheme in ((False, b"sip"), (True, b"sips")):
        assert b"<%b:t@10.0.0.1:5061" % scheme in ends.of(near, sips=sips).contact(Token(b"t"))
        assert b"<%b:t@203.0.113.7:5062" % scheme in ends.of(far, sips=sips).contact(Token(b"t"))
    for hop in (near, far):
        assert ends.towards("inside", TLS, hop.host) is ends.of(hop)
    assert (ends.of(near).host, ends.of(far).host) == (b"10.0.0.1", b"203.0.113.7")


def test_a_peer_that_calls_sips_over_tls_is_answered_with_it() -> None:
    listener = ListenerSettings(
        realm="inside",
        transport="tls",
        host=INSIDE,
        port=5061,
        advertise_host=INSIDE,
        advertise_port=5061,
    )
    ends = LocalEnds([listener])
    hop = Hop("inside", 0, TLS, *PBX)
    token = Token(b"t")
    assert ends.of(hop).contact(token) == (
        b"Contact: <sip:t@%b:5061;transport=tls>\r\n" % INSIDE.encode()
    )
    secure = ends.of(hop, sips=True)
    assert secure.contact(token) == b"Contact: <sips:t@%b:5061>\r\n" % INSIDE.encode()
    assert secure.via(b"b") == b"Via: SIP/2.0/TLS %b:5061;branch=b;rport\r\n" % INSIDE.encode()


def test_new_calls_are_told_a_public_address_that_has_changed() -> None:
    lab = Lab(_natted("10.0.0.99"))
    for told in (b"203.0.113.7", b"203.0.113.8"):
        lab.border.move(_natted("10.0.0.99", told.decode()))
        lab.give(lab.invite())
        lab.answer(lab.take(CARRIER[0])[-1], 200, body=SDP_B)
        final = lab.take(PBX[0])[-1]
        assert b"@%b:5070" % told in final.first(b"contact")
        assert final.body.count(b"IN IP4 " + told) == 2
        assert lab.border.core.where.bounds.crosses("inside", PBX[0], told.decode())


def _behind_nat(networks: str) -> Lab:
    return Lab(_natted(networks))


def _natted(networks: str, public: str = "203.0.113.7") -> Settings:
    """Inside is behind a 1:1 NAT, together with some network."""
    config = settings()
    listeners = tuple(
        replace(
            one,
            advertise_host=public,
            advertise_port=5070,
            local_networks=(ip_network(networks),),
        )
        if one.realm == "inside"
        else one
        for one in config.transport.listeners
    )
    media = tuple(
        replace(one, advertise=public) if one.realm == "inside" else one
        for one in config.relay.media
    )
    transport = replace(config.transport, listeners=listeners)
    relay = replace(config.relay, media=media)
    return replace(config, transport=transport, relay=relay)


@pytest.mark.parametrize("parameter", [b"", b";transport=tcp"])
@pytest.mark.parametrize(
    ("near", "told"), [("10.0.0.2", b"10.0.0.1"), ("10.0.0.99", b"203.0.113.7")]
)
def test_a_dialog_goes_on_seeing_the_same_of_our_addresses_wherever_its_target_is(
    parameter: bytes, near: str, told: bytes
) -> None:
    lab = _behind_nat(near)
    contact = b"Contact: <sip:alice@10.0.0.99:5060%b>" % parameter
    lab.give(lab.invite().replace(b"Contact: <sip:alice@10.0.0.2:5060>", contact))
    invite = lab.take(CARRIER[0])[-1]
    lab.answer(invite, 200, body=SDP_B)
    final = lab.take(PBX[0])[-1]
    lab.give(lab.in_dialog(b"ACK", final, 1))
    changed = SDP_B.replace(b"1 1 IN", b"1 2 IN").replace(b"6000", b"6002")
    lab.give(lab.in_dialog(b"INVITE", invite, 1, body=changed, source=CARRIER), CARRIER)
    again = lab.take("10.0.0.99")[-1]
    for message in (final, again):
        assert b"@" + told in message.first(b"contact")
        assert message.body.count(b"IN IP4 " + told) == 2
    assert told in again.first(b"via")
