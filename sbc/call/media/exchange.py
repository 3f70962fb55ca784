"""What both sides of a call say about media, and the relay's part in it.

The caller's offer goes on to each target in our words, with ports that we hold ahead; the answers
come back in our words. The relay is told with the first answer, and again with each that changes
anything: a call that nobody answers costs it nothing. Only of a target behind NAT is it told when
that rings, so that media which come before the answer are let through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from policies.settings import TrunkSettings
from relay.control.messages import Inject
from sbc.call.core import Anchored, Core
from sbc.call.legs.a_leg import ALeg
from sbc.call.legs.b_leg import BLeg
from sbc.call.legs.leg import SDP, Fork, Leg, session_id
from sbc.call.media.early_offer import early_offer
from sbc.call.media.in_use import check_change, check_in_use, codecs_of, formats
from sbc.call.media.plan import CallMedia, behind_nat
from sbc.call.media.terms import Terms, concern, concerns, renumbered
from sbc.errors import LocalProtocolError, ProtocolError, SbcError
from sbc.sdp.facts import MediaFacts, check_offer, describe
from sbc.sdp.model import Session
from sbc.sdp.offer_answer import Negotiation
from sbc.sdp.offer_answer import State as Offer
from sbc.sdp.parser import parse
from sbc.sdp.rewrite import Anchor, Dress
from sbc.sip.message import Response

__all__ = ["Exchange"]

_MAX_STREAMS: Final = 8
"""Of one call: each takes four sockets of a worker."""


@dataclass(slots=True)
class _Proposal:
    """An offer within a call, until it is answered or refused."""

    facts: list[MediaFacts]
    lines_before: int
    added: int
    """Streams that are new, the last of the media's."""


