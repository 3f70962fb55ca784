"""`sbc.sip.parser` and the views of `sbc.sip.message`."""

from __future__ import annotations

import time

import pytest

from sbc.errors import ParseError
from sbc.sip.address import NameAddr
from sbc.sip.grammar import MAX_HEADERS, MAX_LINE_BYTES, MAX_MESSAGE_BYTES
from sbc.sip.parser import BadRequest, parse
from sbc.sip.uri import OtherUri, SipUri, TelUri
from tests.sip.build import head_lines, request, request_bytes, response


def status_of(data: bytes) -> int:
    with pytest.raises(ParseError) as caught:
        parse(data)
    return caught.value.status


def test_typed_fields():
    invite = request("Contact: <sip:alice@192.0.2.1:5062>", "c: Application/SDP ; charset=utf-8")
    assert invite.method == b"INVITE"
    assert invite.uri == b"sip:bob@example.com"
    assert invite.target == SipUri(b"sip", b"bob", b"", b"example.com", None, {}, b"")
    assert invite.call_id == b"c1@192.0.2.1"
    assert (invite.cseq, invite.cseq_method) == (1, b"INVITE")
    assert invite.from_ == NameAddr(b"Alice", b"sip:alice@example.com", {b"tag": b"a"})
    assert (invite.from_tag, invite.to_tag) == (b"a", b"")
    assert invite.via.branch == b"z9hG4bKa1"
    assert invite.max_forwards == 70
    assert invite.content_type == b"application/sdp"
    assert invite.contact is not None
    assert invite.contact.uri == b"sip:alice@192.0.2.1:5062"
    assert invite.contact is invite.contact


def test_what_is_not_there():
    invite = request(Max_Forwards=None)
    assert invite.contact is None
    assert invite.max_forwards is None
    assert invite.content_type == b""
    assert invite.retry_after is None
    assert invite.first(b"route") is None
    assert invite.every(b"route") == []
    assert invite.values(b"route") == []
    assert invite.lines(frozenset({b"route"})) == b""
    assert invite.raw(b"route") == b""
    assert invite.further(b"via") == b""


def test_response():
    ringing = response(status_line="SIP/2.0 180 Ringing", To="<sip:bob@example.com>;tag=b")
    assert (ringing.status, ringing.reason, ringing.to_tag) == (180, b"Ringing", b"b")


@pytest.mark.parametrize("line", ["SIP/2.0 200", "SIP/2.0 200 ", "sip/2.0 200 "])
def test_a_response_without_a_reason(line: str):
    assert response(status_line=line).reason == b""


@pytest.mark.parametrize("code", ["99", "700", "2000", "2OO", "", "-200", "+200", " 200"])
def test_no_status(code: str):
    assert status_of(f"SIP/2.0 {code} OK\r\n".encode() + head_lines() + b"\r\n") == 400


def test_names_are_canonical():
    invite = request("m: <sip:a@b>", "SUPPORTED: a", "k: b", "x-Own : 1")
    assert invite.names() == {
        b"via", b"max-forwards", b"from", b"to", b"call-id", b"cseq", b"contact", b"supported",
        b"x-own",
    }  # fmt: skip
    assert invite.every(b"supported") == [b"a", b"b"]
    assert invite.first(b"x-own") == b"1"


def test_lists():
    invite = request(
        'Contact: "a, b" <sip:a@x;p=",">;q=1 , <sip:c@x>', "Contact:", "Contact: sip:d@x,,sip:e@x"
    )
    assert invite.values(b"contact") == [
        b'"a, b" <sip:a@x;p=",">;q=1', b"<sip:c@x>", b"sip:d@x", b"sip:e@x",
    ]  # fmt: skip
    assert len(invite.every(b"contact")) == 3


