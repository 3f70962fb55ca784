"""What each side is told of the other's failures, ends and names, in both directions."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.phone import Call, Message, Phone, sdp
from tests.e2e.talk import Talk
from tests.e2e.ways import (
    WAYS,
    Stage,
    Way,
    both_ways,
    called,
    caller,
    calls_up,
    connected,
    final_to,
    mirrored,
    takes_up,
)
from tests.support.border import Border, Shape, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

TRUNKS: dict[str, dict[str, Any]] = {
    "0": {},
    "1": {"responses": {503: 480, 404: 410, "4xx": 484, 603: 486}},
    "2": {"reason": "q850", "refusals": {486: 600}},
    "3": {"reason": "strip", "single_tag": True},
    "4": {"failover": [404, 486, 503]},
    "5": {},
}
"""Last digit of a peer's address → what its trunk has beside the defaults, on both sides."""


@pytest.fixture(scope="module")
def shape() -> Shape:
    return mirrored(TRUNKS, {"4": "5"})


def refuses(status: int) -> Talk:
    talk = called().hear("INVITE")
    return talk.tell(status, "", 'Reason: Q.850;cause=34;text="at [mark].example"').hear("ACK")


def refused(status: int, *checks: tuple[str, str]) -> Talk:
    talk = caller().ask("INVITE", "sendrecv").hear(100, maybe=True)
    return talk.hear(status, *checks).ask("ACK")


NAMELESS = "^ *Q.850;cause=34$"
"""A text that names a host does not cross."""
OWN_TEXT = '^ *Q.850;cause=34;text="No circuit/channel available"$'
FAILURES = {
    # a target's answer → caller's trunk, number, what the caller is told, and its Reason
    404: [("0", "0", 404, NAMELESS), ("0", "1", 410, "cause=34"), ("3", "0", 404, "!.")],
    486: [("0", "0", 486, "cause=34"), ("0", "1", 484, "cause=34"), ("2", "0", 600, OWN_TEXT)],
    503: [("0", "0", 500, "cause=34"), ("0", "1", 480, "cause=34"), ("2", "1", 480, OWN_TEXT)],
    603: [("0", "0", 603, "cause=34"), ("0", "1", 486, "cause=34"), ("3", "1", 486, "!.")],
}


@pytest.mark.parametrize("said", FAILURES)
def test_failures_are_told_as_the_trunks_have_it(border: Border, tmp_path: Path, said: int) -> None:
    with Stage(tmp_path) as stage:
        for way in WAYS.values():
            for digit in "01":
                stage.is_called(way, refuses(said), digit)
            for trunk, number, told, reason in FAILURES[said]:
                talk = refused(told, ("Reason", reason))
                stage.calls(way, talk, trunk, number)


HUNTS = [
    # the two targets' answers, 0: it must not be called; and what the caller is told
    (404, 486, 486),
    (486, 404, 404),
    (503, 503, 500),
    (503, 486, 486),
    (603, 0, 603),
    (480, 0, 480),
]


@pytest.mark.parametrize(("first", "second", "told"), HUNTS)
def test_a_hunt_ends_with_the_best_refusal(
    border: Border, tmp_path: Path, first: int, second: int, told: int
) -> None:
    with Stage(tmp_path) as stage:
        lasts = []
        for way in WAYS.values():
            stage.is_called(way, refuses(first), "4")
            lasts.append(stage.is_called(way, refuses(second or 486), "5"))
            stage.calls(way, refused(told), "0", "4")
    assert [one.figures().total for one in lasts] == [1 if second else 0] * 2


def hangs_up(*more: str) -> Talk:
    return calls_up().ask("BYE", "", *more).hear(200)


def is_hung_up(*checks: tuple[str, str]) -> Talk:
    return takes_up().hear("BYE", *checks).tell(200)


REASON = 'Reason: Q.850;cause=17;text="at [mark].example"'
BYES = {
    # digit of the trunk that gets the BYE → what it may see of its Reason
    "0": ("Reason", "^ *Q.850;cause=17$"),
    "2": ("Reason", '^ *Q.850;cause=17;text="User busy"$'),
    "3": ("Reason", "!."),
}


def test_the_reason_of_a_bye_is_told_as_the_trunk_has_it(border: Border, tmp_path: Path) -> None:
    """Each kind of trunk is called and hung up on, and calls and is hung up on."""
    with Stage(tmp_path) as stage:
        for way in WAYS.values():
            for digit, seen in BYES.items():
                stage.is_called(way, is_hung_up(seen), digit)
                stage.calls(way, hangs_up(REASON), "0", digit)
    with Stage(tmp_path) as stage:
        for way in WAYS.values():
            hanging = takes_up().pause(50)
            stage.is_called(way, hanging.ask("BYE", "", REASON).hear(200), "0")
            for digit, seen in BYES.items():
                stage.calls(way, calls_up().hear("BYE", seen).tell(200), digit, "0")


