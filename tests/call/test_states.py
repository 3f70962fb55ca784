"""The call's table: every pair leads to a legal state, every state to an end."""

from __future__ import annotations

import pytest

from sbc.call.states import TABLE, Effect, Input, State


@pytest.mark.parametrize("state", [state for state in State if state is not State.ENDED])
def test_every_state_but_the_last_can_be_left(state: State) -> None:
    seen = {state}
    while True:
        more = {after for (before, _), (_, after) in TABLE.items() if before in seen} - seen
        if not more:
            break
        seen |= more
    assert State.ENDED in seen


def test_nothing_leaves_the_end() -> None:
    assert not [pair for pair in TABLE if pair[0] is State.ENDED]


def test_no_arrow_leads_back_from_an_answered_call_to_an_unanswered_one() -> None:
    early = {State.LOCATING, State.CALLING, State.RINGING, State.CANCELLING}
    assert not [
        pair for pair, (_, after) in TABLE.items() if pair[0] not in early and after in early
    ]


@pytest.mark.parametrize("effect", list(Effect))
def test_every_effect_is_used(effect: Effect) -> None:
    assert effect in {used for used, _ in TABLE.values()}


@pytest.mark.parametrize("event", list(Input))
def test_every_input_matters_somewhere(event: Input) -> None:
    assert event in {used for _, used in TABLE}


@pytest.mark.parametrize(
    "state", [State.LOCATING, State.CALLING, State.RINGING, State.ANSWERED, State.UP]
)
def test_the_border_can_end_every_live_call(state: State) -> None:
    assert (state, Input.END) in TABLE
