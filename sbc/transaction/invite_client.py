"""INVITE client transaction: RFC 3261 §17.1.1 with the Accepted state of RFC 6026 §7.2.

States: CALLING (sent, nothing heard), PROCEEDING (1xx heard), COMPLETED (3xx to 6xx heard and
ACKed here), ACCEPTED (2xx heard: its retransmissions and those of other forks go to the user, who
ACKs each, RFC 3261 §13.2.2.4), TERMINATED. The user sees every provisional and successful
response and the first failure. Also here, for it is about this machine's life: a CANCEL waits for
the first provisional response, and 64*T1 after it nothing is waited for any more (§9.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sbc.sip.message import Response
from sbc.transaction.events import (
    Action,
    Arm,
    Event,
    Input,
    Key,
    PassUp,
    Send,
    Signal,
    State,
)
from sbc.transaction.hop import Hop
from sbc.transaction.machine import (
    NOTHING,
    UNEXPECTED,
    ClientTransaction,
    Table,
    TransactionKey,
    end,
    lose,
    time_out,
)
from sbc.transaction.request import ClientRequest
from sbc.transaction.timers import Timer, TimerValues, User

__all__ = ["InviteClient"]


class InviteClient(ClientTransaction):
    """One INVITE of ours (RFC 3261 §17.1.1, RFC 6026 §7.2)."""

    __slots__ = ("ack", "cancel_head", "cancel_sent", "cancel_wanted")

    def __init__(
        self, request: ClientRequest, hop: Hop, key: TransactionKey, user: User, values: TimerValues
    ) -> None:
        super().__init__(request, hop, key, user, values)
        self.ack = b""
        """The ACK to the failure, for the failure's retransmissions."""
        self.cancel_wanted = False
        """Given up before a provisional response came."""
        self.cancel_sent = False
        self.cancel_head = b""
        """Header lines for the CANCEL."""

    def handle(self, event: Event, now: float) -> Sequence[Action]:
        key = _key(event)
        row = _TABLE.get((self.state, key))
        if row is None:
            return NOTHING if key < Input.START else UNEXPECTED
        effect, self.state = row
        return effect(self, event)


def _key(event: Event) -> Key:
    if isinstance(event, Response):
        if event.status >= 300:
            return Input.FAILURE
        return Input.SUCCESS if event.status >= 200 else Input.PROVISIONAL
    if isinstance(event, Timer | Input):
        return event
    return Input.REQUEST  # not for a client: no row has it


def _start(txn: InviteClient, event: Input) -> Sequence[Action]:
    give_up = Arm(Timer.B, txn.values.give_up_s)
    if txn.hop.reliable:
        return Send(txn.data), give_up
    return Send(txn.data), Arm(Timer.A, txn.interval_s), give_up


def _retransmit(txn: InviteClient, event: Timer) -> Sequence[Action]:
    txn.interval_s *= 2
    if txn.interval_s >= txn.values.give_up_s:
        return (Send(txn.data),)  # timer B comes first
    return Send(txn.data), Arm(Timer.A, txn.interval_s)


def _proceed(txn: InviteClient, response: Response) -> Sequence[Action]:
    if txn.cancel_wanted:
        return PassUp(response), *_cancel(txn, Input.CANCEL)
    return (PassUp(response),)


def _pass_up(txn: InviteClient, response: Response) -> Sequence[Action]:
    return (PassUp(response),)


def _accept(txn: InviteClient, response: Response) -> Sequence[Action]:
    txn.drop_request()
    return PassUp(response), Arm(Timer.M, txn.values.give_up_s)


def _acknowledge(txn: InviteClient, response: Response) -> Sequence[Action]:
    txn.ack = txn.request.ack_for(response) if txn.request is not None else b""
    txn.let_go()
    wait_s = 0.0 if txn.hop.reliable else txn.values.give_up_s
    return PassUp(response), Send(txn.ack), Arm(Timer.D, wait_s)


def _acknowledge_again(txn: InviteClient, response: Response) -> Sequence[Action]:
    return (Send(txn.ack),)


def _cancel_later(txn: InviteClient, event: Input) -> Sequence[Action]:
    txn.cancel_wanted = True
    return NOTHING


def _cancel(txn: InviteClient, event: Input) -> Sequence[Action]:
    if txn.cancel_sent:
        return NOTHING
    txn.cancel_sent = True
    return Signal.SEND_CANCEL, Arm(Timer.CANCELLED, txn.values.give_up_s)


_TABLE: Final[Table] = {
    # RFC 3261 figure 5 as RFC 6026 §8.4 (figure 4) redraws it
    (State.IDLE, Input.START): (_start, State.CALLING),
    (State.CALLING, Timer.A): (_retransmit, State.CALLING),  # §17.1.1.2: doubles without bound
    (State.CALLING, Timer.B): (time_out, State.TERMINATED),
    (State.CALLING, Input.TRANSPORT_FAILED): (lose, State.TERMINATED),
    (State.CALLING, Input.PROVISIONAL): (_proceed, State.PROCEEDING),
    (State.CALLING, Input.SUCCESS): (_accept, State.ACCEPTED),
    (State.CALLING, Input.FAILURE): (_acknowledge, State.COMPLETED),
    (State.PROCEEDING, Input.PROVISIONAL): (_pass_up, State.PROCEEDING),
    (State.PROCEEDING, Input.SUCCESS): (_accept, State.ACCEPTED),
    (State.PROCEEDING, Input.FAILURE): (_acknowledge, State.COMPLETED),
    (State.COMPLETED, Input.FAILURE): (_acknowledge_again, State.COMPLETED),
    (State.COMPLETED, Input.TRANSPORT_FAILED): (lose, State.TERMINATED),
    (State.COMPLETED, Timer.D): (end, State.TERMINATED),
    (State.ACCEPTED, Input.SUCCESS): (_pass_up, State.ACCEPTED),  # RFC 6026 §7.2: other forks too
    (State.ACCEPTED, Timer.M): (end, State.TERMINATED),
    # RFC 3261 §9.1, in no figure
    (State.CALLING, Input.CANCEL): (_cancel_later, State.CALLING),
    (State.PROCEEDING, Input.CANCEL): (_cancel, State.PROCEEDING),
    (State.PROCEEDING, Timer.CANCELLED): (time_out, State.TERMINATED),
}
