"""A transfer that the border makes itself: its states' effects, and how it begins.

See `states.py` for who is joined with whom, and `transferred.py` for the call that comes
of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Final

from sbc.call.call import Call
from sbc.call.cdr import Cause
from sbc.call.core import Core
from sbc.call.in_dialog.upkeep import back_off_s
from sbc.call.legs.leg import SDP, Leg
from sbc.call.states import Ending
from sbc.call.states import Input as CallInput
from sbc.call.transfer.rejoin import Notifier, Rejoin, take_back
from sbc.call.transfer.states import TABLE, Effect, Input, State
from sbc.call.transfer.transferred import Half, Meeting, ReplacingCall
from sbc.errors import ProtocolError, RelayError
from sbc.sdp.facts import describe
from sbc.sdp.model import Session
from sbc.sdp.offer_answer import State as Offer
from sbc.sdp.parser import parse
from sbc.sip.message import Response
from sbc.transaction.timers import Entry

__all__ = ["Transfer"]

_PATIENCE_S: Final = 32.0
"""For the final answer to a re-INVITE: nobody rings within a call."""
_LINGER_S: Final = 5.0
"""The transferor's time to hang up, before we do."""
_MOST_PAUSES: Final = 12
_GONE: Final = 481


class Due(IntEnum):
    """The transfer's own timer."""

    NEXT = 100


