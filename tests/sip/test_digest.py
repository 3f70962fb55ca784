"""Digest headers and hashes: the vectors of RFC 7616 and RFC 2617, and what phones make of them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sbc.errors import ParseError
from sbc.sip.digest import (
    Algorithm,
    Authorization,
    Challenge,
    Qop,
    equal,
    ha1,
    parse_authorization,
    parse_challenge,
    response,
)

MUFASA = (
    b'username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html",'
    b' nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001,'
    b' cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth,'
    b' opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
DOE = (
    b'Digest username="%b", realm="api@example.org", uri="/doe.json", algorithm=SHA-512-256,'
    b' nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", nc=00000001,'
    b' cnonce="NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v", qop=auth, response="%b",'
    b' opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS", userhash=true'
)


def read(value: bytes) -> Authorization:
    answer = parse_authorization(value)
    assert answer is not None
    return answer


def expected(answer: Authorization, password: bytes, method: bytes = b"GET", body: bytes = b""):
    key = ha1(answer.algorithm, answer.username, answer.realm, password)
    return response(key, method, body, answer)


@pytest.mark.parametrize(
    ("algorithm", "digits"),
    [
        (b"MD5", b"8ca523f5e9506fed4657c9700eebdbec"),
        (b"SHA-256", b"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_rfc7616_3_9_1(algorithm: bytes, digits: bytes) -> None:
    answer = read(b'Digest %b, algorithm=%b, response="%b"' % (MUFASA, algorithm, digits))
    assert expected(answer, b"Circle of Life") == answer.response == digits
    assert answer.count == 1
    assert answer.qop is Qop.AUTH


def test_rfc7616_3_9_2_with_the_hashes_of_erratum_4897() -> None:
    """The RFC's own were made with SHA-512 cut to half, which is not SHA-512/256."""
    user = "J\u00e4s\u00f8n Doe".encode()
    hashed = Algorithm.SHA_512_256.hash(user, b"api@example.org")
    assert hashed == b"793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
    digits = b"3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"
    answer = read(DOE % (hashed, digits))
    assert answer.userhash
    key = ha1(answer.algorithm, user, answer.realm, b"Secret, or not?")
    assert response(key, b"GET", b"", answer) == answer.response


