"""Where the other side is, and where we say that we are: TCP, IPv6, two peers, a 1:1 NAT."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.phone import Phone, sdp
from tests.e2e.sides import INSIDE, OUTSIDE, SCENARIOS, Pair
from tests.e2e.tone import Media
from tests.support.border import Border, Shape, until
from tests.support.capture import Capture
from tests.support.sipp import Sipp

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@contextmanager
def _border(folder: Path, shape: Shape) -> Iterator[Border]:
    with Border(folder / "border", shape) as running:
        yield running


def test_a_trunk_called_by_tcp_is_called_by_tcp_alone(
    tmp_path: Path,
    recording: Capture,
) -> None:
    own = Shape(outside_trunk={"transport": "tcp"})
    pair = Pair(tmp_path, own)
    with (
        _border(tmp_path, own) as border,
        pair.called("uas_call", transport="t1") as called,
        pair.caller("uac_call", calls=50, rate=25) as caller,
    ):
        placed, taken = caller.wait(), called.stop()

        assert (placed.successful, placed.failed) == (50, 0), caller.error_text()
        assert (taken.successful, taken.failed) == (50, 0), called.error_text()
        until(lambda: len(border.cdrs()) == 50, 3, "a record of each call")


def test_a_called_party_over_tcp_hangs_up(tmp_path: Path, recording: Capture, shape: Shape) -> None:
    own = Shape(outside_trunk={"transport": "tcp"})
    pair = Pair(tmp_path, own)
    with (
        _border(tmp_path, own),
        pair.called("uas_hangs_up", transport="t1", pause_ms=200) as called,
        pair.caller("uac_hung_up", calls=50, rate=25) as caller,
    ):
        placed, taken = caller.wait(), called.stop()

        assert (placed.successful, placed.failed) == (50, 0), caller.error_text()
        assert (taken.successful, taken.failed) == (50, 0), called.error_text()


def test_the_second_peer_is_called_where_the_first_is_away(
    tmp_path: Path, recording: Capture
) -> None:
    peers = ["127.0.2.11:5060", "127.0.2.10:5060"]
    own = Shape(outside_trunk={"peers": peers})
    with (
        _border(tmp_path, own) as border,
        Phone(("127.0.1.10", 5060), INSIDE, ("127.0.1.1", 5060)) as caller,
        Phone(("127.0.2.10", 5060), OUTSIDE, ("127.0.2.1", 5060)) as called,
    ):
        a_leg = caller.invite()
        b_leg = called.answering(1)
        b_leg.answer()
        a_leg.establish()
        a_leg.request("BYE")
        b_leg.hung_up()
        a_leg.expect(lambda one: one.status == 200 and one.method == "BYE")
        until(lambda: border.cdrs(), 3, "a record")
        assert border.cdrs()[-1]["cause"] == "normal"


def test_behind_a_one_to_one_nat_peers_are_told_the_public_address(
    tmp_path: Path, recording: Capture
) -> None:
    public = {"sip": "198.51.100.7:5070", "media": "198.51.100.8"}
    realms: dict[str, Any] = Shape().document(tmp_path)["realms"]
    realms["outside"] = {
        "listen": [{"bind": "udp:127.0.2.1:5060", "advertise": public["sip"]}],
        "media": {"address": "127.0.2.1", "advertise": public["media"], "ports": "14000-15999"},
    }
    with (
        _border(tmp_path, Shape(further={"realms": realms})),
        Phone(("127.0.1.10", 5060), INSIDE, ("127.0.1.1", 5060)) as caller,
        Phone(("127.0.2.10", 5060), OUTSIDE, ("127.0.2.1", 5060)) as called,
    ):
        a_leg = caller.invite()
        b_leg = called.answering()
        invite = b_leg.invite
        assert invite is not None
        assert invite.first("via").startswith(f"SIP/2.0/UDP {public['sip']};")
        assert invite.contact_uri.endswith(f"@{public['sip']}")
        assert f"@{public['sip'].partition(':')[0]}" in invite.first("from")
        assert invite.media()[0] == public["media"]
        assert invite.source == ("127.0.2.1", 5060)
        b_leg.answer()
        final = a_leg.establish()
        assert final.media()[0] == "127.0.1.1"
        # What the called party sends goes to the public address; the NAT brings it to us.
        b_leg.target = "sip:x@127.0.2.1:5060"
        b_leg.request("BYE")
        a_leg.hung_up()
        b_leg.expect(200)


def test_a_peer_behind_the_same_one_to_one_nat_is_told_our_own_address(
    tmp_path: Path, recording: Capture
) -> None:
    """The public one would lead it out to the router and, in most clouds, not back again."""
    near, far, public = "127.0.2.10", "127.0.2.90", "198.51.100.7"
    realms: dict[str, Any] = Shape().document(tmp_path)["realms"]
    realms["outside"] = {
        "listen": [{"bind": "udp:127.0.2.1:5060", "advertise": f"{public}:5070"}],
        "media": {"address": "127.0.2.1", "advertise": public, "ports": "14000-15999"},
        "local_networks": "127.0.2.0/28",
    }
    own = Shape(outside_trunk={"sources": [near, far]}, further={"realms": realms})
    told = {near: "127.0.2.1:5060", far: f"{public}:5070"}
    with (
        _border(tmp_path, own),
        Phone(("127.0.1.10", 5060), INSIDE, ("127.0.1.1", 5060)) as inside,
        Phone((near, 5060), OUTSIDE, ("127.0.2.1", 5060)) as neighbour,
        Phone((far, 5060), OUTSIDE, ("127.0.2.1", 5060)) as stranger,
    ):
        for caller, host in ((neighbour, near), (stranger, far)):
            a_leg = caller.invite()
            b_leg = inside.answering()
            b_leg.answer()
            final = a_leg.expect(200)
            assert final.contact_uri.endswith(f"@{told[host]}")
            assert final.media()[0] == told[host].partition(":")[0]
            a_leg.take(final)
            a_leg.target = "sip:x@127.0.2.1:5060"  # where the NAT would bring what it sends
            a_leg.ack()
            b_leg.request("BYE")
            hung_up = a_leg.hung_up()
            assert hung_up.first("via").startswith(f"SIP/2.0/UDP {told[host]};")
        inside.invite()
        invite = neighbour.answering().invite
        assert invite is not None
        assert invite.contact_uri.endswith(f"@{told[near]}")
        assert invite.media()[0] == "127.0.2.1"
        assert public not in invite.raw.decode()


def test_a_call_crosses_from_ipv4_to_ipv6(tmp_path: Path, recording: Capture) -> None:
    if not _has_ipv6():
        pytest.skip("this machine has no IPv6 on its loopback")
    realms: dict[str, Any] = Shape().document(tmp_path)["realms"]
    realms["outside"] = {
        "listen": ["udp:127.0.2.1:5060", "udp:[::1]:5060"],
        "media": {"address": "::1", "ports": "14000-14999"},
    }
    own = Shape(
        outside_trunk={"peers": ["[::1]:5070"], "sources": ["::1"]}, further={"realms": realms}
    )
    with (
        _border(tmp_path, own),
        Phone(("127.0.1.10", 5060), INSIDE, ("127.0.1.1", 5060)) as caller,
        Phone(("::1", 5070), OUTSIDE, ("::1", 5060)) as called,
        Media("127.0.1.10", 440, f"alice@{INSIDE}.example") as inside,
        Media("::1", 1000, f"bob@{OUTSIDE}.example") as outside,
    ):
        a_leg = caller.invite(body=sdp(inside.host, inside.port, INSIDE))
        b_leg = called.answering()
        invite = b_leg.invite
        assert invite is not None
        assert invite.first("via").startswith("SIP/2.0/UDP [::1]:5060;")
        assert invite.media()[0] == "::1"
        assert "127.0.1." not in invite.raw.decode()
        b_leg.answer(sdp("::1", outside.port, OUTSIDE))
        final = a_leg.establish()
        assert "::1" not in final.raw.decode().replace("127.0.1.1", "")
        inside.talk_to(final.media())
        outside.talk_to(invite.media())
        until(lambda: inside.received > 60 and outside.received > 60, 5, "media both ways")
        a_leg.request("BYE")
        b_leg.hung_up()
        a_leg.expect(lambda one: one.status == 200 and one.method == "BYE")

        assert inside.heard(1000) > 0.95
        assert outside.heard(440) > 0.95

        a_leg = called.invite(body=sdp("::1", outside.port, OUTSIDE))
        b_leg = caller.answering()
        invite = b_leg.invite
        assert invite is not None
        assert invite.first("via").startswith("SIP/2.0/UDP 127.0.1.1:5060;")
        assert invite.media()[0] == "127.0.1.1"
        assert "::1" not in invite.raw.decode().replace("127.0.1.1", "")
        assert "IN IP4" in invite.body.decode()
        assert "IP6" not in invite.raw.decode()
        b_leg.answer(sdp(inside.host, inside.port, INSIDE))
        assert a_leg.establish().media()[0] == "::1"
        a_leg.request("BYE")
        b_leg.hung_up()
        a_leg.expect(lambda one: one.status == 200 and one.method == "BYE")


@pytest.mark.parametrize("way", ["to IPv6", "to IPv4"])
def test_sipp_calls_sipp_of_the_other_family(tmp_path: Path, recording: Capture, way: str) -> None:
    if not _has_ipv6():
        pytest.skip("this machine has no IPv6 on its loopback")
    realms: dict[str, Any] = Shape().document(tmp_path)["realms"]
    realms["outside"] = {
        "listen": ["udp:127.0.2.1:5060", "udp:[::1]:5060"],
        "media": {"address": "::1", "ports": "14000-14999"},
    }
    own = Shape(
        outside_trunk={"peers": ["[::1]:5070"], "sources": ["::1"]}, further={"realms": realms}
    )
    inside, outside = ("127.0.1.10", 5060), ("::1", 5070)
    if way == "to IPv6":
        (caller, border), called = (inside, ("127.0.1.1", 5060)), outside
        marks = INSIDE, OUTSIDE
    else:
        (caller, border), called = (outside, ("::1", 5060)), inside
        marks = OUTSIDE, INSIDE
    with (
        _border(tmp_path, own),
        Sipp(SCENARIOS / "uas_call.xml", tmp_path, called, keys={"mark": marks[1]}) as taker,
        Sipp(
            SCENARIOS / "uac_call.xml",
            tmp_path,
            caller,
            remote=border,
            calls=20,
            rate=20,
            keys={"mark": marks[0]},
        ) as placer,
    ):
        placed, taken = placer.wait(), taker.stop()
        assert (placed.successful, placed.failed) == (20, 0), placer.error_text()
        assert (taken.successful, taken.failed) == (20, 0), taker.error_text()


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_a_realm_of_both_families_serves_each_peer_in_its_own(
    tmp_path: Path, recording: Capture
) -> None:
    if not _has_ipv6():
        pytest.skip("this machine has no IPv6 on its loopback")
    realms: dict[str, Any] = Shape().document(tmp_path)["realms"]
    realms["outside"]["media"] = [
        {"address": "127.0.2.1", "ports": "14000-14009"},
        {"address": "::1", "ports": "14000-14009"},
    ]
    with (
        _border(tmp_path, Shape(further={"realms": realms})) as border,
        Phone(("127.0.1.10", 5060), INSIDE, ("127.0.1.1", 5060)) as inside,
        Phone(("127.0.2.10", 5060), OUTSIDE, ("127.0.2.1", 5060)) as outside,
        Media("127.0.1.10", 440, f"alice@{INSIDE}.example") as of_inside,
        Media("::1", 1000, f"bob@{OUTSIDE}.example") as of_outside,
    ):
        a_leg = outside.invite(body=sdp("::1", of_outside.port, OUTSIDE))
        b_leg = inside.answering()
        invite = b_leg.invite
        assert invite is not None
        assert invite.media()[0] == "127.0.1.1"
        b_leg.answer(sdp(of_inside.host, of_inside.port, INSIDE))
        final = a_leg.establish()
        assert final.media()[0] == "::1"
        of_inside.talk_to(invite.media())
        of_outside.talk_to(final.media())
        until(lambda: of_inside.received > 60 and of_outside.received > 60, 5, "media both ways")
        assert of_inside.heard(1000) > 0.95
        assert of_outside.heard(440) > 0.95
        calls = []
        for _ in range(4):  # with the first, all that IPv6 has; and IPv4 is not touched by it
            calls.append(outside.invite(body=sdp("::1", of_outside.port, OUTSIDE)))
            called = inside.answering()
            called.answer(sdp(of_inside.host, of_inside.port, INSIDE))
            assert calls[-1].establish().media()[0] == "::1"
        refused = outside.invite(body=sdp("::1", of_outside.port, OUTSIDE))
        refused.expect(503)
        further = outside.invite(body=sdp("127.0.2.10", 40000, OUTSIDE))
        called = inside.answering()
        called.answer(sdp(of_inside.host, of_inside.port, INSIDE))
        assert further.establish().media()[0] == "127.0.2.1"
        assert border.status()["calls"] == 6
