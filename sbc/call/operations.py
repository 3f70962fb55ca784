"""What an operator can ask of all calls, and how they are ended when the border stops."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from sbc.call.boundary import Boundary
from sbc.call.cdr import Cause
from sbc.call.core import Core
from sbc.call.outside.requests import Outside
from sbc.call.states import Ending

__all__ = ["Operations"]


class Operations(Boundary):
    """The border, as the administration sees it."""

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self.outside = Outside(core)
        self.overloaded = False
        """Set by whoever sees the queues: new calls get 503 before anything is done for them."""
        self.draining = False
        """Set before a stop: no new calls."""

    def list_calls(self) -> Iterator[dict[str, object]]:
        """One summary for each call, made as it is asked for; for long listings in slices."""
        for identifier in list(self.calls):
            call = self.calls.get(identifier)
            if call is not None:
                yield call.summary()

    def describe(self, call_id: str) -> dict[str, object] | None:
        """All about one call, None if there is no such call."""
        call = self.calls.get(call_id)
        return None if call is None else call.details()

    def hangup(self, call_id: str, now: float) -> bool:
        """End a call; False if there is no such call."""
        call = self.calls.get(call_id)
        if call is None:
            return False
        ending = Ending(Cause.OPERATOR, "operator", "hangup", 480)
        self._guarded(call, partial(call.end, ending, now), now)
        return True

    def end_all(self, now: float) -> None:
        """End every call, a slice each tick: the border stops."""
        ending = Ending(Cause.SHUTDOWN, "border", "the border is stopping", 503)
        self._doomed.extend((call, partial(call.end, ending)) for call in self.calls.values())
        self._end_some(now)

    def finish(self, now: float) -> None:
        """The process ends now: end and record what is left, as far as it is known."""
        self.end_all(now)
        while self._doomed:
            self._end_some(now)
        for call in list(self.calls.values()):
            self._guarded(call, partial(call.media_ended, None, now), now)

    def status(self) -> dict[str, object]:
        """Figures of the whole border."""
        core = self.core
        return {
            "calls": len(self.calls),
            "dialogs": len(core.dialogs),
            "transactions": len(core.layer),
            "errands": self.outside.waiting,
            "subscriptions": self.outside.subscriptions,
            "plans": len(core.plans),
            "ports_in_hand": core.leases.in_hand(),
            "workers": core.leases.slots,
            "trunks": core.policies.calls(),
            "draining": self.draining,
            "overloaded": self.overloaded,
            "counters": dict(core.counters) | core.layer.counters,
            "refusals": {str(key): count for key, count in sorted(core.layer.refusals.items())},
        }
