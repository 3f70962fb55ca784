"""What the two client and the two server machines share: what they remember, and how they step.

A machine is its table: an event is sorted into a key, `handle` looks (state, key) up, runs the
effect and takes the next state. A pair that is not in the table is absorbed; if it was not a
timer, which is never cancelled and so may be stale, it is reported as `Signal.IGNORED` and
counted. Machines act on nothing: they return actions, which the layer carries out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, TypeAlias

from sbc.sip.message import Request, Response
from sbc.sip.status import ACK
from sbc.transaction.events import Action, Arms, Input, Key, Signal, State
from sbc.transaction.hop import Hop
from sbc.transaction.request import ClientRequest
from sbc.transaction.timers import Timer, User

__all__ = [
    "NOTHING",
    "PASS_UP",
    "ClientTransaction",
    "ServerTransaction",
    "Table",
    "Transaction",
    "TransactionKey",
    "absorb",
    "end",
    "lose",
    "pass_up",
    "time_out",
]

TransactionKey: TypeAlias = bytes | tuple[object, ...]
"""What finds a transaction; made and explained in `matching.py`."""

Table: TypeAlias = Mapping[tuple[State, Key], tuple[Callable[[Any, Any], Sequence[Action]], State]]
"""(state, key) → (effect, next state). An effect takes the machine and what was said: the message,
the bytes of the user's answer, None for all else; the key says which, so each effect names it."""

# Bound once: looking a member up in its enum costs as much as looking the row up in the table.
PASS_UP: Final = Signal.PASS_UP
NOTHING: Final[Sequence[Action]] = ()
_PASS_UP: Final[Sequence[Action]] = (PASS_UP,)
_UNEXPECTED: Final[Sequence[Action]] = (Signal.IGNORED,)
_END: Final[Sequence[Action]] = (Signal.ENDED,)
_TIME_OUT: Final[Sequence[Action]] = (Signal.TIMED_OUT, Signal.ENDED)
_LOSE: Final[Sequence[Action]] = (Signal.TRANSPORT_LOST, Signal.ENDED)
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


class Transaction:
    """What all four have in common."""

    __slots__ = (
        "__weakref__",
        "arms",
        "hop",
        "interval_s",
        "key",
        "method",
        "state",
        "user",
    )
    table: ClassVar[Table]

    hop: Hop
    key: TransactionKey
    method: bytes
    user: User | None
    arms: Arms
    state: State
    interval_s: float
    """The last interval of timer A, E or G."""

    def handle(self, key: Key, said: object = None) -> Sequence[Action]:
        """Take one event; return what is to be done, in order. Raises nothing.

        Args:
            said: what the effect works on: see `Table`.
        """
        row = self.table.get((self.state, key))
        if row is None:
            return NOTHING if type(key) is Timer else _UNEXPECTED
        effect, self.state = row
        return effect(self, said)


class ClientTransaction(Transaction):
    """A request of ours and what became of it (RFC 3261 §17.1).

    `user` is let go with the final response, but after a 2xx to INVITE, of which more may follow:
    then it stays for 64*T1, and its owner may replace it by something smaller, or by None.
    """

    __slots__ = ("data", "left_s", "request")

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
        self.user = user
        self.arms = arms
        self.state = _IDLE
        self.interval_s = 0.0
        self.left_s = 0.0
        """What will be left of timer F when the timer E that is armed fires."""

    def receive(self, response: Response) -> Sequence[Action]:
        """A response of theirs."""
        return self.handle(_RESPONSES[response.status // 100], response)

    def conclude(self) -> None:
        """The final response is in: nothing is sent again."""
        if self.request is not None:
            self.request.sender = None
        self.request = None
        self.data = b""


class ServerTransaction(Transaction):
    """A request of theirs and what we answered (RFC 3261 §17.2).

    `hop` is where answers go: the request's source until the user sets a better one (RFC 3581,
    RFC 3261 §18.2.2). `user` is the user's to set. It is let go with the final answer, but after a
    2xx to INVITE: then its owner clears it, once the ACK is in. Deviates from RFC 3261 §17.2.1: so
    nobody but a counter hears that a failure was never ACKed.
    """

    __slots__ = ("last",)

    def __init__(self, method: bytes, hop: Hop, key: TransactionKey, arms: Arms) -> None:
        self.method = method
        self.hop = hop
        self.key = key
        self.user = None
        self.arms = arms
        self.state = _IDLE
        self.interval_s = 0.0
        self.last = b""
        """The answer that a retransmitted request gets."""

    def receive(self, request: Request) -> Sequence[Action]:
        """Their request, again and again, or the ACK to what we answered."""
        return self.handle(Input.ACK if request.method == ACK else _REQUEST, request)

    def respond(self, status: int, data: bytes) -> Sequence[Action]:
        """The user's answer, ready to send."""
        return self.handle(_ANSWERS[status // 100], data)


# Effects that several machines have.


def absorb(txn: object, said: object) -> Sequence[Action]:
    """Known, and nothing to do."""
    return NOTHING


def pass_up(txn: object, message: Request | Response) -> Sequence[Action]:
    """The user is to act on it."""
    return _PASS_UP


def end(txn: object, said: object) -> Sequence[Action]:
    """The transaction has done what it was kept for."""
    return _END


def time_out(txn: object, said: object) -> Sequence[Action]:
    """Nobody answered."""
    return _TIME_OUT


def lose(txn: object, said: object) -> Sequence[Action]:
    """The transport failed, and with it the transaction."""
    return _LOSE
