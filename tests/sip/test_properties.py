"""What holds for any bytes, and for any message (hypothesis)."""

from __future__ import annotations

import string
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sbc.errors import ParseError
from sbc.sip.address import NameAddr, parse_name_addr
from sbc.sip.grammar import quote, split_list, unquote, without_comments
from sbc.sip.message import Message, Request, Response
from sbc.sip.params import parse_params
from sbc.sip.parser import BadRequest, parse
from sbc.sip.serialise import ReplyBase, build_request, build_response
from sbc.sip.stream import FramingError, StreamFramer
from sbc.sip.uri import SipUri, parse_uri
from sbc.sip.via import parse_via
from tests.sip.vectors import EVERY

SOURCE = ("198.51.100.7", 40_000)
PIECES = st.one_of(
    st.binary(max_size=6),
    st.sampled_from(
        [b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b";", b",", b"<", b">", b'"', b"\\", b"(", b")",
         b"\r\n\r\n", b"\r\n ", b"=", b"@", b"[", b"]", b"%", b"0", b"9" * 30, b"sip:", b"Via: ",
         b"\r\nVia:", b"\r\nl:", b";branch=", b";rport", b"SIP/2.0", b"\xff", b"\x00"]
    ),
)  # fmt: skip


@st.composite
def mutated_messages(draw: st.DrawFn) -> bytes:
    data = draw(st.sampled_from(EVERY))
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(data)))
        end = begin + draw(st.integers(0, 20))
        data = data[:begin] + draw(PIECES) + data[end:]
    return data


def touch(message: Message) -> None:
    """Ask for everything; nothing but ParseError may come of it."""
    for name in message.names():
        message.first(name)
        message.every(name)
        assert message.lines(frozenset({name})) == message.raw(name) + message.further(name)
        with suppress(ParseError):
            message.values(name)
    assert message.from_.params.get(b"tag", b"") == message.from_tag
    assert message.to.params.get(b"tag", b"") == message.to_tag
    assert message.via.branch is not None
    for view in ("contact", "max_forwards", "content_type", "retry_after"):
        with suppress(ParseError):
            getattr(message, view)
    if isinstance(message, Request):
        assert message.target is message.target
    else:
        assert isinstance(message, Response)
        assert 100 <= message.status < 700


def check(data: bytes) -> None:
    """A value or a ParseError; and whatever can be answered is answered with one head."""
    try:
        message = parse(data)
    except BadRequest as error:
        if error.reply_to is not None:
            head, _, body = ReplyBase(error.reply_to, SOURCE).build(400).partition(b"\r\n\r\n")
            assert body == b""
            assert head.count(b"\n") == head.count(b"\r") == head.count(b"\r\n")
        return
    except ParseError:
        return
    touch(message)
    if isinstance(message, Request):
        answer = parse(ReplyBase(message, SOURCE).build(200, to_tag=b"ours"))
        assert answer.raw(b"from") == message.raw(b"from")
        assert answer.raw(b"call-id") == message.raw(b"call-id")
        assert answer.raw(b"cseq") == message.raw(b"cseq")
        assert answer.further(b"via") == message.further(b"via")
        assert answer.via.branch == message.via.branch
        assert answer.to_tag == message.to_tag or not message.to_tag
        assert answer.raw(b"to").startswith(message.raw(b"to")[:-2])


@settings(deadline=None)
@given(st.binary(max_size=300))
@example(b"\r\n\r\n")
@example(b"\r\n\r\n\r\n\r\nx")
@example(b"\n\n\n")
@example(b"x\n\nx")
@example(b"SIP/2.0\r\n\r\n")
def test_any_bytes(data: bytes):
    check(data)


@pytest.mark.slow
@settings(deadline=None, max_examples=400)
@given(mutated_messages())
def test_mutated_torture_messages(data: bytes):
    check(data)
    framer = StreamFramer()
    try:
        frames = framer.feed(data)
    except FramingError as error:
        frames = error.frames
    for frame in frames:
        if isinstance(frame, bytes):
            check(frame)


