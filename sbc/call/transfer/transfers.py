"""How transfers begin: a REFER within a call, or an INVITE that takes somebody's place.

| asked by | what becomes of it |
|---|---|
| REFER to a number | a call by the routes of who stays, as if it had called itself |
| REFER with Replaces of another call of the same trunk | the other parties of both are joined |
| REFER with Replaces of a dialog that is none of ours | 202, and 481 in the NOTIFY |
| REFER from a trunk with `refer: refuse` | 603 |
| REFER within a transfer, or while the parties cannot be asked | 500 with Retry-After, 488 |
| the sixth transfer in a row | 482 |
| REFER from a trunk with `refer: pass` | goes across, where the other side takes it |
| INVITE with Replaces of a call in the same realm | its caller takes that party's place |
"""

from __future__ import annotations

from typing import Final

from policies.facts import Accept, CallFacts, Refuse
from policies.settings import Refer, Shield
from sbc.call import answers
from sbc.call.answers import Refusal
from sbc.call.call import Call
from sbc.call.cdr import Cause
from sbc.call.core import Core, Party
from sbc.call.incoming import user_of
from sbc.call.legs.capabilities import head_for, may_send, refused_head, unsupported
from sbc.call.legs.leg import Leg, again_head
from sbc.call.states import State as CallState
from sbc.call.transfer.refer import Referral, named, read_refer, read_replaces
from sbc.call.transfer.referrals import notified, pass_on, pointed_at
from sbc.call.transfer.rejoin import Notifier, can_rejoin
from sbc.call.transfer.states import Input
from sbc.call.transfer.transfer import Transfer
from sbc.call.transfer.transferred import Half, Meeting, ReplacingCall, TransferredCall, invite_for
from sbc.errors import ProtocolError, RelayError
from sbc.sip.message import Request
from sbc.sip.serialise import ReplyBase
from sbc.sip.status import REFER
from sbc.transaction.machine import ServerTransaction

__all__ = ["Transfers"]

_MOST_MOVES: Final = 5
"""Transfers in a row that one party is taken along by."""


