"""Which targets a call may still be carried on to, and the INVITE to each of them.

One after another, in the order that policy gave them: a target that is unreachable, silent or out
of order gives way to the next. A target that is a name has several places (RFC 3263), which are
tried in turn before the next target; while they are being looked up the search waits. What the
caller is told in the end is kept here, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Final, Protocol

from policies.facts import Accept, Target, Why
from policies.responses import map_status
from policies.settings import Peer, Redirect, TrunkSettings
from sbc.call.cdr import Cause
from sbc.call.core import Core
from sbc.call.crossing.reasons import meant_status
from sbc.call.incoming import loop_mark
from sbc.call.legs.a_leg import ALeg
from sbc.call.legs.b_leg import BLeg
from sbc.call.legs.leg import Leg, Owner
from sbc.call.legs.local import LocalEnd
from sbc.call.media.exchange import Exchange
from sbc.call.record import Record
from sbc.call.targets.outgoing import AUTO_LIMIT_BYTES, build_invite, crossing_names, ways_to
from sbc.call.targets.redirect import contacts, shown
from sbc.call.targets.where import Asker
from sbc.errors import ParseError, PortsExhausted, ProtocolError, RelayUnavailable
from sbc.resolve.records import Place
from sbc.sip.message import Message, Response
from sbc.transaction.hop import UDP, Hop

__all__ = ["Hunt", "Searcher", "asked_pause_s", "explained", "rank_of"]


_MOST_REDIRECTIONS: Final = 5
"""Of one call, followed or not."""
_DECIDED: Final = 100
"""Better than whatever a target says."""


class Searcher(Owner, Asker, Protocol):
    """The call, as its search sees it."""

    def crossing(self, message: Message, leg: Leg) -> bytes:
        """What of the other side's message goes along to the peer of `leg`."""

    def refusal_head(self, response: Response, told: int) -> bytes:
        """What of a target's failure goes along to the caller, who is told this status."""


