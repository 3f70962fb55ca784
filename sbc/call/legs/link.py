"""A link to one peer: where it is, and how requests to it are made, once there is a dialog.

What legs of calls and sides of subscriptions have in common. Who uses a link decides what is said.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final

from policies.settings import Nat, TrunkSettings
from sbc.call.core import Core
from sbc.call.digest.credentials import Signer
from sbc.call.legs.local import LocalEnd
from sbc.dialog.dialog import Dialog
from sbc.errors import ParseError
from sbc.ids import BRANCH_COOKIE, Token
from sbc.sip.message import Message
from sbc.sip.serialise import ReplyBase
from sbc.sip.status import ACK, INVITE
from sbc.sip.uri import SipUri, parse_uri
from sbc.transaction.hop import TCP, TLS, Hop
from sbc.transaction.machine import ClientTransaction, ServerTransaction
from sbc.transaction.request import ClientRequest
from sbc.transaction.timers import User

__all__ = ["Link"]

_BROADCAST: Final = ipaddress.IPv4Address(0xFFFFFFFF)


class Link:
    """Our side of what is said with one peer.

    Args:
        core: the surroundings.
        trunk: whose peer this is.
        end: the listener that we speak from.
        hop: where the peer is.
        token: what all our identifiers towards it are made of.
    """

    __slots__ = ("branches", "core", "dialog", "end", "hop", "nat", "proof", "token", "trunk")

    def __init__(
        self, core: Core, trunk: TrunkSettings, end: LocalEnd, hop: Hop, token: Token
    ) -> None:
        self.core = core
        self.trunk = trunk
        self.end = end
        self.hop = hop
        self.token = token
        self.nat = trunk.nat is Nat.ALWAYS
        """Whether the peer is only to be found where its signalling comes from."""
        self.branches = 0
        self.dialog: Dialog | None = None
        self.proof = b""
        """The credentials of our last INVITE."""

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
        branch = self.next_branch()
        via = end.via(branch)
        if self.trunk.credentials is None:
            return dialog.request(method, via, branch, head, body)
        proof = self.prove(method, dialog.request_uri(), body)
        request = dialog.request(method, via, branch, head, body, proof)
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

    def redirect(self) -> None:
        """Find out where requests inside the dialog go (RFC 3261 §12.2.1.1, §8.1.2).

        A peer behind NAT, or one whose target is a name or not in its network, stays where its
        signalling came from.
        """
        if self.dialog is not None:
            self.end, self.hop = self.way(self.dialog)

    def way(self, dialog: Dialog) -> tuple[LocalEnd, Hop]:
        """Our end and the next hop of a request in this dialog."""
        hop = self.hop
        if self.nat:
            return self.end, hop
        place = _place(dialog.next_hop_uri().rpartition(b"@")[2], hop.transport)
        if place is None or place == (hop.host, hop.port, hop.transport):
            return self.end, hop  # as nearly always: it is where the dialog began
        host, port, transport = place
        realm = self.trunk.realm
        if host != hop.host and self.core.where.bounds.crosses(realm, hop.host, host):
            self.core.counters["target_refused"] += 1
            return self.end, hop
        end: LocalEnd | None = self.end  # as long as it can: its address is what the peer knows
        if self.end.transport != transport or (b":" in self.end.host) != (":" in host):
            end = self.core.ends.towards(realm, transport, host, like=self.end)
        if end is None:
            return self.end, hop
        connection = hop.connection if transport == hop.transport else 0
        if end.transport == self.end.transport and connection:
            end = self.end
        return end, Hop(realm, end.index, transport, host, port, connection, self.trunk.name)


@lru_cache(maxsize=4096)
def _place(target: bytes, transport: bytes) -> tuple[str, int, bytes] | None:
    """Address, port and transport of a URI without user; None for a name.

    The user part is what differs from call to call, so few of these are ever seen.

    Args:
        transport: of the dialog, for a URI that names none.
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
    if transport != TLS and uri.transport in (TCP, TLS):  # what began encrypted stays so
        transport = uri.transport
    port = uri.port or (5061 if transport == TLS else 5060)  # RFC 3261 §19.1.2
    return str(address), port, transport
