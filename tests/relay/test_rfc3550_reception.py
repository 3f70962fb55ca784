"""Loss, order and jitter of one direction (RFC 3550 Appendix A.1, A.3, A.8)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.stats import MAX_DROPOUT, MAX_MISORDER, Reception

VECTORS = json.loads(Path(__file__).with_name("rfc3550.json").read_text())


def feed(sequences, reception=None, *, ssrc=7, start=100.0):
    reception = reception or Reception({0: 8000})
    for index, sequence in enumerate(sequences):
        reception.packet(
            0, sequence & 0xFFFF, index * 160 & 0xFFFFFFFF, ssrc, 172, start + index * 0.02
        )
    return reception


@pytest.mark.parametrize("case", VECTORS["loss"]["cases"])
def test_loss_by_appendix_a3(case):
    reception = feed(case["seqs"])
    assert reception.packets == case["received"]
    assert reception.lost == case["lost"]
    assert reception.expected == case["expected"]


def test_jitter_by_appendix_a8():
    vector = VECTORS["jitter"]
    reception = Reception({0: 8000})
    expected = 0.0
    transit = None
    for sequence, (arrival_ms, stamp) in enumerate(
        zip(vector["arrival_ms"], vector["rtp_ts"], strict=True)
    ):
        now = 1000.0 + arrival_ms / 1000
        reception.packet(0, sequence, stamp, 1, 172, now)
        before, transit = transit, now * 8000 - stamp
        if before is not None:
            expected += (abs(transit - before) - expected) / 16
    assert reception.jitter_ticks == pytest.approx(expected)
    assert reception.jitter_ms == pytest.approx(expected / 8)
    assert expected > 0


def test_the_sequence_number_rolls_over():
    reception = feed(range(65_000, 65_536 + 65_536 + 500))
    assert reception.lost == 0
    assert reception.highest == 65_536 * 2 + 499


def test_a_late_packet_is_no_loss_and_a_duplicate_makes_it_negative():
    assert feed([1, 2, 4, 3, 5]).lost == 0
    assert feed([1, 2, 2, 3]).lost == -1


def test_late_packets_over_the_roll_over():
    assert feed([65_534, 65_535, 65_537, 65_536, 65_538]).lost == 0


@pytest.mark.parametrize("jump", [MAX_DROPOUT, 30_000, 65_536 - MAX_MISORDER - 9])
def test_a_restart_is_believed_after_two_packets_in_a_row(jump):
    reception = feed([1, 2, 3, 3 + jump, 4 + jump, 5 + jump])
    assert reception.lost == 0
    assert reception.packets == 6


def test_one_stray_number_is_neither_a_restart_nor_a_loss():
    assert feed([1, 2, 3, 40_000, 4, 5]).lost == 0


def test_a_new_source_begins_anew_and_keeps_the_loss_so_far():
    reception = feed([1, 2, 5])
    feed([50_000, 50_001, 50_003], reception, ssrc=8, start=101.0)
    assert reception.lost == 2 + 1
    assert reception.ssrc == 8
    assert reception.packets == 6


def test_the_longest_gap_leaves_a_pause_out():
    reception = Reception({})
    for sequence, now in enumerate((10.0, 10.02, 10.52, 10.54)):
        reception.packet(0, sequence, sequence * 160, 1, 172, now)
    reception.pause()
    reception.pause()
    assert reception.last_packet == 10.54
    reception.packet(0, 4, 640, 1, 172, 60.0)
    reception.packet(0, 5, 800, 1, 172, 60.02)
    assert reception.max_gap_s == pytest.approx(0.5)
    assert (reception.first, reception.last_packet) == (10.0, 60.02)


def test_packets_of_one_timestamp_count_for_jitter_once():
    reception = Reception({96: 90_000})
    for frame in range(20):
        for part in range(3):
            reception.packet(96, frame * 3 + part, frame * 3000, 1, 1200, 5.0 + frame / 30)
    assert reception.jitter_ms == pytest.approx(0.0, abs=0.01)


def test_payload_types_have_their_own_clocks_and_are_remembered():
    reception = Reception({101: 8000, 96: 48_000})
    for number in range(10):
        reception.packet(96, number, number * 960, 1, 100, 1.0 + number * 0.02)
    for number in range(10, 13):
        reception.packet(101 | (128 if number == 10 else 0), number, 9600, 1, 16, 1.2)
    for number in range(13, 20):
        reception.packet(96, number, number * 960, 1, 100, 1.0 + number * 0.02)
    assert reception.payload_types == [96, 101]
    assert reception.jitter_ms == pytest.approx(0.0, abs=0.01)


def test_signalled_types_take_effect():
    reception = feed([1, 2])
    reception.signal({0: 16_000})
    reception.packet(0, 3, 640, 7, 172, 100.04)
    reception.packet(0, 4, 960, 7, 172, 100.06)
    assert reception.jitter_ms == pytest.approx(0.0, abs=0.01)


def test_a_step_of_the_clock_is_not_jitter():
    reception = feed([1, 2, 3])
    reception.packet(0, 4, 3_000_000_000, 7, 172, 100.06)
    assert reception.jitter_ms == pytest.approx(0.0, abs=0.01)


@given(st.lists(st.integers(0, 65_535), max_size=60), st.integers(0, 3))
def test_no_order_of_numbers_breaks_the_books(sequences, sources):
    reception = Reception({})
    for index, sequence in enumerate(sequences):
        reception.packet(index & 255, sequence, sequence, index & sources, 12, float(index))
    assert reception.packets == len(sequences)
    assert reception.expected == reception.lost + reception.packets
    assert reception.jitter_ms >= 0


@given(st.integers(0, 65_535), st.integers(1, 400), st.data())
def test_loss_is_what_was_left_out(base, count, data):
    dropped = data.draw(st.sets(st.integers(1, count), max_size=count))
    kept = [base + at for at in range(count + 2) if at not in dropped]
    assert feed(kept).lost == len(dropped)
