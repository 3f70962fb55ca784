"""Users by commands: hashes go into the file, a password nowhere."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from policies.users import HashName
from sbc.cli.app import app
from sbc.config.load import load
from tests.support.digest import digest

WORD = "correct horse: battery staple"


def sbc(*words, code=0, typed=None):
    """Run a command; all that it printed."""
    result = CliRunner().invoke(app, list(words), prog_name="sbc", input=typed)
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    assert WORD not in result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.fixture
def border(tmp_path, monkeypatch):
    """A border with phones that have to prove who they are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SBC_CONFIG", raising=False)
    monkeypatch.setattr("sbc.cli.options._PLACES", ("sbc.yaml",))
    sbc("init", "--inside", "127.0.0.1", "--outside", "127.0.0.2")
    sbc("trunk", "add", "phones", "--realm", "inside", "--source", "127.1.0.0/16")
    sbc("trunk", "add", "carrier", "--realm", "outside", "--peer", "127.2.0.9")
    sbc("config", "set", "trunks.phones.auth", "{ challenge: required, realm: sip.example.com }")
    return tmp_path / "sbc.yaml"


def test_a_user_is_added_with_a_password_that_is_typed_and_stored_as_hashes(border):
    shown = sbc("user", "add", "alice", "--trunk", "phones", typed=f"{WORD}\n{WORD}\n")
    (alice,) = load(str(border)).policies.users
    assert alice.trunks == ("phones",)
    assert alice.password is None
    for name, algorithm in (("md5", "MD5"), ("sha-256", "SHA-256"), ("sha-512-256", "SHA-512-256")):
        made = digest(algorithm, "alice", "sip.example.com", WORD)
        assert alice.ha1[HashName(name)].value.decode() == made
        assert made not in shown
        assert made in border.read_text()
        assert made not in sbc("config", "show")
        assert made not in sbc("config", "show", "--all", "--json")
        assert sbc("config", "get", f"users.alice.ha1.{name}") == "*****\n"
    assert WORD not in border.read_text()
    assert "realm: sip.example.com" in border.read_text()


def test_a_password_from_a_file_or_standard_input(border, tmp_path):
    (tmp_path / "word").write_text(f"{WORD}\r\nand more\n")
    sbc("user", "add", "alice", "--password-file", "word")
    sbc("user", "add", "b.ob+2@home", "--password-file", "-", typed=f"{WORD}\n")
    alice, bob = load(str(border)).policies.users
    for user in (alice, bob):
        made = digest("MD5", user.name, "sip.example.com", WORD)
        assert user.ha1[HashName.MD5].value.decode() == made


def test_a_reference_is_stored_as_it_is(border, monkeypatch):
    monkeypatch.setenv("ALICE", WORD)
    sbc("user", "add", "alice", "--reference", "env:ALICE")
    (alice,) = load(str(border)).policies.users
    assert alice.password is not None
    assert alice.password.value.decode() == WORD
    assert "env:ALICE" in sbc("config", "show")
    sbc("user", "set", "alice", "--password-file", "-", typed="other\n")
    assert "env:ALICE" not in border.read_text()
    sbc("user", "set", "alice", "--reference", "env:ALICE")
    assert "ha1" not in border.read_text()
    assert "sip.example.com" not in str(load(str(border)).policies.users)


def test_a_password_is_changed_and_the_diff_says_no_more_than_that(border):
    sbc("user", "add", "alice", "--password-file", "-", typed="old\n")
    shown = sbc("user", "set", "alice", "--password-file", "-", typed=f"{WORD}\n")
    assert "***** (new)" in shown
    (alice,) = load(str(border)).policies.users
    made = digest("MD5", "alice", "sip.example.com", WORD)
    assert alice.ha1[HashName.MD5].value.decode() == made


def test_trunks_are_changed_without_asking_for_a_password(border):
    sbc("user", "add", "alice", "--password-file", "-", typed=f"{WORD}\n")
    before = load(str(border)).policies.users[0]
    sbc("user", "set", "alice", "--trunk", "phones")
    after = load(str(border)).policies.users[0]
    assert after.trunks == ("phones",)
    assert after.ha1 == before.ha1


def test_users_are_listed_and_removed(border):
    sbc("user", "add", "alice", "--password-file", "-", typed=f"{WORD}\n")
    assert sbc("user", "list").splitlines() == [
        "NAME   TRUNKS  ALGORITHMS",
        "alice  phones  sha-512-256 sha-256 md5",
    ]
    assert json.loads(sbc("user", "list", "--json")) == [
        {
            "name": "alice",
            "trunks": ["phones"],
            "algorithms": ["sha-512-256", "sha-256", "md5"],
            "stored": "hashes",
        }
    ]
    sbc("user", "remove", "alice")
    assert load(str(border)).policies.users == ()
    assert "alice" not in border.read_text()


@pytest.mark.parametrize(
    ("words", "typed", "message"),
    [
        (["add", "al ice", "--password-file", "-"], "x\n", "expected a user name of printable"),
        (["add", "bob", "--password-file", "-"], "x\n", "users.bob: is there already"),
        (["set", "eve", "--password-file", "-"], "x\n", 'expected a user (bob), got "eve"'),
        (["remove", "eve"], None, 'expected a user (bob), got "eve"'),
        (["add", "eve", "--password-file", "-"], "\n", "expected a password of 1 to 1024 bytes"),
        (["add", "eve", "--password-file", "none"], None, "none: cannot be read: No such file"),
        (["add", "eve", "--reference", "secret"], None, "got something else"),
        (["add", "eve", "--trunk", "nowhere", "--password-file", "-"], "x\n", "got none"),
        (
            ["add", "eve", "--reference", "env:X", "--password-file", "-"],
            "x\n",
            "expected --password-file or --reference, got both",
        ),
        (["add", "eve", "--realm", "other", "--password-file", "-"], "x\n", "users.eve.realm"),
    ],
)
def test_what_cannot_be_done_changes_nothing(border, words, typed, message):
    sbc("user", "add", "bob", "--password-file", "-", typed="geheim\n")
    before = border.read_text()
    assert message in sbc("user", *words, code=2, typed=typed)
    assert border.read_text() == before


def test_a_password_that_is_typed_differently_the_second_time_is_asked_for_again(border):
    said = sbc("user", "add", "eve", typed=f"{WORD}\nno\n{WORD}\n{WORD}\n")
    assert "do not match" in said
    assert load(str(border)).policies.users[0].name == "eve"


def test_a_trial_writes_nothing(border):
    before = border.read_text()
    sbc("user", "add", "eve", "--password-file", "-", "--dry-run", typed="geheim\n")
    assert border.read_text() == before


@pytest.mark.parametrize("words", [[], ["add"], ["set"], ["remove"], ["list"]])
def test_help(words):
    said = sbc("user", *words, "--help")
    assert "Usage: sbc user" in said
