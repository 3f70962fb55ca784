"""Leases, quarantine, generations."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from relay.control.messages import ControlError, ErrorCode
from relay.ports import Pair, Ports, PortState

HOST = "192.0.2.1"


def ports(count: int = 4, quarantine_s: float = 5.0) -> Ports:
    made = Ports(quarantine_s)
    for index in range(count):
        port = 12000 + 2 * index
        made.add(Pair("inside", (HOST, port), (HOST, port + 1), 2 * index, 0), 0.0)
    return made


def numbers(pairs: list[Pair]) -> list[int]:
    return [pair.key[1] for pair in pairs]


def test_fewer_than_wanted_may_come_and_then_none():
    made = ports(3)
    assert numbers(made.lease("inside", 5, "s", 0.0)) == [12000, 12002, 12004]
    assert made.lease("inside", 1, "s", 0.0) == []
    assert made.lease("elsewhere", 1, "s", 0.0) == []


def test_after_a_call_a_port_rests_and_the_longest_out_goes_first():
    made = ports(3)
    one, two, three = made.lease("inside", 3, "s", 0.0)
    for pair in (one, two, three):
        made.take(pair)
    made.release(two, 1.0)
    made.release(one, 2.0)
    made.release(three, 3.0)
    assert made.lease("inside", 3, "s", 5.9) == []
    assert made.lease("inside", 3, "s", 7.5) == [two, one]
    assert made.lease("inside", 3, "s", 8.0) == [three]


def test_each_use_is_a_generation():
    made = ports(1, 0.0)
    for use in range(1, 4):
        (pair,) = made.lease("inside", 1, "s", 0.0)
        made.take(pair)
        assert pair.generation == use
        made.release(pair, 0.0)


def test_given_back_ports_are_free_at_once_behind_the_others():
    made = ports(2)
    (pair,) = made.lease("inside", 1, "s", 0.0)
    assert not made.give_back(pair.key, "another session")
    assert made.give_back(pair.key, "s")
    assert not made.give_back(pair.key, "s")
    assert numbers(made.lease("inside", 2, "s", 0.0)) == [12002, 12000]


def test_a_port_in_use_cannot_be_given_back():
    made = ports(1)
    (pair,) = made.lease("inside", 1, "s", 0.0)
    made.take(pair)
    assert not made.give_back(pair.key, "s")


@pytest.mark.parametrize(
    ("realm", "session", "taken", "code"),
    [
        ("inside", "another", False, ErrorCode.UNKNOWN_PORT),
        ("outside", "s", False, ErrorCode.UNKNOWN_PORT),
        ("inside", "s", True, ErrorCode.PORT_IN_USE),
    ],
)
def test_a_plan_may_take_only_what_its_session_has_leased(realm, session, taken, code):
    made = ports(1)
    (pair,) = made.lease("inside", 1, "s", 0.0)
    assert made.leased("inside", pair.key, "s") is pair
    if taken:
        made.take(pair)
    with pytest.raises(ControlError) as caught:
        made.leased(realm, pair.key, session)
    assert caught.value.code == code


def test_leases_of_a_session_that_is_gone_rest_and_come_back():
    made = ports(2)
    old, kept = made.lease("inside", 1, "old", 0.0), made.lease("inside", 1, "new", 0.0)
    assert made.drop_leases("new", 1.0) == 1
    assert made.lease("inside", 2, "new", 5.9) == []
    assert made.lease("inside", 2, "new", 6.0) == old
    assert kept[0].state == PortState.LEASED


def test_a_port_that_a_dead_worker_had_in_use_rests_first():
    made = Ports(5.0)
    made.add(Pair("inside", (HOST, 12000), (HOST, 12001), 0, 7), 10.0, used=True)
    assert made.lease("inside", 1, "s", 14.9) == []
    assert numbers(made.lease("inside", 1, "s", 15.0)) == [12000]


class PortsMachine(RuleBasedStateMachine):
    """No pair is ever in two hands, none is lost, none comes back early."""

    def __init__(self):
        super().__init__()
        self.ports = ports(6)
        self.now = 0.0
        self.leased: list[Pair] = []
        self.used: list[Pair] = []
        self.out: dict[tuple[str, int], float] = {}

    @rule(count=st.integers(1, 8))
    def lease(self, count):
        for pair in self.ports.lease("inside", count, "s", self.now):
            assert pair not in self.leased
            assert pair not in self.used
            assert self.now >= self.out.get(pair.key, -5.0) + 5.0
            self.leased.append(pair)

    @rule()
    def take(self):
        if self.leased:
            pair = self.leased.pop(0)
            self.ports.take(self.ports.leased("inside", pair.key, "s"))
            self.used.append(pair)

    @rule()
    def release(self):
        if self.used:
            pair = self.used.pop(0)
            self.ports.release(pair, self.now)
            self.out[pair.key] = self.now

    @rule()
    def give_back(self):
        if self.leased:
            pair = self.leased.pop()
            assert self.ports.give_back(pair.key, "s")
            self.out.pop(pair.key, None)

    @rule(seconds=st.sampled_from([0.5, 2.0, 5.0]))
    def wait(self, seconds):
        self.now += seconds

    @invariant()
    def every_pair_is_somewhere(self):
        counts = self.ports.counts(self.now)["inside"]
        assert sum(counts.values()) == self.ports.total("inside") == 6
        assert counts["leased"] == len(self.leased)
        assert counts["in_use"] == len(self.used)


TestPortsMachine = PortsMachine.TestCase
TestPortsMachine.settings = settings(max_examples=40, deadline=None)
