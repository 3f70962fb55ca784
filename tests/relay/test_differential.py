"""The fast paths beside each other: same flows, same packets, same verdicts, bytes and counters.

Each example installs one flow in each, with sessions of their own but the same keys, and sends all
of them the same datagrams from the same kind of source. `relay.forward.base` is what they must do:
the one in Python, and the thread in Rust with io_uring and without.
"""

from __future__ import annotations

import os
import struct
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from relay.control.messages import SUITES
from relay.forward.base import DropReason, Flow, Numbering, Verdict
from relay.forward.native import NativeForwarder
from relay.forward.python import PythonForwarder
from relay.loop import Loop
from relay.rtp.srtp import new_session
from tests.relay.rig import Peer, bind_pairs

pytestmark = pytest.mark.native

OURS, THEIRS, STRANGERS = "127.0.5.3", "127.0.6.4", "127.0.6.5"
SSRCS = (0x1234, 0x1235)
KINDS = (0, 8, 9, 72, 101, 111)
KEYS = [bytes([number]) * 46 for number in range(3)]
SLOW = 91
"""Bytes a second: three packets of 60 at once, and another one only after 0.6 s."""
FIGURES = (
    "packets",
    "octets",
    "lost",
    "expected",
    "tally",
    "ssrc",
    "highest",
    "payload_types",
    "timestamp",
    "clock",
)


@dataclass
class Wish:
    """What one flow does, in values that all paths can be given."""

    suite_in: str | None = None
    suite_out: str | None = None
    mki: bytes = b""
    types: dict[int, Verdict] = field(default_factory=dict)
    payloads: dict[int, int] = field(default_factory=dict)
    convert: dict[int, int] = field(default_factory=dict)
    numbering: tuple[int, int, int] | None = None
    verdict: Verdict = Verdict.FORWARD
    reachable: bool = True
    unit_octets: int = 172
    rate_octets: int = 1_000_000

    def flow(self, path: Path) -> Flow:
        make = path.forwarder.session
        return Flow(
            path.keys[0],
            1,
            self.verdict,
            path.peer.address,
            path.keys[1],
            path.receiver.address if self.reachable else None,
            DropReason.HELD,
            self.unit_octets,
            self.rate_octets,
            path.forwarder.reception({101: 8000, 111: 48000, 72: 90000}),
            make(self.suite_in, key(self.suite_in, 1), self.mki, 0) if self.suite_in else None,
            make(self.suite_out, key(self.suite_out, 2), b"", 7) if self.suite_out else None,
            table(self.types, Verdict.FORWARD),
            bytes(self.payloads.get(kind, kind) for kind in range(128)) if self.payloads else None,
            table(self.convert, 0),
            Numbering(SSRCS[0], *self.numbering) if self.numbering else None,
        )


def key(suite: str, number: int) -> bytes:
    return KEYS[number][: SUITES[suite]]


def table(values: dict[int, int], default: int) -> bytes | None:
    return bytes(values.get(kind, default) for kind in range(128)) if values else None


class Path:
    """One fast path with two open ports and everybody around it."""

    def __init__(self, make: Any) -> None:
        self.loop = Loop(lambda now: now)
        self.forwarder = make(self.loop)
        ports, self.sockets = bind_pairs(OURS, 1)
        self.keys = [(OURS, ports[0]), (OURS, ports[0] + 1)]
        self.peer, self.stranger, self.receiver = Peer(THEIRS), Peer(STRANGERS), Peer(THEIRS)
        self.punted: Counter[tuple[bytes, bool]] = Counter()

    def begin(self, wish: Wish) -> None:
        self.receiver.all()
        self.punted.clear()
        for key, rx in zip(self.keys, self.sockets, strict=True):
            self.forwarder.open(key, rx, self.punt)
        self.flow = wish.flow(self)
        self.forwarder.install([self.flow])

    def punt(self, data: memoryview, source: tuple[str, int], now: float) -> bool:
        self.punted[bytes(data), source == self.peer.address] += 1
        return True

    def settle(self) -> None:
        """Until nothing is ready, for either thread."""
        quiet = 0
        while quiet < 2:
            passes = bool(self.loop._epoll.poll(0))
            if not passes and not getattr(self.forwarder, "quiet", True):
                time.sleep(0.0001)
                quiet = 0
                continue
            self.loop.run_once()
            quiet = 0 if passes else quiet + 1

    def end(self) -> dict[str, Any]:
        """What came of it."""
        self.settle()
        reception = self.flow.reception
        found = {
            "received": self.receiver.received(),
            "punted": dict(self.punted),
            "drops": self.forwarder.counters(self.keys[0]),
            "crashes": self.loop.crashes,
            **{name: getattr(reception, name) for name in FIGURES},
        }
        for session in (self.flow.srtp_in, self.flow.srtp_out):
            if session is not None:
                found[f"index {session is self.flow.srtp_in}"] = [
                    session.index(ssrc) for ssrc in SSRCS
                ]
        self.forwarder.close(self.keys)
        return found

    def close(self) -> None:
        if isinstance(self.forwarder, NativeForwarder):
            self.forwarder.stop()
        for one in (*self.sockets, self.peer, self.stranger, self.receiver):
            one.close()
        self.loop.close()


@pytest.fixture(scope="module")
def paths() -> Iterator[list[Path]]:
    made = [
        Path(PythonForwarder),
        Path(partial(NativeForwarder, batch=1)),
        Path(partial(NativeForwarder, batch=0)),
    ]
    yield made
    for path in made:
        path.close()


