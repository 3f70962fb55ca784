"""Our answers to challenges: which one, how often, and when no more."""

from __future__ import annotations

import random

import pytest

from policies.settings import TrunkSettings
from policies.users import CredentialSettings, HashName, Secret
from sbc.call.digest.credentials import Credentials
from sbc.sip.message import Response
from sbc.sip.parser import parse
from sbc.sip.status import INVITE
from sbc.transaction.request import ClientRequest, via_line
from tests.support.digest import digest, expected, params

URI = b"sip:100@192.0.2.9"
BRANCH = b"z9hG4bKs1.1"


def trunk(**changes: object) -> TrunkSettings:
    own = CredentialSettings(**({"user": "border", "password": Secret(b"open sesame")} | changes))  # type: ignore[arg-type]
    return TrunkSettings(name="carrier", realm="outside", peers=(), sources=(), credentials=own)


CARRIER = trunk()


def request(credentials: bytes = b"", cseq: int = 1, body: bytes = b"v=0\r\n") -> ClientRequest:
    return ClientRequest(
        INVITE, URI, via_line(b"UDP", b"192.0.2.1", BRANCH), BRANCH, b"",
        b"<sip:a@b>;tag=1", b"<sip:100@192.0.2.9>", b"c",
        cseq, head=b"Contact: <sip:x>\r\n", body=body, credentials=credentials,
    )  # fmt: skip


def refusal(*lines: str, status: int = 401) -> Response:
    head = (
        f"SIP/2.0 {status} No", f"Via: SIP/2.0/UDP 192.0.2.1;branch={BRANCH.decode()}",
        "From: <sip:a@b>;tag=1", "To: <sip:100@192.0.2.9>;tag=2", "Call-ID: c", "CSeq: 1 INVITE",
        *lines, "Content-Length: 0", "", "",
    )  # fmt: skip
    message = parse("\r\n".join(head).encode())
    assert isinstance(message, Response)
    return message


def ask(algorithm: str = "SHA-256", nonce: str = "n1", more: str = ', qop="auth"') -> str:
    named = f", algorithm={algorithm}" if algorithm else ""
    return f'WWW-Authenticate: Digest realm="carrier", nonce="{nonce}"{named}{more}'


def ours(*seed: int) -> Credentials:
    return Credentials(random.Random(3).randbytes)  # noqa: S311


def given(again: ClientRequest | None) -> list[dict[str, str]]:
    """The answers in a request; each is of the name and password that we have."""
    assert again is not None
    answers = [params(line) for line in again.credentials.split(b"\r\n")[:-1]]
    for one in answers:
        right = expected(one, "open sesame", again.method.decode(), again.body)
        assert one["response"] == right
        assert (one["username"], one["uri"]) == ("border", again.uri.decode())
    assert again.credentials in again.data
    return answers


@pytest.mark.parametrize("algorithm", ["", "MD5", "SHA-256", "SHA-512-256", "md5"])
@pytest.mark.parametrize("sess", ["", "-sess"])
@pytest.mark.parametrize("qop", ["", ', qop="auth"', ', qop="auth-int"', ', qop="auth-int,auth"'])
def test_every_kind_of_challenge_is_answered(algorithm: str, sess: str, qop: str) -> None:
    name = algorithm.upper() + sess if algorithm else ""
    again = ours().answer(request(), refusal(ask(name, more=qop + ', opaque="o"')), CARRIER)
    (one,) = given(again)
    assert one.get("algorithm", "") == name
    assert one["opaque"] == "o"
    wanted = {"": None, ', qop="auth-int"': "auth-int"}.get(qop, "auth")
    assert one.get("qop") == wanted
    assert one.get("nc") == ("00000001" if wanted else None)


def test_it_is_the_same_request_again_under_a_new_number_and_branch() -> None:
    first = request()
    again = ours().answer(first, refusal(ask()), CARRIER)
    assert again is not None
    assert (again.cseq, again.branch) == (2, BRANCH + b"-a")
    assert again.branch in again.via_line
    removed = again.data.replace(again.credentials, b"").replace(b"1.1-a", b"1.1")
    assert removed.replace(b"CSeq: 2", b"CSeq: 1") == first.data
    assert ours().answer(first, refusal(ask()), CARRIER, cseq=7).cseq == 7  # type: ignore[union-attr]


