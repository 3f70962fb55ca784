"""The media generator: N calls of two ends each, paced evenly, every packet verified.

A process of its own: `python -m benchmarks.rtp_load` reads its targets as JSON from standard
input, says `open` and `close` as its counted window begins and ends, so that its parent can read
the relay's CPU time there, and prints what it saw as JSON. The delay is taken between the moment
before a packet is sent and the kernel's time stamp on its arrival, on every eighth call.
"""

from __future__ import annotations

import json
import random
import resource
import select
import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

from relay.control.messages import SUITES

__all__ = ["LoadFigures", "LoadPlan", "master_key", "run"]

_PAYLOAD: Final = 160
_HEAD: Final = struct.Struct("!BBHII")
_STAMP: Final = struct.Struct("!QI")
_PERIOD_S: Final = 0.02
_SO_TIMESTAMPNS: Final = 35
_TIMED_EVERY: Final = 8


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What to send. Ends 2k and 2k+1 are the two sides of call k."""

    host: tuple[str, str]
    """Our address on each side."""
    first_port: int
    targets: Sequence[tuple[str, int]]
    """The relay's port for each end."""
    seconds: float
    warm_s: float = 1.0
    """Packets of this long at the start are sent and not counted."""
    suites: tuple[str, str] = ("", "")
    """The SRTP suite that the ends on each side speak; empty: RTP."""
    received_keys: Sequence[str] = ()
    """In hex, the key of what each end is sent, where the relay has chosen it; (): `master_key`."""


@dataclass(slots=True)
class LoadFigures:
    """What came of it, the warm-up left out."""

    sent: int = 0
    received: int = 0
    lost: int = 0
    wrong: int = 0
    """Content that is not what the other end sent."""
    disordered: int = 0
    strangers: int = 0
    """From an address that is not the relay's."""
    late_sends: int = 0
    """Packets that we sent more than 5 ms behind their time: the generator's own limit."""
    delay_us: dict[str, float] = field(default_factory=dict)
    window: tuple[float, float] = (0.0, 0.0)
    """Start and end, seconds on the monotonic clock."""
    own_cpu_s: float = 0.0


def master_key(suite: str, number: int, *, sent: bool) -> bytes:
    """Master key and salt of what an end sends, or of what it is sent: each its own."""
    chance = random.Random(2 * number + sent)  # noqa: S311 (the same in both processes)
    return chance.randbytes(SUITES[suite])


class _End:
    __slots__ = (
        "body",
        "expected",
        "fd",
        "number",
        "opened",
        "partner_body",
        "sealed",
        "sequence",
        "sock",
        "target",
        "timed",
    )

    def __init__(
        self,
        number: int,
        host: str,
        port: int,
        target: tuple[str, int],
        suite: str,
        received_key: bytes,
    ) -> None:
        self.number = number
        self.sealed: Callable[[bytes], bytes | int] | None = None
        self.opened: Callable[[bytes], bytes | int] | None = None
        if suite:
            from relay import _native  # Python's own sessions would cost more than the relay

            self.sealed = _native.Srtp(suite, master_key(suite, number, sent=True), b"", 0).protect
            received_key = received_key or master_key(suite, number, sent=False)
            self.opened = _native.Srtp(suite, received_key, b"", 0).unprotect
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.timed = number // 2 % _TIMED_EVERY == 0
        if self.timed:
            self.sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self.sock.bind((host, port))
        self.sock.setblocking(False)
        self.fd = self.sock.fileno()
        self.target = target
        self.sequence = 0
        self.expected = -1
        """Sequence number that should come next; -1: any, it is the first."""
        self.body = _body(number)
        self.partner_body = _body(number ^ 1)


def run(plan: LoadPlan) -> LoadFigures:
    """Sends and receives for `plan.seconds` after the warm-up."""
    ends = [
        _End(
            number,
            plan.host[number & 1],
            plan.first_port + (number >> 1) * 2,
            target,
            plan.suites[number & 1],
            bytes.fromhex(plan.received_keys[number]) if plan.received_keys else b"",
        )
        for number, target in enumerate(plan.targets)
    ]
    try:
        return _Load(plan, ends).run()
    finally:
        for end in ends:
            end.sock.close()


