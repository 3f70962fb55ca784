"""A subscription across the border (RFC 6665, RFC 3265): one dialog with each side.

The subscriber and the notifier agree on everything between themselves; the border keeps the pair
of dialogs as long as both of them do, and says the end to whoever cannot know it.

Left out: RFC 6665 §4.1.2.4 gives a notifier 64*T1 for its first NOTIFY. Some never send one before
there is news, so a pair waits as long as the 2xx said.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

__all__ = ["TABLE", "Effect", "Input", "State"]


class State(IntEnum):
    """What both sides know."""

    WAITING = 0
    """Begun; nothing has been notified."""
    LIVE = 1
    """NOTIFYs come."""
    LEAVING = 2
    """The subscriber has ended it; the last NOTIFY is to come."""
    OVER = 3


class Input(IntEnum):
    """What can happen to a pair."""

    ACCEPTED = 1
    """2xx to a SUBSCRIBE that goes on."""
    LEFT = 2
    """2xx to a SUBSCRIBE with Expires: 0."""
    NOTIFY = 3
    LAST = 4
    """NOTIFY with Subscription-State: terminated."""
    GONE = 5
    """One side has answered that it knows of no subscription, or not at all."""
    EXPIRED = 6
    """The time is over that was agreed, or that a last NOTIFY may take."""


class Effect(IntEnum):
    """What a transition does."""

    NOTHING = 0
    WATCH = 1
    """Wait for the end of the time that is agreed."""
    LINGER = 2
    """Wait 64*T1 for the last NOTIFY."""
    CLOSE = 3
    """Forget both dialogs."""
    TELL = 4
    """NOTIFY terminated to the subscriber, and forget both dialogs."""


_S, _I, _E = State, Input, Effect

TABLE: Final[Mapping[tuple[State, Input], tuple[Effect, State]]] = {
    (_S.WAITING, _I.ACCEPTED): (_E.WATCH, _S.WAITING),
    (_S.WAITING, _I.LEFT): (_E.LINGER, _S.LEAVING),
    (_S.WAITING, _I.NOTIFY): (_E.WATCH, _S.LIVE),
    (_S.WAITING, _I.LAST): (_E.CLOSE, _S.OVER),
    (_S.WAITING, _I.GONE): (_E.CLOSE, _S.OVER),
    (_S.WAITING, _I.EXPIRED): (_E.TELL, _S.OVER),
    (_S.LIVE, _I.ACCEPTED): (_E.WATCH, _S.LIVE),
    (_S.LIVE, _I.LEFT): (_E.LINGER, _S.LEAVING),
    (_S.LIVE, _I.NOTIFY): (_E.WATCH, _S.LIVE),
    (_S.LIVE, _I.LAST): (_E.CLOSE, _S.OVER),
    (_S.LIVE, _I.GONE): (_E.CLOSE, _S.OVER),
    (_S.LIVE, _I.EXPIRED): (_E.TELL, _S.OVER),
    (_S.LEAVING, _I.ACCEPTED): (_E.WATCH, _S.LIVE),  # a refresh that crossed
    (_S.LEAVING, _I.NOTIFY): (_E.NOTHING, _S.LEAVING),
    (_S.LEAVING, _I.LAST): (_E.CLOSE, _S.OVER),
    (_S.LEAVING, _I.GONE): (_E.CLOSE, _S.OVER),
    (_S.LEAVING, _I.EXPIRED): (_E.CLOSE, _S.OVER),
}
"""Every arrow. A pair of state and input that is not here is absorbed."""
