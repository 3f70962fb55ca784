"""One call: what happens on its two legs becomes what is said on them.

The arrows are in `states.py`; here is what each one does. A call also keeps its own record, and
asks the relay to carry its media.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from math import inf
from typing import Final

from policies.facts import Accept, CallFacts
from policies.settings import TrunkSettings
from sbc.call.answers import Refusal, fault_head
from sbc.call.cdr import Cause
from sbc.call.core import Core
from sbc.call.crossing.reasons import own_reason
from sbc.call.in_dialog.early import Early
from sbc.call.in_dialog.midcall import Midcall
from sbc.call.kept import Clock, Kept
from sbc.call.legs.a_leg import ALeg
from sbc.call.legs.b_leg import BLeg
from sbc.call.legs.leg import SDP, Fork, Leg, again_head
from sbc.call.media.dtmf import Dialled
from sbc.call.media.exchange import Exchange
from sbc.call.record import Record
from sbc.call.states import TABLE, Effect, Ending, Input, State
from sbc.call.targets.hunt import Hunt, explained
from sbc.errors import ProtocolError, RelayError
from sbc.resolve.records import Place
from sbc.sdp.facts import UnsupportedMedia
from sbc.sdp.offer_answer import State as Offer
from sbc.sdp.parser import parse
from sbc.sip.message import Request, Response
from sbc.sip.serialise import ReplyBase
from sbc.sip.status import BYE, INVITE, NOTIFY, REFER, UPDATE
from sbc.sip.uri import SipUri
from sbc.transaction.hop import TCP
from sbc.transaction.machine import ServerTransaction
from sbc.transaction.timers import Entry

__all__ = ["Call"]

_LOCATE_S: Final = 60.0
"""A bound for what the resolver's deadlines bound before."""


