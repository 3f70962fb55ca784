"""One request outside any dialog on its way from trunk to trunk.

MESSAGE (RFC 3428), PUBLISH (RFC 3903), OPTIONS, whatever trunks name; SUBSCRIBE is a special case
of it (`subscription.py`).

Targets are tried in turn as for a call (`targets/hunt.py`), but against the clock: the sender waits
64*T1 and no longer, and a 408 may not be told it (RFC 4320, RFC 4321). So each place gets an equal
share of the time that is left, and the sender hears 504 while it still listens. What a silent place
says later concerns nobody.

    sender ──MESSAGE──▶ located? ──▶ asked ──2xx──▶ told
                           ▲           │ silence, no way, a status of `failover`
                           └───────────┘
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, Protocol

from policies.facts import Target
from policies.responses import map_status
from policies.settings import Redirect, TrunkSettings
from sbc.call.core import Core
from sbc.call.crossing import parcel
from sbc.call.crossing.headers import party
from sbc.call.digest.credentials import Signer
from sbc.call.incoming import loop_mark
from sbc.call.legs.capabilities import outside_head, refused_head
from sbc.call.legs.local import LocalEnd
from sbc.call.targets.hunt import asked_pause_s, rank_of
from sbc.call.targets.outgoing import AUTO_LIMIT_BYTES, DEFAULT_HOPS, in_uri, request_uri, ways_to
from sbc.call.targets.redirect import shown
from sbc.errors import ParseError, RemoteProtocolError
from sbc.ids import BRANCH_COOKIE, Token
from sbc.resolve.records import Place
from sbc.sip.message import Request, Response
from sbc.sip.serialise import ReplyBase
from sbc.sip.status import OPTIONS
from sbc.transaction.hop import Hop
from sbc.transaction.machine import ClientTransaction, ServerTransaction
from sbc.transaction.request import ClientRequest
from sbc.transaction.timers import Entry

__all__ = ["LISTENS", "Clock", "Errand", "Waiting"]

LISTENS: Final = 0.9
"""Of the sender's 64*T1: what is left of it are both ways."""
_SILENT: Final = 504
_UNREACHABLE: Final = 503


class Clock(IntEnum):
    """Timers of what is outside of calls."""

    PATIENCE = 100
    """A place is silent."""
    EXPIRY = 101
    """A subscription ends unless it is refreshed."""
    FORKS = 102
    """No further notifier is let in (RFC 6665 §4.1.2.4: timer N)."""


class Waiting(Protocol):
    """Who keeps count of errands."""

    core: Core

    def done(self, errand: Errand) -> None:
        """The sender has its answer."""


