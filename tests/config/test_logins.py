"""Users, realms that ask for them, and secrets: read, checked, and shown to nobody."""

from __future__ import annotations

import pytest

from policies.users import AuthStatus, Binding, HashName
from sbc.config.edit import edit
from sbc.config.load import check_text
from sbc.config.masking import masked, masked_pair
from sbc.config.paths import set_at
from sbc.config.secrets import secrets_in, shown
from sbc.config.source import parse
from tests.config.files import GOOD, HOST
from tests.support.digest import digest

MD5 = digest("MD5", "bob", "sip.example.com", "geheim")
SHA = digest("SHA-256", "bob", "sip.example.com", "geheim")
SHA512 = digest("SHA-512-256", "bob", "sip.example.com", "geheim")
AUTH = "auth: { challenge: required, realm: sip.example.com }"
PBX = 'pbx:     { realm: inside,  peers: ["10.0.0.20:5060"] }'


def text(users: str = "", auth: str = AUTH, carrier: str = "") -> str:
    """The good file with users, and something more in its two trunks."""
    changed = GOOD.replace(PBX, PBX[:-2] + f", {auth} }}" if auth else PBX)
    if carrier:
        changed = changed.replace("limits: { calls: 200, cps: 20 }", carrier)
    return changed + (f"users:\n{users}" if users else "")


def check(written: str, folder: object = "."):
    return check_text(written, f"{folder}/sbc.yaml", HOST)


def errors(written: str, folder: object = ".") -> list[str]:
    """Without the file's name."""
    return [str(one).partition("sbc.yaml:")[2] for one in check(written, folder).errors]


def notes(written: str, folder: object = ".") -> list[str]:
    return [str(one).partition("sbc.yaml:")[2] for one in check(written, folder).notes]


@pytest.fixture
def secret(tmp_path):
    """A folder with a password that only its owner can read."""
    (tmp_path / "alice.secret").write_bytes(b"wonder land\r\n")
    (tmp_path / "alice.secret").chmod(0o600)
    return tmp_path


def test_a_user_and_a_realm_as_they_are_written(secret, monkeypatch) -> None:
    monkeypatch.setenv("CARRIER_PASSWORD", "open sesame")
    written = text(
        '  alice: { password: "file:alice.secret" }\n'
        f"  bob: {{ ha1: {{ md5: {MD5}, sha-256: {SHA.upper()} }}, trunk: pbx }}\n",
        "auth: { challenge: required, realm: sip.example.com, status: 407, nonce_lifetime: 1m,"
        " nonce_binds: source, in_dialog: true, attempts: 3, refusal: 404 }",
        "credentials: { user: border, password: env:CARRIER_PASSWORD, realm: carrier }",
    )
    checked = check(written, secret)
    assert checked.settings is not None, checked.errors
    alice, bob = checked.settings.policies.users
    assert alice.password is not None
    assert alice.password.value == b"wonder land"
    assert alice.trunks == ()
    assert {name: one.value.decode() for name, one in bob.ha1.items()} == {
        HashName.MD5: MD5,
        HashName.SHA_256: SHA,
    }
    assert bob.trunks == ("pbx",)
    pbx, carrier = checked.settings.policies.trunks
    assert pbx.auth is not None
    assert pbx.auth.algorithms == (HashName.SHA_256, HashName.MD5)  # what both can answer
    assert (pbx.auth.status, pbx.auth.nonce_lifetime_s) == (
        AuthStatus.PROXY_AUTHENTICATION_REQUIRED,
        60.0,
    )
    assert (pbx.auth.nonce_binds, pbx.auth.in_dialog) == (Binding.SOURCE, True)
    assert (pbx.auth.attempts, pbx.auth.refusal) == (3, 404)
    assert carrier.auth is None
    assert carrier.credentials is not None
    assert carrier.credentials.password is not None
    assert carrier.credentials.password.value == b"open sesame"
    assert carrier.credentials.realm == "carrier"
    assert checked.settings.unread_secrets == ()
    for one in ("wonder", "sesame", MD5, SHA):
        assert one not in repr(checked.settings)


