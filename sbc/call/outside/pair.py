"""Two dialogs that are one subscription, and the requests that cross between them.

    subscriber ──SUBSCRIBE──▶ near │ far ──SUBSCRIBE──▶ notifier
    subscriber ◀──NOTIFY───── near │ far ◀──NOTIFY───── notifier

Each request is answered with what its twin on the other side was answered. Event packages are
opaque: their bodies cross by `crossing/bodies.py`, and nothing else of them matters here. The
subscriber is shown its own Event header again, whatever of it the notifier has seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Final, Protocol

from policies.responses import map_status
from sbc.call.core import Core
from sbc.call.crossing import parcel
from sbc.call.legs.capabilities import options_head, outside_head, unsupported
from sbc.call.legs.link import Link
from sbc.call.outside.errand import LISTENS, Clock
from sbc.call.outside.pair_states import TABLE, Effect, Input, State
from sbc.errors import ParseError, RemoteProtocolError
from sbc.sip.message import Request, Response
from sbc.sip.serialise import ReplyBase
from sbc.sip.status import METHODS, NOTIFY, OPTIONS, SUBSCRIBE
from sbc.transaction.machine import ServerTransaction
from sbc.transaction.timers import Entry

__all__ = ["DEFAULT_S", "EFFECTS", "LONGEST_S", "Carried", "Holder", "Pair", "Side", "granted_s"]

LONGEST_S: Final = 86_400
"""What a subscriber that asks for more is granted: it may refresh."""
DEFAULT_S: Final = 3600
"""Where neither side has said how long."""
_MOST_OPEN: Final = 16
"""Requests of one pair that wait for their answers."""
_ENDING: Final = frozenset((404, 405, 410, 416, *range(480, 486), 489, 501, 604))
"""Answers after which there is no subscription any more (RFC 6665 §4.1.2.2, §4.2.2)."""


class Holder(Protocol):
    """Who keeps a pair."""

    def over(self, pair: Pair) -> None:
        """It is to be forgotten."""


class Side(Link):
    """One of the two dialogs (a `core.Party`)."""

    __slots__ = ("pair",)
    pair: Pair | None

    def owns(self, request: Request) -> bool:
        """Whether the request's Call-ID and tags are those of the dialog."""
        dialog = self.dialog
        return (
            dialog is not None
            and request.call_id == dialog.call_id
            and request.from_tag == dialog.remote_tag
            and request.to_tag == dialog.local_tag
        )

    def receive(
        self, request: Request, reply: ReplyBase, txn: ServerTransaction, now: float
    ) -> None:
        """A request inside the dialog. Answers it, or sees that it is answered."""
        try:
            if self.dialog is not None:
                self.dialog.check_request(request)
            if self.pair is None:
                raise RemoteProtocolError("no such subscription", status=481)
            self.pair.asked(self, request, reply, txn, now)
        except (ParseError, RemoteProtocolError) as error:
            head = parcel.ACCEPTED if error.status == 415 else b""
            self.respond(txn, reply, error.status, head, now)

    def acked(self, request: Request, now: float) -> None:
        """An ACK means nothing here."""


