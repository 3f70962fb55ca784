"""The launcher with real processes: start, every death, and the way down."""

from __future__ import annotations

import json
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from relay.settings import MediaSettings, RelaySettings
from tests.relay.pool.harness import (
    Pools,
    alive,
    bound_udp_ports,
    children_of,
    eventually,
    no_orphans,
    processes_of,
)

pytestmark = pytest.mark.slow

_RUN_LAUNCHER = Path(__file__).with_name("run_launcher.py")
_SIP_PORT = 5060


class Border:
    """One configuration and the launchers that were started with it."""

    def __init__(self, base: Path) -> None:
        self.address = ".".join(["127", *(str(16 + secrets.randbelow(230)) for _ in range(3))])
        self.run_dir = base / "run"
        self.journal_path = base / "journal"
        self.settings_path = base / "border.json"
        self.launchers: list[subprocess.Popen[bytes]] = []
        self.pools = Pools(self.run_dir)
        self.write()

    def write(self, *, grace_s: float = 5.0, comment: str = "") -> None:
        media = MediaSettings(
            realm="outside",
            address=self.address,
            advertise=self.address,
            port_min=21000,
            port_max=21127,
        )
        relay = RelaySettings(run_dir=str(self.run_dir), workers=1, media=(media,), grace_s=grace_s)
        settings = {
            "run_dir": str(self.run_dir),
            "grace_s": grace_s,
            "address": self.address,
            "port": _SIP_PORT,
            "journal": str(self.journal_path),
            "relay": relay.to_json(),
            "comment": comment,
        }
        self.settings_path.write_text(json.dumps(settings))

    def launch(self, *, wait: bool = True, **environment: str) -> subprocess.Popen[bytes]:
        launcher = subprocess.Popen(
            [sys.executable, "-P", str(_RUN_LAUNCHER), str(self.settings_path)],
            stderr=subprocess.PIPE,
            env=os.environ | environment,
        )
        self.launchers.append(launcher)
        if wait:
            read_until(launcher, "the border listens")
        return launcher

    def journal(self) -> list[tuple[int, str]]:
        """What signalling processes noted: (pid, event)."""
        with suppress(FileNotFoundError):
            lines = self.journal_path.read_text().splitlines()
            return [(int(pid), event) for pid, event in (line.split() for line in lines)]
        return []

    @property
    def signalling(self) -> int:
        return [pid for pid, event in self.journal() if event == "start"][-1]

    def supervisor(self) -> int:
        return int((self.run_dir / "relay.lock").read_text() or 0)

    def everybody(self) -> list[int]:
        return processes_of(str(self.run_dir))

    def nothing_is_left(self) -> bool:
        return not self.everybody() and not bound_udp_ports(self.address)

    def close(self) -> None:
        for launcher in self.launchers:
            launcher.kill()
        self.pools.close()  # or its orphans would hold the pipe for their grace time
        for launcher in self.launchers:
            launcher.communicate(timeout=10)


def read_until(launcher: subprocess.Popen[bytes], text: str, wait_s: float = 10.0) -> str:
    """What it printed up to and with this text."""
    assert launcher.stderr is not None
    deadline = time.monotonic() + wait_s
    printed = b""
    while text.encode() not in printed:
        readable, _, _ = select.select([launcher.stderr], [], [], deadline - time.monotonic())
        piece = os.read(launcher.stderr.fileno(), 4096) if readable else b""
        assert piece, f"no {text!r} in {printed.decode()!r}"
        printed += piece
    return printed.decode()


def ended(launcher: subprocess.Popen[bytes], wait_s: float = 10.0) -> tuple[int, str]:
    """Exit code and what else it printed."""
    _, printed = launcher.communicate(timeout=wait_s)
    return launcher.returncode, printed.decode()


def _taken(thief: socket.socket, address: str) -> bool:
    with suppress(OSError):
        thief.bind((address, _SIP_PORT))
        return True
    return False


def _starts(border: Border) -> list[int]:
    return [pid for pid, event in border.journal() if event == "start"]


