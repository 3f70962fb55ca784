"""What one call costs in the transaction layer, in µs, parsing and sockets left out.

A call at the border: INVITE and BYE from one side, INVITE and BYE to the other, 100, 180 and 200
through, the 2xx's own retransmission timer, and every timer fired or found stale in the end.
Virtual time: 10 calls in each 20 ms tick (500 calls/s), measured once the transactions that
linger for 32 s have reached their number. Parsing is done between the measured steps.

    python benchmarks/bench_transactions.py [measured seconds of virtual time]
"""

from __future__ import annotations

import gc
import sys
from collections import defaultdict
from collections.abc import Callable
from time import thread_time

from sbc.dialog.dialog import Dialog
from sbc.dialog.final_response import AcceptedInvite, AcceptTimer
from sbc.sip.message import Request, Response
from sbc.sip.parser import parse
from sbc.transaction.hop import UDP, Hop
from sbc.transaction.layer import New, ServerTransaction, TransactionLayer
from sbc.transaction.request import ClientRequest, via_line
from sbc.transaction.timers import TimerValues

CALLS_A_TICK = 10
TICK_S = 0.02
WARM_UP_S = 33
BODY = b"v=0\r\n" + b"a=x-filler:0123456789\r\n" * 10
INSIDE = Hop("inside", 0, UDP, "10.0.0.20", 5060)
OUTSIDE = Hop("outside", 1, UDP, "192.0.2.20", 5060)
ANSWER = b"SIP/2.0 200 OK\r\n" + b"X: a header line of usual length\r\n" * 10


def request_of(method: bytes, token: bytes, cseq: int, body: bytes = b"") -> ClientRequest:
    branch = b"z9hG4bK%b.%d" % (token, cseq)
    return ClientRequest(
        method,
        b"sip:4930123456@192.0.2.20:5060",
        via_line(UDP, b"192.0.2.10:5060", branch),
        branch,
        b"",
        b"<sip:4930999999@192.0.2.10>;tag=%b" % token,
        b"<sip:4930123456@192.0.2.20>",
        token,
        cseq,
        head=b"Contact: <sip:%b@192.0.2.10:5060>\r\nContent-Type: application/sdp\r\n" % token,
        body=body,
    )


def parsed_request(method: bytes, token: bytes, cseq: int) -> Request:
    message = parse(request_of(method, b"a" + token, cseq, BODY).data)
    assert isinstance(message, Request)
    return message


def parsed_response(token: bytes, status: int, method: bytes, cseq: int) -> Response:
    message = parse(
        b"SIP/2.0 %d Fine\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK%b.%d;rport=5060\r\n"
        b"From: <sip:4930999999@192.0.2.10>;tag=%b\r\nTo: <sip:4930123456@192.0.2.20>;tag=x\r\n"
        b"Call-ID: %b\r\nCSeq: %d %b\r\nContact: <sip:x@192.0.2.20>\r\nContent-Length: 0\r\n\r\n"
        % (status, token, cseq, token, token, cseq, method)
    )
    assert isinstance(message, Response)
    return message


class Call:
    """One call, step by step; all messages are parsed beforehand."""

    def __init__(self, layer: TransactionLayer, number: int) -> None:
        self.layer = layer
        self.now = 0.0
        self.token = token = b"s00%022d" % number
        self.invite = parsed_request(b"INVITE", token, 1)
        self.bye = parsed_request(b"BYE", token, 2)
        self.responses = {
            status: parsed_response(token, status, b"INVITE", 1) for status in (100, 180, 200)
        }
        self.bye_response = parsed_response(token, 200, b"BYE", 2)
        self.request: ClientRequest
        self.server: ServerTransaction
        self.accepted: AcceptedInvite
        self.dialogs: tuple[Dialog, Dialog]

    def invite_in(self) -> None:
        received = self.layer.receive_request(self.invite, INSIDE, self.now)
        assert type(received) is New
        self.server = received.transaction
        self.layer.respond(self.server, 100, ANSWER, self.now)

    def invite_out(self) -> None:
        self.request = request_of(b"INVITE", self.token, 1, BODY)
        self.layer.request(self.request, OUTSIDE, self.token, self.now)

    def trying(self) -> None:
        self.layer.receive_response(self.responses[100], OUTSIDE, self.now)

    def ringing(self) -> None:
        self.layer.receive_response(self.responses[180], OUTSIDE, self.now)
        self.layer.respond(self.server, 180, ANSWER, self.now)

    def answered(self) -> None:
        self.layer.receive_response(self.responses[200], OUTSIDE, self.now)
        self.layer.respond(self.server, 200, ANSWER, self.now)
        self.accepted = AcceptedInvite(self.layer, INSIDE, ANSWER, 1, self.token, self.now)

    def make_dialogs(self) -> None:
        self.dialogs = (
            Dialog.from_request(self.invite, b"tag"),
            Dialog.from_response(self.request, self.responses[200]),
        )

    def acked(self) -> None:
        self.accepted.acked()

    def bye_in(self) -> None:
        received = self.layer.receive_request(self.bye, INSIDE, self.now)
        assert type(received) is New
        self.layer.respond(received.transaction, 200, ANSWER, self.now)

    def bye_out(self) -> None:
        self.layer.request(request_of(b"BYE", self.token, 2), OUTSIDE, self.token, self.now)

    def bye_answered(self) -> None:
        self.layer.receive_response(self.bye_response, OUTSIDE, self.now)


STEPS: dict[str, Callable[[Call], None]] = {
    "INVITE in, 100 back": Call.invite_in,
    "INVITE built and out": Call.invite_out,
    "100 in": Call.trying,
    "180 in, 180 out": Call.ringing,
    "200 in, 200 out, kept": Call.answered,
    "(two dialogs made)": Call.make_dialogs,
    "ACK in": Call.acked,
    "BYE in, 200 back": Call.bye_in,
    "BYE built and out": Call.bye_out,
    "200 to BYE in": Call.bye_answered,
}


def run(seconds: float) -> dict[str, float]:
    """µs for one call of each step."""
    layer = TransactionLayer(TimerValues(), lambda hop, data: None)
    spent: dict[str, float] = defaultdict(float)
    ticks = int((WARM_UP_S + seconds) / TICK_S)
    warm = int(WARM_UP_S / TICK_S)
    for tick in range(ticks):
        if tick == warm:
            spent.clear()
        now = tick * TICK_S
        calls = [Call(layer, tick * CALLS_A_TICK + n) for n in range(CALLS_A_TICK)]
        for call in calls:
            call.now = now
        for name, step in STEPS.items():
            start = thread_time()
            for call in calls:
                step(call)
            spent[name] += thread_time() - start
        start = thread_time()
        for owner, notice in layer.tick(now):
            if isinstance(notice, AcceptTimer):
                owner.handle(notice, now)
        spent["all timers"] += thread_time() - start
    print(f"{len(layer)} transactions live, {len(layer.timers)} timer entries")
    measured = (ticks - warm) * CALLS_A_TICK
    return {name: total / measured * 1e6 for name, total in spent.items()}


def main() -> None:
    gc.disable()
    figures = run(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
    for name, figure in figures.items():
        print(f"{name:24} {figure:6.2f}")
    total = sum(figure for name, figure in figures.items() if not name.startswith("("))
    print(f"{'per call':24} {total:6.2f} µs")


if __name__ == "__main__":
    main()
