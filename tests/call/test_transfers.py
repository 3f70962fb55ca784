"""Transfers that the border makes: blind (RFC 3515, 5589), by Replaces (RFC 3891), and their ends."""

from __future__ import annotations

from typing import Any

import pytest

from policies.settings import Refer, Shield
from sbc.call.cdr import Cause
from sbc.sip.message import Request, Response
from tests.call.lab import (
    BACKUP,
    CARRIER,
    INSIDE,
    OUTSIDE,
    PBX,
    SDP_A,
    SDP_B,
    Lab,
    Side,
    settings,
    sides,
)

TARGET_SDP = SDP_B.replace(b"6000", b"7000").replace(b"8 0 101", b"8 101")
REFER_TO = b"Refer-To: <sip:%b@198.51.100.9>\r\n"


def sipfrags(messages: list[Any]) -> list[tuple[bytes, bytes]]:
    """Status line and Subscription-State of the NOTIFYs among them."""
    return [
        (one.body.partition(b"\r\n")[0], one.first(b"subscription-state") or b"")
        for one in messages
        if isinstance(one, Request) and one.method == b"NOTIFY"
    ]


def answer_notifies(side: Side, messages: list[Any]) -> None:
    for one in messages:
        if isinstance(one, Request) and one.method == b"NOTIFY":
            side.answer(one, 200)


def of_call(messages: list[Any], call_id: bytes) -> list[Any]:
    return [one for one in messages if one.call_id == call_id]


def refer(side: Side, user: bytes = b"4930777", extra: bytes = b"") -> list[Any]:
    """REFER; all that its sender hears at once."""
    side.ask(b"REFER", extra=REFER_TO % user + extra)
    heard = side.lab.take(side.address[0])
    answer_notifies(side, heard)
    return heard


def test_blind_by_the_caller_joins_the_called_side_with_the_target() -> None:
    """The caller (inside) sends its peer (outside) to a number that the outside's route has."""
    lab = Lab()
    a, b = sides(lab)
    first_call = next(iter(lab.border.calls))
    heard = refer(a, extra=b"Referred-By: <sip:alice@10.0.0.2>\r\n")
    assert heard[0].status == 202
    assert sipfrags(heard) == [(b"SIP/2.0 100 Trying", b"active;expires=180")]
    # the route of the carrier leads inside: there the target is
    invite = next(one for one in heard if isinstance(one, Request) and one.method == b"INVITE")
    assert invite.uri == b"sip:4930777@10.0.0.2:5060"
    assert invite.first(b"referred-by") == b"<sip:alice@%b>" % INSIDE.encode()
    assert b"198.51.100.9" not in invite.raw(b"to")
    target = Side(lab, invite, PBX, 0)
    lab.answer(invite, 180, source=PBX, contact=b"<sip:t@10.0.0.2>")
    heard = lab.take(PBX[0])
    assert sipfrags(heard) == [(b"SIP/2.0 180 Ringing", b"active;expires=180")]
    answer_notifies(a, heard)
    assert not lab.take(CARRIER[0])
    target.answer(invite, 200, body=TARGET_SDP)
    heard = lab.take(PBX[0])
    assert [one.method for one in heard] == [b"ACK"]
    again = b.hears()
    assert again.method == b"INVITE"
    assert again.body.count(b"m=audio") == 1
    assert b"sendrecv" in again.body or b"sendonly" not in again.body
    b.answer(again, 200, body=SDP_B)
    assert b.hears().method == b"ACK"
    heard = lab.take(PBX[0])
    assert sipfrags(heard) == [(b"SIP/2.0 200 OK", b"terminated;reason=noresource")]
    answer_notifies(a, heard)
    plan = lab.plans[-1][1]
    assert plan.call != lab.plans[0][1].call
    assert (plan.streams[0].a.remote, plan.streams[0].b.remote) == (
        ("10.1.0.2", 6000),
        ("10.1.0.2", 7000),
    )
    a.ask(b"BYE")
    assert a.hears().status == 200
    lab.answer_removals()
    record = lab.record
    assert (record.call, record.cause, record.transferred_by) == (
        first_call,
        Cause.TRANSFERRED,
        "a",
    )
    assert (record.transferred_to, record.transfer_status) == ("4930777", 200)
    # the two talk on, hold and hang up as in any call
    b.ask(b"BYE")
    assert b.hears().status == 200
    assert target.hears().method == b"BYE"
    lab.answer_removals()
    record = lab.record
    assert record.transferred_from == first_call
    assert (record.trunk_a, record.trunk_b, record.cause) == ("carrier", "pbx", Cause.NORMAL)
    lab.assert_nothing_left()
