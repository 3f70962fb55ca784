"""The border: messages, timers and the relay's answers in; everything that must leave, out.

Sans-I/O. `receive` takes one message, `tick` the time, `relay_*` what workers say; what is to be
sent leaves by `transmit` and `relay` at once, records and milestones wait for the next flush.
The relay's part is in `relays.py`, the DNS's in `names.py`, the operators' in `operations.py`,
faults in `boundary.py`.
Requests are sorted here: to a transaction, to a dialog, to a new call, or to what is outside of
calls (`outside/requests.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from functools import partial
from ipaddress import ip_address
from typing import Final

from policies.engine import Policies
from policies.facts import Accept, Refuse
from policies.settings import TrunkSettings
from sbc.call import answers
from sbc.call.call import Call
from sbc.call.cdr import Cause
from sbc.call.core import Core, RelayOutlet
from sbc.call.crossing.headers import Hide
from sbc.call.digest.authenticate import answered, refuse
from sbc.call.digest.challenge import Authenticated, Challenges
from sbc.call.digest.credentials import Credentials
from sbc.call.in_dialog.passage import Passage
from sbc.call.incoming import facts_of, refusal_of, timer_refusal
from sbc.call.legs.a_leg import ALeg, merge_key
from sbc.call.legs.b_leg import BLeg
from sbc.call.legs.local import LocalEnds
from sbc.call.legs.reliable import ReliableSender, ReliableTimer
from sbc.call.media.addresses import MediaAddresses
from sbc.call.media.leases import Leases
from sbc.call.media.pools import Pools
from sbc.call.refused import Refused
from sbc.call.relays import RelayEvents
from sbc.call.targets.bounds import Bounds
from sbc.call.targets.health import Health
from sbc.call.targets.where import Where
from sbc.call.transfer.transferred import ReplacingCall
from sbc.call.transfer.transfers import Transfers
from sbc.dialog.final_response import AcceptedInvite, AcceptTimer
from sbc.errors import ParseError
from sbc.ids import Mint
from sbc.settings import Settings
from sbc.sip.digest import AUTHENTICATE
from sbc.sip.message import Request, Response
from sbc.sip.parser import BadRequest, parse
from sbc.sip.serialise import ReplyBase
from sbc.sip.status import ACK, CANCEL, INVITE, MESSAGE, PUBLISH, SUBSCRIBE
from sbc.sip.stream import FramingError
from sbc.transaction.hop import TLS, Hop
from sbc.transaction.layer import (
    Absorbed,
    Cancel,
    New,
    Notice,
    ServerTransaction,
    StrayAck,
    TimedOut,
    TransactionLayer,
)
from sbc.transaction.timers import TimerValues, User

__all__ = ["Border"]

_SHED: Final = frozenset((INVITE, MESSAGE, PUBLISH, SUBSCRIBE))
"""What begins something, so that overload refuses it first."""
_KEEP_ALIVE: Final = b"\r\n\x00 "


class Border(RelayEvents):
    """All calls of one border.

    Args:
        settings: the whole configuration.
        key: the secret of our identifiers.
        random: n → n random bytes.
        transmit: sends bytes to a hop; must not raise and must not call back.
        relay: requests to relay workers.
        wall_offset_s: wall clock minus monotonic clock.
        shard: this process among those that share the port.
        hide: which hiding rules are on; all, but in the test that proves the others' worth.
        values: the transactions' timers.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        key: bytes,
        random: Callable[[int], bytes],
        transmit: Callable[[Hop, bytes], None],
        relay: RelayOutlet,
        wall_offset_s: float,
        shard: int = 0,
        hide: Hide | None = None,
        values: TimerValues | None = None,
    ) -> None:
        media = settings.relay.media
        listeners = settings.transport.listeners
        policies = Policies(settings.policies)
        pools = Pools(media)
        core = Core(
            layer=TransactionLayer(values or TimerValues(), transmit),
            policies=policies,
            mint=Mint(key, shard, random),
            pools=pools,
            leases=Leases(pools.names),
            relay=relay,
            ends=LocalEnds(listeners),
            hide=hide or Hide(),
            media_addresses=MediaAddresses(media),
            dscp={one.realm: one.dscp for one in media},
            random=random,
            wall_offset_s=wall_offset_s,
            show_digits=settings.log.digits,
            challenges=Challenges(key, random, settings.policies.users),
            credentials=Credentials(random),
            where=Where(settings.policies.trunks, listeners, random, policies.follow),
        )
        super().__init__(core)
        self.health = Health(core, settings.policies.trunks)
        self.most_transactions = 500_000
        """Half a gigabyte of them, twice what 2,500 calls/s leave behind for their 32 s."""
        self._transmit = transmit
        self._refused = Refused(core)
        self._transfers = core.transfers = Transfers(core, self.calls)

    def move(self, settings: Settings) -> None:
        """Our public addresses have changed, and nothing else: new calls are told the new ones.

        Calls that are up keep what their peers know of our SIP.
        """
        core, listeners = self.core, settings.transport.listeners
        core.ends = LocalEnds(listeners)
        core.media_addresses = MediaAddresses(settings.relay.media)
        core.where.bounds = Bounds(settings.policies.trunks, listeners)

    # Messages

    def receive(self, data: bytes, hop: Hop, now: float) -> None:
        """One message from the network. Raises nothing, whatever it holds."""
        core = self.core
        trunk = core.policies.identify(hop.realm, hop.host, hop.trunk)
        if (
            trunk is None
            and not hop.trunk
            and not core.policies.may_speak(hop.realm, hop.host, now)
        ):
            core.counters["rate_limited"] += 1
            return
        if len(data) < 16 and not data.strip(_KEEP_ALIVE):
            core.counters["keep_alive"] += 1  # CRLF, or a zero byte, to hold a NAT binding open
            return
        try:
            message = parse(data)
        except ParseError as error:
            reply_to = error.reply_to if isinstance(error, BadRequest) else None
            self._guarded(None, partial(self._malformed, reply_to, error, hop, now), now)
            return
        except Exception:
            self._crashed(None, now)
            return
        try:
            if isinstance(message, Response):
                self._response(message, hop, now)
            else:
                self._request(message, trunk, hop, now)
        except Exception:
            self._crashed(message, now)

    def garbled(self, error: FramingError, hop: Hop, now: float) -> None:
        """A stream that cannot be followed any further; the connection will be closed."""
        self._guarded(None, partial(self._malformed, error.reply_to, error, hop, now), now)

    def unreachable(self, hop: Hop, branch: bytes | None, now: float) -> None:
        """A request to this address, the one of this branch if known, has not arrived."""
        self._notify(self.core.layer.transport_failed(hop, branch, now), now)

    def tick(self, now: float) -> None:
        """Fire every timer that is due, and end some of the calls that are to be ended."""
        self._end_some(now)
        self.health.tick(now)
        self._notify(self.core.layer.tick(now), now)

    def flush(self) -> None:
        """Forget what is over. To be called after every batch of events."""
        core = self.core
        if core.ended:
            for call in core.ended:
                self.calls.pop(call, None)
            core.ended.clear()

    def _response(self, response: Response, hop: Hop, now: float) -> None:
        if response.status in AUTHENTICATE and answered(self.core, response, hop, now):
            return
        user = self.core.layer.receive_response(response, hop, now)
        if user is not None:  # a leg, a passage, or whoever else has asked
            user.on_response(response, now)

    def _request(self, request: Request, trunk: TrunkSettings | None, hop: Hop, now: float) -> None:
        core = self.core
        if trunk is None:
            self._stranger(request, hop, now)
            return
        if (
            (self.overloaded and request.method in _SHED and not request.to_tag)
            or (len(core.layer) >= self.most_transactions and self._is_new(request))
        ) and not core.layer.knows(request, hop):
            core.counters["overload_refused"] += 1
            self._stateless(request, 503, hop)
            return
        received = core.layer.receive_request(request, hop, now)
        if isinstance(received, Absorbed):
            return
        if isinstance(received, StrayAck):
            leg = core.dialogs.get(request.to_tag)
            if leg is None or not leg.owns(request):
                pass
            elif trunk is leg.trunk:
                leg.acked(request, now)
            else:
                core.counters["dialog_foreign"] += 1
            return
        txn = received.transaction
        try:
            user = ""
            if trunk.auth is not None:
                host, wall_s = txn.hop.host, core.wall(now)
                verdict = core.challenges.check(request, trunk, host, now, wall_s)
                if isinstance(verdict, Authenticated):
                    user = verdict.user
                    core.counters["authenticated"] += 1
                elif verdict is not None:
                    reply = _reply_to(request, txn)
                    refuse(core, self._refused, verdict, reply, txn, trunk, now)
                    return
            self._dispatch(request, received, txn, trunk, user, now)
        except Exception:
            self._crashed(request, now)
            reply = ReplyBase(request, txn.hop.address)  # nobody else will answer it
            core.layer.respond(txn, 500, reply.build(500, to_tag=core.mint.token() + b".0"), now)

    def _is_new(self, request: Request) -> bool:
        """Whether nothing of ours waits for this."""
        method = request.method
        return method != ACK and method != CANCEL and request.to_tag not in self.core.dialogs

    def _dispatch(
        self,
        request: Request,
        received: New | Cancel,
        txn: ServerTransaction,
        trunk: TrunkSettings,
        user: str,
        now: float,
    ) -> None:
        """A request of `trunk` that is nobody's retransmission; `user` has proved to send it."""
        if isinstance(received, Cancel):
            self._cancel(request, txn, received.of, now)
        elif request.to_tag:
            self._in_dialog(request, txn, trunk, now)
        elif request.method == INVITE:
            self._invite(request, txn, trunk, user, now)
        else:
            reply = _reply_to(request, txn)
            self.outside.receive(request, reply, txn, trunk, self.draining, user, now)

    def _invite(
        self, request: Request, txn: ServerTransaction, trunk: TrunkSettings, user: str, now: float
    ) -> None:
        """A new call."""
        core, hop = self.core, txn.hop
        reply = _reply_to(request, txn)
        if merge_key(request) in core.inviting:
            core.counters["merged"] += 1
            tag = b"%b.0" % core.mint.token()
            core.layer.respond(txn, 482, reply.build(482, to_tag=tag), now)
            return
        facts = facts_of(request, hop)
        facts.user = user
        replacing = request.first(b"replaces") is not None
        kind = ReplacingCall if replacing else Call
        call = kind(core, trunk, facts, request, reply, txn, now)
        txn.user = call.a
        self.calls[call.id] = call
        refusal = refusal_of(request, trunk, core.mint) or timer_refusal(call.a, request)
        if refusal is None and self.draining:
            refusal = answers.Refusal(503, Cause.SHUTDOWN, "the border is stopping")
        if refusal is not None:
            call.refuse(refusal, now)
            return
        call.a.trying(now)
        if isinstance(call, ReplacingCall):
            self._transfers.replaced(call, request, now)
            return
        decision = core.policies.decide(facts, now, trunk)
        if isinstance(decision, Accept):
            call.start(decision, now)
        elif isinstance(decision, Refuse):
            call.refuse(answers.by_policy(decision), now)
        else:
            call.refuse(answers.Refusal(403, Cause.REFUSED_BY_POLICY, decision.why.text), now)

    def _in_dialog(
        self, request: Request, txn: ServerTransaction, trunk: TrunkSettings, now: float
    ) -> None:
        core = self.core
        leg = core.dialogs.get(request.to_tag)
        reply = _reply_to(request, txn)
        status = 0
        if leg is None or not leg.owns(request):
            status = 481
            ours = core.mint.shard_of(request.to_tag) is not None
            core.counters["dialog_gone" if ours else "dialog_unknown"] += 1
        elif trunk is not leg.trunk:
            status = 403
            core.counters["dialog_foreign"] += 1
        if status or leg is None:
            core.layer.respond(txn, status, reply.build(status), now)
        else:
            leg.receive(request, reply, txn, now)

    def _cancel(
        self, request: Request, txn: ServerTransaction, of: ServerTransaction | None, now: float
    ) -> None:
        """200 to the CANCEL where there is an INVITE, answered or not (RFC 3261 §9.2)."""
        reply = _reply_to(request, txn)
        status = 481 if of is None else 200
        leg = None if of is None else of.user
        tag = leg.tags[0] if isinstance(leg, ALeg) and leg.tags else b""
        self.core.layer.respond(txn, status, reply.build(status, to_tag=tag), now)
        if isinstance(leg, Passage):
            leg.cancelled(request, now)
        elif isinstance(leg, ALeg) and leg.owner is not None:
            leg.owner.cancelled(request, now)

    def _stranger(self, request: Request, hop: Hop, now: float) -> None:
        """A source of no trunk: refused without a record, or ignored."""
        decision = self.core.policies.stranger()
        self.core.counters["stranger"] += 1
        self._refused.stranger(request.method, decision, hop, now)
        if isinstance(decision, Refuse) and request.method != ACK:
            self._stateless(request, decision.status, hop)

    def _malformed(self, reply_to: Request | None, error: ParseError, hop: Hop, now: float) -> None:
        """Answered where that is possible, and where a stranger would be answered at all.

        What is wrong with it concerns peers alone.
        """
        core = self.core
        core.counters["malformed"] += 1
        trunk = core.policies.identify(hop.realm, hop.host, hop.trunk)
        stranger = core.policies.stranger()
        if trunk is not None:
            self._refused.message(error, trunk, hop, now)
        elif reply_to is not None:
            self._refused.stranger(reply_to.method, stranger, hop, now)
        if reply_to is not None and (trunk is not None or isinstance(stranger, Refuse)):
            head = b"" if trunk is None else answers.fault_head(error, core.ends.of(hop).host)
            self._stateless(reply_to, error.status, hop, head)

    def _stateless(self, request: Request, status: int, hop: Hop, head: bytes = b"") -> None:
        """An answer that nothing is kept for: a retransmission gets it again."""
        reply = ReplyBase(request, hop.address)
        tag = b"%b.0" % self.core.mint.token()
        data = reply.build(status, to_tag=tag, head=head)
        self._transmit(_answer_hop(hop, reply, request), data)
        self.core.layer.refusals[status] += 1

    # Time

    def _notify(self, notices: list[tuple[User, Notice]], now: float) -> None:
        for user, notice in notices:
            try:
                _notify_one(user, notice, now)
            except Exception:
                self._crashed(user, now)


