"""telephone-events: one digit for each run of packets, whatever the network does to it."""

from __future__ import annotations

import itertools
import json
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.dtmf import DIGITS, Digit, DigitReceiver, DigitSender

VECTORS = json.loads((Path(__file__).parent / "rfc4733.json").read_text())
CLOCK = 8000


def event(code: int, duration: int, *, end: bool = False) -> bytes:
    return struct.pack("!BBH", code, 0x80 | 10 if end else 10, duration)


class Heard:
    """A receiver, with the time and one source."""

    def __init__(self) -> None:
        self.receiver = DigitReceiver()
        self.now = 100.0
        self.digits: list[Digit] = []

    def packet(self, payload: bytes, timestamp: int, *, ssrc: int = 7, after: float = 0.02) -> None:
        self.now += after
        self.digits += self.receiver.look(self.now)
        self.digits += self.receiver.packet(payload, ssrc, timestamp, CLOCK, self.now)

    def silence(self, seconds: float = 1.0) -> None:
        self.now += seconds
        self.digits += self.receiver.look(self.now)

    @property
    def text(self) -> str:
        return "".join(one.digit for one in self.digits)


def run(code: int, ticks: int, start: int) -> list[tuple[int, bytes]]:
    """A whole event: updates every 20 ms and three ends, with their timestamps."""
    updates = [(start, event(code, part)) for part in range(160, ticks, 160)]
    return updates + [(start, event(code, ticks, end=True))] * 3


def test_the_digits_of_the_rfcs_example():
    heard = Heard()
    start = heard.now
    for row in VECTORS["table5"]:
        wait = start + row["t_ms"] / 1000 - heard.now
        heard.packet(
            event(row["event"], row["duration"], end=bool(row["end"])), row["ts"], after=wait
        )
    heard.silence()
    # Between the rows that the RFC leaves out, 200 ms each, nothing else has come.
    assert heard.text == "911"
    assert heard.digits[0] == Digit("9", 200)


@pytest.mark.parametrize("ends", [1, 2, 3])
def test_however_many_ends_arrive_a_digit_is_told_once(ends):
    heard = Heard()
    packets = run(5, 800, 1000)
    for timestamp, payload in packets[: len(packets) - 3 + ends]:
        heard.packet(payload, timestamp)
    heard.silence()
    assert heard.digits == [Digit("5", 100)]


def test_a_digit_without_any_end_is_over_when_it_falls_silent():
    heard = Heard()
    for timestamp, payload in run(5, 800, 1000)[:-3]:
        heard.packet(payload, timestamp)
    heard.silence(0.1)
    assert heard.digits == []
    heard.silence(0.06)
    assert heard.digits == [Digit("5", 80)]
    assert heard.receiver.due is None


def test_what_comes_of_a_digit_after_it_was_given_up_is_not_another_one():
    heard = Heard()
    packets = run(5, 1600, 1000)
    for timestamp, payload in packets[:3]:
        heard.packet(payload, timestamp)
    heard.silence()
    for timestamp, payload in packets[3:]:
        heard.packet(payload, timestamp)
    heard.silence()
    assert heard.text == "5"


def test_a_digit_ends_one_whose_ends_were_lost():
    heard = Heard()
    for timestamp, payload in run(1, 800, 1000)[:-3] + run(1, 800, 2600)[:-3]:
        heard.packet(payload, timestamp)
    heard.silence()
    assert heard.text == "11"


def test_late_packets_of_the_digit_before_are_nothing_new():
    heard = Heard()
    first, second = run(1, 480, 1000), run(2, 480, 2600)
    for timestamp, payload in [*first[:3], *second[:1], first[4], *second[1:], first[0]]:
        heard.packet(payload, timestamp)
    heard.silence()
    assert heard.text == "12"


def test_an_end_before_its_updates_ends_the_digit():
    heard = Heard()
    for timestamp, payload in reversed(run(11, 800, 1000)):
        heard.packet(payload, timestamp)
    heard.silence()
    assert heard.digits == [Digit("#", 100)]


def test_digits_that_share_a_timestamp_are_told_apart_by_their_events():
    heard = Heard()
    for timestamp, payload in run(1, 480, 1000) + run(2, 480, 1000) + run(1, 480, 1000):
        heard.packet(payload, timestamp)
    heard.silence()
    assert heard.text == "12"


def test_several_events_in_one_packet():
    heard = Heard()
    packed = event(1, 400, end=True) + event(2, 400, end=True) + event(3, 80)
    for _ in range(3):
        heard.packet(packed, 5000)
    heard.silence()
    assert [one.digit for one in heard.digits] == ["1", "2", "3"]


