"""One identifier for a call from end to end (RFC 7989)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.call.crossing.session_id import NIL, SessionIds
from tests.call.messages import request, response

ALICE = b"ab30317f1a784dc48ff824d0d3715d86"
BOB = b"47755a9de7794ba387653f2099600ef2"
CAROL = b"f81d4fae7dec41d0a76500a0c91e6bf6"
MADE_OF_A_MAC = b"f81d4fae7dec11d0a76500a0c91e6bf6"
"""Version 1: RFC 9562 appendix A.1, with somebody's network card in it."""


def said(uuid, remote=NIL):
    return b"Session-ID: %b;remote=%b" % (uuid, remote)


def line(uuid, remote=NIL):
    return said(uuid, remote) + b"\r\n"


def ids(**learnt):
    one = SessionIds(b"seed")
    for side, uuid in learnt.items():
        one.learn(side, request(said(uuid)))
    return one


def test_the_callers_identifier_goes_on_and_the_targets_is_not_known_yet() -> None:
    assert ids(a=ALICE).head("b") == line(ALICE)


def test_with_both_known_each_side_hears_the_other_and_itself() -> None:
    one = ids(a=ALICE)
    one.learn("b", response(180, said(BOB, ALICE)))
    assert one.head("a") == line(BOB, ALICE)
    assert one.head("b") == line(ALICE, BOB)


def test_it_may_change_in_mid_call() -> None:
    one = ids(a=ALICE, b=BOB)
    one.learn("b", request(said(CAROL, ALICE)))
    assert one.head("a") == line(CAROL, ALICE)


def test_another_target_is_another_end() -> None:
    one = ids(a=ALICE, b=BOB)
    one.forget("b")
    one.forget("b")
    assert one.head("b") == line(ALICE)


def test_who_does_not_know_the_header_is_given_an_identifier_that_stays() -> None:
    one = ids(b=BOB)
    first = one.head("b")
    made = re.fullmatch(rb"Session-ID: ([0-9a-f]{32});remote=%b\r\n" % BOB, first)
    assert made is not None
    assert made[1] not in (NIL, BOB)
    assert made[1][12:13] == b"4"
    assert one.head("b") == first
    assert SessionIds(b"other").head("b")[:44] != first[:44]


def test_an_identifier_made_of_a_network_cards_address_does_not_cross() -> None:
    one = ids(a=MADE_OF_A_MAC, b=BOB)
    shown = one.head("b")
    assert MADE_OF_A_MAC not in shown
    assert b"00a0c91e6bf6" not in shown
    assert shown == one.head("b")  # and is the same each time
    assert one.head("a") == line(BOB, MADE_OF_A_MAC)  # while its owner hears its own


@pytest.mark.parametrize(
    "value",
    [
        NIL,
        b"",
        b"none",
        ALICE[:-1],
        ALICE + b"0",
        b"ab30317f-1a78-4dc4-8ff8-24d0d3715d86",
        b"<sip:10.0.0.7>;remote=" + ALICE,
    ],
)
def test_what_is_no_identifier_is_passed_over(value) -> None:
    one = ids(a=ALICE)
    one.learn("a", request(b"Session-ID: " + value))
    assert one.head("b") == line(ALICE)


def test_upper_case_and_further_parameters_are_read_and_do_not_cross() -> None:
    one = SessionIds(b"seed")
    one.learn("a", request(b"Session-ID: " + ALICE.upper() + b" ;host=10.0.0.7;remote=" + NIL))
    assert one.head("b") == line(ALICE)


def test_a_message_without_it_changes_nothing() -> None:
    one = ids(a=ALICE)
    one.learn("a", request())
    assert one.head("b") == line(ALICE)


@given(value=st.binary(max_size=80).filter(lambda v: not set(v) & set(b"\r\n\0")))
def test_whatever_is_learnt_two_identifiers_are_said(value) -> None:
    one = SessionIds(b"seed")
    one.learn("a", request(b"Session-ID: " + value))
    assert re.fullmatch(rb"Session-ID: [0-9a-f]{32};remote=[0-9a-f]{32}\r\n", one.head("b"))
