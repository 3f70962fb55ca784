"""`sbc run` as its operator sees it: its log, its signals, and a machine that is not ready."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sbc.call.crossing.headers import Hide
from sbc.runtime.__main__ import _hide
from tests.support.border import SBC, Border, Shape, until

pytestmark = pytest.mark.slow

SHAPE = Shape(
    inside="127.0.61.1",
    outside="127.0.62.1",
    inside_peer="127.0.61.10:5060",
    outside_peer="127.0.62.10:5060",
    inside_sources=("127.0.61.0/24",),
    outside_sources=("127.0.62.0/24",),
    inside_ports="12000-12015",
    outside_ports="12200-12399",
    further={"log": {"json": True}},
)


@pytest.fixture(scope="module")
def border(tmp_path_factory) -> Iterator[Border]:
    with Border(tmp_path_factory.mktemp("border"), SHAPE) as running:
        yield running


def log(border: Border) -> list[dict[str, object]]:
    """Every line of the log: each is JSON, whichever process wrote it."""
    return [json.loads(line) for line in border.log.read_text().splitlines()]


def events(border: Border) -> list[str]:
    return [str(line["event"]) for line in log(border)]


def test_one_line_says_where_it_listens(border):
    until(lambda: any("listens on" in one for one in events(border)), 5, "the launcher's line")
    [line] = [one for one in events(border) if "listen" in one]
    assert line.startswith("the border listens on udp:127.0.61.1:5060 tcp:127.0.61.1:5060 ")


def test_every_process_logs_as_the_file_says(border):
    found = events(border)
    assert any(one.startswith("pool.running ") for one in found)
    assert all(set(line) >= {"time", "level", "event"} for line in log(border))


def test_a_range_that_is_bound_to_its_end_is_no_warning(border):
    until(lambda: any("ports.all_bound" in one for one in events(border)), 5, "the line")
    assert {line["level"] for line in log(border)} <= {"info", "debug"}


def test_a_hangup_opens_the_records_again(border):
    records = border.folder / "state" / "cdr.jsonl"
    records.rename(records.with_suffix(".1"))
    os.kill(border.pid, signal.SIGHUP)
    until(records.exists, 5, "a new file")
    until(lambda: f"cdr.reopened path={records}" in events(border), 5, "the line")
    assert border.ready()


def test_a_refused_second_border_touches_nothing_of_the_first(border):
    run_dir = Path(border.run_dir)
    before = (run_dir / "relay.json").read_bytes()
    other = border.folder / "other.yaml"
    other.write_text(border.config.read_text().replace("12399", "12599"))
    done = subprocess.run(
        [str(SBC), "run", "-c", str(other)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert json.loads(done.stderr)["event"] == f"already running (pid {border.pid})"
    assert (run_dir / "relay.json").read_bytes() == before
    assert not (run_dir / "relay-settings.json").exists()


def test_a_port_in_use_at_the_first_start_ends_it_with_a_line(tmp_path):
    shape = Shape(
        inside="127.0.63.1",
        outside="127.0.64.1",
        inside_ports="12000-12199",
        outside_ports="12200-12399",
    )
    border = Border(tmp_path, shape)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
        thief.bind((shape.inside, 5060))
        done = border.run("run")
    assert done.returncode == 1
    [line] = [one for one in done.stderr.splitlines() if " info " not in one]
    assert "error   udp:127.0.63.1:5060: the address is in use: stop the program" in line
    assert not border.processes()


def test_ipv6_listeners_are_told_in_brackets(tmp_path):
    shape = Shape(inside="127.0.65.1", outside="127.0.66.1", outside_ports="12200-12399")
    document = shape.document(tmp_path)
    document["realms"]["outside"]["listen"] = "udp:[::1]:5099"
    document["realms"]["outside"]["media"]["address"] = "::1"
    document["trunks"]["carrier"] = {"realm": "outside", "peers": ["[::1]:5098"]}
    path = tmp_path / "sbc.yaml"
    path.write_text(json.dumps(document))
    with (tmp_path / "log").open("w") as out:
        process = subprocess.Popen([str(SBC), "run", "-c", str(path)], stderr=out)
    try:
        until(lambda: " listens on " in (tmp_path / "log").read_text(), 20, "the border")
    finally:
        process.terminate()
        process.wait(20)
    text = (tmp_path / "log").read_text()
    assert " udp:[::1]:5099\n" in text
    assert "stopping: " in text


def test_a_hiding_rule_that_is_off_is_a_warning(monkeypatch, caplog):
    assert _hide() == Hide()
    assert not caplog.text
    monkeypatch.setenv("SBC_TEST_UNHIDE", "uri_hosts")
    assert _hide() == Hide(uri_hosts=False)
    assert "SBC_TEST_UNHIDE=uri_hosts" in caplog.text


def test_what_a_start_waits_for_is_said(border):
    """Of a small range the process that died had all ports; they rest before the next has them."""
    [signalling] = border.role("signalling")
    border.kill(signalling)
    until(lambda: "signalling.waits for=media ports=inside" in events(border), 10, "the line")
