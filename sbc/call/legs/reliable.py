"""Reliable provisional responses (RFC 3262), each side by itself.

`ReliableSender` is the server's side: our 18x to a caller. One for each early dialog of an INVITE.
It sends one response at a time, again and again until its PRACK; what is said meanwhile queues:

* IDLE: nothing is outstanding.
* WAITING: one response is out, repeated at T1, doubling, until its PRACK or for 64*T1.
* OVER: the INVITE has its final response, or nobody acknowledged: nothing more is sent.

`ReliableReceiver` is the client's side: which 18x of a target is to be passed on and acknowledged.
The sides know nothing of each other: a leg may be reliable where the other is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Final, TypeAlias

from policies.settings import Shield, TrunkSettings, Use
from sbc.sip.grammar import decimal
from sbc.sip.message import Message, Request, Response
from sbc.sip.status import INVITE
from sbc.transaction.layer import TransactionLayer
from sbc.transaction.machine import ServerTransaction
from sbc.transaction.timers import Cell, User

__all__ = [
    "Match",
    "ReliableReceiver",
    "ReliableSender",
    "ReliableTimer",
    "State",
    "Take",
    "is_reliable",
    "to_be_reliable",
]

_MAX_QUEUE: Final = 16
"""Responses that wait behind one that is outstanding; more are not told reliably."""
_MAX_FIRST: Final = 2**31 - 1  # §3
_MAX_NUMBER: Final = 2**32 - 1
_OPTION: Final = b"100rel"


class ReliableTimer(IntEnum):
    """What `TransactionLayer.tick` returns beside a `ReliableSender`: give it to `handle`."""

    RETRANSMIT = 1
    """T1, doubling."""
    GIVE_UP = 2
    """64*T1: no PRACK; the INVITE is to be refused with 504 or another 5xx (§3)."""


class Match(IntEnum):
    """What a PRACK is."""

    ACCEPTED = 0
    """It acknowledges the response that was out: 200, and what it offers or answers counts."""
    STALE = 1
    """It acknowledges none that is out: 481."""
    MALFORMED = 2
    """No RAck, or none that can be read: 400."""


class Take(IntEnum):
    """What a provisional response is."""

    UNRELIABLE = 0
    """Pass it on; no PRACK."""
    NEW = 1
    """Pass it on and acknowledge it, with `rack`."""
    REPEATED = 2
    """Known: drop it; its PRACK is repeated by its own transaction."""
    OUT_OF_ORDER = 3
    """One before it is missing: drop it, it will come again (§4)."""


class State(IntEnum):
    """Whether a PRACK is awaited."""

    IDLE = 0
    WAITING = 1
    OVER = 2


class Input(IntEnum):
    """What can happen to a sender."""

    SEND = 1
    """One more response of ours."""
    ACKED = 2
    """The PRACK, and nothing waits behind it."""
    ACKED_MORE = 3
    """The PRACK, and another response waits."""
    RETRANSMIT = 4
    GIVE_UP = 5
    STOP = 6
    """The INVITE gets its final response, or nobody waits for it any more."""


class _Said:
    """One response."""

    __slots__ = ("data", "described", "number", "status")

    def __init__(self, number: int, status: int, data: bytes, described: bool) -> None:
        self.number = number
        self.status = status
        self.data = data
        self.described = described


class ReliableSender:
    """Our reliable provisional responses in one early dialog.

    `head(number())` is what makes a response reliable; `send` sees it through:

        number = sender.number()
        data = reply.build(183, to_tag=tag, head=head + sender.head(number), body=body)
        sender.send(number, 183, data, bool(body), now)

    Args:
        layer: transmits and keeps time.
        txn: of the INVITE.
        cseq: of the INVITE; the PRACK names it.
        first: the first RSeq, by chance, 1 to 2**31 - 1 (§3).
        user: whom `handle` returns when no PRACK comes.
    """

    __slots__ = (
        "__weakref__",
        "_cell",
        "_cseq",
        "_interval_s",
        "_layer",
        "_left_s",
        "_next",
        "_queue",
        "_txn",
        "settled",
        "state",
        "user",
    )

    def __init__(
        self, layer: TransactionLayer, txn: ServerTransaction, cseq: int, first: int, user: User
    ) -> None:
        self._layer = layer
        self._txn: ServerTransaction | None = txn
        self._cseq = cseq
        self._next = min(max(first, 1), _MAX_FIRST)
        self.user: User | None = user
        self.state = State.IDLE
        self.settled = False
        """Whether a description is acknowledged: before that, no other offer is (RFC 3311 §5.1)."""
        self._queue: list[_Said] = []
        """What is out, and what waits behind it."""
        self._cell = Cell(None)
        self._interval_s = 0.0
        self._left_s = 0.0

    @property
    def waiting(self) -> bool:
        """Whether a PRACK is to come."""
        return self.state is State.WAITING

    @property
    def holds_success(self) -> bool:
        """Whether a 2xx must wait: a description in a response is not acknowledged yet (§3)."""
        return any(said.described for said in self._queue)

    def number(self) -> int:
        """The RSeq of our next response; 0: no more reliable ones, say it unreliably or not."""
        full = len(self._queue) > _MAX_QUEUE
        return 0 if full or self.state is State.OVER else self._next

    @staticmethod
    def head(number: int) -> bytes:
        """The lines that make a provisional response reliable; b"" for number 0."""
        return b"Require: 100rel\r\nRSeq: %d\r\n" % number if number else b""

    def send(self, number: int, status: int, data: bytes, described: bool, now: float) -> None:
        """Send a response, at once or as soon as those before it are acknowledged.

        Args:
            number: as `number` has given it; with this it is used.
            data: the response, with `head(number)` in it.
            described: whether its body is an offer or an answer.
        """
        self._next = number + 1
        self._step(Input.SEND, _Said(number, status, data, described), now)

    def on_prack(self, request: Request, now: float) -> Match:
        """A PRACK in this early dialog; if it is accepted, what waited is sent."""
        rack = (request.first(b"rack") or b"").split()
        if len(rack) != 3:
            return Match.MALFORMED
        number, cseq = decimal(rack[0], _MAX_NUMBER), decimal(rack[1], _MAX_NUMBER)
        if number is None or cseq is None:
            return Match.MALFORMED
        if (
            self.state is not State.WAITING
            or number != self._queue[0].number
            or cseq != self._cseq
            or rack[2] != INVITE
        ):
            return Match.STALE
        self._step(Input.ACKED_MORE if len(self._queue) > 1 else Input.ACKED, None, now)
        return Match.ACCEPTED

    def handle(self, timer: ReliableTimer, now: float) -> User | None:
        """A timer is due. The user, if 64*T1 have passed without a PRACK; else None."""
        user = self.user
        if timer is ReliableTimer.GIVE_UP:
            gave_up = self.state is State.WAITING
            self._step(Input.GIVE_UP, None, now)
            return user if gave_up else None
        self._step(Input.RETRANSMIT, None, now)
        return None

    def stop(self) -> None:
        """A final response is sent, or the call let go: nothing is repeated, nothing held."""
        self._step(Input.STOP, None, 0.0)

    def _step(self, event: Input, said: _Said | None, now: float) -> None:
        row = _TABLE.get((self.state, event))
        if row is not None:
            effect, self.state = row
            effect(self, said, now)

    # Effects

    def _begin(self, said: _Said | None, now: float) -> None:
        self._append(said, now)
        self._out(now)

    def _append(self, said: _Said | None, now: float) -> None:
        assert said is not None  # noqa: S101 (with every SEND)
        self._queue.append(said)

    def _rest(self, said: _Said | None, now: float) -> None:
        self._cell.owner = None
        self.settled |= self._queue.pop().described

    def _go_on(self, said: _Said | None, now: float) -> None:
        self._cell.owner = None
        self.settled |= self._queue.pop(0).described
        self._out(now)

    def _again(self, said: _Said | None, now: float) -> None:
        assert self._txn is not None  # noqa: S101 (until it is OVER)
        layer = self._layer
        layer.counters["retransmitted"] += 1
        layer.transmit(self._txn.hop, self._queue[0].data)
        self._interval_s *= 2
        if self._left_s > self._interval_s:
            self._left_s -= self._interval_s
            layer.arm_user(self._cell, ReliableTimer.RETRANSMIT, self._interval_s, now)
        else:
            layer.arm_user(self._cell, ReliableTimer.GIVE_UP, self._left_s, now)

    def _let_go(self, said: _Said | None, now: float) -> None:
        self._cell.owner = self._txn = self.user = None
        self._queue.clear()

    def _out(self, now: float) -> None:
        """The first of the queue leaves, and its time begins."""
        layer, said = self._layer, self._queue[0]
        assert self._txn is not None  # noqa: S101 (until it is OVER)
        layer.respond(self._txn, said.status, said.data, now)
        self._cell = Cell(self)
        self._interval_s = layer.values.t1_s
        self._left_s = layer.values.give_up_s - self._interval_s
        layer.arm_user(self._cell, ReliableTimer.RETRANSMIT, self._interval_s, now)


class ReliableReceiver:
    """The reliable provisional responses to one INVITE of ours, in all its early dialogs."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: dict[bytes, int] = {}
        """To-tag → RSeq of the last response that was taken."""

    def on_provisional(self, response: Response) -> Take:
        """What a 101 to 199 is. Whoever asks acts on it: a NEW one counts as taken.

        The caller bounds the number of early dialogs.
        """
        number = _rseq(response)
        if not number:
            return Take.UNRELIABLE
        last = self._last.get(response.to_tag)
        if last is not None and number != last + 1:
            return Take.REPEATED if number <= last else Take.OUT_OF_ORDER
        self._last[response.to_tag] = number
        return Take.NEW

    @staticmethod
    def rack(response: Response) -> bytes:
        """The RAck line of the PRACK for a response that was NEW."""
        number = _rseq(response)
        return b"RAck: %d %d %b\r\n" % (number, response.cseq, response.cseq_method)


