"""The compiled cutter beside Python's: nothing, or the same session."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sbc.errors import ParseError
from sbc.sdp.model import Session
from sbc.sdp.native import description
from sbc.sdp.parser import MAX_LINES, MAX_MEDIA, MAX_SIZE_BYTES, parse, parse_in_python

pytestmark = pytest.mark.parser

VECTORS = {
    path.stem: path.read_bytes()
    for path in sorted((Path(__file__).parents[1] / "vectors" / "sdp").glob("*.sdp"))
}
ODD = {"lf_line_ends", "no_last_line_end", "talkative"}
"""The last has a user name of two words."""
HEAD = b"v=0\r\no=- 1 2 IN IP4 10.66.0.1\r\ns=-\r\n"
PHONE = VECTORS["g711_phone"]
WORDS = (
    b"v=0", b"o=- 1 2 IN IP4 10.66.0.1", b"s=-", b"c=IN IP4 10.66.0.1", b"t=0 0", b"a=sendrecv",
    b"m=audio 31000 RTP/AVP 0", b"m=audio  31000 RTP/AVP 0", b"m=video 0/2 RTP/AVP 31",
    b"m=audio 31000 RTP/AVP", b"m=audio 65536 RTP/AVP 0", b"m=audio 031000 RTP/AVP 0", b"m=",
    b"m= 1 RTP/AVP 0", b"m=audio 1 ", b"m=audio 1", b"m=audio 1  RTP/AVP 0", b"m=a\0 1 RTP/AVP 0",
    b"m=audio 1 RTP/AVP 0 ", b"x=y", b"\xff=", b"", b"a=\r", b"a=\0",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def parser() -> None:
    """Both are asked here, each by its name."""


def outcome(read: Callable[[bytes], Session], data: bytes) -> dict[str, object] | str:
    """Everything that is in the session, or the error."""
    try:
        return dataclasses.asdict(read(data))
    except ParseError as error:
        return str(error)


def agree(data: bytes) -> bool:
    """Whether it was cut by the extension; what comes of it is what Python makes."""
    assert outcome(parse, data) == outcome(parse_in_python, data)
    return description(data) is not None


@pytest.mark.parametrize("name", VECTORS)
def test_usual_descriptions_are_cut(name: str) -> None:
    assert agree(VECTORS[name]) == (name not in ODD)


@pytest.mark.slow
def test_every_byte_changed_left_out_and_put_in() -> None:
    cut = 0
    for at, byte in itertools.product(range(len(PHONE)), b"\r\n \0=/m0a\xff"):
        one = bytes((byte,))
        cut += agree(PHONE[:at] + one + PHONE[at + 1 :])
        cut += agree(PHONE[:at] + one + PHONE[at:])
    for at in range(len(PHONE)):
        agree(PHONE[:at])
        agree(PHONE[:at] + PHONE[at + 1 :])
    assert cut > len(PHONE)


@settings(deadline=None, max_examples=400)
@given(st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from([b"\r\n"] * 8 + [b"\n", b""]))))
def test_any_lines(lines: list[tuple[bytes, bytes]]) -> None:
    text = b"".join([line + end for line, end in lines])
    agree(text)
    agree(HEAD + text)


class TestLimits:
    @pytest.mark.parametrize("less", [-1, 0, 1, 2, 3])
    def test_lines(self, less: int) -> None:
        agree(HEAD + b"a=x\r\n" * (MAX_LINES - HEAD.count(b"\n") - less))

    @pytest.mark.parametrize("count", [7, 8, 9, MAX_MEDIA, MAX_MEDIA + 1])
    def test_media(self, count: int) -> None:
        assert agree(HEAD + b"m=audio 1 RTP/AVP 0\r\n" * count) == (count <= 8)

    @pytest.mark.parametrize("more", [-1, 0, 1])
    def test_size(self, more: int) -> None:
        room = MAX_SIZE_BYTES - len(HEAD) - len(b"a=\r\n")
        assert agree(HEAD + b"a=" + b"x" * (room + more) + b"\r\n") == (more <= 0)