class Call(Kept):
    """Two legs and what they have to do with each other.

    Args:
        core: the surroundings.
        trunk: whose call it is.
        facts: what policy is told.
        invite, reply, txn: the caller's INVITE, and how it is answered.
    """

    __slots__ = ("__weakref__",)

    def __init__(
        self,
        core: Core,
        trunk: TrunkSettings,
        facts: CallFacts,
        invite: Request,
        reply: ReplyBase,
        txn: ServerTransaction,
        now: float,
    ) -> None:
        token, target = core.mint.token(), invite.target
        sips = isinstance(target, SipUri) and target.scheme == b"sips"
        end = core.ends.of(txn.hop, sips=sips)
        a = ALeg(core, self, trunk, end, txn.hop, token, invite, reply, txn)
        a.learn(invite)
        self._set_up(core, a, token.decode(), facts, now)

    def _set_up(self, core: Core, a: ALeg, name: str, facts: CallFacts, now: float) -> None:
        self.core = core
        self.id = name
        self.state = State.CALLING
        self.a = a
        self.b = None
        self.exchange = Exchange(core, self)
        self.clock = None
        self.limit = None
        self.early = None
        self.ids = None
        self.move = None
        self.midcall = None
        self.record = Record(
            name, facts, a.call_id, a.trunk.name, core.wall(now), core.wall_offset_s
        )
        self.hunt = Hunt(core, self, a, self.exchange, self.record)

    # Beginning

    def refuse(self, refusal: Refusal, now: float) -> None:
        """Policy says no, or the INVITE is not one that we can carry on."""
        self.record.close(refusal.cause, "border", refusal.reason)
        self._refuse_caller(refusal.status, refusal.head, now)
        self._end(State.ENDED, now)

    def start(self, accepted: Accept, now: float) -> None:
        """Carry the call on to the first of its targets."""
        self.hunt.start(accepted, now)
        self.record.reason = explained(accepted.why)
        try:
            self._read_offer()
        except ProtocolError as error:
            head = fault_head(error, self.a.end.host)
            self.refuse(Refusal(error.status, Cause.UNSUPPORTED_MEDIA, str(error), head), now)
            return
        self.core.say(20, "call.started", self.id, trunk=accepted.trunk.name, why=accepted.why.text)
        self._try_next(None, now)

    def _read_offer(self) -> None:
        """The caller's offer.

        Raises:
            ProtocolError: none that can be carried.
        """
        self.exchange.read_offer(self.a)

    # What the legs report

    def target_responded(self, leg: Leg, response: Response, now: float) -> None:
        """1xx above 100, the first 2xx, or the final failure of the target."""
        status = response.status
        if status < 300:
            self.hunt.answered()
        if status < 200:
            if response.first(b"rseq") is not None and not self._early().takes(
                self._called(), response
            ):
                return
            self.handle(Input.PROVISIONAL, response, now)
        elif status < 300:
            if self._takes(response, now):
                self.handle(Input.SUCCESS, response, now)
        elif status != 422 or not self._called().raised(response, now):
            self._target_failed(status, f"target answered {status}", Cause.REJECTED, response, now)

    def target_silent(self, leg: Leg, now: float) -> None:
        """Timer B, or no final answer after our CANCEL."""
        self._target_failed(408, "target did not answer", Cause.NO_RESPONSE, None, now)

    def target_unreachable(self, leg: Leg, now: float) -> None:
        """The INVITE could not be carried; an `auto` trunk's TCP falls back to UDP."""
        if self.state is State.CALLING and leg.hop.transport == TCP:
            again = self.hunt.again(self._called(), now)
            if again is not None:
                self._calls(again, now)
                return
        self._target_failed(503, "target unreachable", Cause.UNREACHABLE, None, now)

    def located(self, places: Sequence[Place], now: float) -> None:
        """The DNS has said where the target is, or nothing until its deadline."""
        if self.state is State.LOCATING:
            self._disarm()
            self.hunt.located(places)
        self.handle(Input.LOCATED, None, now)

    def leg_asked(
        self, leg: Leg, request: Request, reply: ReplyBase, txn: ServerTransaction, now: float
    ) -> None:
        """A request inside a confirmed dialog that is no BYE."""
        transfers = self.core.transfers
        connected = self.state is State.UP or self.state is State.ANSWERED
        if request.method == REFER and transfers is not None and connected:
            transfers.referred(leg, request, reply, txn, now)
        elif request.method == NOTIFY and transfers is not None and connected:
            transfers.notified(leg, request, reply, txn, now)
        elif self.move is not None and self.move.agreeing and request.method in (INVITE, UPDATE):
            leg.respond(txn, reply, 491, b"", now)
        elif self.move is not None and not self.other(leg).is_there:
            status = 491 if request.method in (INVITE, UPDATE) else 480
            leg.respond(txn, reply, status, b"", now)
        elif connected:
            self._within().received(leg, request, reply, txn, now)
        elif self.state is State.RINGING:  # its 2xx waits for the caller's PRACK
            status = 491 if request.method in (INVITE, UPDATE) else 500
            head = again_head(leg.token) if status == 500 else b""
            leg.respond(txn, reply, status, head, now)
        else:
            leg.respond(txn, reply, 481, b"", now)

    def leg_asked_early(
        self, leg: Leg, request: Request, reply: ReplyBase, txn: ServerTransaction, now: float
    ) -> None:
        """A request in an early dialog that does not end it."""
        b = self.b
        fork = None
        if b is not None and self.state in (State.CALLING, State.RINGING):
            fork = b.forks.get(request.from_tag) if leg is b else b.fork_shown(request.to_tag)
            fork = fork if fork is not None and fork.tag_a else None
        early = self._early()
        early.asked(leg, fork, request, reply, txn, now)
        held = early.held
        if held is not None and b is not None and not early.holds(self._fork(held)):
            early.held = None
            self.target_responded(b, held, now)

    def not_pracked(self, now: float) -> None:
        """A reliable 18x of ours was never acknowledged (RFC 3262 §3)."""
        self.end(Ending(Cause.NO_ACK, "border", "no PRACK from side a", 504), now)

    def media_digit(self, side: str, digit: str, duration_ms: int, now: float) -> None:
        """One side has sent a digit as a telephone-event, which does not pass."""
        leg = self.a if side == "a" else self.b
        if leg is not None and self.state in (State.ANSWERED, State.UP):
            self._within().digit(leg, Dialled(digit, duration_ms), now)
        else:  # nothing can be said to the other side yet, or any more
            self.core.counters["digits_dropped"] += 1

    def leg_due(self, leg: Leg, timer: IntEnum, now: float) -> None:
        """A session timer, or the time to ask a peer whether it is there."""
        if self.state is State.UP or self.state is State.ANSWERED:
            self._within().due(leg, timer, now)

    def leg_acked(self, leg: Leg, request: Request, now: float) -> None:
        """An ACK to a 2xx of ours; only the caller's first one changes the call's state."""
        first = leg is self.a and self.state is State.ANSWERED
        if first and self.b is not None and self.exchange.late:
            self._answered_late(self.b, request, now)
        elif self.midcall is not None:
            self.midcall.acked(leg, request, now)
        if leg is self.a:
            self.handle(Input.ACK, None, now)

    def _answered_late(self, b: BLeg, request: Request, now: float) -> None:
        """The caller's answer, in its ACK."""
        self.exchange.late = False
        negotiation = self.a.negotiation
        if negotiation is None or negotiation.state is not Offer.OFFER_SENT:
            return  # it was in a PRACK
        try:
            if request.content_type != SDP:
                raise ProtocolError("expected SDP")
            answer = parse(request.body)
            body, again = self.exchange.late_answer(self.a, b, answer)
            b.answer_late(body)
            if again:
                self._within().offer(b, self.exchange.offer_again(b, answer), now)
        except ProtocolError as error:
            self.end(Ending(Cause.UNSUPPORTED_MEDIA, "border", f"answer in the ACK: {error}"), now)
            return

    def leg_not_acked(self, leg: Leg, now: float) -> None:
        """A 2xx of ours was never acknowledged (RFC 3261 §13.3.1.4, §14.2)."""
        self.record.close(Cause.NO_ACK, "border", f"no ACK from side {leg.side}")
        first = leg is self.a and self.state in (State.ANSWERED, State.ENDING)
        ending = Ending(Cause.NO_ACK, "border", f"no ACK from side {leg.side}")
        self.handle(Input.NO_ACK if first else Input.END, ending, now)

    def leg_hung_up(self, leg: Leg, request: Request, now: float) -> None:
        """A BYE in a confirmed dialog."""
        if self.move is not None and self.move.left(leg, now):
            return
        self.record.close(Cause.NORMAL, leg.side, "BYE")
        if self.state is State.RINGING:  # the caller never hears that it was answered
            self.hunt.decide(480)
        self.handle(Input.BYE_A if leg is self.a else Input.BYE_B, request, now)

    def cancelled(self, request: Request, now: float) -> None:
        """The caller's CANCEL, or its BYE in an early dialog (RFC 3261 §15)."""
        several = request.method == BYE and self.b is not None and len(self.a.tags) > 1
        if several and self._early().left(request.to_tag, now):
            return
        if self.state in (State.LOCATING, State.CALLING, State.RINGING):
            self.record.close(Cause.CANCELLED, "a", request.method.decode("ascii", "replace"))
            self.hunt.decide(487)
        self.handle(Input.CANCEL, request, now)

    def end(self, ending: Ending, now: float) -> None:
        """The border's own wish."""
        self.record.close(ending.cause, ending.by, ending.reason)
        self.hunt.decide(ending.status)
        self.handle(Input.END, ending, now)

    def on_timer(self, timer: int, now: float) -> None:
        """One of the call's own timers."""
        if timer == Clock.LIMIT:
            if self.limit is not None and not self.record.ended:
                reason = "the longest duration of its trunk is over"
                self.end(Ending(Cause.MAX_DURATION, "border", reason), now)
            return
        if timer == Clock.NO_RESPONSE:
            self._not_responded(now)
            return
        if self.clock is None or self.clock.owner is not None:
            return  # what came due together with it has stopped it, or armed another
        self.clock = None
        if timer == Clock.NO_ANSWER:
            self.end(Ending(Cause.NO_ANSWER, "border", "no answer in time", 480), now)
        elif timer == Clock.RECORD:
            self.media_ended(None, now)

    # What is said within the call

    def _early(self) -> Early:
        if self.early is None:
            self.early = Early(self, self.a, self._within())
        return self.early

    @property
    def road(self) -> Midcall:
        """What carries requests within the call."""
        return self._within()

    def _within(self) -> Midcall:
        if self.midcall is None:
            self.midcall = Midcall(self)
        return self.midcall

    # The machine

    def handle(self, event: Input, message: object, now: float) -> None:
        """One step. A pair that the table does not have is absorbed and counted."""
        row = TABLE.get((self.state, event))
        if row is None:
            self.core.counters["call.ignored"] += 1
            return
        effect, after = row
        self.state = after
        if effect is not Effect.NOTHING:
            _EFFECTS[effect](self, message, now)
        if self.state is after and after not in _LIVE:
            self._end(after, now)

    # Effects

    def _ring(self, message: object, now: float) -> None:
        response, a, b = _response(message), self.a, self._called()
        fork = self._fork(response)
        if not fork.tag_a:  # the caller has left it
            return
        body = b""
        early = self.early
        if self.exchange.late:
            body = self._late_ring(b, fork, response)
        elif response.body and response.content_type == SDP:
            try:
                body = self.exchange.answer(a, b, fork, response)
                fork.heard = response
            except ProtocolError as error:
                self.core.say(30, "leg.bad_answer", self.id, detail=str(error))
        elif b.nat:
            self.exchange.expect_early(b)
        self.record.rang(self.record.wall(now))
        head = self.crossing(response, a)
        if early is not None or a.is_reliable:
            self._early().ring(b, response, fork, head, body, now)
        else:
            a.ring(response.status, fork, head, body, now)

    def _answer(self, message: object, now: float) -> None:
        response, a, b = _response(message), self.a, self._called()
        self._disarm()
        fork = self._fork(response)
        b.negotiation = fork.negotiation_b
        b.learn(response)
        b.timer_agreed(response, now)
        ours = fork.negotiation_a
        pending = ours.state is Offer.OFFER_SENT and ours.remote is not None
        body = b"" if pending else ours.local  # an UPDATE is open: what it says is no answer
        a.answer(response.status, fork, self.crossing(response, a), body, now)
        self.record.answered(response.status, self.record.wall(now))
        if self.early is not None:
            self._leave_early()
        self.exchange.settled()
        b.settled()
        self._watch_over(b, now)
        self.core.say(20, "call.answered", self.id, trunk=b.trunk.name)

    def _join(self, message: object, now: float) -> None:
        self._disarm()
        self.record.answered(200, self.record.wall(now))
        self.exchange.settled()
        self._watch_over(self._called(), now)
        self.core.say(20, "call.joined", self.id)

    def _watch_over(self, b: BLeg, now: float) -> None:
        """Begin what finds a call that nobody is in any more, as far as the trunks want it."""
        a = self.a
        if a.timer is not None:
            a.arm_timer(now)
        if a.trunk.ping_s or b.trunk.ping_s:
            a.arm_ping(now)
            b.arm_ping(now)
        if a.trunk.max_duration_s or b.trunk.max_duration_s:
            limits_s = (a.trunk.max_duration_s or inf, b.trunk.max_duration_s or inf)
            self.limit = self.core.layer.arm_long(self, Clock.LIMIT, min(limits_s), now)

    def _try_next(self, message: object, now: float) -> None:
        """A new leg to the next target that can be reached at all."""
        leg = self.hunt.next(now)
        if leg is not None:
            self._calls(leg, now)
            return
        if self.hunt.waiting:
            self._arm(Clock.NO_ANSWER, _LOCATE_S, now)
            self.handle(Input.ASKED, None, now)
            return
        record = self.record
        self._fail(Ending(record.cause, "border", record.reason, self.hunt.refusal), now)

    def _calls(self, leg: BLeg, now: float) -> None:
        """The INVITE is out on this leg, which is the call's from now on."""
        if self.b is not None:
            self.b.unlink()
        self.b = leg
        self._arm(Clock.NO_ANSWER, leg.trunk.no_answer_s, now)
        if leg.trunk.invite_timeout_s is not None:
            duration_s = leg.trunk.invite_timeout_s
            leg.patience = Entry(self, Clock.NO_RESPONSE, now + duration_s, {})
            self.core.layer.arm_user(leg.patience, Clock.NO_RESPONSE, duration_s, now)

    def _not_responded(self, now: float) -> None:
        """`invite_timeout` is over; the transaction of the INVITE still has until timer B."""
        b = self.b
        if b is None or b.patience is None or now < b.patience.due:
            return  # it has responded, or given way to another, as this came due
        b.patience = None
        if self.state is not State.CALLING:
            return
        reason = "target did not respond"
        if not self.hunt.failed(408, now, None):
            self.end(Ending(Cause.NO_RESPONSE, "b", reason, 408), now)
            return
        self._disarm()
        self.record.close(Cause.NO_RESPONSE, "b", reason)
        b.cancel(b"", now)
        b.unlink()  # should it answer after all, it ends that call by itself
        self.handle(Input.RETRY, None, now)

    def _refuse(self, message: object, now: float) -> None:
        self._refuse_caller(self.hunt.refusal, self.hunt.head, now)

    def _abandon(self, message: object, now: float) -> None:
        self._refuse_caller(self.hunt.refusal, b"", now)
        b = self._called()
        head = self._reason(message, b)
        if b.dialog is None:
            b.cancel(head, now)
        else:  # it has answered, and the caller was not to be told yet
            b.bye(now, head)
            self.handle(Input.REFUSED, None, now)

    def _bye_to_a(self, message: object, now: float) -> None:
        self.a.bye(now, self._reason(message, self.a))

    def _bye_to_b(self, message: object, now: float) -> None:
        b = self._called()
        b.bye(now, self._reason(message, b))

    def _bye_to_both(self, message: object, now: float) -> None:
        self._bye_to_a(message, now)
        self._bye_to_b(message, now)

    # Targets

    def _target_failed(
        self, status: int, reason: str, cause: Cause, response: Response | None, now: float
    ) -> None:
        """One target is done with; the next one, or the caller's final answer."""
        if self.record.ended:  # it was given up before; the clock now is the record's
            self.handle(Input.REFUSED, response, now)
            return
        self._disarm()
        more = self.hunt.failed(status, now, response)
        if self.state in (State.CALLING, State.RINGING):
            self.record.close(cause, "b", reason)
        self.handle(Input.RETRY if more else Input.REFUSED, response, now)

    def _takes(self, response: Response, now: float) -> bool:
        """Whether the 2xx's description, if any, can be passed on; if not, the target is left."""
        if self.state not in (State.CALLING, State.RINGING):
            return True
        b, fork = self._called(), self._fork(response)
        if self.early is not None:
            if not fork.tag_a:
                self._left_one_answers(now)
                return False
            if self.early.holds(fork):
                self.early.held = response
                return False
        try:
            if self.exchange.late:
                self._take_late(b, fork, response)
            elif response.body and fork.negotiation_b.we_offered:
                self.exchange.answer(self.a, b, fork, response)
            elif fork.negotiation_b.remote is not None:  # it was in a 18x or UPDATE of this fork
                self.exchange.carry(b, fork, None, True)
            else:
                raise ProtocolError("none")  # RFC 3261 §13.2.1: the 2xx must have it
        except (ProtocolError, RelayError) as error:
            status = 488 if isinstance(error, UnsupportedMedia) else 502
            b.bye(now, own_reason(status, b"the answer cannot be taken", b.trunk))
            self.hunt.decide(status)
            self.record.close(Cause.UNSUPPORTED_MEDIA, "border", f"answer of the target: {error}")
            self.handle(Input.REFUSED, None, now)
            return False
        return True

    def _left_one_answers(self, now: float) -> None:
        """The target has chosen the early dialog that the caller has left: no other will answer."""
        self._called().bye(now)
        self.hunt.decide(487)
        self.record.close(Cause.CANCELLED, "a", "BYE")
        self.handle(Input.REFUSED, None, now)

    def _take_late(self, b: BLeg, fork: Fork, response: Response) -> None:
        """What a caller without an offer is offered now.

        Raises:
            ProtocolError, RelayError: nothing that can be.
        """
        if fork.negotiation_a.remote is None:
            self.exchange.late_heard(fork, response)
            self.exchange.late_offer(self.a, b, fork)


_Step = Callable[[Call, object, float], None]
_EFFECTS: Final[Mapping[Effect, _Step]] = {
    Effect.RING: Call._ring,
    Effect.ANSWER: Call._answer,
    Effect.TRY_NEXT: Call._try_next,
    Effect.REFUSE: Call._refuse,
    Effect.ABANDON: Call._abandon,
    Effect.BYE_TO_A: Call._bye_to_a,
    Effect.BYE_TO_B: Call._bye_to_b,
    Effect.BYE_TO_BOTH: Call._bye_to_both,
    Effect.JOIN: Call._join,
}
_LIVE: Final = frozenset((State.LOCATING, State.CALLING, State.RINGING, State.ANSWERED, State.UP))


def _response(message: object) -> Response:
    assert isinstance(message, Response)  # noqa: S101 (the table has seen to it)
    return message