class Errand:
    """One request, from its arrival to its answer.

    Args:
        owner: who keeps count.
        trunk: whose request it is.
        request, reply, txn: what is asked, and how it is answered.
    """

    __slots__ = (
        "_best",
        "_client",
        "_clock",
        "_ends",
        "_fallback",
        "_head",
        "_locating",
        "_paid",
        "_place",
        "_places",
        "_refusal",
        "_reply",
        "_target",
        "_targets",
        "_txn",
        "core",
        "owner",
        "request",
        "trunk",
    )

    def __init__(
        self,
        owner: Waiting,
        trunk: TrunkSettings,
        request: Request,
        reply: ReplyBase,
        txn: ServerTransaction,
    ) -> None:
        self.owner: Waiting | None = owner
        self.core = owner.core
        self.trunk = trunk
        self.request = request
        self._reply = reply
        self._txn = txn
        self._targets: Sequence[Target] = ()
        self._target: Target | None = None
        """The one that is being tried, with the places of it that are left."""
        self._places: Sequence[Place] = ()
        self._place: Place | None = None
        self._locating = False
        self._fallback: tuple[LocalEnd, Hop] | None = None
        """UDP, where TCP was only our choice (RFC 3261 §18.1.1)."""
        self._paid: TrunkSettings | None = None
        """The trunk whose token was taken last."""
        self._client: ClientTransaction | None = None
        self._clock: Entry | None = None
        self._ends = 0.0
        self._best = -1
        self._refusal = 480
        self._head = b""

    def start(self, targets: Sequence[Target], now: float) -> None:
        """Try these, in order."""
        self._ends = now + LISTENS * self.core.layer.values.give_up_s
        self._wait(self._ends, now)
        self._targets = self.core.where.in_order(targets, now)
        self._next(now)

    def located(self, places: Sequence[Place], now: float) -> None:
        """Where the target is; none: nowhere."""
        if self._locating and self.owner is not None:
            self._locating = False
            self._take(places)
            self._next(now)

    # What the transaction reports

    def on_response(self, response: Response, now: float) -> None:
        """A response of the place that was asked."""
        if response.status < 200:
            return
        self._let_go()
        if response.status < 300:
            if self._place is not None:
                self.core.where.worked(self._place)
            self._succeeded(response, now)
        else:
            self._failed(response.status, response, now)

    def on_timeout(self, now: float) -> None:
        """Timer F: later than our own patience, so seldom."""
        if self.owner is not None:
            self._failed(_SILENT, None, now)

    def on_transport_lost(self, now: float) -> None:
        """The request could not be carried."""
        if self.owner is None:
            return
        if self._fallback is not None and self._target is not None:
            way, self._fallback = self._fallback, None
            self._send(self._target, way, now)
        else:
            self._failed(_UNREACHABLE, None, now)

    def on_timer(self, timer: IntEnum, now: float) -> None:
        """The place, or the DNS, has had its time."""
        if self._clock is None or self._clock.owner is not None or self.owner is None:
            return  # what came due together with it has armed another
        self._locating = False
        self._failed(_SILENT, None, now)

    # The search

    def _next(self, now: float) -> None:
        """Ask the next place; where there is none, tell the sender the best of all failures."""
        while self.owner is not None:
            if now >= self._ends or not (self._places or self._targets):
                self._answer(self._refusal, self._head, now)
            elif self._target is not None and self._places:
                self._place, self._places = self._places[0], self._places[1:]
                if self._ask(self._target, self._place, now):
                    return
            else:
                target, self._targets = self._targets[0], self._targets[1:]
                if self._find(target, now):
                    return

    def _find(self, target: Target, now: float) -> bool:
        """Look for the places of one target; True: they are being looked up."""
        self._target, self._place = target, None
        if self._paid is not target.trunk:
            refusal = self.core.policies.may_send(target.trunk, now)
            if refusal is not None:
                self._consider(refusal.status, None)
                return False
            self._paid = target.trunk
        places = self.core.where.places(target, now, self)
        if places is None:
            self._locating = True
            self._wait(self._ends, now)
            return True
        self._take(places)
        return False

    def _take(self, places: Sequence[Place]) -> None:
        """The places of the target that are not known to be out."""
        out = self.core.out
        if out and self._target is not None:
            name = self._target.trunk.name
            places = [one for one in places if (name, one.transport, one.host, one.port) not in out]
        self._places = places
        if not places:
            self._consider(_UNREACHABLE, None)

    def _ask(self, target: Target, place: Place, now: float) -> bool:
        """Send the request to a place; False where it cannot be reached."""
        ways = ways_to(target, place, self.core.ends)
        if not ways:
            self._consider(_UNREACHABLE, None)
            return False
        try:
            large = len(ways) > 1 and self._is_large(target, ways[0][0])
            self._fallback = ways[0] if large else None
            self._send(target, ways[1] if large else ways[0], now)
        except (ParseError, RemoteProtocolError) as error:  # of the request itself: nobody is asked
            head = parcel.ACCEPTED if error.status == 415 else b""
            self._answer(error.status, head, now)
        return True

    def _send(self, target: Target, way: tuple[LocalEnd, Hop], now: float) -> None:
        end, hop = way
        token = self.core.mint.token()
        request = self._build(target, end, token)
        if target.trunk.credentials is not None:
            request.sender = Signer(target.trunk, None, self._resent)
        left_s = max(0.0, self._ends - now)
        share_s = left_s / (1 + len(self._places) + len(self._targets))
        self._wait(now + share_s, now)
        self._leaves(request, target, end, hop, token, now)
        self._client = self.core.layer.request(request, hop, self, now)

    def _is_large(self, target: Target, end: LocalEnd) -> bool:
        return len(self._build(target, end, self.core.mint.token()).data) > AUTO_LIMIT_BYTES

    def _build(self, target: Target, end: LocalEnd, token: Token) -> ClientRequest:
        """Our request for the sender's.

        Raises:
            RemoteProtocolError: 415 for a body that cannot cross, 412 for an unknown entity-tag,
                489 for an event that cannot cross.
            ParseError: a header that cannot be read.
        """
        request, core, peer = self.request, self.core, target.peer
        method = request.method
        parts = parcel.contents(core, request, end.host)
        if parts is None:
            raise RemoteProtocolError("a body that cannot cross", status=415)
        content, body = parts
        host = in_uri(peer.host)
        uri = request_uri(request.target, host + b":%d" % peer.port if peer.port else host)
        mark = loop_mark(self.trunk, request.target, core.mint)
        branch = b"%b%b.1%b" % (BRANCH_COOKIE, token, mark)
        hops = request.max_forwards
        caller = party(request.first(b"from") or b"", end.host, token + b".0", core.hide)
        callee = party(request.first(b"to") or b"", host, hide=core.hide)
        along = self._along(target, end, token)
        return ClientRequest(
            method,
            uri,
            end.via(branch),
            branch,
            b"",
            caller,
            callee,
            token,
            1,
            DEFAULT_HOPS if hops is None else hops - 1,
            along + content,
            body,
            core.credentials.lines(method, uri, body, target.trunk),
        )

    def _along(self, target: Target, end: LocalEnd, token: Token) -> bytes:
        """The header lines that go with the request."""
        return parcel.lines(
            self.core, self.request, self.request.method, self.trunk, target.trunk, end.host
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
        """The request is about to be sent."""

    def _resent(self, request: ClientRequest, client: ClientTransaction) -> None:
        """The request went out once more, with what a challenge asked for."""
        self._client = client

    # What becomes of it

    def _succeeded(self, response: Response, now: float) -> None:
        """A 2xx."""
        core, end = self.core, self.core.ends.of(self._txn.hop)
        head, body = self._across(response, end), b""
        content = parcel.contents(core, response, end.host)
        if content is not None:
            head, body = head + content[0], content[1]
        if self.request.method == OPTIONS:
            head += outside_head(self.trunk)
        self._answer(response.status, head, now, body)

    def _failed(self, status: int, response: Response | None, now: float) -> None:
        """A failure of the place that was asked; None: silence, or no way there."""
        self._let_go()
        pause_s = asked_pause_s(response) if response is not None else 0
        if self._place is not None:
            if response is None or pause_s:
                self.core.where.failed(self._place, now, pause_s)
            else:
                self.core.where.worked(self._place)
        self._consider(status, response)
        statuses = frozenset[int]() if self._target is None else self._target.trunk.failover
        again = response is None or status in statuses
        if not (again or (status < 600 and status // 100 in statuses)):
            self._places, self._targets = (), ()  # the word of whom it was for
        self._next(now)

    def _consider(self, status: int, response: Response | None) -> None:
        """One more failure: the best of all is what the sender gets (RFC 3261 §16.7 step 6)."""
        of = None if response is None or self._target is None else self._target.trunk
        lines = b""
        end = self.core.ends.of(self._txn.hop)
        if response is not None and of is not None and of.redirect is Redirect.PASS:
            lines = shown(response, end.host) if status < 400 else b""
        told = status if lines else map_status(status, of, self.trunk)
        told = _SILENT if told == 408 else told  # RFC 4320 §4.2
        rank = rank_of(told, silent=response is None)
        if rank < self._best:
            return
        self._best, self._refusal, self._head = rank, told, lines
        across = b"" if response is None else self._across(response, end)
        if told == 405:
            self._head += refused_head(self.trunk, self.request.method, outside=True)
        elif told == 415 and b"\r\nAccept: " not in b"\r\n" + across:
            self._head += parcel.ACCEPTED
        self._head += across

    def _across(
        self, response: Response, end: LocalEnd, less: frozenset[bytes] = frozenset()
    ) -> bytes:
        """The lines of a target's response that cross to the sender."""
        source = self.trunk if self._target is None else self._target.trunk
        method = self.request.method
        return parcel.lines(self.core, response, method, source, self.trunk, end.host, less)

    def _answer(
        self, status: int, head: bytes, now: float, body: bytes = b"", tag: bytes = b""
    ) -> None:
        """The final answer to the sender: the errand is done."""
        owner, self.owner = self.owner, None
        if owner is None:
            return
        self._let_go()
        self._places, self._targets = (), ()
        if self._clock is not None:
            self._clock.cancel()
        if status >= 300:
            self.core.counters["errands_refused"] += 1
        to_tag = tag or b"%b.0" % self.core.mint.token()
        data = self._reply.build(status, to_tag=to_tag, head=head, body=body)
        self.core.layer.respond(self._txn, status, data, now)
        owner.done(self)

    def _let_go(self) -> None:
        """Hear no more of the place that was asked."""
        client, self._client = self._client, None
        if client is not None:
            client.user = None
            if client.request is not None:
                client.request.sender = None

    def _wait(self, until: float, now: float) -> None:
        if self._clock is not None:
            self._clock.cancel()
        self._clock = self.core.layer.arm_long(self, Clock.PATIENCE, until - now, now)
