"""The real pool with real workers: what a call's owner sees when a worker dies."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from relay.control.client import Client
from relay.control.messages import ControlError, End, Plan, Stream, Welcome
from relay.settings import MediaSettings, RelaySettings
from tests.relay.rig import OURS
from tests.relay.test_worker import Call

pytestmark = pytest.mark.slow


@pytest.fixture
def run_dir(tmp_path) -> Iterator[Path]:
    media = tuple(
        MediaSettings(realm=realm, address=host, advertise=host, port_min=11000, port_max=11127)
        for realm, host in OURS.items()
    )
    settings = RelaySettings(run_dir=str(tmp_path), workers=1, media=media, grace_s=1.0)
    file = tmp_path / "relay.json"
    file.write_text(settings.to_json())
    pool = subprocess.Popen(
        [sys.executable, "-P", "-m", "relay", "pool", "--settings", str(file)],
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    yield tmp_path
    pool.terminate()
    _, printed = pool.communicate(timeout=20)
    assert b"Traceback" not in printed
    assert pool.returncode == 0


def connect(run_dir: Path, beyond: int = 0) -> tuple[Client, Welcome]:
    """A connection to a worker of a later generation than this."""
    deadline = time.monotonic() + 10
    while True:
        assert time.monotonic() < deadline
        time.sleep(0.02)
        with suppress(OSError):
            client = Client(str(run_dir / "worker-0.sock"), 2.0)
            with suppress(OSError):
                welcome = client.hello("test")
                if welcome.generation > beyond:
                    return client, welcome
            client.close()


def call_on(client: Client) -> Call:
    deadline = time.monotonic() + 5
    while True:
        try:
            return Call(client)
        except ControlError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_after_a_worker_died_the_next_call_works_and_its_ports_rest(run_dir):
    client, first = connect(run_dir)
    before = call_on(client)
    before.apply()
    assert before.speak(1)
    assert before.speak(2)
    os.kill(first.pid, signal.SIGKILL)
    died = time.monotonic()
    with pytest.raises(ConnectionError):
        client.ping()
    client.close()
    client, second = connect(run_dir, first.generation)
    assert time.monotonic() - died < 2.0
    assert (second.slot, second.calls, second.pid != first.pid) == (0, 0, True)
    ports = client.stats().ports
    assert [ports[realm]["quarantined"] for realm in OURS] == [1, 1]
    after = call_on(client)
    assert after.end_a.port != before.end_a.port
    after.apply()
    assert after.speak(1)
    assert after.speak(2)
    assert not before.speak(3)
    assert client.remove("call").streams[0].a.packets == 2
    client.close()
    before.close()
    after.close()


def test_only_a_refused_call_is_a_warning(tmp_path):
    """Ports that signalling holds are not gone; ports that calls hold are."""
    media = (
        MediaSettings(
            realm="inside",
            address="127.0.6.9",
            advertise="127.0.6.9",
            port_min=11000,
            port_max=11003,
        ),
    )
    settings = RelaySettings(run_dir=str(tmp_path), workers=1, media=media, log_json=True)
    file = tmp_path / "relay.json"
    file.write_text(settings.to_json())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10.0)
        pool = subprocess.Popen(
            [sys.executable, "-P", "-m", "relay", "pool", "--settings", str(file)],
            stderr=subprocess.PIPE,
            env=os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")},
        )
        try:
            assert manager.recv(64) == b"READY=1"
            client, _ = connect(tmp_path)
            pool.send_signal(signal.SIGHUP)
            leased = client.lease("inside", 8)
            with pytest.raises(ControlError):
                client.lease("inside", 8)
            ends = [End("inside", host, port) for host, port in leased]
            client.apply(Plan("call", 1, [Stream(0, "audio", *ends)]))
            for _ in range(2):
                with pytest.raises(ControlError):
                    client.lease("inside", 8)
            client.close()
        finally:
            pool.terminate()
            _, printed = pool.communicate(timeout=20)
        assert manager.recv(64) == b"STOPPING=1"
    lines = [json.loads(line) for line in printed.splitlines()]
    warnings = [line["event"] for line in lines if line["level"] == "warning"]
    counts = "free=0 leased=0 in_use=2 quarantined=0"
    assert warnings == [f"ports.exhausted slot=0 realm=inside {counts}"]


def test_calls_go_on_while_blocks_are_handed_out(run_dir):
    client, _ = connect(run_dir)
    call = call_on(client)
    call.apply()
    leased = []
    deadline = time.monotonic() + 5
    number = 0
    while len(leased) < 63:
        assert time.monotonic() < deadline
        try:
            leased += client.lease("inside", 16)
        except ControlError:
            time.sleep(0.01)
        number += 1
        assert call.speak(number)
    assert len(set(leased)) == 63
    assert client.stats().counters["crashes"] == 0
    client.close()
    call.close()
