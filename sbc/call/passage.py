"""A request inside a call on its way across: asked on one leg, carried out on the other.

A `Passage` is one server transaction and one client transaction. Whatever becomes of the second,
the first gets one final answer. `Passage` carries requests that change nothing (INFO, MESSAGE, …),
`Change` those that offer something (re-INVITE, UPDATE): it opens an offer on both legs, and closes
both or neither.

    source ──re-INVITE, offer──▶ ASKED ──offer──────────▶ target
    source ◀─2xx, answer──────── OVER  ◀─2xx, answer───── target   (which gets its ACK at once)

    source ──re-INVITE─────────▶ ASKED ─────────────────▶ target   (RFC 3261 §14.1: a late offer)
    source ◀─2xx, offer──────── OFFERED ◀─2xx, offer───── target
    source ──ACK, answer───────▶ OVER  ──ACK, answer────▶ target

An UPDATE becomes a re-INVITE, and the other way round, where the target takes only the one. A 2xx
that crosses a CANCEL is passed on as if there had been none (RFC 3261 §9.2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import IntEnum
from typing import Final, Protocol

from sbc.call.cdr import Cause
from sbc.call.core import Core
from sbc.call.exchange import Exchange
from sbc.call.leg import CONTENT_TYPE_SDP, SDP, Leg
from sbc.call.states import Ending
from sbc.dialog.dialog import Dialog
from sbc.errors import LocalProtocolError, ProtocolError, RelayError
from sbc.sdp.model import Session
from sbc.sdp.offer_answer import Negotiation
from sbc.sdp.parser import parse
from sbc.sip.message import Message, Request, Response
from sbc.sip.serialise import ReplyBase
from sbc.sip.status import INVITE, PRACK, UPDATE
from sbc.transaction.hop import Hop
from sbc.transaction.machine import ClientTransaction, ServerTransaction
from sbc.transaction.timers import Entry

__all__ = ["EFFECTS", "TABLE", "Change", "Effect", "Guard", "Input", "Passage", "Road", "State"]

_PATIENCE_S: Final = 60.0
"""Provisional to final answer of a re-INVITE: nobody rings within a call."""
_GONE: Final = frozenset((408, 481))
"""What says that the peer's side of the dialog is no more (RFC 5057 §5.1)."""


class Guard(IntEnum):
    """A passage's own timer."""

    PATIENCE = 80


class State(IntEnum):
    """What the source knows."""

    ASKED = 0
    """The target's final answer is awaited."""
    CANCELLED = 1
    """So it is, but the source has given its re-INVITE up."""
    OFFERED = 2
    """The target's offer is with the source, in a 2xx: its ACK will have the answer."""
    OVER = 3
    """The source has its final answer; repetitions of the target's 2xx still get their ACK."""


class Input(IntEnum):
    """What can happen to a passage."""

    PROVISIONAL = 1
    SUCCESS = 2
    """The 2xx, with all that was to be in it."""
    OFFER = 3
    """The 2xx to a re-INVITE without an offer: it has one."""
    FAILURE = 4
    """Any other final answer, none in time, or no way to the target."""
    CANCEL = 5
    """The source's CANCEL, or no final answer for too long."""
    ACK = 6
    """The source's ACK to the 2xx that had the offer."""
    END = 7
    """The call is over."""


class Effect(IntEnum):
    """What a transition does."""

    NOTHING = 0
    WATCH = 1
    """Wait only so long for the final answer."""
    ANSWER = 2
    """The 2xx to the source."""
    OFFER = 3
    """The 2xx to the source, with the target's offer in it."""
    REFUSE = 4
    """A final failure to the source, and all as it was before."""
    CANCEL = 5
    ACKNOWLEDGE = 6
    """The answer goes on in the ACK."""
    ABANDON = 7
    """487 to the source (RFC 3261 §15.1.2)."""


_S, _I, _E = State, Input, Effect

