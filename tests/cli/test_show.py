"""A change of the file is not yet one of the border that runs: the commands say so."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sbc.cli.app import app
from tests.cli.test_calls import FILE

SET = ("config", "set", "log.level", "debug")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "sbc.yaml"
    path.write_text(FILE.format(tmp_path))
    return path


@contextmanager
def listening(folder: Path) -> Iterator[None]:
    """A socket where a border's would be. It says nothing: to connect is enough."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "sbc.sock"))
        listener.listen()
        yield


def sbc(config: Path, *words: str) -> Result:
    result = CliRunner().invoke(app, ["--config", str(config), *words], input="secret\n")
    assert result.exit_code == 0, result.output
    return result


def note(config: Path) -> str:
    return f"{config}: the running border goes on with the old file; restart it to use this one\n"


@pytest.mark.parametrize(
    "words",
    [
        ("trunk", "set", "carrier", "--calls", "9"),
        ("trunk", "add", "new", "--realm", "inside", "--peer", "127.0.32.12"),
        ("trunk", "remove", "carrier", "--with-routes"),
        ("route", "add", "--from", "carrier", "--to", "pbx"),
        ("route", "remove", "1"),
        ("user", "add", "alice", "--realm", "sip.example.com", "--password-file", "-"),
        SET,
        ("config", "unset", "log"),
    ],
    ids=" ".join,
)
def test_a_change_under_a_running_border_is_said_to_need_a_restart(
    config: Path, words: tuple[str, ...]
) -> None:
    config.write_text(f"{config.read_text()}log: {{ level: info }}\n")
    with listening(config.parent):
        result = sbc(config, *words)
    assert result.stdout.startswith(f"--- {config} (before)")
    assert "running border" not in result.stdout
    assert result.stderr.endswith(note(config))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*SET, "--dry-run"), "not written (dry run)"),
        (("trunk", "set", "pbx", "--realm", "inside"), "already so"),
    ],
    ids=["dry run", "already so"],
)
def test_what_writes_nothing_needs_no_restart(
    config: Path, words: tuple[str, ...], said: str
) -> None:
    with listening(config.parent):
        assert sbc(config, *words).stderr == f"{config}: {said}\n"


def test_without_a_border_nothing_is_said(config: Path) -> None:
    assert sbc(config, *SET).stderr == ""
    with listening(config.parent):
        pass
    assert (config.parent / "sbc.sock").exists()  # left behind by one that was killed
    assert sbc(config, *SET[:-1], "error").stderr == ""


def test_a_border_is_looked_for_where_it_was_started(config: Path, tmp_path: Path) -> None:
    """Where `run_dir` itself is changed, that is the folder of the old file."""
    with listening(config.parent):
        result = sbc(config, "config", "set", "run_dir", str(tmp_path / "elsewhere"))
    assert result.stderr == note(config)


def test_a_file_that_was_not_in_order_is_no_obstacle(config: Path) -> None:
    config.write_text(f"{config.read_text()}log: {{ level: loud }}\n")
    with listening(config.parent):
        assert sbc(config, *SET).stderr == note(config)
