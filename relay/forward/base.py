"""The contract between the slow path and a fast path.

A fast path decides nothing. It is given flows, matches packets exactly and forwards, drops or
punts them; it is a cache, and flushing it at any moment may cost speed, never a call. For each
datagram on an open port, in this order:

    1. not RTP (shorter than 12 bytes, version not 2, or a second byte of 192..223)   → PUNT
    2. no flow, or its source is not the flow's                                       → PUNT
    3. more than the policer allows                                                   → DROP
    4. the flow's verdict                                                 → FORWARD or DROP

The payload is forwarded unchanged. Nothing in this contract mentions descriptors or maps; one
conformance suite (tests/relay/conformance) runs against each implementation.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, TypeAlias

from relay.ports import Key
from relay.stats import Reception

__all__ = ["Address", "DropReason", "Flow", "Forwarder", "Key", "Punt", "Verdict"]

Address: TypeAlias = tuple[str, int]


class Verdict(IntEnum):
    """What becomes of a packet."""

    FORWARD = 0
    DROP = 1
    PUNT = 2


class DropReason(IntEnum):
    """Why a packet went nowhere. The names, in lower case, are those in the statistics."""

    WRONG_SOURCE = 0
    """Not from where the peer is believed to be."""
    UNLATCHED = 1
    """The other end's peer has not earned packets yet, or is not known."""
    HELD = 2
    """The other end's peer may not receive (RFC 3264 §8.4)."""
    POLICED = 3
    """Above three times the nominal rate."""
    STUN = 4
    DTLS = 5
    NOT_RTP = 6
    """None of the protocols that share a media port (RFC 7983), or too short."""
    RTCP_ON_RTP = 7
    """RTCP on the RTP port, which needs a negotiated rtcp-mux."""
    RTCP_MALFORMED = 8
    RTCP_EMPTY = 9
    """Nothing of the compound may cross."""
    UNSENT = 10
    """The kernel would not send it: no route, full buffer, closed peer port twice."""


@dataclass(slots=True, eq=False)
class Flow:
    """What a fast path needs to know of one RTP direction. Replaced as a whole, never changed."""

    key: Key
    """Our (address, port) that the packets come to."""
    generation: int
    """Of the port: a count of another generation is another call's."""
    verdict: Verdict
    """FORWARD or DROP of what passes the checks; PUNT: everything is punted."""
    source: Address | None
    """The exact source; None while it is being learnt: everything is punted."""
    out: Key
    """Our (address, port) that the packets leave from: the other end's."""
    destination: Address | None
    """Where to; None: DROP."""
    reason: DropReason
    """Why the verdict is DROP."""
    unit_octets: int
    """Nominal packet size. A packet uses at least so much of the policer's allowance, so that one
    bucket of bytes limits packets as well as bytes."""
    rate_octets: int
    """Allowance per second: three times the nominal rate. Two seconds of it are the burst."""
    reception: Reception
    """Where packets from `source` are counted. A forwarder that counts elsewhere brings its
    figures here at `counters`, `remove` and `flush`."""


Punt: TypeAlias = Callable[[memoryview, Address, float], bool]
"""(packet, source, monotonic seconds) → whether the source is somebody's; if not, it is policed.
The memory is the forwarder's again when the call returns."""


class Forwarder(Protocol):
    """One fast path."""

    @property
    def name(self) -> str:
        """As in the settings."""

    def open(self, key: Key, rx: socket.socket, punt: Punt) -> None:
        """Serve a port: every packet is punted until a flow is installed.

        Packets that wait on the socket from before are a former call's or a stranger's and are
        discarded. Strangers' packets are policed, so that a flood of them costs little: beyond
        200 a second the port is left alone for a moment and the kernel drops what is too much.
        """

    def close(self, keys: Sequence[Key]) -> None:
        """Stop serving these ports; their flows are removed."""

    def install(self, flows: Sequence[Flow]) -> None:
        """Add flows or put them in the place of those with the same keys, as one batch.

        Their ports are open. A flow that cannot be taken (out of descriptors, no privilege) stays
        on the slow path and is counted.
        """

    def remove(self, keys: Sequence[Key]) -> None:
        """Forget these flows; their ports punt again."""

    def flush(self) -> None:
        """Forget all flows."""

    def counters(self, key: Key) -> dict[DropReason, int]:
        """What this path has dropped on the port since `open`; brings `reception` up to date."""

    def send(self, key: Key, data: memoryview | bytes, destination: Address) -> bool:
        """Send one packet from an open port, for the slow path. Returns whether the kernel did."""