TABLE: Final[Mapping[tuple[State, Input], tuple[Effect, State]]] = {
    (_S.ASKED, _I.PROVISIONAL): (_E.WATCH, _S.ASKED),
    (_S.ASKED, _I.SUCCESS): (_E.ANSWER, _S.OVER),
    (_S.ASKED, _I.OFFER): (_E.OFFER, _S.OFFERED),
    (_S.ASKED, _I.FAILURE): (_E.REFUSE, _S.OVER),
    (_S.ASKED, _I.CANCEL): (_E.CANCEL, _S.CANCELLED),
    (_S.ASKED, _I.END): (_E.ABANDON, _S.OVER),
    (_S.CANCELLED, _I.SUCCESS): (_E.ANSWER, _S.OVER),
    (_S.CANCELLED, _I.OFFER): (_E.OFFER, _S.OFFERED),
    (_S.CANCELLED, _I.FAILURE): (_E.REFUSE, _S.OVER),
    (_S.CANCELLED, _I.END): (_E.ABANDON, _S.OVER),
    (_S.OFFERED, _I.ACK): (_E.ACKNOWLEDGE, _S.OVER),
    (_S.OFFERED, _I.END): (_E.ABANDON, _S.OVER),
}
"""Every arrow. A pair that is not here is absorbed."""


class Road(Protocol):
    """What a passage goes along: the call, as far as it matters here."""

    core: Core
    exchange: Exchange

    def over(self, passage: Passage) -> None:
        """The passage is complete."""

    def crossing(self, message: Message, leg: Leg) -> bytes:
        """Which lines of the other side's message go along to the peer of `leg`."""

    def contact_head(self, leg: Leg) -> bytes:
        """Contact, Allow and Supported for a message that refreshes the target of `leg`'s peer."""

    def timer_head(self, leg: Leg) -> bytes:
        """Session timer lines for a request of ours that may refresh the session."""

    def timer_answer(self, leg: Leg) -> bytes:
        """The same for our 2xx to such a request; what was asked for holds from now on."""

    def timer_agreed(self, leg: Leg, response: Response, now: float) -> None:
        """The peer's 2xx to such a request of ours."""

    def timer_raised(self, leg: Leg, response: Response) -> bool:
        """A 422 of the peer's: whether a new `timer_head` may satisfy it."""

    def status_for(self, leg: Leg, other: Leg, response: Response) -> tuple[int, bytes]:
        """What a failure on `other` is called on `leg`: status and Reason line."""

    def gone(self, leg: Leg, ending: Ending, now: float) -> None:
        """The dialog of `leg` is no more: so is the call."""


