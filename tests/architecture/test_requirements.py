"""A test that needs a tool names it: skipped where nobody insists, failed where CI does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHOSEN = "tests/e2e/test_calls.py::test_options_is_answered_truthfully"

pytestmark = pytest.mark.slow


def _run(folder: Path, require: str) -> str:
    """Pytest on one end-to-end test, on a machine without any of the tools."""
    environment = {**os.environ, "PATH": str(folder), "SBC_REQUIRE": require}
    environment["SBC_TOOL_PATH"] = str(folder)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rsf", CHOSEN],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=environment,
    )
    return done.stdout


def test_missing_tool_skips_by_name(tmp_path: Path) -> None:
    told = _run(tmp_path, "")

    assert "1 skipped" in told
    assert "sipp (Debian: sip-tester)" in told


def test_missing_tool_fails_where_it_is_required(tmp_path: Path) -> None:
    told = _run(tmp_path, "e2e,netns")

    assert "1 failed" in told or "1 error" in told
    assert "sipp (Debian: sip-tester)" in told


def test_unknown_kind_is_an_error(tmp_path: Path) -> None:
    assert "expected some of e2e, netns" in _run(tmp_path, "e2e,pigeons")
