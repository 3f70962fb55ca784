"""What both sides of a call say about media, and the relay's part in it.

The caller's offer goes on to each target in our words, with ports that we hold ahead; the answers
come back in our words. The relay is told with the first answer, and again with each that changes
anything: a call that nobody answers costs it nothing. Only of a target behind NAT is it told when
that rings, so that media which come before the answer are let through.

    Anchorage ◀── Renegotiation ◀── Exchange
    ports, plan   within the call   the first offer and its answers
"""

from __future__ import annotations

from policies.settings import TrunkSettings
from sbc.call.core import Anchored, Core
from sbc.call.legs.a_leg import ALeg
from sbc.call.legs.b_leg import BLeg
from sbc.call.legs.leg import SDP, Fork, session_id
from sbc.call.media.anchorage import MAX_STREAMS
from sbc.call.media.early_offer import early_offer
from sbc.call.media.in_use import codecs_of, formats
from sbc.call.media.plan import CallMedia, behind_nat
from sbc.call.media.renegotiation import Renegotiation
from sbc.call.media.terms import Terms, concern, concerns
from sbc.errors import LocalProtocolError, ProtocolError
from sbc.sdp.facts import MediaFacts, check_offer, describe
from sbc.sdp.model import Session
from sbc.sdp.offer_answer import Negotiation
from sbc.sdp.offer_answer import State as Offer
from sbc.sdp.parser import parse
from sbc.sdp.rewrite import Dress
from sbc.sip.message import Response

__all__ = ["Exchange"]


class Exchange(Renegotiation):
    """Offer, answers and media of one call."""

    __slots__ = ("_dresses", "_facts", "_offer", "_standing", "late")

    def __init__(self, core: Core, owner: Anchored) -> None:
        super().__init__(core, owner)
        self._offer: Session | None = None
        self._facts: list[MediaFacts] = []
        self.late = False
        """The caller has made no offer: it is to get one."""
        self._standing: Session | None = None
        """What a target is offered for a caller who is asked only after it has answered."""
        self._dresses: list[Dress | None] | None = None
        """Of our offer to the current target."""

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
        if sum(media.anchored for media in self._facts) > MAX_STREAMS:
            raise ProtocolError(f"expected at most {MAX_STREAMS} streams", status=488)
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
        self._come_to_terms(a, trunk_b)
        if self._standing is not None:
            check_offer(self._facts)
        pools = self._core.pools
        pool_b = pools.choose(trunk_b.realm, (), host_b)
        if self._media is not None:
            wanted = {media.index for media in self._facts if media.anchored}
            same = self._media.lease.pool_b == pool_b and self._media.indices == wanted
            if same and not self.late:
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
        facts = describe(session)
        self._check_family(b, facts)  # before the answer counts: its repetition says nothing new
        new = fork.negotiation_b.receive_answer(session) or self._fork is not fork
        dresses = self._answered(a, b, self._offer, session)
        body = fork.negotiation_a.send_answer(session, self._anchors(a, dresses))
        self.carry(b, fork, facts if new else None, response.status >= 200)
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

    # The end

    def settled(self) -> None:
        """The call is answered: no other target will be offered anything."""
        self._offer = self._standing = self._fork = self._dresses = None
        self._facts = []
        if self._terms is not None:
            self._terms.agreed()

    def close(self) -> None:
        """Nothing more will be said: let go of the call."""
        self._owner = self._offer = self._standing = None
        self._fork = self._dresses = self._terms = None
        self._facts = []

    def _come_to_terms(self, a: ALeg, trunk_b: TrunkSettings) -> None:
        """What the rules of a target's trunk make of the caller's offer."""
        terms, offer = self._terms, self._offer
        changed, self._lines = self._lines != len(self._facts), len(self._facts)
        if terms is not None:
            terms.retarget(trunk_b)
        standing = self._standing is not None and (concern(a.trunk) or concerns(self._standing))
        if offer is None or (terms is None and not standing and not concern(trunk_b)):
            return
        if terms is None:
            terms = self._terms = Terms(a.trunk, self._core.random)
            terms.retarget(trunk_b)
            changed = True
        if changed:
            terms.offer("a", offer, self._facts)
        self._dresses = terms.proposal(self._lines)
