"""Which packet of a source this is, and whether it was there before (RFC 3711 §3.3.1, §3.3.2).

PURE. An index is the roll-over counter · 2^16 + the sequence number: the counter is not in the
packet, so it is guessed from the highest index so far. One `Source` serves either direction: of
packets accepted, or of indices that have protected something.
"""

from __future__ import annotations

from typing import Final

from relay.rtp.session import WINDOW

__all__ = ["MAX_INDEX", "Source", "nearest"]

MAX_INDEX: Final = (1 << 48) - 1
"""The last index of a key (RFC 3711 §9.2)."""

_ALL_USED: Final = (1 << WINDOW) - 1


class Source:
    """The indices of one SSRC. `highest` is read and written on the path of every packet.

    Args:
        highest: the highest index so far.
        used: whether it and all below count as used; if not, none in the window does.
    """

    __slots__ = ("highest", "window")

    def __init__(self, highest: int, *, used: bool) -> None:
        self.highest = highest
        self.window = _ALL_USED if used else 0
        """Bit n: the index n below the highest one has been used."""

    def used(self, index: int) -> bool:
        """Whether this index has been used, or is too old to know."""
        behind = self.highest - index
        if behind < 0:
            return False
        return behind >= WINDOW or bool(self.window >> behind & 1)

    def use(self, index: int) -> None:
        """An index that is not used is now."""
        ahead = index - self.highest
        if ahead <= 0:
            self.window |= 1 << -ahead
            return
        self.window = (self.window << ahead | 1) & _ALL_USED if ahead < WINDOW else 1
        self.highest = index


def nearest(highest: int, sequence: int) -> int:
    """The index that a sequence number most likely means.

    Args:
        highest: the highest index so far, from -1.
        sequence: 16 bits.

    Deviates from RFC 3711 §3.3.1: there is nothing before index 0. What would lie there (a source
    that began low and jumps far up) is taken as index `sequence`, as libsrtp does.

    Source: RFC 3711 §3.3.1; where both ways are equally far, Appendix A decides by the half that
    the highest number is in.
    """
    step = (sequence - highest) & 0xFFFF
    if step > 0x8000 or (step == 0x8000 and highest & 0x8000):
        step -= 0x10000
    index = highest + step
    return index if index >= 0 else index + 0x10000
