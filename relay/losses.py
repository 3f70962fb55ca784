"""How the losses of one direction lie: alone, or together in bursts (RFC 3611 §4.7.2).

PURE. Told of a hole in the numbering when there is one, so that a packet in its place costs
nothing. What comes late counts as lost here: a listener's buffer would have given it up.
"""

from __future__ import annotations

from typing import Final, TypeAlias

__all__ = ["GMIN", "Losses", "Tally"]

GMIN: Final = 16
"""So many packets in a row that came end a burst; the value that RFC 3611 recommends."""

Tally: TypeAlias = tuple[int, int, int, int, int]
"""Packets lost, holes that they make up, bursts, packets lost in bursts, packets that the bursts
span."""


class Losses:
    """The losses of one direction so far."""

    __slots__ = (
        "_burst_lost",
        "_burst_span",
        "_bursts",
        "_holes",
        "_last",
        "_lost",
        "_run_lost",
        "_run_span",
    )

    def __init__(self) -> None:
        self._lost = 0
        self._holes = 0
        self._bursts = 0
        self._burst_lost = 0
        self._burst_span = 0
        self._last = 0
        """Extended number of the last packet that was lost."""
        self._run_lost = 0
        """Of what may become a burst; 0: there is nothing that could."""
        self._run_span = 0

    def hole(self, highest: int, count: int) -> None:
        """After this extended number, so many packets in a row are missing."""
        received = highest - self._last
        self._lost += count
        self._holes += 1
        if self._run_lost and received < GMIN:
            self._run_lost += count
            self._run_span += received + count
        else:
            self.cut()
            self._run_lost = self._run_span = count
        self._last = highest + count

    def cut(self) -> None:
        """What comes next has nothing to do with what was lost before."""
        if self._run_lost > 1:
            self._bursts += 1
            self._burst_lost += self._run_lost
            self._burst_span += self._run_span
        self._run_lost = self._run_span = 0

    @property
    def tally(self) -> Tally:
        """As if it ended here."""
        burst = self._run_lost > 1
        return (
            self._lost,
            self._holes,
            self._bursts + burst,
            self._burst_lost + (self._run_lost if burst else 0),
            self._burst_span + (self._run_span if burst else 0),
        )