ALICE, ALICE_2, BOB = (
    "ab30317f1a784dc48ff824d0d3715d86",
    "47755a9de7794ba387653f2099600ef2",
    "ae2f0a1b7d6c4c3d9e8f00112233aabb",
)


def session_id(own: str, other: str) -> str:
    return f"Session-ID: {own};remote={other}"


def named(own: str, other: str) -> tuple[str, str]:
    return "Session-ID", f"^ *{own};remote={other}$"


def test_each_end_knows_the_others_session_id(border: Border, tmp_path: Path) -> None:
    """Nil before anything is known, swapped from then on; the caller becomes another one."""
    nil = "0" * 32
    talk = caller().ask("INVITE", "sendrecv", session_id(ALICE, nil)).hear(100, maybe=True)
    talk = talk.hear(180, named(BOB, ALICE)).hear(200, named(BOB, ALICE))
    talk = talk.ask("ACK", "", session_id(ALICE, BOB))
    talk = talk.ask("INVITE", "recvonly", session_id(ALICE_2, BOB)).hear(100, maybe=True)
    talk = talk.hear(200, named(BOB, ALICE_2)).ask("ACK", "", session_id(ALICE_2, BOB))
    calling = talk.hear("BYE", named(BOB, ALICE_2)).tell(200, "", session_id(ALICE_2, BOB))
    talk = called().hear("INVITE", named(ALICE, nil)).tell(180, "", session_id(BOB, ALICE))
    talk = talk.tell(200, "sendrecv", session_id(BOB, ALICE)).hear("ACK")
    talk = talk.hear("INVITE", named(ALICE_2, BOB))
    talk = talk.tell(200, "sendonly", session_id(BOB, ALICE_2)).hear("ACK").pause(50)
    answering = talk.ask("BYE", "", session_id(BOB, ALICE_2)).hear(200)
    with Stage(tmp_path) as stage:
        for way in WAYS.values():
            stage.is_called(way, answering, "0")
        for way in WAYS.values():
            stage.calls(way, calling, "0", "0")


def test_who_knows_no_session_id_is_named_by_the_border(border: Border, tmp_path: Path) -> None:
    talk = caller().ask("INVITE", "sendrecv", session_id(ALICE, "0" * 32)).hear(100, maybe=True)
    calling = talk.hear(200, named("[0-9a-f]{12}4[0-9a-f]{19}", ALICE)).ask("ACK")
    calling = calling.ask("BYE").hear(200)
    with Stage(tmp_path) as stage:
        for way in WAYS.values():
            stage.is_called(way, is_hung_up(), "0")
        for way in WAYS.values():
            stage.calls(way, calling, "0", "0")


@pytest.mark.parametrize(("digit", "tag"), [("0", "2"), ("3", "1")])
@both_ways
def test_a_fork_that_answers_late_is_acknowledged_and_ended(
    border: Border, tmp_path: Path, way: Way, digit: str, tag: str
) -> None:
    """The one that answered first goes on; its caller sees a tag for each (0), or one (3)."""
    calling = caller().ask("INVITE", "sendrecv").hear(100, maybe=True).hear(183, ("To", r"\.1$"))
    if tag != "1":  # else SIPp takes the other 183 for a repetition
        calling.hear(183, ("To", rf"\.{tag}$"))
    calling.hear(200, ("To", rf"\.{tag}$")).ask("ACK").pause(200).ask("BYE").hear(200)
    one, two = "-one", "-two"
    answering = called().hear("INVITE")
    answering.tell(183, "sendrecv", fork=one).tell(183, "sendrecv", fork=two)
    answering.tell(200, "sendrecv", fork=two).hear("ACK", ("To", f"{two}$"))
    answering.tell(200, "sendrecv", fork=one).hear("ACK", ("To", f"{one}$"))
    answering.hear("BYE", ("To", f"{one}$")).tell(200).hear("BYE", ("To", f"{two}$")).tell(200)
    before = len(border.cdrs())
    with Stage(tmp_path) as stage:
        stage.is_called(way, answering, "0")
        stage.calls(way, calling, digit, "000")
    until(lambda: len(border.cdrs()) == before + 1, 3, "its record")
    assert border.cdrs()[-1]["cause"] == "normal"


# Telephones that do what SIPp cannot