def test_the_ack_to_a_failure_bears_what_the_invite_bore_and_the_cancel_does_not() -> None:
    again = ours().answer(request(), refusal(ask()), CARRIER)
    assert again is not None
    assert again.credentials in again.ack_for(refusal(status=486))
    assert b"Authorization" not in again.cancel().data


@pytest.mark.parametrize(
    ("offered", "taken"),
    [
        (["MD5", "SHA-256"], "SHA-256"),
        (["MD5", "SHA-256", "SHA-512-256"], "SHA-256"),  # as strong, and the peer's choice
        (["SHA-512-256", "SHA-256", "MD5"], "SHA-512-256"),
        (["MD5", "SHA3-256"], "MD5"),
        (["", "MD5-sess"], None),
    ],
)
def test_the_strongest_is_taken_and_of_equals_the_first(
    offered: list[str], taken: str | None
) -> None:
    lines = [ask(algorithm) for algorithm in offered]
    (one,) = given(ours().answer(request(), refusal(*lines), CARRIER))
    assert one.get("algorithm") == taken


def test_stored_hashes_answer_what_they_are_made_for() -> None:
    key = digest("MD5", "border", "carrier", "open sesame").encode()
    own = trunk(password=None, ha1={HashName.MD5: Secret(key)}, realm="carrier")
    (one,) = given(ours().answer(request(), refusal(ask("SHA-256"), ask("MD5")), own))
    assert one["algorithm"] == "MD5"
    assert ours().answer(request(), refusal(ask("SHA-256")), own) is None
    assert len(given(ours().answer(request(), refusal(ask("MD5-sess")), own))) == 1


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["WWW-Authenticate: Basic realm=x"],
        ["WWW-Authenticate: Digest realm=x"],
        ['WWW-Authenticate: Digest realm="x", nonce="y", qop="token"'],
        [ask("SHA3-256")],
        ["WWW-Authenticate: "],
        [ask().replace("WWW", "Proxy").replace("Authenticate", "Authorize")],
    ],
)
def test_what_cannot_be_answered_is_not(lines: list[str]) -> None:
    assert ours().answer(request(), refusal(*lines), CARRIER) is None


def test_nobody_answers_for_a_trunk_without_credentials_or_in_another_realm() -> None:
    nobody = TrunkSettings(name="carrier", realm="outside", peers=(), sources=())
    assert ours().answer(request(), refusal(ask()), nobody) is None
    assert ours().lines(INVITE, URI, b"", nobody) == b""
    assert ours().answer(request(), refusal(ask()), trunk(realm="other")) is None
    assert ours().answer(request(), refusal(ask()), trunk(realm="carrier")) is not None


def test_a_proxy_gets_its_own_header_and_a_server_behind_it_another() -> None:
    credentials = ours()
    proxy = ask(nonce="p1").replace("WWW-", "Proxy-")
    first = credentials.answer(request(), refusal(proxy, status=407), CARRIER)
    assert first is not None
    assert first.credentials.startswith(b"Proxy-Authorization: Digest ")
    second = credentials.answer(first, refusal(ask("MD5", nonce="s1")), CARRIER)
    both = given(second)
    assert [(one["nonce"], one["nc"]) for one in both] == [("p1", "00000002"), ("s1", "00000001")]
    both = given(ours().answer(request(), refusal(proxy, ask()), CARRIER))
    assert sorted(one["nonce"] for one in both) == ["n1", "p1"]


def test_a_refused_answer_is_final() -> None:
    credentials = ours()
    first = credentials.answer(request(), refusal(ask(nonce="n1")), CARRIER)
    assert first is not None
    assert credentials.answer(first, refusal(ask(nonce="n2")), CARRIER) is None
    assert credentials.lines(INVITE, URI, b"", CARRIER) == b""


def test_a_stale_answer_is_given_again_but_not_for_ever() -> None:
    credentials = ours()
    asked = request()
    sent = 0
    for count in range(20):
        again = credentials.answer(
            asked, refusal(ask(nonce=f"n{count}", more=', stale=true, qop="auth"')), CARRIER
        )
        if again is None:
            break
        asked, sent = again, sent + 1
    assert sent == 3
    credentials = ours()
    again = credentials.answer(request(), refusal(ask()), CARRIER)
    assert again is not None
    stale_but_the_same = refusal(ask(more=', stale=true, qop="auth"'))
    assert credentials.answer(again, stale_but_the_same, CARRIER) is None


