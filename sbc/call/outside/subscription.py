"""A SUBSCRIBE that makes dialogs (RFC 6665 §4.4.1), and who answers it.

One SUBSCRIBE of ours may reach many notifiers. Each that answers, by the 2xx or by a NOTIFY that
may come before it, has a dialog with us, and the subscriber has one of its own for it: a `Pair`.
All of them answer under the tag of our SUBSCRIBE (`Notifiers`); new ones are let in for 64*T1.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Protocol

from policies.facts import Target
from policies.settings import TrunkSettings
from sbc.call.core import Core
from sbc.call.crossing import parcel
from sbc.call.legs.local import LocalEnd
from sbc.call.outside.errand import Clock, Errand, Waiting
from sbc.call.outside.pair import DEFAULT_S, LONGEST_S, Pair, Side, granted_s
from sbc.call.outside.pair_states import Input, State
from sbc.dialog.dialog import Dialog
from sbc.errors import ParseError, RemoteProtocolError
from sbc.ids import Token
from sbc.sip.message import Request, Response
from sbc.sip.serialise import ReplyBase
from sbc.sip.status import NOTIFY, SUBSCRIBE
from sbc.transaction.hop import Hop
from sbc.transaction.machine import ClientTransaction, ServerTransaction
from sbc.transaction.request import ClientRequest
from sbc.transaction.timers import Entry

__all__ = ["Ledger", "Notifiers", "Subscribing"]

_MOST_FORKS: Final = 32
_RECORD_ROUTE: Final = frozenset((b"record-route",))


class Ledger(Waiting, Protocol):
    """Who keeps count of subscriptions."""

    def may_hold(self, trunk: TrunkSettings) -> bool:
        """Whether the trunk may have one more."""

    def held(self, pair: Pair) -> None:
        """There is one more."""

    def released(self, pair: Pair) -> None:
        """There is one less."""


class Subscribing(Errand):
    """The first SUBSCRIBE, on its way.

    Args:
        owner: who keeps count.
        trunk: the subscriber's.
        request, reply, txn: as of any errand.
    """

    __slots__ = ("_event", "_ledger", "_notifiers", "_sent_event", "_token", "expires_s")

    def __init__(
        self,
        owner: Ledger,
        trunk: TrunkSettings,
        request: Request,
        reply: ReplyBase,
        txn: ServerTransaction,
    ) -> None:
        super().__init__(owner, trunk, request, reply, txn)
        self._ledger = owner
        self._token = self.core.mint.token()
        self._event = request.first(b"event") or b""
        self._sent_event = b""
        asked_s = parcel.seconds(request.first(b"expires"))
        self.expires_s = DEFAULT_S if asked_s is None else min(asked_s, LONGEST_S)
        self._notifiers: Notifiers | None = None
        """Those that the place that is being tried may lead to."""

    def notified(self) -> None:
        """A notifier is there: no other place is asked (its 2xx is on the way, or lost)."""
        self._places, self._targets = [], []

    def pair(self, notifiers: Notifiers, dialog: Dialog, number: int, now: float) -> Pair:
        """The two dialogs for one more notifier.

        Raises:
            ProtocolError: the subscriber's Contact or routes cannot be read.
        """
        core, hop, token = self.core, self._txn.hop, self._token
        tag = b"%b.%d" % (token, number)
        near = Side(core, self.trunk, core.ends.of(hop), hop, token)
        near.nat = near.nat or self.request.via.host != hop.host.encode()
        near.dialog = Dialog.from_request(self.request, tag, confirmed=True)
        near.redirect()
        far = Side(core, notifiers.trunk, notifiers.end, notifiers.hop, notifiers.token)
        far.dialog = dialog
        near.branches = far.branches = number << 20  # of one token, but never twice
        far.redirect()
        pair = Pair(notifiers, near, far, (self._event, self._sent_event), self.expires_s)
        core.dialogs[tag] = near
        self._ledger.held(pair)
        return pair

    def _along(self, target: Target, end: LocalEnd, token: Token) -> bytes:
        self._sent_event = parcel.package_of(self._event, self.core, end.host)
        if not self._sent_event:
            raise RemoteProtocolError("an event package that cannot cross", status=489)
        head = end.contact(token) + b"Event: %b\r\n" % self._sent_event
        if self.request.first(b"expires") is not None:
            head += b"Expires: %d\r\n" % self.expires_s
        less = parcel.EVENT | parcel.EXPIRES
        return head + parcel.lines(
            self.core, self.request, SUBSCRIBE, self.trunk, target.trunk, end.host, less
        )

    def _leaves(
        self,
        request: ClientRequest,
        target: Target,
        end: LocalEnd,
        hop: Hop,
        token: Token,
        now: float,
    ) -> None:
        if self._notifiers is not None:
            self._notifiers.given_up()
        self._notifiers = Notifiers(self, self._ledger, target.trunk, end, hop, token, request)
        self._notifiers.listen(now)

    def _resent(self, request: ClientRequest, client: ClientTransaction) -> None:
        super()._resent(request, client)
        if self._notifiers is not None:
            self._notifiers.request = request

    def _succeeded(self, response: Response, now: float) -> None:
        notifiers = self._notifiers
        if notifiers is None:
            return
        try:
            pair = notifiers.confirmed(response, now)
        except (ParseError, RemoteProtocolError):
            self.core.counters["unreadable_2xx"] += 1
            self._failed(502, None, now)
            return
        end = self.core.ends.of(self._txn.hop)
        expires_s = granted_s(response, self.expires_s)
        head = self.request.lines(_RECORD_ROUTE) + end.contact(self._token)
        head += b"Expires: %d\r\n" % expires_s
        head += self._across(response, end, parcel.EXPIRES | parcel.EVENT)
        tag = pair.near.dialog.local_tag if pair.near.dialog is not None else b""
        self._answer(response.status, head, now, tag=tag)
        pair.accepted(expires_s, now)

    def _answer(
        self, status: int, head: bytes, now: float, body: bytes = b"", tag: bytes = b""
    ) -> None:
        notifiers = self._notifiers
        super()._answer(status, head, now, body, tag)
        if status >= 300 and notifiers is not None:
            notifiers.given_up()


class Notifiers:
    """All notifiers that answer one SUBSCRIBE of ours (a `core.Party`).

    Args:
        errand: the SUBSCRIBE, while new ones are let in.
        ledger: who keeps count.
        trunk, end, hop, token: of the request as it was sent.
        request: what was sent.
    """

    __slots__ = (
        "_clock",
        "_errand",
        "_ledger",
        "core",
        "end",
        "hop",
        "pairs",
        "request",
        "token",
        "trunk",
    )

    def __init__(
        self,
        errand: Subscribing,
        ledger: Ledger,
        trunk: TrunkSettings,
        end: LocalEnd,
        hop: Hop,
        token: Token,
        request: ClientRequest,
    ) -> None:
        self._errand: Subscribing | None = errand
        self._ledger = ledger
        self.core: Core = errand.core
        self.trunk = trunk
        self.end = end
        self.hop = hop
        self.token = token
        self.request: ClientRequest | None = request
        self.pairs: dict[bytes, Pair] = {}
        """By the notifier's tag; while new ones are let in, those that are over, too."""
        self._clock: Entry | None = None

    @property
    def tag(self) -> bytes:
        """Our From-tag."""
        return self.token + b".0"

    def listen(self, now: float) -> None:
        """The SUBSCRIBE is about to leave."""
        layer = self.core.layer
        self.core.dialogs[self.tag] = self
        self._clock = layer.arm_long(self, Clock.FORKS, layer.values.give_up_s, now)

    def given_up(self) -> None:
        """The SUBSCRIBE has come to nothing; who has notified all the same, stays."""
        if self._errand is not None and not any(one.near.pair for one in self.pairs.values()):
            self._settle()

    def owns(self, request: Request) -> bool:
        """A known notifier, or the first NOTIFY of a new one (RFC 6665 §4.4.1)."""
        if request.call_id != self.token or not request.from_tag:
            return False
        known = self.pairs.get(request.from_tag)
        if known is not None:
            return known.near.pair is not None
        return request.method == NOTIFY and self._errand is not None

    def receive(
        self, request: Request, reply: ReplyBase, txn: ServerTransaction, now: float
    ) -> None:
        """A request of a notifier. Answers it, or sees that it is answered."""
        known = pair = self.pairs.get(request.from_tag)
        if pair is None:
            try:
                pair = self._new(self._notified(request), now)
            except (ParseError, RemoteProtocolError) as error:
                data = reply.build(error.status)
                self.core.layer.respond(txn, error.status, data, now)
                return
            if self._errand is not None:
                self._errand.notified()
        pair.far.receive(request, reply, txn, now)
        if known is None and pair.state is State.WAITING:
            pair.handle(Input.GONE, None, now)  # its first word was refused: there is nothing

    def acked(self, request: Request, now: float) -> None:
        """An ACK means nothing here."""

    def confirmed(self, response: Response, now: float) -> Pair:
        """The pair of the notifier that has sent the 2xx.

        Raises:
            ProtocolError: its dialog cannot be made.
        """
        known = self.pairs.get(response.to_tag)
        if known is not None:
            return known
        if self.request is None:
            raise RemoteProtocolError("a 2xx that comes too late")
        dialog = Dialog.from_response(self.request, response)
        dialog.next_hop_uri()
        return self._new(dialog, now)

    def over(self, pair: Pair) -> None:
        """One pair is to be forgotten."""
        if pair.near.dialog is not None:
            self.core.dialogs.pop(pair.near.dialog.local_tag, None)
        self._ledger.released(pair)
        if self._errand is None:
            self._forget_those_over()

    def on_timer(self, timer: IntEnum, now: float) -> None:
        """No new notifier is let in any more."""
        if self._clock is not None and self._clock.owner is None:
            self._settle()

    def _notified(self, request: Request) -> Dialog:
        """The dialog that a NOTIFY makes."""
        dialog = Dialog.from_request(request, self.tag, confirmed=True)
        dialog.remote_cseq = None  # it is checked with the request
        if self.request is not None:
            dialog.local_cseq = self.request.cseq
        dialog.next_hop_uri()
        return dialog

    def _new(self, dialog: Dialog, now: float) -> Pair:
        errand = self._errand
        if errand is None or len(self.pairs) >= _MOST_FORKS:
            raise RemoteProtocolError("no more notifiers than these", status=481)
        if not self._ledger.may_hold(errand.trunk):
            raise RemoteProtocolError("too many subscriptions", status=503)
        pair = errand.pair(self, dialog, len(self.pairs) + 1, now)
        self.pairs[dialog.remote_tag] = pair
        return pair

    def _settle(self) -> None:
        """Keep those that are there, and nothing for others."""
        self._errand = None
        self.request = None
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
        self._forget_those_over()

    def _forget_those_over(self) -> None:
        self.pairs = {tag: pair for tag, pair in self.pairs.items() if pair.near.pair is not None}
        if not self.pairs:
            self.core.dialogs.pop(self.tag, None)
