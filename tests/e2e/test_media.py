"""Media through the border: both hear each other, and nobody else gets a word in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.phone import Call, Phone, sdp
from tests.e2e.sides import INSIDE, OUTSIDE
from tests.e2e.tone import Media, rtp, sender_report
from tests.support.border import Border, Shape, until
from tests.support.capture import Capture, Packet

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

THIRD = "127.0.2.66"
OWN = ("127.0.1.5", "127.0.2.5")
"""Where a border of a test's own listens, beside the module's."""
"""An address that signalling never named; outside every peer's range, inside no trunk."""


@pytest.fixture(scope="module")
def shape() -> Shape:
    return Shape(outside_sources=("127.0.2.10", "127.0.2.11"))


@contextmanager
def _talk(
    caller: Phone, called: Phone, *, offer_port: int | None = None
) -> Iterator[tuple[Media, Media, Call, Call]]:
    """An established call in which both say a tone: 440 Hz inside, 1000 Hz outside."""
    with (
        Media(caller.address[0], 440, f"alice@{INSIDE}.example") as inside,
        Media(called.address[0], 1000, f"bob@{OUTSIDE}.example") as outside,
    ):
        port = offer_port or inside.port
        a_leg = caller.invite(body=sdp(inside.host, port, INSIDE))
        b_leg = called.answering()
        b_leg.answer(sdp(outside.host, outside.port, OUTSIDE))
        final = a_leg.establish()
        assert b_leg.invite is not None
        inside.talk_to(final.media())
        outside.talk_to(b_leg.invite.media())
        yield inside, outside, a_leg, b_leg
        a_leg.request("BYE")
        b_leg.hung_up()
        a_leg.expect(lambda one: one.status == 200 and one.method == "BYE")


def test_tones_cross_and_each_packet_comes_from_the_border(
    border: Border, caller: Phone, called: Phone
) -> None:
    with _talk(caller, called) as (inside, outside, _, _):
        time.sleep(2)
        inside.quiet()
        outside.quiet()
        time.sleep(0.2)

        assert inside.heard(1000) > 0.95
        assert outside.heard(440) > 0.95
        assert {source[0] for source in inside.sources} == {"127.0.1.1"}
        assert {source[0] for source in outside.sources} == {"127.0.2.1"}
        assert abs(inside.received - outside.sent) <= 3
        assert inside.reports, "RTCP crosses"
    until(lambda: border.cdrs(), 3, "a record")
    streams = border.cdrs()[-1]["streams"]
    assert {stream["side"] for stream in streams} == {"a", "b"}
    assert all(stream["packets"] > 80 and stream["lost"] == 0 for stream in streams), streams


def test_reports_lose_their_names_on_the_way(border: Border, caller: Phone, called: Phone) -> None:
    """SDES: the CNAME is replaced, every other item dropped (RFC 3550 §6.5)."""
    with _talk(caller, called) as (inside, outside, _, _):
        time.sleep(2)
        reports = inside.reports + outside.reports

    assert reports
    joined = b"".join(reports)
    assert INSIDE.encode() not in joined
    assert OUTSIDE.encode() not in joined


def test_packets_of_a_third_address_go_nowhere_and_get_nothing_back(
    border: Border, caller: Phone, called: Phone, recording: Capture
) -> None:
    with (
        _talk(caller, called) as (inside, outside, a_leg, b_leg),
        Media(THIRD, 600, "thirdmark") as third,
    ):
        time.sleep(1.2)
        assert a_leg.final is not None
        assert b_leg.invite is not None
        for host, port in (b_leg.invite.media(), a_leg.final.media()):
            for number in range(50):
                third.send_once(rtp(number, number * 160, 0xBAD, b"\x55" * 160), (host, port))
                third.send_once(sender_report(0xBAD, "thirdmark"), (host, port + 1))
        time.sleep(1.0)

        assert 0xBAD not in inside.ssrcs
        assert 0xBAD not in outside.ssrcs
        assert third.received == 0
        assert inside.heard(1000) > 0.95
    assert _sent_to(recording, THIRD) == []


def test_packets_after_the_call_get_nothing_back_not_even_icmp(
    border: Border, caller: Phone, called: Phone, recording: Capture
) -> None:
    with _talk(caller, called) as (_, _outside, _, b_leg):
        time.sleep(0.5)
        assert b_leg.invite is not None
        host, port = b_leg.invite.media()
    with Media(THIRD, 600, "thirdmark") as third:
        for number in range(20):
            third.send_once(rtp(number, 0, 0xBAD, b"\x55" * 160), (host, port))
            third.send_once(rtp(number, 0, 0xBAD, b"\x55" * 160), (host, port + 1))
        time.sleep(0.3)
    assert _sent_to(recording, THIRD) == []