def _notify_one(user: User, notice: Notice, now: float) -> None:
    """Tell one user what its transaction or its own timer has to say."""
    if isinstance(user, AcceptedInvite):
        leg = user.handle(notice, now) if isinstance(notice, AcceptTimer) else None
        if isinstance(leg, ALeg | BLeg):
            leg.not_acked(now)
    elif isinstance(user, ReliableSender):
        call = user.handle(notice, now) if isinstance(notice, ReliableTimer) else None
        if isinstance(call, Call):
            call.not_pracked(now)
    elif isinstance(notice, IntEnum):
        user.on_timer(notice, now)
    elif isinstance(notice.transaction, ServerTransaction):
        pass  # an answer of ours did not arrive: the peer's next step will show
    elif isinstance(notice, TimedOut):
        user.on_timeout(now)
    else:
        user.on_transport_lost(now)


def _reply_to(request: Request, txn: ServerTransaction) -> ReplyBase:
    """What answers to this request have in common; they go where RFC 3261 §18.2.2 says."""
    reply = ReplyBase(request, txn.hop.address)
    txn.hop = _answer_hop(txn.hop, reply, request)
    return reply


def _answer_hop(hop: Hop, reply: ReplyBase, request: Request) -> Hop:
    """Where the answer goes; on a stream that is closed by then, to the sent-by port."""
    host, port = reply.destination
    if hop.reliable:
        via = getattr(request, "via", None)  # what is left of a malformed request may have none
        if via is None or _is_behind_nat(via.host, hop.host):
            return hop
        port = via.port or (5061 if hop.transport == TLS else 5060)
    elif port == hop.port:
        return hop
    return Hop(hop.realm, hop.listener, hop.transport, host, port, hop.connection, hop.trunk)


def _is_behind_nat(sent_by: bytes, host: str) -> bool:
    """Whether the address that a peer knows of itself is another one than we see."""
    if sent_by == host.encode():
        return False
    try:
        return ip_address(sent_by.decode("ascii", "replace")) != ip_address(host)
    except ValueError:
        return False  # a name; or `host` has a scope, which no sent-by has
