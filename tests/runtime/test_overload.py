"""When new calls are refused: queues that stand, never the end of a silence."""

from __future__ import annotations

from sbc.runtime.overload import CHECK_S, PATIENCE_S, Overload

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

    assert not overload.judge([(1, LITTLE, 0), (0, 0.0, 0)], 10.2)
    assert overload.judge([(1, LITTLE, 0), (0, 0.0, 0)], 10.25)
    assert not overload.judge([(1, 0.0, 0), (0, 0.0, 0)], 10.3)


def test_a_queue_that_a_pause_has_left_and_that_shrinks_is_none() -> None:
    overload = Overload()
    overload.emptied(0, 10.0)

    shrinking = [0.2 - 0.015 * look for look in range(13)]
    looks = [
        overload.judge([(0, fill, 0)], 10.2 + CHECK_S * at) for at, fill in enumerate(shrinking)
    ]

    assert not any(looks)


def test_a_queue_that_shrinks_for_more_than_a_second_is_one() -> None:
    overload = Overload()
    overload.emptied(0, 10.0)

    looks = [
        overload.judge([(0, 0.4 - 0.001 * look, 0)], 10.0 + CHECK_S * look) for look in range(1, 30)
    ]

    assert looks.index(True) * CHECK_S >= PATIENCE_S - 2 * CHECK_S
    assert all(looks[looks.index(True) :])


def test_a_queue_that_comes_and_goes_but_never_goes_below_what_it_was_is_one() -> None:
    overload = Overload()
    overload.emptied(0, 10.0)

    looks = [
        overload.judge([(0, fill, 0)], 10.0 + CHECK_S * (at + 1))
        for at, fill in enumerate((0.1, 0.2, 0.15, 0.2, 0.25, 0.2, 0.1))
    ]

    assert looks == [False, False, False, False, True, True, True]


def test_calls_are_refused_until_the_queue_is_gone_not_until_it_shrinks() -> None:
    overload = Overload()
    overload.emptied(0, 10.0)

    assert overload.judge([(0, MUCH, 0)], 10.0)
    assert overload.judge([(0, LITTLE, 0)], 10.05)
    overload.emptied(0, 10.07)
    assert not overload.judge([(0, LITTLE, 0)], 10.1)


def test_a_load_above_what_can_be_served_stays_within_bounds() -> None:
    """Half as much again as is served: what waits never reaches the buffer's half."""
    overload = Overload()
    fill, now, worst, refused = 0.0, 10.0, 0.0, 0
    for _ in range(400):
        now += CHECK_S
        if overload.judge([(0, fill, 0)], now):
            refused += 1
            fill = max(0.0, fill - 0.06)
        else:
            fill += 0.03
        worst = max(worst, fill)

    assert worst < MUCH / 2
    assert 80 < refused < 320


def test_the_first_look_finds_no_past() -> None:
    assert not Overload().judge([(0, LITTLE, 0)], 1e6)


def test_lost_datagrams_are_once_for_each_time_that_more_are_lost() -> None:
    overload = Overload()

    looks = [overload.judge([(0, 0.0, dropped)], 10.0) for dropped in (0, 7, 7, 9, 9)]

    assert looks == [False, True, False, True, False]
