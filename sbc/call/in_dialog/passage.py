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
from enum import IntEnum
from typing import Final, Protocol

from sbc.call.answers import help_head
from sbc.call.cdr import Cause
from sbc.call.core import Core
from sbc.call.in_dialog.passage_states import TABLE, Effect, Input, State
from sbc.call.legs.leg import Leg
from sbc.call.media.exchange import Exchange
from sbc.call.states import Ending
from sbc.dialog.dialog import Dialog
from sbc.sip.message import Message, Request, Response
from sbc.sip.serialise import ReplyBase
from sbc.transaction.hop import Hop
from sbc.transaction.machine import ClientTransaction, ServerTransaction

__all__ = ["EFFECTS", "Passage", "Road"]

_GONE: Final = frozenset((408, 481))
"""What says that the peer's side of the dialog is no more (RFC 5057 §5.1)."""


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
        """The target's, if it is an early one, or the call is over."""
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
        """End the call where the failure says that the target's dialog is gone.

        Not what was asked in an early dialog: there the INVITE's answer says what becomes of it.
        """
        if self.dialog is not None and not self.offers:
            return
        status = message.status if isinstance(message, Response) else message
        lost = status == 503 and not isinstance(message, Response) and self.target.hop.reliable
        if status in _GONE or lost:
            cause = Cause.NO_RESPONSE if isinstance(message, int) else Cause.REJECTED
            text = f"side {self.target.side} answered {self.method.decode('ascii', 'replace')}"
            reason = f"{text} with {status}" if isinstance(message, Response) else "no answer"
            road.gone(self.target, Ending(cause, "border", reason, 481), now)


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


def _failure(road: Road, passage: Passage, message: object) -> tuple[int, bytes]:
    """Status and further lines of the source's final answer."""
    if isinstance(message, Response):
        status, head = road.status_for(passage.source, passage.target, message)
        return status, head + help_head(status, passage.method, passage.source.trunk)
    status = message if isinstance(message, int) else 500
    return (500 if status == 503 else status), b""
