"""Requests outside of calls: which are answered here, which go across, and how many there may be.

| request | what becomes of it |
|---|---|
| of a method that both trunks' `methods.outside` name | goes across (`errand.py`) |
| SUBSCRIBE among them | goes across and makes dialogs (`subscription.py`) |
| OPTIONS without a user in its address, or that may not cross | answered here |
| BYE, PRACK, UPDATE, INFO, NOTIFY | 481: they belong to a dialog |
| another method that is known | 405; one that is not: 501 |
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from policies.facts import Refuse
from policies.settings import TrunkSettings
from sbc.call import answers
from sbc.call.cdr import Cause
from sbc.call.core import Core
from sbc.call.crossing import parcel
from sbc.call.incoming import facts_of, refusal_of
from sbc.call.legs.a_leg import merge_key
from sbc.call.outside.errand import Errand
from sbc.call.outside.pair import Pair
from sbc.call.outside.subscription import Subscribing
from sbc.sip.message import Request
from sbc.sip.serialise import ReplyBase
from sbc.sip.status import OPTIONS, SUBSCRIBE
from sbc.sip.uri import number_of
from sbc.transaction.machine import ServerTransaction

__all__ = ["Outside"]

_MOST_WAITING: Final = 20_000
"""At 2,000 a second, all of them with a target that is silent for ten seconds."""
_MOST_SUBSCRIPTIONS: Final = 50_000
"""3 kB each, 11 kB in the first half minute: half a gigabyte at the very most."""


class Outside:
    """All that goes across and is no call.

    Args:
        core: the surroundings.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self.most_waiting = _MOST_WAITING
        self.most_subscriptions = _MOST_SUBSCRIPTIONS
        self._waiting: dict[tuple[bytes, bytes, int], Errand] = {}
        self._subscriptions: Counter[str] = Counter()
        """Of each subscribing trunk."""

    @property
    def waiting(self) -> int:
        """Requests whose senders have no answer yet."""
        return len(self._waiting)

    @property
    def subscriptions(self) -> dict[str, int]:
        """Live subscriptions of each trunk that has any."""
        return dict(self._subscriptions)

    def receive(
        self,
        request: Request,
        reply: ReplyBase,
        txn: ServerTransaction,
        trunk: TrunkSettings,
        draining: bool,
        user: str,
        now: float,
    ) -> None:
        """A request without a To-tag that is no INVITE, ACK or CANCEL: see that it is answered.

        Args:
            trunk: whose it is; `user` of it has proved to send it.
            draining: nothing new is begun.
        """
        name = request.method.decode("latin-1")
        status, head = 0, b""
        if name not in trunk.outside_methods or _is_for_us(request):
            status, head = answers.outside_dialog(request, trunk, draining)
        else:
            refusal = self._refusal(request, trunk, draining)
            if refusal is not None:
                status, head = refusal.status, refusal.head
        if not status:
            facts = facts_of(request, txn.hop)
            facts.user = user
            found = self.core.policies.find(facts, name, now)
            if not isinstance(found, Refuse):
                self._begin(request, reply, txn, trunk).start(found, now)
                return
            status = found.status
            if status == 405:
                status, head = answers.outside_dialog(request, trunk, draining)
        tag = b"%b.0" % self.core.mint.token()
        self.core.layer.respond(txn, status, reply.build(status, to_tag=tag, head=head), now)

    def done(self, errand: Errand) -> None:
        """Its sender has the answer."""
        self._waiting.pop(merge_key(errand.request), None)

    def may_hold(self, trunk: TrunkSettings) -> bool:
        """Whether the trunk may have one more subscription."""
        most = trunk.limits.subscriptions
        if most is not None and self._subscriptions[trunk.name] >= most:
            return False
        return self._subscriptions.total() < self.most_subscriptions

    def held(self, pair: Pair) -> None:
        """There is one more."""
        self.core.counters["subscriptions_begun"] += 1
        self._subscriptions[pair.near.trunk.name] += 1

    def released(self, pair: Pair) -> None:
        """There is one less."""
        name = pair.near.trunk.name
        self._subscriptions[name] -= 1
        if not self._subscriptions[name]:
            del self._subscriptions[name]

    def _begin(
        self, request: Request, reply: ReplyBase, txn: ServerTransaction, trunk: TrunkSettings
    ) -> Errand:
        kind = Subscribing if request.method == SUBSCRIBE else Errand
        errand = self._waiting[merge_key(request)] = kind(self, trunk, request, reply, txn)
        self.core.counters["errands"] += 1
        return errand

    def _refusal(
        self, request: Request, trunk: TrunkSettings, draining: bool
    ) -> answers.Refusal | None:
        """Why a request that might cross does not."""
        refusal = refusal_of(request, trunk, self.core.mint)
        status = 0
        if refusal is not None:
            return refusal
        if merge_key(request) in self._waiting:
            self.core.counters["merged"] += 1
            status = 482
        elif draining:
            status = 503
        elif request.method == SUBSCRIBE and not parcel.event_of(request.first(b"event")):
            status = 489
        elif len(self._waiting) >= self.most_waiting:
            self.core.counters["errands_over_limit"] += 1
            status = 503
        elif request.method == SUBSCRIBE and not self.may_hold(trunk):
            self.core.counters["subscriptions_over_limit"] += 1
            status = trunk.limits.status
        return answers.Refusal(status, Cause.BAD_REQUEST, "") if status else None


def _is_for_us(request: Request) -> bool:
    """OPTIONS that asks this border what it can do (RFC 3261 §11)."""
    return request.method == OPTIONS and not number_of(request.target)
