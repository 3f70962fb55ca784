"""Early dialogs in which more is said than 18x: PRACK, UPDATE, offers (RFC 3262, 3311, 6337).

Each leg is reliable or not by itself. A reliable 18x of the target becomes a reliable one for a
caller that has 100rel, whose PRACK then goes on to the target, with the offer or answer in it;
where the caller has none, the target gets its PRACK at once. A caller that requires 100rel gets
reliable 18x whatever the target sends.

    target ──18x, RSeq──▶ border ──18x, RSeq──▶ caller
    target ◀──PRACK────── border ◀──PRACK────── caller

A 2xx waits until the caller has acknowledged the description in a 18x before it (RFC 3262 §3).
"""

from __future__ import annotations

from sbc.call.answers import fault_head
from sbc.call.cdr import Cause
from sbc.call.in_dialog.change import Change
from sbc.call.in_dialog.midcall import Connected, Midcall, offer_in
from sbc.call.legs.a_leg import ALeg
from sbc.call.legs.b_leg import BLeg
from sbc.call.legs.capabilities import may_send, options_head, refused_head, unsupported
from sbc.call.legs.leg import CONTENT_TYPE_SDP, Fork, Leg, again_head
from sbc.call.legs.reliable import Match, ReliableReceiver, ReliableSender, Take, to_be_reliable
from sbc.call.states import Ending
from sbc.dialog.dialog import Dialog
from sbc.errors import ParseError, ProtocolError, RelayError
from sbc.sdp.model import Session
from sbc.sdp.offer_answer import State as Offer
from sbc.sip.message import Request, Response
from sbc.sip.serialise import ReplyBase
from sbc.sip.status import BYE, INFO, INVITE, METHODS, OPTIONS, PRACK, UPDATE
from sbc.transaction.machine import ServerTransaction

__all__ = ["Early"]