def is_reliable(response: Response) -> bool:
    """Whether a response asks for a PRACK: 101 to 199 with Require: 100rel and an RSeq."""
    return _rseq(response) != 0


def to_be_reliable(trunk: TrunkSettings, invite: Request, described: bool) -> bool:
    """Whether our provisional response above 100 to this INVITE is to be a reliable one (§3).

    It must be where the caller requires it, and never may where the caller does not support it.
    In between, it is with `reliable: always`, and with `auto` where it carries a description.
    """
    if trunk.reliable is Use.NEVER or Shield.PRACK in trunk.shield:
        return False  # an INVITE that requires it has got its 420
    if _names(invite, b"require"):
        return True
    if trunk.reliable is Use.AUTO and not described:
        return False
    return _names(invite, b"supported")


def _rseq(response: Response) -> int:
    """The RSeq of a reliable provisional response, 0 for any other response."""
    value = response.first(b"rseq")
    if value is None or not 100 < response.status < 200 or not _names(response, b"require"):
        return 0
    return decimal(value, _MAX_NUMBER) or 0


def _names(message: Message, header: bytes) -> bool:
    """Whether 100rel is among the option tags of `header`."""
    return any(
        option.strip().lower() == _OPTION
        for line in message.every(header)
        for option in line.split(b",")
    )


_Effect: TypeAlias = Callable[[ReliableSender, _Said | None, float], None]
_S, _I = State, Input

_TABLE: Final[Mapping[tuple[State, Input], tuple[_Effect, State]]] = {
    (_S.IDLE, _I.SEND): (ReliableSender._begin, _S.WAITING),
    (_S.IDLE, _I.STOP): (ReliableSender._let_go, _S.OVER),
    (_S.WAITING, _I.SEND): (ReliableSender._append, _S.WAITING),  # §3: one outstanding
    (_S.WAITING, _I.ACKED): (ReliableSender._rest, _S.IDLE),
    (_S.WAITING, _I.ACKED_MORE): (ReliableSender._go_on, _S.WAITING),
    (_S.WAITING, _I.RETRANSMIT): (ReliableSender._again, _S.WAITING),
    (_S.WAITING, _I.GIVE_UP): (ReliableSender._let_go, _S.OVER),
    (_S.WAITING, _I.STOP): (ReliableSender._let_go, _S.OVER),
}
"""Every arrow. A pair that is not here is absorbed."""
