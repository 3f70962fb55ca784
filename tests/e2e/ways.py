"""Both directions through a border whose sides look alike: trunks by the last digit of their peer.

On each side trunk 3 is the peer whose address ends in 13, and so on; numbers lead to the trunk of
their first digit.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.phone import Call, Phone
from tests.e2e.sides import INSIDE, OUTSIDE
from tests.e2e.talk import Talk
from tests.support.border import Shape, until
from tests.support.sipp import Sipp

__all__ = [
    "WAYS",
    "Way",
    "both_ways",
    "called",
    "caller",
    "check",
    "connected",
    "final_to",
    "mirrored",
]


def mirrored(trunks: Mapping[str, Mapping[str, Any]], hunts: Mapping[str, str]) -> Shape:
    """A border with these trunks on both sides, each of which may call all of the other side.

    Args:
        trunks: digit → what a trunk has beside the defaults.
        hunts: digit of a number → the trunk that is tried after that of the digit.
    """
    made: dict[str, object] = {}
    routes: list[dict[str, object]] = []
    for realm, other, net in (("inside", "outside", 1), ("outside", "inside", 2)):
        for digit, more in trunks.items():
            made[realm + digit] = {"realm": realm, "peers": [f"127.0.{net}.1{digit}:5060"], **more}
            to = [other + one for one in (digit, hunts.get(digit)) if one]
            routes += [{"from": realm + one, "to": to, "number": digit} for one in trunks]
    return Shape(further={"trunks": made, "routes": routes})


@dataclass(frozen=True, slots=True)
class Way:
    """One direction: networks and marks of the caller's side and of the called side."""

    here: str
    mark: str
    there: str
    other: str

    def calling(self, stack: ExitStack, folder: Path, talk: Talk, digit: str, number: str) -> Sipp:
        """A caller at the address of its trunk, on a port of its own."""
        port = next(_PORTS)
        return stack.enter_context(
            Sipp(
                talk.write(folder / f"calling-{port}.xml"),
                folder,
                (f"{self.here}.1{digit}", port),
                remote=(f"{self.here}.1", 5060),
                calls=1,
                timeout_s=5,
                service=number,
                keys={"mark": self.mark},
            )
        )

    def called(self, stack: ExitStack, folder: Path, talk: Talk, digit: str) -> Sipp:
        """Whoever calls of that digit reach; it is there when this returns."""
        host = f"{self.there}.1{digit}"
        script = talk.write(folder / f"called-{host}-{next(_PORTS)}.xml")
        sipp = Sipp(script, folder, (host, 5060), keys={"mark": self.other})
        stack.enter_context(sipp)
        until(lambda: _is_bound(host, 5060), 2, "SIPp at its address", 0.01)
        return sipp

    def phones(self, stack: ExitStack, digit: str = "0") -> tuple[Phone, Phone]:
        """The caller's telephone, at the trunk of that digit, and the called party's."""
        calling = Phone((f"{self.here}.1{digit}", 5060), self.mark, (f"{self.here}.1", 5060))
        called = Phone((f"{self.there}.10", 5060), self.other, (f"{self.there}.1", 5060))
        return stack.enter_context(calling), stack.enter_context(called)


WAYS = {
    "outwards": Way("127.0.1", INSIDE, "127.0.2", OUTSIDE),
    "inwards": Way("127.0.2", OUTSIDE, "127.0.1", INSIDE),
}
_PORTS = itertools.count(5070)
both_ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())


def _is_bound(host: str, port: int) -> bool:
    address = f"{int.from_bytes(socket.inet_aton(host), 'little'):08X}:{port:04X}"
    return f" {address} " in Path("/proc/net/udp").read_text()


def caller(*always: str) -> Talk:
    return Talk(*always, calls=True)


def called(*always: str) -> Talk:
    return Talk(*always, calls=False)


def check(callers: Sequence[Sipp]) -> None:
    """Each made its one call."""
    for one in callers:
        placed = one.wait()
        assert (placed.successful, placed.failed) == (1, 0), one.error_text()


def connected(calling: Phone, target: Phone) -> tuple[Call, Call]:
    """A call that is up."""
    a_leg = calling.invite("000")
    b_leg = target.answering()
    b_leg.answer()
    a_leg.establish()
    return a_leg, b_leg


def final_to(call: Call, method: str) -> int:
    found = call.expect(lambda one: one.status >= 200 and one.method == method)
    return found.status