class Pair:
    """One subscription at one notifier.

    Args:
        holder: who keeps it.
        near, far: our dialogs with the subscriber and with the notifier.
        event: the subscriber's Event header, and the one that the notifier was shown.
        expires_s: what the subscriber has asked for.
    """

    __slots__ = (
        "_clock",
        "_expires_s",
        "_holder",
        "_open",
        "core",
        "event",
        "far",
        "near",
        "state",
    )

    def __init__(
        self, holder: Holder, near: Side, far: Side, event: tuple[bytes, bytes], expires_s: int
    ) -> None:
        self._holder: Holder | None = holder
        self.core: Core = near.core
        self.near = near
        self.far = far
        near.pair = far.pair = self
        self.event = event
        self.state = State.WAITING
        self._expires_s = expires_s
        self._open = 0
        self._clock: Entry | None = None

    def handle(self, event: Input, expires_s: int | None, now: float) -> None:
        """One step. A pair that the table does not have is absorbed.

        Args:
            expires_s: how long the subscription goes on from now; None: as was said before.
        """
        row = TABLE.get((self.state, event))
        if row is not None:
            effect, self.state = row
            EFFECTS[effect](self, expires_s, now)

    def on_timer(self, timer: IntEnum, now: float) -> None:
        """The time is over."""
        if self._clock is not None and self._clock.owner is None:
            self.handle(Input.EXPIRED, None, now)

    # Requests

    def asked(
        self, side: Side, request: Request, reply: ReplyBase, txn: ServerTransaction, now: float
    ) -> None:
        """A request of either peer, in its order.

        Raises:
            ParseError, RemoteProtocolError: what it is refused with.
        """
        method = request.method
        missing = unsupported(request, side.trunk)
        if missing:
            side.respond(txn, reply, 420, missing, now)
        elif method == OPTIONS:
            side.respond(txn, reply, 200, options_head(side.trunk), now)
        elif method != (SUBSCRIBE if side is self.near else NOTIFY):
            status = 405 if method in METHODS else 501
            side.respond(txn, reply, status, outside_head(side.trunk), now)
        elif self._open >= _MOST_OPEN:
            side.respond(txn, reply, 503, b"", now)
        elif side is self.near:
            self._subscribed(Carried(self, side, self.far, request, reply, txn), request, now)
        else:
            self._notified(Carried(self, side, self.near, request, reply, txn), request, now)

    def _subscribed(self, carried: Carried, request: Request, now: float) -> None:
        """A refresh, or the end (RFC 6665 §4.1.2.2, §4.1.2.3)."""
        self._check_event(request, self.event[0])
        expires_s = parcel.seconds(request.first(b"expires"))
        carried.expires_s = self._expires_s if expires_s is None else min(expires_s, LONGEST_S)
        content = parcel.contents(self.core, request, self.far.end.host)
        if content is None:
            raise RemoteProtocolError("a body that cannot cross", status=415)
        head = b"Event: %b\r\nExpires: %d\r\n" % (self.event[1], carried.expires_s)
        head += self._lines(self.near, self.far, request, parcel.EVENT | parcel.EXPIRES)
        self.near.refresh_target(request)
        carried.send(SUBSCRIBE, head + content[0], content[1], now)

    def _notified(self, carried: Carried, request: Request, now: float) -> None:
        """News, or the end (RFC 6665 §4.1.3)."""
        self._check_event(request, self.event[1])
        state, _, params = (request.first(b"subscription-state") or b"").partition(b";")
        if not state.strip():
            raise ParseError("Subscription-State", "expected it in a NOTIFY")
        last = state.strip().lower() == b"terminated"
        content = parcel.contents(self.core, request, self.near.end.host)
        if content is None and not last:
            raise RemoteProtocolError("a body that cannot cross", status=415)
        head = b"Event: %b\r\n" % self.event[0]
        head += self._lines(self.far, self.near, request, parcel.EVENT)
        self.far.refresh_target(request)
        content_head, body = content or (b"", b"")
        carried.send(NOTIFY, head + content_head, body, now)
        self.handle(Input.LAST if last else Input.NOTIFY, _expires_in(params), now)

    def _check_event(self, request: Request, ours: bytes) -> None:
        if parcel.event_of(request.first(b"event")) != parcel.event_of(ours):
            raise RemoteProtocolError("another event than was subscribed to", status=489)

    def _lines(
        self, source: Side, target: Side, message: Request | Response, less: frozenset[bytes]
    ) -> bytes:
        """Contact, and what of the message crosses."""
        method = message.cseq_method
        return target.end.contact(target.token) + parcel.lines(
            self.core, message, method, source.trunk, target.trunk, target.end.host, less
        )

    # Their answers

    def opened(self, by: int) -> None:
        """One more request waits for its answer, or one less."""
        self._open += by

    def answered(self, carried: Carried, response: Response, now: float) -> None:
        """The final answer to a request that crossed."""
        source, target, status = carried.source, carried.target, response.status
        less = parcel.EVENT | parcel.EXPIRES
        if status >= 300:
            of, to = target.trunk, source.trunk
            head = parcel.lines(
                self.core, response, carried.method, of, to, source.end.host, parcel.EVENT
            )
            carried.answer(map_status(status, of, to), head, b"", now)
            if status in _ENDING:
                self.handle(Input.GONE, None, now)
            return
        if response.contact is not None:
            target.refresh_target(response)
        content = parcel.contents(self.core, response, source.end.host) or (b"", b"")
        head = self._lines(target, source, response, less)
        if carried.method == SUBSCRIBE:
            expires_s = granted_s(response, carried.expires_s)
            head += b"Expires: %d\r\n" % expires_s
            carried.answer(status, head + content[0], content[1], now)
            self.accepted(expires_s, now)
        else:
            carried.answer(status, head + content[0], content[1], now)

    def unanswered(self, carried: Carried, status: int, now: float) -> None:
        """No answer to a request that crossed: the subscriber is gone; a notifier may come back."""
        carried.answer(map_status(status, None, carried.source.trunk), b"", b"", now)
        if carried.source is self.far or carried.expires_s == 0:
            self.handle(Input.GONE, None, now)

    def accepted(self, expires_s: int, now: float) -> None:
        """A 2xx of the notifier's to a SUBSCRIBE."""
        self.handle(Input.ACCEPTED if expires_s else Input.LEFT, expires_s, now)

    # Effects

    def _nothing(self, expires_s: int | None, now: float) -> None:
        pass

    def _watch(self, expires_s: int | None, now: float) -> None:
        if expires_s is None and self._clock is not None:
            return
        if expires_s is not None:
            self._expires_s = min(expires_s, LONGEST_S)
        self._arm(self._expires_s + self.core.layer.values.give_up_s, now)

    def _linger(self, expires_s: int | None, now: float) -> None:
        self._arm(self.core.layer.values.give_up_s, now)

    def _tell(self, expires_s: int | None, now: float) -> None:
        """The notifier has said nothing, so it will not any more (RFC 6665 §4.2.2)."""
        head = self.near.end.contact(self.near.token) + b"Event: %b\r\n" % self.event[0]
        head += b"Subscription-State: terminated;reason=timeout\r\n"
        self.near.ask(NOTIFY, head, b"", None, now)
        self._close(expires_s, now)

    def _close(self, expires_s: int | None, now: float) -> None:
        holder, self._holder = self._holder, None
        self.near.pair = self.far.pair = None
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
        if holder is not None:
            holder.over(self)

    def _arm(self, duration_s: float, now: float) -> None:
        if self._clock is not None:
            self._clock.cancel()
        self._clock = self.core.layer.arm_long(self, Clock.EXPIRY, duration_s, now)


