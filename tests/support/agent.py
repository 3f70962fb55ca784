"""A SIP user agent that is honest: it says what the RFCs let it say, and notes what it hears amiss.

It decides nothing. A test calls and rings, accepts, refuses, changes and hangs up through its
`Talk`s; what an agent owes at once (ACK, PRACK, 200 to BYE, 491 in glare) it does by itself. It is
sans-I/O like what it tests: `receive`, `tick`, and a `send` that it is given. The transactions are
the border's own layer, which has tests of its own; all above is written for the tests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from sbc.call.legs.reliable import Match, ReliableReceiver, ReliableSender, ReliableTimer, Take
from sbc.dialog.dialog import Dialog
from sbc.dialog.final_response import AcceptedInvite, AcceptTimer
from sbc.errors import RemoteProtocolError
from sbc.sip.message import Message, Request, Response
from sbc.sip.parser import parse
from sbc.sip.serialise import ReplyBase
from sbc.transaction.hop import UDP, Hop
from sbc.transaction.layer import Cancel, New, StrayAck, TimedOut, TransactionLayer
from sbc.transaction.request import ClientRequest, via_line
from sbc.transaction.timers import TimerValues

_GONE: Final = (408, 481)
_SOON_S: Final = 15.0
"""How long somebody may think about a re-INVITE."""
_BACK: Final = {"sendonly": "recvonly", "recvonly": "sendonly"}
"""The direction of an answer; any other is answered with itself (RFC 3264 §6.1)."""


@dataclass(frozen=True)
class Abilities:
    """What an agent says that it can do, and does."""

    update: bool = False
    reliable: bool = False
    timer: bool = False
    """It has the border refresh its sessions."""

    def head(self) -> bytes:
        """Allow and Supported."""
        methods = ["INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "INFO"]
        methods += ["UPDATE"] * self.update + ["PRACK"] * self.reliable
        tags = ["100rel"] * self.reliable + ["timer"] * self.timer
        return f"Allow: {', '.join(methods)}\r\nSupported: {', '.join(tags)}\r\n".encode()


class Phase(IntEnum):
    """How far a talk is."""

    EARLY = 0
    UP = 1
    OVER = 2


class Media:
    """Offer and answer as one agent sees them (RFC 3264)."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self.port = port
        """What it says next; what it has said is in `local`."""
        self.version = 0
        self.direction = "sendrecv"
        self.local = b""
        self.remote = b""
        """What holds: the peer's last offer or answer that was agreed to."""
        self.open = ""
        """`sent`: our offer awaits its answer; `got`: theirs awaits ours."""
        self._theirs = b""
        self._before = "sendrecv", b""

    def offer(self, direction: str) -> bytes:
        self._before, self.open = (self.direction, self.local), "sent"
        return self._say(direction)

    def got(self, body: bytes) -> None:
        self._before, self.open, self._theirs = (self.direction, self.local), "got", body

    def answer(self) -> bytes:
        direction = direction_of(self._theirs)
        self.open, self.remote = "", self._theirs
        return self._say(_BACK.get(direction, direction))

    def answered(self, body: bytes) -> None:
        self.open, self.remote = "", body

    def rollback(self) -> None:
        if self.open:
            self.direction, self.local = self._before
            self.open = ""

    def _say(self, direction: str) -> bytes:
        self.version += 1
        self.direction = direction
        self.local = (
            f"v=0\r\no=- 7 {self.version} IN IP4 {self._host}\r\ns=-\r\nc=IN IP4 {self._host}\r\n"
            f"t=0 0\r\nm=audio {self.port} RTP/AVP 8 0\r\na={direction}\r\n"
        ).encode()
        return self.local


