"""INVITE server transaction: RFC 3261 §17.2.1 with the Accepted state of RFC 6026 §7.1.

States: PROCEEDING (the user is working; it sends the 100 itself, at once), COMPLETED (3xx to 6xx
sent, waiting for its ACK), CONFIRMED (ACK heard, its retransmissions absorbed), ACCEPTED (2xx
sent: retransmitted INVITEs are absorbed, an ACK that comes here goes to the user, and so does
the care for the 2xx, see `sbc.dialog.final_response`), TERMINATED. PROCEEDING has no timer of its
own: the user always answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sbc.sip.message import Request
from sbc.transaction.events import Action, Arm, Input, Signal, State
from sbc.transaction.machine import (
    NOTHING,
    ServerTransaction,
    Table,
    absorb,
    end,
    pass_up,
    time_out,
)
from sbc.transaction.timers import Timer

__all__ = ["InviteServer"]

_LOST: Final[Sequence[Action]] = (Signal.TRANSPORT_LOST,)


class InviteServer(ServerTransaction):
    """One INVITE of theirs (RFC 3261 §17.2.1, RFC 6026 §7.1)."""

    __slots__ = ()


def _send_last(txn: InviteServer, said: Request | None) -> Sequence[Action]:
    return (txn.last,) if txn.last else NOTHING


def _send_provisional(txn: InviteServer, answer: bytes) -> Sequence[Action]:
    txn.last = answer
    return (answer,)


def _accept(txn: InviteServer, answer: bytes) -> Sequence[Action]:
    txn.last = b""  # the user keeps the 2xx (RFC 3261 §13.3.1.4)
    return answer, txn.arms.l


def _accept_again(txn: InviteServer, answer: bytes) -> Sequence[Action]:
    return (answer,)


def _complete(txn: InviteServer, answer: bytes) -> Sequence[Action]:
    txn.last = answer
    txn.user = None
    arms = txn.arms
    if txn.hop.reliable:
        return answer, arms.h
    txn.interval_s = arms.values.t1_s
    return answer, arms.g, arms.h


def _retransmit(txn: InviteServer, said: None) -> Sequence[Action]:
    txn.interval_s = min(2 * txn.interval_s, txn.arms.values.t2_s)
    return txn.last, Arm(Timer.G, txn.interval_s)


def _confirm(txn: InviteServer, ack: Request) -> Sequence[Action]:
    txn.last = b""
    return (Arm(Timer.I, 0.0) if txn.hop.reliable else txn.arms.i,)


def _report_loss(txn: InviteServer, said: None) -> Sequence[Action]:
    return _LOST


_TABLE: Final[Table] = {
    # RFC 3261 figure 7 as RFC 6026 §8.7 redraws it
    (State.IDLE, Input.REQUEST): (pass_up, State.PROCEEDING),
    (State.PROCEEDING, Input.REQUEST): (_send_last, State.PROCEEDING),
    (State.PROCEEDING, Input.RESPOND_PROVISIONAL): (_send_provisional, State.PROCEEDING),
    (State.PROCEEDING, Input.TRANSPORT_FAILED): (_report_loss, State.PROCEEDING),
    (State.PROCEEDING, Input.RESPOND_FAILURE): (_complete, State.COMPLETED),
    (State.PROCEEDING, Input.RESPOND_SUCCESS): (_accept, State.ACCEPTED),
    (State.COMPLETED, Input.REQUEST): (_send_last, State.COMPLETED),
    (State.COMPLETED, Timer.G): (_retransmit, State.COMPLETED),  # §17.2.1: doubles up to T2
    (State.COMPLETED, Input.TRANSPORT_FAILED): (_report_loss, State.COMPLETED),
    (State.COMPLETED, Input.ACK): (_confirm, State.CONFIRMED),
    (State.COMPLETED, Timer.H): (time_out, State.TERMINATED),
    (State.CONFIRMED, Timer.I): (end, State.TERMINATED),
    (State.ACCEPTED, Input.REQUEST): (absorb, State.ACCEPTED),
    (State.ACCEPTED, Input.ACK): (pass_up, State.ACCEPTED),
    (State.ACCEPTED, Input.RESPOND_SUCCESS): (_accept_again, State.ACCEPTED),
    (State.ACCEPTED, Input.TRANSPORT_FAILED): (_report_loss, State.ACCEPTED),
    (State.ACCEPTED, Timer.L): (end, State.TERMINATED),
    # §17.2.1, in words only: CONFIRMED is there to absorb retransmissions
    (State.CONFIRMED, Input.ACK): (absorb, State.CONFIRMED),
    (State.CONFIRMED, Input.REQUEST): (absorb, State.CONFIRMED),
}
InviteServer.table = _TABLE
