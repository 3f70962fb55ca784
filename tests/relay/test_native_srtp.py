"""Native SRTP sessions are the same as Python's, whatever is done with them (RFC 3711).

Python's own sessions are held to the RFCs and to libsrtp by test_srtp.py and its neighbours; here
the two get the same packets, and give the same bytes, failures and indices.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pylibsrtp import Error

from relay.rtp.session import MAX_SOURCES, Failure
from relay.rtp.srtp import new_session
from relay.rtp.suites import SUITES
from tests.relay.native_fixtures import rtp
from tests.relay.srtp_tools import LIBSRTP, key_of, libsrtp, reordered, sender_report

pytestmark = pytest.mark.native
every_suite = pytest.mark.parametrize("suite", SUITES)


def native(suite, key, mki=b"", roc=0):
    from relay._native import Srtp  # it may be missing where these tests are skipped

    return Srtp(suite, key, mki, roc)


def both(suite, mki=b"", roc=0):
    """The Python session and the native one of a key."""
    key = key_of(suite)
    return new_session(suite, key, mki, roc), native(suite, key, mki, roc)


numbers = st.one_of(st.integers(0, 30), st.integers(65_500, 65_600), st.integers(0, 200_000))
sources = st.sampled_from((0, 1, 0xFFFFFFFF))
packets = st.one_of(
    st.builds(rtp, numbers, sources, st.binary(max_size=40)),
    st.binary(max_size=60),
    st.binary(max_size=60).map(lambda rest: b"\x9f\x00" + rest),
)
reports = st.one_of(st.builds(sender_report, sources), st.binary(max_size=40), st.just(bytes(1500)))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("protect"), packets),
        st.tuples(st.just("protect_rtcp"), reports),
        st.tuples(st.just("unprotect"), packets),
        st.tuples(st.just("unprotect_rtcp"), reports),
        st.tuples(st.just("deliver"), st.integers(0, 5)),
        st.tuples(st.just("forge"), st.integers(0, 1 << 16)),
    ),
    max_size=30,
)


@every_suite
@settings(max_examples=60, deadline=None)
@given(steps=steps, mki=st.sampled_from((b"", b"\x01", bytes(128))), roc=st.sampled_from((0, 9)))
def test_the_same_as_python_whatever_is_done(suite, steps, mki, roc):
    senders, receivers = both(suite, mki, roc), both(suite, mki, roc)
    made: list[tuple[str, bytes]] = []
    for what, given_ in steps:
        if what in ("deliver", "forge"):
            if not made:
                continue
            kind, packet = made[-1 - given_ % min(6, len(made))]
            if what == "forge":
                changed = bytearray(packet)
                changed[given_ % len(changed)] ^= 1 + given_ % 255
                packet = bytes(changed)
            what, ends = f"un{kind}", receivers
        else:
            packet, ends = given_, receivers if "un" in what else senders
        done = [getattr(end, what)(packet) for end in ends]
        assert done[0] == done[1], (what, packet.hex())
        if what.startswith("protect") and isinstance(done[0], bytes):
            made.append((what, done[0]))
    for ends in (senders, receivers):
        assert ends[0].rtcp_index == ends[1].rtcp_index
        for ssrc in (0, 1, 0xFFFFFFFF):
            assert ends[0].index(ssrc) == ends[1].index(ssrc)


@every_suite
def test_two_roll_overs_with_loss_and_reordering_at_each(suite):
    """From a Python sender through a native relay, which takes one key off and puts another on."""
    chance = random.Random(suite)  # noqa: S311 - it is for a test
    sender, inward = new_session(suite, key_of(suite, 1)), native(suite, key_of(suite, 1))
    outward, receiver = native(suite, key_of(suite, 2)), new_session(suite, key_of(suite, 2))
    steps = (*range(64_000, 65_500, 90), *range(65_500, 65_600), *range(65_600, 131_000, 999))
    sent = (*steps, *range(131_000, 131_200), *range(131_200, 196_700, 5000))
    wire = [(number, sender.protect(rtp(number, 5, number.to_bytes(4, "big")))) for number in sent]
    kept = [one for one in reordered(wire, chance) if chance.random() > 0.1]
    for number, packet in kept:
        plain = inward.unprotect(packet)
        assert plain == rtp(number, 5, number.to_bytes(4, "big"))
        assert inward.unprotect(packet) == Failure.REPLAY
        crossed = outward.protect(plain)
        assert outward.protect(plain) == Failure.REPLAY
        assert receiver.unprotect(crossed) == plain
    assert inward.index(5) >> 16 == outward.index(5) >> 16 == receiver.index(5) >> 16 == 2


@pytest.mark.parametrize("suite", LIBSRTP)
@settings(deadline=None)
@given(payloads=st.lists(st.binary(max_size=1300), max_size=5), start=st.integers(0, 0xFFFF))
def test_what_libsrtp_takes_and_makes(suite, payloads, start):
    key = key_of(suite)
    ours, theirs = native(suite, key), libsrtp(suite, key, sends=True)
    our_ear, their_ear = native(suite, key), libsrtp(suite, key, sends=False)
    for number, payload in enumerate(payloads, start):
        packet = rtp(number, 5, payload)
        wire = ours.protect(packet)
        assert wire == theirs.protect(packet)
        assert our_ear.unprotect(wire) == their_ear.unprotect(wire) == packet
        report = sender_report(5, number)
        assert their_ear.unprotect_rtcp(ours.protect_rtcp(report)) == report
        assert our_ear.unprotect_rtcp(theirs.protect_rtcp(report)) == report


@pytest.mark.parametrize("suite", LIBSRTP)
def test_what_libsrtp_refuses(suite):
    ours, their_ear = native(suite, key_of(suite)), libsrtp(suite, key_of(suite), sends=False)
    wire = ours.protect(rtp(1, 5, bytes(40)))
    for place in range(len(wire)):
        changed = bytearray(wire)
        changed[place] ^= 0x40
        with pytest.raises(Error):
            their_ear.unprotect(bytes(changed))
        assert native(suite, key_of(suite)).unprotect(changed) in (Failure.AUTH, Failure.SIZE)


@every_suite
def test_any_kind_of_bytes_may_go_in(suite):
    packet = rtp(1, 5, b"voice")
    wire = native(suite, key_of(suite)).protect(packet)
    assert isinstance(wire, bytes)
    for kind in (bytes, bytearray, memoryview):
        assert native(suite, key_of(suite)).unprotect(kind(wire)) == packet


@every_suite
def test_another_process_goes_on(suite):
    (ours, sender), (theirs, receiver) = both(suite), both(suite)
    wire = [ours.protect(rtp(number, 5, b"voice")) for number in range(65_530, 65_540)]
    assert all(isinstance(theirs.unprotect(packet), bytes) for packet in wire)
    report = ours.protect_rtcp(sender_report(5))
    sender.resume(5, ours.index(5))
    sender.resume_rtcp(ours.rtcp_index)
    receiver.resume(5, theirs.index(5))
    assert sender.protect(rtp(65_539, 5, b"voice")) == Failure.REPLAY
    assert receiver.unprotect(wire[-1]) == Failure.REPLAY
    assert receiver.unprotect_rtcp(report) == sender_report(5)
    for number in (65_540, 65_541):
        assert receiver.unprotect(sender.protect(rtp(number, 5, b""))) == rtp(number, 5, b"")
    assert receiver.unprotect_rtcp(sender.protect_rtcp(sender_report(5))) == sender_report(5)


def test_a_source_too_many_and_the_end_of_a_key():
    python, rust = both("AEAD_AES_128_GCM")
    for ssrc in range(MAX_SOURCES + 1):
        packet = rtp(1, ssrc, b"")
        assert python.protect(packet) == rust.protect(packet)
    assert rust.protect(rtp(1, MAX_SOURCES, b"")) == Failure.SOURCE
    for session in (python, rust):
        session.resume(0, (1 << 48) - 2)
        session.resume_rtcp((1 << 31) - 1)
    for packet in (rtp(0xFFFF, 0, b"last"), rtp(0, 0, b"one too many")):
        assert python.protect(packet) == rust.protect(packet)
    for _ in range(2):
        assert python.protect_rtcp(sender_report(5)) == rust.protect_rtcp(sender_report(5))
    assert rust.protect_rtcp(sender_report(5)) == Failure.REPLAY


def test_what_makes_no_session():
    with pytest.raises(ValueError, match="suite"):
        native("AES_CM_128_NULL", bytes(30))
    for size in (0, 29, 31):
        with pytest.raises(ValueError, match="key"):
            native("AES_CM_128_HMAC_SHA1_80", bytes(size))
    assert "7f7f" not in repr(native("AES_CM_128_HMAC_SHA1_80", b"\x7f" * 30))