class Agent:
    """One user agent.

    Args:
        address: its own.
        border: where it sends everything.
        send: to the border.
    """

    def __init__(
        self,
        address: tuple[str, int],
        border: tuple[str, int],
        send: Callable[[bytes], None],
        abilities: Abilities,
    ) -> None:
        self.address = address
        self.abilities = abilities
        self.hop = Hop("net", 0, UDP, *border)
        self.layer = TransactionLayer(TimerValues(), lambda hop, data: send(data))
        self.talks: list[Talk] = []
        self.faults: list[str] = []
        self.refuses = 0
        """The status that an offer in an UPDATE gets; 0: it is accepted."""
        self._count = 0

    @property
    def uri(self) -> bytes:
        return b"<sip:%b@%b:%d>" % (self.name, self.address[0].encode(), self.address[1])

    @property
    def name(self) -> bytes:
        return b"agent-" + self.address[0].replace(".", "-").encode()

    def number(self) -> int:
        """One that this agent has not used."""
        self._count += 1
        return self._count

    def call(self, number: bytes, late: bool, now: float) -> Talk:
        """Call somebody through the border; `late`: without an offer."""
        talk = Talk(self, b"call-%d@%b" % (self.number(), self.address[0].encode()), True)
        self.talks.append(talk)
        talk.invite(b"sip:%b@%b" % (number, self.hop.host.encode()), late, now)
        return talk

    def fault(self, text: str) -> None:
        self.faults.append(text)

    def receive(self, data: bytes, now: float) -> None:
        message = parse(data)
        if isinstance(message, Response):
            user = self.layer.receive_response(message, self.hop, now)
            if user is not None:
                user.on_response(message, now)
            return
        received = self.layer.receive_request(message, self.hop, now)
        talk = next((one for one in self.talks if one.owns(message)), None)
        if isinstance(received, StrayAck):
            if talk is not None:
                talk.acked(message, now)
        elif isinstance(received, Cancel):
            self._cancelled(message, received, now)
        elif isinstance(received, New):
            asked = Asked(message, ReplyBase(message, self.hop.address), received.transaction)
            if talk is not None:
                talk.asked(asked, now)
            elif message.method == b"INVITE" and not message.to_tag:
                talk = Talk(self, message.call_id, False)
                self.talks.append(talk)
                talk.invited(asked, now)
            else:
                self.respond(asked, 481, now)

    def tick(self, now: float) -> None:
        for user, notice in self.layer.tick(now):
            if isinstance(user, AcceptedInvite):
                talk = user.handle(notice, now) if isinstance(notice, AcceptTimer) else None
                if talk is not None:
                    talk.not_acked(now)
            elif isinstance(user, ReliableSender):
                talk = user.handle(notice, now) if isinstance(notice, ReliableTimer) else None
                if talk is not None:
                    talk.refuse(504, now)
            elif isinstance(notice, TimedOut) and user is not None:
                user.on_timeout(now)
        for talk in self.talks:
            if talk.phase is Phase.UP and talk.pending and now > talk.pending[0].since + _SOON_S:
                talk.accept(now)

    def next_due(self) -> float | None:
        """When `tick` will next have work."""
        waiting = [t.pending[0] for t in self.talks if t.phase is Phase.UP and t.pending]
        times = [asked.since + _SOON_S + 0.001 for asked in waiting]
        due = self.layer.next_due()
        return min(times if due is None else [due, *times], default=None)

    def respond(
        self,
        asked: Asked,
        status: int,
        now: float,
        *,
        tag: bytes = b"",
        head: bytes = b"",
        body: bytes = b"",
    ) -> bytes:
        """Answer a request; the bytes of it."""
        data = asked.reply.build(status, to_tag=tag or b"none", head=head + typed(body), body=body)
        self.layer.respond(asked.txn, status, data, now)
        return data

    def _cancelled(self, request: Request, received: Cancel, now: float) -> None:
        asked = Asked(request, ReplyBase(request, self.hop.address), received.transaction)
        self.respond(asked, 481 if received.of is None else 200, now)
        for talk in self.talks:
            for pending in list(talk.pending):
                if pending.txn is received.of:
                    talk.refuse_one(pending, 487, now)