class Passage:
    """A request that changes nothing, on its way across.

    Args:
        road: the call.
        source, target: the leg that was asked, and the one that is.
        request, reply, txn: what was asked, and how it is answered.
    """

    __slots__ = (
        "__weakref__",
        "_client",
        "_road",
        "_tries",
        "ack",
        "cseq",
        "dialog",
        "method",
        "reply",
        "source",
        "state",
        "target",
        "txn",
    )
    offers = False
    """Whether it may hold an offer: one such at a time on a leg."""

    def __init__(
        self,
        road: Road,
        source: Leg,
        target: Leg,
        request: Request,
        reply: ReplyBase,
        txn: ServerTransaction,
    ) -> None:
        self._road: Road | None = road
        self.source = source
        self.target = target
        self.method = request.method
        self.cseq = request.cseq
        self.reply: ReplyBase | None = reply
        self.txn: ServerTransaction | None = txn
        self.state = State.ASKED
        self.ack: tuple[Hop, bytes] | None = None
        """Our ACK to the target's 2xx, for its repetitions."""
        self.dialog: Dialog | None = None
        """The target's, if it is an early one."""
        self._client: ClientTransaction | None = None
        self._tries = 0

    def ask(self, method: bytes, head: bytes, body: bytes, now: float) -> None:
        """Send the request on."""
        self._client = self.target.ask(method, head, body, self, now, self.dialog)

    def resent(self, client: ClientTransaction) -> None:
        """The request went out once more, with what a challenge asked for."""
        self._client = client

    # What the transactions report

    def on_response(self, response: Response, now: float) -> None:
        """A response of the target."""
        if response.status < 200:
            self.handle(Input.PROVISIONAL, response, now)
        elif response.status < 300:
            self.handle(Input.SUCCESS, response, now)
        elif not self._again(response, now):
            self.handle(Input.FAILURE, response, now)

    def on_timeout(self, now: float) -> None:
        """The target has not answered: its dialog is taken for gone (RFC 3261 §12.2.1.2)."""
        cancelled = self.state is State.CANCELLED
        self.handle(Input.FAILURE, 487 if cancelled else 408, now)

    def on_transport_lost(self, now: float) -> None:
        """The request could not be carried."""
        self.handle(Input.FAILURE, 503, now)

    def on_timer(self, timer: IntEnum, now: float) -> None:
        """No final answer for too long."""

    def cancelled(self, request: Request, now: float) -> None:
        """The source's CANCEL."""
        self.handle(Input.CANCEL, request, now)

    def handle(self, event: Input, message: object, now: float) -> None:
        """One step. A pair that the table does not have is absorbed."""
        row = TABLE.get((self.state, event))
        road = self._road
        if row is None or road is None:
            return
        effect, self.state = row
        EFFECTS[effect](self, road, message, now)
        if self.state is State.OVER:
            self._close()

    def _close(self) -> None:
        """Nothing more is to be said to the source."""
        road, self._road = self._road, None
        if self.txn is not None:
            self.txn.user = None
        self.txn = self.reply = self._client = None
        if road is not None:
            road.over(self)

    def _again(self, response: Response, now: float) -> bool:
        """Whether the request is sent once more, for what the response asks can be done."""
        return False

    # Effects

    def _nothing(self, road: Road, message: object, now: float) -> None:
        pass

    def _watch(self, road: Road, message: object, now: float) -> None:
        pass

    def _answer(self, road: Road, message: object, now: float) -> None:
        if isinstance(message, Response):
            self._reply(message.status, road.crossing(message, self.source), b"", now)

    def _offer(self, road: Road, message: object, now: float) -> None:
        pass

    def _acknowledge(self, road: Road, message: object, now: float) -> None:
        pass

    def _refuse(self, road: Road, message: object, now: float) -> None:
        status, head = _failure(road, self, message)
        self._reply(status, head, b"", now)
        self._judge(road, message, now)

    def _cancel(self, road: Road, message: object, now: float) -> None:
        if self._client is not None:
            head = road.crossing(message, self.target) if isinstance(message, Request) else b""
            road.core.layer.cancel(self._client, now, head)

    def _abandon(self, road: Road, message: object, now: float) -> None:
        self._reply(487, b"", b"", now)

    def _reply(self, status: int, head: bytes, body: bytes, now: float) -> None:
        if self.txn is not None and self.reply is not None:
            self.source.respond(self.txn, self.reply, status, head, now, body)

    def _judge(self, road: Road, message: object, now: float) -> None:
        """End the call where the failure says that the target's dialog is gone."""
        status = message.status if isinstance(message, Response) else message
        lost = status == 503 and not isinstance(message, Response) and self.target.hop.reliable
        if status in _GONE or lost:
            cause = Cause.NO_RESPONSE if isinstance(message, int) else Cause.REJECTED
            text = f"side {self.target.side} answered {self.method.decode('ascii', 'replace')}"
            reason = f"{text} with {status}" if isinstance(message, Response) else "no answer"
            road.gone(self.target, Ending(cause, "border", reason, 481), now)


