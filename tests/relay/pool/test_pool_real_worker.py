"""The pool with the workers that it is made for: audio across every death but its worker's."""

from __future__ import annotations

import os
import signal
import socket
import struct
from contextlib import suppress

import pytest

from relay.control.client import Client
from relay.control.messages import End, Plan, Stream
from tests.relay.pool.harness import (
    Pools,
    Running,
    alive,
    bound_udp_ports,
    eventually,
    no_orphans,
    settings,
)

pytestmark = pytest.mark.slow


def start(pools: Pools, media) -> Running:
    relay = settings(pools.run_dir, media=(media,), grace_s=5.0)
    pool = Running(["-m", "relay", "pool", "--settings", pools.write(relay)])
    pools.started.append(pool)
    pool.wait_ready()
    return pool


def connect(pools: Pools) -> Client:
    client = Client(str(pools.run_dir / "worker-0.sock"))
    client.hello("session")
    return client


class Peers:
    """Two telephones on either side of one stream."""

    def __init__(self, host: str) -> None:
        self.left = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.right = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for one in (self.left, self.right):
            one.bind((host, 0))
            one.settimeout(2.0)
        self.sequence = 0

    def plan(self, leased) -> Plan:
        (host, port), (_, other) = leased
        a = End("outside", host, port, remote=self.left.getsockname(), expects=True)
        b = End("outside", host, other, remote=self.right.getsockname(), expects=True)
        return Plan("call", 1, [Stream(0, "audio", a, b)])

    def heard(self, leased) -> bool:
        """One packet from left to right."""
        self.sequence += 1
        packet = (
            struct.pack("!BBHII", 0x80, 0, self.sequence, self.sequence * 160, 7) + b"\xd5" * 160
        )
        self.left.sendto(packet, tuple(leased[0]))
        try:
            data, source = self.right.recvfrom(2048)
        except TimeoutError:
            return False
        return data[12:] == packet[12:] and source == tuple(leased[1])

    def close(self) -> None:
        self.left.close()
        self.right.close()


@pytest.fixture
def peers(media):
    found = Peers(media.address)
    yield found
    found.close()


def test_a_call_outlives_the_supervisor_and_its_adoption(pools, media, peers):
    pool = start(pools, media)
    with connect(pools) as client:
        leased = client.lease("outside", 2)
        client.apply(peers.plan(leased))
        assert peers.heard(leased)
        worker = client.hello("session").pid
        pool.kill()
        assert peers.heard(leased)
        pool = start(pools, media)
        assert peers.heard(leased)
        assert client.hello("session").pid == worker
        stats = client.remove("call")
        assert stats.streams[0].a.packets == 3
    pool.process.terminate()
    code, _ = pool.end()
    assert code == 0
    assert not alive(worker)
    eventually(lambda: bound_udp_ports(media.address) <= own(peers), "all ports free")


def own(peers: Peers) -> set[int]:
    return {one.getsockname()[1] for one in (peers.left, peers.right)}


@pytest.mark.parametrize(
    ("end", "wait_s"), [(signal.SIGKILL, 2.0), (signal.SIGSTOP, 8.0)], ids=["dead", "hangs"]
)
def test_a_new_worker_serves_the_slot_of_one_that_is_dead_or_hangs(
    pools, media, peers, end, wait_s
):
    pool = start(pools, media)
    with connect(pools) as client:
        client.apply(peers.plan(client.lease("outside", 2)))
        before = client.hello("session")
    os.kill(before.pid, end)
    found = []

    def answers() -> bool:
        with suppress(OSError), Client(str(pools.run_dir / "worker-0.sock"), 1.0) as client:
            found.append(client.hello("session"))
            return found[-1].pid != before.pid
        return False

    eventually(answers, "another worker", wait_s=wait_s)
    assert found[-1].generation == before.generation + 1
    with connect(pools) as client:
        leased = client.lease("outside", 2)
        client.apply(peers.plan(leased))
        assert peers.heard(leased)
    pool.process.terminate()
    assert pool.end()[0] == 0
    assert no_orphans([found[-1].pid])()


def test_all_ports_of_a_range_can_be_leased(pools, media):
    start(pools, media)
    with connect(pools) as client:
        leased: set[tuple[str, int]] = set()

        def all_of_them() -> bool:
            with suppress(Exception):
                leased.update(tuple(one) for one in client.lease("outside", 16))
            return len(leased) == 128

        eventually(all_of_them, "128 pairs")
    assert {port for _, port in leased} == set(range(21000, 21256, 2))
