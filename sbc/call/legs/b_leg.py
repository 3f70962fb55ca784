"""The side that carries the call on: we are the client of the INVITE to one target."""

from __future__ import annotations

from typing import Final

from policies.facts import Target
from sbc.call.core import Core
from sbc.call.digest.credentials import Signer
from sbc.call.legs.leg import Fork, Leg, Owner
from sbc.call.legs.local import LocalEnd
from sbc.dialog.dialog import Dialog
from sbc.errors import ParseError, ProtocolError
from sbc.ids import Token
from sbc.sdp.offer_answer import Negotiation
from sbc.sdp.offer_answer import State as Offer
from sbc.sdp.parser import parse
from sbc.sip.message import Request, Response
from sbc.sip.serialise import ReplyBase
from sbc.sip.status import BYE, INVITE
from sbc.transaction.hop import Hop
from sbc.transaction.machine import ClientTransaction, ServerTransaction
from sbc.transaction.request import ClientRequest
from sbc.transaction.timers import Entry

__all__ = ["BLeg"]

_MAX_FORKS: Final = 32


class BLeg(Leg):
    """One attempt: one INVITE to one target, with all the dialogs that it makes.

    It outlives the call by the 32 s in which the INVITE's late answers may come (RFC 6026 §8.4):
    each 2xx is acknowledged, and every one but the first is ended (RFC 3261 §13.2.2.4).
    """

    __slots__ = ("acks", "forks", "invite", "owed", "patience", "tag", "target", "txn")
    side = "b"

    def __init__(
        self,
        core: Core,
        owner: Owner,
        target: Target,
        end: LocalEnd,
        hop: Hop,
        token: Token,
    ) -> None:
        super().__init__(core, owner, target.trunk, end, hop, token)
        self.target = target
        self.tag = token + b".0"
        """Our From-tag."""
        self.invite: ClientRequest | None = None
        self.txn: ClientTransaction | None = None
        self.patience: Entry | None = None
        """Runs until the target says anything at all (`invite_timeout`)."""
        self.forks: dict[bytes, Fork] = {}
        """Early dialogs by the target's To-tag."""
        self.acks: list[tuple[bytes, Hop, bytes]] = []
        """To-tag of each 2xx, way of its ACK, and that ACK, for the 2xx's retransmissions."""
        self.owed: Response | None = None
        """The 2xx whose ACK waits for the caller's answer."""

    @property
    def is_calling(self) -> bool:
        """Whether the INVITE still awaits its final response."""
        return self.txn is not None and self.txn.request is not None and self.txn.user is self

    def call(self, invite: ClientRequest, now: float) -> None:
        """Send the INVITE."""
        self.invite = invite
        if self.trunk.credentials is not None:
            invite.sender = Signer(self.trunk, None, self._proved)
        self.core.dialogs[self.tag] = self
        self.txn = self.core.layer.request(invite, self.hop, self, now)

    def resent(self, invite: ClientRequest, txn: ClientTransaction) -> None:
        """The INVITE went out once more, with what a challenge asked for."""
        self.invite, self.txn = invite, txn

    def raised(self, response: Response, now: float) -> bool:
        """A 422: whether the INVITE went out again, with the timer that it asks for (RFC 4028)."""
        invite = self.invite
        timer = self.session_timer()
        before = timer.request_head()
        if invite is None or not timer.too_small(response):
            return False
        # The mark in our branch is the INVITE's own: token, number, mark.
        branch = self.next_branch(b"".join(b"." + part for part in invite.branch.split(b".")[2:3]))
        invite = ClientRequest(
            INVITE,
            invite.uri,
            self.end.via(branch),
            branch,
            invite.route_lines,
            invite.from_party,
            invite.to_party,
            invite.call_id,
            invite.cseq + 1,
            invite.hops,
            invite.head.replace(before, timer.request_head(), 1),
            invite.body,
            invite.credentials,
        )
        self.call(invite, now)
        return True

    def on_response(self, response: Response, now: float) -> None:
        """A response to the INVITE, as the transaction passes it up."""
        if self.patience is not None:
            self._impatient_no_more()
        if response.status == 100:
            return
        if 200 <= response.status < 300:
            self._succeeded(response, now)
        elif self.owner is not None:
            if response.to_tag in self.forks or self.may_fork() or response.status >= 300:
                self.owner.target_responded(self, response, now)
            else:
                self.core.counters["forks_over_limit"] += 1

    def owns(self, request: Request) -> bool:
        """As every leg; before the answer, any early dialog of the target will do."""
        if self.dialog is not None:
            return super().owns(request)
        return request.call_id == self.token and request.from_tag in self.forks

    def receive(
        self, request: Request, reply: ReplyBase, txn: ServerTransaction, now: float
    ) -> None:
        """As every leg; in an early dialog a 481 would end the target's side of it."""
        if self.dialog is not None:
            super().receive(request, reply, txn, now)
            return
        if request.method == BYE or self.owner is None:  # the caller's alone there (§15)
            self.respond(txn, reply, 481, b"", now)
        else:
            self.owner.leg_asked_early(self, request, reply, txn, now)

    def on_timeout(self, now: float) -> None:
        """Timer B."""
        self._impatient_no_more()
        if self.owner is not None:
            self.owner.target_silent(self, now)

    def on_transport_lost(self, now: float) -> None:
        """ICMP, a refused or a lost connection."""
        self._impatient_no_more()
        if self.owner is not None:
            self.owner.target_unreachable(self, now)

    def cancel(self, head: bytes, now: float) -> None:
        """Give the INVITE up; the CANCEL leaves as soon as it may (RFC 3261 §9.1)."""
        if self.txn is not None:
            self.core.layer.cancel(self.txn, now, head)

    def settled(self) -> None:
        """The caller has the answer: nothing more is said in early dialogs."""
        if self.invite is not None:
            self.invite.shed()
        self.forks.clear()

    def fork_of(self, response: Response) -> Fork | None:
        """The early dialog that a response belongs to, None for one that is new here."""
        return self.forks.get(response.to_tag)

    def fork_shown(self, tag: bytes) -> Fork | None:
        """The fork that the caller knows by this tag of ours; of several, the last."""
        return next((one for one in reversed(self.forks.values()) if one.tag_a == tag), None)

    def may_fork(self) -> bool:
        """Whether one more early dialog is let in."""
        return len(self.forks) < _MAX_FORKS

    def new_negotiation(self) -> Negotiation:
        """The offer as it stands, for one more early dialog of the target."""
        assert self.negotiation is not None  # noqa: S101 (the INVITE has gone out with it)
        return self.negotiation.fork()

    def unlink(self) -> None:
        """Let go of the call; late answers still get their ACK and BYE, and no more is kept."""
        self._impatient_no_more()
        super().unlink()
        self.forks.clear()
        self.forget(self.tag)
        self.dialog = None
        if self.negotiation is not None and self.negotiation.we_offered:
            self.negotiation = None  # who was made an offer is owed no answer

    def _impatient_no_more(self) -> None:
        if self.patience is not None:
            self.patience.cancel()
            self.patience = None

    def _succeeded(self, response: Response, now: float) -> None:
        for tag, hop, ack in self.acks:
            if tag == response.to_tag:
                self.core.layer.transmit(hop, ack)
                return
        if self.invite is None or len(self.acks) >= _MAX_FORKS:
            return
        if self.owed is not None and response.to_tag == self.owed.to_tag:
            return
        try:
            dialog = Dialog.from_response(self.invite, response)
            dialog.next_hop_uri()
        except ParseError:  # without Contact and routes that can be read there is no way to ACK
            self.core.counters["unreadable_2xx"] += 1
            self.on_timeout(now)
            return
        if self.dialog is not None or self.owner is None:
            self._decline(dialog, response, now)
            return
        fork = self.forks.get(response.to_tag)
        if fork is not None and fork.dialog_b is not None:
            fork.dialog_b.confirm(response)
            dialog = fork.dialog_b
        self.dialog = dialog
        self.redirect()
        negotiation = self.negotiation if fork is None else fork.negotiation_b
        if negotiation is not None and negotiation.state is Offer.IDLE:
            self.owed = response  # it has the offer: the ACK will have the answer
        else:
            self._acknowledge(response.to_tag)
        self.owner.target_responded(self, response, now)

    def answer_late(self, body: bytes) -> None:
        """The ACK that waited for the caller's answer; b"": there was none."""
        if self.owed is not None:
            response, self.owed = self.owed, None
            self._acknowledge(response.to_tag, body or self._declined(response))

    def bye(self, now: float, reason: bytes = b"") -> None:
        """As every leg; a 2xx is acknowledged first (RFC 3261 §15)."""
        self.answer_late(b"")
        super().bye(now, reason)

    def _declined(self, response: Response) -> bytes:
        """Our answer to an offer in a 2xx that nothing comes of; b"" where it has none."""
        negotiation = self.negotiation
        if negotiation is None or negotiation.we_offered:
            return b""
        if negotiation.state is Offer.IDLE and response.body:
            negotiation = negotiation.fork()
            try:
                negotiation.receive_offer(parse(response.body))
            except ProtocolError:
                return b""
        return negotiation.decline()

    def _acknowledge(self, tag: bytes, body: bytes = b"") -> None:
        self.acks.append((tag, *self.acknowledge(body)))

    def _decline(self, dialog: Dialog, response: Response, now: float) -> None:
        """ACK and BYE a dialog that nobody wants, beside the one that may be up."""
        kept, self.dialog = self.dialog, dialog
        kept_hop, kept_end = self.hop, self.end
        self.redirect()
        self._acknowledge(response.to_tag, self._declined(response))
        self.core.layer.request(self.in_dialog(BYE), self.hop, None, now)
        self.dialog, self.hop, self.end = kept, kept_hop, kept_end
