"""The documentation says what the code does: pages made from it are current, commands exist."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path

import pytest
from click.testing import CliRunner

from relay.control import messages
from relay.control.messages import ErrorCode, Event, Method
from sbc.cli.app import app
from sbc.runtime.admin_methods import AdminMethod
from tests.support.certificates import Authority

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PROTOCOL = (ROOT / "docs" / "control-protocol.md").read_text(encoding="utf-8")
PAGES = [
    README,
    ROOT / "CHANGELOG.md",
    ROOT / "deploy" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
UNITS = sorted((ROOT / "deploy").glob("*.service"))


def made_by(script: str):
    """A script of docs/ as a module."""
    path = ROOT / "docs" / script
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("script", ["draw_state_machines.py", "list_configuration.py"])
def test_what_is_made_from_the_code_is_current(script) -> None:
    module = made_by(script)
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "run: make docs"


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Fenced blocks of a page: language and text."""
    yield from re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.M)


def commands(page: Path) -> Iterator[str]:
    """The commands that a page shows: lines of `sh` blocks, lines after `$` in `console` blocks."""
    for language, text in blocks(page):
        for line in text.splitlines():
            command = line.partition("  #")[0].strip()
            if language == "console":
                command = command.removeprefix("$ ") if command.startswith("$ ") else ""
            if command and language in ("sh", "console") and not command.startswith("#"):
                yield command
    for command in re.findall(r"`((?:sbc|make|python -m) [^`\n]*)`", page.read_text("utf-8")):
        yield command


def every_command() -> list[tuple[str, str]]:
    return sorted({(str(page.relative_to(ROOT)), one) for page in PAGES for one in commands(page)})


def words_of(command: str) -> list[str]:
    """A command without what a shell does around it; placeholders stand for something real."""
    command = re.split(r" [|&>]|;", command)[0].replace("…", "")
    words = shlex.split(command)
    while words and (words[0] == "sudo" or "=" in words[0]):
        del words[0]
    return words


@pytest.mark.parametrize(("page", "command"), every_command())
def test_every_command_that_is_shown_exists(page, command) -> None:
    words = words_of(command)
    program, arguments = Path(words[0]).name, words[1:]
    if program == "sbc":
        if any(word in ("-h", "--help", "--version") for word in arguments):
            return
        result = CliRunner().invoke(app, [*arguments, "--help"])
        assert result.exit_code == 0, result.output
    elif program == "make":
        makefile = (ROOT / "Makefile").read_text("utf-8")
        for target in arguments:
            name = target.replace(".venv/", "$(VENV)/")
            assert "=" in target or re.search(rf"^{re.escape(name)}:", makefile, re.M), target
    elif program.startswith("python") and arguments[0] == "-m":
        assert importlib.util.find_spec(arguments[1]) is not None
    elif program == "python":
        assert (ROOT / arguments[0]).is_file()
    else:
        assert program in KNOWN, command


KNOWN = {
    "sysctl",
    "pip",
    "cd",
    "git",
    "mkdir",
    "kill",
    "jq",
    "systemctl",
    "cp",
    "install",
    "useradd",
    "apt",
    "tail",
}
"""Programs of others."""


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_every_command_of_a_unit_exists(unit) -> None:
    found = re.findall(r"^Exec\w+=.*?/opt/sbc/bin/sbc ([a-z ]+)", unit.read_text("utf-8"), re.M)
    assert found
    for arguments in found:
        result = CliRunner().invoke(app, [*arguments.split(), "--help"])
        assert result.exit_code == 0, result.output


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8")):
        if "://" not in target and target != "benchmarks/results":  # made by the first run
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_of_ours_that_is_named_is_there(page) -> None:
    pattern = r"`((?:sbc|relay|policies|tests|benchmarks|docs|examples|deploy)/[\w./-]*)`"
    for name in re.findall(pattern, page.read_text("utf-8")):
        assert (ROOT / name).exists(), name


