"""Requests inside a call: which are answered here, which go across, and which are refused.

| request | what becomes of it |
|---|---|
| re-INVITE or UPDATE that repeats what was agreed, UPDATE without a body | answered here |
| any other re-INVITE or UPDATE | goes across (`passage.Change`); 491 or 500 while one does |
| the same to a peer that is shielded from both | answered here, if its codecs stay; else 488 |
| OPTIONS | answered here: what this border can do (RFC 3261 §11) |
| INFO with a digit for a side that has digits another way | answered here (`sbc.call.media.dtmf`) |
| other INFO, and what the trunk's `methods:` names | goes across (`passage.Passage`), early too |
| PRACK | 481: there is nothing to acknowledge once the call is up |
| another method that is known | 405; one that is not: 501 |

Who asks may be somebody else by now, after a transfer behind it. An identity that crosses goes
along with a change; where the request is answered here, the other side is told by one of ours. A
From stays as it was: nobody is told that we have `from-change` (RFC 4916 §4).

An offer is open on both legs from the request to the answer, so there is never more than one.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Protocol

from sbc.call.answers import fault_head
from sbc.call.cdr import Cause
from sbc.call.core import Core
from sbc.call.crossing.parcel import ACCEPTED, contents
from sbc.call.in_dialog.change import Change
from sbc.call.in_dialog.passage import Passage, Road
from sbc.call.in_dialog.passage_states import Input
from sbc.call.in_dialog.upkeep import Ping, Refresh, back_off_s
from sbc.call.legs.capabilities import (
    head_for,
    may_send,
    options_head,
    refused_head,
    unsupported,
)
from sbc.call.legs.leg import CONTENT_TYPE_SDP, SDP, Fork, Leg, again_head
from sbc.call.legs.session_timer import Wait
from sbc.call.legs.timed import Watch
from sbc.call.media.dtmf import CallDigits, Dialled
from sbc.call.media.exchange import Exchange
from sbc.call.states import Ending
from sbc.dialog.dialog import Dialog
from sbc.errors import (
    LocalProtocolError,
    ParseError,
    ProtocolError,
    RelayError,
    RemoteProtocolError,
)
from sbc.sdp.model import Session
from sbc.sdp.offer_answer import Negotiation
from sbc.sdp.offer_answer import State as Offer
from sbc.sdp.parser import parse
from sbc.sip.message import Message, Request, Response
from sbc.sip.serialise import ReplyBase
from sbc.sip.status import INFO, INVITE, METHODS, OPTIONS, PRACK, UPDATE
from sbc.transaction.machine import ServerTransaction

__all__ = ["Connected", "Midcall", "offer_in"]

_MOST_OPEN: Final = 16
"""Requests of one call that wait for their answers: each may be sent eleven times."""


class Connected(Protocol):
    """The call, as what is said within it sees it."""

    core: Core
    exchange: Exchange
    id: str

    def other(self, leg: Leg) -> Leg:
        """The leg on the other side of this one."""

    def crossing(self, message: Message, leg: Leg) -> bytes:
        """What of the other side's message goes along to the peer of `leg`."""

    def identity(self, message: Message, leg: Leg) -> bytes:
        """What of the other side's message says who is there now, for the peer of `leg`."""

    def failure_for(self, leg: Leg, other: Leg, response: Response) -> tuple[int, bytes]:
        """What a failure on `other` is called on `leg`: status and Reason line."""

    def end(self, ending: Ending, now: float) -> None:
        """End the call."""


