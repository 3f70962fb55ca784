"""What the programs are given."""

from __future__ import annotations

import os
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from policies.settings import Latch, LimitSettings, Nat, Peer, Stranger, TrunkTransport
from relay.settings import MediaSettings
from sbc.config.host import _environment, this_host
from sbc.config.load import check_text
from sbc.config.load import load as load_file
from sbc.config.problems import ConfigError
from sbc.transport.settings import ListenerSettings
from tests.config.files import GOOD, HOST, load

ROOT = Path(__file__).parents[2]


def test_the_file_of_one_screen():
    settings = load(GOOD)
    listeners = settings.transport.listeners
    assert listeners[0] == ListenerSettings(
        realm="inside",
        transport="udp",
        host="10.0.0.5",
        port=5060,
        advertise_host="10.0.0.5",
        advertise_port=5060,
    )
    assert [(one.realm, one.transport) for one in listeners] == [
        ("inside", "udp"),
        ("inside", "tcp"),
        ("outside", "udp"),
    ]
    assert settings.relay.media[0] == MediaSettings(
        realm="inside",
        address="10.0.0.5",
        advertise="10.0.0.5",
        port_min=12000,
        port_max=21999,
    )
    pbx, carrier = settings.policies.trunks
    assert (pbx.name, pbx.line, carrier.line) == ("pbx", 6, 7)
    assert carrier.peers == (Peer(host="198.51.100.7", port=5060),)
    assert carrier.sources == (ip_network("198.51.100.7/32"),)
    assert carrier.limits == LimitSettings(calls=200, cps=20.0, status=503)
    assert [(one.source, one.to, one.line) for one in settings.policies.routes] == [
        ("pbx", ("carrier",), 9),
        ("carrier", ("pbx",), 10),
    ]
    assert settings.relay.workers == HOST.processors


def test_every_key_arrives():
    settings = load("""\
run_dir: /tmp/sbc-run
state_dir: state
realms:
  r:
    listen:
      - bind: "udp:[2001:db8::5]"
        advertise: "[2001:db8::6]:5080"
      - "tcp:10.0.0.5:5070"
      - { bind: "udp:10.0.0.5", advertise: 203.0.113.7 }
    media:
      - { address: 10.0.0.5, advertise: 203.0.113.7, ports: 12000-12100 }
      - { address: "2001:db8::5", ports: 13000 - 13999 }
trunks:
  t:
    realm: r
    peers:
      - 10.0.0.20
      - { address: 10.0.0.21, port: 5080, priority: 1, weight: 9 }
      - "[2001:db8::1]:5062"
      - "2001:db8::2"
    sources: [10.0.0.0/24, "2001:db8::/64"]
    transport: udp
    limits: { calls: 5, cps: 0.5, status: 486 }
    no_answer: 2m
    pass: [X-Account, P-Early-Media]
    trusted: true
    nat: always
    latch: any
    media_timeout: 1500ms
routes:
  - { from: t, to: [t], number: "0123" }
access: { strangers: ignore, rate: 10, burst: 20.5, exempt: 192.0.2.0/24 }
cdr: { path: calls.jsonl, sync: 5 }
relay: { workers: 3, fast_path: python, grace: 20, quarantine: 1, learn_window: 2 }
log: { level: debug, json: true }
""")
    assert settings.run_dir == settings.relay.run_dir == "/tmp/sbc-run"  # noqa: S108
    assert settings.state_dir == os.path.abspath("state")
    assert settings.cdr.path == os.path.abspath("calls.jsonl")
    assert settings.cdr.sync_s == 5
    assert [
        (o.host, o.port, o.advertise_host, o.advertise_port) for o in settings.transport.listeners
    ] == [
        ("2001:db8::5", 5060, "2001:db8::6", 5080),
        ("10.0.0.5", 5070, "10.0.0.5", 5070),
        ("10.0.0.5", 5060, "203.0.113.7", 5060),
    ]
    assert [(m.address, m.advertise, m.port_min, m.port_max) for m in settings.relay.media] == [
        ("10.0.0.5", "203.0.113.7", 12000, 12099),
        ("2001:db8::5", "2001:db8::5", 13000, 13999),
    ]
    (trunk,) = settings.policies.trunks
    assert [(p.host, p.port, p.priority, p.weight) for p in trunk.peers] == [
        ("10.0.0.20", 5060, 0, 1),
        ("10.0.0.21", 5080, 1, 9),
        ("2001:db8::1", 5062, 0, 1),
        ("2001:db8::2", 5060, 0, 1),
    ]
    assert trunk.sources == (ip_network("10.0.0.0/24"), ip_network("2001:db8::/64"))
    assert (trunk.transport, trunk.nat, trunk.latch) == (TrunkTransport.UDP, Nat.ALWAYS, Latch.ANY)
    assert trunk.limits == LimitSettings(calls=5, cps=0.5, status=486)
    assert (trunk.no_answer_s, trunk.media_timeout_s, trunk.trusted) == (120, 1.5, True)
    assert trunk.pass_headers == ("X-Account", "P-Early-Media")
    assert settings.policies.routes[0].number == "0123"
    access = settings.policies.access
    assert (access.strangers, access.rate_per_source, access.burst_per_source) == (
        Stranger.IGNORE,
        10,
        20.5,
    )
    assert access.exempt == (ip_network("192.0.2.0/24"),)
    relay = settings.relay
    assert (relay.workers, relay.fast_path) == (3, "python")
    assert (relay.grace_s, relay.quarantine_s, relay.learn_window_s) == (20, 1, 2)
    assert (settings.log.level, settings.log.json) == ("debug", True)


