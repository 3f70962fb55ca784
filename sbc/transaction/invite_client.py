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
from sbc.transaction.events import Action, Arm, Arms, Input, Signal, State
from sbc.transaction.hop import Hop
from sbc.transaction.machine import (
    NOTHING,
    PASS_UP,
    ClientTransaction,
    Table,
    TransactionKey,
    absorb,
    end,
    lose,
    pass_up,
    time_out,
)
from sbc.transaction.request import ClientRequest
from sbc.transaction.timers import Timer, User

__all__ = ["InviteClient"]


class InviteClient(ClientTransaction):
    """One INVITE of ours (RFC 3261 §17.1.1, RFC 6026 §7.2)."""

    __slots__ = ("cancel_head", "cancel_sent", "cancel_wanted")

    def __init__(
        self, request: ClientRequest, hop: Hop, key: TransactionKey, user: User, arms: Arms
    ) -> None:
        super().__init__(request, hop, key, user, arms)
        self.cancel_wanted = False
        """Given up before a provisional response came."""
        self.cancel_sent = False
        self.cancel_head = b""
        """Header lines for the CANCEL."""

    @property
    def given_up(self) -> bool:
        """Whether nobody wants it any more."""
        return self.cancel_wanted or self.cancel_sent


def _start(txn: InviteClient, said: None) -> Sequence[Action]:
    arms = txn.arms
    if txn.hop.reliable:
        return txn.data, arms.b
    txn.interval_s = arms.values.t1_s
    return txn.data, arms.a  # B follows the last A: most calls never need it


def _retransmit(txn: InviteClient, said: None) -> Sequence[Action]:
    txn.interval_s *= 2
    values = txn.arms.values
    if txn.interval_s < values.give_up_s:
        return txn.data, Arm(Timer.A, txn.interval_s)
    return txn.data, Arm(Timer.B, values.t1_s)  # the seventh, 63*T1 after the first


def _proceed(txn: InviteClient, response: Response) -> Sequence[Action]:
    if txn.cancel_wanted:
        return PASS_UP, *_cancel(txn, None)
    return pass_up(txn, response)


def _accept(txn: InviteClient, response: Response) -> Sequence[Action]:
    txn.conclude()
    return PASS_UP, txn.arms.m


def _acknowledge(txn: InviteClient, response: Response) -> Sequence[Action]:
    ack = b"" if txn.request is None else txn.request.ack_for(response)
    txn.conclude()
    txn.data = ack
    txn.user = None
    wait = Arm(Timer.D, 0.0) if txn.hop.reliable else txn.arms.d
    return PASS_UP, ack, wait


def _acknowledge_again(txn: InviteClient, response: Response) -> Sequence[Action]:
    return (txn.data,)


def _cancel_later(txn: InviteClient, said: None) -> Sequence[Action]:
    txn.cancel_wanted = True
    return NOTHING


def _cancel(txn: InviteClient, said: None) -> Sequence[Action]:
    if txn.cancel_sent:
        return NOTHING
    txn.cancel_sent = True
    return Signal.SEND_CANCEL, txn.arms.cancelled


_TABLE: Final[Table] = {
    # RFC 3261 figure 5 as RFC 6026 §8.4 redraws it
    (State.IDLE, Input.START): (_start, State.CALLING),
    (State.CALLING, Timer.A): (_retransmit, State.CALLING),  # §17.1.1.2: doubles without bound
    (State.CALLING, Timer.B): (time_out, State.TERMINATED),
    (State.CALLING, Input.TRANSPORT_FAILED): (lose, State.TERMINATED),
    (State.CALLING, Input.PROVISIONAL): (_proceed, State.PROCEEDING),
    (State.CALLING, Input.SUCCESS): (_accept, State.ACCEPTED),
    (State.CALLING, Input.FAILURE): (_acknowledge, State.COMPLETED),
    (State.PROCEEDING, Input.PROVISIONAL): (pass_up, State.PROCEEDING),
    (State.PROCEEDING, Input.SUCCESS): (_accept, State.ACCEPTED),
    (State.PROCEEDING, Input.FAILURE): (_acknowledge, State.COMPLETED),
    (State.COMPLETED, Input.FAILURE): (_acknowledge_again, State.COMPLETED),
    (State.COMPLETED, Input.TRANSPORT_FAILED): (lose, State.TERMINATED),
    (State.COMPLETED, Timer.D): (end, State.TERMINATED),
    (State.ACCEPTED, Input.SUCCESS): (pass_up, State.ACCEPTED),  # RFC 6026 §7.2: all forks
    (State.ACCEPTED, Timer.M): (end, State.TERMINATED),
    # RFC 3261 §9.1, in no figure: CANCEL waits for a 1xx, and comes too late after a final response
    (State.CALLING, Input.CANCEL): (_cancel_later, State.CALLING),
    (State.PROCEEDING, Input.CANCEL): (_cancel, State.PROCEEDING),
    (State.PROCEEDING, Timer.CANCELLED): (time_out, State.TERMINATED),
    (State.COMPLETED, Input.CANCEL): (absorb, State.COMPLETED),
    (State.ACCEPTED, Input.CANCEL): (absorb, State.ACCEPTED),
    (State.TERMINATED, Input.CANCEL): (absorb, State.TERMINATED),
}
InviteClient.table = _TABLE
