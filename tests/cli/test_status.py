"""`sbc status`: what a running border says of itself as a whole, on one screen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sbc.runtime.face import Face
from sbc.runtime.server import Server
from sbc.settings import CdrSettings
from tests.call.lab import settings
from tests.cli.test_calls import FILE, run, serving

SCREEN = 24
QUIET = {
    "calls": 0,
    "ports_in_hand": {"inside": 128, "outside": 64},
    "workers": [1, 0],
    "draining": False,
    "overloaded": False,
    "counters": {"malformed": 0},
    "refusals": {},
    "pid": 4711,
    "uptime_s": 3723.25,
    "core": "interpreted",
    "parser": "native",
    "public_addresses": [],
    "listeners": {
        "udp:10.0.0.1:5060": {"received": 6, "sent": 4, "dropped_by_kernel": 0},
        "udp:192.0.2.1:5060": {"received": 31, "sent": 3, "dropped_by_kernel": 7},
    },
    "streams": {"connections": 0},
    "cdr": {"path": "/var/lib/sbc/cdr.jsonl", "failure": None, "waiting": 0, "dropped": 0},
}


class Border:
    """One that says what a test puts into it."""

    def __init__(self, **told: object) -> None:
        self.told = QUIET | told

    def status(self):
        return self.told


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "sbc.yaml"
    path.write_text(FILE.format(tmp_path))
    return str(path)


@contextmanager
def real(folder: Path) -> Iterator[Server]:
    """A border whose sockets are open: its figures are those of the code."""
    base = settings()
    listeners = tuple(
        replace(one, host=one.host.replace("10.", "127.", 1), port=0)
        for one in base.transport.listeners
        if one.transport == "udp"
    )
    changed = replace(
        base,
        transport=replace(base.transport, listeners=listeners),
        run_dir=str(folder),
        state_dir=str(folder),
        cdr=CdrSettings(path=f"{folder}/cdr.jsonl"),
    )
    server = Server(changed)
    server.open()
    try:
        yield server
    finally:
        for listener in server._udp.values():
            listener.close()
        server.cdr.close()


def shown(config: str, **told: object) -> str:
    with serving(config, Border(**told)):
        result = run(config, "status")
    assert result.exit_code == 0, result.output
    return result.output


def test_a_quiet_border_is_one_screen(config: str) -> None:
    assert (
        shown(config)
        == """\
border
  pid         4711
  up          1:02:03
  calls       0
  draining    no
  overloaded  no
  core        interpreted
  parser      native
listeners             received  sent  dropped by kernel
  udp:10.0.0.1:5060   6         4     0
  udp:192.0.2.1:5060  31        3     7
relay
  workers        0, 1
  ports in hand  inside 128, outside 64
records
  path  /var/lib/sbc/cdr.jsonl
"""
    )


def test_what_has_been_counted_is_shown_under_the_names_of_the_json(config: str) -> None:
    counters = {"stranger": 12, "call.ignored": 1, "absorbed": 0, "auth_wrong": 3}
    text = shown(
        config,
        counters=counters,
        refusals={"488": 1, "403": 12},
        streams={"connections": 2, "handshake_failed": 5, "closed": 0},
    )
    assert text.endswith(
        """\
counters
  auth_wrong    3
  call.ignored  1
  stranger      12
refusals
  403  12
  488  1
streams
  connections       2
  handshake_failed  5
"""
    )


def test_public_addresses_and_what_keeps_records_from_the_disk_are_shown(config: str) -> None:
    text = shown(
        config,
        public_addresses=[{"realm": "outside", "local": "10.0.0.5", "public": "203.0.113.7"}],
        cdr=QUIET["cdr"] | {"failure": "No space left on device", "waiting": 3},
    )
    assert text.endswith(
        """\
public addresses
  10.0.0.5 of outside  203.0.113.7
records
  path     /var/lib/sbc/cdr.jsonl
  failure  No space left on device
  waiting  3
"""
    )


def test_a_border_without_relay_workers_says_so(config: str) -> None:
    assert "  workers        none\n" in shown(config, workers=[])


def test_json_is_what_the_border_says(config: str) -> None:
    with serving(config, Border()):
        assert json.loads(run(config, "status", "--json").output) == QUIET


def test_everything_that_is_shown_is_in_the_status_of_a_real_border(
    config: str, tmp_path: Path
) -> None:
    with real(tmp_path) as server, serving(config, Face(server)):
        text = run(config, "status").output
        told = json.loads(run(config, "status", "--json").output)
    assert QUIET.keys() <= told.keys()
    lines = text.splitlines()
    assert len(lines) < SCREEN
    assert not [line for line in lines if line.endswith(" -")]  # what the status does not have
    assert f"  path  {tmp_path}/cdr.jsonl" in lines
    assert [line.split()[1:] for line in lines if line.startswith("  udp:")] == [["0"] * 3] * 2


def test_without_a_border_one_line_says_where_it_was_looked_for(config: str) -> None:
    result = run(config, "status")
    assert result.exit_code == 1
    path = Path(config).parent / "sbc.sock"
    assert result.output == f"{path}: no border is running here (sbc run)\n"
