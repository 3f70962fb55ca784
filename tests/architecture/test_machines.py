"""Every state machine of the code, found by its table, so that a new one cannot be forgotten.

A table is a mapping called `TABLE` or `_TABLE` whose keys are pairs of a state and an input, and
whose values are the next state, alone or behind what is done. Whatever comes in whatever state, a
machine lands in a legal one: that of its row, or where it has none, the one that it was in.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

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
def test_every_pair_of_state_and_input_lands_in_a_legal_state(found: Found) -> None:
    legal = found.reach(found.first)
    for state in legal:
        for event in found.inputs():
            assert found.after(state, event) in legal


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
