"""Non-INVITE server transaction: RFC 3261 §17.2.2 as RFC 4320 mends it.

States: TRYING (the user is working), PROCEEDING (100 sent), COMPLETED (final response sent, kept
for retransmitted requests), TERMINATED. RFC 4320: no provisional response but 100, never a 408,
and no final response once the client's own timer F has fired; then nobody listens, so the
machine ends in silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sbc.sip.message import Request
from sbc.transaction.events import Action, Arm, Input, State
from sbc.transaction.machine import (
    PASS_UP,
    ServerTransaction,
    Table,
    absorb,
    end,
    lose,
)
from sbc.transaction.timers import Timer

__all__ = ["NonInviteServer"]


class NonInviteServer(ServerTransaction):
    """One request of theirs that is neither INVITE nor ACK (RFC 3261 §17.2.2)."""

    __slots__ = ()

    def respond(self, status: int, data: bytes) -> Sequence[Action]:
        if status == 408 or 100 < status < 200:
            return self.handle(Input.RESPOND_UNLAWFUL, data)
        return super().respond(status, data)


def _begin(txn: NonInviteServer, request: Request) -> Sequence[Action]:
    return PASS_UP, txn.arms.f


def _send_last(txn: NonInviteServer, request: Request) -> Sequence[Action]:
    return (txn.last,)


def _send_provisional(txn: NonInviteServer, answer: bytes) -> Sequence[Action]:
    txn.last = answer
    return (answer,)


def _complete(txn: NonInviteServer, answer: bytes) -> Sequence[Action]:
    txn.last = answer
    txn.user = None
    return answer, Arm(Timer.J, 0.0) if txn.hop.reliable else txn.arms.j


_TABLE: Final[Table] = {
    # RFC 3261 figure 8; its "200-699 from TU" is RESPOND_SUCCESS and RESPOND_FAILURE here
    (State.IDLE, Input.REQUEST): (_begin, State.TRYING),
    (State.TRYING, Input.RESPOND_PROVISIONAL): (_send_provisional, State.PROCEEDING),
    (State.TRYING, Input.RESPOND_SUCCESS): (_complete, State.COMPLETED),
    (State.TRYING, Input.RESPOND_FAILURE): (_complete, State.COMPLETED),
    (State.PROCEEDING, Input.REQUEST): (_send_last, State.PROCEEDING),
    (State.PROCEEDING, Input.RESPOND_PROVISIONAL): (_send_provisional, State.PROCEEDING),
    (State.PROCEEDING, Input.TRANSPORT_FAILED): (lose, State.TERMINATED),
    (State.PROCEEDING, Input.RESPOND_SUCCESS): (_complete, State.COMPLETED),
    (State.PROCEEDING, Input.RESPOND_FAILURE): (_complete, State.COMPLETED),
    (State.COMPLETED, Input.REQUEST): (_send_last, State.COMPLETED),
    (State.COMPLETED, Input.TRANSPORT_FAILED): (lose, State.TERMINATED),
    (State.COMPLETED, Timer.J): (end, State.TERMINATED),
    # §17.2.2, in words only: TRYING discards retransmissions, COMPLETED other answers of the user
    (State.TRYING, Input.REQUEST): (absorb, State.TRYING),
    (State.COMPLETED, Input.RESPOND_SUCCESS): (absorb, State.COMPLETED),
    (State.COMPLETED, Input.RESPOND_FAILURE): (absorb, State.COMPLETED),
    # RFC 4320 §4.2, in no figure: the client's timer F has fired, so no final response any more
    (State.TRYING, Timer.F): (end, State.TERMINATED),
    (State.PROCEEDING, Timer.F): (end, State.TERMINATED),
}
NonInviteServer.table = _TABLE