def test_an_event_longer_than_a_segment_is_one_digit():
    heard = Heard()
    start = 0xFFFFFFFF - 30_000  # and its timestamps wrap
    second = start + 0xFFFF & 0xFFFFFFFF
    for part in (160, 40_000, 0xFFFF, 0xFFFF):
        heard.packet(event(0, part), start)
    heard.packet(event(0, 8000), second)
    heard.packet(event(0, 0xFFFF), start)  # late
    for _ in range(3):
        heard.packet(event(0, 16_000, end=True), second)
    heard.silence()
    assert heard.digits == [Digit("0", round((0xFFFF + 16_000) / 8))]


def test_another_source_begins_anew():
    heard = Heard()
    for timestamp, payload in run(1, 480, 1000):
        heard.packet(payload, timestamp)
    for timestamp, payload in run(1, 480, 1000):
        heard.packet(payload, timestamp, ssrc=8)
    assert heard.text == "11"


def test_timestamps_that_begin_anew_far_back():
    heard = Heard()
    for timestamp, payload in run(1, 480, 900_000) + run(2, 480, 1000):
        heard.packet(payload, timestamp)
    assert heard.text == "12"


def test_events_that_are_no_digits_are_passed_over():
    heard = Heard()
    for timestamp, payload in run(16, 480, 1000) + run(66, 480, 9000):
        heard.packet(payload, timestamp)
    heard.packet(b"\x01\x0a", 20_000)
    heard.packet(b"", 30_000)
    heard.silence()
    assert heard.digits == []


@given(st.lists(st.tuples(st.binary(max_size=9), st.integers(0, 0xFFFFFFFF)), max_size=30))
def test_any_bytes_are_digits_or_nothing(packets):
    heard = Heard()
    for payload, timestamp in packets:
        heard.packet(payload, timestamp)
    heard.silence()
    assert all(one.digit in DIGITS for one in heard.digits)
    assert len(heard.digits) <= sum(len(payload) // 4 for payload, _ in packets)


@settings(max_examples=30)
@given(
    st.text(DIGITS, min_size=1, max_size=8),
    st.integers(40, 2500),
    st.sampled_from([8000, 16_000, 48_000]),
    st.data(),
)
def test_what_is_sent_is_heard_over_a_network_that_loses_doubles_and_delays(
    digits, duration_ms, clock, data
):
    """At least one packet of each digit's last two arrives: then each is told, once, in order."""
    sent, now = [], 0.0
    sender = DigitSender(clock)
    sender.add(digits, duration_ms, now)
    while sender.due is not None:
        now = sender.due
        starts = sender.starting
        packets = sender.next(round(now * clock))
        assert [one.marker for one in packets] == [starts] + [False] * (len(packets) - 1)
        sent += [(now, one) for one in packets]
    receiver, heard = DigitReceiver(), []
    for at, packet in sent:
        copies = data.draw(st.sampled_from([0, 1, 1, 1, 2])) or packet.last
        heard += receiver.look(at)
        for _ in range(copies):
            heard += receiver.packet(packet.payload, 1, packet.timestamp, clock, at)
    heard += receiver.look(now + 1)
    assert "".join(one.digit for one in heard) == digits


def test_a_digit_as_it_is_sent():
    sender = DigitSender(CLOCK)
    sender.add("4", 100, 5.0)
    times, packets = [], []
    while sender.due is not None:
        times.append(sender.due)
        packets += sender.next(70_000)
        assert sender.sounding == (sender.due is not None)
    assert [one.marker for one in packets] == [True, *[False] * 6]
    assert {one.timestamp for one in packets} == {70_000}
    told = [struct.unpack("!BBH", one.payload) for one in packets]
    assert told == [(4, 10, 160 * part) for part in range(1, 5)] + [(4, 138, 800)] * 3
    assert [one.last for one in packets] == [False] * 6 + [True]
    assert times == pytest.approx([5.0 + 0.02 * step for step in range(7)])


def test_digits_follow_each_other_after_a_pause():
    sender = DigitSender(CLOCK)
    sender.add("1x2", 40, 5.0)  # what is no digit is not sent
    sender.add("3", 40, 5.0)
    began = []
    while sender.due is not None:
        if sender.starting:
            began.append(sender.due)
        sender.next(0)
    assert [later - one for one, later in itertools.pairwise(began)] == pytest.approx([0.12, 0.12])
    assert sender.next(0) == []
