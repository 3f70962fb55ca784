"""What the two client and the two server machines share: what they remember, and how they step.

A machine is its table: `handle` sorts the event into a key, looks (state, key) up, runs the
effect and takes the next state. A pair that is not in the table is absorbed; if it was not a
timer, which is never cancelled and so may be stale, it is reported as `Signal.IGNORED` and
counted. Machines act on nothing: they return actions, which the layer carries out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from sbc.sip.message import Request
from sbc.transaction.events import Action, Event, Key, Signal, State
from sbc.transaction.hop import Hop
from sbc.transaction.request import ClientRequest
from sbc.transaction.timers import Cell, TimerValues, User

__all__ = [
    "END",
    "LOSE",
    "NOTHING",
    "TIME_OUT",
    "UNEXPECTED",
    "ClientTransaction",
    "ServerTransaction",
    "Table",
    "TransactionKey",
    "absorb",
    "end",
    "lose",
    "time_out",
]

TransactionKey: TypeAlias = tuple[object, ...]
"""What finds a transaction; made and explained in `matching.py`."""

Table: TypeAlias = Mapping[tuple[State, Key], tuple[Callable[[Any, Any], Sequence[Action]], State]]
"""(state, key) -> (effect, next state). An effect takes the machine and the event; the key says
which event that is, so each effect names its type."""

NOTHING: Final[Sequence[Action]] = ()
UNEXPECTED: Final[Sequence[Action]] = (Signal.IGNORED,)
END: Final[Sequence[Action]] = (Signal.ENDED,)
TIME_OUT: Final[Sequence[Action]] = (Signal.TIMED_OUT, Signal.ENDED)
LOSE: Final[Sequence[Action]] = (Signal.TRANSPORT_LOST, Signal.ENDED)


class ClientTransaction:
    """A request of ours and what became of it (RFC 3261 §17.1).

    `user` is let go with the final response, but after a 2xx to INVITE, of which more may follow:
    then it stays for 64*T1, and its owner may replace it by something smaller, or by None.
    """

    __slots__ = (
        "__weakref__",
        "cell",
        "data",
        "hop",
        "interval_s",
        "key",
        "method",
        "request",
        "state",
        "user",
        "values",
    )

    def __init__(
        self, request: ClientRequest, hop: Hop, key: TransactionKey, user: User, values: TimerValues
    ) -> None:
        self.method = request.method
        self.request: ClientRequest | None = request
        """What was sent, and what ACK and CANCEL are made of. None once a final response is in."""
        self.data = request.data
        """Its bytes, for retransmissions. Empty once a final response is in."""
        self.hop = hop
        self.key = key
        self.user: User | None = user
        self.values = values
        self.state = State.IDLE
        self.interval_s = values.t1_s
        """The last interval of timer A or E."""
        self.cell = Cell(self)

    def handle(self, event: Event, now: float) -> Sequence[Action]:
        """Take one event; return what is to be done, in order. Raises nothing."""
        raise NotImplementedError

    def drop_request(self) -> None:
        """The final response is in: nothing will be sent again."""
        self.request = None
        self.data = b""

    def let_go(self) -> None:
        """The user has heard its last word from here; what lingers must not keep it alive."""
        self.drop_request()
        self.user = None


class ServerTransaction:
    """A request of theirs and what we answered (RFC 3261 §17.2).

    `hop` is where answers go: the request's source until the user sets a better one (RFC 3581,
    RFC 3261 §18.2.2). `user` is the user's to set. It is let go with the final answer, but after a
    2xx to INVITE: then its owner clears it, once the ACK is in. Deviates from RFC 3261 §17.2.1: so
    nobody but a counter hears that a failure was never ACKed.
    """

    __slots__ = (
        "__weakref__",
        "branch",
        "cell",
        "hop",
        "interval_s",
        "key",
        "last",
        "method",
        "state",
        "user",
        "values",
    )

    def __init__(
        self, request: Request, hop: Hop, key: TransactionKey, values: TimerValues
    ) -> None:
        self.method = request.method
        self.branch = request.via.branch
        self.hop = hop
        self.key = key
        self.user: User | None = None
        self.values = values
        self.state = State.IDLE
        self.interval_s = values.t1_s
        """The last interval of timer G."""
        self.last = b""
        """The answer that a retransmitted request gets."""
        self.cell = Cell(self)

    def handle(self, event: Event, now: float) -> Sequence[Action]:
        """Take one event; return what is to be done, in order. Raises nothing."""
        raise NotImplementedError


# Effects that every machine has.


def absorb(txn: object, event: Event) -> Sequence[Action]:
    """Known, and nothing to do."""
    return NOTHING


def end(txn: object, event: Event) -> Sequence[Action]:
    """The transaction has done what it was kept for."""
    return END


def time_out(txn: object, event: Event) -> Sequence[Action]:
    """Nobody answered."""
    return TIME_OUT


def lose(txn: object, event: Event) -> Sequence[Action]:
    """The transport failed, and with it the transaction."""
    return LOSE