class Early:
    """The early dialogs of one call. Made when the first thing is reliable in them.

    Args:
        call: whose they are.
        a: the caller's leg.
        road: what carries requests across.
    """

    __slots__ = ("_a", "_call", "_owed", "_receiver", "_road", "_senders", "held")

    def __init__(self, call: Connected, a: ALeg, road: Midcall) -> None:
        self._call = call
        self._a = a
        self._road = road
        self._receiver: ReliableReceiver | None = None
        self._senders: dict[bytes, ReliableSender] = {}
        """Of our reliable 18x, by the tag that the caller knows: several forks may share one."""
        self._owed: dict[bytes, list[tuple[Fork, bytes]]] = {}
        """By that tag, for each PRACK of the caller's that is to come: the fork that has rung, and
        the RAck that it is owed; b"": none."""
        self.held: Response | None = None
        """The target's 2xx, while the caller still owes a PRACK."""

    def takes(self, b: BLeg, response: Response) -> bool:
        """Whether a reliable 18x of the target is to be passed on: not known, and in its order."""
        if b.invite is not None:
            try:
                Dialog.from_response(b.invite, response).next_hop_uri()
            except ParseError:  # there would be no way to acknowledge it
                b.core.counters["unreadable_18x"] += 1
                return False
        if self._receiver is None or not b.forks:  # another target counts anew
            self._receiver = ReliableReceiver()
        take = self._receiver.on_provisional(response)
        if take is Take.NEW:
            b.learn(response)
        return take in (Take.NEW, Take.UNRELIABLE)

    def ring(
        self, b: BLeg, response: Response, fork: Fork, head: bytes, body: bytes, now: float
    ) -> None:
        """Pass a 18x on, and acknowledge it where nobody else will."""
        a = self._a
        rack = b""
        if response.first(b"rseq") is not None and b.invite is not None:
            rack = ReliableReceiver.rack(response)
            if fork.dialog_b is None:
                fork.dialog_b = Dialog.from_response(b.invite, response)
        sender = self._sender(fork, bool(body)) if a.txn is not None else None
        number = 0 if sender is None else sender.number()
        if sender is None or not number:
            a.ring(response.status, fork, head, body, now)
            if rack:
                self._prack(b, fork, rack, b"", now)
            return
        self._owed[fork.tag_a].append((fork, rack))
        data = a.rings(response.status, fork, head + sender.head(number), body)
        sender.send(number, response.status, data, bool(body), now)

    def holds(self, fork: Fork) -> bool:
        """Whether a 2xx of this fork has to wait for a PRACK of the caller's."""
        sender = self._senders.get(fork.tag_a)
        return sender is not None and sender.holds_success

    def asked(
        self,
        leg: Leg,
        fork: Fork | None,
        request: Request,
        reply: ReplyBase,
        txn: ServerTransaction,
        now: float,
    ) -> None:
        """A request in an early dialog, BYE excepted: see that it is answered."""
        method = request.method
        if fork is None:
            leg.respond(txn, reply, 481, b"", now)
            return
        try:
            dialog = self._dialog(leg, fork)
            if dialog is not None:
                dialog.check_request(request)
            missing = unsupported(request, leg.trunk)
            if missing:
                leg.respond(txn, reply, 420, missing, now)
            elif method == PRACK:
                self._pracked(leg, fork, request, reply, txn, now)
            elif method == UPDATE:
                self._updated(leg, fork, request, reply, txn, now)
            elif method == INVITE:
                status = 500 if leg is self._a else 491  # RFC 3261 §14.2
                head = again_head(leg.token) if status == 500 else b""
                leg.respond(txn, reply, status, head, now)
            elif method == OPTIONS:
                leg.respond(txn, reply, 200, options_head(leg.trunk), now)
            elif not self._passes(leg, fork, request, reply, txn, now):
                status = 405 if method in METHODS else 501
                leg.respond(txn, reply, status, refused_head(leg.trunk, method), now)
        except ProtocolError as error:
            head = fault_head(error, leg.end.host)
            head += again_head(leg.token) if error.status == 500 else b""
            leg.respond(txn, reply, error.status, head, now)
        except RelayError:
            leg.respond(txn, reply, 500, b"", now)

    def left(self, tag: bytes, now: float) -> bool:
        """The caller's BYE in one of several early dialogs: that one is over (RFC 3261 §15).

        False: there is no other, or it has been answered, so that the caller gives the call up.
        """
        b = self._target()
        live = [one for one in b.forks.values() if one.tag_a]
        mine = [one for one in live if one.tag_a == tag]
        held = None if self.held is None else b.fork_of(self.held)
        if not mine:  # it is over already, or was another target's
            return bool(live)
        if len(mine) == len(live) or held in mine:
            return False
        for fork in mine:
            dialog = self._dialog(b, fork)
            fork.tag_a = b""
            if dialog is not None:
                b.ask(BYE, b"", b"", None, now, dialog)
        sender = self._senders.pop(tag, None)
        if sender is not None:
            sender.stop()
        return True

    def stop(self) -> None:
        """The caller has its final answer: no 18x is repeated any more."""
        for sender in self._senders.values():
            sender.stop()
        self._senders.clear()
        self._owed.clear()
        self.held = None

    # PRACK

    def _pracked(
        self,
        leg: Leg,
        fork: Fork,
        request: Request,
        reply: ReplyBase,
        txn: ServerTransaction,
        now: float,
    ) -> None:
        sender = self._senders.get(fork.tag_a)
        if sender is None or leg is not self._a:
            leg.respond(txn, reply, 481, b"", now)
            return
        offer = offer_in(request)  # one that cannot be read acknowledges nothing
        match = sender.on_prack(request, now)
        if match is Match.MALFORMED:
            raise ParseError("RAck", "expected the RSeq, CSeq and method of a response")
        if match is Match.STALE:
            leg.respond(txn, reply, 481, b"", now)
            return
        b = self._target()
        fork, rack = self._owed[fork.tag_a].pop(0)
        if fork not in b.forks.values():  # it was another target's
            rack = b""
        if fork.negotiation_a.state is Offer.OFFER_SENT:
            leg.respond(txn, reply, 200, b"", now)
            self._answered(b, fork, rack, offer, now)
        elif offer is None:
            leg.respond(txn, reply, 200, b"", now)
            if rack:
                self._prack(b, fork, rack, b"", now)
        else:
            try:
                self._across(leg, b, fork, request, reply, txn, offer, rack, now)
            except (ProtocolError, RelayError):
                if rack:
                    self._prack(b, fork, rack, b"", now)
                raise

    def _answered(
        self, b: BLeg, fork: Fork, rack: bytes, answer: Session | None, now: float
    ) -> None:
        """The caller's answer to the target's offer in a 18x."""
        negotiations = fork.negotiation_b, fork.negotiation_a
        try:
            if answer is None:
                raise ProtocolError("expected an answer in the PRACK", status=488)
            body = self._call.exchange.conclude(b, self._a, answer, negotiations)
        except ProtocolError as error:
            ending = Ending(Cause.UNSUPPORTED_MEDIA, "border", f"PRACK: {error}", 488)
            self._call.end(ending, now)
            return
        if rack:
            self._prack(b, fork, rack, body, now)

    def _prack(self, b: BLeg, fork: Fork, rack: bytes, body: bytes, now: float) -> None:
        head = rack + CONTENT_TYPE_SDP if body else rack
        b.ask(PRACK, head, body, None, now, fork.dialog_b)

    # UPDATE

    def _updated(
        self,
        leg: Leg,
        fork: Fork,
        request: Request,
        reply: ReplyBase,
        txn: ServerTransaction,
        now: float,
    ) -> None:
        offer = offer_in(request)
        dialog = self._dialog(leg, fork)
        contact = request.contact
        leg.learn(request)
        if dialog is not None and contact is not None and contact.uri != b"*":
            dialog.refresh_target(contact.uri)
        if offer is None:
            leg.respond(txn, reply, 200, self._road.contact_head(leg), now)
            return
        other = self._target() if leg is self._a else self._a
        self._across(leg, other, fork, request, reply, txn, offer, b"", now)

    def _across(
        self,
        leg: Leg,
        other: Leg,
        fork: Fork,
        request: Request,
        reply: ReplyBase,
        txn: ServerTransaction,
        offer: Session,
        rack: bytes,
        now: float,
    ) -> None:
        """An offer in an early dialog goes on: in the PRACK that is owed, else in an UPDATE. Where
        the other side takes none before it answers, we answer it ourselves.

        Raises:
            ProtocolError, RelayError: what it is refused with; nothing has changed.
        """
        status = self._road.offering(leg)
        if status:
            raise ProtocolError("an offer is open", status=status)
        to_target = other is not self._a
        dialog = self._dialog(other, fork)
        able = rack != b"" or may_send(other.trunk, other.peer, UPDATE)
        if not to_target:  # RFC 3311 §5.1: its own offer must be answered for good
            sender = self._senders.get(fork.tag_a)
            able = able and sender is not None and sender.settled
        pair = fork.negotiation_a, fork.negotiation_b
        if not to_target:
            pair = pair[::-1]
        if dialog is None or not able:
            body = self._road.stand_in(leg, other, offer, pair, fork)
            head = b"" if request.method == PRACK else self._road.contact_head(leg)
            leg.respond(txn, reply, 200, head + CONTENT_TYPE_SDP, now, body)
            return
        change = Change(self._road, leg, other, request, reply, txn, pair)
        change.dialog = dialog
        method = PRACK if rack else UPDATE
        change.begin(self._road, method, request, offer, now, rack)
        txn.user = change
        self._road.open.append(change)

    # INFO and its like

    def _passes(
        self,
        leg: Leg,
        fork: Fork,
        request: Request,
        reply: ReplyBase,
        txn: ServerTransaction,
        now: float,
    ) -> bool:
        """Pass it on, or have the relay do it. False: it may not cross, or knows no way."""
        road = self._road
        if (
            request.method == INFO
            and fork.negotiation_b.remote is not None
            and road.early_digit(leg, request, reply, txn, now)
        ):
            return True
        dialog = self._dialog(self._target() if leg is self._a else self._a, fork)
        if dialog is None or request.method.decode("latin-1") not in leg.trunk.pass_methods:
            return False
        road.carry(leg, request, reply, txn, now, dialog)
        return True

    # Small parts

    def _sender(self, fork: Fork, described: bool) -> ReliableSender | None:
        """What sees our reliable 18x through; None where they are not to be reliable."""
        a = self._a
        if a.txn is None or not to_be_reliable(a.trunk, a.pending(), described):
            return None
        sender = self._senders.get(fork.tag_a)
        if sender is None:
            first = int.from_bytes(fork.tag_a[3:10].rjust(4), "big") % 2**30 + 1
            sender = ReliableSender(a.core.layer, a.txn, a.pending().cseq, first, self._call)
            self._senders[fork.tag_a] = sender
            self._owed[fork.tag_a] = []
        return sender

    def _dialog(self, leg: Leg, fork: Fork) -> Dialog | None:
        """The early dialog of a fork at one leg; None: too little is known for one."""
        if leg is not self._a:
            if fork.dialog_b is None and fork.heard is not None:
                fork.dialog_b = self._begun(fork.heard)
            return fork.dialog_b
        if fork.dialog_a is None:
            dialog = Dialog.from_request(self._a.pending(), fork.tag_a)
            for one in (fork, self._a.shown, *self._target().forks.values()):
                if one is not None and one.tag_a == fork.tag_a:  # for the caller they are one
                    one.dialog_a = dialog
        return fork.dialog_a

    def _begun(self, ringing: Response) -> Dialog | None:
        """The early dialog that a 18x of the target has begun; None: it has no such as we can
        follow."""
        invite = self._target().invite
        try:
            dialog = None if invite is None else Dialog.from_response(invite, ringing)
            if dialog is not None:
                dialog.next_hop_uri()
        except ParseError:
            return None
        return dialog

    def _target(self) -> BLeg:
        other = self._call.other(self._a)
        if not isinstance(other, BLeg):
            raise ParseError("dialog", "no target")
        return other
