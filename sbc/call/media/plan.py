"""A call's media: from both sides' session descriptions to the plan that a worker carries out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from policies.settings import Latch, Nat, TrunkSettings
from relay.control.messages import End, Plan, Stream
from sbc.call.media.leases import Lease, LocalPort
from sbc.call.media.terms import Terms
from sbc.sdp.facts import MediaFacts

__all__ = ["CallMedia", "behind_nat"]

_DEFAULT_RATE_BYTES: Final = 12_500
"""Nominal rate of a stream whose SDP names none: 100 kbit/s covers G.711 with its headers."""
_VIDEO_RATE_BYTES: Final = 250_000
_DEFAULT_PACKETS: Final = 50
_VIDEO_PACKETS: Final = 500
_DEFAULT_PTIME_MS: Final = 20


class CallMedia:
    """The plan of one call, as far as both sides have told us.

    Args:
        key: the worker's key for the plan.
        lease: one pair of ports for each stream and side.
        streams: the m-line's index and the media type of each, `audio` or `video`.
        trunk_a, trunk_b: whose realms and NAT rules hold for the sides.
        dscp: realm → how media towards it is marked.
    """

    __slots__ = (
        "_a",
        "_a_sends",
        "_answered",
        "_b",
        "_b_sends",
        "_dscp",
        "_streams",
        "_trunk_a",
        "_trunk_b",
        "key",
        "lease",
        "revision",
    )

    def __init__(
        self,
        key: str,
        lease: Lease,
        streams: Sequence[tuple[int, str]],
        trunk_a: TrunkSettings,
        trunk_b: TrunkSettings,
        dscp: Mapping[str, int],
    ) -> None:
        self.key = key
        self._dscp = dscp
        self.lease = lease
        self.revision = 0
        self._answered = False
        self._streams = list(streams)
        self._trunk_a, self._trunk_b = trunk_a, trunk_b
        self._a: list[End] = []
        self._b: list[End] = []
        self._a_sends: list[bool] = []
        self._b_sends: list[bool] = []

    @property
    def realm_b(self) -> str:
        """Where the other side is."""
        return self._trunk_b.realm

    def ports(self, side: str) -> list[tuple[int, LocalPort]]:
        """The m-line's index and our port of each stream on one side."""
        leased = self.lease.a if side == "a" else self.lease.b
        return [(index, port) for (index, _), port in zip(self._streams, leased, strict=True)]

    def described(self, side: str, facts: Sequence[MediaFacts], nat: bool, sip_source: str) -> None:
        """One side has described itself, by offer or answer.

        Args:
            side: `a` or `b`.
            facts: its m-lines, as many as the offer has.
            nat: whether its media may come from elsewhere than it says.
            sip_source: the address that its signalling came from.
        """
        mine = [facts[index] for index, _ in self._streams]
        sends = [media.sends for media in mine]
        if side == "a":
            dscp = self._dscp[self._trunk_a.realm]
            ends = _ends(self._trunk_a, self.lease.a, mine, nat, sip_source, self._a, dscp)
            self._a, self._a_sends = ends, sends
        else:
            dscp = self._dscp[self._trunk_b.realm]
            ends = _ends(self._trunk_b, self.lease.b, mine, nat, sip_source, self._b, dscp)
            self._b, self._b_sends = ends, sends

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

    def retarget(self, trunk_b: TrunkSettings) -> None:
        """Another target or fork speaks for side b: what the one before has said is void."""
        self._trunk_b, self._b = trunk_b, []

    def connected(self) -> None:
        """The call is answered: from here on silence is a fault."""
        self._answered = True

    def plan(self, terms: Terms | None = None) -> Plan:
        """The plan as it stands, under a revision of its own; both sides have described theirs."""
        self.revision += 1
        streams: list[Stream] = []
        sending = zip(*(self._streams, self._a, self._b, self._a_sends, self._b_sends), strict=True)
        for (index, kind), a, b, a_sends, b_sends in sending:
            known = self._answered and a.remote is not None and b.remote is not None
            a.expects = known and a_sends and b.may_receive
            b.expects = known and b_sends and a.may_receive
            if terms is not None:
                terms.fill("a", index, a)
                terms.fill("b", index, b)
            streams.append(Stream(index, kind, a, b))
        timeout_s = min(self._trunk_a.media_timeout_s, self._trunk_b.media_timeout_s)
        return Plan(self.key, self.revision, streams, timeout_s)


def behind_nat(trunk: TrunkSettings, via_differs: bool) -> bool:
    """Whether a leg is treated as behind NAT: the trunk's word, or its Via against its source."""
    return trunk.nat is Nat.ALWAYS or (trunk.nat is Nat.AUTO and via_differs)


def _ends(
    trunk: TrunkSettings,
    ports: Sequence[LocalPort],
    facts: Sequence[MediaFacts],
    nat: bool,
    sip_source: str,
    before: list[End],
    dscp: int,
) -> list[End]:
    """One side of every stream; `before` is what it was until now."""
    latch_any = trunk.latch is Latch.ANY
    ends: list[End] = []
    for (address, port), media in zip(ports, facts, strict=True):
        remote, remote_rtcp = media.remote, media.remote_rtcp
        if remote is None and len(before) > len(ends):  # held by address: the old one stays
            old = before[len(ends)]
            remote, remote_rtcp = old.remote, old.remote_rtcp
        video = media.kind == "video"
        packets = 1000 // (media.ptime_ms or _DEFAULT_PTIME_MS)
        nominal = _VIDEO_RATE_BYTES if video else _DEFAULT_RATE_BYTES
        ends.append(
            End(
                trunk.realm,
                address,
                port,
                remote,
                remote_rtcp,
                nat,
                latch_any,
                sip_source,
                False,  # `expects`: `plan` sees both sides
                media.receives,
                media.clock_rates,
                _VIDEO_PACKETS if video else max(packets, _DEFAULT_PACKETS),
                max(media.bandwidth_bps // 8, nominal),
                dscp=dscp,
                codecs=media.codec_names,
            )
        )
    return ends
