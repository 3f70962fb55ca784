"""One side of a call: what it knows of its peer, and the messages that it sends there.

A leg decides nothing about the call. What its peer does reaches the call through `Owner`; what
the call wants said goes through the leg's methods. The A-leg is the server of the INVITE that came
in, the B-leg the client of the INVITE that went out; once connected they are alike.
"""

from __future__ import annotations

import ipaddress
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

from policies.settings import Nat, TrunkSettings
from sbc.call.core import Core
from sbc.call.local import ALLOW, LocalEnd
from sbc.dialog.dialog import Dialog
from sbc.dialog.final_response import AcceptedInvite
from sbc.errors import ParseError, RemoteProtocolError
from sbc.ids import BRANCH_COOKIE, Token
from sbc.sdp.offer_answer import Negotiation
from sbc.sdp.parser import parse as parse_sdp
from sbc.sip.message import Request, Response
from sbc.sip.serialise import ReplyBase
from sbc.sip.status import BYE, INVITE, OPTIONS
from sbc.sip.uri import SipUri, parse_uri
from sbc.transaction.hop import TCP, TLS, Hop
from sbc.transaction.machine import ServerTransaction
from sbc.transaction.request import ClientRequest

__all__ = ["CONTENT_TYPE_SDP", "SDP", "Fork", "Leg", "Owner", "session_id"]

SDP: Final = b"application/sdp"
CONTENT_TYPE_SDP: Final = b"Content-Type: application/sdp\r\n"
_BROADCAST: Final = ipaddress.IPv4Address(0xFFFFFFFF)


class Owner(Protocol):
    """The call, as its legs see it."""

    def leg_acked(self, leg: Leg, now: float) -> None:
        """The peer acknowledged our 2xx to its INVITE, the first or a later one."""

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


def session_id(identifier: bytes) -> int:
    """A number for our `o=` line that says nothing but is the same for one identifier."""
    return zlib.crc32(identifier)


class Leg:
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
        "core",
        "dialog",
        "end",
        "hop",
        "nat",
        "negotiation",
        "over",
        "owner",
        "token",
        "trunk",
    )
    side = "?"

    def __init__(
        self, core: Core, owner: Owner, trunk: TrunkSettings, end: LocalEnd, hop: Hop, token: Token
    ) -> None:
        self.core = core
        self.owner: Owner | None = owner
        self.trunk = trunk
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
            self._respond(txn, reply, error.status, b"", now)
            return
        if request.method == BYE:
            self.over = True
            self._respond(txn, reply, 200, b"", now)
            if self.owner is not None:
                self.owner.leg_hung_up(self, request, now)
        elif self.over:  # RFC 3261 §15.1.1: a BYE of ours has ended the dialog
            self._respond(txn, reply, 481, b"", now)
        elif request.method == INVITE:
            self._reinvited(request, reply, txn, now)
        elif request.method == OPTIONS:
            self._respond(txn, reply, 200, ALLOW, now)
        else:
            self._respond(txn, reply, 405, ALLOW, now)

    def acked(self, request: Request, now: float) -> None:
        """An ACK inside the dialog."""
        if self.accepted is not None and request.cseq == self.accepted.cseq:
            self.accepted.acked()
            self.accepted = None
            if self.owner is not None:
                self.owner.leg_acked(self, now)

    def not_acked(self, now: float) -> None:
        """64*T1 have passed without the ACK to our 2xx."""
        self.accepted = None
        if self.owner is not None:
            self.owner.leg_not_acked(self, now)

    def bye(self, now: float, reason: bytes = b"") -> None:
        """End the dialog; `reason` is a ready Reason line or nothing."""
        if self.dialog is not None:
            self.over = True
            self.core.layer.request(self._in_dialog(BYE, reason), self.hop, None, now)

    def unlink(self) -> None:
        """Nothing more is to be told: let go of the call."""
        self.owner = None
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

    def _in_dialog(self, method: bytes, head: bytes = b"") -> ClientRequest:
        assert self.dialog is not None  # noqa: S101 (for the type checker)
        parts = self.dialog.request_parts(method)
        branch = self.next_branch()
        return ClientRequest(
            method,
            parts.uri,
            self.end.via(branch),
            branch,
            parts.route_lines,
            parts.from_line,
            parts.to_line,
            parts.call_id_line,
            parts.cseq,
            head=head,
        )

    def _reinvited(
        self, request: Request, reply: ReplyBase, txn: ServerTransaction, now: float
    ) -> None:
        """A re-INVITE: one that repeats what was agreed is accepted, any other changes nothing."""
        negotiation = self.negotiation
        try:
            contact = request.contact
        except ParseError:
            self._respond(txn, reply, 400, b"", now)
            return
        if self.accepted is not None or negotiation is None:
            self._respond(txn, reply, 491, b"", now)
        elif self._repeats(request, negotiation):
            if self.dialog is not None and contact is not None and contact.uri != b"*":
                self.dialog.refresh_target(contact.uri)
                self.redirect()
            head = self.end.contact(self.token) + ALLOW + CONTENT_TYPE_SDP
            data = reply.build(200, head=head, body=negotiation.local)
            self.accept(data, request.cseq, txn, now)
        else:
            self._respond(txn, reply, 488, b"", now)

    def _repeats(self, request: Request, negotiation: Negotiation) -> bool:
        if request.content_type != SDP:
            return False
        try:
            return negotiation.unchanged(parse_sdp(request.body))
        except ParseError:
            return False

    def accept(self, data: bytes, cseq: int, txn: ServerTransaction, now: float) -> None:
        """Send a 2xx to the peer's INVITE, again and again until its ACK (RFC 3261 §13.3.1.4)."""
        self.core.layer.respond(txn, 200, data, now)
        self.accepted = AcceptedInvite(self.core.layer, txn.hop, data, cseq, self, now)

    def redirect(self) -> None:
        """Find out where requests inside the dialog go (RFC 3261 §12.2.1.1, §8.1.2).

        A peer behind NAT, or one whose target is a name, stays where its signalling came from.
        """
        dialog = self.dialog
        if dialog is None or self.nat:
            return
        place = _place(dialog.next_hop_uri().rpartition(b"@")[2])
        if place is None:
            return
        host, port, wanted = place
        transport = self.hop.transport
        if transport != TLS and wanted in (TCP, TLS):  # what began encrypted stays so
            transport = wanted
        port = port or (5061 if transport == TLS else 5060)  # RFC 3261 §19.1.2
        if host == self.hop.host and port == self.hop.port and transport == self.hop.transport:
            return  # as nearly always: it is where the dialog began
        end: LocalEnd | None = self.end  # as long as it can: its address is what the peer knows
        if self.end.transport != transport or (b":" in self.end.host) != (":" in host):
            end = self.core.ends.towards(self.trunk.realm, transport, host)
        if end is None:
            return
        connection = self.hop.connection if transport == self.hop.transport else 0
        if end.transport != self.end.transport or connection == 0:
            self.end = end
        realm, trunk = self.trunk.realm, self.trunk.name
        self.hop = Hop(realm, self.end.index, transport, host, port, connection, trunk)

    def _respond(
        self, txn: ServerTransaction, reply: ReplyBase, status: int, head: bytes, now: float
    ) -> None:
        self.core.layer.respond(txn, status, reply.build(status, head=head), now)


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
