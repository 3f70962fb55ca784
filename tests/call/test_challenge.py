"""Who gets in: nonces, counts, wrong answers, and what each algorithm needs."""

from __future__ import annotations

import contextlib
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from policies.settings import TrunkSettings
from policies.users import (
    AuthSettings,
    AuthStatus,
    Binding,
    HashName,
    Protection,
    Secret,
    UserSettings,
    answerable,
)
from sbc.call.digest.challenge import Authenticated, Challenged, Challenges, Shut
from sbc.call.digest.memory import Guesses, NonceCounts
from sbc.sip.message import Request
from sbc.sip.parser import parse
from tests.support.digest import answer, digest, params

URI = "sip:100@example.com"
ALICE = UserSettings(name="alice", password=Secret(b"wonder land"))
HASHED = UserSettings(
    name="bob",
    ha1={
        HashName.MD5: Secret(digest("MD5", "bob", "sip", "builder").encode()),
        HashName.SHA_256: Secret(digest("SHA-256", "bob", "sip", "builder").encode()),
    },
    trunks=("phones",),
)


def trunk(**changes: object) -> TrunkSettings:
    auth = AuthSettings(**({"realm": "sip"} | changes))  # type: ignore[arg-type]
    return TrunkSettings(name="phones", realm="inside", peers=(), sources=(), auth=auth)


def message(
    *lines: str, method: str = "INVITE", tag: str = "", body: bytes = b"", uri: str = URI
) -> Request:
    head = (
        f"{method} {uri} SIP/2.0", "Via: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKx", "Max-Forwards: 70",
        "From: <sip:alice@example.com>;tag=a", f"To: <{uri}>{tag}", "Call-ID: c",
        f"CSeq: 1 {method}", f"Content-Length: {len(body)}", *lines, "", "",
    )  # fmt: skip
    request = parse("\r\n".join(head).encode() + body)
    assert isinstance(request, Request)
    return request


class Door:
    """Challenges, at a time and place."""

    def __init__(self, *users: UserSettings, key: bytes = b"k" * 32, **auth: object) -> None:
        self.trunk = trunk(**auth)
        self.challenges = Challenges(key, random.Random(5).randbytes, users)  # noqa: S311
        self.now = 100.0
        self.host = "10.0.0.2"

    def check(self, request: Request) -> object:
        wall_s = 1e9 + self.now
        return self.challenges.check(request, self.trunk, self.host, self.now, wall_s)

    def challenged(self, request: Request | None = None) -> Challenged:
        verdict = self.check(request or message())
        assert isinstance(verdict, Challenged), verdict
        return verdict

    def offered(self) -> list[bytes]:
        return [line for line in self.challenged().head.split(b"\r\n") if line]

    def answered(
        self, challenge: bytes, user: str = "alice", word: str = "wonder land", **how: object
    ) -> object:
        """The verdict on an answer to `challenge`."""
        body = how.get("body", b"")
        value = answer(challenge, user, word, "INVITE", URI, **how)  # type: ignore[arg-type]
        return self.check(message(f"Authorization: {value}", body=body))  # type: ignore[arg-type]


def test_each_algorithm_is_a_header_of_its_own_in_the_order_that_is_configured() -> None:
    door = Door(ALICE)
    assert [params(line)["algorithm"] for line in door.offered()] == [
        "SHA-512-256",
        "SHA-256",
        "MD5",
    ]
    door = Door(ALICE, algorithms=(HashName.MD5, HashName.SHA_256))
    verdict = door.challenged()
    assert verdict.status == 401
    lines = verdict.head.split(b"\r\n")
    assert [line.partition(b":")[0] for line in lines] == [b"WWW-Authenticate"] * 2 + [b""]
    assert [params(line)["algorithm"] for line in lines[:2]] == ["MD5", "SHA-256"]
    assert {params(line)["qop"] for line in lines[:2]} == {"auth"}
    assert not verdict.wrong
    assert b"stale" not in verdict.head


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("qop", ["auth", "auth-int", None])
def test_the_right_password_in_each_algorithm_and_qop(index: int, qop: str | None) -> None:
    door = Door(ALICE, qop=tuple(Protection))
    challenge = door.offered()[index]
    assert params(challenge)["qop"] == "auth,auth-int"
    assert door.answered(challenge, qop=qop, body=b"hello") == Authenticated("alice")


