"""Requests of our own inside a call: to keep a session alive, and to see that the peer is there.

A refresh says again what was agreed (RFC 4028 §7.4): UPDATE without a body where the peer takes
it, else a re-INVITE with our last description. Its answer may say something new all the same: the
media follow it. It may also tell the peer who is on the other side now. Refused with 491 it comes
again when RFC 3261 §14.1 says: after 2.1 to 4 s by the side that made the Call-ID, after 0 to 2 s
by the other.

A ping is OPTIONS (RFC 3261 §11); any answer but 408 and 481 says that the dialog is known.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final, Protocol

from sbc.call.cdr import Cause
from sbc.call.legs.capabilities import head_for, may_send
from sbc.call.legs.leg import CONTENT_TYPE_SDP, SDP, Leg
from sbc.call.legs.timed import Watch
from sbc.call.media.exchange import Exchange
from sbc.call.states import Ending
from sbc.errors import ProtocolError
from sbc.sdp.parser import parse
from sbc.sip.message import Response
from sbc.sip.status import INVITE, OPTIONS, UPDATE
from sbc.transaction.hop import Hop
from sbc.transaction.machine import ClientTransaction

__all__ = ["Ping", "Refresh", "Upkeep", "back_off_s"]

_GONE: Final = frozenset((408, 481))


class Upkeep(Protocol):
    """The call, as its own requests report to it."""

    exchange: Exchange

    def refreshed(self, refresh: Refresh, now: float) -> None:
        """The refresh is over."""

    def gone(self, leg: Leg, ending: Ending, now: float) -> None:
        """The dialog of `leg` is no more: so is the call."""


class Refresh:
    """One refresh of the session of one leg.

    Args:
        road: the call.
        leg: whose session it is.
        offer: says something new, in an offer that the leg's negotiation has open.
        head: further lines.
    """

    __slots__ = (
        "__weakref__",
        "_ack",
        "_client",
        "_dialog",
        "_method",
        "_offer",
        "_road",
        "again",
        "head",
        "leg",
    )

    def __init__(self, road: Upkeep, leg: Leg, offer: bytes = b"", head: bytes = b"") -> None:
        self.head = head
        self.again = False
        """It was refused for now, and another one will follow."""
        self._offer = offer
        self._road: Upkeep | None = road
        self.leg = leg
        self._method = UPDATE if may_send(leg.trunk, leg.peer, UPDATE) else INVITE
        self._ack: tuple[Hop, bytes] | None = None
        self._dialog = leg.dialog
        self._client: ClientTransaction | None = None

    def send(self, now: float) -> None:
        """Send it."""
        leg, negotiation = self.leg, self.leg.negotiation
        head = leg.end.contact(leg.token) + head_for(leg.trunk, initial=False)
        head += b"" if leg.timer is None else leg.timer.request_head()
        head += self.head
        body = self._offer
        if not body and self._method == INVITE and negotiation is not None:
            body = negotiation.repeat_offer()
        if body:
            head += CONTENT_TYPE_SDP
        if leg.timer is not None:
            leg.timer.refreshing()
        self._client = leg.ask(self._method, head, body, self, now)
        leg.arm_timer(now)

    def on_response(self, response: Response, now: float) -> None:
        """A response of the peer."""
        if response.status < 200:
            return
        leg, road = self.leg, self._road
        success = response.status < 300
        if road is None:
            if success and self._method == INVITE:
                self._acknowledge()
            return
        self._road = None
        if success:
            if self._method == INVITE:
                self._acknowledge()
            if self._method == INVITE or self._offer:
                self._took(road, response)
            leg.refresh_target(response)
            leg.timer_agreed(response, now)
        else:
            self._refused(road, response, now)
        road.refreshed(self, now)

    def on_timeout(self, now: float) -> None:
        """No answer: the dialog is taken for gone (RFC 3261 §12.2.1.2)."""
        self._lost("no answer to the session refresh", now)

    def on_transport_lost(self, now: float) -> None:
        """It could not be carried; what is left of the session's time may bring another one."""
        road, self._road = self._road, None
        if road is not None:
            self._roll_back(road)
            if self.leg.timer is not None:
                self.leg.timer.refused(now)
            self.leg.arm_timer(now)
            road.refreshed(self, now)

    def abandon(self, now: float) -> None:
        """The call is over: a late 2xx still gets its ACK; without CANCEL it might never end."""
        self._road = None
        if self._client is not None:
            self.leg.core.layer.cancel(self._client, now)

    def _acknowledge(self) -> None:
        if self._ack is None:
            self._ack = self.leg.acknowledge(b"", self._dialog)
        else:
            self.leg.core.layer.transmit(*self._ack)

    def _took(self, road: Upkeep, response: Response) -> None:
        negotiation = self.leg.negotiation
        if negotiation is None:
            return
        try:
            if response.content_type != SDP:
                raise ProtocolError("expected a description in SDP")
            road.exchange.take_answer(self.leg, negotiation, parse(response.body))
        except ProtocolError:  # it is alive, which was the question; what held holds
            road.exchange.withdraw(negotiation)

    def _refused(self, road: Upkeep, response: Response, now: float) -> None:
        leg, status = self.leg, response.status
        self._roll_back(road)
        if status in _GONE:
            self._road = road
            self._lost(f"session refresh answered with {status}", now)
            return
        timer = leg.timer
        if timer is not None:
            timer.refused(now)
        raised = status == 422 and timer is not None and timer.too_small(response)
        self.again = raised or (status == 491 and (timer is not None or self.head != b""))
        if self.again:
            leg.arm(Watch.RETRY, 0.0 if raised else back_off_s(leg), now)
        else:
            leg.arm_timer(now)

    def _roll_back(self, road: Upkeep) -> None:
        if (self._method == INVITE or self._offer) and self.leg.negotiation is not None:
            road.exchange.withdraw(self.leg.negotiation)

    def _lost(self, reason: str, now: float) -> None:
        road, self._road = self._road, None
        if road is not None:
            road.refreshed(self, now)
            road.gone(self.leg, Ending(Cause.SESSION_EXPIRED, "border", reason, 408), now)


