"""Plays the supervisor for one real worker process, over the handoff's own messages."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from relay import handoff
from relay.control.client import Client
from relay.control.line import Line
from relay.settings import MediaSettings, RelaySettings
from tests.relay.rig import OURS, bind_pairs


class OneWorker:
    """A worker in slot 0 with one block for each realm.

    Args:
        run_dir: where its sockets are.
        pairs: ports of each block.
        blocks: of each realm.
        files: its limit of descriptors; 0: ours.
        changes: of its settings.
    """

    def __init__(
        self, run_dir: Path, *, pairs: int = 8, blocks: int = 1, files: int = 0, **changes: Any
    ) -> None:
        self.path = str(run_dir / "worker-0.sock")
        self.rows = 4 * pairs * blocks
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen()
        self.table = os.memfd_create("test-flows")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        life, self.lifeline = os.pipe()
        command = [sys.executable, "-P", "-m", "relay", "worker"]
        command += ["--fd", str(theirs.fileno()), "--lifeline-fd", str(life)]
        if files:
            command = ["prlimit", f"--nofile={files}:{files}", *command]
        self.process = subprocess.Popen(
            command,
            pass_fds=(theirs.fileno(), life),
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        theirs.close()
        os.close(life)
        self.line = Line(ours)
        self.said: list[str] = []
        self.wait_for("ready")
        media = tuple(
            MediaSettings(realm=realm, address=host, advertise=host, port_min=12000, port_max=30001)
            for realm, host in OURS.items()
        )
        values: dict[str, Any] = {"workers": 1, "quarantine_s": 0.0, "grace_s": 1.0}
        start = handoff.start_message(
            slot=0,
            generation=7,
            settings=RelaySettings(run_dir=str(run_dir), media=media, **(values | changes)),
            rows=self.rows,
            blocks=blocks * len(OURS),
        )
        self.line.send(start, [self._listener.fileno(), self.table])
        row = 0
        for block in range(blocks):
            for realm, address in OURS.items():
                self._block(row // 2, realm, address, pairs, row, block)
                row += 2 * pairs
        self.wait_for("running")

    def _block(
        self, number: int, realm: str, address: str, pairs: int, row: int, index: int
    ) -> None:
        ports, sockets = bind_pairs(address, pairs)
        message = {
            "t": "block",
            "id": number + index,
            "realm": realm,
            "address": address,
            "ports": ports,
            "row": row,
        }
        self.line.send(message, [one.fileno() for one in sockets])
        self.line.flush()
        for one in sockets:
            one.close()

    def wait_for(self, name: str, wait_s: float = 10.0) -> None:
        """Wait until the worker has said this."""
        deadline = time.monotonic() + wait_s
        while name not in self.said:
            one = self.line.receive_one()
            if one is None:
                if self.line.ended or time.monotonic() > deadline:
                    raise AssertionError(f"expected {name}, got {self.said}: {self.stderr()}")
                time.sleep(0.005)
                continue
            self.said.append(one[0]["t"])

    def stderr(self) -> str:
        self.process.kill()
        return self.process.communicate()[1].decode()

    def client(self, session: str = "test", **more: Any) -> Client:
        client = Client(self.path)
        client.hello(session, **more)
        return client

    def rss_kb(self) -> int:
        """What the worker alone has in memory."""
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return sum(
            int(line.split()[1])
            for line in text.splitlines()
            if line.startswith(("Private_Clean", "Private_Dirty"))
        )

    def cpu_s(self) -> float:
        """User and system seconds of all its threads."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(one.read_text().split()[0]) for one in tasks) / 1e9

    def close(self) -> tuple[int, str]:
        """Ends it; its exit code and what it printed."""
        self.line.close()
        os.close(self.lifeline)
        if self.process.poll() is None:
            self.process.terminate()
        try:
            _, printed = self.process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self._listener.close()
        os.close(self.table)
        return self.process.returncode, printed.decode()


def raise_files() -> None:
    """As many descriptors as the machine allows."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