class Midcall(Road):
    """All that is under way within one call. Made when the first request comes.

    Args:
        call: whose it is.
    """

    __slots__ = (
        "_call",
        "_digits",
        "_identities",
        "_untold",
        "core",
        "exchange",
        "open",
        "referrals",
        "refreshes",
    )

    def __init__(self, call: Connected) -> None:
        self._call: Connected | None = call
        self.core = call.core
        self.exchange = call.exchange
        self._digits: CallDigits | None = None
        self.open: list[Passage] = []
        self.refreshes: list[Refresh] = []
        """Ours, at most one on a leg."""
        self._identities: dict[str, bytes] = {}
        """Side → what the other one has last said within the call of who it is."""
        self._untold: set[str] = set()
        """Sides whose peer is still to hear that."""
        self.referrals: dict[int, int] = {}
        """CSeq of each REFER that went across, here and at its sender (`transfer/referrals.py`)."""

    def received(
        self, leg: Leg, request: Request, reply: ReplyBase, txn: ServerTransaction, now: float
    ) -> None:
        """A request inside a confirmed dialog, BYE excepted: see that it is answered."""
        method = request.method
        missing = unsupported(request, leg.trunk)
        if missing:
            leg.respond(txn, reply, 420, missing, now)
        elif method in (INVITE, UPDATE):
            try:
                self._change(leg, request, reply, txn, now)
            except ProtocolError as error:
                head = fault_head(error, leg.end.host)
                head += again_head(leg.token) if error.status == 500 else b""
                leg.respond(txn, reply, error.status, head, now)
            except RelayError:
                leg.respond(txn, reply, 500, b"", now)
        elif method == OPTIONS:
            leg.respond(txn, reply, 200, options_head(leg.trunk), now)
        elif method == PRACK:
            leg.respond(txn, reply, 481, b"", now)
        elif method == INFO and self._call_digits().received(leg, request, reply, txn, now):
            pass
        elif method.decode("latin-1") in leg.trunk.pass_methods:
            self.carry(leg, request, reply, txn, now)
        else:
            status = 405 if method in METHODS else 501
            leg.respond(txn, reply, status, refused_head(leg.trunk, method), now)

    def acked(self, leg: Leg, request: Request, now: float) -> None:
        """An ACK to a 2xx of ours: it may have the answer to an offer in it."""
        for passage in self.open:
            if isinstance(passage, Change) and passage.source is leg:
                if passage.cseq == request.cseq:
                    passage.acked(request, now)
                return
        negotiation = leg.negotiation
        if negotiation is None or negotiation.state is not Offer.OFFER_SENT:
            return
        try:  # we offered what holds already, for a peer that cannot be asked
            self.exchange.take_answer(leg, negotiation, parse(request.body))
        except ProtocolError:
            self.exchange.withdraw(negotiation)

    def close(self, now: float) -> None:
        """The call is over: all that is open gets its final answer."""
        for passage in list(self.open):
            passage.handle(Input.END, None, now)
        for refresh in self.refreshes:
            refresh.abandon(now)
        self.refreshes.clear()
        if self._digits is not None:
            self._digits.close()
            self._digits = None
        self._call = None

    def digit(self, leg: Leg, dialled: Dialled, now: float) -> None:
        """The relay tells of a digit of a leg's peer, which goes across by INFO."""
        self._call_digits().heard(leg, dialled, now)

    def _call_digits(self) -> CallDigits:
        if self._digits is None:
            self._digits = CallDigits(self._the_call())
        return self._digits

    def offering(self, leg: Leg) -> int:
        """The status that an offer of `leg`'s peer gets now: 0, 491, or 500 (RFC 3261 §14.2)."""
        for passage in self.open:
            if passage.offers:
                return 500 if passage.source is leg else 491
        if self.refreshes or leg.accepted is not None:
            return 491
        return 0

    # re-INVITE and UPDATE

    def _change(
        self, leg: Leg, request: Request, reply: ReplyBase, txn: ServerTransaction, now: float
    ) -> None:
        """A re-INVITE or UPDATE.

        Raises:
            ProtocolError, RelayError: what it is refused with; nothing has changed.
        """
        other = self._the_call().other(leg)
        if request.contact is not None and request.contact.uri == b"*":
            raise ParseError("Contact", "expected a URI")
        refusal = leg.session_timer().on_request(request) if leg.wants_timer(request) else None
        if refusal is not None:
            leg.respond(txn, reply, refusal.status, refusal.head, now)
            return
        leg.learn(request)
        offer = offer_in(request)
        if offer is None and request.method == UPDATE:
            leg.refresh_target(request)
            self._answer_here(leg, request, reply, txn, b"", now)
            return
        status = self.offering(leg)
        negotiation, across = leg.negotiation, other.negotiation
        if status or negotiation is None or across is None or other.dialog is None:
            raise RemoteProtocolError("an offer is open", status=status or 491)
        if offer is not None and negotiation.unchanged(offer):
            leg.refresh_target(request)
            self._answer_here(leg, request, reply, txn, negotiation.local, now)
            return
        if other.accepted is not None:
            raise RemoteProtocolError(
                "the other side has not acknowledged the last one", status=491
            )
        method = _method_towards(other, request.method, offer is not None)
        if not method:
            if offer is None:
                body = negotiation.repeat_offer()
            else:
                body = self.stand_in(leg, other, offer, (negotiation, across))
            leg.refresh_target(request)
            self._answer_here(leg, request, reply, txn, body, now)
            return
        change = Change(self, leg, other, request, reply, txn, (negotiation, across))
        change.begin(self, method, request, offer, now)
        leg.refresh_target(request)
        identity = self._the_call().identity(request, other)
        if identity:
            self._identities[other.side] = identity
        txn.user = change
        self.open.append(change)
        if request.method == INVITE:
            self.core.layer.respond(txn, 100, reply.build(100), now)
        self.core.say(10, "call.changes", "", side=leg.side, method=method.decode())

    def stand_in(
        self,
        leg: Leg,
        other: Leg,
        offer: Session,
        negotiations: tuple[Negotiation, Negotiation],
        fork: Fork | None = None,
    ) -> bytes:
        """Our own answer to an offer of `leg`'s peer, for `other`'s takes none.

        Raises:
            ProtocolError: it cannot be had without that one; nothing has changed.
        """
        negotiations[0].receive_offer(offer)
        try:
            body = self.exchange.stand_in(leg, other, offer, negotiations, fork)
        except ProtocolError:
            negotiations[0].refused()
            raise
        self.core.counters["changes_answered_here"] += 1
        self.core.say(10, "call.change_answered", "", side=leg.side)
        return body

    def _answer_here(
        self,
        leg: Leg,
        request: Request,
        reply: ReplyBase,
        txn: ServerTransaction,
        body: bytes,
        now: float,
    ) -> None:
        """200 with what holds already."""
        head = self.contact_head(leg) + self.timer_answer(leg)
        if request.method == INVITE:
            data = reply.build(200, head=head + CONTENT_TYPE_SDP, body=body)
            leg.accept(data, request.cseq, txn, now)
        else:
            leg.respond(txn, reply, 200, head + CONTENT_TYPE_SDP if body else head, now, body)
        leg.arm_timer(now)
        self._identified(leg, request, now)

    def _identified(self, leg: Leg, request: Request, now: float) -> None:
        """Who is there may be somebody else now, which concerns the other side, too."""
        call = self._the_call()
        other = call.other(leg)
        lines = call.identity(request, other)
        if not lines or lines == self._identities.get(other.side):
            return
        self._identities[other.side] = lines
        if other.is_there and _method_towards(other, UPDATE, offered=True):
            self._untold.add(other.side)
            self._refresh(other, now)

    def early_digit(
        self, leg: Leg, request: Request, reply: ReplyBase, txn: ServerTransaction, now: float
    ) -> bool:
        """An INFO in an early dialog with media: whether its digit has gone another way."""
        return self._call_digits().received(leg, request, reply, txn, now, early=True)

    def carry(
        self,
        leg: Leg,
        request: Request,
        reply: ReplyBase,
        txn: ServerTransaction,
        now: float,
        dialog: Dialog | None = None,
    ) -> None:
        """INFO and its like.

        Args:
            dialog: the other side's early one; None: the call is up.
        """
        other = self._the_call().other(leg)
        if len(self.open) >= _MOST_OPEN:
            leg.respond(txn, reply, 500, again_head(leg.token), now)
            self.core.counters["passages_over_limit"] += 1
            return
        if not may_send(other.trunk, other.peer, request.method):
            leg.respond(txn, reply, 405, refused_head(leg.trunk, request.method), now)
            return
        content = contents(self.core, request, other.end.host)
        if content is None:
            leg.respond(txn, reply, 415, ACCEPTED, now)
            return
        content_head, body = content
        passage = Passage(self, leg, other, request, reply, txn)
        passage.dialog = dialog
        head = self.crossing(request, other) + content_head
        self.open.append(passage)
        txn.user = passage
        passage.ask(request.method, head, body, now)

    # What a passage asks of the call

    def over(self, passage: Passage) -> None:
        if passage in self.open:
            self.open.remove(passage)

    def crossing(self, message: Message, leg: Leg) -> bytes:
        return self._the_call().crossing(message, leg)

    def contact_head(self, leg: Leg) -> bytes:
        return leg.end.contact(leg.token) + head_for(leg.trunk, initial=False)

    def timer_head(self, leg: Leg) -> bytes:
        return b"" if leg.timer is None else leg.timer.request_head()

    def timer_answer(self, leg: Leg) -> bytes:
        return leg.timer_answer()

    def timer_agreed(self, leg: Leg, response: Response, now: float) -> None:
        leg.timer_agreed(response, now)

    def timer_raised(self, leg: Leg, response: Response) -> bool:
        return leg.session_timer().too_small(response)

    def status_for(self, leg: Leg, other: Leg, response: Response) -> tuple[int, bytes]:
        return self._the_call().failure_for(leg, other, response)

    def gone(self, leg: Leg, ending: Ending, now: float) -> None:
        if self._call is not None and not leg.over:  # else that is known
            self._call.end(ending, now)

    # Our own requests

    def due(self, leg: Leg, timer: IntEnum, now: float) -> None:
        """A timer of a leg."""
        if timer is Watch.PING:
            Ping(self.gone, leg).send(now)
            leg.arm_ping(now)
        elif timer is Wait.EXPIRE:
            ending = Ending(Cause.SESSION_EXPIRED, "border", "session timer expired", 408)
            self.gone(leg, ending, now)
        else:
            self._refresh(leg, now)

    def _refresh(self, leg: Leg, now: float) -> None:
        negotiation = leg.negotiation
        still = negotiation is not None and negotiation.state is not Offer.STABLE
        if still or self.offering(leg):
            leg.arm(Watch.RETRY, back_off_s(leg), now)
            return
        told = self._identities[leg.side] if leg.side in self._untold else b""
        refresh = Refresh(self, leg, head=told)
        self.refreshes.append(refresh)
        refresh.send(now)

    def offer(self, leg: Leg, body: bytes, now: float) -> None:
        """An offer of our own, which is open already, to one peer."""
        refresh = Refresh(self, leg, body)
        self.refreshes.append(refresh)
        refresh.send(now)

    def refreshed(self, refresh: Refresh, now: float) -> None:
        if refresh in self.refreshes:
            self.refreshes.remove(refresh)
        leg = refresh.leg
        if leg.side not in self._untold or refresh.again:
            return
        if refresh.head == self._identities[leg.side]:
            self._untold.discard(leg.side)
        elif leg.is_there:  # it was under way when there was something to tell
            leg.arm(Watch.RETRY, back_off_s(leg), now)

    def _the_call(self) -> Connected:
        if self._call is None:
            raise LocalProtocolError("a request inside a call that is over")
        return self._call


def _method_towards(leg: Leg, method: bytes, offered: bool) -> bytes:
    """The method that carries a change to `leg`'s peer; b"" where it takes none."""
    order = (method, UPDATE if method == INVITE else INVITE)
    for one in order:
        if one == UPDATE and not offered:
            continue  # it cannot ask for an offer (RFC 3311 §5.1)
        if may_send(leg.trunk, leg.peer, one):
            return one
    return b""


def offer_in(request: Request) -> Session | None:
    """The offer in a request, None where it has no body, or one that may be ignored.

    Raises:
        ProtocolError: another body that is no session description.
    """
    if not request.body:
        return None
    if request.content_type != SDP:
        if request.body_is_optional:
            return None
        raise ProtocolError("expected SDP", status=415)
    return parse(request.body)
