"""Milestones become one write of one line each."""

from __future__ import annotations

import io
import json

from sbc.runtime.journal import Journal


class Counting(io.StringIO):
    writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


def test_quiet_levels_are_left_out_and_the_rest_is_one_write() -> None:
    stream = Counting()
    Journal("info", False, stream).write(
        [
            (10, "leg.step", "c1", {}),
            (20, "call.started", "c1", {"trunk": "pbx", "why": "any number", "none": None}),
            (30, "leg.bad_answer", "c2", {"detail": 'a "quote"\nand a line'}),
        ]
    )
    lines = stream.getvalue().splitlines()
    assert stream.writes == 1
    assert len(lines) == 2
    assert lines[0].endswith('info    call.started call=c1 trunk=pbx why="any number"')
    assert '"a \\"quote\\"\\nand a line"' in lines[1]


def test_json_lines() -> None:
    stream = io.StringIO()
    Journal("debug", True, stream).write([(40, "call.crashed", "c1", {"detail": "why"})])
    assert json.loads(stream.getvalue()) | {"time": 0} == {
        "time": 0, "level": "error", "event": "call.crashed", "call": "c1", "detail": "why",
    }  # fmt: skip


def test_a_reader_that_has_gone_harms_nothing() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    Journal("info", False, Gone()).write([(20, "call.started", "c1", {})])
