"""A request of ours: its bytes, made once, and the ACK and CANCEL that follow from its parts.

Retransmissions send `data` again. ACK to a failure and CANCEL are hop by hop: they are the
INVITE's own lines under another method (RFC 3261 §17.1.1.3, §9.1), which is why the parts stay
until the final response is in.
"""

from __future__ import annotations

from typing import Any, Final

from sbc.sip.message import Response
from sbc.sip.status import ACK, CANCEL

__all__ = ["ClientRequest", "via_line"]

_REQUEST: Final = (
    b"%b %b SIP/2.0\r\n%b%bMax-Forwards: %d\r\nFrom: %b\r\nTo: %b\r\nCall-ID: %b\r\n"
    b"CSeq: %d %b\r\n%b%bContent-Length: %d\r\n\r\n%b"
)
_HOPS: Final = 70  # RFC 3261 §8.1.1.6


def via_line(transport: bytes, sent_by: bytes, branch: bytes) -> bytes:
    """The Via line of a request of ours, CRLF included; always asks for rport (RFC 3581).

    Args:
        transport: upper case, as in `Hop.transport`.
        sent_by: host, or host:port, IPv6 in brackets: the listener's advertised address.
        branch: begins with `sbc.ids.BRANCH_COOKIE`.
    """
    return b"Via: SIP/2.0/%b %b;branch=%b;rport\r\n" % (transport, sent_by, branch)


class ClientRequest:
    """One request to send. What is called line, head or credentials is ready, CRLF included.

    Args:
        method: upper case.
        uri: the Request-URI.
        via_line: our one Via, from `via_line()`.
        branch: the branch in it.
        route_lines: zero or more Route lines.
        from_party: the From value, with our tag.
        to_party: the To value, with the peer's tag inside a dialog.
        call_id: the Call-ID.
        cseq: the sequence number.
        hops: Max-Forwards.
        head: all other header lines (Contact, Content-Type, …), without Content-Length.
        body: as sent.
        credentials: zero or more Authorization and Proxy-Authorization lines.
    """

    __slots__ = (
        "body",
        "branch",
        "call_id",
        "credentials",
        "cseq",
        "data",
        "from_party",
        "head",
        "hops",
        "method",
        "route_lines",
        "sender",
        "to_party",
        "tries",
        "uri",
        "via_line",
    )

    def __init__(
        self,
        method: bytes,
        uri: bytes,
        via_line: bytes,
        branch: bytes,
        route_lines: bytes,
        from_party: bytes,
        to_party: bytes,
        call_id: bytes,
        cseq: int,
        hops: int = _HOPS,
        head: bytes = b"",
        body: bytes = b"",
        credentials: bytes = b"",
    ) -> None:
        self.method = method
        self.uri = uri
        self.via_line = via_line
        self.branch = branch
        self.route_lines = route_lines
        self.from_party = from_party
        self.to_party = to_party
        self.call_id = call_id
        self.cseq = cseq
        self.hops = hops
        self.head = head
        self.body = body
        self.credentials = credentials
        self.sender: Any = None
        """Who is to answer a challenge to it; None: nobody."""
        self.tries = 0
        """How often it was sent before, each time without the credentials that were wanted."""
        self.data = _REQUEST % (
            *(method, uri, via_line, route_lines, hops, from_party, to_party, call_id),
            *(cseq, method, credentials, head, len(body), body),
        )

    def ack_for(self, response: Response) -> bytes:
        """The ACK to a 3xx to 6xx, as bytes: it is nobody's transaction (RFC 3261 §17.1.1.3).

        Our lines, the response's To with its tag, the same branch and sequence number, and what
        proved who we are (§22.1).
        """
        to_party = response.first(b"to") or self.to_party
        return self._sibling(ACK, to_party, b"", self.credentials).data

    def cancel(self, head: bytes = b"") -> ClientRequest:
        """The CANCEL of this INVITE: same branch, so that it finds its way (RFC 3261 §9.1).

        It bears no credentials: nobody may ask for them (§22.1).

        Args:
            head: further header lines, such as a Reason (RFC 3326).
        """
        return self._sibling(CANCEL, self.to_party, head)

    def again(self, credentials: bytes, cseq: int) -> ClientRequest:
        """The same request as a new one, with these credentials (RFC 3261 §8.1.3.5, §22.2)."""
        branch = self.branch + b"-a"
        request = ClientRequest(
            self.method,
            self.uri,
            self.via_line.replace(self.branch, branch, 1),
            branch,
            self.route_lines,
            self.from_party,
            self.to_party,
            self.call_id,
            cseq,
            self.hops,
            self.head,
            self.body,
            credentials,
        )
        request.sender = self.sender
        request.tries = self.tries + 1
        return request

    def shed(self) -> None:
        """Keep what the dialogs of later answers are made of: URI, From, To and number."""
        self.data = self.via_line = self.branch = self.route_lines = b""
        self.head = self.body = self.credentials = b""

    def _sibling(
        self, method: bytes, to_party: bytes, head: bytes, credentials: bytes = b""
    ) -> ClientRequest:
        return ClientRequest(
            method,
            self.uri,
            self.via_line,
            self.branch,
            self.route_lines,
            self.from_party,
            to_party,
            self.call_id,
            self.cseq,
            head=head,
            credentials=credentials,
        )
