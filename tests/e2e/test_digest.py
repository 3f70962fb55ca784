"""Passwords, both ways: SIPp and baresip prove who they are, and SIPp asks the border.

SIPp and baresip 1.0 know MD5 alone; baresip gives a call up that is offered another hash beside it,
which is what `single` is for. The stronger hashes are left to a telephone of our own.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.phone import Phone
from tests.e2e.sides import INSIDE, OUTSIDE, Pair
from tests.support.baresip import Baresip
from tests.support.border import Border, Shape, until
from tests.support.digest import answer, digest, expected, params

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

REALM = "sip.example.com"
WORD = "wonderland"


@pytest.fixture(scope="module")
def shape(tmp_path_factory: pytest.TempPathFactory) -> Shape:
    """Inside has to prove who calls; outside asks us."""
    secret = tmp_path_factory.mktemp("secret") / "carrier"
    secret.write_text("sesame\n")
    secret.chmod(0o600)
    names = {"md5": "MD5", "sha-256": "SHA-256", "sha-512-256": "SHA-512-256"}
    ha1 = {key: digest(name, "alice", REALM, WORD) for key, name in names.items()}
    auth = {"challenge": "required", "realm": REALM, "single": True}
    return Shape(
        inside_trunk={"auth": {**auth, "attempts": 3}, "nat": "always", "latch": "any"},
        outside_trunk={"credentials": {"user": "border", "password": f"file:{secret}"}},
        further={"users": {"alice": {"ha1": ha1, "realm": REALM, "trunk": "pbx"}}},
    )


def test_a_caller_proves_who_it_is_and_we_prove_it_to_the_called_side(
    border: Border, pair: Pair
) -> None:
    with (
        pair.called("uas_digest", calls=3, timeout_s=20) as called,
        pair.caller(
            "uac_digest", calls=3, extra=["-auth_uri", "100@127.0.1.1:5060"], timeout_s=20
        ) as caller,
    ):
        calling, answering = caller.wait(), called.wait()
    assert (calling.successful, calling.failed) == (3, 0), caller.error_text()
    assert (answering.successful, answering.failed) == (3, 0), called.error_text()
    until(lambda: len(border.cdrs()) >= 3, 3, "three records")
    assert {one["user"] for one in border.cdrs()[-3:]} == {"alice"}
    counters = border.status()["counters"]
    assert counters["authenticated"] >= 3
    assert counters["credentials_given"] >= 3


def test_the_called_side_calls_back_without_a_password(border: Border, pair: Pair) -> None:
    """A trunk that asks nobody, beside one that does."""
    with (
        Phone(("127.0.1.10", 5060), INSIDE, ("127.0.1.1", 5060)) as inside,
        Phone(("127.0.2.10", 5060), OUTSIDE, ("127.0.2.1", 5060)) as outside,
    ):
        a_leg = outside.invite()
        b_leg = inside.answering()
        b_leg.respond(486)
        a_leg.expect(486)
        a_leg.ack(a_leg.branch)


def test_the_stronger_hash(border: Border, caller: Phone, called: Phone) -> None:
    """Offered MD5 and SHA-256, we answer SHA-256; no credentials and no challenge crosses."""
    a_leg = caller.invite()
    refusal = a_leg.expect(401)
    a_leg.ack(a_leg.branch)
    (offered,) = [text for name, text in refusal.headers if name.lower() == "www-authenticate"]
    value = answer(offered.encode(), "alice", WORD, "INVITE", "sip:100@127.0.1.1")
    again = caller.invite(headers=f"Authorization: {value}\r\n")
    b_leg = called.answering()
    assert b_leg.invite is not None
    asked = f'WWW-Authenticate: Digest realm="{OUTSIDE}", nonce="n", algorithm='
    lines = f'{asked}MD5, qop="auth"\r\n{asked}SHA-256, qop="auth"\r\n'
    b_leg.respond(401, headers=lines)
    second = called.answering()
    assert second.invite is not None
    given = params(second.invite.first("authorization"))
    assert given["algorithm"] == "SHA-256"
    assert given["response"] == expected(given, "sesame", "INVITE")
    second.respond(486)
    again.expect(486)
    again.ack(again.branch)


def test_baresip_with_an_account_calls_out(border: Border, tmp_path: Path) -> None:
    with (
        Phone(("127.0.2.10", 5060), OUTSIDE, ("127.0.2.1", 5060)) as outside,
        Baresip(
            tmp_path / "inside",
            ("127.0.1.10", 5060),
            user="alice",
            domain=f"{INSIDE}.example",
            proxy=("127.0.1.1", 5060),
            codec="PCMU",
            tone_hz=440,
            password=WORD,
        ) as inside,
    ):
        inside.call("sip:100@127.0.1.1")
        b_leg = outside.answering()
        b_leg.answer()
        inside.await_log("established")
        inside.hang_up()
        b_leg.hung_up()
    until(lambda: border.cdrs() and border.cdrs()[-1]["user"] == "alice", 3, "alice's record")


def test_a_wrong_password_is_refused_in_the_end(border: Border, caller: Phone) -> None:
    for _ in range(4):
        a_leg = caller.invite()
        refusal = a_leg.expect(401)
        a_leg.ack(a_leg.branch)
        challenge = refusal.first("www-authenticate").encode()
        value = answer(challenge, "eve", "guess", "INVITE", "sip:100@127.0.1.1")
        a_leg = caller.invite(headers=f"Authorization: {value}\r\n")
        status = a_leg.expect(lambda one: one.status >= 400).status
        a_leg.ack(a_leg.branch)
    assert status == 403
    until(lambda: "auth.refused" in border.log_text(), 3, "a line in the log")
    text = border.log_text()
    assert text.count("auth.refused") == 1
    assert "sesame" not in text
    assert WORD not in text
