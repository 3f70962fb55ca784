"""A relay pool as the border runs it, and the plans of calls through it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.rtp_load import master_key
from relay.control.client import Client
from relay.control.messages import End, Plan, Srtp, Stream
from relay.extension import look
from relay.settings import MediaSettings, RelaySettings

__all__ = ["FIRST_PORT", "HOSTS", "OURS", "SUITES", "plan_of", "running"]

HOSTS = ("127.0.1.10", "127.0.2.10")
"""Where the generator's ends sit: inside and outside."""
OURS = ("127.0.1.1", "127.0.2.1")
FIRST_PORT = 10_000
_SUITE = "AES_CM_128_HMAC_SHA1_80"
_OTHER_SUITE = "AES_CM_128_HMAC_SHA1_32"
SUITES = {"": ("", ""), "srtp-rtp": (_SUITE, ""), "srtp-srtp": (_SUITE, _OTHER_SUITE)}
"""What is bridged → the suite of each side. Every packet has keys of its own on each side: of two
legs with one suite rtpengine would copy the keys and forward what it gets untouched."""


@contextmanager
def running(fast_path: str, calls: int, workers: int = 1) -> Iterator[tuple[int, list[Client]]]:
    """A fresh pool with ports for so many calls; its process and a client of each worker.

    Raises:
        RuntimeError: it did not start, or its workers have another fast path.
    """
    with tempfile.TemporaryDirectory(prefix="sbc-bench-") as folder:
        settings = RelaySettings(
            run_dir=folder,
            workers=workers,
            media=tuple(
                MediaSettings(
                    realm=realm,
                    address=host,
                    advertise=host,
                    port_min=12_000,
                    port_max=12_000 + 4 * calls + 1023,
                )
                for realm, host in zip(("inside", "outside"), OURS, strict=True)
            ),
            fast_path=fast_path,
        )
        file = Path(folder, "relay.json")
        file.write_text(settings.to_json())
        with Path(folder, "log").open("wb") as log:
            pool = subprocess.Popen(
                [sys.executable, "-P", "-m", "relay", "pool", "--settings", str(file)],
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        clients: list[Client] = []
        try:
            clients = [_client(folder, slot, pool) for slot in range(workers)]
            if any(client.stats().fast_path != fast_path for client in clients):
                raise RuntimeError(f"expected the fast path {fast_path}: {look()}")
            yield pool.pid, clients
        finally:
            for client in clients:
                client.close()
            pool.terminate()
            pool.wait(20)


def _client(folder: str, slot: int, pool: subprocess.Popen[bytes]) -> Client:
    deadline = time.monotonic() + 15
    while True:
        try:
            client = Client(f"{folder}/worker-{slot}.sock")
            client.hello("benchmark", fresh=True)
        except OSError:
            if pool.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(Path(folder, "log").read_text()) from None
            time.sleep(0.1)
            continue
        return client


def plan_of(client: Client, call: int, suites: tuple[str, str]) -> Plan:
    """The first plan of one call, with two pairs of ports that are leased for it."""
    ends = []
    for side, (realm, host) in enumerate(zip(("inside", "outside"), HOSTS, strict=True)):
        ((address, port),) = _leased(client, realm)
        number, suite = 2 * call + side, suites[side]
        remote = (host, FIRST_PORT + 2 * call)
        ends.append(
            End(
                realm,
                address,
                port,
                remote,
                (host, remote[1] + 1),
                expects=True,
                clock_rates={0: 8000},
                rate_pps=50,
                rate_bps=50 * 172,
                dscp=46,
                srtp_in=Srtp(suite, master_key(suite, number, sent=True)) if suite else None,
                srtp_out=Srtp(suite, master_key(suite, number, sent=False)) if suite else None,
            )
        )
    return Plan(f"bench-{call}", 1, [Stream(0, "audio", ends[0], ends[1])])


def _leased(client: Client, realm: str) -> list[tuple[str, int]]:
    deadline = time.monotonic() + 10
    while True:
        try:
            return client.lease(realm, 1)
        except Exception:  # noqa: BLE001, RUF100 (the supervisor may still be binding ports)
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