@pytest.fixture
def border() -> Iterator[Border]:
    base = Path(tempfile.mkdtemp(prefix="border-"))
    found = Border(base)
    try:
        yield found
    finally:
        found.close()
        shutil.rmtree(base, ignore_errors=True)


def test_it_says_in_one_line_that_the_border_listens(border):
    launcher = border.launch(wait=False)
    printed = read_until(launcher, "the border listens")
    assert f"the border listens on udp {border.address}:5060\n" in printed
    assert border.pools.ask()["generation"] == 1


def test_children_have_sessions_of_their_own(border):
    launcher = border.launch()
    for pid in children_of(launcher.pid):
        assert os.getsid(pid) == pid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_signalling_then_the_pool(border, number):
    launcher = border.launch()
    everybody = border.everybody()
    launcher.send_signal(number)
    code, printed = ended(launcher)
    assert code == 0
    assert printed.endswith("sbc.launcher stopped\n")
    assert [event for _, event in border.journal()] == ["start", "term", "drained"]
    assert no_orphans(everybody)()
    assert border.nothing_is_left()
    assert sorted(os.listdir(border.run_dir)) == ["launcher.lock", "relay.json", "relay.lock"]


def test_the_pool_is_still_there_while_signalling_drains(border):
    launcher = border.launch(FAKE_SIGNALLING="stubborn", DRAIN_S="0.6")
    launcher.terminate()
    time.sleep(0.3)
    assert len(border.pools.ask()["names"]) == 128
    code, printed = ended(launcher)
    assert code == 0
    assert "signalling" in printed
    assert "does not end: killed" in printed
    assert border.nothing_is_left()


def test_a_second_signal_means_now(border):
    launcher = border.launch(FAKE_SIGNALLING="stubborn", DRAIN_S="60")
    launcher.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        launcher.wait(timeout=0.5)
    launcher.terminate()
    code, printed = ended(launcher, wait_s=4.0)
    assert code == 0
    assert printed.endswith("sbc.launcher stopped\n")
    assert border.nothing_is_left()


def test_a_second_launcher_is_refused_in_one_line(border):
    first = border.launch()
    second = border.launch(wait=False)
    code, printed = ended(second)
    assert code == 1
    assert printed == f"sbc.launcher already running (pid {first.pid})\n"
    assert border.pools.ask()["generation"] == 1


def test_bad_settings_in_signalling_end_the_border(border):
    launcher = border.launch(wait=False, FAKE_SIGNALLING="settings")
    code, printed = ended(launcher)
    assert code == 2
    assert "stopped" not in printed  # nobody has stopped it
    assert [event for _, event in border.journal()] == ["start"]
    assert border.nothing_is_left()


def test_bad_settings_in_the_pool_end_the_border_before_signalling(border):
    launcher = border.launch(wait=False, FAKE_WORKER="settings")
    code, printed = ended(launcher)
    assert code == 2
    assert "fast path native: not built" in printed
    assert border.journal() == []
    assert border.nothing_is_left()


def test_signalling_that_dies_at_once_is_started_ever_slower(border):
    launcher = border.launch(wait=False, FAKE_SIGNALLING="dies")
    eventually(lambda: len(border.journal()) >= 3, "three starts")
    time.sleep(0.5)
    assert len(border.journal()) <= 4
    launcher.terminate()
    assert ended(launcher)[0] == 0


def test_a_first_start_that_the_machine_refuses_ends_in_its_line(border):
    launcher = border.launch(wait=False, FAKE_SIGNALLING="machine")
    code, printed = ended(launcher)
    assert code == 1
    assert "udp:127.0.0.1:5060: the address is in use\n" in printed
    assert "sbc.launcher" not in printed  # and no other line about it
    assert [event for _, event in border.journal()] == ["start"]
    assert border.nothing_is_left()


def test_a_pool_without_its_address_ends_the_first_start(border):
    document = json.loads(border.settings_path.read_text())
    document["relay"] = document["relay"].replace(border.address, "192.0.2.7")
    border.settings_path.write_text(json.dumps(document))
    code, printed = ended(border.launch(wait=False))
    assert code == 1
    assert printed.count("\n") == 1
    assert "192.0.2.7 of realm outside: not an address of this machine" in printed
    assert border.journal() == []


