"""Transfers through one border: SIPp, soft phones and phones that do as they are told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.phone import Call, Message, Phone, sdp
from tests.e2e.sides import INSIDE, OUTSIDE
from tests.e2e.talk import Talk
from tests.e2e.ways import Stage, Way, both_ways, calls_up, play, scenario, takes_up
from tests.support.baresip import Baresip
from tests.support.border import Border, Shape, until
from tests.support.sipp import Sipp

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

CALLS = 5
INNER, OUTER, THIRD = ("127.0.1.10", 5060), ("127.0.2.10", 5060), ("127.0.2.11", 5060)
ELSEWHERE = {"nat": "always", "latch": "any", "refer": "execute"}
"""baresip binds its RTP to every address, so that on loopback it comes from 127.0.0.1."""


@pytest.fixture(scope="module")
def shape() -> Shape:
    """Calls to 300 go to a third trunk, whoever makes them; those to 200, where REFER is passed."""
    trunks = {
        "pbx": {"realm": "inside", "peers": ["127.0.1.10:5060"], **ELSEWHERE},
        "carrier": {"realm": "outside", "peers": ["127.0.2.10:5060"], **ELSEWHERE},
        "third": {"realm": "outside", "peers": ["127.0.2.11:5060"], **ELSEWHERE},
        "inside2": {"realm": "inside", "peers": ["127.0.1.12:5060"], "refer": "pass"},
        "outside2": {"realm": "outside", "peers": ["127.0.2.12:5060"], "refer": "pass"},
    }
    routes = [{"from": name, "number": "300", "to": "third"} for name in ("pbx", "carrier")]
    routes += [
        {"from": "inside2", "to": "outside2", "number": "200"},
        {"from": "outside2", "to": "inside2", "number": "200"},
        {"from": "pbx", "to": "carrier"},
        {"from": "carrier", "to": "pbx"},
        {"from": "third", "to": "pbx"},
    ]
    return Shape(further={"trunks": trunks, "routes": routes})


@both_ways
@pytest.mark.parametrize(
    ("caller", "called"),
    [("uac_transfers", "uas_transferred"), ("uac_transferred", "uas_transfers")],
)
def test_blind(border: Border, tmp_path: Path, caller: str, called: str, way: Way) -> None:
    """The caller transfers, or the called party does; from inside or from outside."""
    until(lambda: not border.calls(), 3, "the end of all before")
    before = len(border.cdrs())
    target = Sipp(scenario("uas_target"), tmp_path, THIRD, keys={"mark": OUTSIDE})
    with target:
        play(way, tmp_path, scenario(caller), scenario(called), calls=CALLS)
        reached = target.stop()
        assert (reached.successful, reached.failed) == (CALLS, 0), target.error_text()
    until(lambda: len(border.cdrs()) - before == 2 * CALLS, 3, "two records of each call")
    records = border.cdrs()[before:]
    first = {one["call"]: one for one in records if one["cause"] == "transferred"}
    second = [one for one in records if one["cause"] == "normal"]
    assert {one["transferred_from"] for one in second} == set(first)
    assert {one["trunk_b"] for one in second} == {"third"}
    told = {(one["transferred_to"], one["transfer_status"]) for one in first.values()}
    assert told == {("300", 200)}
    until(lambda: not border.calls(), 3, "the end of each call")


# Phones that do as they are told


@pytest.fixture
def inner(shape: Shape) -> Iterator[Phone]:
    with Phone(INNER, INSIDE, (shape.inside, 5060)) as phone:
        yield phone


@pytest.fixture
def outer(shape: Shape) -> Iterator[Phone]:
    with Phone(OUTER, OUTSIDE, (shape.outside, 5060)) as phone:
        yield phone


@pytest.fixture
def third(shape: Shape) -> Iterator[Phone]:
    with Phone(THIRD, OUTSIDE, (shape.outside, 5060)) as phone:
        yield phone


def call_up(caller: Phone, called: Phone, number: str = "100") -> tuple[Call, Call]:
    """A call that is up, as its caller and as its called party have it."""
    a = caller.invite(number)
    b = called.answering()
    b.answer()
    a.establish()
    return a, b


def take_change(call: Call, port: int) -> None:
    """Answers the border's re-INVITE with another session."""
    again = call.expect("INVITE")
    assert b"m=audio" in again.body
    call.respond(200, sdp(call.phone.address[0], port, call.phone.mark, 2), to=again)
    call.expect("ACK")


def news(call: Call, status: int) -> Message:
    """Waits for the NOTIFY that tells this status, and answers all on the way."""
    while True:
        notify = call.expect("NOTIFY")
        call.respond(200, to=notify)
        if notify.body.startswith(b"SIP/2.0 %d " % status):
            return notify


def replaces(call: Call) -> str:
    """The name of this dialog for us: its Call-ID, our tag and the phone's."""
    theirs = re.search(r"tag=([^;>]+)", call.to)
    assert theirs is not None
    return f"{call.call_id};to-tag={theirs[1]};from-tag={call.local_tag}"


