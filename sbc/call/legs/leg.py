"""One side of a call: what it knows of its peer, and the messages that it sends there.

A leg decides nothing about the call. What its peer does reaches the call through `Owner`; what
the call wants said goes through the leg's methods. The A-leg is the server of the INVITE that came
in, the B-leg the client of the INVITE that went out; once connected they are alike.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol

from policies.settings import TrunkSettings
from sbc.call.core import Core
from sbc.call.legs.capabilities import UNKNOWN
from sbc.call.legs.local import LocalEnd
from sbc.call.legs.timed import Timed, Watch
from sbc.dialog.dialog import Dialog
from sbc.dialog.final_response import AcceptedInvite
from sbc.errors import RemoteProtocolError
from sbc.ids import Token
from sbc.sdp.offer_answer import Negotiation
from sbc.sip.message import Request, Response
from sbc.sip.serialise import ReplyBase
from sbc.sip.status import ACK, BYE
from sbc.transaction.hop import Hop
from sbc.transaction.machine import ServerTransaction

__all__ = ["CONTENT_TYPE_SDP", "SDP", "Fork", "Leg", "Owner", "Watch", "again_head", "session_id"]

SDP: Final = b"application/sdp"
CONTENT_TYPE_SDP: Final = b"Content-Type: application/sdp\r\n"


class Owner(Protocol):
    """The call, as its legs see it."""

    def leg_asked(
        self, leg: Leg, request: Request, reply: ReplyBase, txn: ServerTransaction, now: float
    ) -> None:
        """A request inside the dialog, in its order, that is no BYE: to be answered."""

    def leg_asked_early(
        self, leg: Leg, request: Request, reply: ReplyBase, txn: ServerTransaction, now: float
    ) -> None:
        """A request in an early dialog that does not end it: to be answered."""

    def leg_acked(self, leg: Leg, request: Request, now: float) -> None:
        """The peer acknowledged our 2xx to its INVITE, the first or a later one."""

    def leg_due(self, leg: Leg, timer: IntEnum, now: float) -> None:
        """A timer of the leg's."""

    def leg_not_acked(self, leg: Leg, now: float) -> None:
        """64*T1 passed without that ACK."""

    def leg_hung_up(self, leg: Leg, request: Request, now: float) -> None:
        """The peer's BYE; it is answered already."""

    def cancelled(self, request: Request, now: float) -> None:
        """The caller gave up: its CANCEL, or its BYE in an early dialog."""

    def target_responded(self, leg: Leg, response: Response, now: float) -> None:
        """1xx above 100, the first 2xx, or the final failure of the target."""

    def target_silent(self, leg: Leg, now: float) -> None:
        """64*T1 without a final response."""

    def target_unreachable(self, leg: Leg, now: float) -> None:
        """The INVITE could not be carried."""


@dataclass(slots=True, eq=False)
class Fork:
    """One early dialog of the target, and the one that the caller sees in its place."""

    tag_a: bytes
    """Our To-tag towards the caller; b"": it has left this one."""
    negotiation_a: Negotiation
    negotiation_b: Negotiation
    dialog_a: Dialog | None = None
    """At the caller, once more than 18x is said in it."""
    dialog_b: Dialog | None = None
    """At the target, once it has said something reliably, or somebody wants to speak in it."""
    heard: Response | None = None
    """The 18x that has let its media through, where it was not reliable."""


def session_id(identifier: bytes) -> int:
    """A number for our `o=` line that says nothing but is the same for one identifier."""
    return zlib.crc32(identifier)


def again_head(token: Token) -> bytes:
    """Retry-After of a 500 to what came too early (RFC 3261 §14.2): 0 to 10, by chance."""
    return b"Retry-After: %d\r\n" % (session_id(token) % 11)


