"""RFC 5118: the torture messages for IPv6."""

from __future__ import annotations

import pytest

from sbc.errors import ParseError
from sbc.sip.message import Request
from sbc.sip.parser import BadRequest, parse
from sbc.sip.serialise import ReplyBase
from sbc.sip.uri import SipUri
from tests.sip.vectors import RFC5118, RFC5118_TEXT

PARSES = 0
WRONG_LENGTH = pytest.mark.xfail(
    reason="the RFC says Content-Length: 268 for the 251 bytes it prints", raises=BadRequest
)
CASES = [
    pytest.param("ipv6-good", PARSES, id="4.1-ipv6-good"),
    pytest.param("ipv6-bad", 400, id="4.2-ipv6-bad"),
    pytest.param("port-ambiguous", PARSES, id="4.3-port-ambiguous"),
    pytest.param("port-unambiguous", PARSES, id="4.4-port-unambiguous"),
    pytest.param("via-received-param-with-delim", PARSES, id="4.5-with-delim"),
    pytest.param("via-received-param-no-delim", PARSES, id="4.5-no-delim"),
    pytest.param("ipv6-in-sdp", PARSES, id="4.6-ipv6-in-sdp", marks=WRONG_LENGTH),
    pytest.param("mult-ip-in-header", PARSES, id="4.7-mult-ip-in-header"),
    pytest.param("mult-ip-in-sdp", PARSES, id="4.8-mult-ip-in-sdp"),
    pytest.param("ipv4-mapped-ipv6", PARSES, id="4.9-ipv4-mapped-ipv6"),
    pytest.param("ipv6-bug-abnf-3-colons", PARSES, id="4.10-three-colons"),
    pytest.param("ipv6-correct-abnf-2-colons", PARSES, id="4.10-two-colons"),
]


def parsed(name: str) -> Request:
    message = parse(RFC5118[name])
    assert isinstance(message, Request)
    return message


def target(name: str) -> SipUri:
    uri = parsed(name).target
    assert isinstance(uri, SipUri)
    return uri


def test_the_table_is_whole():
    assert sorted(case.values[0] for case in CASES) == sorted(RFC5118)


@pytest.mark.parametrize(("name", "outcome"), CASES)
def test_datagram(name: str, outcome: int):
    if outcome == PARSES:
        parsed(name)
        return
    with pytest.raises(BadRequest) as caught:
        parse(RFC5118[name])
    assert caught.value.status == outcome
    assert caught.value.reply_to is not None


def test_ipv6_in_sdp_with_the_length_put_right():
    data = RFC5118["ipv6-in-sdp"].replace(b"Content-Length: 268", b"Content-Length: 251")
    assert parse(data).via.host == b"2001:db8::20"


@pytest.mark.parametrize("name", ["ipv6-good", "ipv6-correct-abnf-2-colons"])
def test_a_datagram_with_nothing_but_lf_is_read(name: str):
    """Tolerated where no CR is anywhere in the head; see `sbc.sip.parser`."""
    assert parse(RFC5118_TEXT[name]).call_id == parsed(name).call_id


def test_ports():
    """§4.3: without brackets the port is part of the address; §4.4: with them it is a port."""
    ambiguous = target("port-ambiguous")
    assert (ambiguous.host, ambiguous.port) == (b"2001:db8::10:5070", None)
    unambiguous = target("port-unambiguous")
    assert (unambiguous.host, unambiguous.port) == (b"2001:db8::10", 5070)


@pytest.mark.parametrize("name", ["via-received-param-with-delim", "via-received-param-no-delim"])
def test_received_with_and_without_brackets(name: str):
    assert parsed(name).via.received == b"2001:db8::9:255"


def test_received_is_written_without_brackets():
    """§4.5: what the grammar of `via-received` says."""
    base = ReplyBase(parsed("ipv6-good"), ("2001:db8::77", 5060))
    assert b";received=2001:db8::77\r\n" in base.build(200)
    assert base.destination == ("2001:db8::77", 5060)


def test_addresses_of_both_families():
    request = parsed("mult-ip-in-header")
    assert [via.split(b" ")[1].split(b";")[0] for via in request.values(b"via")] == [
        b"[2001:db8::9:1]:6050",
        b"192.0.2.1",
        b"[2001:db8::9:255]",
    ]
    assert request.via.port == 6050
    assert parsed("ipv4-mapped-ipv6").via.host == b"::ffff:192.0.2.10"


def test_three_colons_are_tolerated():
    """§4.10: the grammar of RFC 3261 had a colon too many before an IPv4 tail (RFC 5954)."""
    assert target("ipv6-bug-abnf-3-colons").host == b"2001:db8:::192.0.2.1"


@pytest.mark.parametrize(
    "host",
    [b"::", b"::1", b"1::", b"1:2:3:4:5:6:7:8", b"1:2:3:4:5:6:192.0.2.1", b"::ffff:1.2.3.4"],
)
def test_addresses(host: bytes):
    uri = parse_target(host)
    assert uri.host == host


@pytest.mark.parametrize(
    "host",
    [b"", b":", b"1", b"1:2:3:4:5:6:7", b"1:2:3:4:5:6:7:8:9", b"1::2::3", b"12345::", b"g::",
     b"::1.2.3", b"::1.2.3.256", b"1.2.3.4::", b"1:2:3:4:5:6:7::8", b"::1%eth0"],
)  # fmt: skip
def test_no_addresses(host: bytes):
    with pytest.raises(ParseError):
        parse_target(host)


def parse_target(host: bytes) -> SipUri:
    message = parse(RFC5118["ipv6-good"].replace(b"[2001:db8::10]", b"[%b]" % host))
    assert isinstance(message, Request)
    assert isinstance(message.target, SipUri)
    return message.target
