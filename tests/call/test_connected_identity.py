"""Who is there may change while a call is up: P-Asserted-Identity in re-INVITE and UPDATE.

RFC 3325 §9.1; the case for it is that of RFC 4916: a PBX has put somebody else through.
"""

from __future__ import annotations

from typing import Any

import pytest

from policies.settings import Shield
from sbc.sip.message import Request
from tests.call.lab import Lab, Side, both_ways, settings
from tests.call.test_changes import ALLOW, carried, newest, sdp

WAYS = pytest.mark.parametrize("way", ["a to b", "b to a"])
CAROL = b'P-Asserted-Identity: "Carol" <sip:carol@10.9.9.9>\r\n'
DAVE = b"P-Asserted-Identity: <sip:dave@10.9.9.9>\r\nPrivacy: id\r\n"


def trusted(way: str, **trunk: Any) -> tuple[Lab, Side, Side]:
    """A call between two trusted trunks; `trunk`: further keys of both."""
    lab = Lab(settings({name: {"trusted": True, **trunk} for name in ("pbx", "carrier")}))
    return lab, *both_ways(lab, way)


def soon(lab: Lab) -> None:
    """RFC 3261 §14.1: within 4 s something is sent."""
    for _ in range(41):
        lab.wait(0.1)
        if lab.sent:
            return


def repeats(side: Side, method: bytes, extra: bytes) -> None:
    """Ask for nothing new, and be answered at once."""
    side.ask(method, b"" if method == b"UPDATE" else sdp(side, 1), extra)
    assert side.hears().status == 200
    if method == b"INVITE":
        side.ack()


def told(side: Side, method: bytes) -> bytes:
    """What a request of ours says of who is there now; it is answered."""
    request = side.hears()
    assert isinstance(request, Request)
    assert request.method == method
    assert (request.body != b"") is (method == b"INVITE")
    side.answer(request, 200, sdp(side, 1) if request.body else b"")
    if method == b"INVITE":
        assert side.hears().method == b"ACK"
    return request.first(b"p-asserted-identity") or b""


@WAYS
@pytest.mark.parametrize("method", [b"INVITE", b"UPDATE"])
@pytest.mark.parametrize("able", [True, False])
def test_who_is_there_now_is_told_once(way: str, method: bytes, able: bool) -> None:
    lab, asking, other = trusted(way)
    plans, ours = len(lab.plans), b"UPDATE" if able else b"INVITE"
    if able:
        repeats(other, b"INVITE", ALLOW)
    repeats(asking, method, CAROL)
    identity = told(other, ours)
    assert b'"Carol" <sip:carol@' in identity
    assert b"10.9.9.9" not in identity
    repeats(asking, method, CAROL)
    assert lab.take() == []
    repeats(asking, method, DAVE)
    assert b"<sip:dave@" in told(other, ours)
    assert (len(lab.plans), lab.take()) == (plans, [])
    asking.ask(b"BYE")
    other.answer(other.hears(), 200)
    asking.hears()
    lab.assert_nothing_left()


@WAYS
def test_what_went_along_with_a_change_is_not_told_again(way: str) -> None:
    lab, asking, other = trusted(way)
    asking.ask(b"INVITE", sdp(asking, direction="sendonly"), CAROL)
    request = other.hears()
    assert b"carol" in request.first(b"p-asserted-identity")
    other.answer(request, 200, sdp(other, direction="recvonly"))
    other.hears()
    assert asking.hears().status == 200
    asking.ack()
    repeats(asking, b"UPDATE", CAROL)
    assert lab.take() == []


@WAYS
@pytest.mark.parametrize("timed", [b"", b"Supported: timer\r\nSession-Expires: 600\r\n"])
def test_glare_puts_it_off(way: str, timed: bytes) -> None:
    lab, asking, other = trusted(way)
    repeats(asking, b"UPDATE", timed + CAROL)
    first = other.hears()
    other.answer(first, 491)
    assert other.hears().method == b"ACK"
    soon(lab)
    assert b"carol" in told(other, b"INVITE")
    lab.wait(10.0)
    assert lab.take() == []


@WAYS
def test_an_open_offer_puts_it_off(way: str) -> None:
    lab, asking, other = trusted(way)
    request = carried(other, asking)
    repeats(asking, b"UPDATE", CAROL)
    assert [one for one in lab.take(other.address[0]) if isinstance(one, Request)] == []
    asking.answer(request, 200, sdp(asking, direction="recvonly"))
    asking.hears()
    other.hears()
    other.ack()
    soon(lab)
    assert b"carol" in told(other, b"UPDATE")


@WAYS
def test_the_last_of_several_is_told(way: str) -> None:
    """While the first is still under way."""
    lab, asking, other = trusted(way)
    repeats(asking, b"UPDATE", CAROL)
    first = other.hears()
    repeats(asking, b"UPDATE", DAVE)
    assert lab.take() == []
    other.answer(first, 200, sdp(other, 1))
    assert other.hears().method == b"ACK"
    soon(lab)
    assert b"dave" in told(other, b"INVITE")
    lab.wait(10.0)
    assert lab.take() == []


@WAYS
@pytest.mark.parametrize("trunk", [{"trusted": False}, {"shield": frozenset(Shield)}])
def test_nobody_is_told_who_may_not_hear_it(way: str, trunk: dict[str, Any]) -> None:
    lab, asking, _ = trusted(way, **trunk)
    repeats(asking, b"UPDATE", CAROL)
    lab.wait(10.0)
    assert lab.take() == []


@WAYS
@pytest.mark.parametrize("status", [405, 488, 500])
def test_who_does_not_want_to_know_keeps_its_call(way: str, status: int) -> None:
    lab, asking, other = trusted(way)
    repeats(asking, b"UPDATE", CAROL)
    other.answer(other.hears(), status)
    assert other.hears().method == b"ACK"
    lab.wait(10.0)
    assert lab.take() == []
    other.answer(carried(asking, other), 200, sdp(other, direction="recvonly"))
    assert asking.hears().status == 200
    assert newest(lab).streams[0].a.remote is not None
