"""OPTIONS pings: who is out, who is passed over, who is back (RFC 3261 §11)."""

from __future__ import annotations

from typing import Any

import pytest

from policies.settings import Peer
from sbc.sip.message import Request
from sbc.transaction.hop import UDP, Hop
from tests.call.lab import BACKUP, CARRIER, PBX, SDP_B, Lab, settings, statuses

KEY = ("carrier", UDP, CARRIER[0], CARRIER[1])


def lab_with(**changes: Any) -> Lab:
    return Lab(settings({"carrier": {"options_ping_s": 30.0, **changes}}))


def pinged(lab: Lab) -> Request:
    """The next ping, within an interval."""
    for _ in range(32):
        lab.wait(1.0)
        for message in lab.take(CARRIER[0]):
            if isinstance(message, Request) and message.method == b"OPTIONS":
                return message
    raise AssertionError("no ping")


def state(lab: Lab) -> Any:
    (one,) = lab.border.health.describe(lab.now)
    return one["state"]


def test_a_trunk_that_does_not_ask_for_it_is_not_pinged() -> None:
    lab = Lab()
    lab.wait(40)
    assert lab.take() == []
    assert lab.border.health.describe(lab.now) == []


def test_a_ping_shows_nothing_but_where_we_are() -> None:
    lab = lab_with()
    ping = pinged(lab)
    assert ping.uri == b"sip:%b:%d" % (CARRIER[0].encode(), CARRIER[1])
    assert ping.to_tag == b""
    assert state(lab) == "unknown"
    lab.answer(ping, 200)
    assert state(lab) == "up"
    again = pinged(lab)
    assert again.call_id != ping.call_id


@pytest.mark.parametrize("status", [200, 404, 405, 486, 500])
def test_any_answer_but_408_and_503_shows_life(status: int) -> None:
    lab = lab_with()
    lab.answer(pinged(lab), status)
    assert state(lab) == "up"
    assert lab.border.core.out == set()


@pytest.mark.parametrize("status", [408, 503])
def test_those_two_mean_that_it_is_out(status: int) -> None:
    lab = lab_with()
    lab.answer(pinged(lab), status)
    assert state(lab) == "out"
    assert lab.border.core.out == {KEY}
    (event,) = [one for one in lab.border.core.milestones if one[1] == "peer.out"]
    assert event[3]["reason"] == f"answered {status}"


def test_silence_counts_after_five_seconds_and_an_icmp_error_at_once() -> None:
    lab = lab_with()
    pinged(lab)
    lab.wait(3)
    assert state(lab) == "unknown"
    lab.wait(3)
    assert state(lab) == "out"

    lab = lab_with()
    ping = pinged(lab)
    lab.border.unreachable(Hop("outside", 2, UDP, *CARRIER), ping.via.branch, lab.now)
    assert state(lab) == "out"


def test_who_is_out_gets_no_call_until_it_answers_again() -> None:
    lab = lab_with()
    lab.answer(pinged(lab), 503)
    lab.give(lab.invite())
    assert lab.take(CARRIER[0]) == []
    assert [one.method for one in lab.take(BACKUP[0])] == [b"INVITE"], "the route's next trunk"

    lab.answer(pinged(lab), 200)
    assert lab.border.core.out == set()
    assert [one[1] for one in lab.border.core.milestones if one[1].startswith("peer.")] == [
        "peer.out",
        "peer.back",
    ]
    lab.give(lab.invite(call="call-2"))
    (invite,) = lab.take(CARRIER[0])
    assert isinstance(invite, Request)
    assert invite.method == b"INVITE"


def test_a_late_answer_brings_it_back() -> None:
    lab = lab_with()
    ping = pinged(lab)
    lab.wait(7)
    assert state(lab) == "out"
    lab.answer(ping, 200)
    assert state(lab) == "up"


def test_the_next_peer_of_the_trunk_takes_the_call() -> None:
    peers = (Peer(host=CARRIER[0]), Peer(host=BACKUP[0]))
    lab = lab_with(peers=peers)
    ping = pinged(lab)
    lab.take()
    lab.answer(ping, 503)
    lab.give(lab.invite())
    lab.take(PBX[0])
    (invite,) = [one for one in lab.take(BACKUP[0]) if one.method == b"INVITE"]
    lab.answer(invite, 200, body=SDP_B, source=BACKUP)
    assert statuses(lab.take(PBX[0])) == [200]
