"""One side of a call: what it knows of its peer, and the messages that it sends there.

A leg decides nothing about the call. What its peer does reaches the call through `Owner`; what
the call wants said goes through the leg's methods. The A-leg is the server of the INVITE that came
in, the B-leg the client of the INVITE that went out; once connected they are alike.
"""

from __future__ import annotations

import ipaddress
import zlib
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final, Protocol

from policies.settings import Nat, TrunkSettings
from sbc.call.core import Core
from sbc.call.credentials import Signer
from sbc.call.local import LocalEnd
from sbc.call.reliable import ReliableSender
from sbc.call.timed import Timed, Watch
from sbc.dialog.dialog import Dialog
from sbc.dialog.final_response import AcceptedInvite
from sbc.errors import ParseError, RemoteProtocolError
from sbc.ids import BRANCH_COOKIE, Token
from sbc.sdp.offer_answer import Negotiation
from sbc.sip.message import Message, Request, Response
from sbc.sip.serialise import ReplyBase
from sbc.sip.status import ACK, BYE, INVITE
from sbc.sip.uri import SipUri, parse_uri
from sbc.transaction.hop import TCP, TLS, Hop
from sbc.transaction.machine import ClientTransaction, ServerTransaction
from sbc.transaction.request import ClientRequest
from sbc.transaction.timers import User

__all__ = ["CONTENT_TYPE_SDP", "SDP", "Fork", "Leg", "Owner", "Watch", "again_head", "session_id"]

SDP: Final = b"application/sdp"
CONTENT_TYPE_SDP: Final = b"Content-Type: application/sdp\r\n"
_BROADCAST: Final = ipaddress.IPv4Address(0xFFFFFFFF)


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


