"""`sbc.sip.stream`: RFC 3261 §18.3, RFC 5626 §3.5.1."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sbc.sip.grammar import MAX_MESSAGE_BYTES
from sbc.sip.serialise import ReplyBase
from sbc.sip.stream import FramingError, KeepAlive, StreamFramer
from tests.sip.build import request_bytes

ONE = request_bytes("Content-Length: 5", body=b"12345")
TWO = request_bytes("Content-Length:\r\n 0")
THREE = request_bytes("L : 4", body=b"\r\n\r\n")


@pytest.mark.parametrize("message", [ONE, TWO, THREE])
def test_one_message(message: bytes):
    framer = StreamFramer()
    assert framer.feed(message) == [message]
    assert len(framer) == 0


def test_several_in_one_piece():
    assert StreamFramer().feed(ONE + TWO + THREE + ONE[:9]) == [ONE, TWO, THREE]


@settings(deadline=None)
@given(st.lists(st.sampled_from([ONE, TWO, THREE, b"\r\n\r\n", b"\r\n"]), max_size=6), st.data())
def test_any_split_gives_the_same_frames(parts: list[bytes], data: st.DataObject):
    stream = b"".join(parts) + ONE  # a message at the end settles what the last CRLFs are
    whole = StreamFramer().feed(stream)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    framer = StreamFramer()
    pieces = []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        pieces += framer.feed(stream[begin:end])
    assert pieces == whole
    assert len(framer) == 0
    assert [frame for frame in whole if isinstance(frame, bytes)] == [
        part for part in (*parts, ONE) if part.strip()
    ]


def test_byte_by_byte():
    framer = StreamFramer()
    stream = ONE + b"\r\n\r\n" + TWO
    frames = [frame for byte in stream for frame in framer.feed(bytes([byte]))]
    assert frames == [ONE, KeepAlive.PING, TWO]


def test_keep_alives():
    framer = StreamFramer()
    assert framer.feed(b"\r\n\r\n") == [KeepAlive.PING]
    assert framer.feed(b"\r\n") == []  # may become a ping
    assert framer.feed(b"\r") == []
    assert framer.feed(b"\n") == [KeepAlive.PING]
    assert framer.feed(b"\r\n" + TWO) == [KeepAlive.PONG, TWO]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request_bytes(), 400),
        (request_bytes("Content-Length: 1", "l: 1", body=b"1"), 400),
        (request_bytes("Content-Length: -1"), 400),
        (request_bytes("Content-Length: 1 2", body=b"1"), 400),
        (request_bytes("Content-Length: " + "9" * 5000), 400),
        (request_bytes(f"Content-Length: {MAX_MESSAGE_BYTES}"), 513),
        (request_bytes("X: 1\nContent-Length: 0"), 400),
        (request_bytes("X: 1\rY: 2", "Content-Length: 0"), 400),
        (b"\rINVITE", 400),
        (b"x" * (MAX_MESSAGE_BYTES + 1), 513),
    ],
)
def test_what_ends_the_stream(data: bytes, status: int):
    framer = StreamFramer()
    with pytest.raises(FramingError) as caught:
        framer.feed(ONE + data)
    assert caught.value.status == status
    assert caught.value.frames == [ONE]
    assert framer.feed(TWO) == []  # once: the connection is to be closed
    assert len(framer) == 0


def test_the_fault_can_be_answered():
    with pytest.raises(FramingError) as caught:
        StreamFramer().feed(request_bytes())
    assert caught.value.reply_to is not None
    assert b"CSeq: 1 INVITE\r\n" in ReplyBase(caught.value.reply_to, ("a", 1)).build(400)


@pytest.mark.parametrize(
    "data",
    [b"SIP/2.0 200 OK\r\n\r\n", request_bytes().replace(b"INVITE", b"ACK"), b"x\r\n\r\n"],
)
def test_the_fault_cannot_be_answered(data: bytes):
    with pytest.raises(FramingError) as caught:
        StreamFramer().feed(data)
    assert caught.value.reply_to is None


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_give_frames_or_one_error(data: bytes):
    framer = StreamFramer()
    try:
        framer.feed(data)
    except FramingError:
        assert framer.feed(ONE) == []
