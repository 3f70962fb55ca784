"""The table of a request within a call: each pair leads to a legal state, and on to the end."""

from __future__ import annotations

import pytest

from sbc.call.in_dialog.passage import EFFECTS
from sbc.call.in_dialog.passage_states import TABLE, Effect, Input, State


@pytest.mark.parametrize("state", [state for state in State if state is not State.OVER])
def test_every_state_is_left_when_the_call_ends(state: State) -> None:
    assert TABLE[state, Input.END][1] is State.OVER


def test_nothing_leaves_the_end() -> None:
    assert not [pair for pair in TABLE if pair[0] is State.OVER]


@pytest.mark.parametrize("event", list(Input))
def test_every_input_matters_somewhere(event: Input) -> None:
    assert event in {used for _, used in TABLE}


@pytest.mark.parametrize("effect", [effect for effect in Effect if effect is not Effect.NOTHING])
def test_every_effect_is_used_and_done(effect: Effect) -> None:
    assert effect in {used for used, _ in TABLE.values()}
    assert effect in EFFECTS


@pytest.mark.parametrize("state", [State.ASKED, State.CANCELLED])
def test_every_final_answer_is_an_end_or_an_offer(state: State) -> None:
    assert TABLE[state, Input.SUCCESS][1] is State.OVER
    assert TABLE[state, Input.FAILURE][1] is State.OVER
    assert TABLE[state, Input.OFFER][1] is State.OFFERED