@both_ways
def test_a_caller_that_knows_one_tag_sees_one_early_dialog(border: Border, way: Way) -> None:
    """The target forks; the second fork answers. Others see each fork."""
    for digit, tags in (("3", 1), ("0", 2)):
        with ExitStack() as stack:
            calling, target = way.phones(stack, digit)
            a_leg = calling.invite("000")
            b_leg = target.answering()
            one = sdp(target.address[0], 42_000, target.mark)
            two = sdp(target.address[0], 42_002, target.mark)
            b_leg.respond(183, one, tag=f"{target.mark}-one")
            seen = {a_leg.expect(183).tag("to")}
            b_leg.respond(183, two, tag=f"{target.mark}-two")
            seen.add(a_leg.expect(183).tag("to"))
            b_leg.respond(200, two, tag=f"{target.mark}-two")
            final = a_leg.establish()
            b_leg.expect("ACK")
            assert final.tag("to") in seen
            assert len(seen) == tags
            b_leg.from_ = b_leg.from_.rpartition("=")[0] + f"={target.mark}-two"
            b_leg.request("BYE")
            a_leg.hung_up()
            b_leg.expect(200)


@both_ways
def test_a_request_in_a_dialog_that_is_none_gets_481(border: Border, way: Way) -> None:
    with ExitStack() as stack:
        calling, target = way.phones(stack)
        a_leg, b_leg = connected(calling, target)
        for leg in (a_leg, b_leg):
            told = leg.to
            for method in ("BYE", "INFO", "UPDATE", "INVITE"):
                leg.to = told + "x"
                leg.request(method)
                assert final_to(leg, method) == 481
                if method == "INVITE":
                    leg.ack(leg.branch)
            leg.to = told
        a_leg.request("BYE")
        b_leg.hung_up()
        assert final_to(a_leg, "BYE") == 200


@both_ways
def test_nobody_else_speaks_in_a_dialog(border: Border, way: Way) -> None:
    """Another trunk's peer in the same realm, with all that it would have to know."""
    with ExitStack() as stack:
        calling, target = way.phones(stack)
        a_leg, b_leg = connected(calling, target)
        thief = Phone((f"{way.here}.11", 5060), way.mark, (f"{way.here}.1", 5060))
        stack.enter_context(thief)
        for method in ("BYE", "INFO", "INVITE", "UPDATE"):
            stolen = Call(thief, a_leg.call_id, a_leg.local_tag, a_leg.target, a_leg.from_)
            stolen.to, stolen.cseq = a_leg.to, a_leg.cseq + 10
            body = (
                sdp(thief.address[0], 49_000, thief.mark) if method in ("INVITE", "UPDATE") else b""
            )
            stolen.request(method, body)
            assert final_to(stolen, method) == 403
            if method == "INVITE":
                stolen.ack(stolen.branch)
        target.silence(0.2, lambda one: not one.status)
        b_leg.request("BYE")
        a_leg.hung_up()
        assert final_to(b_leg, "BYE") == 200


def ask_typed(leg: Call, method: str, kind: str, body: bytes) -> Message:
    """A request with a body that a telephone does not have; its final answer."""
    leg.cseq += 1
    leg.branch = f"z9hG4bK-{leg.phone.mark}-{leg.phone.serial()}"
    parts = {"from_": leg.from_, "to": leg.to, "cseq": leg.cseq, "branch": leg.branch}
    data = leg.phone.request(method, leg.target, call_id=leg.call_id, body=body, **parts)
    leg.phone.send(data.replace(b"application/sdp\r\nContent-L", kind.encode() + b"\r\nContent-L"))
    return leg.expect(lambda one: one.status >= 200 and one.method == method)


BODIES = [
    ("application/sdp", b"v=0\r\nm=audio nine RTP/AVP 0\r\n", (400, 488)),
    ("application/sdp", b"\xff\xfe\x00", (400, 488)),
    ("application/sdp", b"v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nt=0 0\r\n", (400, 488)),
    ("text/html", b"<p>hello</p>", (415,)),
    ("multipart/mixed", b"--x", (400, 415, 488)),
]


@both_ways
def test_bodies_that_nobody_can_read_leave_the_call_up(border: Border, way: Way) -> None:
    with ExitStack() as stack:
        calling, target = way.phones(stack)
        a_leg, b_leg = connected(calling, target)
        for leg in (a_leg, b_leg):
            for kind, body, wanted in BODIES:
                for method in ("INVITE", "UPDATE"):
                    final = ask_typed(leg, method, kind, body)
                    assert final.status in wanted, (kind, body, method)
                    help_ = final.first("accept" if final.status == 415 else "warning")
                    assert help_, "nothing that helps"
                    if method == "INVITE":
                        leg.ack(leg.branch)
        a_leg.request(
            "INVITE", sdp(calling.address[0], 41_000, calling.mark, 2, more="a=sendonly\r\n")
        )
        change = b_leg.expect("INVITE")
        b_leg.respond(
            200, sdp(target.address[0], 42_000, target.mark, 2, more="a=recvonly\r\n"), to=change
        )
        assert final_to(a_leg, "INVITE") == 200
        a_leg.ack()
        b_leg.expect("ACK")
        a_leg.request("BYE")
        b_leg.hung_up()
        assert final_to(a_leg, "BYE") == 200