def test_signalling_whose_port_is_taken_while_it_restarts_is_tried_again(border):
    launcher = border.launch()
    before = border.signalling
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
        launcher.send_signal(signal.SIGSTOP)  # so that the thief is there first
        os.kill(before, signal.SIGKILL)
        eventually(lambda: _taken(thief, border.address), "the port", wait_s=5.0)
        launcher.send_signal(signal.SIGCONT)
        eventually(lambda: len(_starts(border)) >= 3, "further starts", wait_s=5.0)
    read_until(launcher, "signalling is back")
    launcher.terminate()
    assert ended(launcher)[0] == 0


def test_a_hangup_reaches_signalling_and_ends_nothing(border):
    launcher = border.launch()
    signalling, pool = border.signalling, border.supervisor()
    launcher.send_signal(signal.SIGHUP)
    os.kill(pool, signal.SIGHUP)
    eventually(lambda: (signalling, "hangup") in border.journal(), "the signal")
    launcher.send_signal(signal.SIGHUP)
    eventually(lambda: border.journal().count((signalling, "hangup")) == 2, "another")
    assert launcher.poll() is None
    assert alive(pool)
    launcher.terminate()
    code, printed = ended(launcher)
    assert code == 0
    assert "stopping: " in printed


def test_killed_signalling_is_started_again_and_the_pool_is_not(border):
    border.launch()
    before, worker = border.signalling, border.pools.ask()["pid"]
    os.kill(before, signal.SIGKILL)
    eventually(lambda: border.signalling != before, "another signalling process")
    eventually(lambda: _SIP_PORT in bound_udp_ports(border.address), "the SIP port")
    assert border.pools.ask()["pid"] == worker


def test_a_killed_supervisor_is_replaced_and_its_worker_kept(border):
    border.launch()
    before, worker, signalling = border.supervisor(), border.pools.ask()["pid"], border.signalling
    os.kill(before, signal.SIGKILL)
    eventually(lambda: border.supervisor() not in (0, before), "another supervisor")
    eventually(lambda: not border.pools.ask()["orphaned"], "adoption")
    assert border.pools.ask()["pid"] == worker
    assert border.signalling == signalling
    assert len(bound_udp_ports(border.address)) == 129


def test_a_killed_launchers_children_are_adopted(border):
    border.launch()
    before, worker = border.supervisor(), border.pools.ask()["pid"]
    border.launchers[0].kill()
    signalling = border.signalling
    eventually(lambda: (signalling, "orphaned") in border.journal(), "an orphan")

    launcher = border.launch()
    assert border.supervisor() == before
    assert border.pools.ask()["pid"] == worker
    assert border.journal()[-1] == (signalling, "adopted")

    os.kill(signalling, signal.SIGKILL)  # what was adopted is watched like a child
    eventually(lambda: border.signalling != signalling, "another signalling process")
    launcher.terminate()
    assert ended(launcher)[0] == 0
    assert border.nothing_is_left()


def test_a_killed_launchers_children_end_by_themselves(border):
    border.write(grace_s=0.6)
    border.launch()
    everybody = border.everybody()
    assert len(everybody) >= 4
    border.launchers[0].kill()
    eventually(no_orphans(set(everybody) - {border.launchers[0].pid}), "all gone", wait_s=4.0)
    assert border.nothing_is_left()


def test_survivors_with_other_settings_are_ended_first(border):
    border.launch()
    pool, signalling = border.supervisor(), border.signalling
    border.launchers[0].kill()
    border.write(comment="another route")
    border.launch()
    assert border.signalling != signalling
    assert not alive(signalling)
    assert border.supervisor() == pool  # the pool's settings are the same
    border.launchers[1].kill()
    border.write(comment="another route", grace_s=4.0)
    border.launch()
    assert not alive(pool)
    assert border.pools.ask()["generation"] == 1
    assert len(bound_udp_ports(border.address)) == 129


