"""When new calls are refused: queues that stand, never the end of a silence."""

from __future__ import annotations

from sbc.runtime.overload import CHECK_S, Overload

LITTLE, MUCH = 0.001, 0.6


def test_a_datagram_after_silence_is_no_overload() -> None:
    overload = Overload()
    overload.emptied(0, 10.0)

    looks = [overload.judge([(0, 0.0, 0)], 10.0 + CHECK_S * look) for look in range(200)]
    arrived = overload.judge([(0, LITTLE, 0)], 10.0 + CHECK_S * 200)

    assert not any(looks)
    assert not arrived


def test_a_socket_that_is_never_seen_empty_is() -> None:
    overload = Overload()
    overload.emptied(0, 10.0)

    looks = [overload.judge([(0, LITTLE, 0)], 10.0 + CHECK_S * look) for look in range(1, 5)]

    assert looks == [False, False, True, True]


def test_a_socket_that_each_drain_empties_is_not() -> None:
    overload = Overload()
    for look in range(100):
        overload.emptied(0, 10.0 + CHECK_S * (look - 0.5))
        assert not overload.judge([(0, LITTLE, 0)], 10.0 + CHECK_S * look)


def test_a_buffer_more_than_half_full_is_at_once() -> None:
    overload = Overload()
    overload.emptied(0, 10.0)

    assert overload.judge([(0, MUCH, 0)], 10.0)


def test_one_listener_in_trouble_is_enough_and_an_empty_one_excuses_nothing() -> None:
    overload = Overload()
    overload.emptied(1, 10.0)

    assert overload.judge([(1, LITTLE, 0), (0, 0.0, 0)], 10.2)
    assert not overload.judge([(1, 0.0, 0), (0, 0.0, 0)], 10.25)


def test_the_first_look_finds_no_past() -> None:
    assert not Overload().judge([(0, LITTLE, 0)], 1e6)


def test_lost_datagrams_are_once_for_each_time_that_more_are_lost() -> None:
    overload = Overload()

    looks = [overload.judge([(0, 0.0, dropped)], 10.0) for dropped in (0, 7, 7, 9, 9)]

    assert looks == [False, True, False, True, False]
