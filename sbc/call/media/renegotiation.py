"""Offers within a call: carried across, answered for the other side, or made by us."""

from __future__ import annotations

from dataclasses import dataclass

from sbc.call.core import Anchored, Core
from sbc.call.legs.b_leg import BLeg
from sbc.call.legs.leg import Fork, Leg
from sbc.call.media.anchorage import Anchorage
from sbc.call.media.in_use import check_change, check_in_use, codecs_of
from sbc.call.media.plan import behind_nat
from sbc.call.media.terms import concern, concerns, renumbered
from sbc.errors import LocalProtocolError, ProtocolError, SbcError
from sbc.sdp.facts import MediaFacts, describe
from sbc.sdp.model import Session
from sbc.sdp.offer_answer import Negotiation
from sbc.sdp.offer_answer import State as Offer
from sbc.sdp.parser import parse

__all__ = ["Renegotiation"]


@dataclass(slots=True)
class _Proposal:
    """An offer within a call, until it is answered or refused."""

    facts: list[MediaFacts]
    lines_before: int
    added: int
    """Streams that are new, the last of the media's."""


class Renegotiation(Anchorage):
    """An offer of one side, or of ours, and its answer, once both sides have a description."""

    __slots__ = ("_fork", "_proposal")

    def __init__(self, core: Core, owner: Anchored) -> None:
        super().__init__(core, owner)
        self._fork: Fork | None = None
        """Whose answer the plan holds."""
        self._proposal: _Proposal | None = None
        """The offer that is open within the call."""

    def propose(self, source: Leg, offer: Session, target: Leg, negotiation: Negotiation) -> bytes:
        """An offer of `source`'s peer in our words, for `target`'s.

        Raises:
            ProtocolError: it cannot be carried.
            RelayError: no port for a stream that is new.
        """
        facts = describe(offer)
        terms = self._terms
        if terms is None and (concerns(offer) or concern(source.trunk) or concern(target.trunk)):
            terms = self._terms = self._terms_of(source, target)
        dresses, added, lines = None, 0, self._lines
        try:
            if terms is not None:
                terms.offer(source.side, offer, facts)
                dresses = terms.proposal(len(facts), negotiation.remote)
            check_change(facts)
            if self._media is not None and max(self._media.indices, default=-1) >= len(facts):
                raise ProtocolError("an offer with fewer m-lines than before", status=488)
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
        settled = media is not None and media.is_described and silent.state is Offer.STABLE
        if said is None or media is None or not settled or not same_lines:
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