class _Load:
    def __init__(self, plan: LoadPlan, ends: list[_End]) -> None:
        self._plan = plan
        self._ends = ends
        self._by_fd = {end.fd: end for end in ends}
        self._epoll = select.epoll()
        for end in ends:
            self._epoll.register(end.fd, select.EPOLLIN)
        self._figures = LoadFigures()
        self._delays: list[int] = []
        self._first_counted = 0

    def run(self) -> LoadFigures:
        plan, figures = self._plan, self._figures
        step = _PERIOD_S / len(self._ends)
        rounds = round((plan.warm_s + plan.seconds) / _PERIOD_S)
        warm_rounds = round(plan.warm_s / _PERIOD_S)
        self._first_counted = warm_rounds
        start = time.monotonic() + 0.05
        used = time.process_time()
        opened = start
        for number in range(rounds):
            if number == warm_rounds:
                _say("open")
                opened, used = time.monotonic(), time.process_time()
            self._round(start + number * _PERIOD_S, step, number >= warm_rounds)
        closed = time.monotonic()
        figures.own_cpu_s = time.process_time() - used
        _say("close")
        self._receive_until(closed + 0.3)
        figures.window = (opened, closed)
        figures.sent = (rounds - warm_rounds) * len(self._ends)
        figures.lost = figures.sent - figures.received - figures.wrong
        figures.delay_us = _percentiles(self._delays)
        return figures

    def _round(self, due: float, step: float, counted: bool) -> None:
        """One packet from each end, each at its own moment of the 20 ms."""
        pack, stamp = _HEAD.pack, _STAMP.pack
        clock, wall = time.monotonic, time.time_ns
        late = 0
        for index, end in enumerate(self._ends):
            if index & 7 == 0:  # a look at the clock for eight packets: 0.16 ms at 500 calls
                at = due + index * step
                self._receive_until(at)
                late += 8 * (clock() > at + 0.005)
            sequence = end.sequence
            end.sequence = sequence + 1
            head = pack(0x80, 0, sequence & 0xFFFF, sequence * 160 & 0xFFFFFFFF, end.number)
            data = head + stamp(wall(), end.number) + end.body
            if end.sealed is not None:
                data = bytes(end.sealed(data))
            try:
                end.sock.sendto(data, end.target)
            except OSError:
                continue  # counted as lost
        if counted:
            self._figures.late_sends += late

    def _receive_until(self, at: float) -> None:
        clock, poll, by_fd = time.monotonic, self._epoll.poll, self._by_fd
        while True:
            left = at - clock()
            ready = poll(left if left > 0 else 0, 256)
            for fd, _ in ready:
                self._receive(by_fd[fd])
            if left <= 0 and not ready:
                return
            if left <= -0.002:  # behind time: sending comes first
                return

    def _receive(self, end: _End) -> None:
        figures = self._figures
        stamp_ns = 0
        try:
            if end.timed:
                data, notes, _, source = end.sock.recvmsg(2048, 64)
                for _, _, value in notes:
                    seconds, nanos = struct.unpack("qq", value[:16])
                    stamp_ns = seconds * 1_000_000_000 + nanos
            else:
                data, source = end.sock.recvfrom(2048)
        except OSError:
            return
        if source != end.target:
            figures.strangers += 1
            return
        if end.opened is not None:
            clear = end.opened(data)
            data = clear if isinstance(clear, bytes) else b""
        if len(data) != 12 + _PAYLOAD or data[24:] != end.partner_body:
            figures.wrong += 1
            return
        _, _, sequence, timestamp, ssrc = _HEAD.unpack_from(data)
        number = timestamp // 160  # the whole sequence number: the short one wraps
        if ssrc != end.number ^ 1 or number & 0xFFFF != sequence:
            figures.wrong += 1
            return
        if number != end.expected and end.expected >= 0 and number < end.expected:
            figures.disordered += 1
        end.expected = number + 1
        if number >= self._first_counted:
            figures.received += 1
            if stamp_ns:
                self._delays.append(stamp_ns - _STAMP.unpack_from(data, 12)[0])


def _say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


def _body(number: int) -> bytes:
    """What an end says: its own, so that crossed streams show."""
    return bytes((number * 131 + at * 7) & 0xFF for at in range(_PAYLOAD - _STAMP.size))


def _percentiles(delays_ns: list[int]) -> dict[str, float]:
    if not delays_ns:
        return {}
    ordered = sorted(delays_ns)
    last = len(ordered) - 1
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {name: ordered[round(last * share)] / 1000 for name, share in shares.items()}


def main() -> None:
    """Reads a plan from standard input, runs it, prints the figures."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asked = json.load(sys.stdin)
    asked["targets"] = [tuple(target) for target in asked["targets"]]
    asked["host"] = tuple(asked["host"])
    asked["suites"] = tuple(asked["suites"])
    json.dump(asdict(run(LoadPlan(**asked))), sys.stdout)


if __name__ == "__main__":
    main()
