"""What relay workers say to the border: leases, last figures, refusals, silence, their own end."""

from __future__ import annotations

from functools import partial

from relay.control.messages import CallStats
from sbc.call.media.leases import LocalPort
from sbc.call.names import NameEvents

__all__ = ["RelayEvents"]


class RelayEvents(NameEvents):
    """The border, as `runtime/relay_client.py` tells it what it has read."""

    def relay_up(self, slot: int) -> None:
        """A worker is ready, and holds nothing of ours."""
        self.core.leases.worker_up(slot)

    def relay_down(self, slot: int, now: float) -> None:
        """A worker is gone, and the media of its calls with it: they end, a slice each tick."""
        self.core.leases.worker_down(slot)
        self._doomed.extend(
            (call, partial(call.media_lost, "media worker died"))
            for call in self.calls.values()
            if call.slot == slot
        )
        self._end_some(now)

    def relay_leased(self, slot: int, pool: str, ports: list[LocalPort]) -> None:
        """Ports that a worker grants; none: it has none left."""
        self.core.leases.granted(slot, pool, ports)

    def relay_draining(self, slot: int) -> None:
        """A worker goes on with its calls and takes no new ones."""
        self.core.leases.draining(slot)

    def relay_replenished(self, slot: int, pool: str) -> None:
        """A worker that had no ports left has some again."""
        self.core.leases.replenished(slot, pool)

    def relay_removed(self, key: str, stats: CallStats | None, now: float) -> None:
        """The last figures of a plan."""
        call = self.core.plans.pop(key, None)
        if call is not None:
            self._guarded(call, partial(call.media_ended, stats, now), now)

    def relay_refused(self, key: str, reason: str, now: float) -> None:
        """A worker would not carry a plan out."""
        call = self.core.plans.get(key)
        if call is not None:
            self._guarded(call, partial(call.media_refused, reason, now), now)

    def relay_digit(self, key: str, side: str, digit: str, duration_ms: int, now: float) -> None:
        """One side has sent a digit as a telephone-event, which does not pass."""
        call = self.core.plans.get(key)
        if call is not None:
            self._guarded(call, partial(call.media_digit, side, digit, duration_ms, now), now)

    def relay_srtp_failed(self, key: str, side: str) -> None:
        """For some time nothing of one side's stream was authentic: wrong keys, or an attack."""
        self.core.counters["srtp_failed"] += 1
        self.core.say(30, "media.srtp_failed", key.partition(".")[0], side=side)

    def relay_silent(self, key: str, side: str, now: float) -> None:
        """Media of one side have timed out."""
        call = self.core.plans.get(key)
        if call is not None:
            self._guarded(call, partial(call.media_silent, side, now), now)
