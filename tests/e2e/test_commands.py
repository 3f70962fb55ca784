"""From an empty folder to a call by commands alone; a wrong value changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.border import SBC, Border, Shape

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

STEPS = (
    "init --inside 127.0.1.1 --outside 127.0.2.1",
    "trunk add pbx --realm inside --peer 127.0.1.10:5060",
    "trunk add carrier --realm outside --peer 127.0.2.10:5060 --calls 200 --cps 20",
    "route add --from pbx --to carrier",
    "route add --from carrier --to pbx",
    "config set relay.workers 1",
    "check",
)

WRONG = (
    ("trunk add third --realm nowhere --peer 127.0.1.12", "nowhere"),
    ("trunk add third --realm inside --peer sip..example.com", "sip..example.com"),
    ("trunk set carrier --calls many", "many"),
    ("route add --from pbx --to nobody", "nobody"),
    ("config set realms.inside.media.ports 12", "12"),
    ("config set trunks.carrier.transport pigeon", "pigeon"),
)
"""A command that must be refused, and what its complaint must name."""


def _sbc(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SBC), *command.split()],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        env=_environment(folder),
    )


def _environment(folder: Path) -> dict[str, str]:
    """One run directory and one state for every command, and nothing of the developer's own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SBC_")}
    return {**kept, "XDG_RUNTIME_DIR": str(folder), "XDG_STATE_HOME": str(folder)}


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which commands have written a configuration."""
    folder = tmp_path_factory.mktemp("commands")
    own = (f"config set run_dir {folder}/run", f"config set state_dir {folder}/state")
    for step in (STEPS[0], *own, *STEPS[1:]):
        done = _sbc(folder, step)
        assert done.returncode == 0, f"sbc {step}: {done.stdout}{done.stderr}"
    return folder


def test_commands_alone_lead_to_a_call_with_audio_both_ways(configured: Path) -> None:
    with Border(configured, Shape(workers=1), config=configured / "sbc.yaml"):
        told = _sbc(configured, "call --json --seconds 2")
        calls = _sbc(configured, "calls --json")
        relay = _sbc(configured, "relay --json")
        doctor = _sbc(configured, "doctor --json")

    assert told.returncode == 0, told.stdout + told.stderr
    assert json.loads(told.stdout)
    assert calls.returncode == 0, calls.stderr
    assert json.loads(calls.stdout) in ([], {"calls": []})
    assert relay.returncode == 0, relay.stderr
    assert json.loads(doctor.stdout)


@pytest.mark.parametrize(("command", "named"), WRONG, ids=lambda text: str(text)[:40])
def test_wrong_value_changes_nothing_and_says_what_was_expected(
    configured: Path, command: str, named: str
) -> None:
    before = (configured / "sbc.yaml").read_bytes()

    done = _sbc(configured, command)

    assert done.returncode == 2, done.stdout
    assert (configured / "sbc.yaml").read_bytes() == before
    told = done.stdout + done.stderr
    assert named in told
    assert "expected" in told or "already" in told or "there is no" in told, told


def test_bad_configuration_starts_nothing_and_tells_every_error(
    configured: Path, tmp_path: Path
) -> None:
    text = (configured / "sbc.yaml").read_text()
    bad = text.replace("calls: 200", "calls: many").replace("cps: 20", "cps: none")
    (tmp_path / "sbc.yaml").write_text(bad)

    done = _sbc(tmp_path, "run")

    assert done.returncode == 2
    told = done.stdout + done.stderr
    assert told.count("expected") >= 2, told
    assert "sbc.yaml:" in told
    assert not (configured / "run" / "sbc.sock").exists()


def test_command_without_a_border_says_so_in_one_line(configured: Path) -> None:
    done = _sbc(configured, "calls")

    assert done.returncode == 1
    assert "no border is running" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
