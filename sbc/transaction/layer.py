"""All transactions of a border, their timers, and the one way to them.

The layer carries out what the machines return: it transmits, arms, unlinks, and tells the
*user* (whatever object the caller hung on a transaction) what it must hear. It never calls back
but to transmit, and it holds nothing of a transaction that has ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeAlias

from sbc.errors import LocalProtocolError
from sbc.sip.message import Request, Response
from sbc.sip.status import ACK, CANCEL, INVITE
from sbc.transaction.events import Action, Arm, Arms, Input, Signal
from sbc.transaction.hop import Hop
from sbc.transaction.invite_client import InviteClient
from sbc.transaction.invite_server import InviteServer
from sbc.transaction.machine import (
    PASS_UP,
    ClientTransaction,
    ServerTransaction,
    Transaction,
    TransactionKey,
)
from sbc.transaction.matching import client_key, server_key
from sbc.transaction.non_invite_client import NonInviteClient
from sbc.transaction.non_invite_server import NonInviteServer
from sbc.transaction.request import ClientRequest
from sbc.transaction.timers import Cell, Entry, Timer, TimerTable, TimerValues, TimerWheel, User

__all__ = [
    "Absorbed",
    "Cancel",
    "ClientTransaction",
    "New",
    "Notice",
    "Received",
    "ServerTransaction",
    "StrayAck",
    "TimedOut",
    "TransactionLayer",
    "TransportLost",
]


@dataclass(slots=True)
class New:
    """A request to act on. Answer it through `transaction`."""

    transaction: ServerTransaction


@dataclass(slots=True)
class Cancel:
    """A CANCEL, itself to be answered through `transaction` (RFC 3261 §9.2).

    200 where there is an INVITE, which then gets its 487 unless it was answered; else 481.
    """

    transaction: ServerTransaction
    of: ServerTransaction | None
    """The INVITE that it means."""


@dataclass(slots=True)
class Absorbed:
    """A retransmission, or the ACK to a failure: dealt with."""


@dataclass(slots=True)
class StrayAck:
    """An ACK that belongs to no transaction: to a 2xx, so to a dialog."""


Received: TypeAlias = New | Cancel | Absorbed | StrayAck


@dataclass(slots=True)
class TimedOut:
    """No response (timers B, F, §9.1) or no ACK to a failure (H) in 64*T1."""

    transaction: Transaction


@dataclass(slots=True)
class TransportLost:
    """What the transaction sent could not be carried."""

    transaction: Transaction


Notice: TypeAlias = TimedOut | TransportLost | IntEnum
"""What a user hears unasked; an IntEnum is a timer that it armed itself."""

_ENDED: Final = Signal.ENDED  # bound once, for speed
_START: Final = Input.START
_ABSORBED: Final = Absorbed()
_STRAY_ACK: Final = StrayAck()


class TransactionLayer:
    """The transaction layer (RFC 3261 §17), for all realms of a border.

    Args:
        values: T1, T2, T4.
        transmit: sends bytes to a hop. Must not raise and must not call the layer back; what
            fails is reported later through `transport_failed`.
    """

    __slots__ = (
        "_arms",
        "_clients",
        "_servers",
        "counters",
        "refusals",
        "timers",
        "transmit",
        "values",
        "wheel",
    )

    def __init__(self, values: TimerValues, transmit: Callable[[Hop, bytes], None]) -> None:
        self.values = values
        self._arms = Arms(values)
        self.transmit = transmit
        self._clients: dict[TransactionKey, ClientTransaction] = {}
        self._servers: dict[TransactionKey, ServerTransaction] = {}
        self.timers: Final = TimerTable()
        self.wheel: Final = TimerWheel()
        self.counters: Final[dict[str, int]] = {
            "retransmitted": 0,  # by us, each time
            "stray_response": 0,  # no transaction of ours: dropped (RFC 6026 §8.9)
            "stray_ack": 0,
            "absorbed": 0,  # a request that was a retransmission, or an ACK to a failure
            "unexpected": 0,  # a pair of state and input that no table has
            "timed_out": 0,
            "transport_lost": 0,
        }
        self.refusals: Final[Counter[int]] = Counter()
        """Failures that peers were answered with, by status."""

    def __len__(self) -> int:
        """Live transactions."""
        return len(self._clients) + len(self._servers)

    @property
    def unanswered(self) -> int:
        """Requests of ours without a final response; looks at each, so ask seldom."""
        return sum(txn.request is not None for txn in self._clients.values())

    # Our requests

    def request(
        self, request: ClientRequest, hop: Hop, user: User, now: float
    ) -> ClientTransaction:
        """Send a request of ours and see it through. Not for ACK: an ACK to a 2xx is only sent.

        Args:
            user: who is to hear what becomes of it; None: nobody.

        Raises:
            LocalProtocolError: an ACK, or a branch that is in use.
        """
        method = request.method
        key = client_key(request.branch, method)
        if method == ACK or key in self._clients:
            raise LocalProtocolError(
                f"expected a new transaction, got {method!r} {request.branch!r}"
            )
        machine = InviteClient if method == INVITE else NonInviteClient
        txn = self._clients[key] = machine(request, hop, key, user, self._arms)
        self._perform(txn, txn.handle(_START), now)
        return txn

    def cancel(self, txn: ClientTransaction, now: float, head: bytes = b"") -> None:
        """Give an INVITE of ours up (RFC 3261 §9.1).

        The CANCEL leaves at once if a provisional response is in, else after the first; never
        after a final one, which may therefore still be a 2xx, to be ACKed and ended with BYE. Its
        own response concerns nobody. 64*T1 after it, the user hears TimedOut.

        Args:
            head: further header lines for the CANCEL, such as a Reason (RFC 3326).
        """
        if isinstance(txn, InviteClient):
            txn.cancel_head = head
            self._perform(txn, txn.handle(Input.CANCEL), now)

    def receive_response(self, response: Response, hop: Hop, now: float) -> User | None:
        """The user that must act on this response, or None: absorbed, stray, or nobody's.

        The user gets each provisional response, the first final one, and of an INVITE every 2xx
        (retransmitted or from another fork; each needs its ACK, RFC 3261 §13.2.2.4).
        """
        txn = self._asked(response, hop)
        if txn is None:
            self.counters["stray_response"] += 1
            return None
        user = txn.user
        heard = self._perform(txn, txn.receive(response), now)
        return user if heard is not None else None

    def awaiting(self, response: Response, hop: Hop) -> ClientTransaction | None:
        """The transaction whose request this response may end; None: no such one, or it is late."""
        txn = self._asked(response, hop)
        if txn is None or txn.request is None:
            return None
        return None if isinstance(txn, InviteClient) and txn.given_up else txn

    def _asked(self, response: Response, hop: Hop) -> ClientTransaction | None:
        """The transaction that a response is to (RFC 3261 §17.1.3)."""
        method = response.cseq_method
        txn = self._clients.get(client_key(response.via.branch, method))
        if txn is None or txn.method != method or txn.hop.realm != hop.realm:
            return None
        return txn

    # Their requests

    def receive_request(self, request: Request, hop: Hop, now: float) -> Received:
        """What this request is. Retransmissions have been answered when this returns.

        Args:
            hop: where it came from; answers go there until the user sets `transaction.hop`.
        """
        method = request.method
        key = server_key(request, hop.realm, INVITE if method == ACK else method)
        txn = self._servers.get(key)
        if txn is not None:
            heard = self._perform(txn, txn.receive(request), now)
            if heard is None:
                self.counters["absorbed"] += 1
                return _ABSORBED
            return _STRAY_ACK  # the only request that passes twice: an ACK in ACCEPTED
        if method == ACK:
            self.counters["stray_ack"] += 1
            return _STRAY_ACK
        machine = InviteServer if method == INVITE else NonInviteServer
        txn = self._servers[key] = machine(method, hop, key, self._arms)
        self._perform(txn, txn.receive(request), now)
        if method == CANCEL:
            return Cancel(txn, self._servers.get(server_key(request, hop.realm, INVITE)))
        return New(txn)

    def knows(self, request: Request, hop: Hop) -> bool:
        """Whether this belongs to a live transaction: it costs little, so is not shed."""
        method = INVITE if request.method == ACK else request.method
        return server_key(request, hop.realm, method) in self._servers

    def respond(self, txn: ServerTransaction, status: int, data: bytes, now: float) -> None:
        """Answer a request of theirs, on `txn.hop`.

        An answer that comes too late, or that RFC 4320 forbids, is counted and not sent. A 2xx to
        an INVITE may be repeated: its retransmission is the user's (RFC 3261 §13.3.1.4).
        """
        if status >= 300:
            self.refusals[status] += 1
        self._perform(txn, txn.respond(status, data), now)

    # Transport and time

    def transport_failed(
        self, hop: Hop, branch: bytes | None, now: float
    ) -> list[tuple[User, Notice]]:
        """Requests of ours have not reached `hop`: end those that cannot go on.

        Args:
            branch: of the request that failed; None: any request to that address, or on that
                connection, may have.
        """
        if branch is None:
            lost = [txn for txn in self._clients.values() if _goes_to(txn.hop, hop)]
        else:
            found = [
                self._clients.get(client_key(branch, method))
                for method in (INVITE, CANCEL)  # CANCEL has a key of its own, all others share one
            ]
            lost = [txn for txn in found if txn is not None and txn.hop.realm == hop.realm]
        notices: list[tuple[User, Notice]] = []
        for txn in lost:
            self._notice(txn, txn.handle(Input.TRANSPORT_FAILED), now, notices)
        return notices

    def fail(self, txn: Transaction, now: float) -> list[tuple[User, Notice]]:
        """The same for one transaction, of either side, whose bytes are known not to have left."""
        notices: list[tuple[User, Notice]] = []
        self._notice(txn, txn.handle(Input.TRANSPORT_FAILED), now, notices)
        return notices

    def tick(self, now: float) -> list[tuple[User, Notice]]:
        """Fire what is due; return what users must hear, their own timers included, in order.

        Acting on one notice may end the user of a later one: look before you act.
        """
        notices: list[tuple[User, Notice]] = []
        for _, of, timer in self.timers.due(now):
            if type(timer) is Timer:
                actions = of.handle(timer)
                if actions:  # most timers are stale
                    self._notice(of, actions, now, notices)
            elif of.owner is not None:
                notices.append((of.owner, timer))
        notices.extend(self.wheel.due(now))
        return notices

    def next_due(self) -> float | None:
        """When `tick` will next have work, or None. It may find that it was for nothing."""
        times = [due for due in (self.timers.next_due(), self.wheel.next_due()) if due is not None]
        return min(times, default=None)

    def arm_user(self, cell: Cell, timer: IntEnum, duration_s: float, now: float) -> None:
        """A short timer of the user's own: `tick` returns (cell.owner, timer), unless emptied.

        For few different durations of at most 64*T1: it cannot be cancelled.
        """
        self.timers.arm(cell, timer, duration_s, now)

    def arm_long(self, owner: User, timer: IntEnum, duration_s: float, now: float) -> Entry:
        """A long timer of the user's own: `tick` returns (owner, timer), unless cancelled."""
        return self.wheel.arm(owner, timer, duration_s, now)

    # Carrying out

    def _perform(self, txn: Transaction, actions: Sequence[Action], now: float) -> Signal | None:
        """Do what a machine returned; return the one action, if any, that is for the user."""
        heard: Signal | None = None
        for action in actions:
            if isinstance(action, bytes):
                self.transmit(txn.hop, action)
            elif action is PASS_UP:
                heard = PASS_UP
            elif isinstance(action, Arm):
                if action.duration_s > 0:
                    self.timers.arm(txn, action.timer, action.duration_s, now)
                else:
                    self._perform(txn, txn.handle(action.timer), now)
            elif action is _ENDED:
                self._unlink(txn)
            elif action is Signal.SEND_CANCEL:
                self._send_cancel(txn, now)
            elif action is Signal.IGNORED:
                self.counters["unexpected"] += 1
            else:  # timed out, transport lost
                heard = action
        return heard

    def _notice(
        self,
        txn: Transaction,
        actions: Sequence[Action],
        now: float,
        notices: list[tuple[User, Notice]],
    ) -> None:
        """The same for what nobody has asked for: the user, if any, hears of it later."""
        user = txn.user
        if actions and type(actions[0]) is bytes:  # timers A, E and G
            self.counters["retransmitted"] += 1
        heard = self._perform(txn, actions, now)
        if heard is None:
            return
        timed_out = heard is Signal.TIMED_OUT
        self.counters["timed_out" if timed_out else "transport_lost"] += 1
        if user is not None:
            notices.append((user, TimedOut(txn) if timed_out else TransportLost(txn)))

    def _unlink(self, txn: Transaction) -> None:
        """What is left is a shell, which a timer that is still armed may hold."""
        if isinstance(txn, ClientTransaction):
            del self._clients[txn.key]
            txn.conclude()
        elif isinstance(txn, ServerTransaction):
            del self._servers[txn.key]
            txn.last = b""
        txn.user = None

    def _send_cancel(self, txn: Transaction, now: float) -> None:
        # It was one, in PROCEEDING, that asked for this.
        if isinstance(txn, InviteClient) and txn.request is not None:  # pragma: no branch
            self.request(txn.request.cancel(txn.cancel_head), txn.hop, None, now)


def _goes_to(hop: Hop, lost: Hop) -> bool:
    return (
        hop.port == lost.port
        and hop.host == lost.host
        and hop.transport == lost.transport
        and hop.realm == lost.realm
        and (lost.connection in (0, hop.connection))
    )
