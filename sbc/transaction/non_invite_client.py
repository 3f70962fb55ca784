"""Non-INVITE client transaction: RFC 3261 §17.1.2.

States: TRYING (sent, nothing heard), PROCEEDING (1xx heard, retransmitting at T2), COMPLETED
(a final response heard; its retransmissions are absorbed), TERMINATED. The user sees every
provisional response and the first final one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sbc.sip.message import Response
from sbc.transaction.events import Action, Arm, Input, State
from sbc.transaction.machine import (
    PASS_UP,
    ClientTransaction,
    Table,
    absorb,
    end,
    lose,
    pass_up,
    time_out,
)
from sbc.transaction.timers import Timer

__all__ = ["NonInviteClient"]


class NonInviteClient(ClientTransaction):
    """One request of ours that is neither INVITE nor ACK (RFC 3261 §17.1.2)."""

    __slots__ = ()


def _start(txn: NonInviteClient, said: None) -> Sequence[Action]:
    arms = txn.arms
    if txn.hop.reliable:
        return txn.data, arms.f
    txn.interval_s = arms.values.t1_s
    txn.left_s = arms.values.give_up_s - txn.interval_s
    return txn.data, arms.e  # F follows the last E: most requests never need it


def _retransmit(txn: NonInviteClient, said: None) -> Sequence[Action]:
    txn.interval_s = min(2 * txn.interval_s, txn.arms.values.t2_s)
    return txn.data, _next(txn)


def _retransmit_slowly(txn: NonInviteClient, said: None) -> Sequence[Action]:
    txn.interval_s = txn.arms.values.t2_s
    return txn.data, _next(txn)


def _next(txn: NonInviteClient) -> Arm:
    left_s = txn.left_s
    if left_s <= txn.interval_s:
        return Arm(Timer.F, left_s)
    txn.left_s = left_s - txn.interval_s
    return Arm(Timer.E, txn.interval_s)


def _complete(txn: NonInviteClient, response: Response) -> Sequence[Action]:
    txn.conclude()
    txn.user = None
    return PASS_UP, Arm(Timer.K, 0.0) if txn.hop.reliable else txn.arms.k


_TABLE: Final[Table] = {
    # RFC 3261 figure 6; its "200-699" is SUCCESS and FAILURE here
    (State.IDLE, Input.START): (_start, State.TRYING),
    (State.TRYING, Timer.E): (_retransmit, State.TRYING),  # §17.1.2.2: doubles up to T2
    (State.TRYING, Timer.F): (time_out, State.TERMINATED),
    (State.TRYING, Input.TRANSPORT_FAILED): (lose, State.TERMINATED),
    (State.TRYING, Input.PROVISIONAL): (pass_up, State.PROCEEDING),
    (State.TRYING, Input.SUCCESS): (_complete, State.COMPLETED),
    (State.TRYING, Input.FAILURE): (_complete, State.COMPLETED),
    (State.PROCEEDING, Timer.E): (_retransmit_slowly, State.PROCEEDING),
    (State.PROCEEDING, Timer.F): (time_out, State.TERMINATED),
    (State.PROCEEDING, Input.TRANSPORT_FAILED): (lose, State.TERMINATED),
    (State.PROCEEDING, Input.PROVISIONAL): (pass_up, State.PROCEEDING),
    (State.PROCEEDING, Input.SUCCESS): (_complete, State.COMPLETED),
    (State.PROCEEDING, Input.FAILURE): (_complete, State.COMPLETED),
    (State.COMPLETED, Timer.K): (end, State.TERMINATED),
    # §17.1.2.2, in words only: COMPLETED buffers retransmitted responses
    (State.COMPLETED, Input.SUCCESS): (absorb, State.COMPLETED),
    (State.COMPLETED, Input.FAILURE): (absorb, State.COMPLETED),
}
NonInviteClient.table = _TABLE
