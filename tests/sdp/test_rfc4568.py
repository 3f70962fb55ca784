"""SDES keys in SDP: what is taken, what is passed over, and that nothing raises (RFC 4568)."""

from __future__ import annotations

from base64 import b64encode
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.errors import ParseError
from sbc.sdp.crypto import CryptoLine, Suite, crypto_lines, new_line, parse_crypto

KEY_30 = bytes(range(30))
INLINE = b"inline:" + b64encode(KEY_30)


def test_the_line_of_rfc_4568() -> None:
    line = parse_crypto(
        b"a=crypto:1 AES_CM_128_HMAC_SHA1_80"
        b" inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR|2^20|1:32"
    )
    assert line.tag == 1
    assert line.suite is Suite.AES_CM_128_HMAC_SHA1_80
    assert line.key == b"=-n@%^x!Bjufr9)?,#5h\\`=&]{qiPQ"
    assert line.mki == bytes(31) + b"\x01"


@pytest.mark.parametrize("suite", list(Suite))
def test_what_we_write_is_what_we_read(suite: Suite) -> None:
    ours = new_line(7, suite, lambda count: bytes(range(200, 200 + count)))
    ours.mki = b"\x00\x05"
    theirs = parse_crypto(ours.text().removeprefix(b"\r\n"))
    assert theirs == ours


@pytest.mark.parametrize("padding", [b"", b"=", b"==", b"==="])
def test_padding_may_be_missing_or_too_long(padding: bytes) -> None:
    key = bytes(range(46))
    inline = b64encode(key).rstrip(b"=") + padding
    assert parse_crypto(b"a=crypto:1 AES_256_CM_HMAC_SHA1_80 inline:" + inline).key == key


@pytest.mark.parametrize(
    ("further", "lifetime", "mki"),
    [
        (b"", 0, b""),
        (b"|2^48", 1 << 48, b""),
        (b"|1048576", 1 << 20, b""),
        (b"|4:2", 0, b"\0\4"),
        (b"|2^31|9:1", 1 << 31, b"\x09"),
    ],
)
def test_lifetime_and_mki_may_be_said_or_not(further: bytes, lifetime: int, mki: bytes) -> None:
    line = parse_crypto(b"a=crypto:1 AES_CM_128_HMAC_SHA1_32 " + INLINE + further)
    assert (line.key, line.lifetime, line.mki) == (KEY_30, lifetime, mki)


@pytest.mark.parametrize(
    "further", [b" WSH=128", b" KDR=0", b" wsh=64 kdr=0", b" -FRESH", b" -x=1 WSH=64"]
)
def test_harmless_session_parameters_are_taken(further: bytes) -> None:
    assert parse_crypto(b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 " + INLINE + further)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"AES_CM_128_HMAC_SHA1_80 %b UNENCRYPTED_SRTP", "UNENCRYPTED_SRTP is not taken"),
        (b"AES_CM_128_HMAC_SHA1_80 %b UNENCRYPTED_SRTCP", "UNENCRYPTED_SRTCP is not taken"),
        (b"AES_CM_128_HMAC_SHA1_80 %b UNAUTHENTICATED_SRTP", "UNAUTHENTICATED_SRTP is not taken"),
        (b"AES_CM_128_HMAC_SHA1_80 %b KDR=4", "KDR is not taken"),
        (b"AES_CM_128_HMAC_SHA1_80 %b FEC_ORDER=FEC_SRTP", "FEC_ORDER is not taken"),
        (b"AES_CM_128_HMAC_SHA1_80 %b FRESH", "FRESH is not taken"),
        (b"AES_CM_128_HMAC_SHA1_80 %b -FRESH KDR=1", "KDR is not taken"),
        (b"AES_CM_128_HMAC_SHA1_80 %b %b", "of an unknown kind is not taken"),
        (b"F8_128_HMAC_SHA1_80 %b", "F8_128_HMAC_SHA1_80 is not one of ours"),
        (b"AES_256_CM_HMAC_SHA1_80 %b", "expected 46 bytes"),
        (b"AES_CM_128_HMAC_SHA1_80 %b|2^99", "lifetime from 1 to 2^48"),
        (b"AES_CM_128_HMAC_SHA1_80 %b|0", "lifetime from 1 to 2^48"),
        (b"AES_CM_128_HMAC_SHA1_80 %b|2^20|300:1", "MKI that does not fit"),
        (b"AES_CM_128_HMAC_SHA1_80 %b|2^20|1:129", "MKI that does not fit"),
        (b"AES_CM_128_HMAC_SHA1_80 %b|1:1|2^20", "|lifetime|MKI:length"),
        (b"AES_CM_128_HMAC_SHA1_80 %b;inline:AAAA", "got several"),
        (b"AES_CM_128_HMAC_SHA1_80 inline:!!!%b", "not base64"),
        (b"AES_CM_128_HMAC_SHA1_80 uri:x%b", "<tag> <suite> inline:<key>"),
    ],
)
def test_what_we_do_not_do_is_passed_over_with_a_reason(line: bytes, words: str) -> None:
    text = b"a=crypto:1 " + line.replace(b"%b", INLINE)
    if b"!!!" in line:
        text = b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:!!!"
    with pytest.raises(ParseError, match=words.replace("|", r"\|").replace("^", r"\^")) as caught:
        parse_crypto(text)
    assert b64encode(KEY_30).decode() not in str(caught.value)


def test_a_list_keeps_the_good_lines_in_order() -> None:
    good = b" AES_CM_128_HMAC_SHA1_80 " + INLINE
    taken, reasons = crypto_lines(
        [b"a=sendrecv", b"a=crypto:3" + good, b"a=crypto:x", b"a=crypto:1" + good, b"a=crypto:2 A"]
    )
    assert [line.tag for line in taken] == [3, 1]
    assert len(reasons) == 2


def test_a_flood_of_lines_is_cut() -> None:
    taken, reasons = crypto_lines([b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 " + INLINE] * 40)
    assert len(taken) == 16
    assert reasons == ["more than 16 crypto lines"]


def test_keys_are_not_in_the_repr() -> None:
    line = CryptoLine(1, Suite.AEAD_AES_128_GCM, b"AEAD_AES_128_GCM", b"secretsecret", b"mki")
    assert "secret" not in repr(line)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_line_or_a_parse_error(data: bytes) -> None:
    for text in (data, b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + data):
        with suppress(ParseError):
            assert len(parse_crypto(text).key) >= 28
