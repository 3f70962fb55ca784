"""`sbc doctor`: every check against a machine that says what the test wants."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

import sbc.extension
from relay.control.messages import WorkerStats
from relay.extension import Extension
from sbc.cli.app import app
from sbc.cli.health import checks
from sbc.cli.health.finding import Level
from sbc.cli.health.machine import Holder, Machine
from sbc.cli.health.public_addresses import public_addresses
from sbc.cli.health.running import Running
from sbc.config.load import load
from sbc.settings import Settings

FILE = """
realms:
  inside: {{ listen: "udp:127.0.33.1:5060", media: {{ address: 127.0.33.1, ports: 12000-12019 }} }}
trunks:
  pbx:     {{ realm: inside, peers: "127.0.33.10" }}
  carrier: {{ realm: inside, peers: "127.0.33.11" }}
routes:
  - {{ from: pbx, to: carrier }}
relay: {{ workers: 1 }}
run_dir: {0}/run
state_dir: {0}/state
"""


class FakeMachine(Machine):
    """A machine on which everything is fine, until a test says otherwise."""

    def __init__(self, **changes) -> None:
        super().__init__("/nonexistent")
        self.sysctls = {
            "net.core.rmem_max": "212992",
            "net.ipv4.ip_unprivileged_port_start": "1024",
        }
        self.has = {"NET_ADMIN"}
        self.limit = (1024, 20_000)
        self.free = 1 << 40
        self.held: set[int] = set()
        self.compiled = Extension("0.1.0", "release")
        self.reads = sbc.extension.Extension("0.1.0", "release")
        self.core_runs = "interpreted"
        self.owner: Holder | None = None
        self.given = range(32_768, 61_000)
        for name, value in changes.items():
            setattr(self, name, value)

    def extension(self):
        return self.compiled

    def core(self):
        return self.core_runs

    def parser(self):
        return self.reads

    def sysctl(self, name):
        return self.sysctls.get(name, "")

    def capabilities(self):
        return self.has

    def open_files(self):
        return self.limit

    def processors(self):
        return 2

    def free_bytes(self, path):
        return self.free

    def udp_ports(self, host):
        return self.held

    def holder(self, transport, host, port):
        return self.owner

    def ephemeral_ports(self):
        return self.given


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    path = tmp_path / "sbc.yaml"
    path.write_text(FILE.format(tmp_path))
    return load(str(path))


def worker(**changes) -> WorkerStats:
    values = {
        "slot": 0,
        "pid": 7,
        "fast_path": "python",
        "calls": 0,
        "uptime_s": 1.0,
        "cpu_s": 0.1,
        "ports": {"inside": {"free": 8, "leased": 0, "in_use": 0, "quarantined": 0}},
    }
    return WorkerStats(**(values | changes))


def found(check, settings, running=None, **changes):
    return list(check(settings, FakeMachine(**changes), running or Running()))


def one(check, settings, running=None, **changes):
    [finding] = found(check, settings, running, **changes)
    return finding


def test_a_good_machine_has_nothing_but_ok(settings):
    for check in checks.CHECKS:
        for finding in found(check, settings):
            assert finding.level is Level.OK, finding
            assert finding.advice == ""


def test_public_addresses_are_the_running_borders_or_a_servers(settings):
    stun = dataclasses.replace(settings, stun=(("inside", (("127.0.33.9", 9),)),))
    told = [{"realm": "inside", "local": "127.0.33.1", "public": "203.0.113.7"}]
    running = Running(status={"public_addresses": told})
    (found,) = public_addresses(stun, FakeMachine(), running)
    assert (found.level, found.topic) == (Level.OK, "public")
    assert found.text == "127.0.33.1 of realm inside is 203.0.113.7 outside"
    assert list(public_addresses(settings, FakeMachine(), running)) == []
    (listener,) = stun.transport.listeners
    blank = dataclasses.replace(listener, advertise_host="")
    transport = dataclasses.replace(stun.transport, listeners=(blank,))
    stun = dataclasses.replace(stun, transport=transport)
    (found,) = public_addresses(stun, FakeMachine(), Running())
    assert found.level is Level.FAIL
    assert "127.0.33.1 not learned: stun:127.0.33.9:9: Connection refused" in found.text


def test_a_held_sip_port_names_its_holder(settings):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.33.1", 5060))
        finding = one(checks.sip_ports, settings, owner=Holder(42, "asterisk"))
        assert finding.level is Level.FAIL
        assert finding.text == "udp:127.0.33.1:5060 is held by asterisk (pid 42)"
        ours = Running(status={"pid": 42})
        assert one(checks.sip_ports, settings, ours, owner=Holder(42, "sbc")).level is Level.OK
        assert "another user's program" in one(checks.sip_ports, settings, owner=Holder(0, "")).text


def test_a_listener_on_a_foreign_address_fails(settings):
    listener = dataclasses.replace(settings.transport.listeners[0], host="192.0.2.3")
    transport = dataclasses.replace(settings.transport, listeners=(listener,))
    finding = one(checks.sip_ports, dataclasses.replace(settings, transport=transport))
    assert finding.level is Level.FAIL
    assert finding.text == "udp:192.0.2.3:5060: this machine has no address 192.0.2.3"
    assert finding.advice.startswith("add it to an interface")


def test_a_border_that_runs_elsewhere_is_found_out(settings):
    findings = found(checks.sip_ports, settings, Running(status={"pid": 42}))
    assert findings[-1].level is Level.FAIL
    assert "not on these" in findings[-1].text


def test_media_ports_that_others_hold_are_counted(settings):
    assert "8 of 10 pairs free" in one(checks.media_ports, settings, held={12_001, 12_002}).text
    full = set(range(12_000, 12_020))
    assert one(checks.media_ports, settings, held=full).level is Level.FAIL
    nearly = full - {12_000, 12_001}
    assert one(checks.media_ports, settings, held=nearly).level is Level.OK  # a tenth is left


def pool(**counts) -> Running:
    states = {"free": 0, "leased": 0, "in_use": 0, "quarantined": 0}
    return Running(workers={0: worker(ports={"inside": states | counts})})


def test_media_ports_of_a_running_pool_are_what_its_workers_say(settings):
    finding = one(checks.media_ports, settings, pool(in_use=10), held=set(range(65_536)))
    assert finding.level is Level.FAIL
    assert finding.text == (
        "inside 127.0.33.1 12000-12019: 0 of 10 pairs free, 10 in use, 0 resting after calls"
    )
    nearly = one(checks.media_ports, settings, pool(leased=1, in_use=7, quarantined=2))
    assert (nearly.level, "1 of 10 pairs free, 7 in use, 2 resting" in nearly.text) == (
        Level.OK,  # a tenth is left
        True,
    )


def test_media_ports_that_signalling_has_in_stock_are_free(settings):
    idle = one(checks.media_ports, settings, pool(leased=10))
    assert idle.level is Level.OK
    assert "10 of 10 pairs free" in idle.text
    assert "leased" not in idle.text


def test_media_ports_of_a_realm_with_two_addresses_are_counted_once(settings):
    [media] = settings.relay.media
    both = (media, dataclasses.replace(media, address="::1", advertise="::1"))
    relay = dataclasses.replace(settings.relay, media=both)
    finding = one(checks.media_ports, dataclasses.replace(settings, relay=relay), pool(in_use=12))
    assert finding.level is Level.OK
    assert finding.text.startswith(
        "inside 127.0.33.1 12000-12019, ::1 12000-12019: 8 of 20 pairs free, 12 in use"
    )


def test_media_ports_in_the_ephemeral_range_are_a_warning_unless_reserved(settings):
    findings = found(checks.media_ports, settings, given=range(12_010, 13_000))
    assert findings[1].level is Level.WARN
    assert findings[1].advice == "sysctl -w net.ipv4.ip_local_reserved_ports=12010-12019"
    sysctls = {"net.ipv4.ip_local_reserved_ports": "80,12000-12500"}
    assert (
        len(found(checks.media_ports, settings, given=range(12_010, 13_000), sysctls=sysctls)) == 1
    )


def test_too_few_descriptors_say_how_many_calls_that_is(settings):
    finding = one(checks.open_files, settings, limit=(256, 272))
    assert finding.level is Level.WARN
    assert finding.text.endswith("2 calls with audio are possible, not 5")
    assert "LimitNOFILE=296" in finding.advice


def test_small_buffers_are_a_warning_without_privilege(settings):
    finding = one(checks.buffers, settings, has=set())
    assert finding.advice == "sysctl -w net.core.rmem_max=8388608"
    large = {"net.core.rmem_max": "8388608"}
    assert one(checks.buffers, settings, has=set(), sysctls=large).level is Level.OK


def test_a_low_port_needs_its_capability(settings):
    high_start = {"net.ipv4.ip_unprivileged_port_start": "6000"}
    finding = one(checks.rights, settings, sysctls=high_start)
    assert finding.level is Level.FAIL
    assert "CAP_NET_BIND_SERVICE" in finding.advice
    has = {"NET_BIND_SERVICE"}
    assert one(checks.rights, settings, sysctls=high_start, has=has).level is Level.OK


@pytest.mark.parametrize(
    ("free", "level"), [(1 << 20, Level.FAIL), (500 << 20, Level.WARN), (2 << 30, Level.OK)]
)
def test_the_disk_for_records(settings, free, level):
    assert found(checks.folders, settings, free=free)[-1].level is level


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_fails(settings, tmp_path):
    tmp_path.chmod(0o500)
    assert found(checks.folders, settings)[0].level is Level.FAIL
    tmp_path.chmod(0o700)


def test_workers_and_border_that_do_not_answer(settings):
    assert (
        "signalling does not"
        in one(checks.processes, settings, Running(workers={0: worker()})).text
    )
    gone = Running(status={"pid": 1, "calls": 0}, workers={0: "no answer within 2 s"})
    findings = found(checks.processes, settings, gone)
    assert [finding.level for finding in findings] == [Level.OK, Level.FAIL]


def test_a_worker_that_was_slow_is_told_from_one_that_has_started(settings):
    status = {"pid": 1, "calls": 3}
    fresh = Running(status=status, workers={0: worker(longest_pass_ms=31.0)})
    assert one(checks.processes, settings, fresh).level is Level.OK
    slow = Running(status=status, workers={0: worker(longest_pass_ms=131.0)})
    finding = found(checks.processes, settings, slow)[1]
    assert finding.level is Level.WARN
    assert "waiting for 131 ms" in finding.text


def test_the_fast_path_and_why(settings):
    finding = one(checks.fast_path, settings)
    assert finding.level is Level.OK
    assert finding.text == (
        "native would be loaded (auto takes the best that this machine can run; "
        "native extension 0.1.0, release build)"
    )
    running = Running(workers={0: worker(), 1: worker(fast_path="native")})
    assert one(checks.fast_path, settings, running).level is Level.WARN
    running = Running(workers={0: worker(fast_path="native")})
    assert one(checks.fast_path, settings, running).text.startswith("native (auto takes")


@pytest.mark.parametrize(
    ("extension", "text"),
    [
        (Extension(problem="it was not built"), "python would be loaded"),
        (Extension(problem="it is broken: no"), "no native extension: it is broken: no"),
        (Extension("0.1.0", "debug"), "native would be loaded"),
    ],
)
def test_an_extension_that_is_missing_broken_or_slow(settings, extension, text):
    machine = FakeMachine(compiled=extension)
    finding = next(iter(checks.fast_path(settings, machine, Running())))
    assert finding.level is Level.WARN
    assert text in finding.text
    relay = dataclasses.replace(settings.relay, fast_path="python")
    wanted = dataclasses.replace(settings, relay=relay)
    finding = next(iter(checks.fast_path(wanted, machine, Running())))
    assert finding.level is Level.OK
    assert finding.text.startswith("python would be loaded (as configured")


def test_how_the_core_runs(settings):
    finding = one(checks.core, settings)
    assert (finding.level, finding.text) == (Level.OK, "interpreted")
    compiled = FakeMachine(core_runs="compiled")
    (finding,) = checks.core(settings, compiled, Running())
    assert (finding.level, finding.text) == (Level.OK, "compiled")
    before = Running(status={"core": "interpreted"})
    (finding,) = checks.core(settings, compiled, before)
    assert (finding.level, finding.text) == (Level.WARN, "interpreted; compiled is installed")


def test_the_parser_and_why(settings):
    finding = one(checks.parser, settings)
    assert finding.level is Level.OK
    assert finding.text == "native would be loaded (native extension 0.1.0, release build)"
    running = Running(status={"parser": "native"})
    assert one(checks.parser, settings, running).text.startswith("native (native extension")
    switched_off_there = Running(status={"parser": "python"})
    finding = one(checks.parser, settings, switched_off_there)
    assert finding.level is Level.WARN
    assert finding.text.startswith("python (native extension")


@pytest.mark.parametrize(
    ("extension", "text"),
    [
        (
            sbc.extension.Extension(problem="it was not built"),
            "python would be loaded (no native extension: it was not built)",
        ),
        (
            sbc.extension.Extension("0.1.0", "debug"),
            "native would be loaded (native extension 0.1.0, debug build)",
        ),
    ],
)
def test_a_parser_that_is_missing_or_slow(settings, extension, text):
    finding = next(iter(checks.parser(settings, FakeMachine(reads=extension), Running())))
    assert finding.level is Level.WARN
    assert finding.text == text


def test_more_workers_than_processors(settings):
    relay = dataclasses.replace(settings.relay, workers=9)
    finding = one(checks.processors, dataclasses.replace(settings, relay=relay))
    assert finding.level is Level.WARN


# The real machine


def test_the_machine_finds_the_holder_of_a_port():
    machine = Machine()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mine:
        mine.bind(("127.0.33.9", 0))
        port = mine.getsockname()[1]
        assert machine.holder("udp", "127.0.33.9", port).pid == os.getpid()
        assert machine.holder("udp", "127.0.33.8", port) is None
        assert port in machine.udp_ports("127.0.33.9")
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as mine:
        mine.bind(("::1", 0))
        mine.listen()
        assert machine.holder("tcp", "::1", mine.getsockname()[1]).pid == os.getpid()


def test_the_machine_reads_its_own_limits():
    machine = Machine()
    assert machine.number("net.core.rmem_max", 0) > 0
    assert len(machine.ephemeral_ports()) > 0
    assert machine.open_files()[1] > 0
    assert machine.sysctl("no.such.thing") == ""


def test_the_command_ends_with_1_on_a_failure_and_0_without(settings, tmp_path):
    path = str(tmp_path / "sbc.yaml")
    runner = CliRunner()
    result = runner.invoke(app, ["doctor", "--config", path])
    assert result.exit_code == 0, result.output
    assert result.output.startswith("ok    config       ")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.33.1", 5060))
        result = runner.invoke(app, ["doctor", "--config", path, "--json"])
    assert result.exit_code == 1
    assert any(line["level"] == "fail" for line in json.loads(result.output))


def test_the_command_shows_what_is_wrong_with_the_file(tmp_path):
    path = tmp_path / "sbc.yaml"
    path.write_text("realms: 7\n")
    result = CliRunner().invoke(app, ["doctor", "--config", str(path)])
    assert result.exit_code == 1
    assert result.output.startswith("fail  config")
