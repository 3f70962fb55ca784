"""Two honest agents call each other through the border, whatever the network does to it.

They call, ring, accept, refuse, give up, change the session, move their media and hang up in any
order and at any moment. Whatever they do: each request that reaches the border gets one final
answer; CSeq and SDP version of what it sends only grow; in the end both agents and the border agree
on which calls are up and what was agreed, and the relay sends where each agent has said last; and
when all have hung up nothing is left, and every port is given back.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from policies.settings import SessionTimerSettings, Shield, Use
from tests.call.two_agents import FINE, World
from tests.support.agent import Abilities, Phase, Talk
from tests.support.link import Weather

SIDES = st.sampled_from([0, 1])
WEATHER = [
    FINE,
    Weather(loss=0.1),
    Weather(loss=0.25, repeat=0.2, jitter_s=0.2),
    Weather(repeat=0.5, jitter_s=1.5),
]
DIRECTIONS = ["sendrecv", "sendonly", "recvonly", "inactive"]
OFTEN_TRUE = st.sampled_from([True, True, False])
ABILITIES = st.builds(Abilities, update=OFTEN_TRUE, timer=st.booleans(), reliable=OFTEN_TRUE)
OFTEN = SessionTimerSettings(expires_s=90)
TRUNKS = [
    {},
    {"reliable": Use.ALWAYS},
    {"reliable": Use.NEVER},
    {"single_tag": True},
    {"early_offer": True},
    {"ping_s": 5.0},
]
SHIELDS = st.sampled_from([frozenset()] * 5 + [frozenset({one}) for one in Shield])
MOMENTS = st.sampled_from([0.0, 0.012, 0.05, 0.05, 0.3])
MOST = 2
"""Calls at a time."""


def _lives(talk: Talk) -> bool:
    return talk.phase is not Phase.OVER


def _is_up(talk: Talk) -> bool:
    return talk.phase is Phase.UP


def _is_asked(talk: Talk) -> bool:
    return bool(talk.pending) and not talk.wants_accept


_may_ring = attrgetter("may_ring")
_may_reinvite = attrgetter("may_reinvite")
_may_update = attrgetter("may_update")


class TwoPeers(RuleBasedStateMachine):
    """What can happen. After each event a moment passes, in which the other side may hear of it."""

    @initialize(
        seed=st.integers(0, 2**16),
        a=ABILITIES,
        b=ABILITIES,
        weather=st.sampled_from(WEATHER),
        stage=st.sampled_from(["up", "ringing", "up", "ringing", "nothing"]),
        late=st.booleans(),
        shields=st.tuples(SHIELDS, SHIELDS),
        trunk=st.sampled_from(TRUNKS),
    )
    def begin(
        self,
        seed: int,
        a: Abilities,
        b: Abilities,
        weather: Weather,
        stage: str,
        late: bool,
        shields: tuple[frozenset[Shield], frozenset[Shield]],
        trunk: dict[str, Any],
    ) -> None:
        self.world = World(seed, (a, b), shields, session_timer=OFTEN, **trunk)
        if stage == "ringing":
            ringing(self.world, seed % 2, late)
        elif stage == "up":
            connect(self.world, seed % 2, late)
        self.world.weather(weather)

    @property
    def now(self) -> float:
        return self.world.now

    def any(self, condition: Callable[[Talk], bool], side: int | None = None) -> list[Talk]:
        """The talks of one agent, or of both, of which that is true; the newest first."""
        sides = (0, 1) if side is None else (side,)
        return [t for one in sides for t in reversed(self.world.talks(one)) if condition(t)]

    @precondition(lambda self: len(self.any(_lives)) < 2 * MOST)
    @rule(side=SIDES, late=st.sampled_from([False, False, False, True]), moment=MOMENTS)
    def call(self, side: int, late: bool, moment: float) -> None:
        self.world.agents[side].call(b"9912", late, self.now)
        self.world.run(moment)

    @precondition(lambda self: self.any(_may_ring))
    @rule(status=st.sampled_from([180, 183, 183]), reliable=st.booleans(), moment=MOMENTS)
    def ring(self, status: int, reliable: bool, moment: float) -> None:
        for talk in self.any(_may_ring)[:1]:
            talk.ring(status, status == 183, reliable, self.now)
        self.world.run(moment)

    @precondition(lambda self: self.any(_is_asked))
    @rule(moment=MOMENTS)
    def accept(self, moment: float) -> None:
        for talk in self.any(_is_asked)[:1]:
            talk.accept(self.now)
        self.world.run(moment)

    @precondition(lambda self: self.any(_is_asked))
    @rule(status=st.sampled_from([486, 488, 491, 500, 603]), moment=MOMENTS)
    def refuse(self, status: int, moment: float) -> None:
        for talk in self.any(_is_asked)[:1]:
            talk.refuse(status, self.now)
        self.world.run(moment)

    @precondition(lambda self: self.any(_lives))
    @rule(side=SIDES, moment=MOMENTS)
    def hang_up(self, side: int, moment: float) -> None:
        for talk in self.any(_lives, side)[:1]:
            talk.hang_up(self.now)
        self.world.run(moment)

    @precondition(lambda self: self.any(_may_reinvite))
    @rule(
        sides=st.sampled_from([(0,), (1,), (0, 1)]),
        direction=st.sampled_from([*DIRECTIONS, ""]),
        moment=MOMENTS,
    )
    def reinvite(self, sides: tuple[int, ...], direction: str, moment: float) -> None:
        for side in sides:
            for talk in self.any(_may_reinvite, side)[:1]:
                talk.reinvite(direction, self.now)
        self.world.run(moment)

    @precondition(lambda self: self.any(_may_update))
    @rule(
        sides=st.sampled_from([(0,), (1,), (0, 1)]),
        direction=st.sampled_from(DIRECTIONS),
        moment=MOMENTS,
    )
    def update(self, sides: tuple[int, ...], direction: str, moment: float) -> None:
        for side in sides:
            for talk in self.any(_may_update, side)[:1]:
                talk.update(direction, self.now)
        self.world.run(moment)

    @precondition(lambda self: self.any(_lives))
    @rule(side=SIDES)
    def move(self, side: int) -> None:
        for talk in self.any(_lives, side)[:1]:
            talk.move()

    @precondition(lambda self: self.any(_is_up))
    @rule(side=SIDES)
    def info(self, side: int) -> None:
        for talk in self.any(_is_up, side)[:1]:
            talk.info(self.now)

    @precondition(lambda self: self.any(_lives))
    @rule(side=SIDES)
    def give_an_invite_up(self, side: int) -> None:
        for talk in self.any(_lives, side)[:1]:
            talk.give_up(self.now)

    @rule(side=SIDES, status=st.sampled_from([0, 0, 488, 491, 504]))
    def change_of_mind(self, side: int, status: int) -> None:
        self.world.agents[side].refuses = status

    @precondition(lambda self: self.world.lab.border.calls)
    @rule(chance=st.sampled_from([False, False, True]), moment=MOMENTS)
    def operator_hangs_up(self, chance: bool, moment: float) -> None:
        border = self.world.lab.border
        if chance:
            border.hangup(next(iter(border.calls)), self.now)
        self.world.run(moment)

    @rule(weather=st.sampled_from(WEATHER))
    def weather_changes(self, weather: Weather) -> None:
        self.world.weather(weather)

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0, 10.0, 40.0]))
    def wait(self, seconds: float) -> None:
        self.world.run(seconds)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.settle()
            self.world.check_one_idea()
            self.world.check_the_end()


TestTwoPeers = TwoPeers.TestCase
TestTwoPeers.settings = settings(
    max_examples=400,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestTwoPeers.pytestmark = [pytest.mark.slow]


def connect(world: World, side: int = 0, late: bool = False) -> None:
    """A call that is up, in fine weather."""
    world.agents[side].call(b"9912", late, world.now)
    world.run(0.1)
    for talk in world.talks(1 - side):
        talk.accept(world.now)
    world.run(0.1)


def ringing(world: World, side: int, late: bool) -> None:
    """A call in an early dialog that both agents know, described where that is possible."""
    world.agents[side].call(b"9912", late, world.now)
    world.run(0.1)
    for talk in world.talks(1 - side):
        talk.ring(183, True, True, world.now)
    world.run(0.1)


@pytest.mark.parametrize("side", [0, 1])
def test_the_agents_can_call_each_other(side: int) -> None:
    world = World(1, (Abilities(), Abilities()))
    connect(world, side)
    assert [talk.phase for side in (0, 1) for talk in world.talks(side)] == [Phase.UP] * 2
    world.check_one_idea()
    world.check_the_end()


def held_answer() -> tuple[World, Talk]:
    """The called agent has answered; the caller owes a PRACK first, which is lost once."""
    world = World(1, (Abilities(reliable=True), Abilities()))
    world.agents[0].call(b"9912", False, world.now)
    world.run(0.1)
    (called,) = world.talks(1)
    called.ring(183, True, False, world.now)
    called.accept(world.now)
    world.run(0.015)
    world.weather(Weather(loss=1.0))
    world.run(0.006)
    world.weather(FINE)
    assert called.accepted is None
    assert world.talks(0)[0].phase is Phase.EARLY
    return world, called


def test_an_answer_waits_for_the_callers_prack() -> None:
    world, _ = held_answer()
    world.run(5.0)
    assert world.talks(0)[0].phase is Phase.UP
    world.check_one_idea()
    world.check_the_end()


def test_who_hangs_up_while_its_answer_waits_ends_the_call() -> None:
    world, called = held_answer()
    called.hang_up(world.now)
    world.run(40.0)
    world.check_one_idea()
    world.check_the_end()


def test_who_offers_something_while_its_answer_waits_keeps_the_call() -> None:
    world, called = held_answer()
    called.reinvite("sendonly", world.now)
    world.run(5.0)
    assert called.phase is Phase.UP
    world.check_one_idea()
    world.check_the_end()


def test_an_update_that_becomes_a_reinvite_is_answered_before_it_times_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.support.agent._SOON_S", 1000.0)
    world = World(1, (Abilities(update=True), Abilities()))
    connect(world)
    world.talks(0)[0].update("sendonly", world.now)
    world.run(31.0)  # RFC 3261 §17.1.2.2: 64*T1, then its sender gives the dialog up
    assert world.talks(1)[0].phase is Phase.UP
    ((method, finals),) = [
        (method, finals)
        for (_, method), finals in world.watcher.finals.items()
        if method == b"UPDATE"
    ]
    assert len(finals) == 1, (method, finals)


def test_a_session_with_timers_lives_as_long_as_both_do() -> None:
    """The border refreshes both sides, which ask it to every 90 s, and ends what is not there."""
    one = Abilities(timer=True, update=True)
    world = World(1, (one, Abilities(timer=True)), session_timer=OFTEN)
    connect(world)
    world.run(600.0)
    assert [talk.phase for side in (0, 1) for talk in world.talks(side)] == [Phase.UP] * 2
    assert world.watcher.methods["UPDATE"] >= 12
    assert world.watcher.methods["INVITE"] >= 13
    world.check_one_idea()
    for side in (0, 1):
        world.talks(side)[0].move()
    world.run(100.0)  # the answer to a refresh is where it tells
    world.check_one_idea()
    world.weather(Weather(loss=1.0))
    world.run(100.0)
    assert not world.lab.border.calls
    world.weather(FINE)
    for side in (0, 1):
        for talk in world.talks(side):
            talk.hang_up(world.now)
    world.check_the_end()


@pytest.mark.parametrize("reliable", [(True, False), (False, True), (True, True), (False, False)])
@pytest.mark.parametrize("late", [False, True])
def test_every_mix_of_abilities_gets_its_ack(reliable: tuple[bool, bool], late: bool) -> None:
    """Also the called agent whose 2xx holds the offer that the caller answers in its ACK."""
    world = World(1, (Abilities(reliable=reliable[0]), Abilities(reliable=reliable[1])))
    ringing(world, 0, late)
    (called,) = world.talks(1)
    called.accept(world.now)
    world.run(1.0)
    assert called.phase is Phase.UP
    assert called.accepted is None
    world.check_one_idea()
    world.check_the_end()


def test_an_answer_may_come_while_an_update_is_under_way() -> None:
    """The offer came in a reliable 18x, the caller's UPDATE is lost, the 2xx has nothing to say."""
    one = Abilities(update=True, reliable=True)
    world = World(1, (one, one))
    ringing(world, 0, True)
    (caller,), (called,) = world.talks(0), world.talks(1)
    caller.update("sendonly", world.now)
    world.run(0.011)
    world.weather(Weather(loss=1.0))
    world.run(0.01)
    world.weather(FINE)
    called.accept(world.now)
    world.run(5.0)
    assert (caller.phase, called.phase) == (Phase.UP, Phase.UP)
    world.check_one_idea()
    world.check_the_end()


@pytest.mark.parametrize("reliable", [True, False])
def test_an_early_offer_is_answered_for_a_caller_that_cannot_acknowledge(reliable: bool) -> None:
    """RFC 3311 §5.1: the called agent's UPDATE goes on only where the first answer is settled."""
    world = World(
        1, (Abilities(update=True, reliable=reliable), Abilities(update=True, reliable=True))
    )
    ringing(world, 0, False)
    (caller,), (called,) = world.talks(0), world.talks(1)
    called.move()
    called.update("sendonly", world.now)
    called.accept(world.now)
    world.run(5.0)
    assert called.media.direction == "sendonly"
    assert caller.media.direction == ("recvonly" if reliable else "sendrecv")
    world.check_one_idea()
    world.check_the_end()
