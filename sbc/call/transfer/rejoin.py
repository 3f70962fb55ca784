"""What a transfer says within the dialogs that are up: a new session to one, news to another."""

from __future__ import annotations

from typing import Final, Protocol

from sbc.call.cdr import Cause
from sbc.call.in_dialog.midcall import Midcall
from sbc.call.in_dialog.upkeep import Refresh, Upkeep
from sbc.call.legs.capabilities import head_for, may_send
from sbc.call.legs.leg import CONTENT_TYPE_SDP, Leg
from sbc.call.states import Ending
from sbc.sdp.offer_answer import State as Offer
from sbc.sip.message import Response
from sbc.sip.status import INVITE, NOTIFY, UPDATE, reason_phrase
from sbc.transaction.machine import ClientTransaction

__all__ = ["Hearer", "Notifier", "Rejoin", "can_rejoin", "take_back"]

_MINUTES_S: Final = 180
"""How long a transferor is told to wait for the end of a transfer, at first."""
_AGAIN: Final = frozenset((491, 422))
_SERVER_LOST: Final = 503


class Hearer(Protocol):
    """The transfer, as its own requests report to it."""

    def agreed(self, rejoin: Rejoin, response: Response, now: float) -> None:
        """A 2xx, acknowledged."""

    def not_agreed(self, rejoin: Rejoin, status: int, now: float) -> None:
        """A final failure; 491: it may be asked again. All is as it was on that leg."""


def can_rejoin(leg: Leg) -> bool:
    """Whether the peer of a leg can be offered another session at all."""
    return any(may_send(leg.trunk, leg.peer, method) for method in (INVITE, UPDATE))


class Rejoin(Refresh):
    """A re-INVITE (UPDATE where the peer takes no other) that brings a peer together with another.

    Args:
        hearer: the transfer.
        road: the call that the leg still belongs to.
        leg: whose peer is asked.
        offer: open in the leg's negotiation already.
        before: what we had said before.
    """

    __slots__ = ("_client", "_given_up", "_hearer", "before")

    def __init__(
        self, hearer: Hearer, road: Midcall, leg: Leg, offer: bytes, before: bytes
    ) -> None:
        super().__init__(road, leg, offer)
        self._method = INVITE if may_send(leg.trunk, leg.peer, INVITE) else UPDATE
        self._hearer: Hearer | None = hearer
        self._client: ClientTransaction | None = None
        self.before = before
        self._given_up: Midcall | None = None

    def send(self, now: float) -> None:
        """Send it."""
        leg = self.leg
        head = leg.end.contact(leg.token) + head_for(leg.trunk, initial=False)
        if leg.timer is not None:
            head += leg.timer.request_head()
            leg.timer.refreshing()
        self._client = leg.ask(self._method, head + CONTENT_TYPE_SDP, self._offer, self, now)
        leg.arm_timer(now)

    def resent(self, client: ClientTransaction) -> None:
        """It went out once more, with what a challenge asked for."""
        self._client = client

    def on_response(self, response: Response, now: float) -> None:
        """A response of the peer."""
        first, success = self._road is not None, 200 <= response.status < 300
        super().on_response(response, now)
        if first and success and self._hearer is not None:
            hearer, self._hearer = self._hearer, None
            hearer.agreed(self, response, now)
        elif success and self._given_up is not None:
            road, self._given_up = self._given_up, None
            take_back(road, self.leg, self.before, now)

    def on_transport_lost(self, now: float) -> None:
        """It could not be carried."""
        super().on_transport_lost(now)
        self._tell(_SERVER_LOST, now)

    def give_up(self, now: float) -> None:
        """What was before holds; a 2xx that comes all the same is taken back."""
        self._hearer = None
        road = self._road
        if isinstance(road, Midcall) and self._client is not None:
            self._given_up, self._road = road, None
            self._roll_back(road)
            road.refreshed(self, now)
            self.leg.core.layer.cancel(self._client, now)

    def abandon(self, now: float) -> None:
        """The call is over."""
        super().abandon(now)
        self._hearer = self._given_up = None

    def _took(self, road: Upkeep, response: Response) -> None:
        """The answer is the transfer's matter."""

    def _refused(self, road: Upkeep, response: Response, now: float) -> None:
        timer = self.leg.timer
        raised = response.status == 422 and timer is not None and timer.too_small(response)
        if response.status in _AGAIN:  # when to ask again is the transfer's matter
            self._roll_back(road)
            if timer is not None:
                timer.refused(now)
            self.leg.arm_timer(now)
        else:
            super()._refused(road, response, now)
        again = raised or response.status == 491
        self._tell(491 if again else response.status, now, road)

    def _lost(self, reason: str, now: float) -> None:
        road, self._road = self._road, None
        if road is not None:
            road.refreshed(self, now)
            text = f"side {self.leg.side} in a transfer: {reason}"
            road.gone(self.leg, Ending(Cause.PEER_LOST, "border", text, 408), now)

    def _tell(self, status: int, now: float, road: Upkeep | None = None) -> None:
        hearer, self._hearer = self._hearer, None
        if road is not None:
            road.refreshed(self, now)
        if hearer is not None:
            hearer.not_agreed(self, status, now)


def take_back(road: Midcall, leg: Leg, before: bytes, now: float) -> None:
    """Tell a peer again what it was told before a transfer that has failed."""
    negotiation = leg.negotiation
    if negotiation is not None and leg.is_there and negotiation.state is Offer.STABLE:
        road.offer(leg, negotiation.offer_as_before(before), now)


class Notifier:
    """The implicit subscription of a REFER: news of the transfer for who has asked for it.

    Deviates from RFC 5057 §4: who has hung up is told nothing more, though the subscription may
    outlive the call; such peers have asked for the transfer and forgotten it.

    Args:
        leg: whose peer has sent the REFER.
        number: the REFER's CSeq, b"" for the first within its dialog (RFC 3515 §2.4.6).
    """

    __slots__ = ("__weakref__", "_last", "_leg", "_number")

    def __init__(self, leg: Leg, number: bytes) -> None:
        self._leg: Leg | None = leg
        self._number = number
        self._last = 0

    def tell(self, status: int, final: bool, now: float) -> None:
        """One NOTIFY; the same provisional status is told once."""
        leg = self._leg
        if leg is None or not leg.is_there or (status == self._last and not final):
            return
        self._last = status
        state = b"terminated;reason=noresource" if final else b"active;expires=%d" % _MINUTES_S
        head = b"%bEvent: refer%b\r\nSubscription-State: %b\r\n%b" % (
            leg.end.contact(leg.token),
            b";id=" + self._number if self._number else b"",
            state,
            b"Content-Type: message/sipfrag;version=2.0\r\n",
        )
        body = b"SIP/2.0 %d %b\r\n" % (status, reason_phrase(status))
        leg.ask(NOTIFY, head, body, self, now)
        if final:
            self._leg = None

    def on_response(self, response: Response, now: float) -> None:
        """A peer that does not take it is not asked to again."""
        if response.status >= 300:
            self._leg = None

    def on_timeout(self, now: float) -> None:
        """No answer."""
        self._leg = None

    def on_transport_lost(self, now: float) -> None:
        """No way there."""
        self._leg = None

    def on_timer(self, timer: object, now: float) -> None:
        """It has none."""