def test_the_first_contact_of_a_list():
    invite = request('Contact: "a, b" <sip:a@x>;q=1, <sip:c@x>')
    assert invite.contact == NameAddr(b"a, b", b"sip:a@x", {b"q": b"1"})
    assert request("Contact: *").contact == NameAddr(b"", b"*", {})


def test_an_unclosed_quote_in_a_list():
    with pytest.raises(ParseError):
        request('Contact: "a <sip:a@x>, <sip:c@x>').values(b"contact")


def test_lines_are_byte_exact():
    invite = request("X-A:   1  ", "x-b:2", "X-A: 3", "X-C: \xe9\x00".encode().decode())
    assert invite.lines(frozenset({b"x-a", b"x-c"})) == (
        b"X-A:   1  \r\nX-A: 3\r\n" + "X-C: \xe9\x00\r\n".encode()
    )


def test_folding():
    invite = request(
        "Subject: one\r\n\t two \r\n three", "Z: \r\n  1", Via="SIP/2.0/UDP\r\n a;branch=b"
    )
    assert invite.first(b"subject") == b"one two three"
    assert invite.every(b"z") == [b"1"]
    assert invite.via.host == b"a"
    assert invite.raw(b"subject") == b"Subject: one\r\n\t two \r\n three\r\n"


def test_a_folded_line_may_hold_a_colon():
    invite = request("Subject: one\r\n To: two")
    assert invite.first(b"subject") == b"one To: two"
    assert invite.to.uri == b"sip:bob@example.com"


def test_the_start_line_is_not_folded():
    data = request_bytes().replace(b"SIP/2.0\r\n", b"SIP/2.0\r\n x\r\n", 1)
    assert status_of(data) == 400


@pytest.mark.parametrize("name", ["Via", "From", "To", "Call-ID", "CSeq"])
def test_missing(name: str):
    with pytest.raises(BadRequest, match="missing") as caught:
        parse(request_bytes(**{name: None}))
    assert (caught.value.reply_to is None) == (name in ("Via", "CSeq"))


@pytest.mark.parametrize(
    "line",
    ["From: <sip:x@y>;tag=2", "t: <sip:x@y>", "I: 2", "CSEQ: 1 INVITE", "Max-Forwards: 70",
     "Content-Type: a/b\r\nc: a/b", "Content-Length: 0\r\nl: 0"],
)  # fmt: skip
def test_twice(line: str):
    assert status_of(request_bytes(line)) == 400


@pytest.mark.parametrize(
    "line",
    ["INVITE sip:a@b", "INVITE sip:a@b  SIP/2.0", " INVITE sip:a@b SIP/2.0", "", "INVITE",
     "IN(VITE sip:a@b SIP/2.0", "INVITE <sip:a@b> SIP/2.0", "INVITE sip: SIP/2.0",
     "INVITE a@b SIP/2.0", "INVITE sip:a@b@c SIP/2.0", "INVITE sip:@b SIP/2.0",
     "INVITE sip:a@b:0 SIP/2.0", "INVITE sip:a@b:65536 SIP/2.0", "INVITE sip:a@b: SIP/2.0",
     "INVITE sip:a@b;x;x SIP/2.0", "INVITE sip:a@b;; SIP/2.0", "INVITE sip:a@b?h=1 SIP/2.0",
     "INVITE sip:a@[::1 SIP/2.0", "INVITE sip:a>b@c SIP/2.0", "INVITE tel:;a SIP/2.0",
     "INVITE sip:a@b SIP/2", "INVITE sip:a@b HTTP/1.1", "INVITE sip:a@b\tSIP/2.0"],
)  # fmt: skip
def test_request_line(line: str):
    assert status_of(line.encode() + b"\r\n" + head_lines() + b"\r\n") == 400


def test_versions():
    def with_version(version: bytes) -> bytes:
        return request_bytes().replace(b"SIP/2.0\r\n", version + b"\r\n", 1)

    assert status_of(with_version(b"SIP/3.0")) == 505
    assert status_of(with_version(b"SIP/1.10")) == 505
    assert status_of(b"SIP/3.0 200 OK\r\n" + head_lines() + b"\r\n") == 505
    assert parse(with_version(b"sip/2.0")).cseq == 1


