"""Two user agents on two transaction layers, with a link each way and one virtual clock.

The caller counts every final answer that it hears, the callee every request that it is shown; what
a transaction layer is for is that both counts are one, whatever the link does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from sbc.dialog.final_response import AcceptedInvite, AcceptTimer
from sbc.sip.message import Request, Response
from sbc.sip.parser import parse
from sbc.sip.serialise import ReplyBase
from sbc.transaction.hop import Hop
from sbc.transaction.layer import Cancel, New, StrayAck, TimedOut, TransactionLayer
from sbc.transaction.machine import ClientTransaction, ServerTransaction
from sbc.transaction.request import ClientRequest, via_line
from sbc.transaction.timers import TimerValues
from tests.support.link import Link, Weather


class Caller:
    """One request of the calling side, and what became of it."""

    def __init__(self, method: bytes, branch: bytes) -> None:
        self.method = method
        self.branch = branch
        self.provisional: list[int] = []
        self.finals: list[int] = []
        """Each final response but the repeated 2xx of one INVITE."""
        self.tags: set[bytes] = set()
        self.timed_out = 0
        self.txn: ClientTransaction | None = None


class Callee:
    """One request as the called side sees it."""

    def __init__(self, request: Request, hop: Hop, txn: ServerTransaction) -> None:
        self.method = request.method
        self.branch = request.via.branch
        self.cseq = request.cseq
        self.reply = ReplyBase(request, hop.address)
        self.txn: ServerTransaction | None = txn
        self.accepted: AcceptedInvite | None = None
        self.answered = 0
        self.cancelled = False
        self.acked = False
        self.given_up = False


class Pair:
    """A caller's and a callee's layer, joined by two links."""

    def __init__(self, seed: int, weather: Weather, transport: bytes = b"UDP") -> None:
        self.now = 0.0
        self.there = Link(seed, weather)
        self.back = Link(seed + 1, weather)
        self.to_callee = Hop("out", 0, transport, "192.0.2.2", 5060)
        self.to_caller = Hop("in", 0, transport, "192.0.2.1", 5060)
        self.calling = TransactionLayer(TimerValues(), self._over(self.there))
        self.called = TransactionLayer(TimerValues(), self._over(self.back))
        self.callers: dict[bytes, Caller] = {}
        self.callees: dict[bytes, Callee] = {}
        self.shown: Counter[tuple[bytes, bytes]] = Counter()
        """How often the called side was shown a request as new, by branch and method."""
        self.on_request: Callable[[Callee], None] = lambda callee: None

    # What a test does

    def request(self, method: bytes) -> Caller:
        """The caller sends a request of its own."""
        branch = b"z9hG4bKpair%d" % len(self.callers)
        caller = self.callers[branch] = Caller(method, branch)
        caller.txn = self.calling.request(
            ClientRequest(
                method,
                b"sip:callee@192.0.2.2",
                via_line(self.to_callee.transport, b"192.0.2.1", branch),
                branch,
                b"",
                b"<sip:caller@192.0.2.1>;tag=caller",
                b"<sip:callee@192.0.2.2>",
                branch,
                1,
                head=b"Contact: <sip:caller@192.0.2.1>\r\n",
            ),
            self.to_callee,
            caller,
            self.now,
        )
        return caller

    def cancel(self, caller: Caller) -> None:
        """The caller gives its INVITE up."""
        if caller.txn is not None:
            self.calling.cancel(caller.txn, self.now)

    def answer(self, callee: Callee, status: int) -> None:
        """The callee answers, once; after a final answer this does nothing."""
        if callee.txn is None:
            return
        txn = callee.txn
        data = callee.reply.build(status, to_tag=b"callee")
        if status >= 200:
            callee.answered = status
            callee.txn = None
            if callee.method == b"INVITE" and status < 300:
                callee.accepted = AcceptedInvite(
                    self.called, txn.hop, data, callee.cseq, callee, self.now
                )
        self.called.respond(txn, status, data, self.now)

    def run(self, seconds: float) -> None:
        """Let that much time pass, event by event."""
        until = self.now + seconds
        while (due := self._next_due()) is not None and due <= until:
            self.now = max(self.now, due)
            self._step()
        self.now = until
        self._step()

    def run_out(self) -> None:
        """Let time pass until nothing is under way and no timer is armed."""
        while (due := self._next_due()) is not None:
            self.run(max(0.0, due - self.now))

    # What happens by itself

    def _over(self, link: Link) -> Callable[[Hop, bytes], None]:
        return lambda hop, data: link.send(hop, data, self.now)

    def _next_due(self) -> float | None:
        times = (
            self.there.next_arrival(),
            self.back.next_arrival(),
            self.calling.next_due(),
            self.called.next_due(),
        )
        return min((time for time in times if time is not None), default=None)

    def _step(self) -> None:
        for _, data in self.there.arrived(self.now):
            self._at_callee(data)
        for _, data in self.back.arrived(self.now):
            self._at_caller(data)
        for user, notice in self.calling.tick(self.now):
            assert isinstance(notice, TimedOut)
            user.timed_out += 1
        for user, notice in self.called.tick(self.now):
            if isinstance(notice, AcceptTimer):
                callee = user.handle(notice, self.now)
                if callee is not None:
                    callee.given_up = True

    def _at_callee(self, data: bytes) -> None:
        request = parse(data)
        assert isinstance(request, Request)
        received = self.called.receive_request(request, self.to_caller, self.now)
        if isinstance(received, StrayAck):
            callee = self.callees.get(request.call_id)
            if callee is not None and callee.accepted is not None:
                callee.accepted.acked()
                callee.acked = True
            return
        if isinstance(received, New | Cancel):
            self.shown[request.via.branch, request.method] += 1
        if isinstance(received, Cancel):
            of = None if received.of is None else received.of.user
            status = 481 if received.of is None else 200
            answer = ReplyBase(request, self.to_caller.address).build(status, to_tag=b"callee")
            self.called.respond(received.transaction, status, answer, self.now)
            if isinstance(of, Callee):
                of.cancelled = True
                self.answer(of, 487)
        elif isinstance(received, New):
            callee = Callee(request, self.to_caller, received.transaction)
            self.callees[request.call_id] = callee
            if request.method == b"INVITE":
                received.transaction.user = callee
                self.called.respond(received.transaction, 100, callee.reply.build(100), self.now)
            self.on_request(callee)

    def _at_caller(self, data: bytes) -> None:
        response = parse(data)
        assert isinstance(response, Response)
        caller = self.calling.receive_response(response, self.to_callee, self.now)
        if caller is None:
            return
        if response.status < 200:
            caller.provisional.append(response.status)
        elif caller.method != b"INVITE" or response.status >= 300:
            caller.finals.append(response.status)
        else:
            if response.to_tag not in caller.tags:
                caller.tags.add(response.to_tag)
                caller.finals.append(response.status)
            ack = ClientRequest(
                b"ACK",
                b"sip:callee@192.0.2.2",
                via_line(self.to_callee.transport, b"192.0.2.1", caller.branch + b"ack"),
                caller.branch + b"ack",
                b"",
                b"<sip:caller@192.0.2.1>;tag=caller",
                response.first(b"to") or b"",
                caller.branch,
                1,
            )
            self.there.send(self.to_callee, ack.data, self.now)