def test_later_requests_use_the_nonce_again_with_a_growing_count() -> None:
    credentials = ours()
    (first,) = given(credentials.answer(request(), refusal(ask()), CARRIER))
    counts, cnonces = [first["nc"]], {first["cnonce"]}
    for _ in range(3):
        lines = credentials.lines(INVITE, URI, b"v=0\r\n", CARRIER)
        (one,) = given(request(lines))
        counts.append(one["nc"])
        cnonces.add(one["cnonce"])
    assert counts == ["00000001", "00000002", "00000003", "00000004"]
    assert len(cnonces) == 1
    other = trunk()
    assert credentials.lines(INVITE, URI, b"", other) != b""  # by the trunk's name


def test_a_nonce_that_has_aged_meanwhile_is_replaced() -> None:
    credentials = ours()
    credentials.answer(request(), refusal(ask()), CARRIER)
    unasked = request(credentials.lines(INVITE, URI, b"v=0\r\n", CARRIER), cseq=9)
    again = credentials.answer(
        unasked, refusal(ask(nonce="n2", more=', stale=true, qop="auth"')), CARRIER
    )
    (one,) = given(again)
    assert (one["nonce"], one["nc"]) == ("n2", "00000001")
    (one,) = given(request(credentials.lines(INVITE, URI, b"v=0\r\n", CARRIER)))
    assert (one["nonce"], one["nc"]) == ("n2", "00000002")


def test_a_peer_whose_nonces_are_good_once_is_asked_each_time() -> None:
    """It says no `stale`, yet the password was right: nobody may take that for the end."""
    credentials = ours()
    credentials.answer(request(), refusal(ask()), CARRIER)
    unasked = request(credentials.lines(INVITE, URI, b"v=0\r\n", CARRIER), cseq=9)
    again = credentials.answer(unasked, refusal(ask(nonce="n2")), CARRIER)
    (one,) = given(again)
    assert one["nonce"] == "n2"
    assert credentials.lines(INVITE, URI, b"", CARRIER) == b""
    again = credentials.answer(request(), refusal(ask(nonce="n3")), CARRIER)
    (one,) = given(again)
    assert one["nonce"] == "n3"
    assert credentials.lines(INVITE, URI, b"", CARRIER) == b""


def test_what_is_remembered_of_a_trunk_is_bounded() -> None:
    credentials = ours()
    for number in range(50):
        line = f'WWW-Authenticate: Digest realm="r{number}", nonce="n", qop="auth"'
        credentials.answer(request(), refusal(line), CARRIER)
    lines = credentials.lines(INVITE, URI, b"", CARRIER)
    assert [params(line)["realm"] for line in lines.split(b"\r\n")[:-1]] == [
        "r46", "r47", "r48", "r49",
    ]  # fmt: skip


def test_an_asker_that_was_forgotten_meanwhile_is_left_out() -> None:
    credentials = ours()
    asked = credentials.answer(request(), refusal(ask()), CARRIER)
    assert asked is not None
    for number in range(4):
        line = f'WWW-Authenticate: Digest realm="r{number}", nonce="n", qop="auth"'
        credentials.answer(request(), refusal(line), CARRIER)
    line = 'Proxy-Authenticate: Digest realm="proxy", nonce="n", qop="auth"'
    (one,) = given(credentials.answer(asked, refusal(line, status=407), CARRIER))
    assert one["realm"] == "proxy"


def test_no_peer_writes_lines_of_ours() -> None:
    realm = r'carr\"ier\\, x="'
    line = f'WWW-Authenticate: Digest realm="{realm[:-1]}", nonce="a\\"b", qop="auth"'
    again = ours().answer(request(), refusal(line), CARRIER)
    assert again is not None
    assert again.credentials.count(b"\r\n") == 1
    assert b'realm="carr\\"ier\\\\, x="' in again.credentials
    assert again.data.count(b"Authorization:") == 1


def test_the_password_does_not_show_itself() -> None:
    assert "sesame" not in repr(CARRIER)
