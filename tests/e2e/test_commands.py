"""From an empty folder to a call by commands alone; a wrong value changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.border import SBC, Border, Shape

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

assert sys.executable


def _sbc(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SBC_")}
    return subprocess.run(
        [str(SBC), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        env={**environment, "XDG_RUNTIME_DIR": str(folder), "HOME": str(folder)},
    )


def test_commands_alone_lead_to_a_call_with_audio_both_ways(tmp_path: Path) -> None:
    steps = STEPS
    for step in steps:
        done = _sbc(tmp_path, *step)
        assert done.returncode == 0, f"{step}: {done.stdout}{done.stderr}"
    (config,) = tmp_path.glob("*.yaml")

    with Border(tmp_path, Shape(workers=1), config=config):
        done = _sbc(tmp_path, "call", "--json")

    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)


STEPS: list[list[str]] = [
    ["init"],
]