class Leg(Timed):
    """What both sides have in common.

    Args:
        core: the surroundings.
        owner: the call.
        trunk: whose peer this is.
        end: the listener that we speak from.
        hop: where the peer is.
        token: what all our identifiers on this leg are made of.
    """

    __slots__ = ("accepted", "negotiation", "over", "owner")
    side = "?"

    def __init__(
        self, core: Core, owner: Owner, trunk: TrunkSettings, end: LocalEnd, hop: Hop, token: Token
    ) -> None:
        super().__init__(core, trunk, end, hop, token)
        self.peer = UNKNOWN
        self.timer = self.clock = self.ping_clock = None
        self.owner: Owner | None = owner
        self.over = False
        """Whether a BYE has been said, by whomever."""
        self.negotiation: Negotiation | None = None
        self.accepted: AcceptedInvite | None = None
        """Our 2xx to the peer's INVITE while its ACK is awaited."""

    def owns(self, request: Request) -> bool:
        """Whether the request's Call-ID and tags are those of our dialog."""
        dialog = self.dialog
        return (
            dialog is not None
            and request.call_id == dialog.call_id
            and request.from_tag == dialog.remote_tag
            and request.to_tag == dialog.local_tag  # not that of another fork, which is over
        )

    @property
    def is_there(self) -> bool:
        """Whether its peer can be asked anything: it has neither hung up nor moved on."""
        return self.dialog is not None and not self.over

    def receive(
        self, request: Request, reply: ReplyBase, txn: ServerTransaction, now: float
    ) -> None:
        """A request inside the dialog, ACK excepted. Answers it, in any state."""
        dialog = self.dialog
        assert dialog is not None  # noqa: S101 (`owns` has seen it)
        try:
            dialog.check_request(request)
        except RemoteProtocolError as error:
            self.respond(txn, reply, error.status, b"", now)
            return
        if request.method == BYE:
            self.over = True
            self.respond(txn, reply, 200, b"", now)
            if self.owner is not None:
                self.owner.leg_hung_up(self, request, now)
        elif self.over or self.owner is None:  # RFC 3261 §15.1.1: a BYE of ours has ended it
            self.respond(txn, reply, 481, b"", now)
        else:
            self.owner.leg_asked(self, request, reply, txn, now)

    def acked(self, request: Request, now: float) -> None:
        """An ACK inside the dialog."""
        if self.accepted is not None and request.cseq == self.accepted.cseq:
            self.accepted.acked()
            self.accepted = None
            if self.owner is not None:
                self.owner.leg_acked(self, request, now)

    def not_acked(self, now: float) -> None:
        """64*T1 have passed without the ACK to our 2xx."""
        self.accepted = None
        if self.owner is not None:
            self.owner.leg_not_acked(self, now)

    def bye(self, now: float, reason: bytes = b"") -> None:
        """End the dialog unless it is over; `reason` is a ready Reason line or nothing."""
        if self.dialog is not None and not self.over:
            self.over = True
            self.core.layer.request(self.in_dialog(BYE, reason), self.hop, None, now)

    def acknowledge(self, body: bytes = b"", dialog: Dialog | None = None) -> tuple[Hop, bytes]:
        """ACK the 2xx to our last INVITE; what was sent, for the 2xx's repetitions.

        Args:
            dialog: that was ours until the call ended.
        """
        dialog = dialog or self.dialog
        assert dialog is not None  # noqa: S101 (the INVITE was sent in it)
        head = CONTENT_TYPE_SDP if body else b""
        ack = self._request(dialog, self.end, ACK, head, body).data
        self.core.layer.transmit(self.hop, ack)
        return self.hop, ack

    def on_timer(self, timer: IntEnum, now: float) -> None:
        """One of the leg's own timers."""
        entry = self.ping_clock if timer is Watch.PING else self.clock
        if entry is None or entry.owner is not None:
            return  # what came due together with it has stopped it, or armed another
        if self.owner is not None and not self.over:
            self.owner.leg_due(self, timer, now)

    def unlink(self) -> None:
        """Nothing more is to be told: let go of the call."""
        self.owner = None
        self.rest()
        if self.accepted is not None:
            self.accepted.acked()
            self.accepted = None

    def take_over(self, other: Leg, now: float) -> None:
        """The dialog of another leg is this one's from now on, with all that belongs to it.

        The other one keeps what its INVITE still needs (repeated answers), and its name. No
        answer of ours may be waiting for its ACK there.
        """
        dialog = other.dialog
        assert dialog is not None  # noqa: S101 (it was asked within it)
        self.dialog, self.negotiation, self.accepted = dialog, other.negotiation, None
        self.end, self.hop, self.nat = other.end, other.hop, other.nat
        self.token, self.branches, self.proof = other.token, other.branches, other.proof
        self.peer, self.timer = other.peer, other.timer
        self.core.dialogs[dialog.local_tag] = self
        other.dialog = other.timer = None
        other.over = True
        other.rest()
        self.arm_timer(now)
        self.arm_ping(now)

    def forget(self, tag: bytes) -> None:
        """A tag of ours names no dialog any more, unless another leg has taken that over."""
        if self.core.dialogs.get(tag) is self:
            del self.core.dialogs[tag]

    def rest(self) -> None:
        """No timer of the leg's runs any more."""
        self._disarm()
        if self.ping_clock is not None:
            self.ping_clock.cancel()

    def describe(self) -> dict[str, object]:
        """The leg as an operator sees it."""
        dialog, negotiation = self.dialog, self.negotiation
        return {
            "trunk": self.trunk.name,
            "realm": self.trunk.realm,
            "address": f"{self.hop.transport.decode()} {self.hop.host}:{self.hop.port}",
            "nat": self.nat,
            "confirmed": dialog is not None,
            "remote_target": dialog.remote_target.decode("utf-8", "replace") if dialog else None,
            "offered_by_us": negotiation.we_offered if negotiation else None,
        }

    def accept(self, data: bytes, cseq: int, txn: ServerTransaction, now: float) -> None:
        """Send a 2xx to the peer's INVITE, again and again until its ACK (RFC 3261 §13.3.1.4)."""
        self.core.layer.respond(txn, 200, data, now)
        self.accepted = AcceptedInvite(self.core.layer, txn.hop, data, cseq, self, now)