@settings(deadline=None)
@given(st.lists(PIECES, max_size=12).map(b"".join))
def test_any_value(value: bytes):
    for read in (
        parse_uri,
        parse_name_addr,
        parse_via,
        lambda text: parse_params(text, "x"),
        lambda text: split_list(text, b",", "x"),
        lambda text: split_list(text, b";", "x"),
        lambda text: without_comments(text, "x"),
    ):
        with suppress(ParseError):
            read(value)


def ascii_text(alphabet: str, **sizes: int) -> st.SearchStrategy[bytes]:
    return st.text(alphabet, **sizes).map(str.encode)


LETTERS = string.ascii_letters + string.digits
TOKENS = ascii_text(LETTERS + "-.!%*_+`'~", min_size=1, max_size=12)
WORDS = ascii_text(LETTERS + "-._~!*'()+$&", min_size=1, max_size=12)
HOSTS = st.one_of(
    ascii_text(LETTERS + "-.", min_size=1, max_size=12),
    st.ip_addresses(v=4).map(lambda address: str(address).encode()),
    st.ip_addresses(v=6).map(lambda address: str(address).encode()),
)
PARAMS = st.dictionaries(WORDS.map(bytes.lower), st.one_of(st.just(b""), WORDS), max_size=4)
URIS = st.builds(
    SipUri,
    st.sampled_from([b"sip", b"sips"]),
    st.one_of(st.just(b""), WORDS),
    st.just(b""),
    HOSTS,
    st.one_of(st.none(), st.integers(1, 65_535)),
    PARAMS,
    st.just(b""),
)
NAME_ADDRS = st.builds(
    NameAddr,
    st.binary(max_size=12),
    URIS.map(bytes),
    st.dictionaries(TOKENS.map(bytes.lower), TOKENS, max_size=4),
)
VALUES = ascii_text(LETTERS + string.punctuation + "é ", max_size=30).map(bytes.strip)


@settings(deadline=None)
@given(URIS)
def test_uris_come_back(uri: SipUri):
    again = parse_uri(bytes(uri))
    assert again == uri
    assert isinstance(again, SipUri)
    assert (again.params, again.host, again.user) == (uri.params, uri.host, uri.user)


@settings(deadline=None)
@given(NAME_ADDRS)
def test_name_addrs_come_back(value: NameAddr):
    assert parse_name_addr(bytes(value)) == value


@settings(deadline=None)
@given(st.binary(max_size=20))
def test_quoting_comes_back(text: bytes):
    assert unquote(quote(text)) == text


@settings(deadline=None)
@given(
    st.sampled_from([b"INVITE", b"FOO"]) | TOKENS,
    URIS.map(bytes),
    st.lists(st.tuples(TOKENS.map(b"X-".__add__), VALUES), max_size=8),
    st.binary(max_size=40),
)
def test_requests_come_back(
    method: bytes, uri: bytes, extra: list[tuple[bytes, bytes]], body: bytes
):
    lines = [b"%b: %b\r\n" % (name, value) for name, value in extra]
    head = (
        b"Via: SIP/2.0/TCP a;branch=b\r\nf: <sip:a@b>;tag=1\r\nTo: <sip:b@c>\r\ni: x\r\n"
        b"CSeq: 1 %b\r\n%b" % (method, b"".join(lines))
    )
    data = build_request(method, uri, head, body, b"a/b")
    request = parse(data)
    assert isinstance(request, Request)
    assert (request.method, request.uri, request.body) == (method, uri, body)
    for name, _ in extra:
        expected = [value for other, value in extra if other.lower() == name.lower()]
        assert request.every(name.lower()) == expected
    passed = request.lines(frozenset([name.lower() for name, _ in extra]))
    assert sorted(passed.splitlines(keepends=True)) == sorted(lines)
    assert StreamFramer().feed(data) == [data]


@settings(deadline=None)
@given(st.integers(100, 699), VALUES, st.binary(max_size=20))
def test_responses_come_back(status: int, reason: bytes, body: bytes):
    head = b"v: SIP/2.0/UDP a\r\nf: <sip:a@b>\r\nt: <sip:b@c>;tag=2\r\ni: x\r\nCSeq: 1 BYE\r\n"
    response = parse(build_response(status, reason or b"x", head, body))
    assert isinstance(response, Response)
    assert (response.status, response.reason, response.body) == (status, reason or b"x", body)
