"""The compiled parser beside the one in Python: nothing, or the same message in every view."""

from __future__ import annotations

import itertools
import os
import resource
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import sbc.extension
from sbc.errors import ParseError
from sbc.extension import look
from sbc.sip import headers
from sbc.sip.grammar import MAX_LINE_BYTES, MAX_MESSAGE_BYTES
from sbc.sip.message import Message, Request, Response
from sbc.sip.native import recognise
from sbc.sip.parser import parse_in_python
from sbc.sip.serialise import ReplyBase
from tests.sip.build import head_lines, request_bytes
from tests.sip.test_properties import PIECES, mutated_messages
from tests.sip.vectors import EVERY, RFC4475

pytestmark = pytest.mark.parser


@pytest.fixture(scope="module", autouse=True)
def parser() -> None:
    """Both are asked here, each by its name."""


INVITE = (
    b"INVITE sip:5550100@127.0.1.1:5060 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 127.0.1.10:5060;branch=z9hG4bK-7-invite;rport\r\n"
    b'From: "Alice Example" <sip:10049@127.0.1.10:5060>;tag=from7\r\n'
    b"To: <sip:5550100@127.0.1.1:5060>\r\nCall-ID: 7-call@127.0.1.10\r\nCSeq: 1 INVITE\r\n"
    b"Contact: <sip:10049@127.0.1.10:5060>\r\nMax-Forwards: 70\r\nSubject: a call\r\n"
    b"Allow: INVITE, ACK, CANCEL\r\nAllow: BYE\r\nSupported: replaces\r\nX-Own:  1 \r\n"
    b"Content-Type: application/sdp\r\nContent-Length: 4\r\n\r\nv=0\r\n"
)
PHONE = (  # PJSIP's spelling: rport first, a port of five digits, parameters in the URI
    b"INVITE sips:5550100@[2001:db8::2]:5061;transport=tcp SIP/2.0\r\n"
    b"Via: SIP/2.0/TCP 192.0.2.10:49152;rport;branch=z9hG4bKPj1;alias\r\n"
    b"Max-Forwards: 70\r\nFrom: <sip:alice@example.com>;tag=a1\r\nTo: <sip:bob@example.com>\r\n"
    b"Contact: <sip:alice@192.0.2.10:49152;transport=TCP;ob>\r\nCall-ID: 1\r\nCSeq: 2147 INVITE\r\n"
    b"Route: <sip:pbx.example.com;transport=tcp;lr>\r\nContent-Length:  0\r\n\r\n"
)
RINGING = (
    b"SIP/2.0 180 Ringing\r\n"
    b"v: SIP/2.0/TLS [2001:db8::1]:5061;branch=z9hG4bK-s;received=2001:db8::1;rport=61000\r\n"
    b"v: SIP/2.0/UDP b.example;branch=z9hG4bKb\r\nRecord-Route: <sip:p1;lr>\r\n"
    b"f: Alice <sip:alice@example.com>;tag=a\r\nt: <sip:bob@example.com>;tag=b\r\ni: c\r\n"
    b"Record-Route: <sip:p2;lr>, <sip:p3;lr>\r\nCSeq: 1 INVITE\r\nl: 0\r\n\r\n"
)
ANSWER = (
    b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx;rport\r\n"
    b"From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 4 BYE\r\n\r\nbody"
)
USUAL = [INVITE, PHONE, RINGING, ANSWER, request_bytes()]

ABSENT = (b"route", b"x-none", b"", b"z", b"i", b"Via", b"VIA", b"x-own ")
VIEWS = (
    "body", "call_id", "cseq", "cseq_method", "from_tag", "to_tag", "from_", "to", "contact",
    "max_forwards", "content_type", "retry_after", "method", "uri", "target", "status", "reason",
)  # fmt: skip
SOURCES = (("192.0.2.1", 5060), ("198.51.100.7", 40_000), ("fe80::1%eth0", 5060))
VIA = ("transport", "host", "port", "branch", "wants_rport", "rport", "received")


