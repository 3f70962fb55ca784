"""The real pool with real workers: what a call's owner sees when a worker dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from relay.control.client import Client
from relay.control.messages import ControlError, Welcome
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