def test_a_proxy_challenges_with_407() -> None:
    door = Door(ALICE, status=AuthStatus.PROXY_AUTHENTICATION_REQUIRED)
    verdict = door.challenged()
    assert verdict.status == 407
    assert verdict.head.startswith(b"Proxy-Authenticate: Digest ")
    value = answer(verdict.head.split(b"\r\n")[0], "alice", "wonder land", "INVITE", URI)
    assert isinstance(door.check(message(f"Authorization: {value}")), Challenged)
    assert door.check(message(f"Proxy-Authorization: {value}")) == Authenticated("alice")


def test_a_stored_hash_is_as_good_as_the_password() -> None:
    door = Door(HASHED, algorithms=(HashName.SHA_256, HashName.MD5))
    for nc, challenge in enumerate(door.offered(), 1):  # of one nonce
        assert door.answered(challenge, "bob", "builder", nc=nc) == Authenticated("bob")
    assert answerable(HashName, [frozenset(HASHED.ha1)]) == (HashName.SHA_256, HashName.MD5)


def test_ack_and_cancel_are_never_challenged_and_a_dialog_only_where_that_is_wanted() -> None:
    door = Door(ALICE)
    for method in ("ACK", "CANCEL"):
        assert door.check(message(method=method)) is None
    bye = message(method="BYE", tag=";tag=b")
    assert door.check(bye) is None
    assert isinstance(Door(ALICE, in_dialog=True).check(bye), Challenged)
    for method in ("OPTIONS", "MESSAGE", "REGISTER", "FROBNICATE"):
        assert isinstance(door.check(message(method=method)), Challenged)


@pytest.mark.parametrize(
    "how",
    [
        {"word": "wonderland"},
        {"user": "nobody"},
        {"user": "bob", "word": "builder"},  # of another trunk
        {"user": "ALICE"},
        {"userhash": "true"},
        {"response": "0" * 64},
    ],
)
def test_wrong_answers_get_a_new_challenge(how: dict[str, str]) -> None:
    bob = UserSettings(name="bob", password=Secret(b"builder"), trunks=("others",))
    door = Door(ALICE, bob)
    first = door.offered()[0]
    verdict = door.answered(first, **how)
    assert isinstance(verdict, Challenged)
    assert verdict.wrong
    assert b"stale" not in verdict.head
    assert params(verdict.head)["nonce"] != params(first)["nonce"]


def test_an_answer_to_something_else_is_no_answer() -> None:
    door = Door(ALICE, algorithms=(HashName.SHA_256,))
    challenge = door.offered()[0]
    for how in (
        {"algorithm": "MD5"},  # not offered: no downgrade
        {"algorithm": "SHA-256-sess"},
        {"realm": "elsewhere"},
        {"qop": "auth-conf"},
        {"qop": "auth-int"},
        {"nc": "1"},
    ):
        value = answer(challenge, "alice", "wonder land", "INVITE", URI)
        for name, text in how.items():
            old = params(value)[name]
            value = value.replace(f"{name}={old}", f"{name}={text}")
            value = value.replace(f'{name}="{old}"', f'{name}="{text}"')
        verdict = door.check(message(f"Authorization: {value}"))
        assert isinstance(verdict, Challenged)
        assert not verdict.wrong, how


def test_an_answer_for_another_realm_beside_ours_does_not_matter() -> None:
    door = Door(ALICE)
    value = answer(door.offered()[1], "alice", "wonder land", "INVITE", URI)
    other = value.replace('realm="sip"', 'realm="elsewhere"')
    lines = (f"Authorization: {other}", "Authorization: Basic eDp5", f"Authorization: {value}")
    assert door.check(message("Authorization: Digest", *lines)) == Authenticated("alice")


def test_an_answer_may_not_be_used_for_another_number() -> None:
    door = Door(ALICE)
    value = answer(door.offered()[0], "alice", "wonder land", "INVITE", "sip:100@example.com")
    stolen = message(f"Authorization: {value}", uri="sip:00900123456@example.com")
    assert isinstance(door.check(stolen), Challenged)
    behind_a_proxy = message(f"Authorization: {value}", uri="sip:100@10.0.0.1:5080;transport=udp")
    assert door.check(behind_a_proxy) == Authenticated("alice")
    value = answer(door.offered()[0], "alice", "wonder land", "INVITE", "100 at example.com")
    assert isinstance(door.check(message(f"Authorization: {value}")), Challenged)


def test_a_body_that_was_changed_fails_auth_int() -> None:
    door = Door(ALICE, qop=(Protection.AUTH_INT,))
    value = answer(
        door.offered()[0], "alice", "wonder land", "INVITE", URI, qop="auth-int", body=b"one"
    )
    verdict = door.check(message(f"Authorization: {value}", body=b"two"))
    assert isinstance(verdict, Challenged)
    assert verdict.wrong


# Nonces


