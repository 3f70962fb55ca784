"""Both directions through a border whose sides look alike: trunks by the last digit of their peer.

On each side trunk 3 is the peer whose address ends in 13, and so on; numbers lead to the trunk of
their first digit.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from tests.e2e.phone import Call, Phone
from tests.e2e.sides import INSIDE, OUTSIDE, SCENARIOS
from tests.e2e.talk import Talk
from tests.support.border import Shape, until
from tests.support.sipp import Sipp

__all__ = [
    "WAYS",
    "Stage",
    "Way",
    "both_ways",
    "called",
    "caller",
    "calls_up",
    "connected",
    "final_to",
    "mirrored",
    "play",
    "scenario",
    "takes_up",
]


def mirrored(
    trunks: Mapping[str, Mapping[str, Any]], hunts: Mapping[str, str] | None = None, **further: Any
) -> Shape:
    """A border with these trunks on both sides, each of which may call all of the other side.

    Args:
        trunks: digit → what a trunk has beside the defaults.
        hunts: digit of a number → the trunk that is tried after that of the digit.
        further: other keys of the file.
    """
    hunts = hunts or {}
    made: dict[str, object] = {}
    routes: list[dict[str, object]] = []
    for realm, other, net in (("inside", "outside", 1), ("outside", "inside", 2)):
        for digit, more in trunks.items():
            made[realm + digit] = {"realm": realm, "peers": [f"127.0.{net}.1{digit}:5060"], **more}
            to = [other + one for one in (digit, hunts.get(digit)) if one]
            routes += [{"from": realm + one, "to": to, "number": digit} for one in trunks]
    return Shape(further={"trunks": made, "routes": routes, **further})


@dataclass(frozen=True, slots=True)
class Way:
    """One direction: networks and marks of the caller's side and of the called side."""

    here: str
    mark: str
    there: str
    other: str

    def phones(self, stack: ExitStack, digit: str = "0", to: str = "0") -> tuple[Phone, Phone]:
        """Telephones of the caller and of the called party, at the trunks of these digits."""
        calling = Phone((f"{self.here}.1{digit}", 5060), self.mark, (f"{self.here}.1", 5060))
        called = Phone((f"{self.there}.1{to}", 5060), self.other, (f"{self.there}.1", 5060))
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


def calls_up(*always: str) -> Talk:
    """A caller whose call is up."""
    return caller(*always).ask("INVITE", "sendrecv").hear(100, maybe=True).hear(200).ask("ACK")


def takes_up(*always: str) -> Talk:
    """A called party whose call is up."""
    return called(*always).hear("INVITE").tell(200, "sendrecv").hear("ACK")


def scenario(name: str) -> Path:
    return SCENARIOS / f"{name}.xml"


def play(
    way: Way,
    folder: Path,
    calling: Path,
    answering: Path,
    *,
    calls: int,
    legs: int | None = None,
    digits: tuple[str, str] = ("0", "0"),
    **options: Any,
) -> None:
    """SIPp calls SIPp, several times, and all goes as the scenarios have it.

    Args:
        legs: how many calls reach the called party, unless it is as many as are made.
        digits: of the caller's trunk and of the called party's.
        options: further ones of the caller.
    """
    here, there = f"{way.here}.1{digits[0]}", f"{way.there}.1{digits[1]}"
    options = {"remote": (f"{way.here}.1", 5060), "timeout_s": 30, **options}
    with (
        Sipp(answering, folder, (there, 5060), keys={"mark": way.other}) as taking,
        Sipp(calling, folder, (here, 5060), calls=calls, keys={"mark": way.mark}, **options) as one,
    ):
        placed, taken = one.wait(), taking.stop()
        assert (placed.successful, placed.failed) == (calls, 0), one.error_text()
        assert (taken.successful, taken.failed) == (legs or calls, 0), taking.error_text()


class Stage:
    """SIPp on both sides. A context manager: at its end every call must have gone as written.

    Args:
        folder: for scenarios and logs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._callers: list[Sipp] = []
        self._called: list[Sipp] = []

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._stack:
            if kind is None:
                self._check()

    def calls(self, way: Way, talk: Talk, digit: str, number: str) -> None:
        """One call from the address of that trunk, on a port of its own."""
        port = next(_PORTS)
        sipp = Sipp(
            talk.write(self._folder / f"calling-{port}.xml"),
            self._folder,
            (f"{way.here}.1{digit}", port),
            remote=(f"{way.here}.1", 5060),
            calls=1,
            timeout_s=5,
            service=number,
            keys={"mark": way.mark},
        )
        self._callers.append(self._stack.enter_context(sipp))

    def is_called(self, way: Way, talk: Talk, digit: str) -> Sipp:
        """Whoever numbers of that digit reach; it is there when this returns."""
        host = f"{way.there}.1{digit}"
        script = talk.write(self._folder / f"called-{host}-{next(_PORTS)}.xml")
        sipp = Sipp(script, self._folder, (host, 5060), keys={"mark": way.other})
        self._called.append(self._stack.enter_context(sipp))
        until(lambda: _is_bound(host, 5060), 2, "SIPp at its address", 0.01)
        return sipp

    def _check(self) -> None:
        for one in self._callers:
            placed = one.wait()
            assert (placed.successful, placed.failed) == (1, 0), one.error_text()
        for one in self._called:
            taken = one.stop(5)
            assert (taken.failed, taken.current) == (0, 0), one.error_text()


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
