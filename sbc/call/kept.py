"""How a call ends: its timers, its media's last word, its record, and nothing left of it.

The part of `call.py`'s machine that comes after the last message.
"""

from __future__ import annotations

from contextlib import suppress
from enum import IntEnum
from typing import Final

from relay.control.messages import CallStats
from sbc.call.cdr import Cause, Cdr
from sbc.call.in_dialog.early import Early
from sbc.call.in_dialog.midcall import Midcall
from sbc.call.sides import Sides
from sbc.call.states import Ending, State
from sbc.transaction.timers import Entry

__all__ = ["Clock", "Kept"]

_RECORD_WAIT_S: Final = 2.0
"""How long the record waits for the relay's last figures."""
_A_SECOND: Final = 50
"""Packets of 20 ms. Fewer may be any stranger's."""


class Clock(IntEnum):
    """The call's own timers."""

    NO_ANSWER = 64
    RECORD = 65
    LIMIT = 66
    NO_RESPONSE = 67


class Kept(Sides):
    """A call, as what outlives its messages sees it."""

    __slots__ = ("clock", "early", "limit", "midcall")

    clock: Entry | None
    limit: Entry | None
    """Of `max_duration`."""
    early: Early | None
    """What is reliable in the early dialogs, or said in them."""
    midcall: Midcall | None
    """What is said within the call, once anything is."""

    def end(self, ending: Ending, now: float) -> None:
        """The border's own wish."""
        raise NotImplementedError

    # The relay

    def media_lost(self, reason: str, now: float) -> None:
        """The worker is gone, or would not carry the plan out."""
        if not self.record.ended:
            self.end(Ending(Cause.RELAY_LOST, "border", reason, 503), now)
        else:
            self.media_ended(None, now)

    def media_refused(self, reason: str, now: float) -> None:
        """The worker would not carry the plan out: the ports in it are still leased to us."""
        self.exchange.give_back()
        self.media_lost(reason, now)

    def media_silent(self, side: str, now: float) -> None:
        """One side has sent neither RTP nor RTCP for the time that its trunk allows."""
        if not self.record.ended and self.move is None:
            reason = f"no media from side {side}"
            self.end(Ending(Cause.MEDIA_TIMEOUT, "border", reason), now)

    def media_ended(self, stats: CallStats | None, now: float) -> None:
        """The relay's last figures, None where it cannot tell any more: the record is complete."""
        if self.record.written or not self.record.ended:
            return
        self._disarm()
        exchange = self.exchange
        cdr = self.record.cdr(exchange.codecs, stats, self.record.wall(now))
        cdr.srtp_a, cdr.srtp_b = exchange.ciphers("a"), exchange.ciphers("b")
        self.core.records.append(cdr)
        self._say_unheard(cdr)
        self.record.written = True
        self.exchange.forget()
        self._forget_when_done()

    def _say_unheard(self, cdr: Cdr) -> None:
        """Why a side was not heard, where it did send: what one-way audio is asked about first."""
        for one in cdr.streams:
            if not one.packets and one.dropped >= _A_SECOND:
                why = ",".join(f"{reason}:{count}" for reason, count in one.dropped_by.items())
                self.core.say(
                    30, "media.unheard", self.id, side=one.side, kind=one.kind, dropped=why
                )

    # Ending

    def _fail(self, ending: Ending, now: float) -> None:
        """No leg to a target is left, or there never was one."""
        self.record.close(ending.cause, ending.by, ending.reason)
        self._refuse_caller(ending.status, b"", now)
        self._end(State.ENDED, now)

    def _leave_early(self) -> None:
        """The caller has its final answer: nothing more is said in early dialogs."""
        if self.early is not None:
            self.early.stop()
            self.early = None

    def _refuse_caller(self, status: int, head: bytes, now: float) -> None:
        self._leave_early()
        if self.a.reply is not None:
            self.record.status = status
        self.a.refuse(status, head, now)

    def _end(self, state: State, now: float) -> None:
        """The call is over, even where a leg still waits: media go, the record is due."""
        self.state = state
        if not self.record.ended:
            self.record.end(self.record.wall(now))
            self._disarm()
            if self.limit is not None:
                self.limit.cancel()
                self.limit = None
            if self.midcall is not None:
                self.midcall.close(now)
            if self.core.verbose:  # the summary is work, too
                self.core.say(20, "call.ended", self.id, **self.record.summary())
            if self.hunt.trunk is not None:
                self.core.policies.ended((self.a.trunk, self.hunt.trunk))
            self.record.had_media = self.exchange.planned
            if self.exchange.release():
                self._arm(Clock.RECORD, _RECORD_WAIT_S, now)
            else:
                self.media_ended(None, now)
            move, self.move = self.move, None
            if move is not None:
                move.call_ended(now)
        self._forget_when_done()

    def _forget_when_done(self) -> None:
        if self.state is State.ENDED and self.record.written:
            self.a.unlink()
            if self.b is not None:
                self.b.unlink()
            self.exchange.close()
            self.hunt.close()
            self.core.ended.append(self.id)
            self.b = self.midcall = None

    def _arm(self, timer: Clock, duration_s: float, now: float) -> None:
        self._disarm()
        self.clock = self.core.layer.arm_long(self, timer, duration_s, now)

    def _disarm(self) -> None:
        if self.clock is not None:
            self.clock.cancel()
            self.clock = None

    @property
    def waits(self) -> bool:
        """Whether the call is over, or something is still to come that will end it."""
        if self.state is State.ENDING:
            return self.a.accepted is not None
        if self.state is State.CANCELLING:
            return self.b is not None and self.b.is_calling
        return self.state is State.ENDED and (self.record.written or self.clock is not None)

    def abort(self, now: float) -> None:
        """After a fault in ending it properly: leave nothing of the call but its record."""
        for leg in (self.a, self.b):
            if leg is not None:
                with suppress(Exception):  # the second fault: what can still be said is said
                    leg.bye(now)
        self._refuse_caller(500, b"", now)
        self._end(State.ENDED, now)
        self._disarm()
        self.media_ended(None, now)
