"""Which numbers a direction's packets leave with: SSRC, sequence number, timestamp.

PURE. Packets keep their numbers, except where that would break something:

    under one SRTP key    an index must never protect two packets (RFC 3711 §9.1), so a source that
                          starts its sequence numbers anew is numbered on from where it was
    continuity            (by plan) the peer is sent one SSRC whatever source there is, with
                          sequence numbers and timestamps that go on, as if nothing had changed

The fast path knows the numbering of one source and punts all others, and those packets of it whose
number jumps. Here is decided what they become:

    the source jumps      the first packet of a jump is dropped (RFC 3550 A.1: it may be a stray);
                          the second in a row settles that the numbers have begun anew
    another source        continuity: it takes the former one's place at once. What the former one
                          still has on the way is late and dropped; changes are policed.
                          Otherwise it passes beside, with numbers of its own, and becomes the fast
                          path's source if that has not changed for a second
"""

from __future__ import annotations

from typing import Final

from relay.forward.base import DropReason, Numbering
from relay.forward.change import follows, jumps
from relay.policer import Policer
from relay.rtp.session import SrtpSession
from relay.stats import Reception

__all__ = ["Renumbering", "next_number"]

_LATE_S: Final = 0.5
"""Packets of a former source come so long after the change at most."""
_CHANGES_AT_ONCE: Final = 5.0
_CHANGES_PER_S: Final = 1.0
_MOST_BESIDE: Final = 64
_SWAP_S: Final = 1.0