@pytest.mark.parametrize("way", ["outwards", "inwards"])
def test_attended(border: Border, inner: Phone, outer: Phone, third: Phone, way: str) -> None:
    """Two calls of one phone; it goes, and the others talk: both outside, or across."""
    t1, r = call_up(inner, outer) if way == "outwards" else call_up(outer, inner)
    if way == "outwards":
        t2, c = call_up(inner, third, "300")
    else:
        t2, c = call_up(outer, third, "300")
    named = replaces(t2).replace("@", "%40").replace(";", "%3B").replace("=", "%3D")
    mark = t1.phone.mark
    t1.request("REFER", headers=f"Refer-To: <sip:300@{mark}.example?Replaces={named}>\r\n")
    assert t1.expect(lambda one: one.method == "REFER").status == 202
    take_change(c, 43_000)
    take_change(r, 44_000)
    assert "terminated" in news(t1, 200).first("subscription-state")
    t1.hang_up()
    t2.hang_up()
    r.request("BYE")
    c.hung_up()
    r.expect(lambda one: one.status == 200 and one.method == "BYE")
    until(lambda: not border.calls(), 3, "the end of each call")
    assert [one["cause"] for one in border.cdrs()[-3:]].count("transferred") == 2


@pytest.mark.parametrize("way", ["outwards", "inwards"])
def test_an_invite_that_replaces_a_party(
    border: Border, inner: Phone, outer: Phone, way: str
) -> None:
    """A second dialog of the same side takes the first one's place."""
    caller, called = (inner, outer) if way == "outwards" else (outer, inner)
    old, stays = call_up(caller, called)
    new = caller.invite("555", headers=f"Require: replaces\r\nReplaces: {replaces(old)}\r\n")
    take_change(stays, 44_000)
    new.establish()
    old.hung_up(8)
    new.request("BYE")
    stays.hung_up()
    new.expect(lambda one: one.status == 200 and one.method == "BYE")
    until(lambda: not border.calls(), 3, "the end of each call")


FRAGMENT = "SIP/2.0 200 OK\nContact: <sip:x@[mark].example>\n"
ALLOWS = "Allow: INVITE, ACK, CANCEL, BYE, REFER, NOTIFY"


def gives(talk: Talk) -> Talk:
    """Asks for a transfer, and hears from the other side how that went."""
    told = ("body", "SIP/2.0 200"), ("Event", "refer"), ("Subscription-State", "terminated")
    talk.ask(
        "REFER", "", "Refer-To: <sip:300@[mark].example>", "Referred-By: <sip:a@[mark].example>"
    )
    return talk.hear(202).hear("NOTIFY", *told, ("body", "!mark")).tell(200)


def carries_out(talk: Talk, near: str) -> Talk:
    """Is asked to call 300 at the border's address `near`, and says that it did."""
    talk.hear("REFER", ("Refer-To", f"^ *<sip:300@{near}:5060>$"), ("Referred-By", "!mark"))
    state = "Event: refer", "Subscription-State: terminated;reason=noresource"
    talk.tell(202).pause(50)
    return talk.ask("NOTIFY", FRAGMENT, *state, typed="message/sipfrag;version=2.0").hear(200)


@both_ways
@pytest.mark.parametrize("by", ["caller", "called party"])
def test_a_refer_that_the_other_side_carries_out(
    border: Border, tmp_path: Path, way: Way, by: str
) -> None:
    calling, answering = calls_up(ALLOWS), takes_up(ALLOWS)
    if by == "caller":
        gives(calling)
        carries_out(answering, f"{way.there}.1")
    else:
        carries_out(calling, f"{way.here}.1")
        gives(answering.pause(50))
    calling.pause(50).ask("BYE").hear(200)
    answering.hear("BYE").tell(200)
    before = len(border.cdrs())
    with Stage(tmp_path) as stage:
        stage.is_called(way, answering, "2")
        stage.calls(way, calling, "2", "200")
    until(lambda: len(border.cdrs()) == before + 1, 3, "its record")
    assert border.cdrs()[-1]["cause"] == "normal"


# A soft phone that nobody here has written


@pytest.mark.parametrize("calls", [True, False])
def test_a_soft_phone_transfers_its_party(
    border: Border, shape: Shape, outer: Phone, third: Phone, tmp_path: Path, calls: bool
) -> None:
    """The party that it calls, or that has called it."""
    until(lambda: not border.calls(), 3, "the end of all before")
    before = len(border.cdrs())
    with Baresip(
        tmp_path / "inside",
        INNER,
        user="100",
        domain=f"{INSIDE}.example",
        proxy=(shape.inside, 5060),
        codec="PCMU",
        tone_hz=440,
    ) as agent:
        if calls:
            agent.call(f"sip:100@{shape.inside}")
            party = outer.answering()
            party.answer()
        else:
            party = outer.invite("100")
            party.establish()
        agent.await_log("established")
        agent.transfer(f"sip:300@{INSIDE}.example")
        target = third.answering()
        target.answer()
        take_change(party, 44_000)
        until(lambda: len(border.cdrs()) > before, 8, "the end of the agent's call")
        party.request("BYE")
        target.hung_up()
    until(lambda: len(border.cdrs()) - before >= 2, 3, "two records")
    (first,) = [one for one in border.cdrs()[before:] if one["transferred_by"]]
    assert (first["cause"], first["transfer_status"]) == ("transferred", 200)
    until(lambda: not border.calls(), 3, "the end of each call")
