"""SRTP and SRTCP sessions: what is refused first, then what passes (RFC 3711 §3.3, §3.4)."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.control.messages import SUITES
from relay.rtp.replay import nearest
from relay.rtp.session import MAX_SOURCES, WINDOW, Failure
from relay.rtp.srtp import new_session
from tests.relay.rig import rtp
from tests.relay.srtp_tools import (
    OVERHEAD,
    key_of,
    pair,
    reordered,
    sealed,
    sealed_rtcp,
    sender_report,
)

MKIS = (b"", b"\x01", bytes(range(128)))
every_suite = pytest.mark.parametrize("suite", SUITES)
every_mki = pytest.mark.parametrize("mki", MKIS, ids=["no mki", "mki of 1", "mki of 128"])

# what is refused


@every_suite
@every_mki
def test_another_key_is_refused(suite, mki):
    sender, _ = pair(suite, mki)
    _, receiver = pair(suite, mki, number=2)
    assert receiver.unprotect(sealed(sender, rtp(1))) == Failure.AUTH
    assert receiver.unprotect_rtcp(sealed_rtcp(sender, sender_report())) == Failure.AUTH
    assert receiver.index(0x1234) == -1
    assert receiver.rtcp_index == 0


@every_suite
def test_another_mki_is_refused(suite):
    sender, _ = pair(suite, b"\x01\x02")
    _, receiver = pair(suite, b"\x01\x03")
    assert receiver.unprotect(sealed(sender, rtp(1))) == Failure.AUTH
    assert receiver.unprotect_rtcp(sealed_rtcp(sender, sender_report())) == Failure.AUTH


@every_suite
def test_rtp_in_the_clear_is_refused(suite):
    _, receiver = pair(suite)
    assert receiver.unprotect(rtp(1)) == Failure.AUTH
    assert receiver.unprotect_rtcp(sender_report()) == Failure.AUTH


@every_suite
@every_mki
def test_what_came_before_is_refused(suite, mki):
    sender, receiver = pair(suite, mki)
    packets = [sealed(sender, rtp(n)) for n in range(10)]
    for packet in packets:
        assert isinstance(receiver.unprotect(packet), bytes)
    assert [receiver.unprotect(packet) for packet in packets] == [Failure.REPLAY] * 10
    report = sealed_rtcp(sender, sender_report())
    assert receiver.unprotect_rtcp(report) == sender_report()
    assert receiver.unprotect_rtcp(report) == Failure.REPLAY


@every_suite
def test_what_is_older_than_the_window_is_refused(suite):
    sender, receiver = pair(suite)
    packets = [sealed(sender, rtp(n)) for n in range(WINDOW + 2)]
    assert receiver.unprotect(packets[-1]) == rtp(WINDOW + 1)
    assert receiver.unprotect(packets[0]) == Failure.REPLAY
    assert receiver.unprotect(packets[1]) == Failure.REPLAY
    assert receiver.unprotect(packets[2]) == rtp(2)
    reports = [sealed_rtcp(sender, sender_report()) for _ in range(WINDOW + 1)]
    assert receiver.unprotect_rtcp(reports[-1]) == sender_report()
    assert receiver.unprotect_rtcp(reports[0]) == Failure.REPLAY
    assert receiver.unprotect_rtcp(reports[1]) == sender_report()


@every_suite
@every_mki
def test_every_changed_bit_is_noticed(suite, mki):
    sender, receiver = pair(suite, mki)
    good = sealed(sender, rtp(1, bytes(20)))
    for place in range(8 * len(good)):
        changed = bytearray(good)
        changed[place // 8] ^= 1 << place % 8
        assert receiver.unprotect(changed) in (Failure.AUTH, Failure.SIZE)
    assert receiver.unprotect(good) == rtp(1, bytes(20))
    report = sealed_rtcp(sender, sender_report())
    for place in range(8 * len(report)):
        changed = bytearray(report)
        changed[place // 8] ^= 1 << place % 8
        assert receiver.unprotect_rtcp(changed) == Failure.AUTH
    assert receiver.unprotect_rtcp(report) == sender_report()


@every_suite
@every_mki
def test_every_cut_is_noticed(suite, mki):
    sender, receiver = pair(suite, mki)
    good, report = sealed(sender, rtp(1)), sealed_rtcp(sender, sender_report())
    least = 12 + OVERHEAD[suite] + len(mki)
    for size in range(len(good)):
        expected = Failure.SIZE if size < least else Failure.AUTH
        assert receiver.unprotect(good[:size]) == expected
    for size in range(len(report)):
        assert receiver.unprotect_rtcp(report[:size]) in (Failure.AUTH, Failure.SIZE)
    assert receiver.unprotect(good) == rtp(1)
    assert receiver.unprotect_rtcp(report) == sender_report()


@every_suite
@given(junk=st.binary(max_size=200))
def test_any_bytes_are_refused_and_change_nothing(suite, junk):
    sender, receiver = pair(suite)
    assert isinstance(receiver.unprotect(junk), int)
    assert isinstance(receiver.unprotect_rtcp(junk), int)
    assert isinstance(receiver.unprotect(b"\x80\x00" + junk), int)
    assert isinstance(receiver.unprotect_rtcp(b"\x80\xc8" + junk), int)
    assert receiver.unprotect(sealed(sender, rtp(1))) == rtp(1)
    assert receiver.unprotect_rtcp(sealed_rtcp(sender, sender_report())) == sender_report()


@every_suite
@given(junk=st.binary(max_size=40))
def test_any_bytes_are_protected_or_refused(suite, junk):
    sender, receiver = pair(suite)
    for packet in (junk, b"\x9f\x00" + junk):
        done = sender.protect(packet)
        assert done == Failure.SIZE if isinstance(done, int) else receiver.unprotect(done) == packet
    done = sender.protect_rtcp(junk)
    if isinstance(done, int):
        assert done == Failure.SIZE
        assert len(junk) < 8
    else:
        assert receiver.unprotect_rtcp(done) == junk


@every_suite
def test_a_header_that_is_longer_than_its_packet_is_refused(suite):
    sender, receiver = pair(suite)
    for first in (0x8F, 0x90):
        packet = bytes((first,)) + rtp(1, b"\xff" * 40)[1:]
        assert sender.protect(packet) == Failure.SIZE
        assert receiver.unprotect(packet) == Failure.SIZE


@every_suite
def test_nothing_is_protected_twice(suite):
    """Two payloads under one index would give each other away (RFC 3711 §9.1)."""
    sender, _ = pair(suite)
    for number in (5, 6, 9):
        sealed(sender, rtp(number))
    for number in (5, 6, 9):
        assert sender.protect(rtp(number, b"something else")) == Failure.REPLAY
    assert isinstance(sender.protect(rtp(7)), bytes)  # late, and not sent yet
    assert sender.protect(rtp(7)) == Failure.REPLAY
    sealed(sender, rtp(9 + WINDOW))
    assert sender.protect(rtp(8)) == sender.protect(rtp(9)) == Failure.REPLAY


@every_suite
def test_no_index_is_ever_given_twice_whatever_is_sent(suite):
    chance = random.Random(suite)  # noqa: S311 - it is for a test
    sender = new_session(suite, key_of(suite))
    used: set[int] = set()
    highest = -1
    for _ in range(3000):
        sequence = chance.choice((chance.randrange(1 << 16), (highest + chance.randrange(-9, 9))))
        index = nearest(highest, sequence & 0xFFFF) if highest >= 0 else sequence & 0xFFFF
        if isinstance(sender.protect(rtp(sequence)), bytes):
            assert index not in used
            used.add(index)
        highest = sender.index(0x1234)
    assert len(used) > 100


def test_a_source_too_many_is_refused():
    suite = "AEAD_AES_128_GCM"
    sender, receiver = pair(suite)
    for ssrc in range(MAX_SOURCES):
        assert receiver.unprotect(sealed(sender, rtp(1, b"", ssrc=ssrc))) == rtp(1, b"", ssrc=ssrc)
        assert isinstance(receiver.unprotect_rtcp(sealed_rtcp(sender, sender_report(ssrc))), bytes)
    assert sender.protect(rtp(1, ssrc=MAX_SOURCES)) == Failure.SOURCE
    stranger = sealed(pair(suite)[0], rtp(1, ssrc=MAX_SOURCES))
    assert receiver.unprotect(stranger) == Failure.SOURCE
    report = sealed_rtcp(pair(suite)[0], sender_report(MAX_SOURCES))
    assert receiver.unprotect_rtcp(report) == Failure.SOURCE
    assert receiver.unprotect(sealed(sender, rtp(2, ssrc=7))) == rtp(2, ssrc=7)


@every_suite
def test_a_forgery_makes_no_source(suite):
    sender, receiver = pair(suite)
    for ssrc in range(MAX_SOURCES + 1):
        assert receiver.unprotect(rtp(1, bytes(40), ssrc=ssrc)) == Failure.AUTH
        assert receiver.unprotect_rtcp(sender_report(ssrc) + bytes(40)) == Failure.AUTH
    assert receiver.unprotect(sealed(sender, rtp(1))) == rtp(1)
    assert receiver.unprotect_rtcp(sealed_rtcp(sender, sender_report())) == sender_report()


@every_suite
def test_the_key_has_an_end(suite):
    sender, receiver = pair(suite)
    last = (1 << 48) - 1
    for session in (sender, receiver):
        session.resume(0x1234, last - 1)
        session.resume_rtcp((1 << 31) - 1)
    assert receiver.unprotect(sealed(sender, rtp(0xFFFF))) == rtp(0xFFFF)
    assert sender.protect(rtp(0)) == Failure.REPLAY
    assert receiver.unprotect(rtp(0, bytes(40))) == Failure.REPLAY
    assert receiver.unprotect_rtcp(sealed_rtcp(sender, sender_report())) == sender_report()
    assert sender.protect_rtcp(sender_report()) == Failure.REPLAY


@every_suite
def test_a_packet_that_would_be_too_large_is_refused(suite):
    sender, receiver = pair(suite, b"mki")
    room = 65535 - OVERHEAD[suite] - 3
    largest = rtp(1, bytes(room - 12))
    assert sender.protect(rtp(1, bytes(room - 11))) == Failure.SIZE
    assert receiver.unprotect(sealed(sender, largest)) == largest


def test_a_key_of_another_length_is_a_fault_of_ours():
    with pytest.raises(ValueError, match="30 bytes"):
        new_session("AES_CM_128_HMAC_SHA1_80", bytes(29))
    with pytest.raises(KeyError):
        new_session("AES_CM_128_NULL", bytes(30))


# what passes


@every_suite
@every_mki
def test_rtp_comes_back_as_it_was(suite, mki):
    sender, receiver = pair(suite, mki)
    packets = [
        rtp(1),
        rtp(2, b""),
        b"\x91\xe5" + rtp(3)[2:12] + b"CSRC" + b"\xbe\xde\x00\x01" + b"\x10\xff\x00\x00" + b"pay",
        b"\xa0\x00" + rtp(4)[2:] + b"\x00\x00\x00\x04",
        rtp(5, bytes(1460)),
        rtp(6, bytes(9000)),
        rtp(7, ssrc=0xFFFFFFFF),
    ]
    for packet in packets:
        wire = sealed(sender, memoryview(packet))
        assert len(wire) == len(packet) + OVERHEAD[suite] + len(mki)
        assert wire[:12] == packet[:12]
        assert len(packet) < 20 or packet[12:] not in wire
        assert receiver.unprotect(memoryview(wire)) == packet


@every_suite
@every_mki
def test_rtcp_comes_back_as_it_was(suite, mki):
    sender, receiver = pair(suite, mki)
    tag = 16 if "GCM" in suite else 10  # also where SRTP has 32 bits
    for number in range(3):
        report = sender_report(packets=number)
        wire = sealed_rtcp(sender, report)
        assert len(wire) == len(report) + 4 + tag + len(mki)
        assert receiver.unprotect_rtcp(memoryview(wire)) == report
        assert sender.rtcp_index == receiver.rtcp_index == number + 1
    short = b"\x80\xc9\x00\x01" + bytes(4)
    assert receiver.unprotect_rtcp(sealed_rtcp(sender, short)) == short


@every_suite
def test_what_is_late_passes_within_the_window(suite):
    sender, receiver = pair(suite)
    packets = [sealed(sender, rtp(n)) for n in range(WINDOW)]
    chance = random.Random(1)  # noqa: S311 - it is for a test
    chance.shuffle(packets)
    assert all(isinstance(receiver.unprotect(packet), bytes) for packet in packets)


@every_suite
def test_the_sequence_rolls_over_twice_with_loss_and_reordering_there(suite):
    chance = random.Random(suite)  # noqa: S311 - it is for a test
    sender, receiver = pair(suite)
    steps = (*range(65000, 65536, 7), *range(65500, 65600), *range(65600, 131000, 999))
    numbers = sorted({*steps, *range(131000, 131200), *range(131200, 196700, 5000)})
    wire = [(n, sealed(sender, rtp(n, n.to_bytes(4, "big")))) for n in numbers]
    kept = [one for one in reordered(wire, chance) if chance.random() > 0.1]
    for number, packet in kept:
        assert receiver.unprotect(packet) == rtp(number, number.to_bytes(4, "big")), number
        assert receiver.unprotect(packet) == Failure.REPLAY
    assert receiver.index(0x1234) >> 16 == 2


@every_suite
def test_each_source_has_a_roll_over_counter_of_its_own(suite):
    sender, receiver = pair(suite)
    for number in range(65530, 65540):
        assert receiver.unprotect(sealed(sender, rtp(number, ssrc=1))) == rtp(number, ssrc=1)
    assert receiver.unprotect(sealed(sender, rtp(3, ssrc=2))) == rtp(3, ssrc=2)
    assert receiver.index(1) == 65539
    assert receiver.index(2) == 3
    assert receiver.index(3) == -1


@every_suite
def test_a_session_begins_with_the_roll_over_counter_that_it_is_given(suite):
    sender, receiver = pair(suite, roc=7)
    assert receiver.unprotect(sealed(sender, rtp(65535))) == rtp(65535)
    assert receiver.unprotect(sealed(sender, rtp(65536))) == rtp(65536)
    assert sender.index(0x1234) == receiver.index(0x1234) == 8 << 16
    other = pair(suite)[1]
    assert other.unprotect(sealed(sender, rtp(65537))) == Failure.AUTH


@every_suite
def test_another_process_goes_on_where_one_has_ended(suite):
    sender, receiver = pair(suite)
    for number in (65535, 65536, 65537):
        last = sealed(sender, rtp(number))
        receiver.unprotect(last)
    next_sender, next_receiver = pair(suite)
    next_sender.resume(0x1234, sender.index(0x1234))
    next_receiver.resume(0x1234, receiver.index(0x1234))
    next_sender.resume_rtcp(sender.rtcp_index + (1 << 16))
    next_receiver.resume_rtcp(1)
    assert next_sender.protect(rtp(1)) == Failure.REPLAY
    assert next_receiver.unprotect(last) == Failure.REPLAY
    assert next_receiver.unprotect(sealed(next_sender, rtp(2))) == rtp(2)
    assert next_receiver.unprotect_rtcp(sealed_rtcp(sender, sender_report())) == Failure.REPLAY
    for _ in range(2):
        report = sealed_rtcp(next_sender, sender_report())
        assert next_receiver.unprotect_rtcp(report) == sender_report()
    assert next_receiver.rtcp_index == (1 << 16) + 2


# the index


@given(st.integers(0, (1 << 48) - 1), st.integers(-0x7FFF, 0x7FFF))
def test_the_nearest_index_is_found(highest, step):
    index = highest + step
    if index >= 0:
        assert nearest(highest, index & 0xFFFF) == index


@pytest.mark.parametrize(
    ("highest", "sequence", "index"),
    [
        (5, 65534, 65534),  # nothing is before 0
        (0, 32768, 32768),
        (32768, 0, 0),
        (0x17FFF, 0xFFFF, 0x1FFFF),  # both are as far: RFC 3711 Appendix A
        (0x18000, 0x0000, 0x10000),
        (0x1FFFF, 0x7FFF, 0x17FFF),
        (0x1FFFF, 0x0000, 0x20000),
        (0x20000, 0xFFFF, 0x1FFFF),
    ],
)
def test_the_index_at_the_edges(highest, sequence, index):
    assert nearest(highest, sequence) == index


@settings(deadline=None)
@given(st.lists(st.integers(0, 300), max_size=60))
def test_an_index_is_accepted_once_whatever_the_order(numbers):
    suite = "AEAD_AES_128_GCM"
    receiver = pair(suite)[1]
    wires = {}
    sender = pair(suite)[0]
    for number in range(301):
        wires[number] = sealed(sender, rtp(number, b""))
    seen: set[int] = set()
    for number in numbers:
        fresh = number not in seen and (not seen or number > max(seen) - WINDOW)
        assert isinstance(receiver.unprotect(wires[number]), bytes) == fresh
        seen.add(number)
