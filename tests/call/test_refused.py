"""What is refused before there is a call: operators hear of it, and floods do not fill the log."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from policies.settings import AccessSettings, Stranger
from policies.users import AuthSettings, HashName, Secret, UserSettings
from sbc.call.refused import Seldom
from tests.call.lab import CARRIER, PBX, SDP_A, Lab, settings
from tests.support.digest import answer, params

STRANGER = ("192.0.2.66", 5062)
NUMBER = "sip:4930123456@10.0.0.1"
WORD = "wonder land"


def lines(lab: Lab, event: str) -> list[tuple[int, dict[str, object]]]:
    """Level and fields of the lines so far."""
    return [(one[0], one[3]) for one in lab.border.core.milestones if one[1] == event]


# Strangers


def test_a_stranger_is_named_with_what_he_wants_and_why_he_does_not_get_it() -> None:
    lab = Lab()
    lab.give(lab.invite(), STRANGER)
    lab.give(lab.invite(), STRANGER)
    assert lines(lab, "stranger.refused") == [
        (
            20,
            {
                "realm": "outside",
                "source": "192.0.2.66:5062",
                "method": "INVITE",
                "transport": "udp",
                "reason": "the source belongs to no trunk of this realm",
            },
        )
    ]


def test_a_stranger_that_gets_no_answer_is_named_too_and_so_is_one_that_cannot_be_read() -> None:
    lab = Lab(settings(access=AccessSettings(strangers=Stranger.IGNORE)))
    lab.give(lab.invite(), STRANGER)
    lab.give(lab.invite().replace(b"CSeq: 1", b"CSeq: one"), ("2001:db8::66", 5060))
    named = [fields["source"] for _, fields in lines(lab, "stranger.ignored")]
    assert named == ["192.0.2.66:5062", "[2001:db8::66]:5060"]
    assert not lab.sent


def test_a_stranger_is_named_again_after_a_minute() -> None:
    lab = Lab()
    for passed_s in (0.0, 59.0, 2.0, 59.0, 2.0):
        lab.now += passed_s
        lab.give(lab.invite(), STRANGER)
    assert len(lines(lab, "stranger.refused")) == 3


def test_a_flood_of_strangers_gets_twenty_lines_a_minute_and_one_that_says_so() -> None:
    lab = Lab()
    for minute in range(3):
        for host in range(250):
            lab.give(lab.invite(), (f"192.0.2.{host}", 5060))
            lab.now += 0.1
        assert len(lines(lab, "stranger.refused")) == 20 * (minute + 1)
        assert len(lines(lab, "stranger.more")) == minute + 1
        lab.now += 60.0


def test_what_a_stranger_writes_on_his_method_is_cut_and_made_printable() -> None:
    lab = Lab()
    data = lab.invite().replace(b"INVITE", b"\x1b[2J\xff" + b"x" * 99, 1)
    lab.give(data, STRANGER)
    ((_, fields),) = lines(lab, "stranger.refused")
    assert fields["method"] == "?[2J\ufffd" + "x" * 11


def test_calls_of_trunks_leave_no_such_line() -> None:
    lab = Lab()
    lab.connected()
    events = {event.partition(".")[0] for _, event, _, _ in lab.border.core.milestones}
    assert events == {"call"}


# Lines


def test_one_sender_does_not_take_the_lines_of_the_others() -> None:
    more: list[str] = []
    seldom = Seldom(lambda: more.append("more"), most=6, each=2)
    a, b, c, d = [("trunk", host) for host in "abcd"]
    assert [seldom.may(a, b"%d" % what, 0.0) for what in range(5)] == [True, True] + [False] * 3
    assert not seldom.may(a, b"0", 1.0)
    assert seldom.may(b, b"0", 1.0)
    assert [seldom.may(c, b"%d" % what, 2.0) for what in range(2)] == [True, True]
    assert [seldom.may(d, b"%d" % what, 3.0) for what in range(2)] == [True, False]
    assert more == ["more"]
    assert seldom.may(a, b"7", 60.0)  # its first two are a minute old
    assert not seldom.may(b, b"0", 60.5)
    assert seldom.may(b, b"0", 61.0)


# Digest answers


def asking(**auth: Any) -> Lab:
    """A border whose PBX has to prove who calls: alice; bob may call through another trunk."""
    config = settings({"pbx": {"auth": AuthSettings(**({"realm": "sip"} | auth))}})
    users = (
        UserSettings(name="alice", password=Secret(WORD.encode())),
        UserSettings(name="bob", password=Secret(WORD.encode()), trunks=("carrier",)),
    )
    return Lab(replace(config, policies=replace(config.policies, users=users)))


def challenge(lab: Lab, algorithm: str = "SHA-256") -> bytes:
    lab.give(lab.invite())
    offered = lab.take_one(PBX[0]).every(b"www-authenticate")
    return next(one for one in offered if params(one)["algorithm"] == algorithm)


def proof(challenge: bytes, user: str = "alice", uri: str = NUMBER, **how: Any) -> str:
    word = how.pop("word", WORD)
    return f"Authorization: {answer(challenge, user, word, 'INVITE', uri, **how)}\r\n"


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"word": "wonderland"}, "wrong password"),
        ({"user": "carol"}, "unknown user"),
        ({"user": "bob"}, "user may not use this trunk"),
        ({"uri": "sip:100@10.0.0.1"}, "uri= calls another user than the Request-URI"),
        ({"userhash": "true"}, "userhash was not offered"),
    ],
)
def test_a_wrong_answer_is_named_the_first_time_with_what_is_wrong(
    how: dict[str, str], reason: str
) -> None:
    lab = asking()
    for _ in range(3):
        lab.give(lab.invite(extra=proof(challenge(lab), **how).encode()))
        assert lab.take_one(PBX[0]).status == 401
    user = how.get("user", "alice")
    fields = {"trunk": "pbx", "source": PBX[0], "user": user, "reason": reason}
    assert lines(lab, "auth.failed") == [(20, fields)]


@pytest.mark.parametrize(
    ("old", "new", "reason", "user"),
    [
        ("algorithm=SHA-256", "algorithm=SHA-256-sess", "algorithm was not offered", "alice"),
        ("algorithm=SHA-256", "algorithm=SHA-3", "algorithm or qop is not known", None),
        ("qop=auth", "qop=auth-int", "qop was not offered", "alice"),
        ("nc=00000001", "nc=1", "credentials cannot be read", None),
    ],
)
def test_an_answer_in_what_was_not_offered_is_named(
    old: str, new: str, reason: str, user: str | None
) -> None:
    lab = asking(algorithms=(HashName.SHA_256,))
    given = proof(challenge(lab))
    assert old in given
    lab.give(lab.invite(extra=given.replace(old, new).encode()))
    fields = {"trunk": "pbx", "source": PBX[0], "user": user, "reason": reason}
    assert lines(lab, "auth.failed") == [(20, fields)]


def test_a_copied_answer_is_named_and_a_stale_one_is_for_debugging() -> None:
    lab = asking(nonce_lifetime_s=30.0)
    first = challenge(lab)
    for call in ("call-1", "call-2"):
        lab.give(lab.invite(extra=proof(first).encode(), call=call))
    ((level, fields),) = lines(lab, "auth.failed")
    assert (level, fields["reason"]) == (20, "nonce count was used before")
    lab.now += 31.0
    lab.give(lab.invite(extra=proof(first, nc=2).encode(), call="call-3"))
    level, fields = lines(lab, "auth.failed")[-1]
    assert (level, fields["reason"]) == (10, "nonce is stale")


def test_no_credentials_none_for_us_and_empty_ones_are_no_failure() -> None:
    lab = asking()
    given = proof(challenge(lab))
    ims = 'Authorization: Digest username="a", realm="sip", nonce="", uri="sip:a", response=""\r\n'
    for extra in ("", "Authorization: Basic eDp5\r\n", ims):
        lab.give(lab.invite(extra=extra.encode()))
        assert lab.take_one(PBX[0]).status == 401
    assert lines(lab, "auth.failed") == []
    lab.give(lab.invite(extra=given.replace('realm="sip"', 'realm="other"').encode()))
    ((level, _),) = lines(lab, "auth.failed")
    assert level == 10
    assert lab.take_one(PBX[0]).status == 401
    both = proof(challenge(lab)).replace('realm="sip"', 'realm="other"') + proof(challenge(lab))
    lab.give(lab.invite(extra=both.encode()))
    assert lab.take_one(PBX[0]).status == 100
    assert len(lines(lab, "auth.failed")) == 1


def test_who_hashes_another_uri_is_told_whether_or_not_his_password_fits() -> None:
    warning = b'Warning: 399 10.0.0.1 "Authorization: uri= calls another user than the Request-URI"'
    for user, word in (("alice", WORD), ("alice", "guess"), ("carol", "guess")):
        lab = asking()
        first = challenge(lab)
        for uri, count in (("sip:100@10.0.0.1", 1), (NUMBER, 0)):
            given = proof(first, user, uri, word="guess" if uri == NUMBER else word)
            lab.give(lab.invite(extra=given.encode()))
            ((_, data),) = lab.sent
            lab.sent.clear()
            assert data.startswith(b"SIP/2.0 401 ")
            assert data.count(warning) == count
            assert data.count(b"Warning") == count


def test_a_name_is_cut_and_made_printable_and_no_secret_is_written() -> None:
    lab = asking()
    name = "\x7f" + "é" * 90
    given = proof(challenge(lab), "NAME").replace("NAME", name).replace("\x7f", "\u200b")
    lab.give(lab.invite(extra=given.encode()))
    ((_, fields),) = lines(lab, "auth.failed")
    user = str(fields["user"])
    assert user.startswith("?éé")
    assert len(user) <= 64
    told = str(lab.border.core.milestones)
    for secret in (params(given)["response"], params(given)["nonce"], WORD):
        assert secret not in told


def test_who_tries_many_names_gets_four_lines_and_others_theirs() -> None:
    lab = asking()
    first = challenge(lab)
    for count in range(30):
        lab.give(lab.invite(extra=proof(first, f"user{count}").encode()))
    assert len(lines(lab, "auth.failed")) == 4
    assert len(lines(lab, "auth.more")) == 1


# What cannot be read


def test_a_request_of_a_trunk_that_cannot_be_read_is_named_in_the_parsers_words() -> None:
    lab = Lab()
    for _ in range(3):
        lab.give(lab.invite().replace(b"CSeq: 1 INVITE", b"CSeq: 1 BYE"))
    fields = {
        "trunk": "pbx",
        "source": f"{PBX[0]}:{PBX[1]}",
        "status": 400,
        "reason": "CSeq: expected 'INVITE', got 'BYE'",
    }
    assert lines(lab, "trunk.bad_request") == [(20, fields)]
    answers = [data for _, data in lab.sent]
    assert len(answers) == 3
    for data in answers:
        assert b"Warning: 399 10.0.0.1 \"CSeq: expected 'INVITE', got 'BYE'\"\r\n" in data
    lab.give(lab.invite().replace(b"sip:4930123456@", b"sip:a b@", 1))
    assert len(lines(lab, "trunk.bad_request")) == 2


def test_what_cannot_be_answered_is_named_too_and_nothing_of_a_strangers() -> None:
    lab = Lab()
    lab.give(b"\x00\x01\x02\x03 not sip at all, but long enough", CARRIER)
    lab.give(b"\x00\x01\x02\x03 not sip at all, but long enough", STRANGER)
    ((level, fields),) = lines(lab, "trunk.bad_message")
    assert (level, fields["trunk"], fields["status"]) == (20, "carrier", None)
    assert len(lab.border.core.milestones) == 1


def test_neither_a_body_nor_credentials_are_written() -> None:
    lab = Lab()
    crypto = SDP_A.replace(b"a=", b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:KEYKEYKEY\r\na=", 1)
    lab.give(lab.invite(body=crypto).replace(b"\r\n\r\n", b"\r\n", 1) + b"\r\n\r\n")
    lab.give(lab.invite(extra=b'Authorization: Digest realm=x,\r\nresponse="KEYKEYKEY"\r\n'))
    lab.give(lab.invite(extra=b"Contact: <sip:alice:KEYKEYKEY@h h>\r\n"))
    lab.give(lab.invite().replace(b"<sip:alice@", b"<sip:alice:KEYKEYKEY@ ", 1))
    told = lines(lab, "trunk.bad_request")
    assert len(told) >= 2, told
    assert "KEY" not in str(lab.border.core.milestones)