def views(message: Message) -> dict[str, object]:
    """Everything that a message can be asked for."""
    seen: dict[str, object] = {
        "kind": (isinstance(message, Request), isinstance(message, Response))
    }
    for view in VIEWS:
        try:
            seen[view] = getattr(message, view, "no such view")
        except ParseError as error:
            seen[view] = str(error)
    for part in VIA:
        seen[f"via.{part}"] = getattr(message.via, part)
    names = message.names()
    seen["names"] = names
    for name in (*sorted(names), *ABSENT):
        try:
            values: object = message.values(name)
        except ParseError as error:
            values = str(error)
        alone = frozenset((name,))
        seen[repr(name)] = (
            message.first(name), message.every(name), message.raw(name), message.further(name),
            values, message.names_among(alone), message.lines(alone),
        )  # fmt: skip
    if isinstance(message, Request):
        for source in SOURCES:
            base = ReplyBase(message, source)
            seen[f"answer to {source}"] = base.destination, base.build(200, to_tag=b"ours")
    asked = frozenset((*names, *ABSENT))
    seen["among"] = message.names_among(asked)
    seen["lines"] = message.lines(asked)
    return seen


def agree(data: bytes) -> Message | None:
    """What the compiled one says, having held it against what the other one does."""
    message = recognise(data)
    if message is not None:
        assert views(message) == views(parse_in_python(data))
    return message


@pytest.mark.parametrize("data", USUAL)
def test_usual_messages_are_recognised(data: bytes) -> None:
    assert agree(data) is not None


@pytest.mark.parametrize("data", EVERY)
def test_torture_messages(data: bytes) -> None:
    agree(data)


def test_torture_messages_are_mostly_for_the_other_parser() -> None:
    """They are odd on purpose."""
    found = {name for name, data in RFC4475.items() if recognise(data) is not None}
    assert found == {"mpart01", "noreason"}


@pytest.mark.slow
@pytest.mark.parametrize("data", USUAL)
def test_every_byte_changed_left_out_and_put_in(data: bytes) -> None:
    recognised = 0
    for at, byte in itertools.product(range(len(data)), b'\r\n\t \0\x0b:;,<>"=@[]%-0aZ\x7f\xff'):
        one = bytes((byte,))
        for changed in (data[:at] + one + data[at + 1 :], data[:at] + one + data[at:]):
            recognised += agree(changed) is not None
    for at in range(len(data)):
        agree(data[:at])
        agree(data[:at] + data[at + 1 :])
        agree(data[:at] + data[at + 1 : at + 2].swapcase() + data[at + 2 :])
    assert recognised > len(data)


@pytest.mark.slow
@settings(deadline=None, max_examples=500)
@given(st.sampled_from(USUAL), st.data())
def test_usual_messages_changed_in_several_places(data: bytes, chance: st.DataObject) -> None:
    for _ in range(chance.draw(st.integers(1, 4))):
        begin = chance.draw(st.integers(0, len(data)))
        end = begin + chance.draw(st.integers(0, 12))
        data = data[:begin] + chance.draw(PIECES) + data[end:]
    agree(data)


@settings(deadline=None)
@given(mutated_messages())
def test_mutated_torture_messages(data: bytes) -> None:
    agree(data)


LINES = [line + b"\r\n" for data in (*USUAL, *EVERY) for line in data.split(b"\r\n") if line]


@pytest.mark.slow
@settings(deadline=None, max_examples=500)
@given(st.sampled_from(USUAL), st.lists(st.sampled_from(LINES), max_size=6), st.randoms())
def test_lines_of_one_message_in_another(data: bytes, lines: list[bytes], random) -> None:
    head, _, body = data.partition(b"\r\n\r\n")
    start, *others = [line + b"\r\n" for line in head.split(b"\r\n")]
    others = [line for line in others if random.random() > 0.1] + lines
    random.shuffle(others)
    agree(start + b"".join(others) + b"\r\n" + body)


PARAMS = st.lists(
    st.sampled_from(
        [b"rport", b"rport=1", b"rport=65535", b"rport=65536", b"RPORT", b"branch=z9hG4bK-1",
         b"branch=", b"branch", b"Branch=x", b"branch=a=b", b"received=192.0.2.1",
         b"received=[::1]", b"received=", b"alias", b"ttl=1", b"maddr=x", b"x", b"X=y",
         b'x="y"', b"", b" rport",
         b"x=%41", b"keep", b"a=:b", b"tag=1"]
    ),
    max_size=14,
)  # fmt: skip


