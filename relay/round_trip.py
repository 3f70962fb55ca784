"""How long a packet is on its way to a peer and back, by the peer's reports (RFC 3550 §6.4.1).

PURE. A peer reports which sender report it has had last (LSR) and how long ago (DLSR). The sender
reports that it gets are the other peer's, forwarded by us: so we know when each went out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from relay.rtp.rtcp import PacketType

__all__ = ["RoundTrip"]

_LONGEST_S: Final = 10.0
"""More is a peer whose clock or report is wrong."""
_KEPT: Final = 4
_BLOCK: Final = 24
_FIXED: Final = {PacketType.SR: 24, PacketType.RR: 4}


class RoundTrip:
    """The way between us and one peer."""

    __slots__ = ("_sent", "last_s")

    def __init__(self) -> None:
        self._sent: tuple[tuple[int, float], ...] = ()
        """Middle of the NTP timestamp, and when it went out."""
        self.last_s: float | None = None

    def sent(self, packets: Sequence[tuple[int, int, bytes]], now: float) -> None:
        """A compound has gone out to the peer: `relay.rtp.rtcp.packets` of it."""
        for kind, _, body in packets:
            if kind == PacketType.SR and len(body) >= 12:
                middle = int.from_bytes(body[6:10], "big")
                self._sent = (*self._sent[1 - _KEPT :], (middle, now))

    def heard(self, packets: Sequence[tuple[int, int, bytes]], now: float) -> None:
        """A compound has come from the peer."""
        for kind, count, body in packets:
            fixed = _FIXED.get(kind)  # type: ignore[call-overload]
            if fixed is None:
                continue
            for at in range(fixed, min(fixed + _BLOCK * count, len(body) - _BLOCK + 1), _BLOCK):
                last = int.from_bytes(body[at + 16 : at + 20], "big")
                delay_s = int.from_bytes(body[at + 20 : at + 24], "big") / 65536
                for middle, when in self._sent:
                    if last and middle == last and 0.0 <= now - when - delay_s < _LONGEST_S:
                        self.last_s = now - when - delay_s