class Change(Passage):
    """A re-INVITE or UPDATE on its way across.

    Args:
        negotiations: of the source and of the target.
        offer: the source's, None for a late one.
    """

    __slots__ = ("_guard", "_n_source", "_n_target", "_offer_across", "_sent")
    offers = True

    def __init__(
        self,
        road: Road,
        source: Leg,
        target: Leg,
        request: Request,
        reply: ReplyBase,
        txn: ServerTransaction,
        negotiations: tuple[Negotiation, Negotiation],
    ) -> None:
        super().__init__(road, source, target, request, reply, txn)
        self._n_source, self._n_target = negotiations
        self._guard: Entry | None = None
        self._sent = b"", b"", b""

    def begin(
        self,
        road: Road,
        method: bytes,
        request: Request,
        offer: Session | None,
        now: float,
        rack: bytes = b"",
    ) -> None:
        """Open the offer on both legs and send it on.

        Args:
            method: that the target gets it by.
            rack: the RAck line of a PRACK.

        Raises:
            ProtocolError: the source's offer cannot be taken; nothing has changed.
            RelayError: no port for a stream that is new.
        """
        body = b""
        if offer is not None:
            self._n_source.receive_offer(offer)
            try:
                body = road.exchange.propose(self.source, offer, self.target, self._n_target)
            except (ProtocolError, RelayError):
                self._n_source.refused()
                raise
        if request.method == UPDATE and method == INVITE:
            layer = road.core.layer  # its sender waits no longer than 64*T1
            self._guard = layer.arm_long(self, Guard.PATIENCE, layer.values.give_up_s / 2, now)
        self._sent = method, rack + road.crossing(request, self.target), body
        self._send(road, now)

    def _send(self, road: Road, now: float) -> None:
        method, crossing, body = self._sent
        head = crossing
        if method != PRACK:  # which refreshes neither target nor session
            head = road.contact_head(self.target) + road.timer_head(self.target) + crossing
        self.ask(method, head + CONTENT_TYPE_SDP if body else head, body, now)

    def on_response(self, response: Response, now: float) -> None:
        """A response of the target; of a 2xx's repetitions, each gets the ACK again."""
        if 200 <= response.status < 300 and self._sent[0] == INVITE:
            if self.state is State.OVER:
                self._repeated(response)
                return
            if not self._sent[2]:
                self.handle(Input.OFFER, response, now)
                return
        super().on_response(response, now)

    def on_timer(self, timer: IntEnum, now: float) -> None:
        """No final answer for too long: give it up, as the source might have done."""
        self._guard = None
        self.handle(Input.CANCEL, None, now)

    def acked(self, request: Request, now: float) -> None:
        """The source's ACK to our 2xx."""
        self.handle(Input.ACK, request, now)

    def _repeated(self, response: Response) -> None:
        if self.ack is None:  # the 2xx came after the call was over
            if not self._sent[2]:
                with suppress(ProtocolError):
                    self._n_target.receive_offer(_described(response))
            self.ack = self.target.acknowledge(self._n_target.decline())
        else:
            self.target.core.layer.transmit(*self.ack)

    def _close(self) -> None:
        if self._guard is not None:
            self._guard.cancel()
            self._guard = None
        super()._close()

    def _again(self, response: Response, now: float) -> bool:
        road = self._road
        if road is None or self.state is not State.ASKED or self._tries >= 3:
            return False
        if response.status == 422 and road.timer_raised(self.target, response):
            self._tries += 1
            self._send(road, now)
            return True
        return False

    # Effects

    def _watch(self, road: Road, message: object, now: float) -> None:
        if self._guard is None:
            layer = road.core.layer
            self._guard = layer.arm_long(self, Guard.PATIENCE, _PATIENCE_S, now)

    def _answer(self, road: Road, message: object, now: float) -> None:
        response = _response(message)
        self._took(road, response, now)
        if self._sent[0] == INVITE:
            self.ack = self.target.acknowledge()
        body = b""
        if self._sent[2]:
            try:
                session = _described(response)
                body = road.exchange.conclude(
                    self.source, self.target, session, (self._n_source, self._n_target)
                )
            except ProtocolError as error:
                # The target takes the change for made; what it says of it means nothing to us.
                road.core.say(30, "leg.bad_answer", "", detail=str(error))
                road.exchange.withdraw(self._n_source, self._n_target)
                self._reply(488, b"", b"", now)
                return
        self._succeed(road, response, body, now)

    def _offer(self, road: Road, message: object, now: float) -> None:
        response = _response(message)
        self._took(road, response, now)
        try:
            offer = _described(response)
            self._n_target.receive_offer(offer)
            body = road.exchange.propose(self.target, offer, self.source, self._n_source)
        except (ProtocolError, RelayError):
            self.ack = self.target.acknowledge(self._n_target.decline())
            self.state = State.OVER
            self._reply(488, b"", b"", now)
            return
        self._succeed(road, response, body, now)

    def _acknowledge(self, road: Road, message: object, now: float) -> None:
        negotiations = self._n_target, self._n_source
        try:
            answer = _described(message)
            body = road.exchange.conclude(self.target, self.source, answer, negotiations)
        except ProtocolError:
            # An ACK cannot be refused. What held before is what the source still stands for.
            held = road.exchange.hold_to(self.source, self.target, negotiations)
            self.ack = self.target.acknowledge(held or self._n_target.decline())
            if not held:
                ending = Ending(Cause.UNSUPPORTED_MEDIA, "border", "no answer in the ACK", 488)
                road.gone(self.source, ending, now)
            return
        self.ack = self.target.acknowledge(body)

    def _refuse(self, road: Road, message: object, now: float) -> None:
        road.exchange.withdraw(self._n_source, self._n_target)
        super()._refuse(road, message, now)

    def _abandon(self, road: Road, message: object, now: float) -> None:
        if self.ack is None and self._was_offered():
            self.ack = self.target.acknowledge(self._n_target.decline())
        elif self._client is not None:
            road.core.layer.cancel(self._client, now)
        self._reply(487, b"", b"", now)

    def _was_offered(self) -> bool:
        return self.reply is None

    def _took(self, road: Road, response: Response, now: float) -> None:
        """The target's 2xx: what it says of itself holds."""
        if self._sent[0] == PRACK:
            return
        self.target.refresh_target(response, self.dialog)
        self.target.learn(response)
        road.timer_agreed(self.target, response, now)

    def _succeed(self, road: Road, response: Response, body: bytes, now: float) -> None:
        """The 2xx to the source."""
        if self.txn is None or self.reply is None:
            return
        source, txn, reply = self.source, self.txn, self.reply
        head = road.crossing(response, source)
        if self.method != PRACK:
            head = road.contact_head(source) + road.timer_answer(source) + head
        if body:
            head += CONTENT_TYPE_SDP
        if self.method != INVITE:
            source.respond(txn, reply, 200, head, now, body)
            return
        txn.user = None
        self.txn = self.reply = None
        source.accept(reply.build(200, head=head, body=body), self.cseq, txn, now)


