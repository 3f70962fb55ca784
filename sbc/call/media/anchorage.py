"""What the media of one call stand on: leased ports, the worker's plan, terms where legs differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from relay.control.messages import Inject
from sbc.call.core import Anchored, Core
from sbc.call.legs.leg import Leg
from sbc.call.media.plan import CallMedia
from sbc.call.media.terms import Terms, renumbered
from sbc.errors import ProtocolError
from sbc.sdp.facts import MediaFacts, describe
from sbc.sdp.model import Session
from sbc.sdp.rewrite import Anchor, Dress

__all__ = ["MAX_STREAMS", "Anchorage"]

MAX_STREAMS: Final = 8
"""Of one call: each takes four sockets of a worker."""


class Anchorage:
    """The relay's part in one call; `Exchange` is made of it.

    Args:
        core: the surroundings.
        owner: the call, to whom the relay's answers go.
    """

    __slots__ = ("_core", "_lines", "_media", "_owner", "_refused", "_removed", "_terms", "codecs")

    def __init__(self, core: Core, owner: Anchored) -> None:
        self._core = core
        self._owner: Anchored | None = owner
        self._lines = 0
        """m-lines of the descriptions that go to and fro."""
        self._media: CallMedia | None = None
        self._removed: CallMedia | None = None
        """What the worker is to tell the last figures of."""
        self._refused = False
        self._terms: Terms | None = None
        """What the legs differ in beyond addresses; most calls have none."""
        self.codecs: list[str] = []
        """The first format of each answered stream, which is the one in use (RFC 3264 §6.1)."""

    @property
    def slot(self) -> int | None:
        """The worker that carries the media, None where there are none."""
        media = self._media or self._removed
        return None if media is None else media.lease.slot

    @property
    def planned(self) -> bool:
        """Whether a worker has a plan of this call."""
        return self._media is not None and self._media.revision > 0

    @property
    def key(self) -> str | None:
        """The worker's key for the media, None where there are none."""
        return None if self._media is None else self._media.key

    def release(self) -> bool:
        """Let the media go; whether a worker will tell what they were."""
        media, self._media = self._media, None
        if media is None:
            return False
        core = self._core
        core.leases.give_back(media.lease, unused=media.revision == 0)
        if media.revision == 0:
            return False
        if not core.leases.holds(media.lease):
            core.plans.pop(media.key, None)
            return False
        core.relay.remove(media.lease.slot, media.key)
        if self._refused:
            core.relay.give_back(media.lease.slot, media.lease.a + media.lease.b)
        self._removed = media
        return True

    def give_back(self) -> None:
        """The worker has refused a plan: what it has not taken goes back to it in the end."""
        self._refused = True
        removed = self._removed
        if removed is not None and self._core.leases.holds(removed.lease):
            lease = removed.lease
            self._core.relay.give_back(lease.slot, lease.a + lease.b)

    def forget(self) -> None:
        """Nothing that the worker may still say of the media released matters any more."""
        if self._removed is not None:
            self._core.plans.pop(self._removed.key, None)
            self._removed = None

    # Terms

    def has_events(self, side: str) -> bool:
        """Whether this side's digits are telephone-events, and those of the other are not."""
        return self._terms is not None and self._terms.events_of(side) is not None

    def inject(self, side: str, number: int, digits: str, duration_ms: int) -> None:
        """Let the peer of a side that `has_events` hear digits.

        Args:
            number: grows with each request of the call.
        """
        stream = self._terms.events_of(side) if self._terms is not None else None
        media = self._media
        if media is not None and stream is not None:
            wish = Inject(media.key, stream, side, number, digits, duration_ms)
            self._core.relay.inject(media.lease.slot, wish)

    def ciphers(self, side: str) -> list[str]:
        """The crypto suite of each stream of a leg; [] where both legs are clear throughout."""
        return [] if self._terms is None else self._terms.ciphers(side)

    def _answered(
        self, offerer: Leg, answerer: Leg, offer: Session | None, answer: Session
    ) -> list[Dress | None] | None:
        """How our answer is dressed, made of the answer of the other side's peer."""
        terms = self._terms
        if terms is None:
            if offer is None or not renumbered(offer, answer):
                return None
            terms = self._terms = self._terms_of(offerer, answerer)
            terms.offer(offerer.side, offer, describe(offer))
            terms.proposal(len(offer.media))
        return terms.answer(answerer.side, answer, describe(answer))

    def _terms_of(self, one: Leg, other: Leg) -> Terms:
        a, b = (one, other) if one.side == "a" else (other, one)
        terms = Terms(a.trunk, self._core.random)
        terms.retarget(b.trunk)
        return terms

    # Ports

    def _choose_pool(self, source: Leg, facts: Sequence[MediaFacts]) -> None:
        """The first description of a call that has no streams yet says where its peer is."""
        media = self._media
        if media is not None and not media.indices:
            pool = self._core.pools.choose(source.trunk.realm, facts, source.hop.host)
            if source.side == "a":
                media.lease.pool_a = pool
            else:
                media.lease.pool_b = pool

    def _check_family(self, leg: Leg, facts: Sequence[MediaFacts]) -> None:
        """The ports that `leg`'s peer has been told of, or will be, reach where its media are.

        Raises:
            UnsupportedMedia: 488, they are of another address family.
        """
        if self._media is not None:
            self._media.check_family(leg.side, facts)

    def _make_room(self, facts: list[MediaFacts]) -> int:
        """Ports for the streams that are new; how many those are."""
        media = self._media
        if media is None:
            return 0
        known = media.indices
        new = [one for one in facts if one.anchored and one.index not in known]
        if len(known) + len(new) > MAX_STREAMS:
            raise ProtocolError(f"expected at most {MAX_STREAMS} streams", status=488)
        if new:
            ports = self._core.leases.more(media.lease, len(new))
            for one, pair in zip(new, ports, strict=True):
                media.add(one.index, one.kind, pair)
        return len(new)

    def _take_back(self, added: int) -> None:
        media = self._media
        if media is not None and added:
            self._core.leases.less(media.lease, media.drop(added))

    def _anchors(self, leg: Leg, dresses: list[Dress | None] | None = None) -> list[Anchor | None]:
        """Our address for each m-line of the offer, as `leg`'s peer sees it."""
        anchors: list[Anchor | None] = [None] * self._lines
        if self._media is not None:
            shown = self._core.media_addresses.shown
            known = self._lines if dresses is None else min(self._lines, len(dresses))
            for index, (address, port) in self._media.ports(leg.side):
                if index >= known:  # of another exchange: `content` says so
                    continue
                dress = dresses[index] if dresses is not None else None
                anchors[index] = Anchor(shown(address, leg.end), port, dress)
        return anchors

    def _address(self, leg: Leg) -> str:
        """What stands in our `o=` line on this leg."""
        return self._core.media_addresses.of_session(leg.end)

    # The plan

    def _apply(self, media: CallMedia) -> None:
        if self._owner is not None:
            self._core.plans[media.key] = self._owner
            self._core.relay.apply(media.lease.slot, media.plan(self._terms))
            if self._terms is not None and media.is_connected:
                self._watch_keys(media, self._terms)

    def _watch_keys(self, media: CallMedia, terms: Terms) -> None:
        """Say when a stream is encrypted no more, which a peer may decide where SRTP is only
        preferred: no downgrade is silent."""
        for side, index in terms.note_use(media.enabled):
            self._core.counters["srtp_ended"] += 1
            call = media.key.partition(".")[0]
            self._core.say(30, "media.srtp_ended", call, side=side, stream=index)
