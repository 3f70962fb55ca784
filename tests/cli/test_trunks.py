"""`sbc trunks` and `sbc reload certificates`: what a running border says, as it is shown."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from sbc.cli.admin_client import AdminClient
from sbc.cli.app import app
from tests.config.files import GOOD

STATUS = {
    "trunks": {"pbx": 3, "carrier": 0},
    "peers": [
        {
            "trunk": "carrier",
            "peer": "sip.carrier.example",
            "address": "tls:192.0.2.7:5061",
            "state": "out",
            "for_s": 42.4,
            "reason": "answered 503",
        },
        {
            "trunk": "carrier",
            "peer": "sip.carrier.example",
            "address": "tls:192.0.2.8:5061",
            "state": "unknown",
            "for_s": None,
            "reason": "",
        },
    ],
}


@pytest.fixture
def told(tmp_path, monkeypatch):
    """A configuration, and a border that says what the test puts here."""
    config = tmp_path / "sbc.yaml"
    config.write_text(GOOD)
    answers = {"status": STATUS, "reload": {"good": True, "text": "certificates: read anew"}}
    monkeypatch.setattr(AdminClient, "__init__", lambda self, *_: None)
    monkeypatch.setattr(AdminClient, "__enter__", lambda self: self)
    monkeypatch.setattr(AdminClient, "__exit__", lambda self, *_: None)
    monkeypatch.setattr(AdminClient, "status", lambda self: answers["status"])
    monkeypatch.setattr(AdminClient, "reload_certificates", lambda self: answers["reload"])

    def run(*words: str):
        return CliRunner().invoke(app, [*words, "--config", str(config)])

    run.answers = answers
    return run


def test_trunks_are_listed_with_the_state_of_their_peers(told) -> None:
    shown = told("trunks")
    assert shown.exit_code == 0
    assert [line.split() for line in shown.output.splitlines()] == [
        ["NAME", "CALLS", "PEER", "STATE", "SINCE"],
        ["pbx", "3", "-", "-", "-"],
        ["carrier", "0", "tls:192.0.2.7:5061", "out", "42", "s", "(answered", "503)"],
        ["tls:192.0.2.8:5061", "unknown", "-"],
    ]
    as_json = json.loads(told("trunks", "--json").output)
    assert [one["trunk"] for one in as_json] == ["pbx", "carrier"]
    assert [one["state"] for one in as_json[1]["peers"]] == ["out", "unknown"]


def test_a_reload_says_what_came_of_it(told) -> None:
    done = told("reload", "certificates")
    assert (done.exit_code, done.output) == (0, "certificates: read anew\n")
    told.answers["reload"] = {"good": False, "text": "now.key: expected a private key"}
    failed = told("reload", "certificates")
    assert failed.exit_code == 1
    assert "now.key: expected a private key" in failed.output
    assert json.loads(told("reload", "certificates", "--json").output)["good"] is False
