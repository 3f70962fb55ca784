"""What the two client and the two server machines share: what they remember, and how they step.

A machine is its table: `handle` sorts the event into a key, looks (state, key) up, runs the
effect and takes the next state. A pair that is not in the table is absorbed; if it was not a
timer, which is never cancelled and so may be stale, it is reported as `Signal.IGNORED` and
counted. Machines act on nothing: they return actions, which the layer carries out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any, Final, TypeAlias

from sbc.sip.message import Request, Response
from sbc.sip.status import ACK
from sbc.transaction.events import (
    Action,
    Arms,
    Event,
    Input,
    Key,
    PassUp,
    Respond,
    Signal,
    State,
)
from sbc.transaction.hop import Hop
from sbc.transaction.request import ClientRequest
from sbc.transaction.timers import Cell, Timer, User

__all__ = [
    "NOTHING",
    "ClientTransaction",
    "ServerTransaction",
    "Table",
    "TransactionKey",
    "absorb",
    "client_input",
    "end",
    "lose",
    "pass_up",
    "server_input",
    "time_out",
    "unexpected",
]

TransactionKey: TypeAlias = tuple[object, ...]
"""What finds a transaction; made and explained in `matching.py`."""

Table: TypeAlias = Mapping[tuple[State, Key], tuple[Callable[[Any, Any], Sequence[Action]], State]]
"""(state, key) → (effect, next state). An effect takes the machine and the event; the key says
which event that is, so each effect names its type."""

NOTHING: Final[Sequence[Action]] = ()
_UNEXPECTED: Final[Sequence[Action]] = (Signal.IGNORED,)
_END: Final[Sequence[Action]] = (Signal.ENDED,)
_TIME_OUT: Final[Sequence[Action]] = (Signal.TIMED_OUT, Signal.ENDED)
_LOSE: Final[Sequence[Action]] = (Signal.TRANSPORT_LOST, Signal.ENDED)
# Bound once: looking a member up in its enum costs as much as looking the row up in the table.
_IDLE: Final = State.IDLE
_RESPONSES: Final = (  # by hundreds of the status, which the parser holds to 100..699
    *(Input.PROVISIONAL,) * 2,
    Input.SUCCESS,
    *(Input.FAILURE,) * 4,
)
_ANSWERS: Final = (  # the same for answers of ours
    *(Input.RESPOND_PROVISIONAL,) * 2,
    Input.RESPOND_SUCCESS,
    *(Input.RESPOND_FAILURE,) * 4,
)
_REQUEST: Final = Input.REQUEST


class ClientTransaction:
    """A request of ours and what became of it (RFC 3261 §17.1).

    `user` is let go with the final response, but after a 2xx to INVITE, of which more may follow:
    then it stays for 64*T1, and its owner may replace it by something smaller, or by None.
    """

    __slots__ = (
        "__weakref__",
        "arms",
        "cell",
        "data",
        "hop",
        "interval_s",
        "key",
        "left_s",
        "method",
        "request",
        "state",
        "user",
    )

    def __init__(
        self, request: ClientRequest, hop: Hop, key: TransactionKey, user: User, arms: Arms
    ) -> None:
        self.method = request.method
        self.request: ClientRequest | None = request
        """What was sent, and what ACK and CANCEL are made of. None once a final response is in."""
        self.data = request.data
        """What is sent again: the request, after a failure its ACK, after another final nothing."""
        self.hop = hop
        self.key = key
        self.user: User | None = user
        self.arms = arms
        self.state = _IDLE
        self.interval_s = 0.0
        """The last interval of timer A or E."""
        self.left_s = 0.0
        """What will be left of timer F when the timer E that is armed fires."""
        self.cell = Cell(self)

    def handle(self, event: Event, now: float) -> Sequence[Action]:
        """Take one event; return what is to be done, in order. Raises nothing."""
        raise NotImplementedError  # pragma: no cover

    def conclude(self) -> None:
        """The final response is in: nothing is sent again, no timer armed so far matters."""
        if self.request is not None:
            self.request.sender = None
        self.request = None
        self.data = b""
        self.cell.owner = None
        self.cell = Cell(self)


class ServerTransaction:
    """A request of theirs and what we answered (RFC 3261 §17.2).

    `hop` is where answers go: the request's source until the user sets a better one (RFC 3581,
    RFC 3261 §18.2.2). `user` is the user's to set. It is let go with the final answer, but after a
    2xx to INVITE: then its owner clears it, once the ACK is in. Deviates from RFC 3261 §17.2.1: so
    nobody but a counter hears that a failure was never ACKed.
    """

    __slots__ = (
        "__weakref__",
        "arms",
        "cell",
        "hop",
        "interval_s",
        "key",
        "last",
        "method",
        "state",
        "user",
    )

    def __init__(self, request: Request, hop: Hop, key: TransactionKey, arms: Arms) -> None:
        self.method = request.method
        self.hop = hop
        self.key = key
        self.user: User | None = None
        self.arms = arms
        self.state = _IDLE
        self.interval_s = 0.0
        """The last interval of timer G."""
        self.last = b""
        """The answer that a retransmitted request gets."""
        self.cell = Cell(self)

    def handle(self, event: Event, now: float) -> Sequence[Action]:
        """Take one event; return what is to be done, in order. Raises nothing."""
        raise NotImplementedError  # pragma: no cover


def client_input(event: Event) -> Key:
    """What an event is to a client's table."""
    if isinstance(event, Response):
        return _RESPONSES[event.status // 100]
    if isinstance(event, IntEnum):
        return event
    return _REQUEST  # not for a client: no row has it


def server_input(event: Event) -> Key:
    """What an event is to a server's table."""
    if type(event) is Respond:
        return _ANSWERS[event.status // 100]
    if isinstance(event, Request):
        return Input.ACK if event.method == ACK else _REQUEST
    if isinstance(event, IntEnum):
        return event
    return Input.SUCCESS  # a response, not for a server: no row has it


def unexpected(key: Key) -> Sequence[Action]:
    """The pair is not in the table."""
    return NOTHING if type(key) is Timer else _UNEXPECTED


# Effects that several machines have.


def absorb(txn: object, event: Event) -> Sequence[Action]:
    """Known, and nothing to do."""
    return NOTHING


def pass_up(txn: object, message: Request | Response) -> Sequence[Action]:
    """The user is to act on it."""
    return (PassUp(message),)


def end(txn: object, event: Event) -> Sequence[Action]:
    """The transaction has done what it was kept for."""
    return _END


def time_out(txn: object, event: Event) -> Sequence[Action]:
    """Nobody answered."""
    return _TIME_OUT


def lose(txn: object, event: Event) -> Sequence[Action]:
    """The transport failed, and with it the transaction."""
    return _LOSE