def test_rfc2617_3_5() -> None:
    answer = read(
        b'Digest username="Mufasa", realm="testrealm@host.com",'
        b' nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", qop=auth,'
        b' nc=00000001, cnonce="0a4f113b", response="6629fae49393a05397450978507c4ef1",'
        b' opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    assert not answer.named
    assert answer.algorithm is Algorithm.MD5
    assert expected(answer, b"Circle Of Life") == answer.response


def test_rfc2069_without_qop() -> None:
    """The same as RFC 2617 §3.5 without qop; worked out with md5sum(1)."""
    answer = read(
        b'Digest username="Mufasa", realm="testrealm@host.com",'
        b' nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html",'
        b' response="670fd8c2df070c60b045671b8b24ff02"'
    )
    assert (answer.qop, answer.count) == (None, 0)
    assert expected(answer, b"Circle Of Life") == answer.response


@pytest.mark.parametrize("algorithm", list(Algorithm))
@pytest.mark.parametrize("qop", [None, *Qop])
def test_every_algorithm_and_qop_hashes_something_of_its_own(
    algorithm: Algorithm, qop: Qop | None
) -> None:
    answer = Authorization(
        b"bob", b"sip", b"nonce", b"sip:1@x", b"", algorithm, qop=qop, cnonce=b"abc",
        nc=b"00000001" if qop else b"",
    )  # fmt: skip
    digits = expected(answer, b"secret", b"INVITE", b"body")
    assert len(digits) == algorithm.digits
    seen = set()
    for other in Algorithm:
        for one in (None, *Qop):
            answer.algorithm, answer.qop = other, one
            answer.nc = b"00000001" if one else b""
            seen.add(expected(answer, b"secret", b"INVITE", b"body"))
    assert len(seen) == len(Algorithm) * 3
    assert digits in seen


def test_auth_int_covers_the_body_and_auth_does_not() -> None:
    answer = Authorization(b"bob", b"sip", b"n", b"sip:1@x", b"", cnonce=b"c", nc=b"00000001")
    for qop, same in ((Qop.AUTH, True), (Qop.AUTH_INT, False)):
        answer.qop = qop
        hashes = {expected(answer, b"secret", b"INVITE", body) for body in (b"one", b"two")}
        assert (len(hashes) == 1) is same


def test_what_is_compared_is_the_whole_response() -> None:
    assert equal(b"abc", b"abc")
    assert not equal(b"abc", b"abd")
    assert not equal(b"abc", b"ab")


@pytest.mark.parametrize(
    "value",
    [
        b'Digest realm="atlanta.com", nonce="84a4", algorithm=SHA-256, qop="auth,auth-int"',
        b'DIGEST\trealm="atlanta.com" ,nonce = "84a4",ALGORITHM="sha-256",Qop="Auth , auth-int"',
        b'digest  , realm=atlanta.com,, nonce=84a4, algorithm=Sha-256, qop="auth,new,auth-int",',
        b'Digest realm="atlant\\a.com", nonce="84a4", algorithm=SHA-256, charset=UTF-8,'
        b' domain="sip:ss1.carrier.com", qop="auth,auth-int,auth"',
    ],
)
def test_challenges_in_the_spellings_that_are_met(value: bytes) -> None:
    found = parse_challenge(value)
    assert found == Challenge(
        b"atlanta.com", b"84a4", Algorithm.SHA_256, True, (Qop.AUTH, Qop.AUTH_INT)
    )


def test_a_challenge_without_algorithm_and_qop_is_of_rfc2069() -> None:
    found = parse_challenge(b'Digest realm="a, \\"b\\"", nonce="", stale="TRUE", opaque=""')
    assert found == Challenge(
        b'a, "b"', b"", Algorithm.MD5, named=False, qop=None, stale=True, opaque=b""
    )
    assert bytes(found) == b'Digest realm="a, \\"b\\"", nonce="", opaque="", stale=true'


def test_a_qop_that_nobody_knows_is_not_the_absence_of_one() -> None:
    found = parse_challenge(b'Digest realm="a", nonce="b", qop="token"')
    assert found is not None
    assert found.qop == ()


@pytest.mark.parametrize(
    "value",
    [
        b"Basic YWxhZGRpbg==",
        b"Bearer",
        b'Digest realm="a", nonce="b", algorithm=SHA3-256',
        b'Digest realm="a", nonce="b", algorithm=AKAv1-MD5',
    ],
)
def test_schemes_and_algorithms_that_we_do_not_know_are_passed_over(value: bytes) -> None:
    assert parse_challenge(value) is None
    assert parse_authorization(value) is None


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b'"Digest" realm="a", nonce="b"',
        b"Digest",
        b'Digest realm="a"',
        b'Digest nonce="a"',
        b'Digest realm="a", nonce="b", nonce="c"',
        b'Digest realm="a", nonce="b',
        b'Digest realm="a"b, nonce="c"',
        b'Digest realm="a", nonce',
        b'Digest realm="a", nonce="b", @="c"',
        b'Digest realm="a\r\nRoute: x", nonce="b"',
        b'Digest realm="a\x00", nonce="b"',
        b'Digest realm="a", nonce="b", ' + b", ".join([b"x%d=1" % n for n in range(40)]),
    ],
)
def test_malformed_challenges_are_refused(value: bytes) -> None:
    with pytest.raises(ParseError):
        parse_challenge(value)


GOOD = (
    b'Digest username="bob", realm="r", nonce="n", uri="sip:1@x", '
    b'response="6629fae49393a05397450978507c4ef1"'
)


