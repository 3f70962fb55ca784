"""Every state machine of the code, found by its table, so that a new one cannot be forgotten.

A table is a mapping called `TABLE` or `_TABLE` whose keys are pairs of a state and an input, and
whose values are the next state, alone or behind what is done. Whatever comes in whatever state, a
machine lands in a legal one: that of its row, or where it has none, the one that it was in.
"""

from __future__ import annotations

import ast
import importlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Final, cast

import pytest

from sbc.call import call
from sbc.call.in_dialog import passage
from sbc.call.legs import reliable, session_timer
from sbc.call.outside import pair
from sbc.call.states import Effect as CallEffect
from sbc.call.transfer import transfer
from sbc.errors import ProtocolError
from sbc.sdp.offer_answer import Negotiation, State
from sbc.sdp.parser import parse
from sbc.sdp.rewrite import Anchor
from sbc.transaction.invite_client import InviteClient
from sbc.transaction.invite_server import InviteServer
from sbc.transaction.machine import Transaction
from sbc.transaction.non_invite_client import NonInviteClient
from sbc.transaction.non_invite_server import NonInviteServer
from tests.architecture.test_docs import made_by

ROOT = Path(__file__).parents[2]
_NAMES = ("TABLE", "_TABLE")


@dataclass(frozen=True)
class Found:
    """One machine."""

    module: ModuleType
    table: Mapping[tuple[IntEnum, IntEnum], Any]

    @property
    def states(self) -> type[IntEnum]:
        return type(next(iter(self.table))[0])

    @property
    def first(self) -> IntEnum:
        return next(iter(self.table))[0]

    def after(self, state: IntEnum, event: IntEnum) -> IntEnum:
        """Where a pair leads."""
        row = self.table.get((state, event))
        if row is None:
            return state
        return row[-1] if isinstance(row, tuple) else row

    def inputs(self) -> set[IntEnum]:
        """Every input that the code has for this machine, of the kinds that its table names."""
        kinds = {type(event) for _, event in self.table}
        return {member for kind in kinds for member in kind}

    def reach(self, state: IntEnum) -> set[IntEnum]:
        """Every state that can follow, that one included."""
        seen: set[IntEnum] = set()
        ahead = [state]
        while ahead:
            one = ahead.pop()
            if one not in seen:
                seen.add(one)
                ahead += [self.after(one, event) for event in self.inputs()]
        return seen


def _written(tree: ast.Module) -> Iterator[str]:
    """The names of the tables that a module writes down."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if not isinstance(getattr(node, "value", None), ast.Dict):
            continue
        for target in targets:
            if isinstance(target, ast.Name) and target.id in _NAMES:
                yield target.id


def machines() -> Iterator[Found]:
    for package in ("sbc", "relay", "policies"):
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            if "TABLE" not in text:
                continue
            for name in _written(ast.parse(text)):
                dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                module = importlib.import_module(dotted)
                yield Found(module, getattr(module, name))


_Step = Callable[[IntEnum, IntEnum], IntEnum]


def _nothing(*said: object) -> tuple[()]:
    return ()


class _Stub(SimpleNamespace):
    """What a machine's step may touch beside the state: whatever it is, it does nothing."""

    def __getattr__(self, name: str) -> Any:
        return _nothing


def _by(step: Callable[[Any, IntEnum], object]) -> _Step:
    """A step of an object that has a state and nothing else."""

    def take(state: IntEnum, event: IntEnum) -> IntEnum:
        stub = _Stub(state=state, core=SimpleNamespace(counters=Counter()), _road=object())
        step(stub, event)
        after: IntEnum = stub.state
        return after

    return take


def _transaction(kind: type[Transaction]) -> Callable[[Found, pytest.MonkeyPatch], _Step]:
    def made(found: Found, patch: pytest.MonkeyPatch) -> _Step:
        assert kind.table is found.table
        table = {pair: (_nothing, after) for pair, (_, after) in found.table.items()}
        return _by(lambda stub, event: kind.handle(_with(stub, table), event))

    return made


def _with(stub: _Stub, table: object) -> Any:
    stub.table = table
    return stub


def _calls(
    where: ModuleType, step: Callable[[Any, IntEnum], object]
) -> Callable[[Found, pytest.MonkeyPatch], _Step]:
    """A machine whose effects are members of an enum, with a function for each in `where`."""

    def made(found: Found, patch: pytest.MonkeyPatch) -> _Step:
        name = "EFFECTS" if hasattr(where, "EFFECTS") else "_EFFECTS"
        effects = {row[0] for row in found.table.values()}
        assert effects - set(getattr(where, name)) <= {CallEffect.NOTHING}
        patch.setattr(where, name, dict.fromkeys(effects, _nothing))
        return _by(step)

    return made


def _reliable(found: Found, patch: pytest.MonkeyPatch) -> _Step:
    table = {pair: (_nothing, after) for pair, (_, after) in found.table.items()}
    patch.setattr(reliable, "_TABLE", table)
    return _by(lambda stub, event: reliable.ReliableSender._step(stub, event, None, 0.0))


