"""The tables as machines: every pair of state and input lands in a legal state, and so do all
sequences. Which states are legal is what each RFC figure draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.sip.message import Request, Response
from sbc.transaction import (
    invite_client,
    invite_server,
    non_invite_client,
    non_invite_server,
)
from sbc.transaction.events import Action, Arm, Arms, Input, Signal, State
from sbc.transaction.invite_client import InviteClient
from sbc.transaction.invite_server import InviteServer
from sbc.transaction.machine import ClientTransaction, ServerTransaction, Table
from sbc.transaction.non_invite_client import NonInviteClient
from sbc.transaction.non_invite_server import NonInviteServer
from sbc.transaction.timers import Timer, TimerValues
from tests.transaction.build import TCP_HOP, UDP_HOP, answer, client_request, theirs

ARMS = Arms(TimerValues())
Machine = ClientTransaction | ServerTransaction
Event = Timer | Input | Request | Response | int
"""An int is the status of an answer of ours."""

MACHINES: Mapping[str, tuple[Table, set[State], Callable[[bool], Machine]]] = {
    "invite client": (
        invite_client._TABLE,
        {State.CALLING, State.PROCEEDING, State.COMPLETED, State.ACCEPTED},
        lambda tcp: InviteClient(client_request(), TCP_HOP if tcp else UDP_HOP, (), None, ARMS),
    ),
    "non-invite client": (
        non_invite_client._TABLE,
        {State.TRYING, State.PROCEEDING, State.COMPLETED},
        lambda tcp: NonInviteClient(
            client_request(b"BYE"), TCP_HOP if tcp else UDP_HOP, (), None, ARMS
        ),
    ),
    "invite server": (
        invite_server._TABLE,
        {State.PROCEEDING, State.COMPLETED, State.CONFIRMED, State.ACCEPTED},
        lambda tcp: InviteServer(b"INVITE", TCP_HOP if tcp else UDP_HOP, (), ARMS),
    ),
    "non-invite server": (
        non_invite_server._TABLE,
        {State.TRYING, State.PROCEEDING, State.COMPLETED},
        lambda tcp: NonInviteServer(b"BYE", TCP_HOP if tcp else UDP_HOP, (), ARMS),
    ),
}

EVENTS: list[Event] = [
    *Timer,
    Input.START,
    Input.CANCEL,
    Input.TRANSPORT_FAILED,
    *[answer(client_request().data, status) for status in (100, 180, 200, 302, 404, 500, 600)],
    *(100, 183, 200, 302, 408, 486, 600),
    theirs(),
    theirs(b"BYE"),
    theirs(b"ACK"),
]


def feed(machine: Machine, event: Event) -> Sequence[Action]:
    """Tell a machine, as the layer does; of messages and answers only those of its side."""
    if isinstance(event, Timer | Input):
        return machine.handle(event)
    if isinstance(machine, ClientTransaction):
        return machine.receive(event) if isinstance(event, Response) else ()
    if isinstance(event, Request):
        return machine.receive(event)
    return () if isinstance(event, Response) else machine.respond(event, b"answer")


@pytest.mark.parametrize("name", MACHINES)
def test_timers_and_inputs_are_disjoint_numbers(name) -> None:
    table, _, _ = MACHINES[name]
    assert not {int(timer) for timer in Timer} & {int(number) for number in Input}
    assert all(isinstance(key, Timer | Input) for _, key in table)


@pytest.mark.parametrize("name", MACHINES)
def test_every_state_is_reached_has_a_way_out_and_is_never_idle_again(name) -> None:
    table, states, _ = MACHINES[name]
    targets = {state for _, state in table.values()}
    assert targets - {State.TERMINATED} == states
    assert {state for state, _ in table} - {State.IDLE, State.TERMINATED} == states
    for state in states:
        assert any(
            source == state and target != state for (source, _), (_, target) in table.items()
        )


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("tcp", [False, True])
def test_every_pair_lands_in_a_legal_state(name, tcp) -> None:
    _, states, make = MACHINES[name]
    for state in State:
        for event in EVENTS:
            machine = make(tcp)
            machine.state = state
            actions = feed(machine, event)
            assert machine.state in states | {state, State.TERMINATED}
            if machine.state == state and actions == (Signal.IGNORED,):
                assert not isinstance(event, Timer)
            if machine.state == State.TERMINATED and state != State.TERMINATED:
                assert Signal.ENDED in actions


@pytest.mark.parametrize("name", MACHINES)
@given(tcp=st.booleans(), events=st.lists(st.sampled_from(EVENTS), max_size=30))
def test_every_sequence_ends_once_and_sends_only_what_it_has(name, tcp, events) -> None:
    _, states, make = MACHINES[name]
    machine = make(tcp)
    first: Event = Input.START if isinstance(machine, ClientTransaction) else theirs()
    ended = 0
    for event in [first, *events]:
        was = machine.state
        actions = feed(machine, event)
        assert machine.state in states | {State.TERMINATED}
        assert b"" not in actions
        ended += actions.count(Signal.ENDED)
        if was == State.TERMINATED:
            assert not any(isinstance(action, bytes | Arm) for action in actions)
    assert ended == (machine.state == State.TERMINATED)
