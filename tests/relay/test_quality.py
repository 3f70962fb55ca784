"""What counts mean: loss, bursts, round trip, rating, and the worst ten seconds."""

from __future__ import annotations

import struct

import pytest

from relay.emodel import codec_named, mos, rating
from relay.quality import Window, codec_of, quality
from relay.round_trip import RoundTrip
from relay.rtp.rtcp import packets
from relay.stats import Reception

PCMU = codec_named("PCMU")


class Stream:
    """Packets every 20 ms, and the once-a-second look at them."""

    def __init__(self) -> None:
        self.reception = Reception({})
        self.window: Window | None = None
        self.at = 0

    def second(self, lost: tuple[int, ...] = (), late_ms: float = 0.0) -> None:
        for place in range(50):
            if place not in lost:
                now = 10.0 + self.at * 0.02 + (late_ms / 1000 if place % 2 else 0.0)
                self.reception.packet(0, self.at & 0xFFFF, self.at * 160, 1, 172, now)
            self.at += 1
        self.over()

    def over(self) -> None:
        """A second is over: what the worker does then."""
        if self.window is None and Window.is_worth(self.reception):
            self.window = Window(self.reception)
        if self.window is not None:
            self.window.second(self.reception)

    def quality(self, rtt_s: float | None = None, codec=PCMU):
        return quality(self.reception, self.window, rtt_s, codec)


def test_one_packet_is_rated_as_it_is():
    stream = Stream()
    stream.reception.packet(0, 1, 160, 1, 172, 10.0)
    found = stream.quality()
    assert (found.loss_share, found.gap_ms, found.burst_ms) == (0.0, 0.0, 0.0)
    assert found.mos == found.mos_worst == pytest.approx(mos(PCMU, 93.2))


def test_what_came_twice_is_no_loss():
    reception = Reception({})
    for sequence in (1, 2, 2, 2, 3):
        reception.packet(0, sequence, sequence * 160, 1, 172, 10.0 + sequence * 0.02)
    assert reception.lost < 0
    assert quality(reception, None, None, PCMU).loss_share == 0.0


def test_all_but_nothing_lost():
    reception = Reception({})
    for sequence in (0, 2900, 5800):
        reception.packet(0, sequence, sequence * 160, 1, 172, 10.0 + sequence * 0.02)
    found = quality(reception, None, None, PCMU)
    assert found.loss_share == pytest.approx(1.0, abs=0.001)
    assert found.mos == pytest.approx(1.0, abs=0.4)


def test_loss_lowers_the_score_and_bursts_lower_it_more():
    spread, together = Stream(), Stream()
    for _ in range(10):
        spread.second(lost=(5, 30))
        together.second(lost=(29, 30))
    one, other = spread.quality(), together.quality()
    assert one.loss_share == other.loss_share == pytest.approx(0.04, abs=0.001)
    assert one.mos < 4.4
    assert other.mos < one.mos
    assert (one.burst_ms, one.burst_density) == (0.0, 0.0)
    assert one.gap_density == pytest.approx(0.04, abs=0.001)
    assert other.burst_ms == pytest.approx(40, rel=0.01)
    assert other.burst_density == 1.0
    assert other.gap_density == 0.0
    assert other.gap_ms == pytest.approx((500 - 20) * 20 / 11, rel=0.01)


def test_the_worst_ten_seconds_are_remembered():
    stream = Stream()
    for second in range(60):
        stream.second(lost=tuple(range(10, 15)) if 25 <= second < 35 else ())
    found = stream.quality()
    assert stream.window is not None
    assert stream.window.worst is not None
    assert stream.window.worst[0] == pytest.approx(0.1)
    assert found.loss_share == pytest.approx(5 / 300, abs=0.001)
    assert found.mos_worst < found.mos - 0.5


def test_the_worst_ten_seconds_need_not_begin_with_a_second_in_ten():
    stream = Stream()
    for second in range(40):
        stream.second(lost=(7, 8, 9) if second in (14, 23) else ())
    assert stream.window is not None
    assert stream.window.worst is not None
    assert stream.window.worst[0] == pytest.approx(6 / 500)


def test_a_call_shorter_than_ten_seconds_has_no_worse_part():
    stream = Stream()
    for second in range(9):
        stream.second(lost=(1, 2) if second == 3 else ())
    found = stream.quality()
    assert stream.window is not None
    assert stream.window.worst is None
    assert found.mos_worst == found.mos


def test_jitter_alone_may_be_the_worst():
    stream = Stream()
    for second in range(30):
        stream.second(late_ms=40.0 if 10 <= second < 22 else 0.0)
    assert stream.window is not None
    assert stream.window.worst is not None
    assert stream.window.worst[2] > 30.0


