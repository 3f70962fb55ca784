"""The two legs of a call, and what of the one side is told on the other.

The base of `call.py`'s machine: nothing here changes the state.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Protocol

from policies.responses import map_status
from policies.settings import ReasonUse
from sbc.call.answers import help_head
from sbc.call.core import Core
from sbc.call.crossing.headers import crossing
from sbc.call.crossing.reasons import crossing_reason, crossing_retry, own_reason
from sbc.call.crossing.session_id import SessionIds
from sbc.call.legs.a_leg import ALeg
from sbc.call.legs.b_leg import BLeg
from sbc.call.legs.leg import SDP, Fork, Leg
from sbc.call.media.exchange import Exchange
from sbc.call.media.in_use import same_codecs
from sbc.call.record import Record
from sbc.call.states import Ending, State
from sbc.call.targets.hunt import Hunt
from sbc.errors import LocalProtocolError, ProtocolError, RelayError
from sbc.sip.message import Message, Request, Response
from sbc.sip.status import INVITE

__all__ = ["Sides"]

_REASON: Final = frozenset((b"reason",))
_IDENTITY: Final = frozenset((b"p-asserted-identity", b"privacy", b"remote-party-id"))
"""Where RFC 3325 or `pass:` lets them cross."""


@lru_cache(maxsize=1024)  # one set for all calls between two trunks, as `crossing_names`
def _without_reason(names: frozenset[bytes]) -> frozenset[bytes]:
    return names - _REASON


class Move(Protocol):
    """A transfer, as the calls see it whose parties it joins."""

    @property
    def agreeing(self) -> bool:
        """Whether somebody is being asked for a new session: no other offer may come between."""

    def left(self, leg: Leg, now: float) -> bool:
        """The peer of this leg has hung up; whether the call is to be held all the same."""

    def call_ended(self, now: float) -> None:
        """The call is over."""


class Sides:
    """What a call consists of."""

    __slots__ = ("a", "b", "core", "exchange", "hunt", "id", "ids", "move", "record", "state")

    core: Core
    id: str
    """Ours for this call, in logs and records."""
    state: State
    a: ALeg
    b: BLeg | None
    """The current target's; None before the first."""
    exchange: Exchange
    hunt: Hunt
    record: Record
    ids: SessionIds | None
    """What both ends call themselves (RFC 7989), where one of them does."""
    move: Move | None
    """The transfer that one side is to be taken along by, while there is one."""

    @property
    def slot(self) -> int | None:
        """The worker that carries the media, None where there are none."""
        return self.exchange.slot

    def summary(self) -> dict[str, object]:
        """One line of a listing."""
        return self.record.live(self.exchange.codecs) | {
            "call": self.id,
            "state": self.state.name.lower(),
        }

    def details(self) -> dict[str, object]:
        """All that is known of the call while it lives."""
        legs = {leg.side: leg.describe() for leg in (self.a, self.b) if leg}
        media = {
            "worker": self.slot,
            "plan": self.exchange.key,
            "srtp": {side: self.exchange.ciphers(side) for side in "ab"},
        }
        return self.summary() | media | {"legs": legs}

    # What crosses

    def other(self, leg: Leg) -> Leg:
        """The leg on the other side of this one."""
        return self._called() if leg is self.a else self.a

    def crossing(self, message: Message, leg: Leg) -> bytes:
        """What of the other side's message goes along to the peer of `leg`."""
        names, head = self.hunt.names, b""
        if leg.trunk.reason is not ReasonUse.PASS:
            names = _without_reason(names)
        if self.ids is not None or message.first(b"session-id") is not None:
            head += self._session_ids(message, leg)
        return head + crossing(message, names=names, hide=self.core.hide, host=leg.end.host)

    def identity(self, message: Message, leg: Leg) -> bytes:
        """What of the other side's message says who is there now, for the peer of `leg`."""
        names = self.hunt.names & _IDENTITY
        return crossing(message, names=names, hide=self.core.hide, host=leg.end.host)

    def refusal_head(self, response: Response, told: int) -> bytes:
        """What of a target's failure goes along to the caller, who is told this status."""
        head = help_head(told, INVITE, self.a.trunk) + crossing_retry(response, told)
        return head + crossing_reason(response, self.a.trunk) + self.crossing(response, self.a)

    def failure_for(self, leg: Leg, other: Leg, response: Response) -> tuple[int, bytes]:
        """What a failure on `other` is called on `leg`: status and further lines."""
        status = map_status(response.status, other.trunk, leg.trunk)
        head = crossing_retry(response, status) + crossing_reason(response, leg.trunk)
        return status, head + self.crossing(response, leg)

    def _session_ids(self, message: Message, leg: Leg) -> bytes:
        if self.ids is None:
            self.ids = SessionIds(self.a.token)
        self.ids.learn("b" if leg is self.a else "a", message)
        return self.ids.head(leg.side)

    # Small parts

    def _late_ring(self, b: BLeg, fork: Fork, response: Response) -> bytes:
        """An offer for the caller out of a 18x, where it can answer it before the 2xx."""
        if response.first(b"rseq") is None or response.content_type != SDP:
            return b""
        try:
            if self.exchange.late_heard(fork, response) and fork.negotiation_b.we_offered is False:
                return self.exchange.late_offer(self.a, b, fork)
        except (ProtocolError, RelayError) as error:
            self.core.say(30, "leg.bad_answer", self.id, detail=str(error))
        return b""

    def _called(self) -> BLeg:
        """The leg to the target, in every state that has one."""
        if self.b is None:
            raise LocalProtocolError(f"no B-leg in state {self.state.name}")
        return self.b

    def _fork(self, response: Response) -> Fork:
        """The early dialog that a response belongs to; a new one for a new To-tag."""
        a, b = self.a, self._called()
        fork = b.fork_of(response)
        if fork is None:
            fork = self._single(response, b) if a.trunk.single_tag else None
            if fork is None:
                tag = a.new_tag()
                fork = Fork(tag, a.new_negotiation(tag), b.new_negotiation())
            a.shown = a.shown or fork
            b.forks[response.to_tag] = fork
        return fork

    def _single(self, response: Response, b: BLeg) -> Fork | None:
        """The early dialog that the caller knows, for a new fork; None: it must be a new one."""
        shown, offer = self.a.shown, self.a.negotiation
        if shown is None or offer is None or not same_codecs(shown, response):
            return None
        said = shown.negotiation_a
        if said.we_offered or said.remote is not offer.remote:  # more than the INVITE's offer
            return None
        return Fork(shown.tag_a, shown.negotiation_a, b.new_negotiation(), shown.dialog_a)

    def _reason(self, message: object, leg: Leg) -> bytes:
        """A peer's Reason crosses with its BYE; ours says what happened (RFC 3326)."""
        if isinstance(message, Request):
            return crossing_reason(message, leg.trunk) + self.crossing(message, leg)
        if isinstance(message, Ending):
            return own_reason(message.status, message.cause.value.encode(), leg.trunk)
        return b""