def _timer(found: Found, patch: pytest.MonkeyPatch) -> _Step:
    return _by(lambda stub, event: session_timer.SessionTimer._step(stub, event))


SAID: Final = parse(
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 0\r\n"
)


def _negotiation(found: Found, patch: pytest.MonkeyPatch) -> _Step:
    """Its steps are its verbs; what the table does not have, it refuses."""

    def take(state: IntEnum, event: IntEnum) -> IntEnum:
        one = Negotiation(1, "127.0.0.1")
        ours = (SAID, [Anchor("127.0.0.1", 4002)])
        one.send_offer(*ours)
        one.receive_answer(SAID)
        if event.name == "SEND_ANSWER":
            one.receive_offer(SAID)
        one.state = cast(State, state)
        verbs: Mapping[str, Callable[[], object]] = {
            "SEND_OFFER": lambda: one.send_offer(*ours),
            "RECEIVE_OFFER": lambda: one.receive_offer(SAID),
            "SEND_ANSWER": lambda: one.send_answer(*ours),
            "RECEIVE_ANSWER": lambda: one.receive_answer(SAID),
        }
        if (state, event) in found.table:
            verbs[event.name]()
        else:
            with pytest.raises(ProtocolError):
                verbs[event.name]()
        return one.state

    return take


STEPS: Mapping[str, Callable[[Found, pytest.MonkeyPatch], _Step]] = {
    "sbc.call.states": _calls(call, lambda stub, event: call.Call.handle(stub, event, None, 0.0)),
    "sbc.call.in_dialog.passage_states": _calls(
        passage, lambda stub, event: passage.Passage.handle(stub, event, None, 0.0)
    ),
    "sbc.call.outside.pair_states": _calls(
        pair, lambda stub, event: pair.Pair.handle(stub, event, None, 0.0)
    ),
    "sbc.call.transfer.states": _calls(
        transfer, lambda stub, event: transfer.Transfer.handle(stub, event, 0.0)
    ),
    "sbc.call.legs.reliable": _reliable,
    "sbc.call.legs.session_timer": _timer,
    "sbc.sdp.offer_answer": _negotiation,
    "sbc.transaction.invite_client": _transaction(InviteClient),
    "sbc.transaction.invite_server": _transaction(InviteServer),
    "sbc.transaction.non_invite_client": _transaction(NonInviteClient),
    "sbc.transaction.non_invite_server": _transaction(NonInviteServer),
}
"""How each machine is made to take one step: a new machine needs a line here."""

MACHINES = list(machines())
EACH = pytest.mark.parametrize("found", MACHINES, ids=[one.module.__name__ for one in MACHINES])


def test_the_machines_are_found() -> None:
    names = {one.module.__name__ for one in MACHINES}
    assert names >= {
        "sbc.call.states",
        "sbc.call.legs.reliable",
        "sbc.call.legs.session_timer",
        "sbc.sdp.offer_answer",
        "sbc.transaction.invite_client",
        "sbc.transaction.invite_server",
        "sbc.transaction.non_invite_client",
        "sbc.transaction.non_invite_server",
    }


@EACH
def test_a_table_has_one_kind_of_state_and_inputs_that_cannot_be_mistaken(found: Found) -> None:
    assert {type(state) for state, _ in found.table} == {found.states}
    for (state, event), row in found.table.items():
        assert isinstance(event, IntEnum), (state, event)
        assert type(row[-1] if isinstance(row, tuple) else row) is found.states, (state, event)
    numbers = [int(event) for event in found.inputs()]
    assert len(numbers) == len(set(numbers)), "two inputs of one number are one key of the table"


@EACH
def test_the_machine_goes_where_its_table_says_and_nowhere_else(
    found: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every pair, with effects that do nothing, through the machine's own step."""
    step = STEPS[found.module.__name__](found, monkeypatch)
    for state in found.states:
        for event in found.inputs():
            assert step(state, event) is found.after(state, event), (state, event)


@EACH
def test_what_is_over_stays_over(found: Found) -> None:
    """By name, so that a wrong row shows: nothing leads out of an end."""
    for state in found.states:
        if state.name in ("ENDED", "OVER", "TERMINATED"):
            assert found.reach(state) == {state}


@EACH
def test_every_state_in_the_table_can_be_reached(found: Found) -> None:
    assert {state for state, _ in found.table} <= found.reach(found.first)


@EACH
def test_no_state_is_a_trap(found: Found) -> None:
    """From everywhere a machine comes to its end; one without an end, to where it is at rest."""
    reached = found.reach(found.first)
    common = set.intersection(*map(found.reach, reached))
    ends = {state for state in reached if found.reach(state) == {state}}
    assert common
    assert ends <= common


@EACH
def test_a_machine_is_drawn_for_its_readers(found: Found) -> None:
    drawn = {machine.source.__name__ for machine in made_by("draw_state_machines.py").machines()}
    assert found.module.__name__ in drawn, "add it to docs/draw_state_machines.py"
