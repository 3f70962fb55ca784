"""Nothing of one side reaches the other: the capture of the whole run, searched.

This module runs last (`conftest.py`), so that all that the other modules sent is judged.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sbc.call.crossing.headers import Hide
from tests.e2e.phone import Phone, sdp
from tests.e2e.sides import INSIDE, OUTSIDE, TORTURER, over_ipv6, sides
from tests.support.border import Border, Shape
from tests.support.capture import Capture, Hit, Packet, find_hits, read_packets
from tests.support.tls_peer import DECRYPTED

LEAKY = Shape(
    inside="127.0.3.1",
    outside="127.0.4.1",
    inside_peer="127.0.3.10:5060",
    outside_peer="127.0.4.10:5060",
    inside_sources=("127.0.3.0/24",),
    outside_sources=("127.0.4.0/24",),
)
"""A border with a rule switched off has addresses of its own, outside the search of the run."""


BORDERS = ("127.0.1.1", "127.0.2.1")


def _packet(payload: bytes, source: str = "127.0.2.1", target: str = "127.0.2.10") -> Packet:
    return Packet(0.0, 17, (source, 5060), (target, 5060), payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"INVITE sip:1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.1.10:5060\r\n\r\n",
        b"SIP/2.0 200 OK\r\nContact: <sip:InsideMark-p@x>\r\n\r\n",
        b"v=0\r\no=- 1 1 IN IP4 127.0.1.1\r\n",
        b"User-Agent: baresip v1.0.0",
        b"\x81\xca\x00\x05....\x01\x12alice@insidemark.x",
    ],
)
def test_checker_finds_what_belongs_to_the_other_side(payload: bytes) -> None:
    assert find_hits([_packet(payload)], sides())


@pytest.mark.parametrize(
    "packet",
    [
        _packet(b"Via: SIP/2.0/UDP 127.0.2.1:5060\r\nFrom: <sip:alice@127.0.2.1>"),
        _packet(b"insidemark", source="127.0.2.10", target="127.0.2.1"),
        _packet(b"insidemark", source="127.0.2.11", target="127.0.2.10"),
        _packet(b"a=x:1127.0.1.10 127.0.11.10 127.0.2.1"),
        _packet(b"127.0.1.10", source="127.0.1.1", target="127.0.1.10"),
    ],
)
def test_checker_lets_pass_what_is_a_sides_own(packet: Packet) -> None:
    assert find_hits([packet], sides()) == []


def test_checker_sees_ipv6() -> None:
    (hit,) = find_hits([_packet(b"Call-ID: insidemark", "::1", "::1")], [over_ipv6()])
    assert hit.side == "outside over IPv6"
    assert find_hits([_packet(b"Call-ID: outsidemark", "::1", "::1")], [over_ipv6()]) == []
    header = bytes.fromhex("6000000000")
    datagram = (5060).to_bytes(2, "big") * 2 + (13).to_bytes(2, "big") + b"\0\0hello"
    address = bytes(15) + b"\1"
    packet = header[:4] + len(datagram).to_bytes(2, "big") + b"\x11\x40" + address * 2 + datagram
    record = (0).to_bytes(8, "little") + len(packet).to_bytes(4, "little") * 2 + packet
    (read,) = read_packets(bytes(24) + record)
    assert (read.source, read.target, read.payload) == (("::1", 5060), ("::1", 5060), b"hello")


def test_checker_finds_a_marker_across_two_tcp_segments() -> None:
    parts = [b"Via: inside", b"mark\r\n"]
    packets = [
        Packet(at, 6, ("127.0.2.1", 5060), ("127.0.2.10", 40_000), part)
        for at, part in enumerate(parts)
    ]

    assert find_hits(packets, sides())


@pytest.mark.e2e
@pytest.mark.slow
def test_nothing_of_one_side_reached_the_other_in_the_whole_run(
    border: Border, caller: Phone, called: Phone, recording: Capture
) -> None:
    _call_with_markers(caller, called)
    packets = recording.packets() + DECRYPTED
    for side in sides():
        received = [packet for packet in packets if packet.target[0] in side.hosts]
        assert received, f"nothing was captured of what {side.name} received"

    hits = find_hits(packets, (*sides(), over_ipv6()))

    assert not hits, _told(hits)


@pytest.mark.e2e
@pytest.mark.slow
def test_what_the_border_sent_is_well_formed_in_the_eyes_of_another_parser(
    border: Border, recording: Capture, tmp_path: Path
) -> None:
    """tshark dissects everything that left the border: SIP, SDP, RTP and RTCP.

    What ICMP errors quote of it is cut off and says nothing.
    """
    sent = f"ip.src in {{{', '.join(BORDERS)}}} && ip.dst != {TORTURER} && !icmp"
    shown = ("frame.number", "ip.dst", "sip.CSeq", "_ws.expert.message")
    columns = ["-T", "fields", *(word for name in shown for word in ("-e", name))]
    wrong = ["-Y", f"{sent} && (_ws.malformed || sdp.invalid)"]
    done = subprocess.run(
        ["tshark", "-r", str(recording.path), *columns, *wrong],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == ""


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "where"),
    [
        ("uri_hosts", b"diversion"),
        ("uri_params", b"history-info"),
        ("display_names", b"diversion"),
        ("other_text", b"subject"),
    ],
)
def test_the_search_fails_when_one_rule_is_off(tmp_path: Path, rule: str, where: bytes) -> None:
    with (
        Capture(tmp_path / "leak.pcap") as capture,
        Border(tmp_path / "border", LEAKY, environment={"SBC_TEST_UNHIDE": rule}),
        Phone(("127.0.3.10", 5060), INSIDE, ("127.0.3.1", 5060)) as caller,
        Phone(("127.0.4.10", 5060), OUTSIDE, ("127.0.4.1", 5060)) as called,
    ):
        _call_with_markers(caller, called)
        hits = find_hits(capture.packets(), sides("127.0.3", "127.0.4"))

    assert hits, "the search found nothing though a rule was off"
    assert where in {hit.where.partition(b":")[0].lower() for hit in hits}, _told(hits)


def test_every_rule_is_switched_off_once() -> None:
    (cases,) = (mark for mark in test_the_search_fails_when_one_rule_is_off.pytestmark if mark.args)
    assert {rule for rule, _ in cases.args[1]} == set(Hide._fields)


def _call_with_markers(caller: Phone, called: Phone) -> None:
    """A call whose headers that cross bear the caller's marker where each rule has to find it."""
    mark = f"{caller.mark}.example"
    headers = (
        f'Diversion: "desk at {mark}" <sip:desk@{mark}>;reason=unconditional\r\n'
        f"History-Info: <sip:desk@{mark};maddr={mark}>;index=1\r\n"
        f"Subject: call {mark} back\r\n"
        f"Alert-Info: <http://{mark}/ring.wav>;from={mark}\r\n"
    )
    a_leg = caller.invite(headers=headers)
    b_leg = called.answering()
    b_leg.answer(sdp(called.address[0], 42_000, called.mark))
    a_leg.establish()
    a_leg.request("BYE")
    b_leg.hung_up()
    a_leg.expect(lambda one: one.status == 200 and one.method == "BYE")


def _told(hits: list[Hit]) -> str:
    """The first hit of each kind: a leak shows in every call."""
    kinds: dict[tuple[str, bytes, bytes], Hit] = {}
    for hit in hits:
        kinds.setdefault((hit.side, hit.text.lower(), hit.where.partition(b":")[0]), hit)
    return f"{len(hits)} hits, for example:\n" + "\n".join(str(hit) for hit in kinds.values())
