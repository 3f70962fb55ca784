"""Our SRTP beside libsrtp's, both ways: what one makes the other takes, byte by byte."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pylibsrtp import Error

from relay.rtp.session import Failure
from relay.rtp.srtp import new_session
from tests.relay.rig import rtp
from tests.relay.srtp_tools import (
    LIBSRTP,
    key_of,
    libsrtp,
    reordered,
    sealed,
    sealed_rtcp,
    sender_report,
)

every_suite = pytest.mark.parametrize("suite", LIBSRTP)

headers = st.tuples(st.integers(0, 15), st.booleans(), st.integers(0, 4), st.binary(max_size=200))


def packet_of(sequence, header) -> bytes:
    sources, extended, words, payload = header
    first = 0x80 | sources | (0x10 if extended else 0)
    extension = b"\xbe\xde" + words.to_bytes(2, "big") + bytes(4 * words) if extended else b""
    return bytes((first,)) + rtp(sequence)[1:12] + bytes(4 * sources) + extension + payload


@every_suite
@given(drawn=st.lists(headers, max_size=5), start=st.integers(0, 0xFFFF))
def test_rtp_is_the_same(suite, drawn, start):
    key = key_of(suite)
    ours, theirs = new_session(suite, key), libsrtp(suite, key, sends=True)
    our_ear, their_ear = new_session(suite, key), libsrtp(suite, key, sends=False)
    for number, header in enumerate(drawn):
        packet = packet_of(start + number, header)
        wire = sealed(ours, packet)
        assert wire == theirs.protect(packet)
        assert our_ear.unprotect(wire) == their_ear.unprotect(wire) == packet


@every_suite
@given(bodies=st.lists(st.binary(min_size=4, max_size=100), max_size=5))
def test_rtcp_is_taken_both_ways(suite, bodies):
    key = key_of(suite)
    ours, theirs = new_session(suite, key), libsrtp(suite, key, sends=True)
    our_ear, their_ear = new_session(suite, key), libsrtp(suite, key, sends=False)
    for body in bodies:
        report = b"\x80\xc9\x00\x01" + body[:4] + body
        assert their_ear.unprotect_rtcp(sealed_rtcp(ours, report)) == report
        assert our_ear.unprotect_rtcp(theirs.protect_rtcp(report)) == report


@every_suite
def test_rtcp_is_the_same_from_the_same_index(suite):
    key = key_of(suite)
    ours, theirs = new_session(suite, key), libsrtp(suite, key, sends=True)
    ours.resume_rtcp(1)  # libsrtp counts from there
    for _ in range(3):
        assert ours.protect_rtcp(sender_report()) == theirs.protect_rtcp(sender_report())


@every_suite
def test_both_follow_over_two_roll_overs_with_loss_and_reordering(suite):
    chance = random.Random(suite)  # noqa: S311 - it is for a test
    key = key_of(suite)
    ours, theirs = new_session(suite, key), libsrtp(suite, key, sends=True)
    our_ear, their_ear = new_session(suite, key), libsrtp(suite, key, sends=False)
    numbers = [*range(60000, 65500, 500), *range(65500, 65580), *range(66000, 131000, 5000)]
    numbers += [*range(131000, 131150)]
    wires = []
    for number in numbers:
        wires.append((number, sealed(ours, rtp(number))))
        assert wires[-1][1] == theirs.protect(rtp(number))
    for _, wire in reordered(wires, chance):
        if chance.random() > 0.1:
            assert our_ear.unprotect(wire) == their_ear.unprotect(wire)
    assert our_ear.index(0x1234) >> 16 == 2


@every_suite
@given(
    st.lists(st.tuples(st.integers(0, 200), st.booleans(), st.integers(0, 1 << 20)), max_size=40)
)
def test_both_refuse_the_same(suite, moves):
    """Packets in any order, again and again, some with a bit turned over."""
    key = key_of(suite)
    sender = new_session(suite, key)
    wires = [sealed(sender, rtp(number, b"payload")) for number in range(201)]
    our_ear, their_ear = new_session(suite, key), libsrtp(suite, key, sends=False)
    for number, harmed, bit in moves:
        wire = bytearray(wires[number])
        if harmed:
            bit = 96 + bit % (8 * (len(wire) - 12))
            wire[bit // 8] ^= 1 << bit % 8
        ours = our_ear.unprotect(bytes(wire))
        try:
            theirs: bytes | None = their_ear.unprotect(bytes(wire))
        except Error:
            theirs = None
        assert (ours if isinstance(ours, bytes) else None) == theirs
        if harmed:
            assert ours in (Failure.AUTH, Failure.REPLAY)
