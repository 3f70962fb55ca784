"""A call's media: from both sides' session descriptions to the plan that a worker carries out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from policies.settings import Latch, Nat, TrunkSettings
from relay.control.messages import End, Plan, Stream
from sbc.call.leases import Lease, LocalPort
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
    """

    __slots__ = (
        "_a_sends",
        "_answered",
        "_b_sends",
        "_streams",
        "key",
        "lease",
        "realm_b",
        "revision",
        "timeout_s",
    )

    def __init__(
        self,
        key: str,
        lease: Lease,
        streams: Sequence[tuple[int, str]],
        trunk_a: TrunkSettings,
        trunk_b: TrunkSettings,
    ) -> None:
        self.key = key
        self.lease = lease
        self.revision = 0
        self.timeout_s = min(trunk_a.media_timeout_s, trunk_b.media_timeout_s)
        self._answered = False
        self.realm_b = trunk_b.realm
        self._a_sends = self._b_sends = (True,) * len(streams)
        self._streams = [
            Stream(index, kind, _end(trunk_a, port_a), _end(trunk_b, port_b))
            for (index, kind), port_a, port_b in zip(streams, lease.a, lease.b, strict=True)
        ]

    def ports(self, side: str, lines: int) -> list[LocalPort | None]:
        """Our port for each of `lines` m-lines on one side, None where it is not anchored."""
        ports: list[LocalPort | None] = [None] * lines
        for stream, port in zip(self._streams, getattr(self.lease, side), strict=True):
            ports[stream.index] = port
        return ports

    def described(self, side: str, facts: Sequence[MediaFacts], nat: bool, sip_source: str) -> None:
        """One side has described itself, by offer or answer.

        Args:
            side: `a` or `b`.
            facts: its m-lines, as many as the offer has.
            nat: whether its media may come from elsewhere than it says.
            sip_source: the address that its signalling came from.
        """
        mine = [facts[stream.index] for stream in self._streams]
        sends = tuple([media.sends for media in mine])
        if side == "a":
            self._a_sends = sends
        else:
            self._b_sends = sends
        for stream, media in zip(self._streams, mine, strict=True):
            end = stream.a if side == "a" else stream.b
            end.nat, end.sip_source = nat, sip_source
            _describe(end, media)

    def connected(self) -> None:
        """The call is answered: from here on silence is a fault."""
        self._answered = True

    def plan(self) -> Plan:
        """The plan as it stands, under a revision of its own."""
        self.revision += 1
        sending = zip(self._streams, self._a_sends, self._b_sends, strict=True)
        for stream, a_sends, b_sends in sending:
            a, b = stream.a, stream.b
            known = self._answered and a.remote is not None and b.remote is not None
            a.expects = known and a_sends and b.may_receive
            b.expects = known and b_sends and a.may_receive
        return Plan(self.key, self.revision, self._streams, self.timeout_s)


def behind_nat(trunk: TrunkSettings, via_differs: bool) -> bool:
    """Whether a leg is treated as behind NAT: the trunk's word, or its Via against its source."""
    return trunk.nat is Nat.ALWAYS or (trunk.nat is Nat.AUTO and via_differs)


def _end(trunk: TrunkSettings, port: LocalPort) -> End:
    """One side of a stream before its peer has said anything."""
    return End(
        realm=trunk.realm,
        address=port[0],
        port=port[1],
        remote=None,
        remote_rtcp=None,
        nat=trunk.nat is Nat.ALWAYS,
        latch_any=trunk.latch is Latch.ANY,
        sip_source=None,
        expects=False,
        may_receive=True,
        clock_rates={},
        rate_pps=0,
        rate_bps=0,
    )


def _describe(end: End, media: MediaFacts) -> None:
    video = media.kind == "video"
    end.may_receive = media.receives
    if media.remote is not None:  # none where it is held by address: the old one stays
        end.remote, end.remote_rtcp = media.remote, media.remote_rtcp
    end.clock_rates = media.clock_rates
    packets = 1000 // (media.ptime_ms or _DEFAULT_PTIME_MS)
    end.rate_pps = _VIDEO_PACKETS if video else max(packets, _DEFAULT_PACKETS)
    nominal = _VIDEO_RATE_BYTES if video else _DEFAULT_RATE_BYTES
    end.rate_bps = max(media.bandwidth_bps // 8, nominal)