def test_before_latching_only_what_signalling_named_is_believed(
    border: Border, caller: Phone, called: Phone, recording: Capture
) -> None:
    """The called party has said nothing yet when a stranger's packets come first."""
    with (
        Media("127.0.1.10", 440, f"alice@{INSIDE}.example") as inside,
        Media("127.0.2.10", 1000, f"bob@{OUTSIDE}.example") as outside,
        Media(THIRD, 600, "thirdmark") as third,
    ):
        a_leg = caller.invite(body=sdp(inside.host, inside.port, INSIDE))
        b_leg = called.answering()
        assert b_leg.invite is not None
        target = b_leg.invite.media()
        for number in range(20):
            third.send_once(rtp(number, number * 160, 0xBAD, b"\x55" * 160), target)
        b_leg.answer(sdp(outside.host, outside.port, OUTSIDE))
        final = a_leg.establish()
        for number in range(20):
            third.send_once(rtp(number, number * 160, 0xBAD, b"\x55" * 160), target)
        inside.talk_to(final.media())
        outside.talk_to(target)
        time.sleep(1.5)
        a_leg.request("BYE")
        b_leg.hung_up()

        assert 0xBAD not in inside.ssrcs
        assert inside.heard(1000) > 0.95
        assert outside.heard(440) > 0.95
        assert third.received == 0
    assert _sent_to(recording, THIRD) == []


def test_a_peer_that_sends_from_another_port_than_it_hears_on(
    tmp_path: Path, recording: Capture
) -> None:
    """`latch: asymmetric`: its packets are believed, and ours go where its SDP says."""
    own = Shape(inside=OWN[0], outside=OWN[1], outside_trunk={"latch": "asymmetric"})
    with (
        Border(tmp_path / "border", own),
        Phone(("127.0.1.10", 5060), INSIDE, (OWN[0], 5060)) as caller,
        Phone(("127.0.2.10", 5060), OUTSIDE, (OWN[1], 5060)) as called,
        Media("127.0.1.10", 440, f"alice@{INSIDE}.example") as inside,
        Media("127.0.2.10", 700, f"ear@{OUTSIDE}.example") as ear,
        Media("127.0.2.10", 1000, f"mouth@{OUTSIDE}.example") as mouth,
        Media(THIRD, 600, "thirdmark") as third,
    ):
        a_leg = caller.invite(body=sdp(inside.host, inside.port, INSIDE))
        b_leg = called.answering()
        b_leg.answer(sdp(ear.host, ear.port, OUTSIDE))
        final = a_leg.establish()
        assert b_leg.invite is not None
        third.talk_to(b_leg.invite.media())
        mouth.talk_to(b_leg.invite.media())
        inside.talk_to(final.media())
        until(lambda: inside.received > 60 and ear.received > 60, 5, "media both ways")
        a_leg.request("BYE")
        b_leg.hung_up()

        assert inside.heard(1000) > 0.95
        assert ear.heard(440) > 0.95
        assert (mouth.received, third.received) == (0, 0)


def test_early_media_of_a_peer_behind_nat_that_has_said_nothing_of_them(tmp_path: Path) -> None:
    own = Shape(inside=OWN[0], outside=OWN[1], outside_trunk={"nat": "always"})
    with (
        Border(tmp_path / "border", own),
        Phone(("127.0.1.10", 5060), INSIDE, (OWN[0], 5060)) as caller,
        Phone(("127.0.2.10", 5060), OUTSIDE, (OWN[1], 5060)) as called,
        Media("127.0.1.10", 440, f"alice@{INSIDE}.example") as inside,
        Media("127.0.2.10", 1000, f"bob@{OUTSIDE}.example") as outside,
        Media(THIRD, 600, "thirdmark") as third,
    ):
        a_leg = caller.invite(body=sdp(inside.host, inside.port, INSIDE))
        b_leg = called.answering()
        assert b_leg.invite is not None
        b_leg.respond(180)
        a_leg.expect(180)
        third.talk_to(b_leg.invite.media())
        outside.talk_to(b_leg.invite.media())
        until(lambda: inside.received > 60, 5, "early media")
        b_leg.answer(sdp(outside.host, outside.port, OUTSIDE))
        inside.talk_to(a_leg.establish().media())
        until(lambda: outside.received > 60, 5, "media the other way")
        a_leg.request("BYE")
        b_leg.hung_up()

        assert inside.heard(1000) > 0.95
        assert outside.heard(440) > 0.95
        assert third.received == 0


def _sent_to(recording: Capture, host: str) -> list[Packet]:
    return [packet for packet in recording.packets() if packet.target[0] == host]