_Step = Callable[[Passage, Road, object, float], None]
EFFECTS: Final[Mapping[Effect, _Step]] = {
    Effect.NOTHING: lambda passage, *rest: passage._nothing(*rest),
    Effect.WATCH: lambda passage, *rest: passage._watch(*rest),
    Effect.ANSWER: lambda passage, *rest: passage._answer(*rest),
    Effect.OFFER: lambda passage, *rest: passage._offer(*rest),
    Effect.REFUSE: lambda passage, *rest: passage._refuse(*rest),
    Effect.CANCEL: lambda passage, *rest: passage._cancel(*rest),
    Effect.ACKNOWLEDGE: lambda passage, *rest: passage._acknowledge(*rest),
    Effect.ABANDON: lambda passage, *rest: passage._abandon(*rest),
}


def _response(message: object) -> Response:
    if not isinstance(message, Response):
        raise LocalProtocolError("a step without its response")
    return message


def _described(message: object) -> Session:
    """The session description in a message.

    Raises:
        ProtocolError: there is none, or none that can be read.
    """
    if not isinstance(message, Message) or not message.body or message.content_type != SDP:
        raise ProtocolError("expected a description in SDP", status=488)
    return parse(message.body)


def _failure(road: Road, passage: Passage, message: object) -> tuple[int, bytes]:
    """Status and further lines of the source's final answer."""
    if isinstance(message, Response):
        return road.status_for(passage.source, passage.target, message)
    status = message if isinstance(message, int) else 500
    return (500 if status == 503 else status), b""