def test_every_configuration_of_the_readme_is_good(tmp_path) -> None:
    shown = [text for language, text in blocks(README) if language == "yaml"]
    assert shown
    for text in shown:
        path = tmp_path / "sbc.yaml"
        path.write_text(text, "utf-8")
        result = CliRunner().invoke(app, ["check", str(path)])
        assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name
)
def test_every_example_is_good(path, tmp_path, monkeypatch) -> None:
    """As an operator has it, who has put the files and the password that it names in place."""
    Authority(tmp_path).issue("border", "border.example")
    monkeypatch.setenv("CARRIER_PASSWORD", "secret")
    own = tmp_path / path.name
    own.write_text(path.read_text("utf-8").replace("/etc/sbc/", f"{tmp_path}/"), "utf-8")
    result = CliRunner().invoke(app, ["check", str(own)])
    assert result.exit_code == 0, result.output
    assert "note" not in result.output


BASE = """\
realms:
  inside:
    listen:
      - { bind: "tls:10.0.0.5:5061", tls: { certificate: sip.pem, client: optional } }
      - "udp:10.0.0.5:5060"
      - "tcp:10.0.0.5:5060"
    tls: { certificate: sip.pem }
    media: [{ address: 10.0.0.5, ports: 12000-21999 }]
  outside: { listen: "udp:192.0.2.10:5060", media: { address: 192.0.2.10, ports: 22000-31999 } }
trunks:
  pbx:
    realm: inside
    peers: [{ address: 10.0.0.30 }]
    tls: { name: pbx.example, certificate: sip.pem }
    auth: { challenge: required, realm: sip.example.com }
    credentials: { user: border, password: env:PBX_PASSWORD, realm: pbx }
  carrier: { realm: outside, peers: 198.51.100.7 }
  second-carrier: { realm: outside, peers: 198.51.100.8 }
routes:
  - { from: pbx, to: carrier }
users:
  NAME: { password: env:ALICE_PASSWORD }
"""


@pytest.mark.parametrize(("key", "value"), made_by("list_configuration.py").EXAMPLES.items())
def test_every_key_can_be_set_to_its_example(tmp_path, key, value) -> None:
    path = tmp_path / "sbc.yaml"
    path.write_text(BASE, "utf-8")
    for general, one in (
        ("realms.NAME", "realms.inside"),
        ("trunks.NAME.challenges", "trunks.carrier.challenges"),  # we answer those of pbx
        ("trunks.NAME", "trunks.pbx"),
        ("[N]", "[1]"),
    ):
        key = key.replace(general, one)
    result = CliRunner().invoke(app, ["config", "set", key, value, "--config", str(path)])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("numbers", "title"),
    [
        (Method, "Methods of a worker"),
        (Event, "Events of a worker"),
        (ErrorCode, "Errors of a worker"),
        (AdminMethod, "Methods of the border"),
    ],
)
def test_the_protocols_numbers_are_listed(numbers: type[IntEnum], title) -> None:
    section = PROTOCOL.partition(f"## {title}\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| (\d+) \| (\w+) \|", section, re.M)
    assert listed == [(str(int(one)), one.name) for one in numbers]


def test_the_protocols_bodies_are_listed() -> None:
    section = PROTOCOL.partition("## Bodies\n")[2].partition("\n## ")[0]
    listed = dict(re.findall(r"^\| ([A-Z]\w+) \| (.*) \|$", section, re.M))
    bodies = {
        name: ", ".join(f"`{field.name}`" for field in dataclasses.fields(value))
        for name, value in vars(messages).items()
        if name in messages.__all__ and dataclasses.is_dataclass(value)
    }
    assert listed == bodies


def test_the_handoffs_messages_are_listed() -> None:
    section = PROTOCOL.partition("## Handoff\n")[2].partition("\n## ")[0]
    listed = set(re.findall(r"^\| (?:worker|supervisor) \| `(\w+)` \|", section, re.M))
    said = set[str]()
    for name in ("handoff", "pool", "slot", "adoption", "port_blocks"):
        text = (ROOT / "relay" / f"{name}.py").read_text("utf-8")
        said |= set(re.findall(r'"t": "(\w+)"', text))
    assert listed == said


def test_every_rfc_of_the_readme_is_cited_in_the_code() -> None:
    code = "\n".join(
        path.read_text("utf-8")
        for package in ("sbc", "relay", "policies")
        for path in (ROOT / package).rglob("*.py")
    )
    table = README.read_text("utf-8").partition("## Standards")[2].partition("\n## ")[0]
    named = set(re.findall(r"RFC (\d+)", table))
    assert named
    assert not {one for one in named if f"RFC {one}" not in code}
