"""The operator's commands beside a border that really runs (its processes, its sockets)."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.border import Border, Shape, until

pytestmark = pytest.mark.slow

SHAPE = Shape(
    inside="127.0.35.1",
    outside="127.0.36.1",
    inside_peer="127.0.35.10:5060",
    outside_peer="127.0.36.10:5060",
    inside_sources=("127.0.35.0/24",),
    outside_sources=("127.0.36.0/24",),
    inside_ports="12000-12199",
    outside_ports="12200-12399",
)


@pytest.fixture(scope="module")
def border(tmp_path_factory) -> Iterator[Border]:
    with Border(tmp_path_factory.mktemp("border"), SHAPE) as running:
        yield running


@pytest.mark.parametrize("options", [[], ["--tcp"], ["--from", "carrier"]])
def test_two_way_audio_through_the_border(border, options):
    trial = json.loads(border.run("call", "--seconds", "0.5", "--json", *options).stdout)
    assert trial["verdict"] == "two-way audio", trial
    for direction in trial["directions"]:
        assert direction["sent"] == 25
        assert direction["lost"] <= 1  # the first may meet a port that is just being planned
        assert direction["strange_sources"] == 0


def test_a_call_is_listed_shown_and_ended_and_the_test_says_who_ended_it(border):
    with ThreadPoolExecutor() as pool:
        calling = pool.submit(border.run, "call", "--seconds", "8")
        until(lambda: border.calls() and border.calls()[0]["state"] == "up", 5, "a call")
        [listed] = border.query("calls")
        shown = border.query("calls", listed["call"][:12])
        assert shown["legs"]["a"]["trunk"] == "pbx"
        assert border.query("relay")["workers"][0]["calls"] == 1
        time.sleep(0.3)
        assert border.query("hangup", listed["call"]) == {"ended": [listed["call"]]}
        done: subprocess.CompletedProcess[str] = calling.result(10)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[-2].startswith("  the border hung up after ")
    assert lines[-1] == "no whole call"
    until(lambda: border.query("calls") == [], 5, "no calls")


def test_doctor_finds_its_own_border_and_disturbs_nothing(border):
    done = border.run("doctor")
    assert "held by this border" in done.stdout
    assert "fail" not in done.stdout, done.stdout
    assert done.returncode == 0


def test_a_second_pool_is_refused_in_words(border):
    done = border.run("relay", "run")
    assert done.returncode != 0
    assert "already running" in done.stdout + done.stderr


@pytest.mark.parametrize("transport", ["tcp", "auto"])
def test_a_trunk_that_is_called_over_tcp(tmp_path, transport):
    shape = Shape(
        inside="127.0.37.1",
        outside="127.0.38.1",
        inside_peer="127.0.37.10:5060",
        outside_peer="127.0.38.10:5060",
        inside_sources=("127.0.37.0/24",),
        outside_sources=("127.0.38.0/24",),
        inside_ports="12400-12499",
        outside_ports="12500-12599",
        outside_trunk={"transport": transport},
    )
    with Border(tmp_path, shape) as running:
        trial = json.loads(running.run("call", "--seconds", "0.3", "--json").stdout)
        assert trial["verdict"] == "two-way audio", trial
