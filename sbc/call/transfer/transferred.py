"""The call that a transfer makes, of two parties who talked to others before.

It is a call like every other, but for who stands at its two ends:

    Standing   in the caller's place: who stays, until it is asked; then its leg itself
    Consulted  in the target's place: who talks already, and so gets no INVITE

A blind transfer has a Standing caller and a real target, a consulted one both; where somebody
replaces a party with an INVITE of its own, the caller is real and the target Consulted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from policies.facts import CallFacts, Target
from policies.settings import TrunkSettings
from sbc.call.call import Call
from sbc.call.core import Core
from sbc.call.crossing.headers import crossing
from sbc.call.legs.a_leg import ALeg
from sbc.call.legs.b_leg import BLeg
from sbc.call.legs.leg import Fork, Leg, Owner, session_id
from sbc.call.states import Input, State
from sbc.call.targets.outgoing import crossing_names
from sbc.errors import ProtocolError
from sbc.sdp.freed import freed
from sbc.sdp.model import Session
from sbc.sdp.offer_answer import Negotiation
from sbc.sip.message import Message, Request, Response
from sbc.sip.parser import parse
from sbc.sip.serialise import ReplyBase, build_request
from sbc.sip.status import INVITE
from sbc.transaction.machine import ServerTransaction

__all__ = [
    "Consulted",
    "Half",
    "Meeting",
    "ReplacingCall",
    "Standing",
    "Teller",
    "TransferredCall",
    "invite_for",
]

_REFERRED_BY: Final = frozenset((b"referred-by",))
_DEFAULT_HOPS: Final = 70


@dataclass(slots=True)
class Half:
    """One of the calls that the parties come from."""

    call: Call
    leaves: Leg
    """Of the transferor, or of who is replaced."""
    stays: Leg


class Teller(Protocol):
    """The transfer, as the new call reports to it."""

    def rang(self, status: int, now: float) -> None:
        """A provisional response of the target."""

    def answered(self, now: float) -> None:
        """Its 2xx, acknowledged."""

    def refused(self, status: int, now: float) -> None:
        """No target is left."""

    def new_call_ended(self, now: float) -> None:
        """The new call is over."""


class Standing(ALeg):
    """Who stays, in the place of the caller: what a caller would be told, the transfer is.

    Args:
        core, owner: as of every leg.
        stays: the leg that will be taken over.
        invite: what it would have sent, had it called itself (`invite_for`).
    """

    __slots__ = ("teller",)

    def __init__(self, core: Core, owner: Owner, stays: Leg, invite: Request) -> None:
        reply = ReplyBase(invite, (stays.hop.host, stays.hop.port))
        end, hop, token = stays.end, stays.hop, core.mint.token()
        super().__init__(core, owner, stays.trunk, end, hop, token, invite, reply, None)
        self.nat = stays.nat
        self.call_id = b"" if stays.dialog is None else stays.dialog.call_id
        self.teller: Teller | None = None

    def new_negotiation(self, tag: bytes) -> Negotiation:
        """Of no use to anybody: who stays is asked once, after the answer."""
        assert self.negotiation is not None  # noqa: S101 (set up with the call)
        return Negotiation(session_id(tag), self.negotiation.address)

    def ring(self, status: int, fork: Fork, head: bytes, body: bytes, now: float) -> None:
        """Who stays hears what it heard before."""
        if self.teller is not None:
            self.teller.rang(status, now)

    def answer(self, status: int, fork: Fork, head: bytes, body: bytes, now: float) -> None:
        """The target has answered; who stays is still to be asked."""
        self._let_go()

    def refuse(self, status: int, head: bytes, now: float) -> None:
        """No target is left."""
        asked = self.reply is not None
        super().refuse(status, head, now)
        if asked and self.teller is not None:
            self.teller.refused(status, now)

    def arm_ping(self, now: float) -> None:
        """Not before there is a dialog."""
        if self.dialog is not None:
            super().arm_ping(now)

    def take_over(self, other: Leg, now: float) -> None:
        """Who stays has agreed."""
        super().take_over(other, now)
        assert self.dialog is not None  # noqa: S101 (just taken over)
        self.tags.append(self.dialog.local_tag)

    def unlink(self) -> None:
        """Let go of the call, and of the transfer."""
        super().unlink()
        self.teller = None


class Consulted(BLeg):
    """Who talks to the transferor already, in the place of the target.

    Args:
        core, owner: as of every leg.
        stays: the leg that will be taken over.
    """

    __slots__ = ()

    def __init__(self, core: Core, owner: Owner, stays: Leg) -> None:
        target = Target(stays.trunk, stays.trunk.peers[0])
        super().__init__(core, owner, target, stays.end, stays.hop, core.mint.token())
        self.nat = stays.nat

    def unlink(self) -> None:
        """Let go of the call, and of the dialog that was taken over."""
        if self.dialog is not None:
            self.forget(self.dialog.local_tag)
        super().unlink()


class Meeting(Call):
    """A call of which one party at least talks already. Made like any other, it has a caller who
    replaces somebody."""

    __slots__ = ("moves", "teller")
    moves: int
    """Of how many transfers in a row this is the last."""
    teller: Teller | None

    def reports_to(self, teller: Teller | None) -> None:
        """The transfer hears what becomes of the call from now on; None: nobody does."""
        self.teller = teller

    def consult(self, stays: Leg) -> None:
        """Put somebody who talks already in the target's place, with ports for both.

        Raises:
            ProtocolError: what the caller has said cannot be carried there.
            RelayError: no port.
        """
        self._read_offer()
        self.b = b = Consulted(self.core, self, stays)
        ours, theirs = self.a.trunk, b.trunk
        self.hunt.names = crossing_names(ours, theirs)
        call_id = b"" if stays.dialog is None else stays.dialog.call_id
        self.record.tried(theirs.name, stays.hop, call_id)
        self.core.policies.join(ours, theirs)
        self.hunt.trunk = theirs
        self.exchange.anchor(self.a, theirs, stays.hop.host, self.id)

    def handle(self, event: Input, message: object, now: float) -> None:
        """As of every call; nothing is waited for from who has not been asked yet."""
        super().handle(event, message, now)
        if self.state is State.ENDING and self.a.dialog is None:
            super().handle(Input.ACK, None, now)
        elif self.state is State.CANCELLING and isinstance(self.b, Consulted):
            super().handle(Input.REFUSED, None, now)

    def _end(self, state: State, now: float) -> None:
        super()._end(state, now)
        teller, self.teller = self.teller, None
        if teller is not None:
            teller.new_call_ended(now)


class ReplacingCall(Meeting):
    """A call whose caller takes the place of a party of another one (RFC 3891)."""

    __slots__ = ()

    def __init__(
        self,
        core: Core,
        trunk: TrunkSettings,
        facts: CallFacts,
        invite: Request,
        reply: ReplyBase,
        txn: ServerTransaction,
        now: float,
    ) -> None:
        super().__init__(core, trunk, facts, invite, reply, txn, now)
        self.moves, self.teller = 1, None

    def meet(self, response: Response, negotiation: Negotiation) -> None:
        """The answer of who stays is the caller's.

        Raises:
            ProtocolError: it answers nothing.
        """
        a, b = self.a, self._called()
        tag = a.new_tag()
        b.forks[response.to_tag] = fork = Fork(tag, a.new_negotiation(tag), negotiation)
        self.exchange.answer(a, b, fork, response)


class TransferredCall(Meeting):
    """A call whose caller is one who stays.

    Args:
        core: the surroundings.
        facts: what policy is told of it.
        stays: whose place the Standing caller takes.
        invite: what it would have sent.
        lines: m-lines that its offer must have at least.
        moves: of how many transfers in a row this is the last.
    """

    __slots__ = ("_said",)

    def __init__(
        self,
        core: Core,
        facts: CallFacts,
        stays: Leg,
        invite: Request,
        lines: int,
        moves: int,
        now: float,
    ) -> None:
        a = Standing(core, self, stays, invite)
        self._set_up(core, a, a.token.decode(), facts, now)
        self.moves, self.teller = moves, None
        address = core.media_addresses.of_session(stays.end)
        a.negotiation = Negotiation(session_id(a.token), address)
        self._said = _said_by(stays, lines)

    def reports_to(self, teller: Teller | None) -> None:
        """The same, and what the caller would hear."""
        super().reports_to(teller)
        if isinstance(self.a, Standing):
            self.a.teller = teller

    def crossing(self, message: Message, leg: Leg) -> bytes:
        """As of every call; who has asked for the transfer is told to the target (RFC 3892)."""
        head = super().crossing(message, leg)
        if message is self.a.invite and b"referred-by" not in self.hunt.names:
            hide, host = self.core.hide, leg.end.host
            head += crossing(message, names=_REFERRED_BY, hide=hide, host=host)
        return head

    def handle(self, event: Input, message: object, now: float) -> None:
        """As of every call; once the target has answered, who stays is to be asked."""
        before = self.state
        super().handle(event, message, now)
        if self.state is State.ANSWERED and before is not State.ANSWERED and self.teller:
            self.teller.answered(now)

    def _read_offer(self) -> None:
        if self._said is None:
            raise ProtocolError("expected a session of who stays", status=488)
        self.exchange.stand_for(self._said)

    def _take_late(self, b: BLeg, fork: Fork, response: Response) -> None:
        if not self.exchange.late_heard(fork, response):
            raise ProtocolError("expected an answer")


def invite_for(
    stays: Leg, user: bytes, referred_by: bytes | None, hops: int | None, core: Core
) -> Request:
    """The INVITE that who stays would have sent to that user itself.

    Raises:
        ParseError: the user part is none that a URI may have.
    """
    dialog, host = stays.dialog, stays.end.host
    assert dialog is not None  # noqa: S101 (it was asked within it)
    target = b"sip:%b@%b" % (user, host)
    head = b"".join(
        (
            b"Via: SIP/2.0/UDP %b\r\n" % host,
            b"Max-Forwards: %d\r\n" % (_DEFAULT_HOPS if hops is None else hops),
            b"From: %b\r\n" % dialog.remote_party,
            b"To: <%b>\r\n" % target,
            b"Call-ID: %b\r\nCSeq: 1 INVITE\r\n" % core.mint.token(),
            b"Contact: <sip:%b>\r\n" % host,
            b"Referred-By: %b\r\n" % referred_by if referred_by else b"",
        )
    )
    request = parse(build_request(INVITE, target, head))
    assert isinstance(request, Request)  # noqa: S101 (by its first line)
    return request


def _said_by(leg: Leg, lines: int) -> Session | None:
    negotiation = leg.negotiation
    if negotiation is None or negotiation.remote is None:
        return None
    return freed(negotiation.remote, lines)