@pytest.mark.parametrize(
    ("auth", "offered"),
    [
        (AUTH, ("sha-512-256", "sha-256", "md5")),
        (AUTH[:-1] + ", algorithms: [md5, sha-256] }", ("md5", "sha-256")),
        (AUTH[:-1] + ", single: true }", ("md5",)),
        (AUTH[:-1] + ", single: true, algorithms: [SHA-256, md5] }", ("sha-256",)),
    ],
)
def test_what_is_offered(auth: str, offered: tuple[str, ...], secret) -> None:
    checked = check(text('  alice: { password: "file:alice.secret" }\n', auth), secret)
    assert checked.settings is not None, checked.errors
    found = checked.settings.policies.trunks[0].auth
    assert found is not None
    assert tuple(one.value for one in found.algorithms) == offered


BOB = f"  bob: {{ ha1: {{ md5: {MD5} }} }}\n"


@pytest.mark.parametrize(
    ("written", "messages"),
    [
        (
            text(BOB, AUTH[:-1] + ", algorithms: [sha-256, md5] }"),
            [
                "trunks.pbx.auth.algorithms: expected algorithms that every user can answer, got"
                " sha-256, for which bob has no ha1 (sbc user set)"
            ],
        ),
        (
            text(BOB, "auth: { challenge: required }"),
            ["realm: expected a realm for its challenges"],
        ),
        (
            text("  bob: { trunk: pbx }\n"),
            ["users.bob: expected a password or ha1, got neither"],
        ),
        (text("  bob:\n"), ["users.bob: expected a password or ha1, got neither"]),
        (
            text(f"  bob: {{ ha1: {{ md5: {MD5} }}, trunk: nowhere }}\n"),
            ['users.bob.trunk: expected a trunk (carrier, pbx), got "nowhere"'],
        ),
        (
            text(f"  bob: {{ ha1: {{ md5: {MD5} }}, realm: old.example.com }}\n"),
            ['users.bob.realm: expected the realm of trunk pbx ("sip.example.com"), got "old.'],
        ),
        (
            text(BOB, carrier="auth: { challenge: required, realm: other }"),
            ["users.bob.trunk: expected trunks of one realm, for which ha1 was made, got"],
        ),
        (
            text("  bob: { password: 'file:none.secret' }\n"),
            ["users.bob.password: expected a secret in file:none.secret, got"],
        ),
        (
            text(carrier="credentials: { user: x }"),
            ["expected a password or ha1, got neither"],
        ),
        (
            text(carrier=f"credentials: {{ user: x, ha1: {{ md5: {MD5} }} }}"),
            ["trunks.carrier.credentials: expected the realm that ha1 was made for, got none"],
        ),
        (text(BOB, "auth: { challenge: yes }"), ["auth.challenge: expected off or required, got"]),
        (text(BOB, AUTH[:-1] + ", status: 403 }"), ["status: expected 401 or 407, got 403"]),
        (text(BOB, AUTH[:-1] + ", algorithms: sha1 }"), ["expected sha-512-256, sha-256 or md5"]),
        (text(BOB, AUTH[:-1] + ", qop: auth-conf }"), ["auth.qop: expected auth or auth-int, got"]),
        (text(BOB, AUTH[:-1] + ", nonce_binds: port }"), ["expected nothing or source, got"]),
        (
            text(BOB, "auth: { challenge: required, realm: 'a\"b' }"),
            ["expected a text of printable"],
        ),
        (
            text("  'b ob': { ha1: { md5: 1 } }\n"),
            ["expected a user name", "32 hexadecimal digits"],
        ),
        (text("  'b:ob': { password: env:X }\n"), ["expected a user name of printable ASCII"]),
    ],
)
def test_what_does_not_fit_is_said(written: str, messages: list[str]) -> None:
    found = errors(written)
    assert len(found) == len(messages), found
    assert all(message in line for message, line in zip(messages, found, strict=True)), found


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (text(), "trunks.pbx.auth: note: no user may call through this trunk (sbc user add)"),
        (text(BOB), "trunks.pbx.auth: note: sha-256 is not offered: bob has no ha1 for it"),
        (
            text(BOB, "auth: { challenge: off }"),
            "",
        ),
        (
            text(f"  bob: {{ ha1: {{ md5: {MD5} }}, trunk: carrier }}\n", ""),
            "users.bob.trunk: note: trunk carrier asks nobody for a password (auth.challenge)",
        ),
        (
            text("  bob: { password: env:SBC_NO_SUCH_SECRET }\n"),
            "users.bob.password: note: expected a secret in env:SBC_NO_SUCH_SECRET, got no variable"
            " SBC_NO_SUCH_SECRET in this environment",
        ),
    ],
)
def test_what_works_and_is_probably_not_meant_is_a_note(written: str, message: str) -> None:
    assert not errors(written)
    found = notes(written)
    assert any(message in line for line in found) if message else not found, found