class Transfers:
    """All transfers of one border.

    Args:
        core: the surroundings.
        calls: all calls by name; those that transfers make are added.
    """

    __slots__ = ("_calls", "_core")

    def __init__(self, core: Core, calls: dict[str, Call]) -> None:
        self._core = core
        self._calls = calls

    # REFER

    def referred(
        self, leg: Party, request: Request, reply: ReplyBase, txn: ServerTransaction, now: float
    ) -> None:
        """A REFER inside a call that is up: see that it is answered."""
        call = leg.owner if isinstance(leg, Leg) else None
        assert isinstance(leg, Leg)  # noqa: S101 (the dialogs of calls are legs')
        assert isinstance(call, Call)  # noqa: S101 (it has passed the request on)
        try:
            referral = self._checked(call, leg, request)
        except ProtocolError as error:
            head = again_head(leg.token) if error.status == 500 else b""
            if error.status == 405:
                head = refused_head(leg.trunk, REFER)
            elif error.status == 420:
                head = unsupported(request, leg.trunk)
            leg.respond(txn, reply, error.status, head, now)
            self._core.counters["transfer_refused"] += 1
            return
        if leg.trunk.refer is Refer.PASS:
            other = call.other(leg)
            if may_send(other.trunk, other.peer, REFER):
                try:
                    pass_on(call, leg, referral, request, reply, txn, now)
                except ProtocolError as error:
                    leg.respond(txn, reply, error.status, b"", now)
                return
        head = leg.end.contact(leg.token) + head_for(leg.trunk, initial=False)
        if not referral.notify:
            head += b"Refer-Sub: false\r\n"
        leg.respond(txn, reply, 202, head, now)
        self._core.counters["transfers"] += 1
        notifier = Notifier(leg, b"%d" % request.cseq) if referral.notify else None
        if notifier is not None:
            notifier.tell(100, False, now)
        if referral.replaces is None:
            self._blind(Half(call, leg, call.other(leg)), request, referral, notifier, now)
        else:
            self._consulted(Half(call, leg, call.other(leg)), request, referral, notifier, now)

    def notified(
        self, leg: Party, request: Request, reply: ReplyBase, txn: ServerTransaction, now: float
    ) -> None:
        """A NOTIFY inside a call that is up: see that it is answered."""
        call = leg.owner if isinstance(leg, Leg) else None
        if isinstance(leg, Leg) and isinstance(call, Call):
            notified(call, leg, request, reply, txn, now)

    def _checked(self, call: Call, leg: Leg, request: Request) -> Referral:
        """What a REFER asks for.

        Raises:
            ProtocolError: with the status that it is refused with.
        """
        if Shield.REFER in leg.trunk.shield:
            raise ProtocolError("REFER is not offered there", status=405)
        if leg.trunk.refer is Refer.REFUSE:
            raise ProtocolError("transfers are refused to this trunk", status=603)
        if unsupported(request, leg.trunk):
            raise ProtocolError("an extension is required", status=420)
        referral = read_refer(request)
        if request.max_forwards == 0:
            raise ProtocolError("Max-Forwards is 0", status=483)
        other = call.other(leg)
        if call.state is not CallState.UP or call.move is not None or not other.is_there:
            raise ProtocolError("the call changes just now", status=500)
        if _moves(call) >= _MOST_MOVES:
            raise ProtocolError("too many transfers in a row", status=482)
        if not can_rejoin(other):
            raise ProtocolError("the other side takes no change", status=488)
        return referral

    def _blind(
        self,
        half: Half,
        request: Request,
        referral: Referral,
        notifier: Notifier | None,
        now: float,
    ) -> None:
        """To a number, by the routes of who stays."""
        core, stays = self._core, half.stays
        try:
            new = self._new(half, request, referral.user, referral.number, 0, now)
        except ProtocolError:  # a user part that no URI may have
            if notifier is not None:
                notifier.tell(400, True, now)
            return
        to = referral.number.decode("utf-8", "replace")
        Transfer(core, [half], new, notifier, to).begin(Input.BLIND, now)
        decision = core.policies.decide(_facts(stays, referral.number), now, stays.trunk)
        if isinstance(decision, Accept):
            new.start(decision, now)
        elif isinstance(decision, Refuse):
            new.refuse(answers.by_policy(decision), now)
        else:
            new.refuse(Refusal(403, Cause.REFUSED_BY_POLICY, decision.why.text), now)

    def _consulted(
        self,
        half: Half,
        request: Request,
        referral: Referral,
        notifier: Notifier | None,
        now: float,
    ) -> None:
        """To the other party of another call of the transferor's."""
        core, replaces = self._core, referral.replaces
        leaves = None if replaces is None else named(core, replaces)
        call = None if leaves is None else leaves.owner
        status = 481
        if leaves is not None and isinstance(call, Call) and leaves.trunk is half.leaves.trunk:
            other = call.other(leaves) if call.state is CallState.UP else None
            if call is half.call or other is None or call.move is not None or not other.is_there:
                status = 480
            elif not can_rejoin(other):
                status = 488
            elif _moves(call) >= _MOST_MOVES:
                status = 482
            else:
                second = Half(call, leaves, other)
                self._join(half, second, request, referral, notifier, now)
                return
        half.call.record.transfer = (half.leaves.side, "a dialog", status)
        core.say(20, "transfer.failed", half.call.id, to="a dialog", status=status)
        if notifier is not None:
            notifier.tell(status, True, now)

    def _join(
        self,
        half: Half,
        second: Half,
        request: Request,
        referral: Referral,
        notifier: Notifier | None,
        now: float,
    ) -> None:
        negotiation = second.stays.negotiation
        remote = None if negotiation is None else negotiation.remote
        lines = 0 if remote is None else len(remote.media)
        new = self._new(half, request, b"", b"", lines, now)
        if self._consults(new, second.stays, now):
            transfer = Transfer(self._core, [half, second], new, notifier, second.call.id)
            transfer.begin(Input.CONSULTED, now)
        else:
            half.call.record.transfer = (half.leaves.side, second.call.id, 488)
            if notifier is not None:
                notifier.tell(488, True, now)

    def _new(
        self, half: Half, request: Request, user: bytes, number: bytes, lines: int, now: float
    ) -> TransferredCall:
        """The call that is to come of it.

        Raises:
            ParseError: a user part that no URI may have.
        """
        stays, by = half.stays, request.first(b"referred-by")
        hops = request.max_forwards
        invite = invite_for(stays, user or b"transferred", by, hops, self._core)
        facts = _facts(stays, number)
        new = TransferredCall(self._core, facts, stays, invite, lines, _moves(half.call) + 1, now)
        self._calls[new.id] = new
        return new

    def _consults(self, new: Meeting, stays: Leg, now: float) -> bool:
        """Whether the new call can be offered to who talks already; if not, it is over."""
        refusal: Refusal
        try:
            new.consult(stays)
        except ProtocolError as error:
            refusal = Refusal(error.status, Cause.UNSUPPORTED_MEDIA, str(error))
        except RelayError as lack:  # another name: mypyc gives a name one type in a function
            refusal = Refusal(503, Cause.RELAY_UNAVAILABLE, str(lack))
        else:
            return True
        new.refuse(refusal, now)
        return False

    # INVITE with Replaces

    def replaced(self, new: ReplacingCall, request: Request, now: float) -> None:
        """An INVITE whose caller is to take the place of a party (RFC 3891 §3)."""
        try:
            half = self._replaced(new, request)
        except ProtocolError as error:
            new.refuse(Refusal(error.status, Cause.BAD_REQUEST, str(error)), now)
            return
        if self._consults(new, half.stays, now):
            self._core.counters["replaced"] += 1
            transfer = Transfer(self._core, [half], new, None, new.id)
            transfer.begin(Input.REPLACED, now)

    def _replaced(self, new: ReplacingCall, request: Request) -> Half:
        """Whose place is to be taken.

        Raises:
            ProtocolError: with the status that the INVITE is refused with.
        """
        values = request.every(b"replaces")
        if len(values) != 1:
            raise ProtocolError("expected one Replaces", status=400)
        replaces = read_replaces(values[0])
        stays = pointed_at(self._core, replaces)
        if stays is not None and isinstance(stays.owner, Call):
            return self._half(new, request, stays.owner, stays.owner.other(stays))
        known = self._core.dialogs.get(replaces.to_tag)
        if isinstance(known, Leg) and known.over:
            raise ProtocolError("the dialog in Replaces is over", status=603)
        leaves = named(self._core, replaces)
        call = None if leaves is None else leaves.owner
        if leaves is None or not isinstance(call, Call) or leaves.trunk.realm != new.a.trunk.realm:
            raise ProtocolError("no such dialog as in Replaces", status=481)
        if replaces.early_only:
            raise ProtocolError("the dialog in Replaces is no early one", status=486)
        return self._half(new, request, call, leaves)

    def _half(self, new: ReplacingCall, request: Request, call: Call, leaves: Leg) -> Half:
        """The call in which somebody's place is taken, if it is one that can be changed now.

        Raises:
            ProtocolError: with the status that the INVITE is refused with.
        """
        if not request.body:
            raise ProtocolError("expected an offer beside Replaces", status=488)
        other = call.other(leaves) if call.state is CallState.UP else None
        if other is None or call.move is not None or not other.is_there:
            raise ProtocolError("the call in Replaces changes just now", status=480)
        if not can_rejoin(other):
            raise ProtocolError("the other side takes no change", status=488)
        new.moves = _moves(call) + 1
        if new.moves > _MOST_MOVES:
            raise ProtocolError("too many transfers in a row", status=482)
        return Half(call, leaves, other)


def _moves(call: Call) -> int:
    return call.moves if isinstance(call, Meeting) else 0


def _facts(stays: Leg, number: bytes) -> CallFacts:
    """What policy is told of a call that who stays might have made itself."""
    dialog, hop = stays.dialog, stays.hop
    party = b"" if dialog is None else dialog.remote_party
    return CallFacts(
        stays.trunk.realm,
        hop.host,
        hop.port,
        hop.transport,
        stays.end.index,
        number,
        user_of(party),
        certified=hop.trunk,
    )
