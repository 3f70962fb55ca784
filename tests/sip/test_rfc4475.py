"""RFC 4475: every torture message, and what this parser says to it.

A number is the status of the ParseError. `PARSES` where the RFC says valid, where the fault is
one of meaning that the layer above answers (420, 416, 415 …), or where it allows to be liberal.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from sbc.errors import ParseError
from sbc.sip.message import Request, Response
from sbc.sip.parser import BadRequest, parse
from sbc.sip.serialise import ReplyBase
from sbc.sip.stream import FramingError, KeepAlive, StreamFramer
from sbc.sip.uri import OtherUri, SipUri, parse_uri, unescape
from tests.sip.vectors import RFC4475

PARSES = 0
SOURCE = ("192.0.2.99", 5099)


class Case(NamedTuple):
    name: str
    section: str
    outcome: int
    remark: str = ""


CASES = [
    Case("wsinv", "3.1.1.1", PARSES),
    Case("intmeth", "3.1.1.2", PARSES),
    Case("esc01", "3.1.1.3", PARSES),
    Case("escnull", "3.1.1.4", PARSES),
    Case("esc02", "3.1.1.5", PARSES),
    Case("lwsdisp", "3.1.1.6", PARSES),
    Case("longreq", "3.1.1.7", PARSES),
    Case("dblreq", "3.1.1.8", PARSES, "the second request of the datagram is dropped"),
    Case("semiuri", "3.1.1.9", PARSES),
    Case("transports", "3.1.1.10", PARSES),
    Case("mpart01", "3.1.1.11", PARSES),
    Case("unreason", "3.1.1.12", PARSES),
    Case("noreason", "3.1.1.13", PARSES),
    Case("badinv01", "3.1.2.1", 400),
    Case("clerr", "3.1.2.2", 400),
    Case("ncl", "3.1.2.3", 400),
    Case("scalar02", "3.1.2.4", 400),
    Case("scalarlg", "3.1.2.5", 400, "a response: dropped"),
    Case("quotbal", "3.1.2.6", 400),
    Case("ltgtruri", "3.1.2.7", 400),
    Case("lwsruri", "3.1.2.8", 400),
    Case("lwsstart", "3.1.2.9", 400),
    Case("trws", "3.1.2.10", 400),
    Case("escruri", "3.1.2.11", 400),
    Case("baddate", "3.1.2.12", PARSES, "Date is never read"),
    Case("regbadct", "3.1.2.13", PARSES, "400 where Contact is read"),
    Case("badaspec", "3.1.2.14", 400),
    Case("baddn", "3.1.2.15", PARSES, "the missing quotes are inferred, as the RFC allows"),
    Case("badvers", "3.1.2.16", 505),
    Case("mismatch01", "3.1.2.17", 400),
    Case("mismatch02", "3.1.2.18", 400, "501 would be as good"),
    Case("bigcode", "3.1.2.19", 400, "a response: dropped"),
    Case("badbranch", "3.2.1", PARSES, "the transaction layer takes it for RFC 2543"),
    Case("insuf", "3.3.1", 400),
    Case("unkscm", "3.3.2", PARSES, "416 above"),
    Case("novelsc", "3.3.3", PARSES, "416 above"),
    Case("unksm2", "3.3.4", PARSES),
    Case("bext01", "3.3.5", PARSES, "420 above"),
    Case("invut", "3.3.6", PARSES, "415 above"),
    Case("regaut01", "3.3.7", PARSES),
    Case("multi01", "3.3.8", 400),
    Case("mcl01", "3.3.9", 400),
    Case(
        "bcast", "3.3.10", PARSES, "a response with two Vias is dropped above (RFC 3261 §8.1.3.3)"
    ),
    Case("zeromf", "3.3.11", PARSES, "483 above, where it is not for us"),
    Case("cparam01", "3.3.12", PARSES),
    Case("cparam02", "3.3.13", PARSES),
    Case("regescrt", "3.3.14", PARSES),
    Case("sdp01", "3.3.15", PARSES, "406 above"),
    Case("inv2543", "3.4.1", PARSES),
]


def parsed(name: str) -> Request:
    message = parse(RFC4475[name])
    assert isinstance(message, Request)
    return message


def test_the_table_is_whole():
    assert sorted(case.name for case in CASES) == sorted(RFC4475)
    assert len(CASES) == 49


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.section}-{case.name}")
def test_datagram(case: Case):
    data = RFC4475[case.name]
    if case.outcome == PARSES:
        message = parse(data)
        assert isinstance(message, Response if data.startswith(b"SIP/") else Request)
        assert message.call_id
        assert message.from_.uri
        assert message.to.uri
        return
    with pytest.raises(ParseError) as caught:
        parse(data)
    assert caught.value.status == case.outcome
    assert isinstance(caught.value, BadRequest) is not data.startswith(b"SIP/")


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.outcome and not RFC4475[case.name].startswith(b"SIP/")],
    ids=lambda case: case.name,
)
def test_every_malformed_request_can_be_answered(case: Case):
    with pytest.raises(BadRequest) as caught:
        parse(RFC4475[case.name])
    assert caught.value.reply_to is not None
    base = ReplyBase(caught.value.reply_to, SOURCE)
    assert base.destination[0] == SOURCE[0]
    answer = base.build(caught.value.status, to_tag=b"ours")
    assert answer.startswith(b"SIP/2.0 %d " % case.outcome)
    for line in RFC4475[case.name].split(b"\r\n"):
        if line.startswith((b"From:", b"Call-ID:", b"CSeq:")) and case.name != "multi01":
            assert line + b"\r\n" in answer


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_stream(case: Case):
    """A fresh connection each: what has no usable Content-Length ends it, all else is framed."""
    data = RFC4475[case.name]
    if not data.endswith(b"\r\n\r\n") and b"\r\n\r\n" not in data:
        data += b"\r\n"
    framer = StreamFramer()
    if case.name in ("mcl01", "ncl", "inv2543"):
        with pytest.raises(FramingError) as caught:
            framer.feed(data)
        assert caught.value.reply_to is not None
        return
    if case.name == "clerr":  # waits for the rest
        assert framer.feed(data) == []
        assert len(framer) == len(data)
        return
    try:
        frames = framer.feed(data)
    except FramingError as error:  # what trails the message is none
        frames = error.frames
    assert isinstance(frames[0], bytes)
    assert data.startswith(frames[0])


def test_two_requests_on_a_stream():
    """§3.1.1.8: what trails a datagram is the next message of a stream."""
    with pytest.raises(FramingError) as caught:  # the second says one byte too few
        StreamFramer().feed(RFC4475["dblreq"])
    first, keep_alive, second = caught.value.frames
    assert isinstance(first, bytes)
    assert parse(first).cseq_method == b"REGISTER"
    assert keep_alive is KeepAlive.PONG
    assert isinstance(second, bytes)
    assert parse(second).cseq_method == b"INVITE"


def test_wsinv():
    invite = parsed("wsinv")
    assert invite.to_tag == b"1918181833n"
    assert invite.from_tag == b"98asjd8"
    assert invite.from_.display == rb"J Rosenberg \""
    assert invite.max_forwards == 68
    assert (invite.cseq, invite.cseq_method) == (9, b"INVITE")
    assert (invite.via.transport, invite.via.host) == (b"UDP", b"192.0.2.2")
    assert invite.via.branch == b"390skdjuw"
    assert len(invite.values(b"via")) == 3
    assert invite.first(b"subject") == b""
    assert invite.first(b"newfangledheader") == b"newfangled value continued newfangled value"
    contact = invite.contact
    assert contact is not None
    assert contact.display == b'Quoted string ""'
    assert contact.params == {b"newparam": b"newvalue", b"secondparam": b"", b"q": b"0.33"}
    assert invite.values(b"route") == [
        b"<sip:services.example.com;lr;unknownwith=value;unknown-no-value>"
    ]
    assert len(invite.body) == 150


def test_wsinv_lines_stay_folded():
    lines = parsed("wsinv").lines(frozenset({b"newfangledheader", b"route"}))
    assert lines == (
        b"NewFangledHeader:   newfangled value\r\n continued newfangled value\r\n"
        b"Route:\r\n <sip:services.example.com;lr;unknownwith=value;unknown-no-value>\r\n"
    )


def test_intmeth():
    request = parsed("intmeth")
    assert request.method == b"!interesting-Method0123456789_*+`.%indeed'~"
    assert request.to.display == b"BEL:\x07 NUL:\x00 DEL:\x7f"
    assert request.from_tag == b"_token~1'+`*%!-."
    assert request.via.branch == b"z9hG4bK-.!%66*_+`'~"
    assert request.first(b"extensionheader-!.%*+_`'~") == "\ufeff大停電".encode()
    assert request.max_forwards == 255
    assert isinstance(request.target, SipUri)
    assert request.target.host == b"example.com"


def test_escapes():
    esc01 = parsed("esc01")
    assert isinstance(esc01.target, SipUri)
    assert esc01.target.user == b"sips%3Auser%40example.com"
    assert esc01.contact is not None
    contact = parse_uri(esc01.contact.uri)
    assert isinstance(contact, SipUri)
    assert contact.params == {b"lr": b"", b"name": b"v%61lue%25%34%31"}
    assert unescape(contact.params[b"name"]) == b"value%41"
    esc02 = parsed("esc02")
    assert esc02.method == b"RE%47IST%45R"
    assert len(esc02.every(b"contact")) == 2
    assert esc02.first(b"c%6fntact") == b"<sip:alias2@host2.example.com>"
    escnull = parsed("escnull")
    assert [parse_uri(uri.strip(b"<>")).user for uri in escnull.every(b"contact")] == [
        b"%00",
        b"%00%00",
    ]


def test_long_values_and_many_vias():
    longreq = parsed("longreq")
    assert len(longreq.every(b"via")) == 34
    assert longreq.via.host == b"sip33.example.com"
    assert longreq.via.branch == b""


def test_datagram_drops_what_trails():
    assert parsed("dblreq").body == b""


def test_semicolons_in_the_user_part():
    target = parsed("semiuri").target
    assert isinstance(target, SipUri)
    assert (target.user, target.host) == (b"user;par=u%40example.net", b"example.com")


def test_transports():
    assert len(parsed("transports").values(b"via")) == 5


def test_reason_phrases():
    assert parse(RFC4475["noreason"]).reason == b""
    assert parse(RFC4475["unreason"]).reason.startswith(b"= 2**3 * 5**2 ")


def test_contact_outside_brackets():
    """§3.1.2.13: a `?` outside <> is malformed; §3.3.12: a `;` belongs to the header."""
    with pytest.raises(ParseError) as caught:
        _ = parsed("regbadct").contact
    assert caught.value.status == 400
    contact = parsed("cparam01").contact
    assert contact is not None
    assert contact.params == {b"unknownparam": b""}
    contact = parsed("cparam02").contact
    assert contact is not None
    assert contact.params == {}


def test_unknown_schemes():
    assert parsed("unkscm").target == OtherUri(b"nobodyknowsthisscheme", b"totallyopaquecontent")
    assert parsed("novelsc").target == OtherUri(b"soap.beep", b"//192.0.2.103:3002")
    assert parsed("unksm2").to.uri == b"isbn:2983792873"


def test_inferred_quotes():
    assert parsed("baddn").from_.display == b"Bell, Alexander"


def test_missing_headers_are_named():
    with pytest.raises(BadRequest, match="from: missing"):
        parse(RFC4475["insuf"])


def test_rfc2543():
    invite = parsed("inv2543")
    assert invite.from_tag == b""
    assert invite.via.branch == b""