class Exchange:
    """Offer, answers and media of one call.

    Args:
        core: the surroundings.
        owner: the call, to whom the relay's answers go.
    """

    __slots__ = (
        "_core",
        "_dresses",
        "_facts",
        "_fork",
        "_lines",
        "_media",
        "_offer",
        "_owner",
        "_proposal",
        "_refused",
        "_removed",
        "_standing",
        "_terms",
        "codecs",
        "late",
    )

    def __init__(self, core: Core, owner: Anchored) -> None:
        self._core = core
        self._owner: Anchored | None = owner
        self._offer: Session | None = None
        self._facts: list[MediaFacts] = []
        self._lines = 0
        self._fork: Fork | None = None
        """Whose answer the plan holds."""
        self._media: CallMedia | None = None
        self._removed: CallMedia | None = None
        """What the worker is to tell the last figures of."""
        self.late = False
        """The caller has made no offer: it is to get one."""
        self._standing: Session | None = None
        """What a target is offered for a caller who is asked only after it has answered."""
        self._refused = False
        self._proposal: _Proposal | None = None
        """The offer that is open within the call."""
        self._terms: Terms | None = None
        """What the legs differ in beyond addresses; most calls have none."""
        self._dresses: list[Dress | None] | None = None
        """Of our offer to the current target."""
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

    def read_offer(self, a: ALeg) -> None:
        """The caller's offer.

        Raises:
            ProtocolError: none, or none that can be carried; its status is the answer.
        """
        invite = a.pending()
        a.negotiation = Negotiation(session_id(a.token), self._address(a))
        if not invite.body:
            self.late = True
            return
        if invite.content_type != SDP:
            if invite.body_is_optional:
                self.late = True
                return
            raise ProtocolError("expected an offer in SDP in the INVITE", status=415)
        self._offer = parse(invite.body)
        self._facts = describe(self._offer)
        self._lines = len(self._facts)
        if concern(a.trunk) or concerns(self._offer):
            self._terms = Terms(a.trunk, self._core.random)
            self._terms.offer("a", self._offer, self._facts)
        check_offer(self._facts)
        self._core.pools.choose(a.trunk.realm, self._facts, a.hop.host)
        if sum(media.anchored for media in self._facts) > _MAX_STREAMS:
            raise ProtocolError(f"expected at most {_MAX_STREAMS} streams", status=488)
        a.negotiation.receive_offer(self._offer)

    def stand_for(self, session: Session) -> None:
        """The caller of this call talks already, and has said this: targets are offered it."""
        self.late, self._standing = True, session

    def anchor(self, a: ALeg, trunk_b: TrunkSettings, host_b: str, key: str) -> None:
        """Ports of our own for both sides, unless the call holds the right ones already.

        Args:
            host_b: where the target's signalling goes.
            key: of the plan, should a new one be needed.

        Raises:
            ProtocolError: none of the offer's codecs may go there, or the caller's media are where
                its realm has no address.
            RelayError: no worker, or no port.
        """
        if self.late and (self._standing is None or self._offer is None):
            self._offer = self._standing
            if self._offer is None and trunk_b.early_offer:
                self._offer = parse(early_offer(a.trunk.media.codecs, trunk_b.media.codecs))
            self._facts = describe(self._offer) if self._offer else []
            self._lines = len(self._facts)
        self._come_to_terms(a, trunk_b)
        if self._standing is not None:
            check_offer(self._facts)
        pools = self._core.pools
        pool_b = pools.choose(trunk_b.realm, (), host_b)
        if self._media is not None:
            if self._media.lease.pool_b == pool_b:
                self._make_room(self._facts)
                return
            self.release()
            self.forget()  # neither its figures nor its faults are this call's any more
        streams = [(media.index, media.kind) for media in self._facts if media.anchored]
        said = () if self.late and self._standing is None else self._facts
        pool_a = pools.choose(a.trunk.realm, said, a.hop.host)
        lease = self._core.leases.take(pool_a, pool_b, len(streams))
        self._media = CallMedia(key, lease, streams, a.trunk, trunk_b, self._core.dscp)
        self._media.described("a", self._facts, behind_nat(a.trunk, a.nat), a.hop.host)

    def offer_to(self, b: BLeg) -> bytes:
        """The caller's offer in our words, for one target; b"" where it has made none."""
        b.negotiation = Negotiation(session_id(b.token), self._address(b))
        if self._offer is None:
            if self.late:
                return b""
            raise LocalProtocolError("an offer after the answer")
        return b.negotiation.send_offer(self._offer, self._anchors(b, self._dresses))

    def offer_within(self, b: BLeg, negotiation: Negotiation) -> bytes:
        """The same for a target that talks already, in its dialog.

        Raises:
            ProtocolError: it cannot be offered there.
        """
        if self._offer is None:
            raise LocalProtocolError("expected an offer")
        return negotiation.send_offer(self._offer, self._anchors(b, self._dresses))

    def answer(self, a: ALeg, b: BLeg, fork: Fork, response: Response) -> bytes:
        """The target's answer in our words, for the caller.

        Raises:
            ProtocolError: not a description, or none that answers our offer.
        """
        session = parse(response.body)
        new = fork.negotiation_b.receive_answer(session) or self._fork is not fork
        facts = describe(session) if new else None
        self._check_family(b, facts or ())
        dresses = self._answered(a, b, self._offer, session)
        body = fork.negotiation_a.send_answer(session, self._anchors(a, dresses))
        self.carry(b, fork, facts, response.status >= 200)
        return body

    def carry(self, b: BLeg, fork: Fork, facts: list[MediaFacts] | None, final: bool) -> None:
        """The media of this fork are the call's from now on.

        Args:
            facts: its answer, where that is another than before.
            final: whether it is the fork that answered the call.

        Raises:
            ProtocolError: its answer is none that can be taken.
        """
        media, session = self._media, fork.negotiation_b.remote
        if media is None or session is None:
            return
        if facts is None and self._fork is not fork:
            facts = describe(session)
            self._check_family(b, facts)
        if self._fork is not fork:
            media.retarget(b.trunk)
        if facts is not None:
            if self._terms is not None:
                self._terms.answer("b", session, facts)
            media.described("b", facts, behind_nat(b.trunk, b.nat), b.hop.host)
            self._fork, self.codecs = fork, codecs_of(facts)
        if final:
            media.connected()  # from here on silence is a fault
        if facts is not None or final:
            self._apply(media)

    def expect_early(self, b: BLeg) -> None:
        """A target behind NAT rings and has not answered the offer yet: media of its may come
        (RFC 3264 §5.1), and are known by where its signalling is.

        Where the legs differ in keys or formats nobody can read them before the answer. A target
        that is not behind NAT is known by its answer alone.
        """
        media = self._media
        known = self._fork is not None and self._fork in b.forks.values()
        if media is None or self.late or self._terms is not None or known:
            return
        if behind_nat(b.trunk, b.nat) and not media.awaits(b.trunk, b.hop.host):
            media.await_early(b.trunk, b.hop.host)
            self._fork = None
            self._apply(media)

    # A caller without an offer

    def late_heard(self, fork: Fork, response: Response) -> bool:
        """Take the description of a reliable 18x or a 2xx; whether there is one now.

        It is the target's offer, or its answer to the one that we made up.

        Raises:
            ProtocolError: none that can be taken.
        """
        across = fork.negotiation_b
        if response.body and across.state is not Offer.OFFER_RECEIVED:
            session = parse(response.body)
            if across.state is Offer.IDLE:
                across.receive_offer(session)
            else:
                across.receive_answer(session)
        return across.remote is not None

    def late_offer(self, a: ALeg, b: BLeg, fork: Fork) -> bytes:
        """What `late_heard` took in our words, as an offer for the caller.

        Raises:
            ProtocolError: there is none, or none that can be carried.
            RelayError: no port for it.
        """
        if fork.negotiation_a.state is Offer.OFFER_SENT:
            return fork.negotiation_a.local
        session = fork.negotiation_b.remote
        if session is None:
            raise ProtocolError("expected an offer")
        return self.propose(b, session, a, fork.negotiation_a)

    def late_answer(self, a: ALeg, b: BLeg, answer: Session) -> tuple[bytes, bool]:
        """The caller's answer to what `late_offer` made.

        Returns:
            What the target's ACK has to say; and whether the target, which has answered an offer
            of ours, is to be told in another one that the caller takes less than that.

        Raises:
            ProtocolError: it answers nothing.
        """
        ours, theirs = a.negotiation, b.negotiation
        proposal, media = self._proposal, self._media
        if ours is None or theirs is None or proposal is None or media is None:
            raise LocalProtocolError("an answer without an offer")
        self._check_family(a, describe(answer))
        media.connected()
        if theirs.state is Offer.OFFER_RECEIVED:
            return self.conclude(b, a, answer, (theirs, ours)), False
        ours.receive_answer(answer)
        facts = describe(answer)
        self._agree(b, a, proposal, answer, facts)
        return b"", formats(facts) != formats(proposal.facts)

    def offer_again(self, b: BLeg, answer: Session) -> bytes:
        """What the caller has chosen, as an offer of our own for the target.

        Raises:
            ProtocolError: an offer is open already.
        """
        if b.negotiation is None:
            raise LocalProtocolError("an offer without a dialog")
        dresses = None
        if self._terms is not None:
            self._terms.offer("a", answer, describe(answer))
            dresses = self._terms.proposal(self._lines, b.negotiation.remote)
        return b.negotiation.send_offer(answer, self._anchors(b, dresses))

    def take_answer(self, leg: Leg, negotiation: Negotiation, answer: Session) -> None:
        """The answer of `leg`'s peer to an offer of our own, of which the other side hears nothing.

        The offer said what that peer was told before, or (`offer_again`) what the other side has
        chosen. The answer may have another address, port or key all the same.

        Raises:
            ProtocolError: none that answers our offer, which is to be withdrawn.
        """
        terms, media, facts = self._terms, self._media, describe(answer)
        self._check_family(leg, facts)
        new = not negotiation.unchanged(answer)
        if terms is not None and (new or terms.is_open):
            new = True
            terms.answer_alone(leg.side, answer, facts)
        negotiation.receive_answer(answer)
        if terms is not None:
            terms.agreed()
        if new and media is not None:
            media.described(leg.side, facts, behind_nat(leg.trunk, leg.nat), leg.hop.host)
            self.codecs = codecs_of(facts)
            self._apply(media)

    # Within a call

    def propose(self, source: Leg, offer: Session, target: Leg, negotiation: Negotiation) -> bytes:
        """An offer of `source`'s peer in our words, for `target`'s.

        Raises:
            ProtocolError: it cannot be carried.
            RelayError: no port for a stream that is new.
        """
        facts = describe(offer)
        terms = self._terms
        if terms is None and concerns(offer):
            terms = self._terms = self._terms_of(source, target)
        dresses, added, lines = None, 0, self._lines
        try:
            if terms is not None:
                terms.offer(source.side, offer, facts)
                dresses = terms.proposal(len(facts), negotiation.remote)
            check_change(facts)
            self._choose_pool(source, facts)
            added = self._make_room(facts)
            self._check_family(source, facts)
            self._lines = len(facts)
            body = negotiation.send_offer(offer, self._anchors(target, dresses))
        except SbcError:
            if terms is not None:
                terms.refused()
            self._lines = lines
            self._take_back(added)
            raise
        self._proposal = _Proposal(facts, lines, added)
        return body

    def conclude(
        self,
        source: Leg,
        target: Leg,
        answer: Session,
        negotiations: tuple[Negotiation, Negotiation],
    ) -> bytes:
        """The answer of `target`'s peer in our words, for `source`'s; the media follow it.

        Args:
            negotiations: of `source` and of `target`.

        Raises:
            ProtocolError: none that answers the offer; nothing has changed.
        """
        proposal = self._proposal
        if proposal is None:
            raise LocalProtocolError("an answer without a proposal")
        self._check_family(target, describe(answer))
        negotiations[1].receive_answer(answer)
        dresses = self._answered(source, target, negotiations[0].remote, answer)
        body = negotiations[0].send_answer(answer, self._anchors(source, dresses))
        self._agree(source, target, proposal, answer, describe(answer))
        return body

    def _agree(
        self,
        source: Leg,
        target: Leg,
        proposal: _Proposal,
        answer: Session,
        facts: list[MediaFacts],
    ) -> None:
        """Offer and answer are complete: the media follow them."""
        self._proposal = None
        if self._terms is not None:
            self._terms.answer(target.side, answer, facts)
            self._terms.agreed()
        if self._media is not None:
            for leg, said in ((source, proposal.facts), (target, facts)):
                nat = behind_nat(leg.trunk, leg.nat)
                self._media.described(leg.side, said, nat, leg.hop.host)
            self.codecs = codecs_of(facts)
            self._apply(self._media)

    def withdraw(self, *negotiations: Negotiation) -> None:
        """The proposal came to nothing: all is as it was before."""
        for negotiation in negotiations:
            negotiation.refused()
        proposal, self._proposal = self._proposal, None
        if self._terms is not None:
            self._terms.refused()
        if proposal is not None:
            self._lines = proposal.lines_before
            self._take_back(proposal.added)

    def stand_in(
        self,
        source: Leg,
        target: Leg,
        offer: Session,
        negotiations: tuple[Negotiation, Negotiation],
        fork: Fork | None = None,
    ) -> bytes:
        """An answer to an offer of `source`'s peer that `target`'s peer does not hear of.

        It is made of what that one said last. The media of `source` follow its offer.

        Args:
            negotiations: of `source`, where the offer is open, and of `target`.
            fork: whose early dialog it is.

        Raises:
            ProtocolError: 488, the other side would have to hear of it; nothing has changed.
        """
        asked, silent = negotiations
        said, media, facts = silent.remote, self._media, describe(offer)
        same_lines = said is not None and len(said.media) == len(facts) == self._lines
        if said is None or media is None or silent.state is not Offer.STABLE or not same_lines:
            raise ProtocolError("the other side takes no change", status=488)
        terms = self._terms
        if terms is None and (concerns(offer) or renumbered(offer, said)):
            terms = self._terms = self._terms_of(source, target)
        dresses = None
        try:
            if terms is not None:
                terms.offer(source.side, offer, facts)
                terms.proposal(len(facts), parse(silent.local) if silent.we_offered else said)
                dresses = terms.stand_in(target.side, said)
            check_change(facts)
            self._check_family(source, facts)
            check_in_use(silent, offer, terms)
            body = asked.send_answer(said, self._anchors(source, dresses))
        except ProtocolError as error:
            if terms is not None:
                terms.refused()
            if error.status == 488:
                raise
            raise ProtocolError("the other side takes no change of codec", status=488) from error
        if terms is not None:
            terms.agreed()
        if fork is not None and source.side == "b":
            self._fork = fork
        media.described(source.side, facts, behind_nat(source.trunk, source.nat), source.hop.host)
        self._apply(media)
        return body

    def _make_room(self, facts: list[MediaFacts]) -> int:
        """Ports for the streams that are new; how many those are."""
        media = self._media
        if media is None:
            return 0
        known = media.indices
        new = [one for one in facts if one.anchored and one.index not in known]
        if len(known) + len(new) > _MAX_STREAMS:
            raise ProtocolError(f"expected at most {_MAX_STREAMS} streams", status=488)
        if new:
            ports = self._core.leases.more(media.lease, len(new))
            for one, pair in zip(new, ports, strict=True):
                media.add(one.index, one.kind, pair)
        return len(new)

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

    def _take_back(self, added: int) -> None:
        media = self._media
        if media is not None and added:
            self._core.leases.less(media.lease, media.drop(added))

    def settled(self) -> None:
        """The call is answered: no other target will be offered anything."""
        self._offer = self._standing = self._fork = self._dresses = None
        self._facts = []
        if self._terms is not None:
            self._terms.agreed()

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

    def close(self) -> None:
        """Nothing more will be said: let go of the call."""
        self._owner = self._offer = self._standing = None
        self._fork = self._dresses = self._terms = None
        self._facts = []

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

    def _come_to_terms(self, a: ALeg, trunk_b: TrunkSettings) -> None:
        """What the rules of a target's trunk make of the caller's offer."""
        terms, offer = self._terms, self._offer
        standing = self._standing is not None and (concern(a.trunk) or concerns(self._standing))
        if offer is None or (terms is None and not standing and not concern(trunk_b)):
            return
        if terms is None:
            terms = self._terms = Terms(a.trunk, self._core.random)
            terms.offer("a", offer, self._facts)
        terms.retarget(trunk_b)
        self._dresses = terms.proposal(self._lines)

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

    def _anchors(self, leg: Leg, dresses: list[Dress | None] | None = None) -> list[Anchor | None]:
        """Our address for each m-line of the offer, as `leg`'s peer sees it."""
        anchors: list[Anchor | None] = [None] * self._lines
        if self._media is not None:
            advertised = self._core.advertised
            for index, (address, port) in self._media.ports(leg.side):
                dress = dresses[index] if dresses is not None else None
                anchors[index] = Anchor(advertised[address], port, dress)
        return anchors

    def _address(self, leg: Leg) -> str:
        """What stands in our `o=` line on this leg."""
        return self._core.media_addresses[leg.trunk.realm]

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