class Renumbering:
    """The numbers of one direction.

    Args:
        continuity: one SSRC for the peer, whatever the source.
    """

    __slots__ = (
        "_beside",
        "_changes",
        "_former",
        "_pending",
        "_pending_time",
        "_since",
        "continuity",
        "current",
        "settled",
        "unsure",
    )

    def __init__(self, *, continuity: bool) -> None:
        self.continuity = continuity
        self.current: Numbering | None = None
        """The fast path's source; None: there was no packet yet."""
        self.unsure = True
        """The next packet shows whether the numbers still follow those that were sent last."""
        self.settled = 0
        """Grows each time that `current` is settled: the fast path must hear of it."""
        self._beside: dict[int, Numbering] | None = None
        self._changes: Policer | None = None
        self._former = -1
        self._pending = (-1, -1)
        self._pending_time = (0, 0.0)
        self._since = 0.0

    def resume(self, numbering: Numbering) -> None:
        """Go on as another process has numbered."""
        self.current = numbering
        self.unsure = True

    def doubt(self) -> None:
        """Packets were counted and not sent for a while."""
        self.unsure = True

    def of(self, ssrc: int) -> Numbering | None:
        """What a source's numbers are; None: it is not known."""
        if self.current is not None and self.current.ssrc == ssrc:
            return self.current
        return self._beside.get(ssrc) if self._beside is not None else None

    def begin(self, ssrc: int) -> Numbering:
        """Number a source that is not known, and has kept its numbers so far."""
        numbering = Numbering(ssrc, ssrc, 0, 0)
        if self.current is None:
            self.current, self.unsure = numbering, False
            self.settled += 1
        else:
            if self._beside is None:
                self._beside = {}
            self._beside[ssrc] = numbering
        return numbering

    def shift(self, ssrc: int, by: int) -> None:
        """From its next packet on, a known source's numbers leave so much higher."""
        old = self.of(ssrc)
        if old is None:
            return
        moved = Numbering(ssrc, old.out_ssrc, old.sequence + by & 0xFFFF, old.timestamp)
        if old is self.current:
            self.current = moved
            self.settled += 1
        elif self._beside is not None:
            self._beside[ssrc] = moved

    def sent_as(self, out_ssrc: int) -> Numbering | None:
        """Whose packets leave with this SSRC."""
        if self.current is not None and self.current.out_ssrc == out_ssrc:
            return self.current
        return None if self.continuity else self.of(out_ssrc)

    def consider(
        self,
        ssrc: int,
        sequence: int,
        timestamp: int,
        reception: Reception,
        session: SrtpSession | None,
        now: float,
    ) -> Numbering | DropReason:
        """The numbering of a packet, or why it does not go on.

        Args:
            ssrc, sequence, timestamp: as it came.
            reception: what came before it; it is not counted there yet.
            session: what it will be protected by.
            now: monotonic seconds.
        """
        current = self.current
        if current is None:
            return self._settle(self._fitting(Numbering(ssrc, ssrc, 0, 0), sequence, session), now)
        if ssrc == current.ssrc:
            if jumps(reception, ssrc, sequence):
                return self._restart(current, sequence, timestamp, reception, session, now)
            if self.unsure:
                return self._settle(self._fitting(current, sequence, session), now)
            if reception.ssrc == ssrc or follows(current, sequence, session):
                return current
            if self._pending != (ssrc, sequence):  # it may be late, behind another source's packet
                self._pending = (ssrc, sequence + 1 & 0xFFFF)
                return DropReason.SEQUENCE
            return self._settle(self._fitting(current, sequence, session), now)
        if self.continuity:
            return self._change(current, ssrc, sequence, timestamp, reception, session, now)
        return self._pass_beside(current, ssrc, sequence, session, now)

    def _settle(self, numbering: Numbering, now: float) -> Numbering:
        self.current = numbering
        self.settled += 1
        self.unsure = False
        self._since = now
        return numbering

    def _restart(
        self,
        current: Numbering,
        sequence: int,
        timestamp: int,
        reception: Reception,
        session: SrtpSession | None,
        now: float,
    ) -> Numbering | DropReason:
        """The current source's numbers jump."""
        if self._pending != (current.ssrc, sequence):
            self._pending = (current.ssrc, sequence + 1 & 0xFFFF)
            self._pending_time = (reception.timestamp + current.timestamp, reception.last_packet)
            return DropReason.SEQUENCE
        shift = next_number(current, reception, session) - sequence & 0xFFFF
        time_shift = current.timestamp
        if self.continuity:
            then, then_at = self._pending_time
            time_shift = _time_shift(then, then_at, timestamp, reception.clock, now)
        return self._settle(Numbering(current.ssrc, current.out_ssrc, shift, time_shift), now)

    def _change(
        self,
        current: Numbering,
        ssrc: int,
        sequence: int,
        timestamp: int,
        reception: Reception,
        session: SrtpSession | None,
        now: float,
    ) -> Numbering | DropReason:
        """Another source takes the current one's place."""
        if ssrc == self._former and now < self._since + _LATE_S:
            return DropReason.SSRC
        if self._changes is None:
            self._changes = Policer(_CHANGES_PER_S, _CHANGES_AT_ONCE, now)
        if not self._changes.take(1.0, now):
            return DropReason.SSRC
        self._former = current.ssrc
        shift = next_number(current, reception, session) - sequence & 0xFFFF
        then = reception.timestamp + current.timestamp
        time_shift = _time_shift(then, reception.last_packet, timestamp, reception.clock, now)
        return self._settle(Numbering(ssrc, current.out_ssrc, shift, time_shift), now)

    def _pass_beside(
        self,
        current: Numbering,
        ssrc: int,
        sequence: int,
        session: SrtpSession | None,
        now: float,
    ) -> Numbering | DropReason:
        """Another source beside the current one."""
        beside = self._beside
        if beside is None:
            beside = self._beside = {}
        numbering = beside.get(ssrc)
        if numbering is None:
            if len(beside) >= _MOST_BESIDE:
                return DropReason.SSRC
            numbering = self._fitting(Numbering(ssrc, ssrc, 0, 0), sequence, session)
        elif not follows(numbering, sequence, session):
            if self._pending != (ssrc, sequence):
                self._pending = (ssrc, sequence + 1 & 0xFFFF)
                return DropReason.SEQUENCE
            numbering = self._fitting(numbering, sequence, session)
        beside[ssrc] = numbering
        if now < self._since + _SWAP_S:
            return numbering
        del beside[ssrc]
        beside[current.ssrc] = current
        return self._settle(numbering, now)

    def _fitting(
        self, numbering: Numbering, sequence: int, session: SrtpSession | None
    ) -> Numbering:
        """This numbering, if the packet then follows what was sent last; else a shifted one."""
        if session is None or follows(numbering, sequence, session):
            return numbering
        shift = session.index(numbering.out_ssrc) + 1 - sequence & 0xFFFF
        return Numbering(numbering.ssrc, numbering.out_ssrc, shift, numbering.timestamp)


def next_number(current: Numbering, reception: Reception, session: SrtpSession | None) -> int:
    """The sequence number behind the last one that was sent, extended."""
    last = session.index(current.out_ssrc) if session is not None else -1
    return (last if last >= 0 else reception.highest + current.sequence) + 1


def _time_shift(then: int, then_at: float, timestamp: int, clock: int, now: float) -> int:
    """What to add to a timestamp, so that it is as far behind the last one as the time is."""
    ticks = max(1, round((now - then_at) * clock))
    return then + ticks - timestamp & 0xFFFFFFFF
