"""The benchmarks still run: what nobody starts for a month rots. What they measure is no test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_replay_plays_whole_calls(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.replay", "--calls", "30", "--repeats", "1"]
    subprocess.run([*command, "--output", str(tmp_path)], cwd=ROOT, check=True, capture_output=True)

    (run,) = json.loads((tmp_path / "replay.json").read_text())["runs"]
    assert run["counted"]["BYE"] == 30


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["media", "plans", "signalling", "tls", "bench_sdp", "bench_sip_parse"]
)
def test_the_others_start(name: str, tmp_path: Path) -> None:
    """Without a turn of theirs: an end-to-end test may have it, and this process with it."""
    command = [sys.executable, "-m", f"benchmarks.{name}", "--help"]
    own = os.environ | {"TMPDIR": str(tmp_path)}
    subprocess.run(command, cwd=ROOT, env=own, check=True, capture_output=True, timeout=60)