@pytest.mark.parametrize(
    ("root", "environment", "run_dir", "state_dir"),
    [
        (True, {"HOME": "/root"}, "/run/sbc", "/var/lib/sbc"),
        (
            False,
            {"HOME": "/home/u", "XDG_RUNTIME_DIR": "/run/user/1"},
            "/run/user/1/sbc",
            "/home/u/.local/state/sbc",
        ),
        (False, {"XDG_STATE_HOME": "/s"}, "/etc/here/run", "/s/sbc"),
        (False, {}, "/etc/here/run", "/etc/here/state"),
    ],
)
def test_where_sockets_and_state_go_by_default(root, environment, run_dir, state_dir):
    host = replace(HOST, root=root, environment=environment)
    settings = check_text(GOOD, "/etc/here/sbc.yaml", host).settings
    assert settings is not None
    assert (settings.run_dir, settings.state_dir) == (run_dir, state_dir)
    assert settings.cdr.path == f"{state_dir}/cdr.jsonl"


def test_a_users_runtime_folder_is_found_without_its_variable(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert "XDG_RUNTIME_DIR" not in _environment(str(tmp_path))
    ours = tmp_path / str(os.geteuid())
    ours.mkdir()
    assert _environment(str(tmp_path))["XDG_RUNTIME_DIR"] == str(ours)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    (tmp_path / "54321").symlink_to(ours)  # another user's
    assert "XDG_RUNTIME_DIR" not in _environment(str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/elsewhere")
    assert _environment(str(tmp_path))["XDG_RUNTIME_DIR"] == "/elsewhere"


def test_relative_paths_start_at_the_files_folder():
    text = GOOD + "run_dir: ../run\nstate_dir: state\ncdr: { path: ../cdr/all.jsonl }\n"
    settings = check_text(text, "/srv/border/conf/sbc.yaml", HOST).settings
    assert settings is not None
    assert settings.run_dir == "/srv/border/run"
    assert settings.state_dir == "/srv/border/conf/state"
    assert settings.cdr.path == "/srv/border/cdr/all.jsonl"


def test_the_demo_file_is_good_and_stays_on_loopback():
    settings = load_file(str(ROOT / "examples" / "demo.yaml"))
    hosts = [one.host for one in settings.transport.listeners]
    hosts += [one.address for one in settings.relay.media]
    hosts += [peer.host for one in settings.policies.trunks for peer in one.peers]
    assert all(host.startswith("127.") for host in hosts)
    assert settings.run_dir == str(ROOT / "run")


def test_load_raises_every_error_as_text(tmp_path):
    path = tmp_path / "sbc.yaml"
    path.write_text("log: { level: 1 }\n")
    with pytest.raises(ConfigError) as caught:
        load_file(str(path))
    assert str(caught.value).splitlines() == [
        f"{path}:1:1: realms: expected at least one realm, got nothing",
        f"{path}:1:15: log.level: expected debug, info, warning or error, got 1",
    ]


def test_a_byte_order_mark_and_crlf_are_fine(tmp_path):
    path = tmp_path / "sbc.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load_file(str(path)).policies.routes[1].line == 10


def test_this_machine_can_be_described():
    host = this_host()
    assert host.processors >= 1
    assert host.ephemeral is None or 0 < host.ephemeral[0] < host.ephemeral[1]