class Transfer:
    """One transfer.

    Args:
        core: the surroundings.
        halves: the calls that the parties come from: of who stays, then of the consulted one.
        new: the call that is to come of it.
        notifier: the transferor's news; None where it wants none.
        to: whom to, for the record.
    """

    __slots__ = (
        "__weakref__",
        "_clock",
        "_core",
        "_halves",
        "_met",
        "_name",
        "_new",
        "_notifier",
        "_pauses",
        "_rejoin",
        "_status",
        "_to",
        "_turned",
        "state",
    )

    def __init__(
        self,
        core: Core,
        halves: list[Half],
        new: Meeting,
        notifier: Notifier | None,
        to: str,
    ) -> None:
        self._core = core
        self._halves = halves
        self._new: Meeting | None = new
        self._notifier = notifier
        self._name = halves[0].call.id
        self._to = to
        self.state = State.BEGUN
        self._clock: Entry | None = None
        self._rejoin: Rejoin | None = None
        self._pauses = 0
        self._status = 0
        """The target's last, or of the failure."""
        self._turned = b""
        """What the consulted party had been told before it was turned."""
        self._met: Response | None = None
        """The answer of who stays, for one who replaces the other side."""

    @property
    def first(self) -> Call | None:
        """The call that the transfer was asked for in, while it is known."""
        return self._halves[0].call if self._halves else None

    def begin(self, event: Input, now: float) -> None:
        """Take the calls in hand."""
        for half in self._halves:
            half.call.move = self
            half.call.record.transfer = (half.leaves.side, self._to, None)
        if self._new is not None:
            self._new.record.transferred_from = self._halves[0].call.id
            self._new.reports_to(self)
        self._core.say(20, "transfer.begun", self._name, to=self._to)
        self.handle(event, now)

    # What the calls report

    @property
    def agreeing(self) -> bool:
        """Whether somebody is being asked for a new session."""
        return self.state not in (State.BEGUN, State.SEEKING, State.JOINED, State.OVER)

    def left(self, leg: Leg, now: float) -> bool:
        """The transferor hangs up: its call is held for who stays, until the end is known."""
        under_way = self.state not in (State.JOINED, State.OVER)
        return under_way and any(leg is half.leaves for half in self._halves)

    def call_ended(self, now: float) -> None:
        """A call that a party comes from is over."""
        self.handle(Input.LOST, now)
        if self.state is State.JOINED and all(half.call.record.ended for half in self._halves):
            self._disarm()  # nobody is left to be dismissed

    def new_call_ended(self, now: float) -> None:
        """The new call is over."""
        self._status = self._status if self._status >= 300 else 480
        self.handle(Input.LOST, now)

    def rang(self, status: int, now: float) -> None:
        """A provisional response of the target."""
        self._status = status
        self.handle(Input.RANG, now)

    def answered(self, now: float) -> None:
        """The target's 2xx."""
        self.handle(Input.ANSWERED, now)

    def refused(self, status: int, now: float) -> None:
        """No target is left: the new call ends itself."""
        self._status = status
        if self._new is not None:
            self._new.reports_to(None)
            self._new = None
        self.handle(Input.FAILED, now)

    # What our requests report

    def agreed(self, rejoin: Rejoin, response: Response, now: float) -> None:
        """A 2xx to our re-INVITE."""
        if rejoin is not self._rejoin:
            return
        self._rejoin = None
        self._disarm()
        try:
            if response.content_type != SDP:
                raise ProtocolError("expected an answer in SDP", status=488)
            self._take(rejoin.leg, rejoin.before, response, now)
        except (ProtocolError, RelayError) as error:
            # It takes the change for made; what it says of it means nothing to us: it is lost.
            self._core.say(30, "leg.bad_answer", self._name, detail=str(error))
            self._status = 488
            half = next(half for half in self._halves if half.stays is rejoin.leg)
            if rejoin.leg.negotiation is not None:
                rejoin.leg.negotiation.refused()
            text = f"answer of side {rejoin.leg.side} to a transfer: {error}"
            half.call.end(Ending(Cause.UNSUPPORTED_MEDIA, "border", text), now)

    def not_agreed(self, rejoin: Rejoin, status: int, now: float) -> None:
        """A final failure of our re-INVITE."""
        if rejoin is not self._rejoin:
            return
        self._rejoin = None
        self._disarm()
        self._pause_or_fail(status, now)

    def on_timer(self, timer: IntEnum, now: float) -> None:
        """Patience is over, or a pause."""
        if self._clock is not None and self._clock.owner is None:
            self._clock = None
            self.handle(Input.DUE, now)

    # The machine

    def handle(self, event: Input, now: float) -> None:
        """One step. A pair that the table does not have is absorbed."""
        row = TABLE.get((self.state, event))
        if row is None:
            return
        effect, self.state = row
        _EFFECTS[effect](self, now)
        if self.state is State.OVER:
            self._close()

    def _notify(self, now: float) -> None:
        self._tell(False, now)

    def _offer(self, now: float) -> None:
        """Our re-INVITE, unless an offer is open there."""
        new = self._new
        assert new is not None and new.b is not None  # noqa: S101, PT018 (by the table)
        turning = self.state is not State.JOINING
        half = self._halves[-1] if turning else self._halves[0]
        leg, road = half.stays, half.call.road
        negotiation = leg.negotiation
        if negotiation is None or not leg.is_there:
            self._fail_with(_GONE, now)
            return
        if road.offering(leg) or negotiation.state is not Offer.STABLE:
            self._pause_or_fail(491, now)
            return
        try:
            before = negotiation.local
            if turning:
                body = new.exchange.offer_within(new.b, negotiation)
            else:
                said = None if new.b.negotiation is None else new.b.negotiation.remote
                if said is None:
                    raise ProtocolError("expected a session of the new side", status=488)
                body = new.exchange.propose(new.b, said, new.a, negotiation)
        except (ProtocolError, RelayError) as error:
            self._core.say(30, "transfer.bad_offer", self._name, detail=str(error))
            self._fail_with(488, now)
            return
        self._rejoin = Rejoin(self, road, leg, body, before)
        road.refreshes.append(self._rejoin)
        self._arm(_PATIENCE_S, now)
        self._rejoin.send(now)

    def _pause(self, now: float) -> None:
        leg = self._halves[0 if self.state is State.JOIN_PAUSED else -1].stays
        self._arm(max(back_off_s(leg), 0.1), now)

    def _complete(self, now: float) -> None:
        """The legs move. From here on the new call stands for itself."""
        new, halves = self._new, self._halves
        assert new is not None and new.b is not None  # noqa: S101, PT018 (by the table)
        new.reports_to(None)
        if self._met is not None:
            new.b.take_over(halves[0].stays, now)
            new.handle(CallInput.SUCCESS, self._met, now)
        else:
            new.a.take_over(halves[0].stays, now)
            if len(halves) > 1:
                new.b.take_over(halves[1].stays, now)
            new.handle(CallInput.JOINED if len(halves) > 1 else CallInput.ACK, None, now)
        self._status = 200
        self._tell(True, now)
        for half in halves:
            self._note(half, 200)
            half.call.record.close(Cause.TRANSFERRED, half.leaves.side, f"to {self._to}")
        self._core.say(20, "transfer.done", self._name, to=self._to, new=new.id)
        self._new = None
        self._arm(_LINGER_S, now)
        for half in halves:
            if half.leaves.over:
                self._hang_up(half, now)

    def _fail(self, now: float) -> None:
        """Everything is as it was, less those who have left."""
        self._disarm()
        self._status = status = self._status if self._status >= 300 else 480
        self._tell(True, now)
        self._core.say(20, "transfer.failed", self._name, to=self._to, status=status)
        rejoin, self._rejoin = self._rejoin, None
        if rejoin is not None:
            rejoin.give_up(now)
        if self._turned:  # the consulted party hears again who it was talking to
            half = self._halves[-1]
            if not half.leaves.over:
                take_back(half.call.road, half.stays, self._turned, now)
        for half in self._halves:
            self._note(half, status)
            if half.call.move is self:
                half.call.move = None
                if half.leaves.over and not half.call.record.ended:
                    reason = f"transfer to {self._to} failed with {status}"
                    half.call.record.close(Cause.REJECTED, "border", reason)
                    self._hang_up(half, now)
        new, self._new = self._new, None
        if new is not None and not new.record.ended:
            new.reports_to(None)
            reason = f"the transfer has failed with {status}"
            new.end(Ending(Cause.REJECTED, "border", reason, status), now)

    def _give_up(self, now: float) -> None:
        self._status = 408
        self._fail(now)

    def _dismiss(self, now: float) -> None:
        for half in self._halves:
            if not half.call.record.ended:
                half.call.end(Ending(Cause.TRANSFERRED, "border", f"to {self._to}"), now)

    # Small parts

    def _take(self, leg: Leg, before: bytes, response: Response, now: float) -> None:
        """An answer to our re-INVITE, by whose turn it is.

        Raises:
            ProtocolError, RelayError: none that can be carried.
        """
        new, answer = self._new, parse(response.body)
        assert new is not None and new.b is not None  # noqa: S101, PT018 (by the table)
        negotiation = leg.negotiation
        assert negotiation is not None  # noqa: S101 (the offer is open in it)
        if self.state is State.TURNING:
            negotiation.receive_answer(answer)
            new.b.negotiation = negotiation
            self._turned = before
            self.handle(Input.AGREED, now)
            return
        if self.state is State.ADMITTING and isinstance(new, ReplacingCall):
            new.meet(response, negotiation)
            self._met = response
            self.handle(Input.AGREED, now)
            return
        b = new.b
        new.a.negotiation = negotiation
        _, again = new.exchange.late_answer(new.a, b, answer)
        b_again = again or _is_held(answer)
        self.handle(Input.AGREED, now)
        if b_again and not new.record.ended and b.is_there:
            new.road.offer(b, new.exchange.offer_again(b, answer), now)

    def _pause_or_fail(self, status: int, now: float) -> None:
        self._pauses += 1
        if status == 491 and self._pauses < _MOST_PAUSES:
            self.handle(Input.BUSY, now)
        else:
            self._fail_with(status, now)

    def _fail_with(self, status: int, now: float) -> None:
        self._status = status
        self.handle(Input.FAILED, now)

    def _hang_up(self, half: Half, now: float) -> None:
        """Its call ends as if the transferor had hung up only now."""
        if not half.call.record.ended:
            event = CallInput.BYE_A if half.leaves is half.call.a else CallInput.BYE_B
            half.call.handle(event, None, now)

    def _note(self, half: Half, status: int) -> None:
        half.call.record.transfer = (half.leaves.side, self._to, status)

    def _tell(self, final: bool, now: float) -> None:
        if self._notifier is not None:
            self._notifier.tell(self._status, final, now)

    def _arm(self, duration_s: float, now: float) -> None:
        self._disarm()
        self._clock = self._core.layer.arm_long(self, Due.NEXT, duration_s, now)

    def _disarm(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _close(self) -> None:
        self._disarm()
        for half in self._halves:
            if half.call.move is self:
                half.call.move = None
        self._halves = []
        self._new = self._notifier = self._rejoin = None

    # For transactions, which report to whoever has asked

    def on_response(self, response: Response, now: float) -> None:
        """It asks nothing itself."""

    def on_timeout(self, now: float) -> None:
        """It asks nothing itself."""

    def on_transport_lost(self, now: float) -> None:
        """It asks nothing itself."""


_Step = Callable[[Transfer, float], None]
_EFFECTS: Final[Mapping[Effect, _Step]] = {
    Effect.CALL: lambda transfer, now: None,  # by who has made the call, when it reports to us
    Effect.NOTIFY: Transfer._notify,
    Effect.OFFER: Transfer._offer,
    Effect.PAUSE: Transfer._pause,
    Effect.COMPLETE: Transfer._complete,
    Effect.FAIL: Transfer._fail,
    Effect.GIVE_UP: Transfer._give_up,
    Effect.DISMISS: Transfer._dismiss,
}


def _is_held(answer: Session) -> bool:
    """Whether who was to be joined does not want to hear or to speak now."""
    streams = [one for one in describe(answer) if one.anchored]
    return any(not (one.sends and one.receives) for one in streams)
