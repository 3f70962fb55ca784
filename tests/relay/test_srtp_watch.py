"""When nothing of a peer's SRTP is authentic (relay.srtp_watch)."""

from __future__ import annotations

from relay.srtp_watch import SrtpWatch


def test_two_seconds_of_failures_alone_raise_the_alarm_once():
    watch = SrtpWatch(0, 0)
    looks = [watch.look(0, 10 * second, 100.0 + second) for second in range(6)]
    assert looks == [False, False, False, True, False, False]


def test_one_authentic_packet_starts_the_time_anew():
    watch = SrtpWatch(0, 0)
    assert not watch.look(0, 10, 100.0)
    assert not watch.look(1, 20, 102.0)
    assert not watch.look(1, 30, 103.0)
    assert not watch.look(1, 40, 104.9)
    assert watch.look(1, 50, 105.0)


def test_silence_is_no_failure():
    watch = SrtpWatch(50, 7)
    assert not any(watch.look(50, 7, float(second)) for second in range(100))


def test_a_few_failures_long_ago_are_no_alarm():
    watch = SrtpWatch(0, 0)
    assert not watch.look(0, 3, 100.0)
    assert not watch.look(0, 3, 110.0)
    assert watch.look(0, 4, 111.0)  # they go on, and nothing else has come


def test_a_key_outlives_what_it_is_for_once():
    watch = SrtpWatch(100, 0, lifetime=50)
    assert [watch.outlives(packets) for packets in (100, 150, 151, 200)] == [
        False,
        False,
        True,
        False,
    ]


def test_a_key_for_any_number_of_packets_outlives_nothing():
    assert not SrtpWatch(100, 0).outlives(1 << 49)
