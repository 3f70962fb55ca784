"""Rotation of the record file at the worst moment: the border goes on."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from sbc.runtime.__main__ import _reopen_records
from sbc.runtime.cdr_file import CdrFile


def test_a_file_that_cannot_be_opened_again_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "records"
    cdr = CdrFile(str(folder / "cdr.jsonl"))
    moved = folder.rename(tmp_path / "moved")
    folder.write_text("a file where the folder was")
    with caplog.at_level(logging.ERROR):
        _reopen_records(SimpleNamespace(cdr=cdr))  # type: ignore[arg-type]
    assert "cannot write call records" in caplog.text
    cdr.append([json.dumps({"call": "x"}).encode()])
    cdr.close()
    assert (moved / "cdr.jsonl").read_text() == '{"call": "x"}\n'