def rtp(
    *, sequence: int, kind: int, ssrc: int, marker: bool, shape: int, payload: bytes, timestamp: int
) -> bytes:
    """A packet; `shape` has the bits of padding and extension and a count of sources."""
    first = 0x80 | shape & 0x33
    head = struct.pack("!BBHII", first, kind | marker << 7, sequence, timestamp, ssrc)
    sources = bytes(4 * (shape & 3))
    extension = b"\xbe\xde\0\1ABCD" if shape & 0x10 else b""
    return head + sources + extension + payload


PACKETS = st.builds(
    rtp,
    sequence=st.sampled_from([0, 1, 2, 3, 4, 5, 9, 60, 2999, 3000, 3001, 40000, 65434, 65535]),
    kind=st.sampled_from(KINDS),
    ssrc=st.sampled_from((*SSRCS[:1], *SSRCS)),
    marker=st.booleans(),
    shape=st.sampled_from([0, 0, 0, 1, 2, 0x10, 0x11, 0x20, 0x33]),
    payload=st.binary(max_size=24) | st.just(bytes(range(160))),
    timestamp=st.integers(0, 2**32 - 1),
)


@dataclass
class Datagram:
    """One to send to all paths."""

    data: bytes
    sealed: bool = True
    """As SRTP, where the flow wants that."""
    damaged: bool = False
    """With one bit of its end turned."""
    stranger: bool = False


DATAGRAMS = st.lists(
    st.builds(
        Datagram,
        PACKETS | st.binary(max_size=40),
        sealed=st.sampled_from([True, True, True, False]),
        damaged=st.sampled_from([False, False, False, True]),
        stranger=st.sampled_from([False, False, False, True]),
    ),
    max_size=25,
)
ANY_SUITE = st.none() | st.sampled_from(sorted(SUITES))
WISHES = st.builds(
    Wish,
    suite_in=ANY_SUITE,
    suite_out=ANY_SUITE,
    mki=st.sampled_from([b"", b"\1", b"four"]),
    types=st.dictionaries(st.sampled_from(KINDS), st.sampled_from(Verdict), max_size=3),
    payloads=st.dictionaries(st.sampled_from(KINDS), st.integers(0, 127), max_size=3),
    convert=st.dictionaries(st.sampled_from(KINDS), st.sampled_from([0, 1, 2]), max_size=3),
    numbering=st.none()
    | st.tuples(st.just(0xABCDEF01), st.integers(0, 65535), st.integers(0, 2**32 - 1)),
    verdict=st.sampled_from(
        [Verdict.FORWARD, Verdict.FORWARD, Verdict.FORWARD, Verdict.DROP, Verdict.PUNT]
    ),
    reachable=st.sampled_from([True, True, True, False]),
    unit_octets=st.sampled_from([60, 172]),
    rate_octets=st.sampled_from([1_000_000, 1_000_000, SLOW]),
)


def play(paths: list[Path], wish: Wish, datagrams: list[Datagram]) -> list[dict[str, Any]]:
    """The same for each path; what came of it."""
    for path in paths:
        path.begin(wish)
    suite = wish.suite_in
    sender = new_session(suite, key(suite, 1), wish.mki) if suite else None
    for datagram in datagrams:
        data = datagram.data
        if sender is not None and datagram.sealed:
            sealed = sender.protect(data)
            data = sealed if isinstance(sealed, bytes) else data
        if datagram.damaged and data:
            data = data[:-1] + bytes([data[-1] ^ 1])
        for path in paths:
            source = path.stranger if datagram.stranger else path.peer
            source.send(data, path.keys[0])
    return [path.end() for path in paths]


def simple(*sequences: int, size: int = 160) -> list[Datagram]:
    return [
        Datagram(
            rtp(
                sequence=sequence,
                kind=0,
                ssrc=SSRCS[0],
                marker=False,
                shape=0,
                payload=bytes(size),
                timestamp=sequence * 160,
            )
        )
        for sequence in sequences
    ]


@settings(
    max_examples=int(os.environ.get("SBC_DIFFERENTIAL_EXAMPLES", "150")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@example(Wish(), simple(1, 2, 3))
@example(Wish(suite_in="AEAD_AES_128_GCM"), simple(1, 2, 2, 1))
@example(Wish(suite_out="AES_CM_128_HMAC_SHA1_32"), simple(65534, 65535, 0, 1, 65535))
@example(Wish(suite_out="AES_CM_128_HMAC_SHA1_80"), simple(1, size=65_480))
@example(Wish(convert={0: 1}, payloads={0: 8}), simple(1, 2))
@example(Wish(numbering=(7, 65000, 2**32 - 1)), simple(1, 2, 40000, 3))
@example(Wish(numbering=(7, 0, 0)), simple(100, 0, 1, 99, 3100, 3099))
@example(Wish(rate_octets=SLOW, unit_octets=60), simple(*range(20), size=40))
@example(Wish(rate_octets=SLOW, unit_octets=60), [Datagram(bytes(20))] * 20)
@example(Wish(rate_octets=SLOW, types={0: Verdict.PUNT}, unit_octets=60), simple(*range(20)))
@given(wish=WISHES, datagrams=DATAGRAMS)
def test_all_do_the_same(paths, wish, datagrams):
    python, batched, plain = play(paths, wish, datagrams)
    assert batched == plain == python


def test_what_is_compared_is_there_at_all(paths):
    wish = Wish("AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM", payloads={0: 8}, convert={0: 1})
    python, batched, plain = play(paths, wish, simple(1, 2, 2, 4))
    assert batched == plain == python
    assert [len(data) for data in python["received"]] == [188] * 3
    assert python["drops"] == {DropReason.SRTP_REPLAY: 1}
    assert (python["packets"], python["highest"], python["lost"]) == (3, 4, 1)
    assert python["index True"][0] == 4
    assert python["index False"][0] == (7 << 16) + 4
