"""Our 2xx to an INVITE, repeated until its ACK comes (RFC 3261 §13.3.1.4).

The server transaction does not do this (RFC 6026 §8.7): the ACK to a 2xx belongs to the dialog.
The response is repeated over reliable transports too, for the next hop may not be one.
"""

from __future__ import annotations

from enum import IntEnum

from sbc.transaction.hop import Hop
from sbc.transaction.layer import TransactionLayer
from sbc.transaction.timers import Cell, User

__all__ = ["AcceptTimer", "AcceptedInvite"]


class AcceptTimer(IntEnum):
    """What `TransactionLayer.tick` returns beside an `AcceptedInvite`: give it to `handle`."""

    RETRANSMIT = 1
    """T1, doubling up to T2."""
    GIVE_UP = 2
    """64*T1: no ACK; the session is to be ended with BYE."""


class AcceptedInvite:
    """A 2xx that was sent and not yet acknowledged.

    Args:
        layer: transmits and keeps time.
        hop: where the 2xx went.
        data: the 2xx.
        cseq: of the INVITE, and so of its ACK.
        user: whom `handle` returns when no ACK comes.
        now: when it was sent first.
    """

    __slots__ = (
        "__weakref__",
        "_cell",
        "_hop",
        "_interval_s",
        "_layer",
        "_left_s",
        "cseq",
        "data",
        "user",
    )

    def __init__(
        self,
        layer: TransactionLayer,
        hop: Hop,
        data: bytes,
        cseq: int,
        user: User,
        now: float,
    ) -> None:
        self._layer = layer
        self._hop = hop
        self.data = data
        self.cseq = cseq
        self.user: User | None = user
        self._cell = Cell(self)
        self._interval_s = layer.values.t1_s
        # What will be left of 64*T1 when the timer that is armed fires.
        self._left_s = layer.values.give_up_s - self._interval_s
        layer.arm_user(self._cell, AcceptTimer.RETRANSMIT, self._interval_s, now)

    @property
    def waiting(self) -> bool:
        """Whether the ACK is still to come."""
        return self._cell.owner is not None

    def handle(self, timer: AcceptTimer, now: float) -> User | None:
        """A timer is due. The user, if 64*T1 have passed without an ACK; else None."""
        if self._cell.owner is None:
            return None
        if timer is AcceptTimer.GIVE_UP:
            user = self.user
            self.acked()
            return user
        self._layer.counters["retransmitted"] += 1
        self._layer.transmit(self._hop, self.data)
        self._interval_s = min(2 * self._interval_s, self._layer.values.t2_s)
        if self._left_s > self._interval_s:
            self._left_s -= self._interval_s
            self._layer.arm_user(self._cell, AcceptTimer.RETRANSMIT, self._interval_s, now)
        else:
            self._layer.arm_user(self._cell, AcceptTimer.GIVE_UP, self._left_s, now)
        return None

    def acked(self) -> None:
        """The ACK is in, or nobody waits for it any more: stop, and hold nothing."""
        self._cell.owner = self.user = None
        self.data = b""