@pytest.mark.parametrize("tail", ["rport;RPORT", "x;X=1", "branch=a;Branch=b", "a;b;b", "x;", ";x"])
def test_a_parameter_that_is_there_twice_or_empty(tail: str) -> None:
    via = f"SIP/2.0/UDP 192.0.2.1;{tail}"
    assert not agree(request_bytes(Via=via))


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(["UDP", "TCP", "WSS", "udp", "TLS-SCTP", ""]),
    st.sampled_from(
        ["a", "192.0.2.1", "a_b.example", "[::1]", "[2001:db8::192.0.2.1]", "[::ffff:1.2.3.04]",
         "[1:2:3:4:5:6:7::]", "[1:2:3:4:5:6:7:8]", "[fe80::1%eth0]", "[:::1]", "[]", "::1", ""]
    ),
    st.sampled_from(["", ":5060", ":1", ":65535", ":65536", ":0", ":", ":05060", ": 5060"]),
    PARAMS,
)  # fmt: skip
def test_any_via(transport: str, host: str, port: str, params: list[bytes]) -> None:
    text = b";".join([f"SIP/2.0/{transport} {host}{port}".encode(), *params])
    agree(request_bytes(Via=text.decode()))


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(["", '"A B" ', '"A"', "A ", '"\\"" ', '"A"  ', '"<>" ', "A, B <", "\xfc "]),
    st.sampled_from(["<sip:a@b>", "sip:a@b", "<>", "<sip:a@b;lr?x=y>", "<sip:a b>", "<tel:1>"]),
    st.lists(
        st.sampled_from(["tag=a", "tag=", "tag", "TAG=a", "x", "tag=a:b", " tag=b"]), max_size=3
    ),
)
def test_any_party(display: str, uri: str, params: list[str]) -> None:
    value = ";".join([display + uri, *params])
    agree(request_bytes(From=value))
    agree(request_bytes(To=value))


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.sampled_from(
            ["sip:", "SIP:", "sips:", "tel:", "a", "@", ":", "5060", "65535", "65536", "05", ";",
             "=", "lr", "LR", "transport=tcp", "?", "%41", "[::1]", "-._", "+49(30)", "\xff",
             " ", "&", "#"]
        ),
        max_size=9,
    ).map("".join)
)  # fmt: skip
@example("sip:a;b=c@d:5060;lr;x=y")
@example("sips:a@[::1]:5060;lr")
@example("sip:[2001:db8::1]")
@example("sip:a@[::1")
@example("sip:a@[::ffff:1.2.3.04]")
@example("sip:a@[:::1]")
@example("sip:a@[fe80::1%1]")
@example("sip:a;x?y")
def test_any_request_uri(uri: str) -> None:
    agree(b"INVITE %b SIP/2.0\r\n%b\r\n" % (uri.encode("latin-1"), head_lines()))


def spellings() -> list[bytes]:
    """Every header name that either parser may know by heart, as anybody may write it."""
    known = {*headers.CANONICAL, *headers.CANONICAL.values(), b"x-own", b"z", b"content-lengthy"}
    cases = (bytes.lower, bytes.upper, bytes.title, bytes.swapcase, bytes)
    return sorted({case(name) for name in known for case in cases})


@pytest.mark.parametrize("name", spellings())
def test_names_in_every_spelling(name: bytes) -> None:
    line = name + b": 1\r\n"
    agree(b"INVITE sip:a@b SIP/2.0\r\n%b%b\r\n" % (head_lines(), line))
    agree(b"INVITE sip:a@b SIP/2.0\r\n%b%b%b\r\n" % (head_lines(), line, line))
    canonical = headers.CANONICAL[name]
    usual = {header.encode().lower() for header in ("Via", "From", "To", "Call-ID", "CSeq")}
    if canonical not in headers.SINGLE | usual:
        message = agree(b"INVITE sip:a@b SIP/2.0\r\n%b%b\r\n" % (head_lines(), line))
        assert message is not None
        assert message.first(canonical) == b"1"


def usual_with(name: bytes) -> bytes:
    """A message in which a header that may be there once has another name."""
    long = {b"i": b"Call-ID", b"f": b"From", b"t": b"To", b"v": b"Via", b"c": b"Content-Type"}
    return INVITE.replace(b"\r\n" + long[name.lower()] + b":", b"\r\n" + name + b":", 1)


