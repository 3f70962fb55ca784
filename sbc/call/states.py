"""The call machine: two legs, one state.

The A-leg brought the call, the B-leg carries it on to one target after another. Each state says
what both sides have been told; each input is one thing that happened on one of them. Effects are
named here and done in `call.py`; the state itself changes nowhere but in `Call.handle`.

Left out: re-INVITE inside a call changes no state (`legs/leg.py` answers it); further early dialogs
of a forked INVITE are the B-leg's matter until one of them is answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from sbc.call.cdr import Cause

__all__ = ["TABLE", "Effect", "Ending", "Input", "State"]


class State(IntEnum):
    """What both sides know."""

    CALLING = 0
    """The INVITE is out; the target has said nothing above 100."""
    RINGING = 1
    """The target has an early dialog, and the caller one of its own for it."""
    CANCELLING = 2
    """The caller has its final answer; the target's is awaited (RFC 3261 §9.1)."""
    ANSWERED = 3
    """The target's 2xx is acknowledged and passed on; the caller's ACK is awaited."""
    UP = 4
    """Both sides are connected."""
    ENDING = 5
    """The target is gone; the caller's ACK is awaited before its BYE (RFC 3261 §15)."""
    ENDED = 6
    """Nothing more is said on this call."""
    LOCATING = 7
    """The target is a name, and the DNS has been asked where that is; no INVITE is out."""


class Input(IntEnum):
    """What can happen to a call."""

    PROVISIONAL = 1
    """The target's 101 to 199."""
    SUCCESS = 2
    """The target's first 2xx."""
    RETRY = 3
    """The target failed and there is another."""
    REFUSED = 4
    """The target failed and was the last, or its answer ends the search."""
    CANCEL = 5
    """The caller's CANCEL, or its BYE in an early dialog."""
    ACK = 6
    """The caller's ACK to our 2xx."""
    NO_ACK = 7
    """64*T1 passed without it."""
    BYE_A = 8
    BYE_B = 9
    END = 10
    """The border's own wish: no answer, operator, lost media, shutdown."""
    ASKED = 11
    """Where the next target is must be looked up first."""
    LOCATED = 12
    """It has been, or cannot be."""
    JOINED = 13
    """A transfer has brought two together who talked to others before."""


class Effect(IntEnum):
    """What a transition does."""

    NOTHING = 0
    RING = 1
    """Pass the provisional response to the caller, in the early dialog of its fork."""
    ANSWER = 2
    """ACK the target, pass its 2xx to the caller, end every other fork."""
    TRY_NEXT = 3
    """A new INVITE to the next target."""
    REFUSE = 4
    """A final failure to the caller."""
    ABANDON = 5
    """A final failure to the caller; CANCEL to the target, which waits for a provisional
    response in its transaction."""
    BYE_TO_A = 6
    BYE_TO_B = 7
    """Also where the target's 2xx crossed our CANCEL (RFC 3261 §9.1)."""
    BYE_TO_BOTH = 8
    JOIN = 9
    """Nothing is left to be said: the call counts as answered."""


@dataclass(slots=True)
class Ending:
    """Why the border itself ends a call."""

    cause: Cause
    by: str
    """`border` or `operator`."""
    reason: str
    status: int = 480
    """What the caller gets if it has no final answer yet."""


_S, _I, _E = State, Input, Effect

TABLE: Final[Mapping[tuple[State, Input], tuple[Effect, State]]] = {
    (_S.CALLING, _I.PROVISIONAL): (_E.RING, _S.RINGING),
    (_S.CALLING, _I.SUCCESS): (_E.ANSWER, _S.ANSWERED),
    (_S.CALLING, _I.RETRY): (_E.TRY_NEXT, _S.CALLING),
    (_S.CALLING, _I.REFUSED): (_E.REFUSE, _S.ENDED),
    (_S.CALLING, _I.CANCEL): (_E.ABANDON, _S.CANCELLING),
    (_S.CALLING, _I.END): (_E.ABANDON, _S.CANCELLING),
    (_S.CALLING, _I.JOINED): (_E.JOIN, _S.UP),
    (_S.CALLING, _I.ASKED): (_E.NOTHING, _S.LOCATING),
    (_S.LOCATING, _I.LOCATED): (_E.TRY_NEXT, _S.CALLING),
    (_S.LOCATING, _I.CANCEL): (_E.REFUSE, _S.ENDED),
    (_S.LOCATING, _I.END): (_E.REFUSE, _S.ENDED),
    (_S.RINGING, _I.PROVISIONAL): (_E.RING, _S.RINGING),
    (_S.RINGING, _I.SUCCESS): (_E.ANSWER, _S.ANSWERED),
    (_S.RINGING, _I.RETRY): (_E.TRY_NEXT, _S.CALLING),
    (_S.RINGING, _I.REFUSED): (_E.REFUSE, _S.ENDED),
    (_S.RINGING, _I.BYE_B): (_E.REFUSE, _S.ENDED),  # while its 2xx waits for a PRACK
    (_S.RINGING, _I.CANCEL): (_E.ABANDON, _S.CANCELLING),
    (_S.RINGING, _I.END): (_E.ABANDON, _S.CANCELLING),
    (_S.CANCELLING, _I.PROVISIONAL): (_E.NOTHING, _S.CANCELLING),
    (_S.CANCELLING, _I.SUCCESS): (_E.BYE_TO_B, _S.ENDED),
    (_S.CANCELLING, _I.REFUSED): (_E.NOTHING, _S.ENDED),
    (_S.ANSWERED, _I.ACK): (_E.NOTHING, _S.UP),
    (_S.ANSWERED, _I.NO_ACK): (_E.BYE_TO_BOTH, _S.ENDED),
    (_S.ANSWERED, _I.BYE_A): (_E.BYE_TO_B, _S.ENDED),
    (_S.ANSWERED, _I.BYE_B): (_E.NOTHING, _S.ENDING),
    (_S.ANSWERED, _I.END): (_E.BYE_TO_B, _S.ENDING),
    (_S.UP, _I.BYE_A): (_E.BYE_TO_B, _S.ENDED),
    (_S.UP, _I.BYE_B): (_E.BYE_TO_A, _S.ENDED),
    (_S.UP, _I.END): (_E.BYE_TO_BOTH, _S.ENDED),
    (_S.ENDING, _I.ACK): (_E.BYE_TO_A, _S.ENDED),
    (_S.ENDING, _I.NO_ACK): (_E.BYE_TO_A, _S.ENDED),
    (_S.ENDING, _I.BYE_A): (_E.NOTHING, _S.ENDED),
}
"""Every arrow. A pair that is not here is absorbed and counted."""