@dataclass
class Asked:
    """A request of the border's that is to be answered."""

    request: Request
    reply: ReplyBase
    txn: Any
    bound: bool = False
    """Whether it holds an offer that waits for our answer."""
    since: float = 0.0


class Talk:
    """One call as one agent sees it."""

    def __init__(self, agent: Agent, call_id: bytes, caller: bool) -> None:
        self.agent = agent
        self.call_id = call_id
        self.caller = caller
        self.phase = Phase.EARLY
        self.tag = b"%b-%d" % (agent.name, agent.number())
        self.dialog: Dialog | None = None
        self.media = Media(agent.address[0], 6000 + 2 * agent.number())
        self.request: ClientRequest | None = None
        """The INVITE that made the call."""
        self.client: Any = None
        """The transaction of our last INVITE."""
        self.given_up = False
        self.busy = 0
        """Requests of ours with an offer, or that ask for one, without their final answer."""
        self.pending: list[Asked] = []
        """Their INVITEs without ours."""
        self.accepted: AcceptedInvite | None = None
        self.awaits_answer = False
        """Whether the ACK, or the PRACK, to come must hold an answer."""
        self.sender: ReliableSender | None = None
        self.receiver = ReliableReceiver()
        self.settled = False
        """Whether the first offer has an answer that counts: in a 2xx, or in a reliable 18x."""
        self.wants_accept = False

    # What a test may have it do

    @property
    def may_ring(self) -> bool:
        return not self.caller and self.phase is Phase.EARLY and bool(self.pending)

    @property
    def may_offer(self) -> bool:
        """Whether it may send an offer, or ask for one, right now."""
        quiet = not self.media.open and not self.busy and self.dialog is not None
        return quiet and self.accepted is None and not self.pending and not self.awaits_answer

    @property
    def may_reinvite(self) -> bool:
        return self.phase is Phase.UP and self.may_offer

    @property
    def may_update(self) -> bool:
        if self.phase is Phase.OVER or self.media.open or self.busy or self.awaits_answer:
            return False
        if self.dialog is None or self.accepted is not None:
            return False
        if self.phase is Phase.EARLY:  # RFC 3311 §5.1: the first exchange is over for good
            outstanding = self.sender is not None and self.sender.waiting
            return self.settled and not outstanding and len(self.pending) == (not self.caller)
        return not self.pending

    def invite(self, uri: bytes, late: bool, now: float) -> None:
        agent = self.agent
        head = self._head() + self._timer_head()
        body = b"" if late else self.media.offer("sendrecv")
        branch = b"z9hG4bK%b-%d" % (agent.name, agent.number())
        host = b"%b:%d" % (agent.address[0].encode(), agent.address[1])
        self.request = ClientRequest(
            b"INVITE",
            uri,
            via_line(b"UDP", host, branch),
            branch,
            b"",
            b"%b;tag=%b" % (agent.uri, self.tag),
            b"<%b>" % uri,
            self.call_id,
            1,
            head=head + typed(body),
            body=body,
        )
        user = Invite(self, self.request, True, not late)
        self.client = agent.layer.request(self.request, agent.hop, user, now)

    def ring(self, status: int, described: bool, reliable: bool, now: float) -> None:
        """A provisional response to the INVITE that made the call."""
        first, agent, media = self.pending[0], self.agent, self.media
        reliable = reliable and agent.abilities.reliable and "100rel" in _tags(first.request)
        if self.sender is not None and self.sender.holds_success:
            described = False
        late = not first.request.body
        body = b""
        if described and media.open == "got":
            body, self.settled = media.answer(), reliable
        elif described and late and not media.local and reliable:
            body, self.awaits_answer = media.offer("sendrecv"), True
        elif described and not late and not self.settled:
            body, self.settled = media.local, reliable  # the same again, RFC 6337 §3.1.1
        if not reliable:
            self._reply(first, status, now, body=body)
            return
        if self.sender is None:
            cseq = first.request.cseq
            self.sender = ReliableSender(agent.layer, first.txn, cseq, agent.number(), self)
        number = self.sender.number()
        head = self._head() + self.sender.head(number) + typed(body)
        data = first.reply.build(status, to_tag=self.tag, head=head, body=body)
        self._make_dialog(first)
        self.sender.send(number, status, data, body != b"", now)

    def accept(self, now: float) -> None:
        """200 to the INVITE that made the call, or to a re-INVITE."""
        if self.sender is not None and (self.sender.holds_success or self.awaits_answer):
            self.wants_accept = True
            return
        asked, media = self.pending.pop(0), self.media
        body = b""
        if media.open == "got":
            body = media.answer()
        elif not asked.request.body and not (self.phase is Phase.EARLY and media.local):
            body, self.awaits_answer = media.offer(media.direction), True
        elif self.phase is Phase.EARLY and not self.settled:
            body = media.local
        if self.sender is not None:
            self.sender.stop()
        self.phase, self.settled = Phase.UP, True
        head = self._head() + self._timer_answer(asked.request) + typed(body)
        data = asked.reply.build(200, to_tag=self.tag, head=head, body=body)
        self._make_dialog(asked)
        layer = self.agent.layer
        layer.respond(asked.txn, 200, data, now)
        self.accepted = AcceptedInvite(layer, asked.txn.hop, data, asked.request.cseq, self, now)

    def refuse(self, status: int, now: float) -> None:
        """A final failure to whatever INVITE waits."""
        if self.pending:
            self.refuse_one(self.pending[0], status, now)

    def refuse_one(self, asked: Asked, status: int, now: float) -> None:
        self.pending.remove(asked)
        self._reply(asked, status, now)
        if asked.bound:
            self.media.rollback()
        if self.phase is Phase.EARLY:
            self._end(now)

    def hang_up(self, now: float) -> None:
        """CANCEL, BYE, or a refusal: whatever ends it from here."""
        if self.phase is Phase.EARLY and not self.caller:
            self.refuse(603, now)
        elif self.phase is Phase.EARLY and self.client is not None:
            self.given_up = True
            self.agent.layer.cancel(self.client, now)
        else:
            self.bye(now)

    def bye(self, now: float) -> None:
        """BYE, as soon as it may be (RFC 3261 §15: the callee waits for its ACK)."""
        if self.phase is not Phase.UP:
            return
        if self.accepted is not None and not self.caller:
            self.given_up = True
            return
        for asked in list(self.pending):
            self.refuse_one(asked, 487, now)
        self._end(now)
        self.ask(b"BYE", Ask(self, b"BYE"), now)

    def reinvite(self, direction: str, now: float) -> None:
        """Offer a direction; "": ask for an offer."""
        body = self.media.offer(direction) if direction else b""
        head = self._head() + self._timer_head() + typed(body)
        request = self._in_dialog(b"INVITE", head, body)
        self.busy += 1
        user = Invite(self, request, False, body != b"")
        self.client = self.agent.layer.request(request, self.agent.hop, user, now)

    def update(self, direction: str, now: float) -> None:
        body = self.media.offer(direction)
        head = self._head() + self._timer_head() + typed(body)
        self.busy += 1
        self.ask(b"UPDATE", Ask(self, b"UPDATE"), now, head, body)

    def move(self) -> None:
        """Have its media elsewhere from its next description on, of whatever kind that is."""
        self.media.port = 6000 + 2 * self.agent.number()

    def info(self, now: float) -> None:
        """Something that is no business of the border's."""
        if self.accepted is not None:
            return  # it would overtake our 2xx
        head = b"Content-Type: application/dtmf-relay\r\n"
        self.ask(b"INFO", Ask(self, b"INFO"), now, head, b"Signal=1\r\nDuration=160\r\n")

    def give_up(self, now: float) -> None:
        """CANCEL a re-INVITE that has no answer yet."""
        if self.phase is Phase.UP and self.busy and self.client is not None:
            self.agent.layer.cancel(self.client, now)

    # What the border does

    def owns(self, request: Request) -> bool:
        if request.call_id != self.call_id or request.method == b"CANCEL":
            return False
        if self.dialog is None:
            return request.to_tag == self.tag and not self.caller
        return request.to_tag == self.tag

    def invited(self, asked: Asked, now: float) -> None:
        asked.since = now
        self.pending.append(asked)
        if asked.request.body:
            asked.bound = True
            self.media.got(asked.request.body)
        self.agent.respond(asked, 100, now)

    def asked(self, asked: Asked, now: float) -> None:
        """A request in the dialog."""
        request, dialog = asked.request, self.dialog
        if dialog is None:
            self._reply(asked, 481, now)
            return
        try:
            dialog.check_request(request)
        except RemoteProtocolError as error:
            self._reply(asked, error.status, now)
            return
        if request.method == b"BYE":
            for pending in list(self.pending):
                self.refuse_one(pending, 487, now)
            self._end(now)
            self._reply(asked, 200, now)
        elif self.phase is Phase.OVER:
            self._reply(asked, 481, now)
        elif request.method == b"PRACK":
            self._pracked(asked, now)
        elif request.method in (b"INVITE", b"UPDATE"):
            self._offered(asked, now)
        else:
            self._reply(asked, 200, now)

    def acked(self, request: Request, now: float) -> None:
        accepted = self.accepted
        if accepted is None or request.cseq != accepted.cseq:
            return
        accepted.acked()
        self.accepted = None
        if self.awaits_answer:
            self.awaits_answer = False
            if request.body:
                self.media.answered(request.body)
            else:
                self.agent.fault("an ACK without the answer to the offer in our 2xx")
        if self.given_up:
            self.bye(now)

    def not_acked(self, now: float) -> None:
        self.accepted = None
        self.bye(now)

    def _pracked(self, asked: Asked, now: float) -> None:
        sender, request = self.sender, asked.request
        match = Match.STALE if sender is None else sender.on_prack(request, now)
        if match is not Match.ACCEPTED:
            self._reply(asked, 481 if match is Match.STALE else 400, now)
            return
        body = b""
        if self.awaits_answer and request.body:
            self.awaits_answer, self.settled = False, True
            self.media.answered(request.body)
        elif self.awaits_answer and sender is not None and not sender.holds_success:
            self.agent.fault("a PRACK without the answer to the offer in our 18x")
        elif request.body:
            self.media.got(request.body)
            body = self.media.answer()
        self._reply(asked, 200, now, body=body)
        if self.wants_accept and self.pending:
            self.wants_accept = False
            self.accept(now)

    def _offered(self, asked: Asked, now: float) -> None:
        request, media = asked.request, self.media
        method = request.method
        if method == b"UPDATE" and not self.agent.abilities.update:
            self.agent.fault("an UPDATE to an agent that does not take it")
        if method == b"UPDATE" and not request.body:
            self._reply(asked, 200, now, head=self._timer_answer(request))
            return
        early = method == b"INVITE" and self.phase is Phase.EARLY
        if media.open == "sent" or self.busy or self.awaits_answer or early:
            self._reply(asked, 491, now)
        elif media.open == "got" or (self.pending and self.phase is Phase.UP):
            self._reply(asked, 500, now, head=b"Retry-After: 1\r\n")
        elif method == b"INVITE":
            if self.accepted is not None:  # its ACK is lost or late
                self._reply(asked, 500, now, head=b"Retry-After: 1\r\n")
            else:
                same = words(request.body) == words(media.remote)
                self.invited(asked, now)
                if same:  # nobody need be asked
                    self.accept(now)
        elif self.agent.refuses:
            self._reply(asked, self.agent.refuses, now)
        else:
            media.got(request.body)
            self._reply(asked, 200, now, head=self._timer_answer(request), body=media.answer())

    # What its own requests come to

    def early(self, invite: Invite, response: Response, now: float) -> None:
        if response.status == 100 or self.phase is not Phase.EARLY:
            return
        take = self.receiver.on_provisional(response)
        if take in (Take.REPEATED, Take.OUT_OF_ORDER):
            return
        if take is Take.NEW and not self.agent.abilities.reliable:
            self.agent.fault("a reliable response to an agent that does not know them")
        if self.dialog is None or self.dialog.remote_tag != response.to_tag:
            self.dialog = Dialog.from_response(invite.request, response)
        answer = b""
        if self.settled:
            pass  # RFC 6337 §3.1.1: what is said again counts for nothing
        elif response.body and invite.offered:
            self.media.answered(response.body)
            self.settled = take is Take.NEW
        elif response.body and take is Take.NEW:
            self.media.got(response.body)
            answer, self.settled = self.media.answer(), True
        elif response.body:
            self.agent.fault("an offer in a response that nobody acknowledges")
        if take is Take.NEW:
            head = ReliableReceiver.rack(response) + typed(answer)
            self.ask(b"PRACK", Ask(self, b"PRACK"), now, head, answer)

    def succeeded(self, invite: Invite, response: Response, now: float) -> None:
        """The first 2xx to an INVITE of ours."""
        media, body = self.media, response.body
        if invite.initial:
            if self.dialog is None or self.dialog.remote_tag != response.to_tag:
                self.dialog = Dialog.from_response(invite.request, response)
            else:
                self.dialog.confirm(response)
        else:
            self.busy -= 1
            self._retarget(response)
        answer = b""
        if invite.initial and self.settled:
            pass  # what it says again was said in a reliable response
        elif invite.offered and body:
            media.answered(body)
        elif invite.offered:
            if media.open == "sent":
                self.agent.fault("a 2xx without the answer to our offer")
            media.rollback()
        elif body:
            media.got(body)
            answer = media.answer()
        else:
            self.agent.fault("a 2xx without the offer that we asked for")
        invite.ack(response, answer)
        if not invite.initial:
            return
        self.settled = True
        if self.phase is not Phase.OVER:
            self.phase = Phase.UP
            if self.given_up:
                self.bye(now)

    def failed(self, invite: Invite, status: int, now: float) -> None:
        """A final failure, or none at all."""
        if invite.initial:
            self._end(now)
            return
        self.busy -= 1
        if invite.offered:
            self.media.rollback()
        if status in _GONE:
            self.bye(now)

    def heard(self, method: bytes, response: Response | None, now: float) -> None:
        """The final answer to one of our other requests; None: there was none."""
        status = 408 if response is None else response.status
        if method == b"UPDATE":
            self.busy -= 1
            if response is not None and status < 300 and response.body:
                self.media.answered(response.body)
                self._retarget(response)
            elif status < 300:
                self.agent.fault("a 2xx to an UPDATE without the answer")
            else:
                self.media.rollback()
        if method != b"BYE" and method != b"PRACK" and status in _GONE:
            self.bye(now)

    def on_timeout(self, now: float) -> None:
        """Nothing of its own: its requests have users of theirs."""

    # Small parts

    def ask(
        self, method: bytes, user: Ask, now: float, head: bytes = b"", body: bytes = b""
    ) -> None:
        request = self._in_dialog(method, head, body)
        self.agent.layer.request(request, self.agent.hop, user, now)

    def ack_bytes(self, answer: bytes) -> bytes:
        return self._in_dialog(b"ACK", typed(answer), answer).data

    def _in_dialog(self, method: bytes, head: bytes = b"", body: bytes = b"") -> ClientRequest:
        assert self.dialog is not None
        agent = self.agent
        branch = b"z9hG4bK%b-%d" % (agent.name, agent.number())
        host = b"%b:%d" % (agent.address[0].encode(), agent.address[1])
        via = via_line(b"UDP", host, branch)
        return self.dialog.request(method, via, branch, head, body)

    def _reply(
        self, asked: Asked, status: int, now: float, *, head: bytes = b"", body: bytes = b""
    ) -> None:
        if 100 < status < 300:
            self._make_dialog(asked)
            head = self._head() + head
        self.agent.respond(asked, status, now, tag=self.tag, head=head, body=body)

    def _make_dialog(self, asked: Asked) -> None:
        if self.dialog is None:
            self.dialog = Dialog.from_request(asked.request, self.tag, confirmed=True)

    def _retarget(self, message: Message) -> None:
        contact = message.contact
        if contact is None:
            self.agent.fault("no Contact where there must be one")
        elif self.dialog is not None:
            self.dialog.refresh_target(contact.uri)

    def _head(self) -> bytes:
        return b"Contact: %b\r\n" % self.agent.uri + self.agent.abilities.head()

    def _timer_head(self) -> bytes:
        """The border is to refresh: it is asked to, and answered so."""
        if not self.agent.abilities.timer:
            return b""
        return b"Session-Expires: 90;refresher=uas\r\n"

    def _timer_answer(self, request: Request) -> bytes:
        asked = request.first(b"session-expires")
        if not self.agent.abilities.timer or asked is None:
            return b""
        return b"Require: timer\r\nSession-Expires: %b;refresher=uac\r\n" % asked.split(b";")[0]

    def _end(self, now: float) -> None:
        self.phase = Phase.OVER
        # Its answer may never come: the other side has forgotten us.
        if self.busy and self.client is not None:
            self.agent.layer.cancel(self.client, now)
        if self.sender is not None:
            self.sender.stop()
        if self.accepted is not None:
            self.accepted.acked()
            self.accepted = None


