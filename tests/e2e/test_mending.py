"""One side uses what the other lacks: the border makes up for it, and each sees our words alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.talk import Talk
from tests.e2e.ways import Way, both_ways, called, caller, mirrored, play
from tests.support.border import Border, Shape, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

CALLS = 4
ABLE = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, REFER, NOTIFY, X-[mark]"
PLAIN = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS"
KNOWS = "Supported: 100rel, timer, replaces, x-[mark]"

SHIELDS = {"1": ["update"], "2": ["reinvite"], "3": ["prack", "update", "reinvite", "refer"]}
"""First digit of a number → what the trunk that it leads to is spared."""


@pytest.fixture(scope="module")
def shape() -> Shape:
    """Four trunks on each side: one that is as it is, and one for each shield."""
    return mirrored({"0": {}, **{digit: {"shield": parts} for digit, parts in SHIELDS.items()}})


def played(
    border: Border, folder: Path, way: Way, calling: Talk, called: Talk, *, digit: int = 0
) -> None:
    """Whoever is shielded is called, or with a `digit` below 0, calls."""
    before = len(border.cdrs())
    play(
        way,
        folder,
        calling.write(folder / "calling.xml"),
        called.write(folder / "called.xml"),
        calls=CALLS,
        digits=(str(max(-digit, 0)), str(max(digit, 0))),
        service=f"{max(digit, 0)}00",
        rate=20,
        timeout_s=5,
    )
    until(lambda: len(border.cdrs()) == before + CALLS, 3, "a record of each call")
    assert {one["cause"] for one in border.cdrs()[before:]} == {"normal"}


@both_ways
@pytest.mark.parametrize("digit", [0, 1])
def test_a_hold_by_update_arrives_as_a_re_invite(
    border: Border, tmp_path: Path, way: Way, digit: int
) -> None:
    """Where its Allow has no UPDATE (0), and where the trunk spares it that (1)."""
    ours = ("Allow", "INVITE"), ("Allow", "!mark|REGISTER"), ("Supported", "!mark")
    calling = caller(ABLE, KNOWS).ask("INVITE", "sendrecv").hear(100, maybe=True).hear(180)
    calling.hear(200, ("Allow", "UPDATE"), *ours[1:]).ask("ACK")
    calling.ask("UPDATE", "sendonly").hear(200, ("body", "a=recvonly"), ("CSeq", "UPDATE"))
    calling.ask("UPDATE", "sendrecv").hear(200, ("body", "a=sendrecv"), ("CSeq", "UPDATE"))
    calling.ask("BYE").hear(200)
    allow = PLAIN if digit == 0 else ABLE
    unseen = [("Allow", "!UPDATE")] if digit else []
    answering = called(allow).hear("INVITE", *ours, *unseen).tell(180).tell(200, "sendrecv")
    answering.hear("ACK").hear("INVITE", ("body", "a=sendonly"), *unseen).tell(200, "recvonly")
    answering.hear("ACK").hear("INVITE", ("body", "a=sendrecv")).tell(200, "sendrecv")
    answering.hear("ACK").hear("BYE").tell(200)

    played(border, tmp_path, way, calling, answering, digit=digit)


@both_ways
def test_a_hold_of_the_called_party_reaches_a_caller_that_is_spared_updates(
    border: Border, tmp_path: Path, way: Way
) -> None:
    unseen = ("Allow", "!UPDATE"), ("Allow", "!mark")
    calling = caller(PLAIN).ask("INVITE", "sendrecv").hear(100, maybe=True)
    calling.hear(200, *unseen).ask("ACK").hear("INVITE", ("body", "a=sendonly"), *unseen)
    calling.tell(200, "recvonly").hear("ACK").pause(50).ask("BYE").hear(200)
    answering = called(ABLE).hear("INVITE", ("Allow", "UPDATE")).tell(200, "sendrecv").hear("ACK")
    answering.pause(100).ask("UPDATE", "sendonly").hear(
        200, ("body", "a=recvonly"), ("CSeq", "UPDATE")
    )
    answering.hear("BYE").tell(200)

    played(border, tmp_path, way, calling, answering, digit=-1)


@both_ways
def test_a_re_invite_arrives_as_an_update_where_only_that_is_taken(
    border: Border, tmp_path: Path, way: Way
) -> None:
    calling = caller(ABLE).ask("INVITE", "sendrecv").hear(100, maybe=True).hear(200).ask("ACK")
    calling.ask("INVITE", "sendonly").hear(100, maybe=True)
    calling.hear(200, ("body", "a=recvonly"), ("CSeq", "INVITE")).ask("ACK").ask("BYE").hear(200)
    answering = called(ABLE).hear("INVITE").tell(200, "sendrecv").hear("ACK")
    answering.hear("UPDATE", ("body", "a=sendonly")).tell(200, "recvonly").hear("BYE").tell(200)

    played(border, tmp_path, way, calling, answering, digit=2)


@both_ways
def test_who_takes_no_change_at_all_hears_of_none(border: Border, tmp_path: Path, way: Way) -> None:
    """A hold, its end and a question for an offer are answered here."""
    calling = caller(ABLE).ask("INVITE", "sendrecv").hear(100, maybe=True).hear(200).ask("ACK")
    calling.ask("INVITE", "sendonly").hear(100, maybe=True)
    calling.hear(200, ("body", "a=recvonly"), ("CSeq", "INVITE")).ask("ACK")
    calling.ask("UPDATE", "sendrecv").hear(200, ("body", "a=sendrecv"), ("CSeq", "UPDATE"))
    calling.ask("INVITE").hear(100, maybe=True).hear(200, ("body", "m=audio [1-9]"))
    calling.ask("ACK", "sendrecv").ask("BYE").hear(200)
    unseen = ("Allow", "!UPDATE|PRACK|REFER"), ("Supported", "!100rel")
    answering = called(ABLE, KNOWS).hear("INVITE", *unseen).tell(200, "sendrecv").hear("ACK")
    answering.hear("BYE").tell(200)

    played(border, tmp_path, way, calling, answering, digit=3)


@both_ways
def test_a_caller_that_requires_100rel_has_it_from_the_border(
    border: Border, tmp_path: Path, way: Way
) -> None:
    calling = caller(ABLE, KNOWS).ask("INVITE", "sendrecv", "Require: 100rel")
    calling.hear(100, maybe=True).hear(183, ("Require", "100rel"), keep=("rseq", "RSeq", "[0-9]+"))
    calling.ask("PRACK", "", "RAck: [$rseq] 1 INVITE").hear(200, ("CSeq", "PRACK"))
    calling.hear(200, ("CSeq", "INVITE")).ask("ACK").ask("BYE").hear(200)
    answering = called(PLAIN).hear("INVITE", ("Supported", "!100rel"), ("Allow", "!PRACK"))
    answering.tell(183, "sendrecv").pause(100).tell(200, "sendrecv").hear("ACK")
    answering.hear("BYE").tell(200)

    played(border, tmp_path, way, calling, answering, digit=3)


@both_ways
def test_a_called_party_that_uses_100rel_hears_the_prack_of_the_border(
    border: Border, tmp_path: Path, way: Way
) -> None:
    """Its caller is spared that, and sees a plain 183."""
    calling = caller(PLAIN).ask("INVITE", "sendrecv").hear(100, maybe=True)
    calling.hear(183, ("RSeq", "!."), ("Require", "!."), ("body", "m=audio [1-9]"))
    calling.hear(200).ask("ACK").ask("BYE").hear(200)
    answering = called(ABLE, KNOWS).hear("INVITE", ("Supported", "100rel"))
    answering.tell(183, "sendrecv", "Require: 100rel", "RSeq: 4711")
    answering.hear("PRACK", ("RAck", "4711 1 INVITE")).tell(200).tell(200, first=True)
    answering.hear("ACK").hear("BYE").tell(200)

    played(border, tmp_path, way, calling, answering, digit=-3)


@both_ways
def test_each_party_changes_its_session_before_the_answer(
    border: Border, tmp_path: Path, way: Way
) -> None:
    """The called party by UPDATE, then the caller; the 200 has nothing left to say."""
    calling = caller(ABLE, KNOWS).ask("INVITE", "sendrecv").hear(100, maybe=True)
    calling.hear(183, ("Require", "100rel"), keep=("rseq", "RSeq", "[0-9]+"))
    calling.ask("PRACK", "", "RAck: [$rseq] 1 INVITE").hear(200, ("CSeq", "PRACK"))
    calling.hear("UPDATE", ("body", "a=sendonly"), ("Allow", "!mark")).tell(200, "recvonly")
    calling.ask("UPDATE", "inactive").hear(200, ("body", "a=inactive"), ("CSeq", "UPDATE"))
    calling.hear(200, ("CSeq", "INVITE")).ask("ACK").ask("BYE").hear(200)
    answering = called(ABLE, KNOWS).hear("INVITE", ("Supported", "100rel"))
    answering.tell(183, "sendrecv", "Require: 100rel", "RSeq: 4711")
    answering.hear("PRACK", ("RAck", "4711 1 INVITE")).tell(200)
    answering.ask("UPDATE", "sendonly").hear(200, ("body", "a=recvonly"), ("CSeq", "UPDATE"))
    answering.hear("UPDATE", ("body", "a=inactive")).tell(200, "inactive").pause(50)
    answering.tell(200, first=True).hear("ACK").hear("BYE").tell(200)

    played(border, tmp_path, way, calling, answering)
