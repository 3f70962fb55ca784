"""The side that brought the call: we are the server of its INVITE (RFC 3261 §13.3)."""

from __future__ import annotations

from typing import Final

from policies.settings import Shield, TrunkSettings, Use
from sbc.call.core import Core
from sbc.call.legs.capabilities import RELIABLE, head_for
from sbc.call.legs.leg import CONTENT_TYPE_SDP, Fork, Leg, Owner, session_id
from sbc.call.legs.local import LocalEnd
from sbc.dialog.dialog import Dialog
from sbc.errors import LocalProtocolError
from sbc.ids import Token
from sbc.sdp.offer_answer import Negotiation
from sbc.sip.message import Request
from sbc.sip.serialise import ReplyBase
from sbc.sip.status import BYE
from sbc.transaction.hop import Hop
from sbc.transaction.machine import ServerTransaction

__all__ = ["ALeg", "merge_key"]

_RECORD_ROUTE: Final = frozenset((b"record-route",))
_MAX_TAGS: Final = 32
"""Early dialogs of one call; further forks share the last one's (they are no phones)."""


def merge_key(invite: Request) -> tuple[bytes, bytes, int]:
    """By what an INVITE is known that reaches us twice, on two ways (RFC 3261 §8.2.2.2)."""
    return invite.call_id, invite.from_tag, invite.cseq


class ALeg(Leg):
    """The caller's side.

    Until it has its final answer it keeps the INVITE, from which the dialog is made.
    """

    __slots__ = ("call_id", "invite", "reply", "shown", "tags", "txn")
    side = "a"

    def __init__(
        self,
        core: Core,
        owner: Owner,
        trunk: TrunkSettings,
        end: LocalEnd,
        hop: Hop,
        token: Token,
        invite: Request,
        reply: ReplyBase,
        txn: ServerTransaction | None,
    ) -> None:
        super().__init__(core, owner, trunk, end, hop, token)
        self.invite: Request | None = invite
        self.reply: ReplyBase | None = reply
        self.txn: ServerTransaction | None = txn
        self.call_id = invite.call_id
        core.inviting.add(merge_key(invite))
        self.tags: list[bytes] = []
        """Our To-tags, one for each early dialog that the caller has seen."""
        self.shown: Fork | None = None
        """The one fork that a caller with `single_tag` is shown, until it is answered."""
        via = invite.via
        self.nat = self.nat or via.host != hop.host.encode()

    def pending(self) -> Request:
        """The INVITE, while it has no final answer.

        Raises:
            LocalProtocolError: it has one.
        """
        if self.invite is None:
            raise LocalProtocolError("the caller has its final answer")
        return self.invite

    @property
    def is_reliable(self) -> bool:
        """Whether the caller takes reliable provisional responses, and may have them."""
        if not self.peer.supports(RELIABLE):
            return False
        return self.trunk.reliable is not Use.NEVER and Shield.PRACK not in self.trunk.shield

    def owns(self, request: Request) -> bool:
        """As every leg; before the answer, any of our early dialogs will do."""
        if self.dialog is not None:
            return super().owns(request)
        invite = self.invite
        return (
            invite is not None
            and request.call_id == self.call_id
            and request.from_tag == invite.from_tag
        )

    def new_tag(self) -> bytes:
        """A To-tag for one more early dialog."""
        if len(self.tags) < _MAX_TAGS:
            tag = b"%b.%d" % (self.token, len(self.tags) + 1)
            self.tags.append(tag)
            self.core.dialogs[tag] = self
        return self.tags[-1]

    def new_negotiation(self, tag: bytes) -> Negotiation:
        """The offer as it stands, with an `o=` line of its own for this early dialog."""
        assert self.negotiation is not None  # noqa: S101 (the offer has been read)
        return self.negotiation.fork(session_id(tag))

    def trying(self, now: float) -> None:
        """100, at once (RFC 3261 §17.2.1)."""
        self._answer(100, b"", b"", b"", now)

    def ring(self, status: int, fork: Fork, head: bytes, body: bytes, now: float) -> None:
        """A provisional response in the early dialog of one fork."""
        ours = head_for(self.trunk, initial=False)
        head = self._routes() + self.end.contact(self.token) + ours + head
        self._answer(status, fork.tag_a, head, body, now)

    def rings(self, status: int, fork: Fork, head: bytes, body: bytes) -> bytes:
        """The same, to be sent by whoever asks for it."""
        if self.reply is None:
            raise LocalProtocolError("the caller has its final answer")
        ours = head_for(self.trunk, initial=False)
        head = self._routes() + self.end.contact(self.token) + ours + head
        if body:
            head += CONTENT_TYPE_SDP
        return self.reply.build(status, to_tag=fork.tag_a, head=head, body=body)

    def answer(self, status: int, fork: Fork, head: bytes, body: bytes, now: float) -> None:
        """The 2xx of one fork: this is the dialog from now on."""
        if self.invite is None or self.reply is None or self.txn is None:
            return
        ours = head_for(self.trunk, initial=False)
        if self.timer is not None:
            ours += self.timer_answer()
        head = self._routes() + self.end.contact(self.token) + ours + head
        if body:
            head += CONTENT_TYPE_SDP
        data = self.reply.build(status, to_tag=fork.tag_a, head=head, body=body)
        self.dialog = fork.dialog_a or Dialog.from_request(self.invite, fork.tag_a)
        self.dialog.confirmed = True
        self.negotiation = fork.negotiation_a
        self.redirect()
        cseq, txn = self.invite.cseq, self.txn
        self._let_go()
        self.accept(data, cseq, txn, now)

    def refuse(self, status: int, head: bytes, now: float) -> None:
        """A final failure. Harmless when the caller has its final answer already."""
        if self.reply is None:
            return
        tag = self.tags[0] if self.tags else b"%b.0" % self.token
        self._answer(status, tag, head, b"", now)
        self._let_go()

    def receive(
        self, request: Request, reply: ReplyBase, txn: ServerTransaction, now: float
    ) -> None:
        """As every leg, and before the answer: a BYE in an early dialog gives the call up."""
        if self.dialog is not None:
            super().receive(request, reply, txn, now)
            return
        if request.method != BYE and self.owner is not None:
            self.owner.leg_asked_early(self, request, reply, txn, now)
            return
        self.respond(txn, reply, 200, b"", now)
        if self.owner is not None:
            self.owner.cancelled(request, now)

    def unlink(self) -> None:
        """Let go of the call, and of every dialog identifier."""
        super().unlink()
        for tag in self.tags:
            self.forget(tag)
        self._let_go()

    def _let_go(self) -> None:
        """The INVITE has its final answer: nothing of it is needed any more."""
        if self.invite is not None:
            self.core.inviting.discard(merge_key(self.invite))
        if self.txn is not None:
            self.txn.user = None
        self.invite = self.reply = self.txn = self.shown = None

    def _routes(self) -> bytes:
        """The caller's Record-Route, which makes its own route set too (RFC 3261 §12.1.1)."""
        return b"" if self.invite is None else self.invite.lines(_RECORD_ROUTE)

    def _answer(self, status: int, tag: bytes, head: bytes, body: bytes, now: float) -> None:
        if self.reply is None or self.txn is None:
            return
        if body:
            head += CONTENT_TYPE_SDP
        data = self.reply.build(status, to_tag=tag, head=head, body=body)
        self.core.layer.respond(self.txn, status, data, now)