@dataclass(slots=True)
class Fork:
    """One early dialog of the target, and the one that the caller sees in its place."""

    tag_a: bytes
    """Our To-tag towards the caller."""
    negotiation_a: Negotiation
    negotiation_b: Negotiation
    dialog_a: Dialog | None = None
    """At the caller, once more than 18x is said in it."""
    dialog_b: Dialog | None = None
    """At the target, once it has said something reliably."""
    sender: ReliableSender | None = None
    """Of our reliable 18x to the caller."""
    racks: list[bytes] | None = None
    """The RAck that the target is owed with each PRACK of the caller's that is to come; b"":
    none."""


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

    __slots__ = (
        "accepted",
        "branches",
        "dialog",
        "end",
        "hop",
        "nat",
        "negotiation",
        "over",
        "owner",
        "proof",
        "token",
    )
    side = "?"

    def __init__(
        self, core: Core, owner: Owner, trunk: TrunkSettings, end: LocalEnd, hop: Hop, token: Token
    ) -> None:
        super().__init__(core, trunk)
        self.owner: Owner | None = owner
        self.end = end
        self.hop = hop
        self.token = token
        self.nat = trunk.nat is Nat.ALWAYS
        """Whether the peer is only to be found where its signalling comes from."""
        self.over = False
        """Whether a BYE has been said, by whomever."""
        self.branches = 0
        self.dialog: Dialog | None = None
        self.negotiation: Negotiation | None = None
        self.accepted: AcceptedInvite | None = None
        """Our 2xx to the peer's INVITE while its ACK is awaited."""
        self.proof = b""
        """The credentials of our last INVITE."""

    def owns(self, request: Request) -> bool:
        """Whether the request's Call-ID and tags are those of our dialog."""
        dialog = self.dialog
        return (
            dialog is not None
            and request.call_id == dialog.call_id
            and request.from_tag == dialog.remote_tag
            and request.to_tag == dialog.local_tag  # not that of another fork, which is over
        )

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
        """End the dialog; `reason` is a ready Reason line or nothing."""
        if self.dialog is not None:
            self.over = True
            self.core.layer.request(self.in_dialog(BYE, reason), self.hop, None, now)

    def ask(
        self,
        method: bytes,
        head: bytes,
        body: bytes,
        user: User,
        now: float,
        dialog: Dialog | None = None,
    ) -> ClientTransaction:
        """A request inside the dialog; `user` hears what becomes of it.

        Args:
            dialog: an early one; None: the leg's own.
        """
        if dialog is None or dialog is self.dialog:
            request = self.in_dialog(method, head, body)
            return self.core.layer.request(request, self.hop, user, now)
        end, hop = self.way(dialog)
        request = self._request(dialog, end, method, head, body)
        return self.core.layer.request(request, hop, user, now)

    def acknowledge(self, body: bytes = b"") -> tuple[Hop, bytes]:
        """ACK the 2xx to our last INVITE; what was sent, for the 2xx's repetitions."""
        ack = self.in_dialog(ACK, CONTENT_TYPE_SDP if body else b"", body).data
        self.core.layer.transmit(self.hop, ack)
        return self.hop, ack

    def refresh_target(self, message: Message, dialog: Dialog | None = None) -> None:
        """The peer's Contact in a re-INVITE or UPDATE, or in its 2xx (RFC 3261 §12.2).

        Args:
            dialog: an early one; None: the leg's own.
        """
        dialog = dialog or self.dialog
        contact = message.contact
        if dialog is not None and contact is not None and contact.uri != b"*":
            dialog.refresh_target(contact.uri)
            if dialog is self.dialog:
                self.redirect()

    def respond(
        self,
        txn: ServerTransaction,
        reply: ReplyBase,
        status: int,
        head: bytes,
        now: float,
        body: bytes = b"",
    ) -> None:
        """Answer a request inside the dialog."""
        self.core.layer.respond(txn, status, reply.build(status, head=head, body=body), now)

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
        self._disarm()
        if self.ping_clock is not None:
            self.ping_clock.cancel()
        if self.accepted is not None:
            self.accepted.acked()
            self.accepted = None

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

    def next_branch(self, loop_mark: bytes = b"") -> bytes:
        """A Via branch that was never used."""
        self.branches += 1
        return b"%b%b.%d%b" % (BRANCH_COOKIE, self.token, self.branches, loop_mark)

    def in_dialog(self, method: bytes, head: bytes = b"", body: bytes = b"") -> ClientRequest:
        """The next request inside the dialog, to be sent by whoever asks for it."""
        assert self.dialog is not None  # noqa: S101 (for the type checker)
        return self._request(self.dialog, self.end, method, head, body)

    def _request(
        self, dialog: Dialog, end: LocalEnd, method: bytes, head: bytes, body: bytes
    ) -> ClientRequest:
        parts = dialog.request_parts(method)
        branch = self.next_branch()
        request = ClientRequest(
            method,
            parts.uri,
            end.via(branch),
            branch,
            parts.route_lines,
            parts.from_line,
            parts.to_line,
            parts.call_id_line,
            parts.cseq,
            head=head,
            body=body,
            credentials=self.prove(method, parts.uri, body) if self.trunk.credentials else b"",
        )
        if self.trunk.credentials is not None:
            request.sender = Signer(self.trunk, dialog, self._proved)
        return request

    def prove(self, method: bytes, uri: bytes, body: bytes) -> bytes:
        """Who we are, for a peer that has asked; an ACK says what its INVITE said (§22.1)."""
        if self.trunk.credentials is None:
            return b""
        if method == ACK:
            return self.proof
        lines = self.core.credentials.lines(method, uri, body, self.trunk)
        if method == INVITE:
            self.proof = lines
        return lines

    def _proved(self, request: ClientRequest, txn: ClientTransaction) -> None:
        """A request of ours went out again with what the peer asked for."""
        if request.method == INVITE:
            self.proof = request.credentials

    def accept(self, data: bytes, cseq: int, txn: ServerTransaction, now: float) -> None:
        """Send a 2xx to the peer's INVITE, again and again until its ACK (RFC 3261 §13.3.1.4)."""
        self.core.layer.respond(txn, 200, data, now)
        self.accepted = AcceptedInvite(self.core.layer, txn.hop, data, cseq, self, now)

    def redirect(self) -> None:
        """Find out where requests inside the dialog go (RFC 3261 §12.2.1.1, §8.1.2).

        A peer behind NAT, or one whose target is a name, stays where its signalling came from.
        """
        if self.dialog is not None:
            self.end, self.hop = self.way(self.dialog)

    def way(self, dialog: Dialog) -> tuple[LocalEnd, Hop]:
        """Our end and the next hop of a request in this dialog."""
        if self.nat:
            return self.end, self.hop
        place = _place(dialog.next_hop_uri().rpartition(b"@")[2])
        if place is None:
            return self.end, self.hop
        host, port, wanted = place
        transport = self.hop.transport
        if transport != TLS and wanted in (TCP, TLS):  # what began encrypted stays so
            transport = wanted
        port = port or (5061 if transport == TLS else 5060)  # RFC 3261 §19.1.2
        if host == self.hop.host and port == self.hop.port and transport == self.hop.transport:
            return self.end, self.hop  # as nearly always: it is where the dialog began
        end: LocalEnd | None = self.end  # as long as it can: its address is what the peer knows
        if self.end.transport != transport or (b":" in self.end.host) != (":" in host):
            end = self.core.ends.towards(self.trunk.realm, transport, host)
        if end is None:
            return self.end, self.hop
        connection = self.hop.connection if transport == self.hop.transport else 0
        if end.transport == self.end.transport and connection:
            end = self.end
        realm, trunk = self.trunk.realm, self.trunk.name
        return end, Hop(realm, end.index, transport, host, port, connection, trunk)


@lru_cache(maxsize=4096)
def _place(target: bytes) -> tuple[str, int, bytes] | None:
    """Address, port (0: none) and transport (b"": none) of a URI without user; None for a name.

    The user part is what differs from call to call, so few of these are ever seen.
    """
    try:
        bare = target[:4].lower() != b"sip:" and target[:5].lower() != b"sips:"
        uri = parse_uri(b"sip:" + target if bare else target)
        assert isinstance(uri, SipUri)  # noqa: S101 (by its scheme)
        address = ipaddress.ip_address(uri.host.decode("ascii", "replace"))
    except (ValueError, ParseError):
        return None
    if address.is_multicast or address.is_unspecified or address == _BROADCAST:
        return None  # no peer is there, but others are
    return str(address), uri.port or 0, uri.transport
