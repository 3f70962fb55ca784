"""Bodies: what goes out comes back, and anything else is a BAD_REQUEST."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.control import messages
from relay.control.messages import (
    CallList,
    CallStats,
    ControlError,
    DigitEvent,
    DirectionStats,
    End,
    ErrorCode,
    Hello,
    Inject,
    LatchedEvent,
    Lease,
    ListCalls,
    MediaTimeoutEvent,
    Plan,
    PortsEvent,
    Srtp,
    SrtpFailedEvent,
    Stream,
    StreamStats,
    Welcome,
    WorkerStats,
)
from relay.control.packing import pack, unpack

KEY = Srtp("AEAD_AES_128_GCM", bytes(range(28)), b"\x07", 3, 1 << 31)
END = End(
    "inside",
    "192.0.2.1",
    12000,
    ("198.51.100.1", 4000),
    ("198.51.100.1", 4005),
    True,
    True,
    "203.0.113.1",
    True,
    False,
    {0: 8000, 96: 48000},
    50,
    8600,
    True,
    KEY,
    Srtp("AES_CM_128_HMAC_SHA1_80", bytes(range(30))),
    True,
    {96: 0, 101: 100},
    {0: 1, 8: 2},
    46,
    True,
    101,
    (101, 97),
    True,
    False,
    True,
)
DIRECTION = DirectionStats(
    5, 860, -1, 0.25, 41.5, 2, {"held": 3}, 2.5, 0.5, 77, ("192.0.2.9", 4000), [0, 101]
)
EXAMPLES = [
    Hello(1, "query", "s", True),
    Welcome(1, 0, 99, "python", 3, 7),
    Lease("inside", 8),
    KEY,
    END,
    End("inside", "192.0.2.1", 12000),
    Stream(1, "video", END, END),
    Plan("call/a", 3, [Stream(0, "audio", END, END)], 0.0),
    DIRECTION,
    DirectionStats(payload_types=[]),
    StreamStats(0, "audio", DIRECTION, DIRECTION),
    CallStats("call", 2, [StreamStats(0, "audio", DIRECTION, DIRECTION)]),
    ListCalls(9, 3),
    CallList([("call", 2)], 7, True),
    WorkerStats(0, 9, "python", 3, 1.5, 0.5, {"inside": {"free": 1}}, {"packets": 2}, 3.5),
    LatchedEvent("call", 0, "b", "192.0.2.1", 4000),
    MediaTimeoutEvent("call", 0, "a"),
    SrtpFailedEvent("call", 1, "b"),
    DigitEvent("call", 0, "a", "#", 120),
    Inject("call", 0, "b", 7, "12*D", 160),
    PortsEvent("inside", True),
    PortsEvent("inside", False, 6),
    Lease("inside", 8, 4),
]
KINDS = [type(example) for example in EXAMPLES]


@pytest.mark.parametrize("value", EXAMPLES, ids=lambda value: type(value).__name__)
def test_a_body_survives_the_wire(value):
    assert type(value).from_body(unpack(pack(value.to_body()))) == value


@pytest.mark.parametrize("value", EXAMPLES, ids=lambda value: type(value).__name__)
def test_a_newer_peers_extra_fields_are_ignored(value):
    if isinstance(value, End):
        value = replace(value, rtcp_app=True)  # the last one: none is left out then
    assert type(value).from_body([*value.to_body(), "new", 7]) == value


def test_what_an_ordinary_end_has_no_need_of_is_left_out():
    plain = End("inside", "192.0.2.1", 12000, dscp=46)
    assert len(plain.to_body()) == len(replace(plain, strict=True).to_body()) - 7
    assert End.from_body(plain.to_body()) == plain


def test_an_older_peers_shorter_body_has_defaults():
    assert End.from_body(["inside", "192.0.2.1", 12000]) == End("inside", "192.0.2.1", 12000)
    assert Plan.from_body(["call", 1]) == Plan("call", 1, [])


def test_the_error_says_what_was_expected_and_what_came():
    with pytest.raises(ControlError) as caught:
        Lease.from_body(["inside", 0])
    assert caught.value.code == ErrorCode.BAD_REQUEST
    assert caught.value.text == "lease: field 1: expected a whole number 1..1024, got 0"
    with pytest.raises(ControlError) as caught:
        End.from_body(["inside"])
    assert caught.value.text == "end: expected a field 1, got 1 fields"


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(),
    lambda inner: st.lists(inner, max_size=15) | st.dictionaries(st.integers(), inner, max_size=3),
    max_leaves=30,
)


def refusal(read, body):
    """The code of a refusal, or None."""
    try:
        read(body)
    except ControlError as error:
        return error.code
    return None


@given(st.sampled_from(KINDS), junk)
def test_any_body_is_a_value_or_a_bad_request(kind, body):
    assert refusal(kind.from_body, body) in (None, ErrorCode.BAD_REQUEST)


@given(st.sampled_from(EXAMPLES), st.data())
def test_one_wrong_field_is_a_value_or_a_bad_request(value, data):
    body = value.to_body()
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(junk)
    assert refusal(type(value).from_body, body) in (None, ErrorCode.BAD_REQUEST)


@given(junk)
def test_addresses_and_calls_are_checked(body):
    for read in (messages.addresses_from_body, messages.call_from_body):
        assert refusal(read, body) in (None, ErrorCode.BAD_REQUEST)


def test_numbers_are_never_reused():
    """Beside the enums, so that a change of either is seen: append, never change."""
    assert {method.name: method.value for method in messages.Method} == {
        "HELLO": 1,
        "LEASE": 2,
        "GIVE_BACK": 3,
        "APPLY": 4,
        "REMOVE": 5,
        "QUERY": 6,
        "LIST": 7,
        "STATS": 8,
        "PING": 9,
        "INJECT": 10,
    }
    assert {event.name: event.value for event in messages.Event} == {
        "LATCHED": 2,
        "MEDIA_TIMEOUT": 3,
        "PORTS": 4,
        "DRAINING": 5,
        "SRTP_FAILED": 6,
        "DTMF": 7,
    }


SECRET = "SECRET" * 4


@pytest.mark.parametrize(
    "body",
    [
        [SECRET, SECRET.encode()],
        ["AEAD_AES_128_GCM", SECRET.encode()],
        ["AEAD_AES_128_GCM", SECRET],
        ["AEAD_AES_128_GCM", bytes(28), SECRET],
        ["AEAD_AES_128_GCM", bytes(28), SECRET.encode() * 10],
        ["AEAD_AES_128_GCM", [SECRET]],
        ["AEAD_AES_128_GCM"],
    ],
)
def test_a_bad_key_is_refused_and_not_shown(body):
    with pytest.raises(ControlError) as caught:
        Srtp.from_body(body)
    assert caught.value.code == ErrorCode.BAD_REQUEST
    assert caught.value.text.startswith("srtp: ")
    assert "SECRET" not in caught.value.text


def test_a_key_is_not_in_a_repr():
    assert "SECRET" not in repr(Srtp("AEAD_AES_128_GCM", b"SECRET" * 4 + b"key!", b"SECRET"))


@pytest.mark.parametrize("suite", messages.SUITES)
def test_every_suite_has_its_length_of_key(suite):
    size = messages.SUITES[suite]
    assert Srtp.from_body([suite, bytes(size)]) == Srtp(suite, bytes(size))
    for wrong in (size - 1, size + 1, 0):
        assert refusal(Srtp.from_body, [suite, bytes(wrong)]) == ErrorCode.BAD_REQUEST


@pytest.mark.parametrize(
    ("index", "value"),
    [
        (17, {0: 128}),  # a payload type has seven bits
        (17, {128: 0}),
        (18, {0: 3}),
        (19, 64),
        (21, 128),
    ],
)
def test_media_fields_have_their_range(index, value):
    body = END.to_body()
    body[index] = value
    assert refusal(End.from_body, body) == ErrorCode.BAD_REQUEST


@pytest.mark.parametrize("digits", ["", "1" * 65, "12x", "1 "])
def test_digits_are_digits_and_an_error_does_not_tell_them(digits):
    with pytest.raises(ControlError) as caught:
        Inject.from_body(["call", 0, "b", 1, digits, 160])
    assert caught.value.text == "inject: expected 1 to 64 digits"
    assert "12" not in repr(Inject("call", 0, "b", 7, "12", 160))
