"""What the relay is asked for, and what its answers do to a call."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policies.media import CodecSettings, TrunkMedia
from policies.settings import Latch, Nat
from relay.control.messages import End, Plan, Stream
from relay.plan import directions
from relay.policer import Policer
from sbc.call.cdr import Cause
from sbc.call.media.leases import Leases
from sbc.errors import PortsExhausted, RelayUnavailable
from sbc.sip.message import Request
from tests.call.lab import CARRIER, PBX, SDP, SDP_A, SDP_B, Lab, settings, statuses


def test_the_invite_leaves_with_ports_in_hand_and_the_plan_with_the_answer() -> None:
    lab = Lab()
    invite = lab.called()
    assert lab.plans == []
    lab.answer(invite, 180)
    assert lab.plans == []
    lab.answer(invite, 200, body=SDP_B)
    ((slot, plan),) = lab.plans
    (stream,) = plan.streams
    assert (slot, plan.revision, stream.kind) == (0, 1, "audio")
    assert b"m=audio %d RTP/AVP" % stream.b.port in invite.body
    assert stream.a.remote == ("10.0.0.2", 6000)
    assert stream.b.remote == ("10.1.0.2", 6000)
    assert stream.b.remote_rtcp == ("10.1.0.2", 6001)


def test_a_call_without_an_answer_costs_the_relay_nothing_and_gives_its_ports_back() -> None:
    lab = Lab()
    before = lab.border.core.leases.in_hand()
    lab.answer(lab.called(), 486)
    assert (lab.plans, lab.removed) == ([], [])
    assert lab.border.core.leases.in_hand() == before
    assert lab.record.media_complete


def test_silence_is_a_fault_only_once_the_call_is_up_and_only_where_media_are_due() -> None:
    lab = Lab()
    lab.connected()
    (stream,) = lab.plans[-1][1].streams
    assert stream.a.expects
    assert stream.b.expects
    held = Lab()
    invite = held.called(body=SDP_A.replace(b"sendrecv", b"sendonly"))
    held.answer(invite, 200, body=SDP_B.replace(b"sendrecv", b"recvonly"))
    success = held.take(PBX[0])[0]
    held.give(held.in_dialog(b"ACK", success, 1))
    (stream,) = held.plans[-1][1].streams
    assert stream.a.expects
    assert not stream.b.expects
    assert not stream.a.may_receive


def test_early_media_of_a_fork_moves_the_plan_to_it() -> None:
    lab = Lab()
    invite = lab.called()
    lab.answer(invite, 183, tag="one", body=SDP_B)
    other = SDP_B.replace(b"m=audio 6000", b"m=audio 7000")
    lab.answer(invite, 183, tag="two", body=other)
    assert [plan.streams[0].b.remote for _, plan in lab.plans] == [
        ("10.1.0.2", 6000),
        ("10.1.0.2", 7000),
    ]
    assert [plan.revision for _, plan in lab.plans] == [1, 2]
    assert not any(plan.streams[0].a.expects for _, plan in lab.plans)


def test_a_caller_behind_nat_is_known_by_its_via() -> None:
    lab = Lab()
    lab.give(lab.invite().replace(b"UDP 10.0.0.2:5060", b"UDP 192.168.1.7:5060"))
    invite = lab.take_one(CARRIER[0])
    lab.answer(invite, 200, body=SDP_B)
    end = lab.plans[-1][1].streams[0].a
    assert end.nat
    assert end.sip_source == "10.0.0.2"
    lab.take()
    lab.give(lab.in_dialog(b"BYE", invite, 1, source=CARRIER), CARRIER)
    # No ACK yet, so no BYE yet; but it would go where the INVITE came from.
    call = next(iter(lab.border.calls.values()))
    assert call.a.hop.address == PBX


@pytest.mark.parametrize(("nat", "expected"), [(Nat.NEVER, False), (Nat.ALWAYS, True)])
def test_the_trunks_word_on_nat_holds(nat: Nat, expected: bool) -> None:
    lab = Lab(settings({"pbx": {"nat": nat, "latch": Latch.ANY}}))
    lab.answer(lab.called(), 183, body=SDP_B)
    end = lab.plans[-1][1].streams[0].a
    assert end.nat is expected
    assert end.latch_any


@pytest.mark.parametrize("latch", [Latch.SIGNALLED, Latch.ASYMMETRIC])
def test_an_asymmetric_peer_is_not_behind_nat_whatever_its_via_says(latch: Latch) -> None:
    lab = Lab(settings({"pbx": {"latch": latch}}))
    lab.give(lab.invite().replace(b"UDP 10.0.0.2:5060", b"UDP 192.168.1.7:5060"))
    lab.answer(lab.take_one(CARRIER[0]), 183, body=SDP_B)
    (stream,) = lab.plans[-1][1].streams
    asymmetric = latch is Latch.ASYMMETRIC
    assert (stream.a.asymmetric, stream.a.nat, stream.a.latch_any) == (
        asymmetric,
        not asymmetric,
        False,
    )
    assert not stream.b.asymmetric


def test_a_lost_worker_ends_its_calls_on_both_legs() -> None:
    lab = Lab()
    lab.connected()
    lab.border.relay_down(0, lab.now)
    assert {one.method for one in lab.take() if isinstance(one, Request)} == {b"BYE"}
    record = lab.record
    assert (record.cause, record.media_complete) == (Cause.RELAY_LOST, False)
    lab.give(lab.invite(call="next"))
    assert 503 in statuses(lab.take())
    assert lab.record.cause is Cause.RELAY_UNAVAILABLE
    lab.border.relay_up(0)
    lab.lease()
    lab.connected(call="after")


def test_an_answer_whose_only_format_is_no_payload_type_is_carried_as_it_is() -> None:
    lab = Lab()
    answer = SDP_B.replace(b"RTP/AVP 8 0 101", b"RTP/AVP 200")
    assert answer != SDP_B
    lab.answer(lab.called(), 200, body=answer)
    success = lab.take(PBX[0])[0]
    lab.give(lab.in_dialog(b"ACK", success, 1))
    lab.give(lab.in_dialog(b"BYE", success, 2))
    lab.answer(lab.take(CARRIER[0])[-1], 200)
    lab.answer_removals()
    record = lab.record
    assert (record.cause, record.codecs) == (Cause.NORMAL, ["200"])


def test_an_address_stays_while_it_is_held_by_address() -> None:
    lab = Lab()
    success, _ = lab.connected()
    held = SDP_A.replace(b"c=IN IP4 10.0.0.2", b"c=IN IP4 0.0.0.0")
    assert held != SDP_A
    lab.give(lab.in_dialog(b"INVITE", success, 2, body=held))
    lab.answer(lab.take_one(CARRIER[0]), 200, body=SDP_B)
    end = lab.plans[-1][1].streams[0].a
    assert (end.remote, end.remote_rtcp) == (("10.0.0.2", 6000), ("10.0.0.2", 6001))
    assert not end.may_receive


def test_a_refused_plan_ends_the_call() -> None:
    lab = Lab()
    lab.answer(lab.called(), 183, body=SDP_B)
    lab.take()
    lab.border.relay_refused(lab.plans[-1][1].call, "unknown port", lab.now)
    assert 503 in statuses(lab.take())
    lab.answer_removals()
    assert "unknown port" in lab.record.reason


def test_media_that_stop_end_the_call() -> None:
    lab = Lab()
    lab.connected()
    lab.border.relay_silent(lab.plans[-1][1].call, "b", lab.now)
    byes = [one for one in lab.take() if isinstance(one, Request)]
    assert {one.method for one in byes} == {b"BYE"}
    assert all(b"media_timeout" in (one.first(b"reason") or b"") for one in byes)
    lab.answer_removals()
    assert lab.record.cause is Cause.MEDIA_TIMEOUT


def test_no_port_is_503_with_the_reason_in_the_record() -> None:
    lab = Lab(workers=0)
    lab.border.relay_up(0)
    for wish in lab.border.core.leases.wanted():
        lab.border.relay_leased(wish.slot, wish.pool, [])
    lab.give(lab.invite())
    assert 503 in statuses(lab.take())
    record = lab.record
    assert record.cause is Cause.PORTS_EXHAUSTED
    assert "no free media port" in record.reason


def test_a_worker_that_never_tells_its_figures_does_not_hold_the_record() -> None:
    lab = Lab()
    success, _ = lab.connected()
    lab.give(lab.in_dialog(b"BYE", success, 2))
    lab.wait(3.0)
    record = lab.record
    assert (record.cause, record.media_complete) == (Cause.NORMAL, False)


def test_calls_go_to_the_worker_with_the_fewest() -> None:
    lab = Lab(workers=2)
    for number in range(4):
        lab.answer(lab.called(call=f"call-{number}"), 183, body=SDP_B)
        lab.take()
    assert sorted(slot for slot, _ in lab.plans) == [0, 0, 1, 1]


def test_the_advertised_address_is_what_peers_see() -> None:
    config = settings()
    media = tuple(replace(one, advertise="203.0.113.7") for one in config.relay.media)
    lab = Lab(replace(config, relay=replace(config.relay, media=media)))
    invite = lab.called()
    assert invite.body.count(b"203.0.113.7") == 2
    assert b"10.1.0.1" not in invite.body


class TestLeases:
    def test_without_a_worker(self) -> None:
        with pytest.raises(RelayUnavailable):
            Leases(["x"]).take("x", "x", 1)

    def test_both_legs_in_one_realm(self) -> None:
        leases = Leases(["x"])
        leases.worker_up(0)
        leases.granted(0, "x", [("h", 2), ("h", 4)])
        lease = leases.take("x", "x", 1)
        assert {*lease.a, *lease.b} == {("h", 2), ("h", 4)}
        with pytest.raises(PortsExhausted):
            leases.take("x", "x", 1)

    def test_a_stock_is_asked_for_before_it_is_empty_and_only_once(self) -> None:
        leases = Leases(["x"])
        leases.worker_up(0)
        (wish,) = leases.wanted()
        leases.granted(0, "x", [("h", 2 * n) for n in range(wish.count)])
        for _ in range(wish.count // 2):
            leases.take("x", "x", 1) if _ % 2 else None
        while not (wishes := leases.wanted()):
            leases.take("x", "x", 1)
        assert len(wishes) == 1
        assert leases.in_hand()["x"] > 0

    def test_a_worker_that_had_none_is_asked_again_when_a_call_needs_some(self) -> None:
        leases = Leases(["x"])
        leases.worker_up(0)
        leases.wanted()
        leases.refused(0, "x")
        with pytest.raises(PortsExhausted):
            leases.take("x", "x", 1)
        assert len(leases.wanted()) == 1


@pytest.mark.parametrize(("streams", "status"), [(8, 100), (9, 488)])
def test_one_call_cannot_take_every_port(streams: int, status: int) -> None:
    lab = Lab()
    more = b"m=audio 6000 RTP/AVP 8\r\n" * (streams - 1)
    lab.give(lab.invite(body=SDP_A + more))
    assert statuses(lab.take(PBX[0]))[-1] == status


def test_media_are_marked_as_the_realm_of_each_side_says() -> None:
    config = settings()
    inside, outside = config.relay.media
    media = (replace(inside, dscp=40), outside)
    lab = Lab(replace(config, relay=replace(config.relay, media=media)))
    lab.connected()
    (stream,) = lab.plans[-1][1].streams
    assert (stream.a.dscp, stream.b.dscp) == (40, 46)


def share_let_through(end: End, kind: str, size: int, packets_per_s: int) -> float:
    """Of twelve seconds of packets of a peer of this end, how much its policer lets through."""
    stream = Stream(0, kind, end, replace(end, port=end.port + 2))
    direction = directions(Plan("call", 1, [stream]))[0]
    policer = Policer(direction.rate_octets, 2 * direction.rate_octets, 0.0)
    taken = max(size, direction.unit_octets)
    sent = 12 * packets_per_s
    return sum(policer.take(taken, at / packets_per_s) for at in range(sent)) / sent


def described(lab: Lab, lines_a: bytes, lines_b: bytes = b"", media: bytes = b"audio") -> Stream:
    """The stream of a call with these lines behind `m=<media> …`."""
    bodies = [
        SDP.partition(b"m=")[0] % {b"host": host} + b"m=%b 6000 RTP/AVP %b\r\n" % (media, lines)
        for host, lines in ((b"10.0.0.2", lines_a), (b"10.1.0.2", lines_b or lines_a))
    ]
    lab.answer(lab.called(body=bodies[0]), 200, body=bodies[1])
    return lab.plans[-1][1].streams[0]


H264 = b"96\r\na=rtpmap:96 H264/90000"


@pytest.mark.parametrize(
    ("a", "b", "media", "sender", "size", "packets_per_s"),
    [
        # What the receiver wants, by `b=` and `a=ptime` (RFC 3264 §5.1, RFC 8866 §6.4).
        (b"0\r\na=ptime:5", b"0", b"audio", "b", 52, 200),
        (b"96\r\nb=AS:512" + H264[2:], b"96\r\nb=AS:10000" + H264[2:], b"video", "a", 1200, 1000),
        (b"96\r\nb=AS:10000" + H264[2:], H264, b"video", "a", 1200, 1000),
        # What a codec needs, whatever is said.
        (b"10", b"", b"audio", "a", 1423, 125),
        (b"10", b"", b"audio", "a", 453, 400),
        (b"96\r\na=rtpmap:96 L16/48000/2", b"", b"audio", "b", 972, 200),
        (b"96\r\na=rtpmap:96 L24/48000", b"", b"audio", "b", 1452, 100),
        (b"96\r\na=rtpmap:96 opus/48000/2", b"", b"audio", "b", 1287, 50),
        (b"96\r\na=rtpmap:96 G726-40/8000\r\nb=AS:8", b"", b"audio", "a", 112, 50),
        (b"0\r\nb=TIAS:0", b"", b"audio", "a", 172, 50),
    ],
)
def test_what_a_peer_was_asked_for_is_not_policed(
    a: bytes, b: bytes, media: bytes, sender: str, size: int, packets_per_s: int
) -> None:
    stream = described(Lab(), a, b, media)
    end = stream.a if sender == "a" else stream.b
    assert share_let_through(end, stream.kind, size, packets_per_s) == 1.0


@pytest.mark.parametrize(
    "lines", [b"0\r\nb=AS:9999999999", b"96\r\na=rtpmap:96 L16/999999999/9999"]
)
def test_no_bandwidth_is_more_than_a_plan_can_say(lines: bytes) -> None:
    stream = described(Lab(), lines)
    assert Stream.from_body(stream.to_body()) == stream
    assert directions(Plan("call", 1, [stream]))[0].rate_octets <= 3 * 125_000_000


@pytest.mark.parametrize("trunk", ["pbx", "carrier"])
def test_what_we_have_asked_for_ourselves_is_not_policed(trunk: str) -> None:
    ptime = {"media": TrunkMedia(codecs=CodecSettings(ptime_ms=5))}
    stream = described(Lab(settings({trunk: ptime})), b"0")
    assert share_let_through(stream.a, "audio", 52, 200) == 1.0
    assert share_let_through(stream.b, "audio", 52, 200) == 1.0


@pytest.mark.parametrize(
    ("a", "b", "media", "size", "packets_per_s"),
    [
        (b"0", b"", b"audio", 172, 1000),
        (b"0 96\r\na=rtpmap:96 opus/48000/2", b"0", b"audio", 1200, 50),
        (b"96\r\nb=AS:50000" + H264[2:], b"96\r\nb=AS:512" + H264[2:], b"video", 1200, 4000),
    ],
)
def test_what_nobody_has_asked_for_is_policed(
    a: bytes, b: bytes, media: bytes, size: int, packets_per_s: int
) -> None:
    stream = described(Lab(), a, b, media)
    assert share_let_through(stream.a, stream.kind, size, packets_per_s) < 0.75
