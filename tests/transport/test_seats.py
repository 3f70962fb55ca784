"""Strangers cannot take the connections that trunks need."""

from __future__ import annotations

from sbc.transport.seats import Seats


def test_the_total_holds_for_everybody():
    seats = Seats(2, 9)
    assert seats.take("a", trusted=True)
    assert seats.take("b", trusted=True)
    assert not seats.take("c", trusted=True)
    seats.leave("a", trusted=True)
    assert seats.take("c", trusted=True)
    assert len(seats) == 2


def test_one_stranger_and_all_strangers_have_limits_that_end_with_their_connections():
    seats = Seats(8, 3)
    assert [seats.take("a", trusted=False) for _ in range(4)] == [True, True, True, False]
    assert [seats.take("b", trusted=False) for _ in range(2)] == [True, False]
    assert [seats.take("a", trusted=True) for _ in range(5)] == [True] * 4 + [False]
    seats.leave("a", trusted=False)
    assert seats.take("b", trusted=False)


def test_nothing_is_kept_of_who_has_left():
    seats = Seats(10, 3)
    for number in range(1_000):
        assert seats.take(f"host-{number}", trusted=False)
        seats.leave(f"host-{number}", trusted=False)
    assert len(seats) == 0
    assert not seats._sources