EFFECTS: Final[Mapping[Effect, Callable[[Pair, int | None, float], None]]] = {
    Effect.NOTHING: Pair._nothing,
    Effect.WATCH: Pair._watch,
    Effect.LINGER: Pair._linger,
    Effect.CLOSE: Pair._close,
    Effect.TELL: Pair._tell,
}


class Carried:
    """One request within a subscription, on its way across.

    Args:
        pair: whose it is.
        source, target: where it came from, and where it goes.
        request, reply, txn: what was asked, and how it is answered.
    """

    __slots__ = (
        "_clock",
        "_pair",
        "_reply",
        "_txn",
        "expires_s",
        "method",
        "source",
        "target",
    )

    def __init__(
        self,
        pair: Pair,
        source: Side,
        target: Side,
        request: Request,
        reply: ReplyBase,
        txn: ServerTransaction,
    ) -> None:
        self._pair: Pair | None = pair
        self.source = source
        self.target = target
        self.method = request.method
        self.expires_s = -1
        """Of a SUBSCRIBE: for how long."""
        self._reply = reply
        self._txn = txn
        self._clock: Entry | None = None

    def send(self, method: bytes, head: bytes, body: bytes, now: float) -> None:
        """Send the request on."""
        layer = self.source.core.layer
        if self._pair is not None:
            self._pair.opened(1)
        patience_s = LISTENS * layer.values.give_up_s
        self._clock = layer.arm_long(self, Clock.PATIENCE, patience_s, now)
        self.target.ask(method, head, body, self, now)

    def answer(self, status: int, head: bytes, body: bytes, now: float) -> None:
        """The final answer; once."""
        pair, self._pair = self._pair, None
        if pair is None:
            return
        pair.opened(-1)
        if self._clock is not None:
            self._clock.cancel()
        self.source.respond(self._txn, self._reply, status, head, now, body)

    def on_response(self, response: Response, now: float) -> None:
        """A response of the other peer."""
        if response.status >= 200 and self._pair is not None:
            self._pair.answered(self, response, now)

    def on_timeout(self, now: float) -> None:
        """Timer F: later than our own patience, so seldom."""
        self._unanswered(504, now)

    def on_transport_lost(self, now: float) -> None:
        """The request could not be carried."""
        self._unanswered(503, now)

    def on_timer(self, timer: IntEnum, now: float) -> None:
        """The peer is silent, and the other one still listens (RFC 4321)."""
        if self._clock is not None and self._clock.owner is None:
            self._unanswered(504, now)

    def _unanswered(self, status: int, now: float) -> None:
        if self._pair is not None:
            self._pair.unanswered(self, status, now)


def granted_s(response: Response, asked_s: int) -> int:
    """How long a 2xx says that the subscription goes on; never longer than was asked for."""
    said = parcel.seconds(response.first(b"expires"))
    return asked_s if said is None else min(said, asked_s)


def _expires_in(params: bytes) -> int | None:
    """`expires` of a Subscription-State."""
    for param in params.split(b";"):
        name, _, value = param.partition(b"=")
        if name.strip().lower() == b"expires":
            return parcel.seconds(value)
    return None
