"""What the tests of the transaction layer are made of."""

from __future__ import annotations

from sbc.sip.message import Request, Response
from sbc.sip.parser import parse
from sbc.sip.serialise import ReplyBase
from sbc.transaction.hop import Hop
from sbc.transaction.layer import Cancel, New, Notice, TransactionLayer
from sbc.transaction.machine import ServerTransaction
from sbc.transaction.request import ClientRequest, via_line
from sbc.transaction.timers import TimerValues

UDP_HOP = Hop("outside", 0, b"UDP", "192.0.2.20", 5060)
TCP_HOP = Hop("outside", 1, b"TCP", "192.0.2.20", 5060, 7)


def client_request(
    method: bytes = b"INVITE", branch: bytes = b"z9hG4bKone", head: bytes = b""
) -> ClientRequest:
    return ClientRequest(
        method,
        b"sip:bob@192.0.2.20",
        via_line(b"UDP", b"192.0.2.10", branch),
        branch,
        b"Route: <sip:192.0.2.20;lr>\r\n",
        b"<sip:alice@192.0.2.10>;tag=ours",
        b"<sip:bob@192.0.2.20>",
        b"call",
        7,
        head=head or b"Contact: <sip:alice@192.0.2.10>\r\n",
    )


def a_request(data: bytes) -> Request:
    message = parse(data)
    assert isinstance(message, Request)
    return message


def a_response(data: bytes) -> Response:
    message = parse(data)
    assert isinstance(message, Response)
    return message


def answer(request: bytes, status: int, tag: bytes = b"theirs") -> Response:
    """The response that a peer would make to these bytes of ours."""
    base = ReplyBase(a_request(request), ("192.0.2.10", 5060))
    return a_response(base.build(status, to_tag=b"" if status == 100 else tag))


def theirs(
    method: bytes = b"INVITE",
    branch: bytes = b"z9hG4bKtheirs",
    extra: bytes = b"",
    body: bytes = b"",
    **fields: bytes,
) -> Request:
    """A request of a peer's; `fields`: via, uri, from_, to, call_id, cseq."""
    given = {
        "uri": b"sip:alice@192.0.2.10",
        "via": b"SIP/2.0/UDP 192.0.2.20:5060" + (b";branch=" + branch if branch else b""),
        "from_": b"<sip:bob@192.0.2.20>;tag=theirs",
        "to": b"<sip:alice@192.0.2.10>",
        "call_id": b"their-call",
        "cseq": b"1",
    } | fields
    return a_request(
        b"%b %b SIP/2.0\r\nVia: %b\r\nFrom: %b\r\nTo: %b\r\nCall-ID: %b\r\nCSeq: %b %b\r\n"
        b"Max-Forwards: 70\r\nContact: <sip:bob@192.0.2.20>\r\n%bContent-Length: %d\r\n\r\n%b"
        % (
            method,
            given["uri"],
            given["via"],
            given["from_"],
            given["to"],
            given["call_id"],
            given["cseq"],
            method,
            extra,
            len(body),
            body,
        )
    )


class Bench:
    """A layer on a virtual clock, with all that it sent and all that its users heard."""

    def __init__(self, values: TimerValues | None = None) -> None:
        self.now = 0.0
        self.sent: list[tuple[float, Hop, bytes]] = []
        self.heard: list[tuple[float, object, Notice]] = []
        self.layer = TransactionLayer(
            values or TimerValues(), lambda hop, data: self.sent.append((self.now, hop, data))
        )

    def run(self, until: float) -> None:
        """Let time pass, stopping at each timer."""
        while (due := self.layer.next_due()) is not None and due <= until:
            self.now = due
            self.tick()
        self.now = until
        self.tick()

    def tick(self) -> None:
        self.heard += [(self.now, user, notice) for user, notice in self.layer.tick(self.now)]

    def times(self) -> list[float]:
        """When something was sent."""
        return [time for time, _, _ in self.sent]

    def methods(self) -> list[bytes]:
        """The first word of all that was sent."""
        return [data.partition(b" ")[0] for _, _, data in self.sent]

    def statuses(self) -> list[int]:
        """The status codes of all responses that were sent."""
        return [int(data[8:11]) for _, _, data in self.sent if data.startswith(b"SIP/2.0 ")]

    def receive(self, request: Request, hop: Hop = UDP_HOP) -> ServerTransaction:
        """Receive a request that must be new."""
        received = self.layer.receive_request(request, hop, self.now)
        assert isinstance(received, New | Cancel)
        return received.transaction

    def respond(self, txn: ServerTransaction, status: int) -> bytes:
        """Answer; the bytes are recognisable."""
        data = b"SIP/2.0 %d made at %.1f\r\n\r\n" % (status, self.now)
        self.layer.respond(txn, status, data, self.now)
        return data
