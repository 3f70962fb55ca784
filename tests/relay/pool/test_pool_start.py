"""What a pool is like when it is up, and what it says when it cannot come up."""

from __future__ import annotations

import os
import socket
import stat

import pytest

from relay.settings import MediaSettings
from tests.relay.pool.harness import (
    Pools,
    bound_udp_ports,
    children_of,
    descriptors_of,
    eventually,
    settings,
)

pytestmark = pytest.mark.slow


def start(pools: Pools, media: MediaSettings, **changes):
    return pools.start(settings(pools.run_dir, media=(media,), **changes))


def test_each_worker_has_ports_and_a_spare_waits(pools, media):
    pool = start(pools, media, workers=2)
    first, second = pools.ask(0), pools.ask(1)
    assert first["pid"] != second["pid"]
    ports = set(first["names"]) | set(second["names"])
    assert len(ports) == len(first["names"]) + len(second["names"]) == 256
    assert ports == bound_udp_ports(media.address)
    eventually(lambda: len(children_of(pool.pid)) == 3, "a spare")


def test_blocks_say_which_ports_and_rows_they_have(pools, media):
    start(pools, media)
    facts = pools.ask()
    (one, realm, address, ports, row), (two, _, _, more, next_row) = facts["blocks"]
    assert (realm, address, one != two) == ("outside", media.address, True)
    assert ports == list(range(21000, 21064, 2))
    assert more == list(range(21064, 21128, 2))
    assert (row, next_row) == (0, 64)
    assert facts["names"][:4] == [21000, 21001, 21002, 21003]


def test_run_directory_and_sockets_are_closed_to_others(pools, media):
    start(pools, media)
    assert stat.S_IMODE(os.stat(pools.run_dir).st_mode) == 0o700
    for name in ("worker-0.sock", "relay.sock", "handoff-0.sock", "relay.lock"):
        assert stat.S_IMODE(os.stat(pools.run_dir / name).st_mode) == 0o600, name


def test_supervisor_holds_no_descriptor_for_each_port(pools, media):
    pool = start(pools, media)
    assert len(bound_udp_ports(media.address)) == 128
    assert descriptors_of(pool.pid) < 40


def test_supervisor_imports_neither_trio_nor_msgpack(pools, media):
    pool = start(pools, media)
    with open(f"/proc/{pool.pid}/maps") as maps:
        mapped = maps.read()
    assert "msgpack" not in mapped
    assert "pydantic" not in mapped


def test_ports_of_others_are_left_out_and_counted(pools, media):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((media.address, 21003))
        pool = start(pools, media)
        facts = pools.ask()
        assert 21002 not in facts["blocks"][0][3]
        assert facts["blocks"][0][3][:2] == [21000, 21004]
        assert facts["names"][2:4] == [21004, 21005]
    pool.process.terminate()
    code, printed = pool.end()
    assert code == 0
    assert "taken=1" in printed


def test_a_small_range_is_shared(pools, media):
    small = MediaSettings(
        realm="outside",
        address=media.address,
        advertise=media.address,
        port_min=21000,
        port_max=21011,
    )
    start(pools, small, workers=2)
    assert pools.ask(0)["names"] == [21000, 21001, 21002, 21003, 21004, 21005]
    assert pools.ask(1)["names"] == [21006, 21007, 21008, 21009, 21010, 21011]


def test_ipv6_ports_leave_ipv4_alone(pools):
    six = MediaSettings(
        realm="outside", address="::1", advertise="::1", port_min=29310, port_max=29317
    )
    start(pools, six)
    assert pools.ask()["names"] == list(range(29310, 29318))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as four:
        four.bind(("127.0.0.1", 29310))


def test_need_brings_blocks_until_the_range_is_used_up(pools, media):
    start(pools, media)
    assert len(pools.ask()["blocks"]) == 2
    pools.ask(command="need outside")
    eventually(lambda: len(pools.ask()["blocks"]) == 3, "a third block")
    pools.ask(command="need outside")
    eventually(lambda: len(pools.ask()["blocks"]) == 4, "a fourth block")
    assert not pools.ask()["exhausted"]
    pools.ask(command="need outside")
    eventually(lambda: pools.ask()["exhausted"] == [["outside", ""]], "no fifth block")
    assert len(pools.ask()["names"]) == 256


