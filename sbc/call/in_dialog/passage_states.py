"""A request inside a call on its way across: what its two sides know, and what happens to it.

The effects are done in `passage.py` and `change.py`; the state itself changes nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

__all__ = ["TABLE", "Effect", "Input", "State"]


class State(IntEnum):
    """What the source knows."""

    ASKED = 0
    """The target's final answer is awaited."""
    CANCELLED = 1
    """So it is, but the source has given its re-INVITE up."""
    OFFERED = 2
    """The target's offer is with the source, in a 2xx: its ACK will have the answer."""
    OVER = 3
    """The source has its final answer; repetitions of the target's 2xx still get their ACK."""


class Input(IntEnum):
    """What can happen to a passage."""

    PROVISIONAL = 1
    SUCCESS = 2
    """The 2xx, with all that was to be in it."""
    OFFER = 3
    """The 2xx to a re-INVITE without an offer: it has one."""
    FAILURE = 4
    """Any other final answer, none in time, or no way to the target."""
    CANCEL = 5
    """The source's CANCEL, or no final answer for too long."""
    ACK = 6
    """The source's ACK to the 2xx that had the offer."""
    END = 7
    """The call is over."""


class Effect(IntEnum):
    """What a transition does."""

    NOTHING = 0
    WATCH = 1
    """Wait only so long for the final answer."""
    ANSWER = 2
    """The 2xx to the source."""
    OFFER = 3
    """The 2xx to the source, with the target's offer in it."""
    REFUSE = 4
    """A final failure to the source, and all as it was before."""
    CANCEL = 5
    ACKNOWLEDGE = 6
    """The answer goes on in the ACK."""
    ABANDON = 7
    """487 to the source (RFC 3261 §15.1.2)."""


_S, _I, _E = State, Input, Effect

TABLE: Final[Mapping[tuple[State, Input], tuple[Effect, State]]] = {
    (_S.ASKED, _I.PROVISIONAL): (_E.WATCH, _S.ASKED),
    (_S.ASKED, _I.SUCCESS): (_E.ANSWER, _S.OVER),
    (_S.ASKED, _I.OFFER): (_E.OFFER, _S.OFFERED),
    (_S.ASKED, _I.FAILURE): (_E.REFUSE, _S.OVER),
    (_S.ASKED, _I.CANCEL): (_E.CANCEL, _S.CANCELLED),
    (_S.ASKED, _I.END): (_E.ABANDON, _S.OVER),
    (_S.CANCELLED, _I.SUCCESS): (_E.ANSWER, _S.OVER),
    (_S.CANCELLED, _I.OFFER): (_E.OFFER, _S.OFFERED),
    (_S.CANCELLED, _I.FAILURE): (_E.REFUSE, _S.OVER),
    (_S.CANCELLED, _I.END): (_E.ABANDON, _S.OVER),
    (_S.OFFERED, _I.ACK): (_E.ACKNOWLEDGE, _S.OVER),
    (_S.OFFERED, _I.END): (_E.ABANDON, _S.OVER),
}
"""Every arrow. A pair that is not here is absorbed."""
