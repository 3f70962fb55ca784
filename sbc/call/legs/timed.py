"""What one side of a call knows of its peer's abilities, and the timers that keep it alive.

The timers are made when they are first needed: most legs have neither a session timer nor a ping.
"""

from __future__ import annotations

from enum import IntEnum

from policies.settings import Use
from sbc.call.legs.capabilities import TIMER, Peer, may_send
from sbc.call.legs.link import Link
from sbc.call.legs.session_timer import SessionTimer
from sbc.sip.message import Message, Request, Response
from sbc.sip.status import INVITE, UPDATE
from sbc.transaction.timers import Entry

__all__ = ["Timed", "Watch"]


class Watch(IntEnum):
    """Timers of a leg; the numbers are disjoint from those of `session_timer.Wait`."""

    PING = 90
    RETRY = 91
    """A refresh that met 491."""


class Timed(Link):
    """The part of a leg that has to do with time."""

    __slots__ = ("clock", "peer", "ping_clock", "timer")

    peer: Peer
    """What the peer has said that it can do."""
    timer: SessionTimer | None
    """Only where the session has one, or is asked for one."""
    clock: Entry | None
    """Of the session timer."""
    ping_clock: Entry | None

    def learn(self, message: Message) -> None:
        """A request, a 18x or a 2xx of the peer."""
        self.peer = self.peer.after(message)

    # Time

    def session_timer(self) -> SessionTimer:
        """The leg's session timer (RFC 4028), made where there is none."""
        if self.timer is None:
            trunk, peer = self.trunk, self.peer
            able = may_send(trunk, peer, INVITE) or may_send(trunk, peer, UPDATE)
            self.timer = SessionTimer(trunk.session_timer, able)
        return self.timer

    def wants_timer(self, request: Request) -> bool:
        """Whether a request of the peer's that may refresh the session has to do with its timer."""
        if self.timer is not None:
            return True
        use = self.trunk.session_timer.use
        if use is Use.NEVER:
            return False
        if use is Use.ALWAYS or request.first(b"session-expires") is not None:
            return True
        return self.peer.supports(TIMER)

    def timer_answer(self) -> bytes:
        """Session timer lines of our 2xx; what was asked for holds from now on."""
        return b"" if self.timer is None else self.timer.answer_head(self.peer.supports(TIMER))

    def timer_agreed(self, response: Response, now: float) -> None:
        """The peer's 2xx to a request of ours that asked for a session timer."""
        if (
            self.timer is not None
            or response.first(b"session-expires") is not None
            or self.trunk.session_timer.use is Use.ALWAYS
        ):
            self.session_timer().on_answer(response)
            self.arm_timer(now)

    def arm_timer(self, now: float) -> None:
        """Wait for what the session timer says."""
        if self.timer is None:
            return
        due = self.timer.next(now)
        if due is None:
            self._disarm()
        else:
            self.arm(*due, now)

    def arm(self, timer: IntEnum, duration_s: float, now: float) -> None:
        """Wait for this instead of what the session timer waited for."""
        self._disarm()
        self.clock = self.core.layer.arm_long(self, timer, duration_s, now)

    def arm_ping(self, now: float) -> None:
        """Ask the peer now and then whether it is there, where its trunk wants that."""
        ping_s = self.trunk.ping_s
        if ping_s:
            if self.ping_clock is not None:
                self.ping_clock.cancel()
            self.ping_clock = self.core.layer.arm_long(self, Watch.PING, ping_s, now)

    def _disarm(self) -> None:
        if self.clock is not None:
            self.clock.cancel()
            self.clock = None