def test_a_stream_without_a_fault_costs_nothing():
    stream = Stream()
    for _ in range(30):
        stream.second()
    assert stream.window is None


def test_what_was_before_the_first_loss_was_good():
    stream = Stream()
    for second in range(100):
        stream.second(lost=(7, 8, 9, 10, 11) if second == 60 else ())
    assert stream.window is not None
    assert stream.window.worst is not None
    assert stream.window.worst[0] == pytest.approx(5 / 500, rel=0.05)


def test_silence_is_not_rated_and_does_no_harm():
    stream = Stream()
    stream.second()
    for _ in range(30):
        stream.over()
    assert stream.window is None
    assert stream.quality().mos_worst == stream.quality().mos


def test_what_was_late_does_not_count_as_lost_for_ever():
    stream = Stream()
    for _ in range(12):
        stream.second(lost=(3,))
        late = stream.at - 50 + 3
        stream.reception.packet(0, late, late * 160, 1, 172, 10.0 + stream.at * 0.02)
    assert stream.reception.lost == 0
    assert stream.quality().loss_share == 0.0
    assert stream.quality().mos == pytest.approx(mos(PCMU, 93.2), abs=0.2)


def test_a_long_way_lowers_the_score():
    stream = Stream()
    stream.second()
    near, far = stream.quality(0.02), stream.quality(0.8)
    assert (near.rtt_ms, far.rtt_ms) == (20.0, 800.0)
    assert far.r < near.r - 20
    assert stream.quality().rtt_ms is None


def test_video_has_no_score():
    stream = Stream()
    stream.second(lost=(1,))
    found = stream.quality(codec=None)
    assert (found.r, found.mos, found.mos_worst) == (None, None, None)
    assert found.loss_share > 0


@pytest.mark.parametrize(
    ("types", "names", "codec"),
    [
        ([0], {}, "PCMU"),
        ([8, 101], {101: "telephone-event"}, "PCMA"),
        ([13, 18], {}, "G729"),
        ([96, 101], {101: "opus", 96: "Telephone-Event"}, "OPUS"),
        ([111], {111: "opus"}, "OPUS"),
        ([97], {}, ""),
        ([], {}, ""),
    ],
)
def test_the_codec_is_that_of_the_payload_type(types, names, codec):
    assert codec_of(types, names) == codec_named(codec)


def test_wide_band_is_rated_on_its_own_scale():
    stream = Stream()
    stream.second()
    found = stream.quality(codec=codec_named("G722"))
    assert found.r == pytest.approx(rating(codec_named("G722"), 0.0))


# the way there and back


def sender_report(middle: int) -> bytes:
    return struct.pack(
        "!BBHIIIIII", 0x80, 200, 6, 7, middle >> 16, middle << 16 & 0xFFFFFFFF, *[0] * 3
    )


def receiver_report(last: int, delay_s: float) -> bytes:
    return struct.pack(
        "!BBHIIIIIII", 0x81, 201, 7, 9, 7, 0, 0, 0, last, round(delay_s * 65536)
    )  # fmt: skip


def test_the_round_trip_is_what_the_peer_has_not_kept():
    trip = RoundTrip()
    trip.sent(packets(sender_report(0x12345678)), 100.0)
    trip.heard(packets(receiver_report(0x12345678, 2.5)), 102.58)
    assert trip.last_s == pytest.approx(0.08, abs=1e-4)


@pytest.mark.parametrize(
    ("last", "delay_s", "now"),
    [
        (0, 0.0, 100.1),  # it has had none yet
        (0x12345679, 0.0, 100.1),  # not one of those that crossed
        (0x12345678, 3.0, 102.0),  # it would have kept it longer than there was time
        (0x12345678, 0.0, 140.0),
    ],
)
def test_what_cannot_be_is_no_round_trip(last, delay_s, now):
    trip = RoundTrip()
    trip.sent(packets(sender_report(0x12345678)), 100.0)
    trip.heard(packets(receiver_report(last, delay_s)), now)
    assert trip.last_s is None


def test_only_the_last_few_reports_are_remembered():
    trip = RoundTrip()
    for number in range(1, 10):
        trip.sent(packets(sender_report(number)), 100.0 + number)
    trip.heard(packets(receiver_report(3, 0.0)), 110.0)
    assert trip.last_s is None
    trip.heard(packets(receiver_report(8, 1.9)), 110.0)
    assert trip.last_s == pytest.approx(0.1, abs=1e-4)
