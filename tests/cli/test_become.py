"""A command that becomes one of the border's processes, or says why it cannot."""

from __future__ import annotations

import sys

import pytest

from sbc.cli.become import become


def test_an_interpreter_that_cannot_be_started_is_one_line(monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        become(["sbc.launcher"])
    assert ended.value.code == 1
    assert capsys.readouterr().err == (
        f"{tmp_path}: cannot be started by this user: Permission denied\n"
    )
