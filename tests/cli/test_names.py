"""What commands say of peers that are names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sbc.cli.app import app
from sbc.cli.health.finding import Level
from sbc.cli.health.machine import Machine
from sbc.cli.health.names import names
from sbc.cli.health.running import Running
from sbc.config.load import load
from tests.support.dns import DnsServer

FILE = """
realms:
  inside: {{ listen: "udp:127.0.33.1:5060", media: {{ address: 127.0.33.1, ports: 12000-12019 }} }}
trunks:
  pbx:     {{ realm: inside, peers: "127.0.33.10" }}
  carrier: {{ realm: inside, peers: ["SIP.carrier.example.", "backup.example:5070"] }}
routes:
  - {{ from: pbx, to: carrier }}
dns: {{ servers: "{1}", timeout: 300ms }}
run_dir: {0}/run
state_dir: {0}/state
"""


@pytest.fixture
def server() -> Iterator[DnsServer]:
    with DnsServer() as running:
        running.has("_sip._udp.sip.carrier.example", "SRV", "0 0 5062 a.carrier.example.")
        running.has("a.carrier.example", "A", "127.0.33.20")
        yield running


@pytest.fixture
def file(tmp_path: Path, server: DnsServer) -> Path:
    path = tmp_path / "sbc.yaml"
    path.write_text(FILE.format(tmp_path, server.address))
    return path


def _run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_check_asks_nobody(file: Path, server: DnsServer) -> None:
    done = _run("check", file)

    assert done.exit_code == 0, done.output
    assert "leads nowhere" not in done.output
    assert server.asked == []


def test_a_check_with_resolve_warns_of_a_name_that_leads_nowhere(file: Path) -> None:
    done = _run("check", file, "--resolve")

    assert done.exit_code == 0
    assert (
        f"{file}: trunks.carrier.peers: note: backup.example:5070 leads nowhere"
        " (backup.example: no such name)" in done.output
    )
    assert "sip.carrier.example leads" not in done.output
    told = json.loads(_run("check", file, "--resolve", "--json").output)
    assert [one["peer"] for one in told["unknown_names"]] == ["backup.example:5070"]


@pytest.mark.slow
def test_a_check_with_resolve_ends_although_the_dns_is_silent(
    file: Path, server: DnsServer
) -> None:
    server.silent = True

    assert _run("check", file, "--resolve").output.count("leads nowhere") == 2


def test_the_doctor_says_where_a_name_is_who_says_so_and_until_when(file: Path, server) -> None:
    good, bad = names(load(str(file)), Machine(), Running())

    assert good.level is Level.OK
    assert good.text.startswith(
        f"carrier: sip.carrier.example is udp:127.0.33.20:5062; says {server.address}, good for "
    )
    assert bad.level is Level.FAIL
    assert bad.text == "carrier: backup.example:5070 leads nowhere (backup.example: no such name)"


def test_the_doctor_repeats_what_the_running_border_has(file: Path, server: DnsServer) -> None:
    place = {"transport": "udp", "address": "2001:db8::1", "port": 5060, "failed_s_ago": 3.2}
    told = {
        "trunk": "carrier",
        "peer": "sip.carrier.example",
        "places": [place],
        "servers": ["192.0.2.53:53"],
        "fresh_for_s": 0.0,
        "stale": True,
        "problem": "",
    }
    (finding,) = names(load(str(file)), Machine(), Running(status={"names": [told]}))

    assert finding.level is Level.WARN
    assert finding.text == (
        "carrier: sip.carrier.example is udp:[2001:db8::1]:5060 (failed 3 s ago);"
        " says 192.0.2.53:53, which is silent now"
    )
    assert server.asked == []


def test_trunks_are_listed_with_their_names(file: Path) -> None:
    (_, carrier) = json.loads(_run("trunk", "list", "--json", "--config", file).output)

    assert carrier["peers"] == ["sip.carrier.example", "backup.example:5070"]
    assert carrier["sources"] == ["sip.carrier.example", "backup.example"]
    assert (
        "sip.carrier.example backup.example:5070" in _run("trunk", "list", "--config", file).output
    )


def test_a_test_call_cannot_stand_in_for_a_name(file: Path) -> None:
    done = _run("call", "--config", file)

    assert done.exit_code == 2
    assert "is a name" in done.output
