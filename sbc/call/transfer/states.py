"""A transfer: who is to be joined with whom, and how far that is (RFC 3515, RFC 5589, RFC 3891).

A call has two legs. In a transfer one peer leaves it (the transferor, or who is replaced) and the
other stays; the one who stays is joined with somebody else in a *new call*, with media ports, a
plan and a record of its own, and the call that it came from ends. So no leg of a call is ever
exchanged, and no port changes its realm: a whole leg moves (`Leg.take_over`: dialog, numbers,
timers), in one step, and only after both sides have agreed to the new session. Until then all is
as it was, and that is where every failure leads back to.

    blind      T ──REFER──▶ us     SEEKING: INVITE to the target, with what R has said last
                                   JOINING: its answer is offered to R in a re-INVITE
    attended   T ──REFER, Replaces──▶ us, of two calls of T's with R and C
                                   TURNING: what R has said last is offered to C in a re-INVITE
                                   JOINING: its answer is offered to R
    replaced   N ──INVITE, Replaces──▶ us
                                   ADMITTING: what N offers is offered to R in a re-INVITE, whose
                                   answer is N's

While a re-INVITE of ours would meet another open offer, the transfer pauses and asks again. The
transferor may hang up whenever it likes; its calls are held for who stays until the end is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

__all__ = ["TABLE", "Effect", "Input", "State"]


class State(IntEnum):
    """What the parties have agreed to."""

    BEGUN = 0
    SEEKING = 1
    """Nothing yet: the target has not answered."""
    TURNING = 2
    """The consulted party has been asked to talk to another one."""
    TURN_PAUSED = 3
    """It is to be asked, but an offer is open there."""
    JOINING = 4
    """The new side has agreed; who stays has been asked."""
    JOIN_PAUSED = 5
    """Who stays is to be asked, but an offer is open there."""
    ADMITTING = 6
    """Who stays has been asked to talk to the one that replaces its peer."""
    ADMIT_PAUSED = 7
    """It is to be asked, but an offer is open there."""
    JOINED = 8
    """They talk. The transferor may still end its own calls itself."""
    OVER = 9


class Input(IntEnum):
    """What can happen to a transfer."""

    BLIND = 1
    """It begins: to a number."""
    CONSULTED = 2
    """It begins: to the other party of another call of the transferor's."""
    REPLACED = 3
    """It begins: with somebody who takes the place of one party."""
    RANG = 4
    """A provisional response of the target."""
    ANSWERED = 5
    """The target's 2xx, acknowledged."""
    AGREED = 6
    """The answer to our re-INVITE."""
    BUSY = 7
    """Our re-INVITE cannot be sent now, or met another one (491)."""
    FAILED = 8
    """The target's final failure, a refused or unanswered re-INVITE, an answer of no use."""
    DUE = 9
    """The transfer's own timer."""
    LOST = 10
    """One of the calls is over: there is nobody left to be joined."""


class Effect(IntEnum):
    """What a transition does."""

    CALL = 0
    """An INVITE to the target, by the routes of who stays."""
    NOTIFY = 1
    """Tell the transferor how the target responds."""
    OFFER = 2
    """Our re-INVITE to the one whose turn it is."""
    PAUSE = 3
    COMPLETE = 4
    """The legs move; the transferor is told, and has some time to hang up."""
    FAIL = 5
    """The transferor is told; everything is as it was, less those who have left."""
    GIVE_UP = 6
    """The same, after our re-INVITE has had no final answer for too long."""
    DISMISS = 7
    """End what the transferor has not ended itself."""


_S, _I, _E = State, Input, Effect

TABLE: Final[Mapping[tuple[State, Input], tuple[Effect, State]]] = {
    (_S.BEGUN, _I.BLIND): (_E.CALL, _S.SEEKING),
    (_S.BEGUN, _I.CONSULTED): (_E.OFFER, _S.TURNING),
    (_S.BEGUN, _I.REPLACED): (_E.OFFER, _S.ADMITTING),
    (_S.SEEKING, _I.RANG): (_E.NOTIFY, _S.SEEKING),
    (_S.SEEKING, _I.ANSWERED): (_E.OFFER, _S.JOINING),
    (_S.SEEKING, _I.FAILED): (_E.FAIL, _S.OVER),
    (_S.SEEKING, _I.LOST): (_E.FAIL, _S.OVER),
    (_S.TURNING, _I.AGREED): (_E.OFFER, _S.JOINING),
    (_S.TURNING, _I.BUSY): (_E.PAUSE, _S.TURN_PAUSED),
    (_S.TURNING, _I.FAILED): (_E.FAIL, _S.OVER),
    (_S.TURNING, _I.DUE): (_E.GIVE_UP, _S.OVER),
    (_S.TURNING, _I.LOST): (_E.FAIL, _S.OVER),
    (_S.TURN_PAUSED, _I.DUE): (_E.OFFER, _S.TURNING),
    (_S.TURN_PAUSED, _I.LOST): (_E.FAIL, _S.OVER),
    (_S.JOINING, _I.AGREED): (_E.COMPLETE, _S.JOINED),
    (_S.JOINING, _I.BUSY): (_E.PAUSE, _S.JOIN_PAUSED),
    (_S.JOINING, _I.FAILED): (_E.FAIL, _S.OVER),
    (_S.JOINING, _I.DUE): (_E.GIVE_UP, _S.OVER),
    (_S.JOINING, _I.LOST): (_E.FAIL, _S.OVER),
    (_S.JOIN_PAUSED, _I.DUE): (_E.OFFER, _S.JOINING),
    (_S.JOIN_PAUSED, _I.LOST): (_E.FAIL, _S.OVER),
    (_S.ADMITTING, _I.AGREED): (_E.COMPLETE, _S.JOINED),
    (_S.ADMITTING, _I.BUSY): (_E.PAUSE, _S.ADMIT_PAUSED),
    (_S.ADMITTING, _I.FAILED): (_E.FAIL, _S.OVER),
    (_S.ADMITTING, _I.DUE): (_E.GIVE_UP, _S.OVER),
    (_S.ADMITTING, _I.LOST): (_E.FAIL, _S.OVER),
    (_S.ADMIT_PAUSED, _I.DUE): (_E.OFFER, _S.ADMITTING),
    (_S.ADMIT_PAUSED, _I.LOST): (_E.FAIL, _S.OVER),
    (_S.JOINED, _I.DUE): (_E.DISMISS, _S.OVER),
}
"""Every arrow. A pair that is not here is absorbed. A call of the transferor's that ends after the
parties are joined is over as any other; the new call is no longer the transfer's affair."""