class Invite:
    """An INVITE of ours, and what becomes of it."""

    def __init__(self, talk: Talk, request: ClientRequest, initial: bool, offered: bool) -> None:
        self.talk = talk
        self.request = request
        self.initial = initial
        self.offered = offered
        self._ack: dict[bytes, bytes] = {}

    def on_response(self, response: Response, now: float) -> None:
        if response.status < 200:
            if self.initial:
                self.talk.early(self, response, now)
        elif response.status >= 300:
            self.talk.failed(self, response.status, now)
        elif response.to_tag in self._ack:
            agent = self.talk.agent
            agent.layer.transmit(agent.hop, self._ack[response.to_tag])
        elif self._ack:
            self.talk.agent.fault("a second 2xx of another early dialog")
        else:
            self.talk.succeeded(self, response, now)

    def on_timeout(self, now: float) -> None:
        self.talk.failed(self, 408, now)

    def ack(self, response: Response, answer: bytes) -> None:
        agent = self.talk.agent
        data = self._ack[response.to_tag] = self.talk.ack_bytes(answer)
        agent.layer.transmit(agent.hop, data)


class Ask:
    """Any other request of ours."""

    def __init__(self, talk: Talk, method: bytes) -> None:
        self._talk = talk
        self._method = method

    def on_response(self, response: Response, now: float) -> None:
        if response.status >= 200:
            self._talk.heard(self._method, response, now)

    def on_timeout(self, now: float) -> None:
        self._talk.heard(self._method, None, now)


def typed(body: bytes) -> bytes:
    """The Content-Type of a body, where there is one."""
    return b"Content-Type: application/sdp\r\n" if body else b""


def words(body: bytes) -> list[bytes]:
    """A description without its version."""
    lines = body.split(b"\r\n")
    return lines[:1] + lines[2:]


def port_of(body: bytes) -> int:
    """The port of the one stream of a description."""
    return int(body.partition(b"\r\nm=audio ")[2].split()[0])


def direction_of(body: bytes) -> str:
    """The direction of the one stream of a description."""
    for word in ("sendonly", "recvonly", "inactive"):
        if b"\r\na=%b\r\n" % word.encode() in body:
            return word
    return "sendrecv"


def _tags(request: Request) -> str:
    lines = request.every(b"supported") + request.every(b"require")
    return b",".join(lines).decode()
