"""`sbc.sip.uri`: RFC 3261 §19.1, RFC 3966."""

from __future__ import annotations

import pytest

from sbc.errors import ParseError
from sbc.sip.uri import OtherUri, SipUri, TelUri, parse_uri, unescape


def sip(value: bytes) -> SipUri:
    uri = parse_uri(value)
    assert isinstance(uri, SipUri)
    return uri


def test_all_parts():
    uri = sip(b"sips:alice:secret@atlanta.example:5061;Transport=TCP;lr?subject=x&to=y")
    assert uri.scheme == b"sips"
    assert (uri.user, uri.password) == (b"alice", b"secret")
    assert (uri.host, uri.port) == (b"atlanta.example", 5061)
    assert uri.params == {b"transport": b"TCP", b"lr": b""}
    assert uri.headers == b"subject=x&to=y"
    assert uri.transport == b"TCP"
    assert sip(b"sip:a;transport=udp").transport == b"UDP"
    assert sip(b"sip:a").transport == b""


def test_ipv6():
    uri = sip(b"sip:a@[2001:db8::1]:5062;lr")
    assert (uri.host, uri.port) == (b"2001:db8::1", 5062)
    assert bytes(uri) == b"sip:a@[2001:db8::1]:5062;lr"


@pytest.mark.parametrize(
    "value",
    [b"", b"sip", b"sip:", b":a", b"1a:b", b"sip:a b", b"sip:a@", b"sip:@a", b"sip:a@b@c",
     b"sip:a@b:", b"sip:a@b:0", b"sip:a@b:99999", b"sip:a@b:5o", b"sip:a@b;", b"sip:a@b;;c",
     b"sip:a@b;=c", b"sip:a@b;c;C", b"sip:a@b;lr;%6Cr", b'sip:"a"@b', b"sip:<a>@b", b"sip:a@[1",
     b"sip:a@[]", b"sip:a@b/c", b"sip:a@b;c=d@e", b"sip:a@b?", b"tel:", b"tel:;a", b"x:a b",
     b"x:", b"x:<",
     b"sip:\xe9", b"sip:a@b;c=\xe9", b"sip:a\x00@b"],
)  # fmt: skip
def test_malformed(value: bytes):
    with pytest.raises(ParseError):
        parse_uri(value)


def test_other_schemes():
    assert parse_uri(b"TEL:+1-202;phone-context=x") == TelUri(b"+1-202", {b"phone-context": b"x"})
    assert parse_uri(b"tel:911") == TelUri(b"911", {})
    assert parse_uri(b"URN:service:sos") == OtherUri(b"urn", b"service:sos")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"sip:%61lice@atlanta.com;transport=TCP", b"sip:alice@AtLanTa.CoM;Transport=tcp"),
        (b"sip:carol@chicago.com", b"sip:carol@chicago.com;newparam=5"),
        (b"sip:carol@chicago.com", b"sip:carol@chicago.com;security=on"),
        (b"sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
         b"sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com"),
        (b"sip:alice@atlanta.com?subject=project%20x&priority=urgent",
         b"sip:alice@atlanta.com?priority=urgent&subject=project%20x"),
    ],
)  # fmt: skip
def test_equal(one: bytes, other: bytes):
    """The examples of §19.1.4."""
    assert sip(one) == sip(other)
    assert hash(sip(one)) == hash(sip(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"SIP:ALICE@AtLanTa.CoM;Transport=udp", b"sip:alice@AtLanTa.CoM;Transport=UDP"),
        (b"sip:bob@biloxi.com", b"sip:bob@biloxi.com:5060"),
        (b"sip:bob@biloxi.com", b"sip:bob@biloxi.com;transport=udp"),
        (b"sip:bob@biloxi.com", b"sip:bob@biloxi.com:6000;transport=tcp"),
        (b"sip:carol@chicago.com", b"sip:carol@chicago.com?Subject=next%20meeting"),
        (b"sip:bob@phone21.boxesbybob.com", b"sip:bob@192.0.2.4"),
        (b"sip:carol@chicago.com;security=on", b"sip:carol@chicago.com;security=off"),
        (b"sip:a@b", b"sips:a@b"),
        (b"sip:a@b", b"sip:a@b;maddr=c"),
    ],
)
def test_not_equal(one: bytes, other: bytes):
    assert sip(one) != sip(other)
    assert sip(one) != one


def test_escapes():
    assert unescape(b"%61%zz%4") == b"a%zz%4"
    uri = sip(b"sip:a@b;%6Cr;%3Bmaddr=c")
    assert uri.params == {b"lr": b"", b";maddr": b"c"}
    assert bytes(uri) == b"sip:a@b;lr;%3Bmaddr=c"


def test_password_and_headers_come_back():
    value = b"sip:alice:secret@b:5062;lr?subject=x"
    assert bytes(sip(value)) == value
