"""A re-INVITE or UPDATE on its way across: an offer opened on both legs, and closed on both.

See `passage.py` for the way that it takes, and `passage_states.py` for its states.
"""

from __future__ import annotations

from contextlib import suppress
from enum import IntEnum
from typing import Final

from sbc.call.cdr import Cause
from sbc.call.in_dialog.passage import Passage, Road
from sbc.call.in_dialog.passage_states import Input, State
from sbc.call.legs.leg import CONTENT_TYPE_SDP, SDP, Leg
from sbc.call.states import Ending
from sbc.errors import LocalProtocolError, ProtocolError, RelayError
from sbc.sdp.model import Session
from sbc.sdp.offer_answer import Negotiation
from sbc.sdp.parser import parse
from sbc.sip.message import Message, Request, Response
from sbc.sip.serialise import ReplyBase
from sbc.sip.status import INVITE, PRACK, UPDATE
from sbc.transaction.machine import ServerTransaction
from sbc.transaction.timers import Entry

__all__ = ["Change", "Guard"]

_PATIENCE_S: Final = 60.0
"""Provisional to final answer of a re-INVITE: nobody rings within a call."""


class Guard(IntEnum):
    """A passage's own timer."""

    PATIENCE = 80


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
            self.ack = self.target.acknowledge(self._n_target.decline(), self.dialog)
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
            held = self._held(road)
            self.ack = self.target.acknowledge(held or self._n_target.decline())
            if not held:
                ending = Ending(Cause.UNSUPPORTED_MEDIA, "border", "no answer in the ACK", 488)
                road.gone(self.source, ending, now)
            return
        self.ack = self.target.acknowledge(body)

    def _held(self, road: Road) -> bytes:
        """What the source said last as an answer to the target's offer; b"": it is none."""
        road.exchange.withdraw(self._n_source)
        offer = self._n_target.remote
        if offer is None:
            return b""
        try:
            pair = self._n_target, self._n_source
            return road.exchange.stand_in(self.target, self.source, offer, pair)
        except ProtocolError:
            return b""

    def _refuse(self, road: Road, message: object, now: float) -> None:
        road.exchange.withdraw(self._n_source, self._n_target)
        super()._refuse(road, message, now)

    def _abandon(self, road: Road, message: object, now: float) -> None:
        if self.ack is None and self._was_offered():
            self.ack = self.target.acknowledge(self._n_target.decline())
        elif self._client is not None:
            road.core.layer.cancel(self._client, now)
            self.dialog = self.dialog or self.target.dialog  # a 2xx may come all the same
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
