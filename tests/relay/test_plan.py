"""A plan's streams as directions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relay.control.messages import ControlError, End, ErrorCode, Plan, Srtp, Stream
from relay.forward.base import Verdict
from relay.latch import Rules
from relay.plan import PLAIN, Component, Side, directions

A = End("inside", "192.0.2.1", 12000, ("198.51.100.1", 4000))
B = End("outside", "192.0.2.2", 22000, ("203.0.113.1", 5000))


def plan(a: End = A, b: End = B, kind: str = "audio") -> Plan:
    return Plan("call", 1, [Stream(0, kind, a, b)])


def test_a_stream_is_four_directions():
    found = directions(plan())
    assert [(one.side, one.component, one.key, one.out) for one in found] == [
        (Side.A, Component.RTP, ("192.0.2.1", 12000), ("192.0.2.2", 22000)),
        (Side.B, Component.RTP, ("192.0.2.2", 22000), ("192.0.2.1", 12000)),
        (Side.A, Component.RTCP, ("192.0.2.1", 12001), ("192.0.2.2", 22001)),
        (Side.B, Component.RTCP, ("192.0.2.2", 22001), ("192.0.2.1", 12001)),
    ]
    assert [one.rules.signalled for one in found] == [
        ("198.51.100.1", 4000),
        ("203.0.113.1", 5000),
        ("198.51.100.1", 4001),
        ("203.0.113.1", 5001),
    ]


def test_rtcp_where_the_sdp_says():
    found = directions(plan(replace(A, remote_rtcp=("198.51.100.2", 4100))))
    assert found[2].rules.signalled == ("198.51.100.2", 4100)


def test_what_one_end_may_not_receive_the_other_ends_direction_holds():
    a, b, a_rtcp, b_rtcp = directions(plan(b=replace(B, may_receive=False)))
    assert (a.held, b.held, a_rtcp.held, b_rtcp.held) == (True, False, False, False)


@pytest.mark.parametrize(
    ("remote", "signalled"),
    [
        (("0.0.0.0", 4000), None),  # noqa: S104
        (("198.51.100.1", 0), None),
        (("224.0.0.1", 4000), None),
        (("255.255.255.255", 4000), None),
        (("127.0.0.1", 4000), None),
        (None, None),
        (("198.51.100.9", 4000), ("198.51.100.9", 4000)),
    ],
)
def test_addresses_where_nobody_can_be_are_nobody(remote, signalled):
    assert directions(plan(replace(A, remote=remote)))[0].rules.signalled == signalled


def test_loopback_reaches_loopback():
    end = replace(A, address="127.0.0.1", remote=("127.0.0.2", 4000))
    assert directions(plan(end))[0].rules.signalled == ("127.0.0.2", 4000)


def test_ipv6_in_the_form_in_which_packets_bear_it():
    end = replace(A, address="2001:db8::1", remote=("2001:DB8:0:0::2", 4000))
    assert directions(plan(end))[0].rules.signalled == ("2001:db8::2", 4000)


@pytest.mark.parametrize(
    ("streams", "code"),
    [
        ([Stream(0, "audio", A, replace(B, port=22001))], ErrorCode.BAD_REQUEST),
        ([Stream(0, "audio", A, A)], ErrorCode.PORT_IN_USE),
        ([Stream(0, "audio", A, B), Stream(0, "audio", A, B)], ErrorCode.BAD_REQUEST),
        ([Stream(0, "audio", A, B), Stream(1, "audio", A, B)], ErrorCode.PORT_IN_USE),
        ([Stream(0, "audio", replace(A, remote=("a.example", 1)), B)], ErrorCode.BAD_REQUEST),
        ([Stream(0, "audio", replace(A, remote=("::1", 1)), B)], ErrorCode.BAD_REQUEST),
        ([Stream(0, "audio", replace(A, sip_source="pbx"), B)], ErrorCode.BAD_REQUEST),
    ],
)
def test_plans_that_contradict_themselves(streams, code):
    with pytest.raises(ControlError) as caught:
        directions(Plan("call", 1, streams))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("kind", "pps", "bps", "unit", "rate"),
    [
        ("audio", 0, 0, 200, 60_000),
        ("audio", 50, 8600, 172, 25_800),
        ("audio", 50, 0, 200, 30_000),
        ("audio", 0, 8600, 200, 25_800),
        ("audio", 100, 1000, 60, 18_000),
        ("video", 0, 0, 1000, 1_500_000),
        ("message", 0, 0, 1000, 300_000),
    ],
)
def test_what_is_policed(kind, pps, bps, unit, rate):
    found = directions(plan(replace(A, rate_pps=pps, rate_bps=bps), kind=kind))[0]
    assert (found.unit_octets, found.rate_octets) == (unit, rate)


@pytest.mark.parametrize("types", [[128], [-1], ["101"], "101", 101, list(range(129)), None])
def test_what_is_no_list_of_payload_types_is_refused(types):
    body = replace(A, dtmf_reported=types or [101], codecs={96: "opus"}).to_body()
    body[22] = types
    with pytest.raises(ControlError) as caught:
        End.from_body(body)
    assert caught.value.code == ErrorCode.BAD_REQUEST
    assert "payload types" in caught.value.text


@pytest.mark.parametrize("strict", [False, True])
def test_digits_are_taken_out_of_one_direction_and_put_into_the_other(strict):
    end = replace(A, dtmf_pt=101, dtmf_reported=(101, 97), strict=strict, clock_rates={0: 8000})
    from_a, from_b, *_ = directions(plan(end))
    assert from_a.crossing.types is not None
    assert from_a.crossing.types[101] == from_a.crossing.types[97] == Verdict.PUNT
    assert from_a.crossing.types[0] == Verdict.FORWARD
    assert from_a.crossing.types[8] == (Verdict.DROP if strict else Verdict.FORWARD)
    assert (from_a.crossing.reported_types, from_a.crossing.injected_type) == ((101, 97), -1)
    assert (from_b.crossing.reported_types, from_b.crossing.injected_type) == ((), 101)
    assert from_b.crossing.types is None


KEY, OTHER_KEY = (Srtp("AEAD_AES_128_GCM", bytes([n]) * 28) for n in (1, 2))


def test_what_changes_on_the_way_is_of_both_ends():
    """What comes from A's peer: A's key, map and law; B's key and wishes."""
    a = replace(A, srtp_in=KEY, payloads={0: 8}, convert={0: 1}, strict=True, clock_rates={0: 8000})
    b = replace(B, srtp_out=OTHER_KEY, continuity=True, dscp=46)
    rtp_a, rtp_b, rtcp_a, rtcp_b = directions(plan(a, b))
    crossing = rtp_a.crossing
    assert (crossing.srtp_in, crossing.srtp_out, crossing.continuity) == (KEY, OTHER_KEY, True)
    assert crossing.payloads == bytes([8, *range(1, 128)])
    assert crossing.convert == bytes([1]) + bytes(127)
    assert crossing.types == bytes([0]) + bytes([1]) * 127
    assert rtcp_a.crossing is crossing
    assert rtp_b.crossing is rtcp_b.crossing is PLAIN
    assert (rtp_a.tos, rtp_b.tos, rtcp_b.tos) == (0, 46 << 2, 46 << 2)


def test_a_plain_plan_changes_nothing():
    assert all(one.crossing is PLAIN for one in directions(plan()))


def test_with_mux_rtcp_leaves_by_the_rtp_port_and_is_expected_there():
    rtp_a, rtp_b, rtcp_a, rtcp_b = directions(plan(B, replace(A, rtcp_mux=True)))
    assert (rtp_b.muxed, rtcp_b.muxed, rtp_a.muxed) == (True, True, False)
    assert rtcp_a.out == ("192.0.2.1", 12000)
    assert rtcp_b.rules == Rules(None)
    assert rtcp_b.out == ("192.0.2.2", 22001)


def test_a_payload_type_that_looks_like_rtcp_is_refused_with_mux():
    with pytest.raises(ControlError) as caught:
        directions(plan(replace(A, payloads={0: 72}), replace(B, rtcp_mux=True)))
    assert caught.value.code == ErrorCode.BAD_REQUEST
    directions(plan(replace(A, payloads={0: 72})))


def test_verdicts_of_payload_types_have_the_forwarders_numbers():
    strict = directions(plan(replace(A, strict=True, clock_rates={0: 8000})))[0].crossing.types
    assert (strict[0], strict[1]) == (Verdict.FORWARD, Verdict.DROP)
