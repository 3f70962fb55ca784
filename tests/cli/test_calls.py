"""`sbc calls` and `sbc hangup` against an administration socket that a test border serves."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner

from sbc.cli.app import app
from sbc.cli.output import duration, lines_of
from sbc.runtime.admin import Admin

FILE = """
realms:
  inside: {{ listen: "udp:127.0.32.1:5060", media: {{ address: 127.0.32.1, ports: 12000-12099 }} }}
trunks:
  pbx:     {{ realm: inside, peers: "127.0.32.10" }}
  carrier: {{ realm: inside, peers: "127.0.32.11" }}
routes:
  - {{ from: pbx, to: carrier }}
run_dir: {0}
state_dir: {0}
"""


class Border:
    def __init__(self) -> None:
        self.calls = {
            name: {
                "call": name,
                "from": "alice",
                "to": "100",
                "trunk_a": "pbx",
                "trunk_b": None,
                "state": "talking",
                "started_s": 1.0,
                "answered_s": None,
                "codecs": ["PCMU"],
            }
            for name in ("s00abc", "s00abd", "s00xyz")
        }

    def status(self):
        return {}

    def list_calls(self):
        return list(self.calls.values())

    async def describe(self, call_id):
        call = self.calls.get(call_id)
        return call and call | {"legs": {"a": {"trunk": "pbx", "nat": False}}}

    def hangup(self, call_id, now):
        return self.calls.pop(call_id, None) is not None


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "sbc.yaml"
    path.write_text(FILE.format(tmp_path))
    return str(path)


@contextmanager
def serving(config: str, border: Border):
    ready = threading.Event()
    stop: list[tuple[trio.lowlevel.TrioToken, trio.CancelScope]] = []

    async def main():
        async with trio.open_nursery() as nursery:
            path = str(Path(config).parent / "sbc.sock")
            await nursery.start(Admin().serve, path, border)
            stop.append((trio.lowlevel.current_trio_token(), nursery.cancel_scope))
            ready.set()

    thread = threading.Thread(target=trio.run, args=(main,))
    thread.start()
    try:
        assert ready.wait(5)
        yield
    finally:
        [(token, scope)] = stop
        token.run_sync_soon(scope.cancel)
        thread.join(5)


def run(config: str, *arguments: str):
    return CliRunner().invoke(app, ["--config", config, *arguments])


def test_calls_are_a_table_for_people_and_json_for_programs(config):
    with serving(config, Border()):
        lines = run(config, "calls").output.splitlines()
        assert lines[0].split() == ["call", "from", "to", "trunks", "state", "for", "codecs"]
        assert lines[1].startswith("s00abc  alice  100  pbx → -  talking")
        assert len(lines) == 4
        listed = json.loads(run(config, "calls", "--json").output)
        assert [one["call"] for one in listed] == ["s00abc", "s00abd", "s00xyz"]


def test_no_calls_is_a_sentence_and_an_empty_list(config):
    border = Border()
    border.calls.clear()
    with serving(config, border):
        assert run(config, "calls").output == "no calls\n"
        assert run(config, "calls", "--json").output == "[]\n"


@pytest.mark.parametrize("wanted", ["s00xyz", "s00x", "xyz"])
def test_one_call_is_found_by_either_end_of_its_name(config, wanted):
    with serving(config, Border()):
        shown = json.loads(run(config, "calls", wanted, "--json").output)
        assert shown["call"] == "s00xyz"
        text = run(config, "calls", wanted).output
        assert "legs\n  a\n    trunk  pbx\n    nat    no\n" in text


@pytest.mark.parametrize(
    ("wanted", "said"),
    [("nothing", "nothing: no such call"), ("s00ab", "s00ab: 2 calls begin or end so")],
)
def test_a_name_that_is_not_one_call_is_said(config, wanted, said):
    with serving(config, Border()):
        result = run(config, "calls", wanted)
        assert result.exit_code == 1
        assert result.output.startswith(said)


def test_hangup_ends_one_or_all(config):
    border = Border()
    with serving(config, border):
        assert run(config, "hangup", "xyz").output == "s00xyz: ended\n"
        assert list(border.calls) == ["s00abc", "s00abd"]
        assert run(config, "hangup", "--all").output == "ended 2 calls\n"
        assert border.calls == {}
        assert json.loads(run(config, "hangup", "--all", "--json").output) == {"ended": []}


@pytest.mark.parametrize("arguments", [[], ["x", "--all"]])
def test_hangup_wants_one_of_call_and_all(config, arguments):
    result = run(config, "hangup", *arguments)
    assert result.exit_code == 2
    assert result.output == "expected CALL or --all, one of them\n"


@pytest.mark.parametrize("command", [["calls"], ["hangup", "--all"]])
def test_without_a_border_one_line_says_where_it_was_looked_for(config, command):
    result = run(config, *command)
    assert result.exit_code == 1
    path = Path(config).parent / "sbc.sock"
    assert result.output == f"{path}: no border is running here (sbc run)\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0s"), (4.9, "4s"), (205, "3:25"), (3723, "1:02:03")]
)
def test_durations_are_short(seconds, text):
    assert duration(seconds) == text


def test_plain_values_read_well():
    lines = lines_of({"a": None, "bb": True, "c": [], "d": ["x", 1], "e": {"f": 2}})
    assert lines == ["a   -", "bb  yes", "c   -", "d   x, 1", "e", "  f  2"]


def test_the_media_of_a_call_is_a_table(config):
    border = Border()
    border.calls["s00abc"]["streams"] = [
        {
            "side": "a",
            "kind": "audio",
            "packets": 500,
            "loss": 0.0123,
            "jitter_ms": 2.5,
            "burst_ms": 40.0,
            "rtt_ms": None,
            "mos": 4.31,
            "dropped_by": {"policed": 12, "held": 3},
        }
    ]
    with serving(config, border):
        shown = CliRunner().invoke(app, ["calls", "s00abc", "--config", config])
    head, figures = shown.output.splitlines()[-2:]
    assert head.split()[:4] == ["from", "kind", "packets", "loss"]
    assert (
        " ".join(figures.split()) == "a audio 500 1.23 % 2.5 40.0 - - - - 4.31 - policed 12, held 3"
    )