def refused(pools: Pools, relay, **options) -> tuple[int, list[str]]:
    pool = pools.start(relay, ready=False, **options)
    code, printed = pool.end()
    return code, printed.splitlines()


def test_an_address_that_is_not_ours_is_one_line_and_nothing_started(pools):
    other = MediaSettings(
        realm="inside", address="192.0.2.7", advertise="192.0.2.7", port_min=21000, port_max=21099
    )
    code, lines = refused(pools, settings(pools.run_dir, media=(other,)))
    assert code == 1
    assert len(lines) == 1
    assert "192.0.2.7 of realm inside: not an address of this machine" in lines[0]
    assert not (pools.run_dir / "worker-0.sock").exists()


def test_too_few_descriptors_are_one_line(pools, media):
    another = MediaSettings(
        realm="inside",
        address=media.address,
        advertise=media.address,
        port_min=22000,
        port_max=22099,
    )
    relay = settings(pools.run_dir, media=(media, another))
    code, lines = refused(pools, relay, files=256)
    assert code == 1
    assert len(lines) == 1
    assert "RLIMIT_NOFILE is 256: expected at least 320" in lines[0]
    assert not bound_udp_ports(media.address)


def test_few_descriptors_end_in_exhausted_not_in_death(pools, media):
    wide = MediaSettings(
        realm="outside",
        address=media.address,
        advertise=media.address,
        port_min=21000,
        port_max=22999,
    )
    pool = pools.start(settings(pools.run_dir, media=(wide,)), files=256)
    begin = pools.ask()
    for _ in range(6):
        pools.ask(command="need outside")
    eventually(lambda: bool(pools.ask()["exhausted"]), "the worker's limit")
    assert pools.ask()["pid"] == begin["pid"]
    pool.process.terminate()
    code, printed = pool.end()
    assert code == 0
    assert "too many open files" in printed


def test_a_second_pool_on_the_directory_is_refused(pools, media):
    first = start(pools, media)
    code, lines = refused(pools, settings(pools.run_dir, media=(media,)))
    assert code == 1
    assert len(lines) == 1
    assert f"already running (pid {first.pid})" in lines[0]
    assert pools.ask()["generation"] == 1


def test_a_file_in_place_of_the_run_directory_is_one_line(pools, media):
    pools.run_dir.write_text("")
    code, lines = refused(pools, settings(pools.run_dir, media=(media,)))
    assert code == 2
    assert lines == [
        f"relay.pool run directory {pools.run_dir}: expected a directory, found a file"
    ]


def test_a_run_directory_with_too_long_a_name_is_one_line(pools, media):
    code, lines = refused(pools, settings(pools.run_dir / ("x" * 100), media=(media,)))
    assert code == 2
    assert len(lines) == 1
    assert "at most 107 bytes" in lines[0]


def test_a_worker_that_refuses_the_settings_ends_the_pool(pools, media):
    relay = settings(pools.run_dir, media=(media,))
    code, lines = refused(pools, relay, environment={"FAKE_WORKER": "settings"})
    assert code == 2
    assert any("refuses these settings: fast path native: not built" in line for line in lines)
    assert not bound_udp_ports(media.address)


def test_workers_that_die_at_once_are_started_ever_slower(pools, media):
    relay = settings(pools.run_dir, media=(media,))
    pool = pools.start(relay, ready=False, environment={"FAKE_WORKER": "dies"})
    eventually(lambda: bool(bound_udp_ports(media.address)), "the pool is up")
    with pytest.raises(Exception, match="timed out"):
        pool.process.wait(timeout=1.5)
    pool.process.terminate()
    code, printed = pool.end()
    assert code == 0
    assert 3 <= printed.count("worker.died") <= 6
