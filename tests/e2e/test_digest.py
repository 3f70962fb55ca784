"""Passwords, both ways: SIPp and baresip prove who they are, and SIPp asks the border.

SIPp and baresip 1.0 know MD5 alone; baresip gives a call up that is offered another hash beside it,
which is what `single` is for. The stronger hashes are left to a telephone of our own.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.phone import Call, Phone
from tests.e2e.ways import Way, both_ways, mirrored, play, scenario
from tests.support.baresip import Baresip
from tests.support.border import Border, Shape, until
from tests.support.digest import answer, digest, expected, params

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

REALM = "sip.example.com"
WORD = "wonderland"


@pytest.fixture(scope="module")
def shape(tmp_path_factory: pytest.TempPathFactory) -> Shape:
    """On each side, who calls from trunk 0 has to prove who it is; trunk 1 asks us."""
    secret = tmp_path_factory.mktemp("secret") / "carrier"
    secret.write_text("sesame\n")
    secret.chmod(0o600)
    names = {"md5": "MD5", "sha-256": "SHA-256", "sha-512-256": "SHA-512-256"}
    ha1 = {key: digest(name, "alice", REALM, WORD) for key, name in names.items()}
    auth = {"challenge": "required", "realm": REALM, "single": True, "attempts": 3}
    trunks: dict[str, dict[str, Any]] = {
        "0": {"auth": auth, "nat": "always", "latch": "any"},
        "1": {"credentials": {"user": "border", "password": f"file:{secret}"}},
    }
    alice = {"ha1": ha1, "realm": REALM, "trunk": ["inside0", "outside0"]}
    return mirrored(trunks, users={"alice": alice})


@both_ways
def test_a_caller_proves_who_it_is_and_we_prove_it_to_the_called_side(
    border: Border, tmp_path: Path, way: Way
) -> None:
    before, counted = len(border.cdrs()), border.status()["counters"]
    play(
        way,
        tmp_path,
        scenario("uac_digest"),
        scenario("uas_digest"),
        calls=3,
        digits=("0", "1"),
        pause_ms=50,
        extra=["-auth_uri", f"100@{way.here}.1:5060"],
    )
    until(lambda: len(border.cdrs()) >= before + 3, 3, "three records")
    assert {one["user"] for one in border.cdrs()[before:]} == {"alice"}
    counters = border.status()["counters"]
    for name in ("authenticated", "credentials_given"):
        assert counters[name] >= counted.get(name, 0) + 3


@both_ways
def test_the_called_side_calls_back_without_a_password(border: Border, way: Way) -> None:
    """A trunk that asks nobody, beside one that does."""
    with ExitStack() as stack:
        calling, target = way.phones(stack, "1", "0")
        a_leg = calling.invite("000")
        b_leg = target.answering()
        b_leg.respond(486)
        a_leg.expect(486)
        a_leg.ack(a_leg.branch)


def proves(phone: Phone, user: str, word: str) -> Call:
    """Calls 100, and once more with an answer to the challenge that the border makes."""
    a_leg = phone.invite()
    refusal = a_leg.expect(401)
    a_leg.ack(a_leg.branch)
    (offered,) = refusal.every("www-authenticate")
    uri = f"sip:100@{phone.border[0]}"
    value = answer(offered.encode(), user, word, "INVITE", uri)
    return phone.invite(headers=f"Authorization: {value}\r\n")


@both_ways
def test_the_stronger_hash(border: Border, way: Way) -> None:
    """Offered MD5 and SHA-256, we answer SHA-256; no credentials and no challenge crosses."""
    with ExitStack() as stack:
        calling, target = way.phones(stack, "0", "1")
        a_leg = proves(calling, "alice", WORD)
        b_leg = target.answering()
        assert b_leg.invite is not None
        assert not b_leg.invite.first("authorization")
        asked = f'WWW-Authenticate: Digest realm="{way.other}", nonce="n", algorithm='
        lines = f'{asked}MD5, qop="auth"\r\n{asked}SHA-256, qop="auth"\r\n'
        b_leg.respond(401, headers=lines)
        second = target.answering()
        assert second.invite is not None
        given = params(second.invite.first("authorization"))
        assert given["algorithm"] == "SHA-256"
        assert given["response"] == expected(given, "sesame", "INVITE")
        second.respond(486)
        a_leg.expect(486)
        a_leg.ack(a_leg.branch)


@both_ways
def test_baresip_with_an_account_calls(border: Border, tmp_path: Path, way: Way) -> None:
    with (
        Phone((f"{way.there}.11", 5060), way.other, (f"{way.there}.1", 5060)) as target,
        Baresip(
            tmp_path / "phone",
            (f"{way.here}.10", 5060),
            user="alice",
            domain=f"{way.mark}.example",
            proxy=(f"{way.here}.1", 5060),
            codec="PCMU",
            tone_hz=440,
            password=WORD,
        ) as phone,
    ):
        before = len(border.cdrs())
        phone.call(f"sip:100@{way.here}.1")
        b_leg = target.answering()
        b_leg.answer()
        phone.await_log("established")
        phone.hang_up()
        b_leg.hung_up()
    until(lambda: len(border.cdrs()) > before, 3, "a record")
    assert border.cdrs()[-1]["user"] == "alice"


@both_ways
def test_a_wrong_password_is_refused_in_the_end(border: Border, way: Way) -> None:
    with ExitStack() as stack:
        calling, _ = way.phones(stack)

        def guess() -> int:
            a_leg = proves(calling, "eve", "guess")
            status = a_leg.expect(lambda one: one.status >= 400).status
            a_leg.ack(a_leg.branch)
            return status

        assert [guess() for _ in range(4)] == [401, 401, 401, 403]
        side = way.mark.removesuffix("mark")
        line = f"auth.refused trunk={side}0 source={calling.address[0]} "
        # No more than one such line a second: the other way's may have been the last.
        until(lambda: guess() == 403 and line in border.log.read_text(), 3, "a line in the log")
        assert guess() == 403
    text = border.log.read_text()
    assert text.count(line) == 1
    assert "sesame" not in text
    assert WORD not in text