def test_a_border_without_its_secrets_is_told_which(secret) -> None:
    checked = check(text("  bob: { password: env:SBC_NO_SUCH_SECRET }\n"))
    assert checked.settings is not None
    (line,) = checked.settings.unread_secrets
    assert line.startswith("users.bob.password: expected a secret in env:SBC_NO_SUCH_SECRET, got")
    (secret / "alice.secret").chmod(0o644)
    found = notes(text("  bob: { password: file:alice.secret }\n"), secret)
    assert any("everybody on this machine may read file:alice.secret" in line for line in found)


@pytest.mark.parametrize("data", [b"", b"\n", b"two\nlines\n", b"x" * 1025, b"nul\x00"])
def test_a_file_that_is_no_secret_is_refused_without_showing_it(tmp_path, data: bytes) -> None:
    (tmp_path / "s").write_bytes(data)
    (tmp_path / "s").chmod(0o600)
    (line,) = errors(text("  bob: { password: 'file:s' }\n"), tmp_path)
    assert "got something else in s" in line
    assert "lines" not in line


@pytest.mark.parametrize(
    "written",
    [
        text("  bob: { password: swordfish }\n"),
        text("  bob: { password: 'swordfish' }\n"),
        text("  bob: { password: [swordfish] }\n"),
        text("  bob: swordfish\n"),
        text("  bob: { ha1: swordfish }\n"),
        text("  bob: { ha1: { md5: swordfish } }\n"),
        text(carrier="credentials: swordfish"),
        text(carrier="credentials: { user: x, password: swordfish }"),
        text(carrier="credentials: { user: x, ha1: { sha-256: swordfish } }"),
    ],
)
def test_a_secret_in_the_wrong_place_is_not_shown(written: str) -> None:
    found = errors(written)
    assert found
    assert not any("swordfish" in line for line in found), found
    source = parse(written, "sbc.yaml")
    assert "swordfish" not in masked(source)
    assert "swordfish" not in str(shown(source.data))
    assert secrets_in(source.data) == {"swordfish"}


def test_a_masked_file_is_the_file_but_for_its_secrets() -> None:
    written = text(
        f"  bob: {{ ha1: {{ md5: {MD5}, sha-256: '{SHA}' }} }}   # hello\n"
        "  alice: { password: env:ALICE }\n"
    )
    seen = masked(parse(written, "sbc.yaml"))
    assert seen == written.replace(MD5, "*****").replace(f"'{SHA}'", "*****")
    assert (
        str(shown(parse(written, "x").data["users"]["bob"], ("users", "bob"))).count("*****") == 2
    )


def test_a_changed_secret_shows_in_a_diff_as_a_change_only(tmp_path) -> None:
    path = tmp_path / "sbc.yaml"
    path.write_text(text(f"  bob:\n    ha1:\n      md5: {MD5}\n"))
    other = digest("MD5", "bob", "sip.example.com", "other")

    def change(data, source) -> None:
        set_at(data, ("users", "bob", "ha1", "md5"), other, source)

    edited = edit(str(path), change)
    assert edited.written
    assert other in path.read_text()
    assert [line for line in edited.diff if line[:1] in "+-"][2:] == [
        "-      md5: *****",
        "+      md5: ***** (new)",
    ]
    assert masked_pair("a: [", "b: [", "x") == ("", "")