class Hunt:
    """The targets of one call.

    Args:
        core: the surroundings.
        owner: the call, to which the legs report.
        a, exchange, record: the call's own.
    """

    __slots__ = (
        "_a",
        "_best",
        "_core",
        "_exchange",
        "_owner",
        "_place",
        "_places",
        "_record",
        "_target",
        "_tried",
        "head",
        "names",
        "refusal",
        "targets",
        "trunk",
        "waiting",
    )

    def __init__(
        self, core: Core, owner: Searcher, a: ALeg, exchange: Exchange, record: Record
    ) -> None:
        self._core = core
        self._owner: Searcher | None = owner
        self._a = a
        self._exchange = exchange
        self._record = record
        self.targets: Sequence[Target] = ()
        self._target: Target | None = None
        """The one that is being tried, with the places of it that are left."""
        self._places: Sequence[Place] = ()
        self._place: Place | None = None
        """Where the INVITE went that is out."""
        self.waiting = False
        """Whether the places of the target are being looked up."""
        self.trunk: TrunkSettings | None = None
        """The trunk that holds the call on its outgoing side, for the limits."""
        self.names: frozenset[bytes] = frozenset()
        """The headers that may cross between the caller and the current target."""
        self._tried: set[tuple[str, int, bytes]] | None = None
        """Where redirections have led."""
        self._best = -1
        self.refusal = 480
        """The status that the caller gets if no other target does better."""
        self.head = b""
        """The header lines that go with it."""

    def start(self, accepted: Accept, now: float) -> None:
        """What policy has decided."""
        self.trunk = accepted.targets[0].trunk
        self.targets = self._core.where.in_order(accepted.targets, now)

    def next(self, now: float) -> BLeg | None:
        """The INVITE to the next place that can be reached at all.

        None where there is none, or, if `waiting` is set then, none yet: `Owner.located` follows.
        """
        while self._owner is not None:
            if self._target is not None and self._places:
                place, self._places = self._places[0], self._places[1:]
                leg = self._try(self._target, place, now)
                if leg is not None:
                    return leg
                continue
            if not self.targets:
                return None
            target, self.targets = self.targets[0], self.targets[1:]
            self._target = target
            if not self._may_use(target, now):
                continue
            places = self._core.where.places(target, now, self._owner)
            if places is None:
                self.waiting = True
                return None
            self.located(places)
        return None

    def located(self, places: Sequence[Place]) -> None:
        """Where the target is; none: it has no place."""
        self.waiting = False
        self._places = self._answering(places)
        if not self._places and self._target is not None:
            trunk, peer = self._target.trunk, self._target.peer
            problem = "does not answer OPTIONS" if places else "leads nowhere"
            text = f"trunk {trunk.name}: {peer.text} {problem}"
            self._record.close(Cause.UNREACHABLE, "border", text)
            self._consider_ours(503)

    def _answering(self, places: Sequence[Place]) -> Sequence[Place]:
        """Without those that are known to be out."""
        out = self._core.out
        if not out or self._target is None:
            return places
        trunk = self._target.trunk.name
        return [one for one in places if (trunk, one.transport, one.host, one.port) not in out]

    def again(self, leg: BLeg, now: float) -> BLeg | None:
        """The same place by UDP, where TCP was only our choice (RFC 3261 §18.1.1)."""
        place = self._place
        if place is None or place.transport != UDP:
            return None
        return self._send_invite(leg.target, ways_to(leg.target, place, self._core.ends)[:1], now)

    def answered(self) -> None:
        """The place where the INVITE went is alive."""
        if self._place is not None:
            self._core.where.worked(self._place)

    def failed(self, status: int, now: float, response: Response | None) -> bool:
        """A target's final failure; whether another place or target is to be tried.

        Args:
            status: its answer, or what its silence stands for.
            response: its answer; None: it was silent or out of reach, and is tried last for a
                while. So is one that asks for that (RFC 3261 §21.5.4: a 503 with Retry-After).
        """
        pause_s = asked_pause_s(response) if response is not None else 0
        if response is not None and self._target is not None:
            status = meant_status(response, self._target.trunk)
        if self._place is not None:
            if response is None or pause_s:
                self._core.where.failed(self._place, now, pause_s)
            else:
                self._core.where.worked(self._place)
        redirected = response is not None and status < 400 and self._redirected(response)
        if not redirected:
            self._consider(status, response)
        if not (self._places or self.targets) or self._target is None:
            return False
        if response is None or redirected:
            return True  # RFC 3263 §4.3
        statuses = self._target.trunk.failover  # others are the called party's word
        return status in statuses or (status < 600 and status // 100 in statuses)

    def decide(self, status: int) -> None:
        """What the caller gets, whatever the targets may say."""
        self.refusal, self.head, self._best = status, b"", _DECIDED

    def close(self) -> None:
        """Nothing more will be tried: let go of the call."""
        self._owner = None
        self.targets = ()
        self._places = ()

    def _consider(self, status: int, response: Response | None) -> None:
        """One more failure: the best of all is what the caller gets (RFC 3261 §16.7 step 6)."""
        trunk = None if self._target is None else self._target.trunk
        passed = trunk is not None and trunk.redirect is Redirect.PASS and status < 400
        lines = shown(response, self._a.end.host) if response is not None and passed else b""
        of = trunk if response is not None else None  # silence is our word, not the trunk's
        told = status if lines else map_status(status, of, self._a.trunk)
        rank = rank_of(told, silent=response is None)
        if rank < self._best:
            return
        self._best, self.refusal, self.head = rank, told, lines
        if self._owner is not None and response is not None:
            self.head += self._owner.refusal_head(response, told)

    def _consider_ours(self, status: int) -> None:
        """A target that could not even be asked."""
        rank = rank_of(status, silent=True)
        if rank >= self._best:
            self._best, self.refusal, self.head = rank, status, b""

    def _redirected(self, response: Response) -> bool:
        """Whether the Contacts of a 3xx are targets from now on: those of the trunk's realm."""
        target = self._target
        if target is None or target.trunk.redirect is not Redirect.FOLLOW:
            return False
        tried = self._tried = self._tried or set()
        found = []
        for one in contacts(response):
            place = one.host, one.port, one.user
            if place in tried or len(tried) >= _MOST_REDIRECTIONS:
                continue
            tried.add(place)
            there = self._peer(target, one.host, one.port)
            if there is not None:
                number = one.user or None
                found.append(Target(there[0], there[1], number))
        self._places = ()
        self.targets = [*found, *self.targets]
        return bool(found)

    def _peer(self, target: Target, host: str, port: int) -> tuple[TrunkSettings, Peer] | None:
        """Whose a Contact's host is, None for nobody of the target's realm."""
        trunk = target.trunk
        for peer in trunk.peers:
            if not host or (peer.host == host and port in (0, peer.port)):
                return trunk, peer
        peer = Peer(host=host, port=port or 5060)
        if peer.is_name:  # another one could be anywhere
            return self._core.policies.named(trunk.realm, host, port)
        try:
            ip_address(host)
        except ValueError:
            return None
        owner = self._core.policies.identify(trunk.realm, host)
        return None if owner is None else (owner, peer)

    def _may_use(self, target: Target, now: float) -> bool:
        """Whether the target's trunk has room for the call."""
        current = self.trunk or target.trunk
        refusal = self._core.policies.move(current, target.trunk, now)
        if refusal is not None:
            self._consider_ours(refusal.status)
            self._record.close(Cause.LIMIT, "border", explained(refusal.why))
            return False
        self.trunk = target.trunk
        return True

    def _try(self, target: Target, place: Place, now: float) -> BLeg | None:
        """Send the INVITE; None where this place cannot be tried."""
        a, record = self._a, self._record
        self._place = place
        ways = ways_to(target, place, self._core.ends)
        if not ways:
            text = f"trunk {target.trunk.name}: no listener can reach {place.host}"
            record.close(Cause.UNREACHABLE, "border", text)
            self._consider_ours(503)
            return None
        try:
            key = f"{record.call}.{record.attempts}" if record.attempts else record.call
            self._exchange.anchor(a, target.trunk, ways[0][1].host, key)
        except ProtocolError as error:
            record.close(Cause.UNSUPPORTED_MEDIA, "border", str(error))
            self._consider_ours(error.status)
            return None
        except (PortsExhausted, RelayUnavailable) as lack:
            out = isinstance(lack, PortsExhausted)
            cause = Cause.PORTS_EXHAUSTED if out else Cause.RELAY_UNAVAILABLE
            record.close(cause, "border", str(lack))
            self._consider_ours(503)
            return None
        self.names = crossing_names(a.trunk, target.trunk)
        return self._send_invite(target, ways, now)

    def _send_invite(
        self, target: Target, ways: list[tuple[LocalEnd, Hop]], now: float
    ) -> BLeg | None:
        core, owner = self._core, self._owner
        if owner is None:
            return None
        invite = self._a.pending()
        end, hop = ways[0]
        leg = BLeg(core, owner, target, end, hop, core.mint.token())
        body = self._exchange.offer_to(leg)
        mark = loop_mark(self._a.trunk, invite.target, core.mint)
        reliable = not self._exchange.late or bool(body) or self._a.is_reliable
        request = build_invite(
            leg, invite, mark, body, owner.crossing(invite, leg), core.hide, reliable
        )
        if len(ways) > 1 and len(request.data) > AUTO_LIMIT_BYTES:
            leg.end, leg.hop = ways[1]
            request = build_invite(
                leg, invite, mark, body, owner.crossing(invite, leg), core.hide, reliable
            )
        self._record.tried(target.trunk.name, leg.hop, leg.token)
        leg.call(request, now)
        return leg


def asked_pause_s(response: Response) -> int:
    """How long a target wants to be spared; 0 where it does not say, or not so that we can read."""
    if response.status != 503:
        return 0
    try:
        return response.retry_after or 0
    except ParseError:
        return 0


def rank_of(status: int, *, silent: bool) -> int:
    """Which of two failures the caller gets: the higher, of equals the later.

    6xx before all; then the lowest class, a real answer before a target's silence.
    """
    if status >= 600:
        return 9
    return 2 * (6 - status // 100) - silent


@lru_cache(maxsize=1024)  # of routes and limits there are few
def explained(why: Why) -> str:
    """A decision's reason, for the record."""
    return f"{why.rule}: {why.text}"
