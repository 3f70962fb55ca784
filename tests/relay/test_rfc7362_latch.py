"""Latching (RFC 7362): beliefs in their order, the window, the lock, the reopening."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.latch import Belief, Latch, Outcome, Proof, Rules, State

PEER = ("192.0.2.1", 4000)
SAME_HOST = ("192.0.2.1", 5000)
SIP = ("198.51.100.7", 6000)
OTHER = ("203.0.113.9", 7000)
SOURCES = {
    Belief.SIGNALLED: PEER,
    Belief.SIGNALLED_HOST: SAME_HOST,
    Belief.SIP_SOURCE: SIP,
    Belief.ANY: OTHER,
}


def nat(**more):
    return Rules(PEER, nat=True, sip_source=SIP[0], **({"latch_any": True} | more))


@pytest.mark.parametrize("belief", SOURCES)
def test_behind_nat_each_source_has_its_belief(belief):
    assert nat().belief(SOURCES[belief]) == belief


def test_any_other_only_where_allowed():
    assert nat(latch_any=False).belief(OTHER) == Belief.NONE


@pytest.mark.parametrize("source", [SAME_HOST, SIP, OTHER])
def test_not_behind_nat_only_the_signalled_address_and_port(source):
    rules = Rules(PEER, latch_any=True, sip_source=SIP[0])
    assert rules.belief(PEER) == Belief.SIGNALLED
    assert rules.belief(source) == Belief.NONE


def test_nothing_is_known_so_nothing_is_believed():
    assert Rules(None).belief(PEER) == Belief.NONE
    assert Rules(None, nat=True).belief(PEER) == Belief.NONE
    assert Rules(None, nat=True, sip_source=SIP[0]).belief(SIP) == Belief.SIP_SOURCE


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(SOURCES, 2)))
def test_the_better_of_two_wins_the_window(first, second):
    latch = Latch(nat(), 1.0)
    latch.consider(SOURCES[first], 0.0)
    latch.consider(SOURCES[second], 0.5)
    assert latch.source == SOURCES[min(first, second)]
    latch.consider(latch.source, 1.0)
    assert latch.locked


def test_of_equals_the_first_wins():
    latch = Latch(nat(), 1.0)
    assert latch.consider(("192.0.2.1", 1), 0.0) == Outcome.CHANGED
    assert latch.consider(("192.0.2.1", 2), 0.1) == Outcome.REFUSED
    assert latch.consider(("192.0.2.1", 1), 0.2) == Outcome.ACCEPTED


def test_the_window_runs_from_the_first_believed_packet():
    latch = Latch(nat(latch_any=False), 1.0)
    assert latch.consider(OTHER, 0.0) == Outcome.REFUSED
    assert latch.state == State.OPEN
    latch.consider(SIP, 5.0)
    assert latch.consider(SAME_HOST, 5.9) == Outcome.CHANGED
    assert latch.consider(SAME_HOST, 6.0) == Outcome.LOCKED
    assert latch.consider(PEER, 6.1) == Outcome.REFUSED


def test_a_better_source_after_the_window_is_too_late():
    latch = Latch(nat(), 1.0)
    latch.consider(OTHER, 0.0)
    assert latch.consider(PEER, 1.0) == Outcome.REFUSED
    assert (latch.locked, latch.source) == (True, OTHER)


def test_destination_not_behind_nat_is_the_signalled_one_at_all_times():
    latch = Latch(Rules(PEER, asymmetric=True), 1.0)
    assert latch.destination == PEER
    assert latch.consider(SAME_HOST, 0.0) == Outcome.CHANGED
    assert latch.destination == PEER


def test_destination_behind_nat_is_where_packets_came_from():
    latch = Latch(nat(), 1.0)
    assert latch.destination is None
    latch.consider(SAME_HOST, 0.0)
    assert latch.destination == SAME_HOST


@pytest.mark.parametrize("signalled", [OTHER, ("192.0.2.1", 4002), None])
def test_another_signalled_address_or_port_reopens(signalled):
    latch = Latch(nat(), 1.0)
    latch.consider(PEER, 0.0)
    assert latch.signal(Rules(signalled, nat=True))
    assert (latch.state, latch.source) == (State.OPEN, None)


def test_nothing_else_reopens():
    latch = Latch(nat(), 1.0)
    latch.consider(SIP, 0.0)
    latch.consider(SIP, 2.0)
    assert not latch.signal(Rules(PEER, nat=True, sip_source=OTHER[0]))
    assert (latch.locked, latch.source) == (True, SIP)


@given(
    st.builds(
        Rules,
        st.sampled_from([None, PEER, OTHER]),
        st.booleans(),
        st.booleans(),
        st.sampled_from([None, SIP[0], PEER[0]]),
        st.booleans(),
    ),
    st.lists(
        st.tuples(st.sampled_from([PEER, SAME_HOST, SIP, OTHER]), st.floats(0, 0.7)), max_size=20
    ),
)
def test_what_is_accepted_is_believed_and_a_lock_holds(rules, packets):
    latch = Latch(rules, 1.0)
    now = 0.0
    locked_to = None
    for source, pause in packets:
        now += pause
        outcome = latch.consider(source, now)
        if outcome != Outcome.REFUSED:
            assert source == latch.source
            assert rules.belief(source) != Belief.NONE
        if locked_to is not None:
            assert latch.source == locked_to
        locked_to = latch.source if latch.locked else None
        if not rules.nat:
            assert latch.destination == rules.signalled  # never reflected


def test_who_proves_the_key_is_believed_behind_nat_alone():
    latch = Latch(nat(latch_any=False), 1.0)
    assert latch.consider(OTHER, 0.0) == Outcome.REFUSED
    assert latch.consider(OTHER, 0.0, Proof.AUTHENTIC) == Outcome.CHANGED
    assert latch.consider(SIP, 0.1, Proof.AUTHENTIC) == Outcome.CHANGED  # a better one
    assert latch.consider(OTHER, 0.2, Proof.NEWEST) == Outcome.REFUSED
    assert Latch(Rules(PEER), 1.0).consider(OTHER, 0.0, Proof.NEWEST) == Outcome.REFUSED


def test_a_lock_follows_the_newest_of_who_has_the_key_once_in_a_window():
    latch = Latch(nat(), 1.0)
    latch.consider(PEER, 0.0, Proof.AUTHENTIC)
    assert latch.consider(OTHER, 5.0) == Outcome.REFUSED
    assert latch.consider(OTHER, 5.0, Proof.AUTHENTIC) == Outcome.REFUSED
    assert latch.consider(OTHER, 5.0, Proof.NEWEST) == Outcome.LOCKED
    assert latch.destination == OTHER
    assert latch.consider(PEER, 5.5, Proof.NEWEST) == Outcome.REFUSED
    assert latch.consider(PEER, 6.0, Proof.NEWEST) == Outcome.LOCKED
    fixed = Latch(Rules(PEER), 1.0)
    fixed.consider(PEER, 0.0, Proof.AUTHENTIC)
    assert fixed.consider(OTHER, 5.0, Proof.NEWEST) == Outcome.REFUSED


def test_another_key_reopens():
    latch = Latch(nat(), 1.0)
    latch.consider(PEER, 0.0)
    assert not latch.signal(nat())
    assert latch.signal(nat(), rekeyed=True)
    assert latch.state == State.OPEN
    assert latch.destination == PEER  # which has earned our packets, and may send none
    assert latch.consider(OTHER, 1.0) == Outcome.CHANGED
    assert latch.destination == OTHER
    assert latch.signal(Rules(SIP, nat=True), rekeyed=True)
    assert latch.destination is None


def test_what_could_be_believed_is_worth_opening():
    open_, fixed = Latch(nat(latch_any=False), 1.0), Latch(Rules(PEER), 1.0)
    assert open_.worth_opening(OTHER)
    assert fixed.worth_opening(PEER)
    assert not fixed.worth_opening(OTHER)
    assert not fixed.worth_opening(SAME_HOST)