def test_a_nonce_ages_and_the_new_challenge_says_that_the_password_was_not_the_fault() -> None:
    door = Door(ALICE, nonce_lifetime_s=300.0)
    challenge = door.offered()[0]
    door.now += 299.0
    assert door.answered(challenge) == Authenticated("alice")
    door.now += 2.0
    verdict = door.answered(challenge, nc=2)
    assert isinstance(verdict, Challenged)
    assert (params(verdict.head)["stale"], verdict.wrong) == ("true", False)
    assert door.answered(verdict.head.split(b"\r\n")[0]) == Authenticated("alice")


@pytest.mark.parametrize("nonce", ["", "x", "A" * 32, "é" * 16, "!" * 32, "A" * 31 + "!"])
def test_a_nonce_that_is_not_ours_is_stale(nonce: str) -> None:
    door = Door(ALICE)
    verdict = door.answered(door.offered()[0], nonce=nonce)
    assert isinstance(verdict, Challenged)
    assert params(verdict.head)["stale"] == "true"


def test_a_nonce_with_one_bit_changed_is_not_ours() -> None:
    door = Door(ALICE)
    challenge = door.offered()[0]
    nonce = params(challenge)["nonce"]
    for at in range(len(nonce)):
        changed = nonce[:at] + ("B" if nonce[at] == "A" else "A") + nonce[at + 1 :]
        verdict = door.answered(challenge, nonce=changed)
        assert isinstance(verdict, Challenged)


def test_a_nonce_of_the_future_is_stale_beyond_a_small_step_of_the_clock() -> None:
    door = Door(ALICE)
    challenge = door.offered()[0]
    door.now -= 4.0
    assert door.answered(challenge) == Authenticated("alice")
    door.now -= 4.0
    assert isinstance(door.answered(challenge, nc=2), Challenged)


def test_a_nonce_binds_its_source_where_that_is_wanted() -> None:
    door = Door(ALICE, nonce_binds=Binding.SOURCE)
    challenge = door.offered()[0]
    door.host = "10.0.0.3"
    verdict = door.answered(challenge)
    assert isinstance(verdict, Challenged)
    assert params(verdict.head)["stale"] == "true"
    door.host = "10.0.0.2"
    assert door.answered(challenge) == Authenticated("alice")
    door = Door(ALICE)
    challenge = door.offered()[0]
    door.host = "10.0.0.3"
    assert door.answered(challenge) == Authenticated("alice")


def test_a_nonce_is_of_its_trunk_and_key() -> None:
    door, other = Door(ALICE), Door(ALICE, key=b"q" * 32)
    challenge = door.offered()[0]
    other.offered()
    assert isinstance(other.answered(challenge), Challenged)
    other = Door(ALICE)
    other.offered()
    other.trunk = TrunkSettings(
        name="others", realm="inside", peers=(), sources=(), auth=door.trunk.auth
    )
    assert isinstance(other.answered(challenge), Challenged)


def test_a_restart_makes_older_nonces_stale_for_nobody_knows_what_was_used() -> None:
    before = Door(ALICE)
    challenge = before.offered()[0]
    assert before.answered(challenge) == Authenticated("alice")
    after = Door(ALICE)
    after.now = before.now + 1.0
    verdict = after.answered(challenge)
    assert isinstance(verdict, Challenged)
    assert params(verdict.head)["stale"] == "true"
    assert after.answered(verdict.head.split(b"\r\n")[0]) == Authenticated("alice")


# Counts


def test_a_copied_answer_is_stale() -> None:
    door = Door(ALICE)
    challenge = door.offered()[0]
    assert door.answered(challenge) == Authenticated("alice")
    verdict = door.answered(challenge)
    assert isinstance(verdict, Challenged)
    assert params(verdict.head)["stale"] == "true"
    assert door.answered(challenge, nc=2) == Authenticated("alice")


def test_an_answer_without_qop_is_good_once() -> None:
    door = Door(ALICE)
    challenge = door.offered()[0]
    assert door.answered(challenge, qop=None) == Authenticated("alice")
    assert isinstance(door.answered(challenge, qop=None), Challenged)


def test_counts_may_overtake_each_other_within_a_window_and_each_comes_once() -> None:
    counts = NonceCounts()
    counts.begin(0.0)
    order = [5, 1, 3, 2, 4, 70, 7, 2**32 - 1, 2**32 - 60]
    assert all(counts.take(b"n", count, 1.0) for count in order)
    assert not any(counts.take(b"n", count, 1.0) for count in (2**32 - 1, 2**32 - 60, 70, 1, 0))
    assert counts.take(b"n", 2**32 - 64, 1.0)
    assert not counts.take(b"n", 2**32 - 65, 1.0)


