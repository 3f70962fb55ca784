"""The one place where a fault of ours is caught: it ends one call, not the process.

    Boundary ◀── Operations ◀── NameEvents ◀── RelayEvents ◀── Border

One line: mypyc compiles no class of several bases.

Whatever comes from outside (a message, a timer, a relay's answer, an operator's word) is acted on
inside `_guarded`, or, where it is a message, inside the border's own `try`.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from sbc.call.call import Call
from sbc.call.cdr import Cause
from sbc.call.core import Core
from sbc.call.in_dialog.passage import Passage
from sbc.call.in_dialog.upkeep import Ping, Refresh
from sbc.call.legs.a_leg import ALeg
from sbc.call.legs.b_leg import BLeg
from sbc.call.states import Ending
from sbc.call.transfer.transfer import Transfer
from sbc.sip.message import Request, Response

__all__ = ["Boundary"]

_SLICE: Final = 32
"""Calls that are ended in one go, of all that a worker's death or a stop ends: some 10 ms."""


class Boundary:
    """All calls, and what ends those that cannot go on.

    Args:
        core: what the calls share.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self.calls: dict[str, Call] = {}
        self._doomed: deque[tuple[Call, Callable[[float], None]]] = deque()

    @property
    def busy(self) -> bool:
        """Whether calls are being ended: the next tick should come at once."""
        return bool(self._doomed)

    def _end_some(self, now: float) -> None:
        for _ in range(min(_SLICE, len(self._doomed))):
            call, step = self._doomed.popleft()
            self._guarded(call, partial(step, now), now)

    def _guarded(self, call: object, step: Callable[[], None], now: float) -> None:
        try:
            step()
        except Exception:
            self._crashed(call, now)

    def _crashed(self, subject: object, now: float) -> None:
        """A fault of ours ends one call, not the process."""
        core = self.core
        core.counters["crashed"] += 1
        call = self._call_of(subject)
        core.say(
            40, "call.crashed", call.id if call is not None else "", detail=traceback.format_exc()
        )
        if call is None:
            return
        try:
            call.end(Ending(Cause.CRASHED, "border", "internal error", 500), now)
            ends = call.waits
        except Exception:
            ends = False
        if not ends:
            call.abort(now)

    def _call_of(self, subject: object) -> Call | None:
        if isinstance(subject, Call):
            return subject
        if isinstance(subject, Request | Response):
            tag = subject.to_tag if isinstance(subject, Request) else subject.from_tag
            subject = self.core.dialogs.get(tag) or self._call_made_by(subject)
        if isinstance(subject, Passage):
            subject = subject.source
        elif isinstance(subject, Refresh | Ping):
            subject = subject.leg
        elif isinstance(subject, Transfer):
            subject = subject.first
        if isinstance(subject, ALeg | BLeg):
            subject = subject.owner
        return subject if isinstance(subject, Call) else None

    def _call_made_by(self, message: Request | Response) -> Call | None:
        """The newest call if this message has made it: what crashed was its beginning."""
        call = next(reversed(self.calls.values()), None)
        return call if call is not None and call.a.call_id == message.call_id else None