class Ping:
    """One OPTIONS inside a dialog.

    Args:
        gone: told when the dialog turns out to be no more.
        leg: whose dialog it is.
    """

    __slots__ = ("__weakref__", "_gone", "leg")

    def __init__(self, gone: Callable[[Leg, Ending, float], None], leg: Leg) -> None:
        self._gone: Callable[[Leg, Ending, float], None] | None = gone
        self.leg = leg

    def send(self, now: float) -> None:
        """Send it."""
        head = self.leg.end.contact(self.leg.token) + b"Accept: application/sdp\r\n"
        self.leg.ask(OPTIONS, head, b"", self, now)

    def on_response(self, response: Response, now: float) -> None:
        """A response of the peer."""
        if response.status in _GONE:
            self._lost(f"OPTIONS answered with {response.status}", now)

    def on_timeout(self, now: float) -> None:
        """No answer."""
        self._lost("OPTIONS not answered", now)

    def on_transport_lost(self, now: float) -> None:
        """No way to the peer."""
        self._lost("OPTIONS could not be carried", now)

    def _lost(self, reason: str, now: float) -> None:
        gone, self._gone = self._gone, None
        if gone is not None and self.leg.owner is not None:
            gone(self.leg, Ending(Cause.PEER_LOST, "border", reason, 408), now)


def back_off_s(leg: Leg) -> float:
    """How long a request that met 491 waits (RFC 3261 §14.1), by chance, in steps of 10 ms."""
    chance = zlib.crc32(leg.token + leg.branches.to_bytes(4, "big"))
    if leg.dialog is not None and leg.dialog.call_id == leg.token:  # the Call-ID is ours
        return 2.1 + chance % 191 / 100
    return chance % 201 / 100