@pytest.mark.parametrize(
    "value",
    [
        GOOD + b", qop=auth, nc=00000001, cnonce=c",
        GOOD + b', qop="auth", nc="00000001", cnonce="c", algorithm="md5"',
        GOOD.replace(b"6629fae4", b"6629FAE4") + b', qop="AUTH", nc=00000001,cnonce="c"',
        GOOD.replace(b'"sip:1@x"', b"sip:1@x") + b", qop=auth,nc=00000001,cnonce=c",
    ],
)
def test_authorizations_in_the_spellings_that_are_met(value: bytes) -> None:
    answer = read(value)
    assert (answer.username, answer.uri, answer.qop) == (b"bob", b"sip:1@x", Qop.AUTH)
    assert (answer.nc, answer.cnonce) == (b"00000001", b"c")
    assert answer.response == b"6629fae49393a05397450978507c4ef1"


def test_a_user_name_that_no_quoted_string_holds() -> None:
    """RFC 7616 §3.9.2 gives the form, from RFC 5987."""
    named = GOOD.replace(b'username="bob"', b"username*=UTF-8''J%C3%A4s%C3%B8n%20Doe")
    assert read(named).username == "J\u00e4s\u00f8n Doe".encode()
    with pytest.raises(ParseError):
        parse_authorization(named.replace(b"UTF-8", b"latin-1"))


@pytest.mark.parametrize(
    "value",
    [
        b"Digest",
        GOOD.replace(b'username="bob", ', b""),
        GOOD.replace(b'realm="r", ', b""),
        GOOD.replace(b'nonce="n", ', b""),
        GOOD.replace(b'uri="sip:1@x", ', b""),
        GOOD.replace(b"ef1", b"ef"),
        GOOD.replace(b"ef1", b"efg"),
        GOOD + b", algorithm=SHA-256",
        GOOD + b", qop=auth",
        GOOD + b", qop=auth, nc=00000001",
        GOOD + b", qop=auth, nc=1, cnonce=c",
        GOOD + b", qop=auth, nc=0000000g, cnonce=c",
        GOOD + b', username="alice"',
    ],
)
def test_malformed_authorizations_are_refused_without_telling_what_they_held(value: bytes) -> None:
    with pytest.raises(ParseError) as caught:
        parse_authorization(value)
    assert "6629fae4" not in str(caught.value)


def test_an_unknown_qop_is_no_answer() -> None:
    assert parse_authorization(GOOD + b", qop=token, nc=00000001, cnonce=c") is None


TEXTS = st.binary(max_size=40).filter(lambda text: not any(c < 32 or c == 127 for c in text))


@given(st.binary(max_size=300))
@example(b"Digest =")
@example(b"Digest\t")
def test_any_bytes_are_read_or_refused(value: bytes) -> None:
    for parser in (parse_challenge, parse_authorization):
        for text in (value, b"Digest " + value):
            with contextlib.suppress(ParseError):
                parser(text)


@given(
    st.builds(
        Challenge,
        TEXTS,
        TEXTS,
        st.sampled_from(Algorithm),
        st.just(True),
        st.none() | st.lists(st.sampled_from(Qop), unique=True).map(tuple),
        st.booleans(),
        st.none() | TEXTS,
    )
)
def test_a_challenge_reads_back_as_it_was_written(challenge: Challenge) -> None:
    assert parse_challenge(bytes(challenge)) == challenge


@given(TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, st.sampled_from(Algorithm), st.sampled_from(Qop))
def test_an_authorization_reads_back_as_it_was_written(
    user: bytes, realm: bytes, nonce: bytes, uri: bytes, cnonce: bytes, algorithm: Algorithm,
    qop: Qop,
) -> None:  # fmt: skip
    answer = Authorization(
        user, realm, nonce, uri, b"0" * algorithm.digits, algorithm, True, qop, b"0000000a", cnonce
    )
    assert parse_authorization(bytes(answer)) == answer
    plain = Authorization(user, realm, nonce, uri, b"0" * algorithm.digits, algorithm)
    assert parse_authorization(bytes(plain)) == plain
    plain.opaque, plain.cnonce, plain.userhash = b"", b"c", True
    assert parse_authorization(bytes(plain)) == plain