@pytest.mark.parametrize("name", [b"i", b"I", b"f", b"F", b"t", b"T", b"v", b"V", b"c", b"C"])
def test_compact_names_of_what_is_there_once(name: bytes) -> None:
    message = agree(usual_with(name))
    assert message is not None
    assert message.call_id == b"7-call@127.0.1.10"


@pytest.mark.parametrize("tail", ["%6cr;lr", "lr;LR", "lr;%6Cr", "lr;", "x=1;X", "%x;%X"])
def test_a_parameter_of_the_request_uri_that_is_there_twice_or_empty(tail: str) -> None:
    start = f"INVITE sip:a@b;{tail} SIP/2.0\r\n".encode()
    assert not agree(start + head_lines() + b"\r\n")


class TestLimits:
    @pytest.mark.parametrize("more", [0, 1])
    def test_a_line(self, more: int) -> None:
        room = MAX_LINE_BYTES - len("Z: ")
        assert not agree(request_bytes("Z: " + "x" * (room + more)))

    @pytest.mark.parametrize("count", [110, 121, 122, 123, 249, 250, 251])
    def test_lines(self, count: int) -> None:
        data = request_bytes(*["Z: 1"] * count)
        assert (recognise(data) is not None) == (count <= 122)
        if count <= 250:
            agree(data)

    @pytest.mark.parametrize("less", [-1, 0, 1, 2, 3, 4, 5])
    def test_the_head(self, less: int) -> None:
        room = MAX_LINE_BYTES - len(request_bytes("Z: "))
        agree(request_bytes("Z: " + "x" * (room - less)))

    @pytest.mark.parametrize("more", [0, 1])
    def test_the_message(self, more: int) -> None:
        room = MAX_MESSAGE_BYTES - len(request_bytes())
        data = request_bytes(body=b"x" * (room + more))
        assert (agree(data) is not None) == (more == 0)

    @pytest.mark.parametrize("cseq", ["0", "2147483647", "2147483648", "4294967296", "0000000001"])
    def test_the_sequence_number(self, cseq: str) -> None:
        agree(request_bytes(CSeq=f"{cseq} INVITE"))

    @pytest.mark.parametrize(
        "length", ["0", "5", "6", "7", "00000006", "65535", "4294967302", "-1"]
    )
    def test_the_body(self, length: str) -> None:
        agree(request_bytes(f"Content-Length: {length}", body=b"abcdef"))


def test_a_message_costs_little_beyond_its_datagram() -> None:
    """However many lines it has, and however large it is."""
    lines = [f"h{number}: {'x' * 40}" for number in range(120)]
    room = MAX_MESSAGE_BYTES - len(request_bytes(*lines))
    data = request_bytes(*lines, body=b"x" * room)
    recognise(data)
    before = resident_bytes()
    kept = [recognise(data) for _ in range(2_000)]
    assert None not in kept
    assert (resident_bytes() - before) / len(kept) < 4_000


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def test_what_is_made_cannot_be_changed() -> None:
    message = recognise(INVITE)
    for name in ("call_id", "cseq", "via", "body", "method", "uri"):
        with pytest.raises(AttributeError):
            setattr(message, name, b"x")


def test_it_is_a_release_build() -> None:
    assert look().profile == "release"
    assert look().parser == "native"


class TestLook:
    @pytest.fixture(autouse=True)
    def _anew(self) -> object:
        look.cache_clear()
        yield
        look.cache_clear()

    def test_the_environment_switches_it_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(os.environ, "SBC_PARSER", "python")
        assert look().parser == "python"
        assert str(look()) == "no native extension: switched off by SBC_PARSER=python"

    def test_a_file_that_is_no_extension_is_a_problem_with_a_name(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(name: str) -> None:
            raise ImportError("undefined symbol: x")

        monkeypatch.setattr(sbc.extension, "import_module", broken)
        assert str(look()) == "no native extension: it is broken: undefined symbol: x"

    def test_one_of_another_release_is_not_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sbc.extension, "_INTERFACE", 0)
        assert not look().usable
        assert "another release" in str(look())