def test_what_is_forgotten_for_want_of_room_is_stale_with_all_that_is_older() -> None:
    counts = NonceCounts(most=3)
    counts.begin(0.0)
    for made_s in (1.0, 2.0, 3.0, 4.0):
        assert counts.take(b"%d" % made_s, 1, made_s)
    assert not counts.take(b"1", 1, 1.0)
    assert not counts.take(b"never seen", 1, 0.5)
    assert counts.take(b"2", 2, 2.0)
    assert counts.take(b"5", 1, 5.0)
    assert not counts.take(b"2", 3, 2.0)


# Guesses


def test_after_some_wrong_answers_only_the_refusal_follows_for_a_minute() -> None:
    door = Door(ALICE, attempts=3, refusal=404)
    challenge = door.offered()[0]
    for _ in range(3):
        assert isinstance(door.answered(challenge, word="x"), Challenged)
    assert door.answered(challenge) == Shut(404, "alice", tell=True)
    assert door.answered(challenge) == Shut(404, "alice", tell=False)
    assert isinstance(door.check(message()), Challenged)  # asks nothing, is told nothing
    door.host = "10.0.0.3"
    assert door.answered(challenge) == Authenticated("alice")  # others are not concerned
    door.host = "10.0.0.2"
    door.now += 60.0
    assert door.answered(challenge, nc=2) == Authenticated("alice")


def test_a_name_that_nobody_has_is_treated_like_one_that_somebody_has() -> None:
    door = Door(ALICE, attempts=2)
    challenge = door.offered()[0]
    for user in ("alice", "nobody"):
        verdicts = [door.answered(challenge, user, "x") for _ in range(4)]
        assert [type(verdict) for verdict in verdicts] == [Challenged] * 2 + [Shut] * 2
        door.now += 1.0
    known = door.answered(challenge, "nobody", "x")
    assert isinstance(known, Shut)
    assert known.user == ""


def test_a_right_answer_forgets_the_wrong_ones() -> None:
    door = Door(ALICE, attempts=2)
    challenge = door.offered()[0]
    for count in range(1, 6):
        assert isinstance(door.answered(challenge, word="x"), Challenged)
        assert door.answered(challenge, nc=count) == Authenticated("alice")


def test_a_copied_answer_does_not_forget_the_wrong_ones() -> None:
    door = Door(ALICE, attempts=2)
    challenge = door.offered()[0]
    assert door.answered(challenge) == Authenticated("alice")
    for _ in range(2):
        assert isinstance(door.answered(challenge, word="x"), Challenged)
        copied = door.answered(challenge)
        assert not isinstance(copied, Authenticated)
    assert isinstance(copied, Shut)


def test_wrong_answers_to_nonces_that_are_not_ours_count_for_nobody() -> None:
    door = Door(ALICE, attempts=1)
    challenge = door.offered()[0]
    for _ in range(5):
        assert isinstance(door.answered(challenge, word="x", nonce="made up"), Challenged)
    assert door.answered(challenge) == Authenticated("alice")


def test_the_memory_of_guesses_is_bounded_and_a_line_is_written_seldom() -> None:
    guesses = Guesses(most=2)
    for host in ("a", "b", "c"):
        guesses.add((host, b"x"), 0.0)
    assert not guesses.shut(("a", b"x"), 1, 0.0)
    assert guesses.shut(("c", b"x"), 1, 0.0)
    assert guesses.tell(("b", b"x"), 0.0)
    assert not guesses.tell(("c", b"x"), 0.5)
    assert guesses.tell(("c", b"x"), 1.5)
    assert not guesses.tell(("c", b"x"), 9.0)
    guesses.add(("b", b"x"), 70.0)
    assert guesses.tell(("b", b"x"), 70.0)


def test_secrets_do_not_show_themselves() -> None:
    assert "wonder" not in repr(ALICE)
    assert "wonder" not in str(ALICE.password)
    assert HASHED.ha1[HashName.MD5].value.decode() not in repr(HASHED)


@given(st.binary(max_size=200))
@example(b"Digest " + b'realm="sip", nonce="' + b"A" * 32 + b'"')
def test_no_header_whatever_is_in_it_gets_in(value: bytes) -> None:
    value = value.replace(b"\r", b"").replace(b"\n", b"")
    door = Door(ALICE)
    line = f"Authorization: Digest {value.decode('latin-1')}"
    request = message()
    with contextlib.suppress(UnicodeError):
        request = message(line)
    assert isinstance(door.check(request), Challenged)
