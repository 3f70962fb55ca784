"""`sbc relay`: what the workers say, and the pool by itself."""

from __future__ import annotations

import json
import os
import socket
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from relay.control.codec import Decoder, Response, encode
from relay.control.messages import Method, Welcome, WorkerStats
from relay.settings import RelaySettings
from sbc.cli.app import app

FILE = """
realms:
  inside: {{ listen: "udp:127.0.34.1:5060", media: {{ address: 127.0.34.1, ports: 12000-12019 }} }}
trunks:
  pbx:     {{ realm: inside, peers: "127.0.34.10" }}
  carrier: {{ realm: inside, peers: "127.0.34.11" }}
routes:
  - {{ from: pbx, to: carrier }}
relay: {{ workers: 2 }}
run_dir: {0}/run
state_dir: {0}/state
"""
STATS = WorkerStats(
    slot=0,
    pid=77,
    fast_path="python",
    calls=3,
    uptime_s=65.0,
    cpu_s=1.25,
    ports={"inside": {"free": 5, "leased": 2, "in_use": 2, "quarantined": 1}},
    counters={"packets": 1000, "dropped_stranger": 4, "dropped_held": 1},
)


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "sbc.yaml"
    path.write_text(FILE.format(tmp_path))
    (tmp_path / "run").mkdir(mode=0o700)
    return str(path)


@contextmanager
def worker(config: str, slot: int):
    """The end of the control socket that answers, for as long as one query takes."""
    path = str(Path(config).parent / "run" / f"worker-{slot}.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        thread = threading.Thread(target=_answer, args=(listener,))
        thread.start()
        yield
        thread.join(5)


def _answer(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    decoder = Decoder()
    with connection:
        while data := connection.recv(65_536):
            for request in decoder.feed(data):
                if request.method == Method.HELLO:
                    assert request.body[1] == "query"
                    body = Welcome(1, 0, 77, "python", 1).to_body()
                else:
                    assert request.method == Method.STATS
                    body = STATS.to_body()
                connection.sendall(encode(Response(request.id, body)))


def run(config: str, *arguments: str):
    return CliRunner().invoke(app, ["relay", *arguments, "--config", config])


@pytest.mark.parametrize("arguments", [[], ["status"]])
def test_a_worker_that_answers_and_one_that_is_away(config, arguments):
    with worker(config, 0):
        result = run(config, *arguments)
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert lines[1].split() == ["0", "77", "python", "1:05", "3", "1000", "5", "1.2s"]
    assert lines[4].split() == ["0", "inside", "5", "2", "2", "1"]
    assert lines[5] == "worker 1: not running"


def test_json_has_everything(config):
    with worker(config, 0), worker(config, 1):
        result = run(config, "status", "--json")
    assert result.exit_code == 0
    answer = json.loads(result.output)
    assert answer["away"] == {}
    assert [one["dropped"] for one in answer["workers"]] == [5, 5]
    assert answer["workers"][0]["counters"]["packets"] == 1000


def test_options_may_stand_before_or_after_the_command(config):
    runner = CliRunner()
    for arguments in (
        ["--config", config, "relay", "--json"],
        ["relay", "--config", config, "--json", "status"],
        ["relay", "status", "--config", config, "--json"],
    ):
        answer = json.loads(runner.invoke(app, arguments).output)
        assert answer["away"] == {"0": "not running", "1": "not running"}


def test_run_becomes_a_pool_with_these_settings(config, monkeypatch):
    became = []
    monkeypatch.setattr(os, "execv", lambda path, arguments: became.append(arguments))
    result = run(config, "run")
    assert result.exit_code == 0, result.output
    [arguments] = became
    assert arguments[1:6] == ["-P", "-m", "relay", "pool", "--settings"]
    settings = RelaySettings.from_json(Path(arguments[6]).read_text())
    assert settings.workers == 2
    assert settings.media[0].address == "127.0.34.1"


def test_run_says_why_it_cannot(config):
    folder = Path(config).parent / "run"
    folder.rmdir()
    folder.write_text("a file")
    result = run(config, "run")
    assert result.exit_code == 1
    assert result.output.startswith(f"run directory {folder}: ")
