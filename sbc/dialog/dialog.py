"""A dialog: who talks to whom, in which order, and over which hops (RFC 3261 §12).

A dialog is made by a request that came (we are the UAS, §12.1.1) or by a response to one of ours
(UAC, §12.1.2). What the peer must find unchanged (its party and ours, tags included) is kept byte
for byte. The state can be written down as plain values and taken up again after a restart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sbc.dialog.route_set import Routing, route
from sbc.errors import ParseError, RemoteProtocolError
from sbc.sip.address import tag_of
from sbc.sip.message import Request, Response
from sbc.sip.status import ACK, CANCEL, INVITE
from sbc.transaction.request import ClientRequest

__all__ = ["Dialog"]

_STATE: Final = (
    "call_id",
    "local_tag",
    "remote_tag",
    "local_party",
    "remote_party",
    "remote_target",
    "route_set",
    "local_cseq",
    "remote_cseq",
    "invite_cseq",
    "confirmed",
)
_NO_ROUTES: Final[Sequence[bytes]] = ()
"""One for all: most dialogs have none."""


class Dialog:
    """One dialog, seen from our side. Made by `from_request`, `from_response` or `from_state`."""

    __slots__ = ("__weakref__", "_routing", *_STATE)

    def __init__(
        self,
        call_id: bytes,
        local_tag: bytes,
        remote_tag: bytes,
        local_party: bytes,
        remote_party: bytes,
        remote_target: bytes,
        route_set: Sequence[bytes],
        local_cseq: int,
        remote_cseq: int | None,
        invite_cseq: int,
        confirmed: bool,
    ) -> None:
        self.call_id = call_id
        self.local_tag = local_tag
        self.remote_tag = remote_tag
        """b"" of an RFC 2543 peer."""
        self.local_party = local_party
        """Our From value, tag included."""
        self.remote_party = remote_party
        """Our To value, tag included."""
        self.remote_target = remote_target
        """The peer's Contact URI."""
        self.route_set = route_set or _NO_ROUTES
        """Name-addr values, first hop first."""
        self.local_cseq = local_cseq
        """Of our last request; 0 before the first."""
        self.remote_cseq = remote_cseq
        """The highest that the peer has used; None before its first request."""
        self.invite_cseq = invite_cseq
        """Of our last INVITE, whose ACK bears it too; 0 before the first."""
        self.confirmed = confirmed
        """A 2xx has been sent or received; before that the dialog is early."""
        self._routing: Routing | None = None

    @classmethod
    def from_request(cls, request: Request, local_tag: bytes, confirmed: bool = False) -> Dialog:
        """The UAS's dialog, once we answer `request` under `local_tag` (RFC 3261 §12.1.1).

        Raises:
            RemoteProtocolError: no Contact.
            ParseError: a malformed Contact, From, To or Record-Route.
        """
        contact = request.contact
        if contact is None or contact.uri == b"*":
            raise RemoteProtocolError("expected a Contact URI in a request that makes a dialog")
        local_party = request.first(b"to") or b""
        if not request.to_tag:
            local_party = b"%b;tag=%b" % (local_party, local_tag)
        return cls(
            request.call_id,
            local_tag,
            request.from_tag,
            local_party,
            request.first(b"from") or b"",
            contact.uri,
            request.values(b"record-route"),
            0,
            request.cseq,
            0,
            confirmed,
        )

    @classmethod
    def from_response(cls, request: ClientRequest, response: Response) -> Dialog:
        """The UAC's dialog: early from a 101 to 199, confirmed from a 2xx (RFC 3261 §12.1.2).

        A provisional response without Contact leaves the target where the request went; a 2xx
        without one too, for such peers exist and a BYE that way may still reach them.

        Raises:
            ParseError: a malformed Contact, To or Record-Route.
        """
        contact = response.contact
        if contact is not None and contact.uri == b"*":
            raise ParseError("Contact", "expected a URI")
        return cls(
            response.call_id,
            tag_of(request.from_party, "From"),
            response.to_tag,
            request.from_party,
            response.first(b"to") or request.to_party,
            request.uri if contact is None else contact.uri,
            response.values(b"record-route")[::-1],
            request.cseq,
            None,
            request.cseq if request.method == INVITE else 0,
            response.status >= 200,
        )

    @property
    def key(self) -> tuple[bytes, bytes, bytes]:
        """The dialog ID: Call-ID, our tag, the peer's tag (RFC 3261 §12)."""
        return self.call_id, self.local_tag, self.remote_tag

    def confirm(self, response: Response) -> None:
        """A 2xx makes an early dialog of ours a confirmed one, with its routes (§13.2.2.4).

        Raises:
            ParseError: a malformed Contact or Record-Route.
        """
        routes = response.values(b"record-route")[::-1]
        contact = response.contact
        self.route_set = routes or _NO_ROUTES
        self._routing = None
        self.confirmed = True
        if contact is not None:
            self.remote_target = contact.uri

    def refresh_target(self, uri: bytes) -> None:
        """The peer's Contact in a re-INVITE or UPDATE, or in its 2xx (§12.2.1.2, §12.2.2)."""
        if uri != self.remote_target:
            self.remote_target = uri
            self._routing = None

    def check_request(self, request: Request) -> None:
        """Take the sequence number of a request in the dialog (§12.2.2).

        Retransmissions never come here, so a number that was used before is out of order too. ACK
        and CANCEL bear the number of their INVITE, which need not be the last: they always pass.

        Raises:
            RemoteProtocolError: out of order, 500.
        """
        if request.method == ACK or request.method == CANCEL:
            return
        if self.remote_cseq is not None and request.cseq <= self.remote_cseq:
            raise RemoteProtocolError(
                f"expected CSeq above {self.remote_cseq}, got {request.cseq}", status=500
            )
        self.remote_cseq = request.cseq

    def request(
        self,
        method: bytes,
        via_line: bytes,
        branch: bytes,
        head: bytes = b"",
        body: bytes = b"",
        credentials: bytes = b"",
    ) -> ClientRequest:
        """Our next request; takes a sequence number, except for ACK (§12.2.1.1).

        Args:
            via_line, branch, head, body, credentials: as of `ClientRequest`.

        Raises:
            ParseError: the route set cannot be read.
        """
        uri, route_lines = self.remote_target, b""
        if self.route_set:
            routing = self._routed()
            uri, route_lines = routing.uri, routing.route_lines
        if method == ACK:
            cseq = self.invite_cseq  # §13.2.2.4
        else:
            cseq = self.local_cseq = self.local_cseq + 1
            if method == INVITE:
                self.invite_cseq = cseq
        return ClientRequest(
            method,
            uri,
            via_line,
            branch,
            route_lines,
            self.local_party,
            self.remote_party,
            self.call_id,
            cseq,
            head=head,
            body=body,
            credentials=credentials,
        )

    def request_uri(self) -> bytes:
        """The Request-URI of our next request (§12.2.1.1).

        Raises:
            ParseError: the route set cannot be read.
        """
        return self._routed().uri if self.route_set else self.remote_target

    def next_hop_uri(self) -> bytes:
        """The URI that a request in the dialog is sent to: the first route, or the target (§8.1.2).

        Raises:
            ParseError: the route set cannot be read.
        """
        return self._routed().next_hop if self.route_set else self.remote_target

    def to_state(self) -> dict[str, Any]:
        """Plain values (bytes, int, bool, None, list of bytes) that `from_state` takes."""
        state = {name: getattr(self, name) for name in _STATE}
        state["route_set"] = list(self.route_set)
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Dialog:
        """The dialog that `to_state` wrote down.

        Raises:
            KeyError: a part is missing.
        """
        parts = {name: state[name] for name in _STATE}
        parts["route_set"] = list(parts["route_set"])
        return cls(**parts)

    def _routed(self) -> Routing:
        if self._routing is None:
            self._routing = route(self.remote_target, self.route_set)
        return self._routing