@pytest.mark.parametrize(
    ("uri", "kind"),
    [("tel:+1-202-555-0100;phone-context=x", TelUri), ("urn:service:sos", OtherUri),
     ("sips:a@b:5061;transport=tcp", SipUri), ("SIP:a:b@c", SipUri), ("sip:*67#100@b", SipUri)],
)  # fmt: skip
def test_targets(uri: str, kind: type):
    data = request_bytes().replace(b"sip:bob@example.com SIP", uri.encode() + b" SIP", 1)
    assert type(parse(data).target) is kind


@pytest.mark.parametrize("cseq", ["", "1", "INVITE", "1 INVITE x", "-1 INVITE", "2147483648 INVITE",
                                  "1 OPTIONS", "1 invite", "1_0 INVITE", "0x1 INVITE"])  # fmt: skip
def test_bad_cseq(cseq: str):
    assert status_of(request_bytes(CSeq=cseq)) == 400


@pytest.mark.parametrize("cseq", ["0 INVITE", "2147483647 INVITE", f"{'0' * 5000}7   INVITE"])
def test_good_cseq(cseq: str):
    assert request(CSeq=cseq).cseq in (0, 7, 2**31 - 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [("Call-ID", ""), ("Call-ID", "a b"), ("Call-ID", "a\x01"), ("From", "<sip:a@b>;tag="),
     ("From", "<sip:a@b>;tag=a b"), ("From", "<sip:a@b>;tag=a;tag=b"), ("From", "<sip:a@b"),
     ("From", "sip:a@b>"), ("From", "sip:a@b?x=1"), ("From", '"a <sip:a@b>'), ("From", "<>"),
     ("From", "<sip:a@b>x"), ("From", "<sip:a@b>;"), ("From", "a"), ("From", 'a"b" <sip:a@b>'),
     ("To", "<sip:a b@c>"), ("To", ""), ("To", "<<sip:a@b>>"), ("To", '<sip:a@b>;tag="q"'),
     ("Via", ""), ("Via", "SIP/2.0/UDP"), ("Via", "SIP/3.0/UDP a"), ("Via", "SIP/2.0/UDP a:b"),
     ("Via", "SIP/2.0/UDP a;"), ("Via", "SIP/2.0/UDP a;branch=b;branch=c"),
     ("Via", "SIP/2.0/UDP ::1"), ("Via", "SIP/2.0/UDP [::g]"), ("Via", "SIP/2.0/UDP a:70000"),
     ("Via", "SIP/2.0/UDP a;rport=x"), ("Via", "SIP/2.0/UDP a;rport=0"),
     ("Via", "SIP/2.0/UDP a;branch=a:b"), ("Via", "SIP/2.0/U@P a"), ("Via", ", SIP/2.0/UDP a")],
)  # fmt: skip
def test_malformed(name: str, value: str):
    with pytest.raises(BadRequest) as caught:
        parse(request_bytes(**{name: value}))
    assert caught.value.status == 400
    assert caught.value.section == name
    assert caught.value.reply_to is not None


@pytest.mark.parametrize(
    ("value", "display", "uri", "tag"),
    [("sip:a@b;tag=x", b"", b"sip:a@b", b"x"), ("sip:a@b ; TAG = x", b"", b"sip:a@b", b"x"),
     ('"" <sip:a@b> ;tag=x', b"", b"sip:a@b", b"x"), ("Bob<sip:a@b>", b"Bob", b"sip:a@b", b""),
     (r'"a \"b\" <\\>" <sip:a@b>', rb'a "b" <\>', b"sip:a@b", b""),
     ("J. \xfc (x), y <sip:a@b;lr?h=1>;tag=x;o=1", "J. \xfc (x), y".encode(), b"sip:a@b;lr?h=1",
      b"x"),
     ('<sip:a@b>;x=";tag=y";tag=z', b"", b"sip:a@b", b"z"), ("<sip:a@b>;x", b"", b"sip:a@b", b"")],
)  # fmt: skip
def test_name_addr(value: str, display: bytes, uri: bytes, tag: bytes):
    invite = request(From=value)
    assert (invite.from_.display, invite.from_.uri, invite.from_tag) == (display, uri, tag)


