"""kill -9 of each process of the pool in turn: who goes on, who takes over, what is left."""

from __future__ import annotations

import os
import signal
import socket
import time

import pytest

from relay.settings import MediaSettings
from tests.relay.pool.harness import (
    Pools,
    alive,
    bound_udp_ports,
    children_of,
    descriptors_of,
    eventually,
    no_orphans,
    settings,
)

pytestmark = pytest.mark.slow


def start(pools: Pools, media: MediaSettings, **changes):
    return pools.start(settings(pools.run_dir, media=(media,), **changes))


def with_spare(pool, workers: int = 1) -> list[int]:
    """All processes of the pool, once the spare has had time for its imports."""
    eventually(lambda: len(children_of(pool.pid)) == workers + 1, "a spare")
    time.sleep(0.3)
    return [pool.pid, *children_of(pool.pid)]


def echoes(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(1.0)
        peer.sendto(b"rtp", (address, port))
        try:
            return peer.recv(16) == b"rtp"
        except TimeoutError:
            return False


def test_the_spare_takes_a_dead_workers_slot_within_300_ms(pools, media):
    pool = start(pools, media)
    with_spare(pool)
    before = pools.ask(command="write state")
    os.kill(before["pid"], signal.SIGKILL)
    begin = time.monotonic()
    after = pools.ask()
    while after["pid"] == before["pid"]:
        after = pools.ask()
    assert time.monotonic() - begin < 0.3
    assert after["generation"] == 2
    assert after["table"] == "state"
    assert after["blocks"] == before["blocks"]
    assert after["names"] == before["names"]
    assert echoes(media.address, 21000)
    eventually(lambda: len(children_of(pool.pid)) == 2, "a new spare")


def test_packets_that_come_between_two_workers_wait_in_the_socket(pools, media):
    pool = start(pools, media)
    with_spare(pool)
    facts = pools.ask()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(2.0)
        os.kill(facts["pid"], signal.SIGSTOP)
        peer.sendto(b"early", (media.address, 21004))
        os.kill(facts["pid"], signal.SIGKILL)
        assert peer.recv(16) == b"early"


def test_deaths_leak_nothing_in_the_supervisor(pools, media):
    pool = start(pools, media)
    with_spare(pool)
    before = descriptors_of(pool.pid)
    for generation in range(2, 6):
        os.kill(pools.ask()["pid"], signal.SIGKILL)
        eventually(lambda wanted=generation: pools.ask()["generation"] == wanted, "takeover")
        eventually(lambda: len(children_of(pool.pid)) == 2, "a new spare")
    time.sleep(0.3)
    assert descriptors_of(pool.pid) == before
    assert len(bound_udp_ports(media.address)) == 128


def test_a_dead_spare_is_replaced(pools, media):
    pool = start(pools, media)
    with_spare(pool)
    worker = pools.ask()["pid"]
    (spare,) = set(children_of(pool.pid)) - {worker}
    os.kill(spare, signal.SIGKILL)
    eventually(lambda: set(children_of(pool.pid)) - {worker, spare} != set(), "another spare")
    assert pools.ask()["pid"] == worker


def test_workers_outlive_their_supervisor_and_are_adopted(pools, media):
    pool = start(pools, media, workers=2)
    with_spare(pool, workers=2)
    (spare,) = set(children_of(pool.pid)) - {pools.ask(0)["pid"], pools.ask(1)["pid"]}
    before = [pools.ask(0, "write first"), pools.ask(1)]
    pool.kill()
    eventually(lambda: pools.ask()["orphaned"], "an orphan")
    assert echoes(media.address, 21000)
    eventually(lambda: not alive(spare), "the spare gone")

    pool = start(pools, media, workers=2)
    after = [pools.ask(0), pools.ask(1)]
    assert [one["pid"] for one in after] == [one["pid"] for one in before]
    assert not after[0]["orphaned"]
    assert len(bound_udp_ports(media.address)) == 256
    with_spare_of(pool, 1)

    os.kill(after[0]["pid"], signal.SIGKILL)  # the adopter can replace what it did not start
    eventually(lambda: pools.ask(0)["generation"] == 2, "takeover")
    assert pools.ask(0)["blocks"] == before[0]["blocks"]
    assert pools.ask(0)["table"] == "first"


def with_spare_of(pool, children: int) -> None:
    eventually(lambda: len(children_of(pool.pid)) == children, "a spare")
    time.sleep(0.3)


def test_an_adopted_worker_is_ended_with_its_new_pool(pools, media):
    pool = start(pools, media)
    worker = pools.ask()["pid"]
    pool.kill()
    pool = start(pools, media)
    assert pools.ask()["pid"] == worker
    pool.process.terminate()
    code, _ = pool.end()
    assert code == 0
    assert not alive(worker)
    assert not bound_udp_ports(media.address)


def test_a_need_of_an_orphan_is_met_by_its_adopter(pools, media):
    pool = start(pools, media)
    pool.kill()
    eventually(lambda: pools.ask()["orphaned"], "an orphan")
    pools.ask(command="need outside")
    start(pools, media)
    eventually(lambda: len(pools.ask()["blocks"]) == 3, "a third block")
    assert pools.ask()["blocks"][2][3] == list(range(21128, 21192, 2))


def test_many_blocks_are_handed_over_whole(pools, media):
    wide = MediaSettings(
        realm="outside",
        address=media.address,
        advertise=media.address,
        port_min=20000,
        port_max=27679,
    )
    pool = start(pools, wide)
    for _ in range(120):
        pools.ask(command="need outside")
    eventually(lambda: len(pools.ask()["blocks"]) == 120, "all blocks")
    before = pools.ask()
    with_spare(pool)
    os.kill(before["pid"], signal.SIGKILL)
    eventually(lambda: pools.ask()["generation"] == 2, "takeover")
    assert pools.ask()["names"] == before["names"]
    pool.kill()
    pool = start(pools, wide)
    assert pools.ask()["generation"] == 2
    assert descriptors_of(pool.pid) < 160
    os.kill(pools.ask()["pid"], signal.SIGKILL)
    eventually(lambda: pools.ask()["generation"] == 3, "takeover")
    assert pools.ask()["names"] == before["names"]


def test_orphaned_workers_end_by_themselves(pools, media):
    pool = start(pools, media, workers=2, grace_s=0.5)
    everybody = with_spare(pool, workers=2)
    pool.kill()
    eventually(no_orphans(everybody), "all gone", wait_s=3.0)
    assert not bound_udp_ports(media.address)


def test_workers_with_other_settings_are_ended_not_adopted(pools, media):
    pool = start(pools, media, grace_s=10.0)
    worker = pools.ask()["pid"]
    pool.kill()
    start(pools, media, grace_s=9.0)
    assert not alive(worker)
    facts = pools.ask()
    assert facts["pid"] != worker
    assert facts["generation"] == 1
    assert len(facts["names"]) == 128


def test_a_worker_that_hangs_is_not_adopted_but_killed(pools, media):
    pool = start(pools, media, grace_s=10.0)
    worker = pools.ask()["pid"]
    os.kill(worker, signal.SIGSTOP)
    pool.kill()
    pool = start(pools, media, grace_s=10.0)
    assert not alive(worker)
    assert len(pools.ask()["names"]) == 128


def test_a_pool_without_launcher_goes_on_then_drains(pools, media):
    pool = start(pools, media, grace_s=0.6)
    everybody = with_spare(pool)
    pool.cut_lifeline()
    time.sleep(0.2)
    assert echoes(media.address, 21000)
    code, printed = pool.end()
    assert code == 0
    assert "launcher.gone" in printed
    eventually(no_orphans(everybody), "all gone")
    assert not bound_udp_ports(media.address)
    assert sorted(os.listdir(pools.run_dir)) == ["relay.lock"]


def test_a_told_pool_ends_with_all_its_processes_and_ports(pools, media):
    pool = start(pools, media, workers=2)
    everybody = with_spare(pool, workers=2)
    pool.process.terminate()
    code, _ = pool.end(wait_s=3.0)
    assert code == 0
    assert no_orphans(everybody)()
    assert not bound_udp_ports(media.address)


def test_a_second_signal_means_now(pools, media):
    relay = settings(pools.run_dir, media=(media,))
    pool = pools.start(relay, environment={"FAKE_WORKER": "stubborn"})
    everybody = with_spare(pool)
    pool.process.terminate()
    with pytest.raises(Exception, match="timed out"):
        pool.process.wait(timeout=0.7)
    pool.process.terminate()
    code, _ = pool.end(wait_s=1.0)
    assert code == 0
    assert no_orphans(everybody)()
