"""How losses lie: bursts and gaps (RFC 3611 §4.7.2), holes for the burst ratio of G.107."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.losses import GMIN
from relay.stats import Reception


def fed(pattern: str, start: int = 65_500) -> Reception:
    """A direction with a packet for each `.`, and none for each `x`."""
    reception = Reception({})
    for at, what in enumerate(pattern):
        if what == ".":
            sequence = start + at & 0xFFFF
            reception.packet(0, sequence, at * 160, 1, 172, 10.0 + at * 0.02)
    return reception


def test_no_loss_is_no_burst():
    assert fed("." * 100).tally == (0, 0, 0, 0, 0)


def test_single_losses_far_apart_are_gaps():
    alone = ".x" + "." * GMIN
    assert fed(alone * 4).tally == (4, 4, 0, 0, 0)


def test_losses_near_each_other_are_one_burst():
    near = ".x" + "." * (GMIN - 1) + "x" + "." * GMIN
    assert fed(near).tally == (2, 2, 1, 2, GMIN + 1)


def test_losses_in_a_row_are_a_burst():
    assert fed("....xxx" + "." * 40 + "xx" + "." * 5).tally == (5, 2, 2, 5, 5)


def test_a_burst_that_has_not_ended_is_in_the_tally_and_goes_on():
    reception = fed("...x.x.")
    assert reception.tally == (2, 2, 1, 2, 3)
    reception.packet(0, 65_500 + 9, 1440, 1, 172, 11.0)
    assert reception.tally == (4, 3, 1, 4, 6)


def test_a_new_source_ends_a_burst():
    reception = fed("..x..")
    for sequence in (5, 7, 8):
        reception.packet(0, sequence, sequence * 160, 2, 172, 12.0)
    assert reception.tally == (2, 2, 0, 0, 0)


@given(st.text(".x", max_size=200))
def test_the_tally_is_that_of_the_definition(middle):
    pattern = "." + middle + "."
    runs: list[list[int]] = []  # places of losses, those of a burst together
    for at, what in enumerate(pattern):
        if what == "x":
            if runs and at - runs[-1][-1] - 1 < GMIN:
                runs[-1].append(at)
            else:
                runs.append([at])
    bursts = [run for run in runs if len(run) > 1]
    holes = pattern.count(".x")
    spanned = sum(run[-1] - run[0] + 1 for run in bursts)
    inside = sum(map(len, bursts))
    assert fed(pattern).tally == (pattern.count("x"), holes, len(bursts), inside, spanned)
