"""The two sides of the border under test, and what each must never learn of the other."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.border import Shape
from tests.support.capture import Side
from tests.support.sipp import Sipp

__all__ = ["INSIDE", "OUTSIDE", "SCENARIOS", "TORTURER", "Pair", "over_ipv6", "sides"]

INSIDE, OUTSIDE = "insidemark", "outsidemark"
"""What stands in everything that must not cross: SIPp, telephones and baresip all bear it."""
TORTURER = "127.0.1.28"
"""Sends what no parser likes; what comes back to it may be as odd."""
SCENARIOS = Path(__file__).parent / "scenarios"

_AGENTS = (rb"(?<![\w-])baresip(?![\w-])", rb"(?<![\w-])SIPp(?![\w-])")
"""What a peer calls itself where no scenario writes its User-Agent; the border says neither. Whole
words: a nonce of ours may hold any four letters."""


def sides(inside: str = "127.0.1", outside: str = "127.0.2") -> tuple[Side, Side]:
    """What each side of a border may not receive.

    Args:
        inside, outside: the first three octets of each side's network. Peers end in 10 to 29,
            borders in 1 to 9; the border's own address on the other side is hidden, too.
    """
    return (
        _side("inside", inside, outside, OUTSIDE),
        _side("outside", outside, inside, INSIDE),
    )


def over_ipv6() -> Side:
    """The outside where it is met over IPv6: all that leaves ::1, ours and its own."""
    address = rb"(?<![\d.])127\.0\.1\.\d{1,3}(?!\d)"
    return Side("outside over IPv6", "::1", (), (INSIDE.encode(), address))


def _side(name: str, own: str, other: str, mark: str) -> Side:
    address = rb"(?<![\d.])" + re.escape(other.encode()) + rb"\.\d{1,3}(?!\d)"
    forbidden = (mark.encode(), address, *_AGENTS)
    return Side(name, f"{own}.1", tuple(f"{own}.{last}" for last in range(10, 30)), forbidden)


class Pair:
    """SIPp inside calls SIPp outside, with a border between them or none."""

    def __init__(self, folder: Path, shape: Shape) -> None:
        self.folder = folder
        self.shape = shape

    def called(self, scenario: str, **options: object) -> Sipp:
        host, port = self.shape.outside_peer.split(":")
        return Sipp(
            SCENARIOS / f"{scenario}.xml",
            self.folder,
            (host, int(port)),
            keys={"mark": OUTSIDE},
            **options,  # type: ignore[arg-type]
        )

    def caller(
        self, scenario: str, remote: tuple[str, int] | None = None, **options: object
    ) -> Sipp:
        host, port = self.shape.inside_peer.split(":")
        return Sipp(
            SCENARIOS / f"{scenario}.xml",
            self.folder,
            (host, int(port)),
            remote=remote or (self.shape.inside, 5060),
            keys={"mark": INSIDE},
            **options,  # type: ignore[arg-type]
        )