@pytest.mark.parametrize("value", ["256", "-1", "x", "", "300000000000000000000000"])
def test_bad_max_forwards(value: str):
    with pytest.raises(ParseError):
        _ = request(Max_Forwards=value).max_forwards


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("5", 5), ("18000;duration=3600", 18000), ("120 (I'm (really) in a \\) meeting)", 120)],
)
def test_retry_after(value: str, seconds: int):
    assert response(f"Retry-After: {value}").retry_after == seconds


@pytest.mark.parametrize(
    "value", ["x", "", "5 (a", "5 a)", "5 (a))", "(" * 9 + ")" * 9 + "5", '5 ("a)']
)
def test_bad_retry_after(value: str):
    with pytest.raises(ParseError):
        _ = response(f"Retry-After: {value}").retry_after


class TestContentLength:
    def test_smaller_than_the_rest(self):
        assert request("Content-Length: 3", body=b"abcdef").body == b"abc"

    def test_equal(self):
        assert request("l:6", body=b"abcdef").body == b"abcdef"

    def test_absent(self):
        assert request(body=b"abcdef").body == b"abcdef"

    @pytest.mark.parametrize("value", ["7", "-1", "+6", "6 6", "", "0x6", "6,6", "9" * 5000])
    def test_wrong(self, value: str):
        assert status_of(request_bytes(f"Content-Length: {value}", body=b"abcdef")) == 400


class TestLineEnds:
    @pytest.mark.parametrize("end", ["\n", "\r", "\n\r", "\r\r\n"])
    def test_bare_ones_are_refused(self, end: str):
        """They would cross the border inside a line, and may end one on the other side."""
        assert status_of(request_bytes(f"X: 1{end}Y: 2")) == 400

    @pytest.mark.parametrize("end", ["\n", "\r"])
    def test_at_the_end_of_the_head(self, end: str):
        assert status_of(request_bytes(f"X: 1{end}")) == 400

    def test_mixed_with_lf_only(self):
        assert status_of(request_bytes("X: 1\n\nY: 2")) == 400
        assert status_of(request_bytes("X: 1\r").replace(b"\r\n", b"\n")) == 400

    def test_lf_only(self):
        data = request_bytes("Content-Length: 2", body=b"ab").replace(b"\r\n", b"\n")
        message = parse(data)
        assert message.body == b"ab"
        assert message.raw(b"to") == b"To: <sip:bob@example.com>\r\n"

    def test_before_the_start_line(self):
        for ends in (b"\r\n", b"\r\n\r\n", b"\r\n\r\n\r\n"):
            assert parse(ends + request_bytes()).cseq == 1

    def test_no_empty_line(self):
        assert parse(request_bytes()[:-2]).cseq == 1
        assert status_of(request_bytes()[:-4]) == 400

    @pytest.mark.parametrize("data", [b"", b"\r\n", b"\r\n\r\n", b"\0\0\0\0", b"\n\n", b"x", b"\r"])
    def test_keep_alives_and_nothing(self, data: bytes):
        assert status_of(data) == 400


