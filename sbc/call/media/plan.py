"""A call's media: from both sides' session descriptions to the plan that a worker carries out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from policies.settings import Latch, Nat, TrunkSettings
from relay.control.messages import End, Plan, Stream
from sbc.call.media.leases import Lease, LocalPort
from sbc.call.media.pools import other_family
from sbc.call.media.terms import Terms
from sbc.sdp.facts import MediaFacts

__all__ = ["CallMedia", "behind_nat"]

_LARGEST_BYTES: Final = 1000
"""A rate comes at least in as many packets as this makes of it."""
_MOST_OCTETS: Final = 125_000_000
"""A second, whatever is said: 1 Gbit/s."""
_VIDEO_PACKETS: Final = 500
_PTIME_MS: Final = 20


@dataclass(slots=True)
class _Side:
    """One side, as its peer has described it last."""

    trunk: TrunkSettings
    dscp: int
    """How what it is sent is marked."""
    ports: list[LocalPort]
    """Ours, one for each stream: the lease's own list."""
    facts: list[MediaFacts] = field(default_factory=list)
    """Of each stream."""
    nat: bool = False
    sip_source: str = ""

    def end(self, at: int, expects: bool, packets: int, octets: int) -> End:
        """This end of one stream.

        Args:
            at: its place among the streams.
            expects: whether silence would be a fault.
            packets: what its peer may send, nominally, in a second.
            octets: the same in bytes of UDP payload.
        """
        trunk, media = self.trunk, self.facts[at]
        address, port = self.ports[at]
        form = media.form
        return End(
            trunk.realm,
            address,
            port,
            media.remote,
            media.remote_rtcp,
            self.nat,
            trunk.latch is Latch.ANY,
            self.sip_source,
            expects,
            media.receives,
            form.clock_rates,
            max(packets, octets // _LARGEST_BYTES),
            octets,
            trunk.latch is Latch.ASYMMETRIC,
            dscp=self.dscp,
            codecs=form.codec_names,
        )


class CallMedia:
    """The plan of one call, as far as both sides have told us.

    Args:
        key: the worker's key for the plan.
        lease: one pair of ports for each stream and side.
        streams: the m-line's index and the media type of each, `audio` or `video`.
        trunk_a, trunk_b: whose realms and NAT rules hold for the sides.
        dscp: realm → how media towards it is marked.
    """

    __slots__ = ("_a", "_answered", "_b", "_streams", "key", "lease", "revision")

    def __init__(
        self,
        key: str,
        lease: Lease,
        streams: list[tuple[int, str]],
        trunk_a: TrunkSettings,
        trunk_b: TrunkSettings,
        dscp: Mapping[str, int],
    ) -> None:
        self.key = key
        self.lease = lease
        self.revision = 0
        self._answered = False
        self._streams = streams
        self._a = _Side(trunk_a, dscp[trunk_a.realm], lease.a)
        self._b = _Side(trunk_b, dscp[trunk_b.realm], lease.b)

    def ports(self, side: str) -> list[tuple[int, LocalPort]]:
        """The m-line's index and our port of each stream on one side."""
        leased = self.lease.a if side == "a" else self.lease.b
        return [(index, port) for (index, _), port in zip(self._streams, leased, strict=True)]

    def described(self, side: str, facts: Sequence[MediaFacts], nat: bool, sip_source: str) -> None:
        """One side has described itself, by offer or answer.

        Args:
            side: `a` or `b`.
            facts: its m-lines, as many as the offer has. Where one is held by address, the address
                that the side has told before stays, here as in them.
            nat: whether its media may come from elsewhere than it says.
            sip_source: the address that its signalling came from.
        """
        mine = self._a if side == "a" else self._b
        before, mine.facts = mine.facts, [facts[index] for index, _ in self._streams]
        for old, new in zip(before, mine.facts, strict=False):
            if new.remote is None:
                new.remote, new.remote_rtcp = old.remote, old.remote_rtcp
        mine.nat, mine.sip_source = nat, sip_source

    def check_family(self, side: str, facts: Sequence[MediaFacts]) -> None:
        """See that our ports of a side reach where its peer wants its media.

        Raises:
            UnsupportedMedia: 488, they are of another address family.
        """
        ports = self.lease.a if side == "a" else self.lease.b
        for (index, _), (address, _) in zip(self._streams, ports, strict=True):
            remote = facts[index].remote if index < len(facts) else None
            if remote is not None and (":" in remote[0]) is not (":" in address):
                raise other_family(":" in remote[0])

    def add(self, index: int, kind: str, ports: tuple[LocalPort, LocalPort]) -> None:
        """One more stream, with a pair of ports for each side."""
        self._streams.append((index, kind))
        self.lease.a.append(ports[0])
        self.lease.b.append(ports[1])

    def drop(self, count: int) -> list[tuple[LocalPort, LocalPort]]:
        """Take the last `count` streams back, which no plan has named; their ports."""
        ports = []
        for _ in range(count):
            self._streams.pop()
            ports.append((self.lease.a.pop(), self.lease.b.pop()))
        return ports

    @property
    def indices(self) -> set[int]:
        """The m-lines that have ports."""
        return {index for index, _ in self._streams}

    @property
    def enabled(self) -> set[int]:
        """The m-lines that both sides have described, and neither has disabled."""
        both = zip(self._streams, self._a.facts, self._b.facts, strict=False)
        return {index for (index, _), of_a, of_b in both if of_a.port and of_b.port}

    @property
    def is_described(self) -> bool:
        """Whether both sides have described all streams."""
        return len(self._a.facts) == len(self._b.facts) == len(self._streams)

    @property
    def is_connected(self) -> bool:
        """Whether the call is answered."""
        return self._answered

    def retarget(self, trunk_b: TrunkSettings) -> None:
        """Another target or fork speaks for side b: what the one before has said is void."""
        self._b.trunk, self._b.facts = trunk_b, []

    def awaits(self, trunk_b: TrunkSettings, sip_source: str) -> bool:
        """Whether `await_early` holds for this target already."""
        b = self._b
        early = bool(b.facts) and all(one.port == 0 for one in b.facts)
        return early and b.trunk is trunk_b and b.sip_source == sip_source

    def await_early(self, trunk_b: TrunkSettings, sip_source: str) -> None:
        """A target behind NAT may send, of which no more is known than that it has our offer.

        Args:
            sip_source: the address of its signalling.
        """
        self.retarget(trunk_b)
        unknown = [replace(one, port=0, remote=None, remote_rtcp=None) for one in self._a.facts]
        self._b.facts, self._b.nat, self._b.sip_source = unknown, True, sip_source

    def connected(self) -> None:
        """The call is answered: from here on silence is a fault."""
        self._answered = True

    def plan(self, terms: Terms | None = None) -> Plan:
        """The plan as it stands, under a revision of its own; both sides have described theirs."""
        self.revision += 1
        streams: list[Stream] = []
        a, b = self._a, self._b
        for at, (index, kind) in enumerate(self._streams):
            of_a, of_b = a.facts[at], b.facts[at]
            known = self._answered and of_a.remote is not None and of_b.remote is not None
            packets = _VIDEO_PACKETS if kind == "video" else self._packets(of_a, of_b)
            octets_a, octets_b = _octets(of_a, of_b)
            end_a = a.end(at, known and of_a.sends and of_b.receives, packets, octets_a)
            end_b = b.end(at, known and of_b.sends and of_a.receives, packets, octets_b)
            if terms is not None:
                terms.fill("a", index, end_a)
                terms.fill("b", index, end_b)
            streams.append(Stream(index, kind, end_a, end_b))
        timeout_s = min(a.trunk.media_timeout_s, b.trunk.media_timeout_s)
        return Plan(self.key, self.revision, streams, timeout_s)

    def _packets(self, of_a: MediaFacts, of_b: MediaFacts) -> int:
        """How many packets of audio either side may send in a second, nominally.

        A side is to send by the other's `a=ptime` (RFC 8866 §6.4), or by ours; many send by their
        own.
        """
        ptime_ms = min(
            of_a.ptime_ms or _PTIME_MS,
            of_b.ptime_ms or _PTIME_MS,
            self._a.trunk.media.codecs.ptime_ms or _PTIME_MS,
            self._b.trunk.media.codecs.ptime_ms or _PTIME_MS,
            _PTIME_MS,
        )
        return 1000 // ptime_ms


def _octets(of_a: MediaFacts, of_b: MediaFacts) -> tuple[int, int]:
    """How many bytes `a` and `b` may send in a second, nominally.

    By the other's `b=`, which is what that one wants to receive (RFC 3264 §5.1); where it says
    none, by its own. Never less than the codecs need that both have.
    """
    least = min(of_a.form.octets_per_s, of_b.form.octets_per_s)
    said_a, said_b = of_a.bandwidth_bps // 8, of_b.bandwidth_bps // 8
    from_a, from_b = max(said_b or said_a, least), max(said_a or said_b, least)
    return min(from_a, _MOST_OCTETS), min(from_b, _MOST_OCTETS)


def behind_nat(trunk: TrunkSettings, via_differs: bool) -> bool:
    """Whether a leg is treated as behind NAT: the trunk's word, or its Via against its source."""
    hidden = trunk.nat is Nat.ALWAYS or (trunk.nat is Nat.AUTO and via_differs)
    return hidden and trunk.latch is not Latch.ASYMMETRIC
