"""The contract between the slow path and a fast path.

A fast path decides nothing. It is given flows, matches packets exactly and forwards, drops or
punts them; it is a cache, and flushing it at any moment may cost speed, never a call. For each
datagram on an open port, in this order; the first line that applies ends it where it says PUNT or
DROP. Only what is neither None nor empty in a flow costs anything.

     1. not RTP (shorter than 12 bytes, version not 2, a second byte of 192..223)   → PUNT
     2. no flow, or its source is not the flow's, or the flow's verdict is PUNT     → PUNT
     3. `types` says PUNT for its payload type                                      → PUNT
     4. `numbering`: another SSRC, or a sequence number that jumps                  → PUNT
     5. `srtp_in`: unprotect, or  → DROP, SIZE, SSRC, SRTP_REPLAY or SRTP_AUTH by the failure
     6. count it in `reception`, with its size as it came
     7. more than the policer allows, by its size as it came          → DROP, POLICED
     8. `types` says DROP for its payload type                        → DROP, PAYLOAD_TYPE
     9. the flow's verdict is DROP                                    → DROP, `reason`
    10. `payloads`: another payload type; the marker stays
    11. `convert`: another law (G.711), byte by byte of the payload, or  → DROP, SIZE
    12. `numbering`: another SSRC, sequence number and timestamp
    13. `srtp_out`: protect, or                    → DROP, SIZE, SSRC or SRTP_REUSE by the failure
    14. send; if that fails, once more, and then                      → DROP, UNSENT

What is punted is given as it came, and nothing of it has been counted. A drop is counted by its
reason, at the port that the packet came to.

- *Jumps* (4): with `numbering` and a `reception` whose `ssrc` is `numbering.ssrc`, the step from
  its highest sequence number (mod 2^16) is neither below MAX_DROPOUT nor above
  2^16 - MAX_MISORDER (`relay.stats`). With another SSRC in `reception` the same holds for the step
  from the last number that `srtp_out` has protected to the one that this packet would leave with;
  nothing jumps where there is neither.
- *Payload* (11): it begins behind the fixed header, CSRCs and the extension. With the padding bit,
  the last byte says how much of the end is padding and stays as it is. A header that is longer than
  the packet, no padding where the bit is, or more than there is payload: SIZE. Steps 3 and 8 look
  at the payload type as it came, and so does `convert`.
- *Drops* before 12 leave gaps in what is sent, as loss on the way here does.

Nothing in this contract mentions descriptors or maps; one conformance suite
(tests/relay/conformance) runs against each implementation.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, TypeAlias

from relay.ports import Key
from relay.rtp.numbering import Numbering
from relay.rtp.session import SrtpSession
from relay.stats import Reception

__all__ = [
    "Address",
    "DropReason",
    "Flow",
    "Forwarder",
    "Key",
    "Numbering",
    "Punt",
    "SrtpSession",
    "Verdict",
]

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
    SRTP_AUTH = 11
    """Not authentic: another key, changed on the way, or no SRTP at all."""
    SRTP_REPLAY = 12
    """It came before, or is too old to know."""
    SRTP_REUSE = 13
    """Encrypting it would use an index twice under one key: a duplicate, or much too late."""
    PAYLOAD_TYPE = 14
    """Not negotiated, and the plan is strict."""
    SSRC = 15
    """The source changes too often, or there are too many."""
    SEQUENCE = 16
    """Its number jumps, and no second packet has confirmed that yet."""
    SIZE = 17
    """Its header, padding or authentication do not fit in it; or it grew too large."""
    DTMF = 18
    """A telephone-event that was reported instead, or audio in the place of an injected digit."""


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
    """The exact source; None: everything is punted. Whatever the verdict, its packets are kept
    apart from strangers', so that no flood of those can stand before them; and no more of them
    than `rate_octets` allows is punted."""
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
    """Where packets from `source` are counted. Of this forwarder's making."""
    srtp_in: SrtpSession | None = None
    """What comes is SRTP of this session."""
    srtp_out: SrtpSession | None = None
    """What leaves becomes SRTP of this session. Both are of this forwarder's making."""
    types: bytes | None = None
    """128 bytes: the Verdict for each payload type; None: FORWARD for all."""
    payloads: bytes | None = None
    """128 bytes: the payload type that each becomes; None: all stay."""
    convert: bytes | None = None
    """128 bytes, for each payload type 0: as it is, 1: µ-law to A-law, 2: A-law to µ-law."""
    numbering: Numbering | None = None
    """None: SSRC, sequence number and timestamp stay, whatever they are."""


Punt: TypeAlias = Callable[[memoryview, Address, float], None]
"""Called with packet, source, monotonic seconds. The memory is the forwarder's again when the call
returns."""


class Forwarder(Protocol):
    """One fast path."""

    @property
    def name(self) -> str:
        """As in the settings."""

    def reception(self, clock_rates: Mapping[int, int]) -> Reception:
        """What a direction's packets are counted in, by this path and by the slow path in turn.

        Args:
            clock_rates: payload type → Hz, as signalled.
        """

    def session(self, suite: str, key: bytes, mki: bytes, roc: int) -> SrtpSession:
        """A session for `Flow.srtp_in` or `srtp_out`, and for the slow path.

        Args:
            suite: one of `relay.control.messages.SUITES`.
            key: master key and salt, as long as the suite says.
            mki: what stands in each packet; empty: nothing.
            roc: the roll-over counter that each source begins with, below 2^32.
        """

    def mark(self, key: Key, tos: int) -> None:
        """Set the byte that packets from this open port bear (ToS, IPv6 traffic class; RFC 2474).

        It holds for all that leaves by the port, `send` included, until `close`. A port that is
        opened has to bear 0.
        """

    def open(self, key: Key, rx: socket.socket, punt: Punt) -> None:
        """Serve a port: every packet is punted until a flow is installed.

        Packets that wait on the socket from before are a former call's or a stranger's and are
        discarded.
        """

    def mute(self, key: Key, *, muted: bool) -> None:
        """Leave a flooded port's unconnected socket alone, or listen to it again; an expected peer
        is on the other one. What waits there meanwhile is discarded."""

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