class TestLimits:
    def test_size(self):
        room = MAX_MESSAGE_BYTES - len(request_bytes())
        assert len(request(body=b"x" * room).body) == room
        assert status_of(request_bytes(body=b"x" * (room + 1))) == 513

    def test_headers(self):
        room = MAX_HEADERS - 6
        assert request(*["Z: 1"] * room).every(b"z") == [b"1"] * room
        assert status_of(request_bytes(*["X: 1"] * (room + 1))) == 400

    def test_many_folds_are_not_many_headers(self):
        assert request("Z: 1" + "\r\n 2" * 300).first(b"z") == b"1" + b" 2" * 300

    def test_line(self):
        value = "x" * (MAX_LINE_BYTES - len("Z: "))
        assert request(f"Z: {value}", f"Q: {value}").first(b"q") == value.encode()
        assert status_of(request_bytes(f"X: {value}x")) == 400
        assert status_of(request_bytes("X: " + "\r\n x" * (MAX_LINE_BYTES // 4))) == 400

    def test_parameters(self):
        def with_params(count: int) -> str:
            return "SIP/2.0/UDP a" + "".join(f";p{i}" for i in range(count))

        assert request(Via=with_params(64)).via.host == b"a"
        assert status_of(request_bytes(Via=with_params(65))) == 400


@pytest.mark.parametrize("line", ["no colon", ":x", " :x", "a b: x", "a\tb: x", "\xe9: x", "token"])
def test_no_header(line: str):
    with pytest.raises(BadRequest) as caught:
        parse(request_bytes(line))
    assert caught.value.status == 400
    assert caught.value.reply_to is not None


class TestWhatCannotBeAnswered:
    def test_ack(self):
        data = request_bytes("no colon", CSeq="1 ACK").replace(b"INVITE", b"ACK")
        with pytest.raises(BadRequest) as caught:
            parse(data)
        assert caught.value.reply_to is None

    def test_an_ack_by_its_cseq(self):
        with pytest.raises(BadRequest) as caught:
            parse(request_bytes(CSeq="1 ACK"))
        assert caught.value.reply_to is None

    def test_responses(self):
        with pytest.raises(ParseError) as caught:
            parse(b"SIP/2.0 200 OK\r\n\r\n")
        assert not isinstance(caught.value, BadRequest)

    def test_lower_case_responses(self):
        with pytest.raises(ParseError) as caught:
            parse(b"sip/2.0 200 OK\r\n" + head_lines("no colon") + b"\r\n")
        assert not isinstance(caught.value, BadRequest)

    def test_broken_lines_are_not_copied(self):
        with pytest.raises(BadRequest) as caught:
            parse(request_bytes("Via: a\nEvil: 1", From="<sip:a@b>\nEvil: 1"))
        reply_to = caught.value.reply_to
        assert reply_to is not None
        assert reply_to.raw(b"from") == b""
        assert reply_to.further(b"via") == b""


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece",
    [b" ", b"\t", b'"', b'"a', b"\\", b'"\\', b"<", b"<>", b">", b"(", b"()", b",", b";", b";a=",
     b":", b"@", b"%", b"%41", b"=", b"0", b"a", b"\r\n ", b" \r\n ", b"\r\n", b"\n", b"\r", b"/ ",
     b"\r\nl:", b"\r\nVia: a", b"\xff", b"[", b"::", b'<"', b'"<', b"a ", b"\r\n\r"],
)  # fmt: skip
@pytest.mark.parametrize(
    "head",
    [b"INVITE sip:", b"INVITE sip:a@b SIP/2.0\r\nVia: ", b"SIP/2.0 200 OK\r\nFrom: ", b"",
     b"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nCSeq: 1 INVITE\r\nCall-ID: a\r\n"
     b"To: <a:b>\r\nFrom: "],
)  # fmt: skip
def test_time_is_linear(head: bytes, piece: bytes):
    """A quadratic step takes seconds for 64 kB; everything here stays in milliseconds."""
    data = (head + piece * MAX_MESSAGE_BYTES)[: MAX_MESSAGE_BYTES - 4] + b"\r\n\r\n"
    started = time.process_time()
    with pytest.raises(ParseError):
        parse(data)
    assert time.process_time() - started < 0.25
