"""IPv4 and IPv6: each leg's media come from addresses that its peer can reach, or the call is
refused before anybody rings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relay.settings import MediaSettings
from sbc.call.cdr import Cause
from sbc.call.media.leases import LeaseRequest
from sbc.call.media.pools import Pools, name_of, parts
from sbc.sip.message import Request
from tests.call.lab import (
    CARRIER,
    OUTSIDE,
    OUTSIDE_6,
    PBX,
    SDP_A,
    SDP_B,
    Lab,
    Side,
    settings,
    sides,
)

EARLY = {"carrier": {"early_offer": True}}


def six(body: bytes) -> bytes:
    """The same description from an address of the other family."""
    changed = body.replace(b"IN IP4 10.0.0.2", b"IN IP6 2001:db8::2")
    changed = changed.replace(b"IN IP4 10.1.0.2", b"IN IP6 2001:db8:1::2")
    assert changed != body
    return changed


def mixed(**trunks: dict[str, object]) -> Lab:
    """A border whose realm outside has media addresses of both families."""
    config = settings(trunks)
    further = MediaSettings(
        realm="outside", address=OUTSIDE_6, advertise=OUTSIDE_6, port_min=10000, port_max=19999
    )
    relay = replace(config.relay, media=(*config.relay.media, further))
    return Lab(replace(config, relay=relay))


class TestOneFamily:
    def test_an_offer_of_the_other_is_refused_before_the_target_hears_of_it(self) -> None:
        lab = Lab()
        lab.give(lab.invite(body=six(SDP_A)))
        assert lab.take(CARRIER[0]) == []
        refusal = lab.take(PBX[0])[-1]
        assert refusal.status == 488  # type: ignore[union-attr]
        assert b"expected media on IPv4, got IPv6" in (refusal.first(b"warning") or b"")
        assert lab.record.cause is Cause.UNSUPPORTED_MEDIA

    @pytest.mark.parametrize("early", [False, True])
    def test_an_answer_of_the_other_ends_the_call_before_the_caller_has_it(
        self, early: bool
    ) -> None:
        lab = Lab()
        invite = lab.called()
        if early:
            lab.answer(invite, 183, body=six(SDP_B))
            assert lab.take_one(PBX[0]).body == b""
        lab.answer(invite, 200, body=six(SDP_B))
        ack, bye = lab.take(CARRIER[0])
        assert isinstance(bye, Request)
        assert (ack.method, bye.method) == (b"ACK", b"BYE")  # type: ignore[union-attr]
        assert b"cause=488" in (bye.first(b"reason") or b"")
        assert lab.take_one(PBX[0]).status == 488
        assert lab.plans == []
        record = lab.record
        assert record.cause is Cause.UNSUPPORTED_MEDIA
        assert "expected media on IPv4, got IPv6" in record.reason

    def test_a_fork_of_the_other_leaves_the_first_one_alone(self) -> None:
        lab = Lab()
        invite = lab.called()
        lab.answer(invite, 183, tag="one", body=SDP_B)
        lab.answer(invite, 183, tag="two", body=six(SDP_B))
        lab.answer(invite, 200, tag="one", body=SDP_B)
        assert lab.take(PBX[0])[-1].status == 200  # type: ignore[union-attr]
        assert lab.plans[-1][1].streams[0].b.remote == ("10.1.0.2", 6000)

    def test_a_re_invite_of_the_other_is_refused_and_changes_nothing(self) -> None:
        lab = Lab()
        a, _ = sides(lab)
        before = len(lab.plans)
        a.ask(b"INVITE", six(SDP_A))
        assert lab.take(CARRIER[0]) == []
        assert a.hears().status == 488
        a.ack()
        assert len(lab.plans) == before

    def test_an_answer_to_a_re_invite_of_the_other_is_refused_and_changes_nothing(self) -> None:
        lab = Lab()
        a, b = sides(lab)
        before = len(lab.plans)
        a.ask(b"INVITE", SDP_A.replace(b"8 0 101", b"0 8 101"))
        b.answer(b.hears(), 200, six(SDP_B))
        assert b.hears().method == b"ACK"
        assert a.hears().status == 488
        a.ack()
        assert len(lab.plans) == before
        a.ask(b"INVITE", SDP_A.replace(b"8 0 101", b"0 8 101"))
        b.answer(b.hears(), 200, SDP_B.replace(b"8 0 101", b"0 8 101"))
        assert a.hears().status == 200

    def test_hold_by_address_is_of_no_family(self) -> None:
        lab = Lab()
        a, b = sides(lab)
        a.ask(b"INVITE", SDP_A.replace(b"IN IP4 10.0.0.2", b"IN IP6 ::"))
        b.answer(b.hears(), 200, SDP_B)
        assert a.hears().status == 200

    def test_an_offer_of_the_other_in_a_2xx_is_none(self) -> None:
        lab = Lab()
        lab.answer(lab.called(body=b""), 200, body=six(SDP_B))
        assert lab.take(PBX[0])[-1].status == 488  # type: ignore[union-attr]
        assert lab.record.cause is Cause.UNSUPPORTED_MEDIA

    def test_an_answer_of_the_other_in_the_ack_ends_the_call(self) -> None:
        lab = Lab()
        lab.answer(lab.called(body=b""), 200, body=SDP_B)
        success = lab.take(PBX[0])[-1]
        lab.give(lab.in_dialog(b"ACK", success, 1, body=six(SDP_A)))
        assert lab.plans == []
        lab.answer_removals()
        assert lab.record.cause is Cause.UNSUPPORTED_MEDIA

    def test_rtcp_of_the_other_is_as_if_nothing_were_said_of_it(self) -> None:
        lab = Lab()
        lab.answer(lab.called(), 200, body=SDP_B + b"a=rtcp:7000 IN IP6 2001:db8::9\r\n")
        assert lab.plans[-1][1].streams[0].b.remote_rtcp is None

    def test_streams_of_two_families_on_one_leg_are_refused(self) -> None:
        lab = mixed()
        video = b"m=video 7000 RTP/AVP 96\r\nc=IN IP6 2001:db8::9\r\na=rtpmap:96 H264/90000\r\n"
        lab.give(lab.invite(body=SDP_A + video, source=CARRIER), CARRIER)
        assert lab.take(PBX[0]) == []
        assert lab.take(CARRIER[0])[-1].status == 488  # type: ignore[union-attr]


class TestBothFamilies:
    @pytest.mark.parametrize(
        ("body", "ours"), [(SDP_B, OUTSIDE.encode()), (six(SDP_B), OUTSIDE_6.encode())]
    )
    def test_a_caller_is_answered_in_its_own(self, body: bytes, ours: bytes) -> None:
        lab = mixed()
        lab.give(lab.invite(body=body, source=CARRIER), CARRIER)
        invite = lab.take_one(PBX[0])
        assert b"c=IN IP4 10.0.0.1\r\n" in invite.body
        lab.answer(invite, 200, body=SDP_A)
        success = lab.take(CARRIER[0])[-1]
        assert b"c=IN IP%d %b\r\n" % (6 if b":" in ours else 4, ours) in success.body
        stream = lab.plans[-1][1].streams[0]
        assert stream.a.address.encode() == ours
        assert stream.a.remote is not None

    def test_a_target_is_offered_that_of_its_signalling(self) -> None:
        lab = mixed()
        for number in range(100):  # more than one block of either
            invite = lab.called(call=f"call-{number}")
            assert b"c=IN IP4 10.1.0.1\r\n" in invite.body
            lab.answer(invite, 486)
            lab.take()
            lab.border.core.records.clear()
            lab.lease()

    @pytest.mark.parametrize("body", [SDP_B, six(SDP_B)])
    def test_a_target_that_offers_is_answered_in_its_own(self, body: bytes) -> None:
        lab = mixed()
        lab.answer(lab.called(body=b""), 200, body=body)
        success = lab.take(PBX[0])[-1]
        lab.give(lab.in_dialog(b"ACK", success, 1, body=SDP_A))
        stream = lab.plans[-1][1].streams[0]
        remote = stream.b.remote
        assert remote is not None
        assert (":" in remote[0]) is (":" in stream.b.address)
        assert lab.take(CARRIER[0])[-1].method == b"ACK"  # type: ignore[union-attr]

    def test_to_change_it_within_a_call_is_refused(self) -> None:
        lab = mixed()
        success, invite = lab.connected()
        b = Side(lab, invite, CARRIER, 0)
        b.ask(b"INVITE", six(SDP_B))
        assert b.hears().status == 488
        assert success.status == 200

    def test_one_may_run_out_and_the_other_serve(self) -> None:
        lab = mixed()
        leases = lab.border.core.leases
        assert leases.in_hand() == {"inside": 64, "outside/IPv4": 64, "outside/IPv6": 64}
        for _ in range(64):
            leases.take("inside", "outside/IPv4", 1)
        asked = leases.wanted()
        assert LeaseRequest(0, "outside/IPv4", 64) in asked
        for wish in asked:
            if wish.pool == "inside":
                leases.granted(0, "inside", [("10.0.0.1", 30_000 + 2 * n) for n in range(64)])
            else:
                leases.refused(0, wish.pool)
        lab.give(lab.invite())
        assert 503 in [one.status for one in lab.take(PBX[0])]  # type: ignore[union-attr]
        lab.give(lab.invite(body=six(SDP_B), source=CARRIER, call="six"), CARRIER)
        assert lab.take_one(PBX[0]).method == b"INVITE"


def test_the_name_of_a_pool_tells_realm_and_family() -> None:
    def media(realm: str, address: str) -> MediaSettings:
        return MediaSettings(
            realm=realm, address=address, advertise=address, port_min=10000, port_max=10999
        )

    pools = Pools([media("a", "::1"), media("b", "10.0.0.1"), media("b", "::2"), media("b", "::3")])
    assert pools.names == ["a", "b/IPv4", "b/IPv6"]
    assert [parts(one) for one in pools.names] == [("a", 0), ("b", 4), ("b", 6)]
    assert [name_of(*parts(one)) for one in pools.names] == pools.names
    assert pools.choose("a", (), "10.0.0.9") == "a"
    assert pools.choose("b", (), "2001:db8::9") == "b/IPv6"