def test_launcher_and_supervisor_killed_together_leave_workers_to_adopt(border):
    border.launch()
    worker = border.pools.ask()["pid"]
    supervisor = border.supervisor()
    border.launchers[0].kill()
    os.kill(supervisor, signal.SIGKILL)
    border.launch()
    assert border.supervisor() != supervisor
    assert border.pools.ask()["pid"] == worker
    assert not border.pools.ask()["orphaned"]


def test_everything_killed_at_once_is_started_anew(border):
    border.launch()
    everybody = border.everybody()
    for pid in everybody:
        os.kill(pid, signal.SIGKILL)
    eventually(no_orphans(everybody), "all dead")
    eventually(lambda: not bound_udp_ports(border.address), "no port held")
    border.launch()
    assert border.pools.ask()["generation"] == 1


def test_the_service_manager_is_told(border, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        path = str(border.settings_path.parent / "notify")
        manager.bind(path)
        manager.settimeout(5.0)
        launcher = border.launch(NOTIFY_SOCKET=path)
        assert manager.recv(64) == b"READY=1"
        launcher.terminate()
        assert manager.recv(64) == b"STOPPING=1"
        assert ended(launcher)[0] == 0


def test_a_settings_file_that_is_not_there_is_one_line(border, tmp_path):
    arguments: list[Any] = ["--settings", tmp_path / "none.yaml", "--relay", tmp_path / "none.json"]
    found = subprocess.run(
        [sys.executable, "-P", "-m", "sbc.launcher", *arguments], capture_output=True, check=False
    )
    assert found.returncode == 2
    assert found.stderr.decode().count("\n") == 1
    assert "No such file or directory" in found.stderr.decode()


def test_a_pool_that_was_started_by_itself_is_used_and_not_ended(border):
    relay = RelaySettings.from_json(json.loads(border.settings_path.read_text())["relay"])
    pool = border.pools.start(relay, lifeline=False)
    launcher = border.launch()
    assert border.supervisor() == pool.pid
    launcher.terminate()
    assert ended(launcher)[0] == 0
    assert alive(pool.pid)
    assert border.pools.ask()["generation"] == 1
    launcher = border.launch()
    launcher.kill()
    os.kill(border.signalling, signal.SIGKILL)
    assert alive(pool.pid)


def test_a_pool_that_was_started_by_itself_with_other_settings_is_an_error(border):
    relay = RelaySettings.from_json(json.loads(border.settings_path.read_text())["relay"])
    pool = border.pools.start(relay, lifeline=False)
    border.write(grace_s=3.0)
    code, printed = ended(border.launch(wait=False))
    assert code == 2
    assert printed.count("\n") == 1
    assert f"relay pool (pid {pool.pid}) was started by itself" in printed
    assert alive(pool.pid)


def test_a_pool_that_was_started_by_itself_is_replaced_when_it_dies(border):
    relay = RelaySettings.from_json(json.loads(border.settings_path.read_text())["relay"])
    pool = border.pools.start(relay, lifeline=False)
    worker = border.pools.ask()["pid"]
    launcher = border.launch()
    pool.kill()
    eventually(lambda: border.supervisor() not in (0, pool.pid), "another supervisor")
    eventually(lambda: not border.pools.ask()["orphaned"], "adoption")
    assert border.pools.ask()["pid"] == worker
    launcher.terminate()
    assert ended(launcher)[0] == 0
    assert border.nothing_is_left()


def test_launcher_and_supervisor_are_standard_library_only():
    code = (
        "import sys, sbc.launcher, relay.pool; "
        "print(*{name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names))"
    )
    found = subprocess.run(
        [
            sys.executable,
            "-P",
            "-S",
            "-c",
            f"sys = __import__('sys'); sys.path.append('.'); {code}",
        ],
        capture_output=True,
        check=True,
        cwd=_RUN_LAUNCHER.parents[2],
    )
    assert set(found.stdout.decode().split()) == {"__main__", "sbc", "relay"}
