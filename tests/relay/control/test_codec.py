"""Frames: whole, in any pieces, within their limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.control.codec import (
    MAX_FRAME,
    Decoder,
    FrameError,
    Notification,
    Request,
    Response,
    encode,
)
from relay.control.packing import PackingError, pack, unpack

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
numbers = st.integers(0, 2**31)
frames = st.one_of(
    st.builds(Request, numbers, numbers, plain),
    st.builds(Response, numbers, plain),
    st.builds(Response, numbers, st.none(), st.tuples(numbers, st.text())),
    st.builds(Notification, numbers, plain),
)


@given(st.lists(frames, max_size=5), st.integers(1, 40))
def test_frames_survive_any_cutting(sent, piece):
    data = b"".join(encode(frame) for frame in sent)
    decoder = Decoder()
    found = []
    for start in range(0, len(data), piece):
        found += decoder.feed(data[start : start + piece])
    assert found == sent
    assert len(decoder) == 0


@given(st.binary(max_size=200))
def test_any_bytes_are_frames_or_an_error(data):
    decoder = Decoder()
    try:
        decoder.feed(data)
    except FrameError:
        with pytest.raises(FrameError):
            decoder.feed(b"")


@given(st.binary(max_size=60))
def test_any_bytes_in_a_frame_are_a_frame_or_an_error(data):
    with pytest.raises(FrameError) if not _is_frame(data) else _nothing():
        Decoder().feed(len(data).to_bytes(4, "big") + data)


class _nothing:
    def __enter__(self):
        return None

    def __exit__(self, *ignored):
        return None


def _is_frame(data):
    try:
        Decoder().feed(len(data).to_bytes(4, "big") + data)
    except FrameError:
        return False
    return True


def test_a_frame_over_the_limit_is_refused_before_it_is_there():
    with pytest.raises(FrameError):
        Decoder().feed((MAX_FRAME + 1).to_bytes(4, "big"))


def test_a_frame_over_the_limit_is_not_sent():
    with pytest.raises(FrameError):
        encode(Response(1, b"x" * MAX_FRAME))


def test_a_value_that_is_not_plain_is_not_sent():
    with pytest.raises(FrameError):
        encode(Response(1, object()))


@pytest.mark.parametrize(
    "value",
    [
        7,
        [1],
        {},
        {"id": "1", "method": 1},
        {"id": 1, "method": None},
        {"id": True, "method": 1},
        {"event": "x"},
        {"id": 1, "error": 7},
        {"id": 1, "error": ["x", 7]},
    ],
)
def test_maps_that_are_no_frames(value):
    packed = pack(value)
    with pytest.raises(FrameError):
        Decoder().feed(len(packed).to_bytes(4, "big") + packed)


@pytest.mark.parametrize(
    "data",
    [
        b"\xd4\x01\x00",
        b"\xc1",
        b"\x91" * 3000,
        b"\xdf\xff\xff\xff\xff",
        b"\x81\x90\x90",
        b"\x01\x01",
    ],
)
def test_unpack_is_total(data):
    with pytest.raises(PackingError):
        unpack(data)
