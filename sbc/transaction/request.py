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

_MAX_FORWARDS_70: Final = b"Max-Forwards: 70\r\n"  # RFC 3261 §8.1.1.6


def via_line(transport: bytes, sent_by: bytes, branch: bytes) -> bytes:
    """The Via line of a request of ours, CRLF included; always asks for rport (RFC 3581).

    Args:
        transport: upper case, as in `Hop.transport`.
        sent_by: host, or host:port, IPv6 in brackets: the listener's advertised address.
        branch: begins with `sbc.ids.BRANCH_COOKIE`.
    """
    return b"Via: SIP/2.0/%b %b;branch=%b;rport\r\n" % (transport, sent_by, branch)


class ClientRequest:
    """One request to send. All `*_line` arguments are whole header lines, CRLF included.

    Args:
        method: upper case.
        uri: the Request-URI.
        via_line: our one Via, from `via_line()`.
        branch: the branch in it.
        route_lines: zero or more Route lines.
        from_line: with our tag.
        to_line: with the peer's tag inside a dialog.
        call_id_line: the Call-ID line.
        cseq: the sequence number.
        max_forwards_line: the Max-Forwards line.
        head: all other header lines (Contact, Content-Type, …), without Content-Length.
        body: as sent.
        credentials: zero or more Authorization and Proxy-Authorization lines.
    """

    __slots__ = (
        "body",
        "branch",
        "call_id_line",
        "credentials",
        "cseq",
        "data",
        "from_line",
        "head",
        "max_forwards_line",
        "method",
        "route_lines",
        "sender",
        "to_line",
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
        from_line: bytes,
        to_line: bytes,
        call_id_line: bytes,
        cseq: int,
        max_forwards_line: bytes = _MAX_FORWARDS_70,
        head: bytes = b"",
        body: bytes = b"",
        credentials: bytes = b"",
    ) -> None:
        self.method = method
        self.uri = uri
        self.via_line = via_line
        self.branch = branch
        self.route_lines = route_lines
        self.from_line = from_line
        self.to_line = to_line
        self.call_id_line = call_id_line
        self.cseq = cseq
        self.max_forwards_line = max_forwards_line
        self.head = head
        self.body = body
        self.credentials = credentials
        self.sender: Any = None
        """Who is to answer a challenge to it; None: nobody."""
        self.tries = 0
        """How often it was sent before, each time without the credentials that were wanted."""
        self.data = b"".join(
            (
                b"%b %b SIP/2.0\r\n" % (method, uri),
                via_line,
                route_lines,
                max_forwards_line,
                from_line,
                to_line,
                call_id_line,
                b"CSeq: %d %b\r\n" % (cseq, method),
                credentials,
                head,
                b"Content-Length: %d\r\n\r\n" % len(body),
                body,
            )
        )

    def ack_for(self, response: Response) -> bytes:
        """The ACK to a 3xx to 6xx, as bytes: it is nobody's transaction (RFC 3261 §17.1.1.3).

        Our lines, the response's To with its tag, the same branch and sequence number, and what
        proved who we are (§22.1).
        """
        to = response.first(b"to")
        to_line = self.to_line if to is None else b"To: %b\r\n" % to
        return self._sibling(ACK, to_line, b"", self.credentials).data

    def cancel(self, head: bytes = b"") -> ClientRequest:
        """The CANCEL of this INVITE: same branch, so that it finds its way (RFC 3261 §9.1).

        It bears no credentials: nobody may ask for them (§22.1).

        Args:
            head: further header lines, such as a Reason (RFC 3326).
        """
        return self._sibling(CANCEL, self.to_line, head)

    def again(self, credentials: bytes, cseq: int) -> ClientRequest:
        """The same request as a new one, with these credentials (RFC 3261 §8.1.3.5, §22.2)."""
        branch = self.branch + b"-a"
        request = ClientRequest(
            self.method,
            self.uri,
            self.via_line.replace(self.branch, branch, 1),
            branch,
            self.route_lines,
            self.from_line,
            self.to_line,
            self.call_id_line,
            cseq,
            self.max_forwards_line,
            self.head,
            self.body,
            credentials,
        )
        request.sender = self.sender
        request.tries = self.tries + 1
        return request

    def shed(self) -> None:
        """Keep what the dialogs of later answers are made of: URI, From, To and number."""
        self.data = self.via_line = self.branch = self.route_lines = self.call_id_line = b""
        self.max_forwards_line = self.head = self.body = self.credentials = b""

    def _sibling(
        self, method: bytes, to_line: bytes, head: bytes, credentials: bytes = b""
    ) -> ClientRequest:
        return ClientRequest(
            method,
            self.uri,
            self.via_line,
            self.branch,
            self.route_lines,
            self.from_line,
            to_line,
            self.call_id_line,
            self.cseq,
            _MAX_FORWARDS_70,
            head,
            credentials=credentials,
        )
