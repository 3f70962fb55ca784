"""What a worker does for signalling: plans put in force and changed, calls reported and ended.

No loop of its own: `relay.worker` drives it, with the time as an argument.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from relay.call import END_NAMES, Call, Lane, call_stats, direction_stats
from relay.control.messages import (
    CallList,
    CallStats,
    ControlError,
    DigitEvent,
    ErrorCode,
    Event,
    Inject,
    LatchedEvent,
    MediaTimeoutEvent,
    Plan,
    SrtpFailedEvent,
    StreamStats,
)
from relay.dtmf import Digit
from relay.flow_table import FlowTable
from relay.forward.base import DropReason, Forwarder
from relay.keys import give_keys, unauthentic
from relay.plan import PLAIN, Component, Direction, Side, directions
from relay.port_desk import PortDesk
from relay.ports import EITHER, Key, Pair
from relay.quality import Window
from relay.rows import keep_counters, keep_keys
from relay.slowpath import SlowPath
from relay.srtp_watch import SrtpWatch

__all__ = ["Service"]

_log = logging.getLogger(__name__)

_MAX_ENDED: Final = 64
_MAX_UNTOLD: Final = 10_000


class Service:
    """Calls and flows of one worker.

    Args:
        forwarder: the fast path.
        desk: its ports.
        table: the flow table.
        secret: 16 to 32 random bytes.
        window_s: the learn window, as in RelaySettings.
        notify: tells signalling; returns whether anybody was there to hear it.
    """

    def __init__(
        self,
        forwarder: Forwarder,
        desk: PortDesk,
        table: FlowTable,
        secret: bytes,
        window_s: float,
        notify: Callable[[Event, object], bool],
    ) -> None:
        self.calls: dict[str, Call] = {}
        self.desk = desk
        self.slowpath = SlowPath(forwarder, secret, self._latched, self._digit, desk.rx)
        self.digits = self.slowpath.digits
        self.draining = False
        self.totals = {
            "packets": 0,
            "octets": 0,
            "rtcp_packets": 0,
            "latched": 0,
            "timeouts": 0,
            "srtp_failures": 0,
            "srtp_outlived": 0,
            "digits_reported": 0,
            "digits_injected": 0,
        }
        """Since the start; calls in progress are brought up to date once a second."""
        self._forwarder = forwarder
        self._table = table
        self._window_s: Final = window_s
        self._notify = notify
        self._number = 0
        self._dropped_calls: deque[Call] = deque()
        self._untold: deque[tuple[Event, object]] = deque(maxlen=_MAX_UNTOLD)
        self._sweep: Iterator[Call] = iter(())
        self._swept = 0.0

    # what signalling asks

    def lease(
        self, realm: str, count: int, session: str, now: float, family: int = EITHER
    ) -> list[Key]:
        """RTP ports for plans to come. Raises ControlError."""
        if self.draining:
            raise ControlError(ErrorCode.DRAINING, "this worker takes no new calls")
        return self.desk.lease(realm, count, session, now, family)

    def apply(self, plan: Plan, session: str, now: float) -> int:
        """Put a plan in force; returns its revision. Raises ControlError, having done nothing then.

        The same revision again is answered as before, an older one with SUPERSEDED.
        """
        wanted = directions(plan)
        call = self.calls.get(plan.call)
        if call is not None and plan.revision <= call.revision:
            if plan.revision == call.revision and wanted == [one.direction for one in call.lanes]:
                return call.revision
            raise ControlError(ErrorCode.SUPERSEDED, f"revision {call.revision} is in force")
        if call is None and self.draining:
            raise ControlError(ErrorCode.DRAINING, "this worker takes no new calls")
        if call is None:
            self._number += 1
            call = Call(plan.call, session, self._number)
        pairs = self._pairs_for(call, wanted, session)
        self._rearrange(call, wanted, pairs, now)
        call.session = session
        call.revision = plan.revision
        call.media_timeout_s = plan.media_timeout_s
        self.calls[call.key] = call
        return call.revision

    def remove(self, key: str, now: float) -> CallStats:
        """End a call's media; returns what it was. Raises ControlError(UNKNOWN_CALL)."""
        stats = self.query(key, now)
        call = self.calls.pop(key)
        self._close(call.lanes, now)
        call.lanes = []
        return stats

    def query(self, key: str, now: float) -> CallStats:
        """What a call's media is so far. Raises ControlError(UNKNOWN_CALL)."""
        call = self.calls.get(key)
        if call is None:
            raise ControlError(ErrorCode.UNKNOWN_CALL, key)
        return call_stats(call, self._stream_stats(call.lanes, now))

    def inject(self, wish: Inject, now: float) -> None:
        """Send digits to the peer of an end. Raises ControlError, having done nothing then.

        The same wish again, or an older one, is answered as before.
        """
        call = self.calls.get(wish.call)
        if call is None:
            raise ControlError(ErrorCode.UNKNOWN_CALL, wish.call)
        for lane in call.lanes:
            direction = lane.direction
            place = (direction.stream, direction.component, END_NAMES[1 - direction.side])
            if place != (wish.stream, Component.RTP, wish.end):
                continue
            if direction.crossing.injected_type >= 0:
                if self.digits.inject(lane, wish, now):
                    self.totals["digits_injected"] += len(wish.digits)
                return
        raise ControlError(
            ErrorCode.BAD_REQUEST, f"end {wish.end} of stream {wish.stream} has no telephone-events"
        )

    def list_calls(self, after: int, limit: int) -> CallList:
        """A slice of the calls, oldest first."""
        found: list[tuple[str, int]] = []
        last = after
        for key, call in self.calls.items():
            if call.number > after:
                if len(found) == limit:
                    return CallList(found, last, True)
                found.append((key, call.revision))
                last = call.number
        return CallList(found, last, False)

    def begin_session(self, session: str, now: float) -> int:
        """A signalling process that knows of no call has come: drop what others have left.

        Returns how many calls that were. Nobody knows them from now on; `bury` ends their media.
        """
        left = [call for call in self.calls.values() if call.session != session]
        for call in left:
            del self.calls[call.key]
        self._dropped_calls.extend(left)
        self.desk.drop_leases(session, now)
        return len(left)

    @property
    def burying(self) -> bool:
        """There are dropped calls whose media has not ended yet."""
        return bool(self._dropped_calls)

    def bury(self, now: float, most: int = 20) -> None:
        """End the media of some calls that were dropped: thousands at once would be a stall."""
        for _ in range(min(most, len(self._dropped_calls))):
            call = self._dropped_calls.popleft()
            self._close(call.lanes, now)
            call.lanes = []

    def tell_again(self) -> None:
        """Somebody listens now: say what nobody heard."""
        untold, self._untold = self._untold, deque(maxlen=_MAX_UNTOLD)
        for event, body in untold:
            self._tell(event, body)

    # time

    def sweep(self, now: float, most: int) -> None:
        """Look after some calls: media timeouts, rows of the flow table. Call often."""
        for _ in range(most):
            call = next(self._sweep, None)
            if call is None:
                if now - self._swept < 1.0:
                    return
                self._swept = now
                self.desk.look_after(now)
                self._sweep = iter(list(self.calls.values()))
                return
            if self.calls.get(call.key) is call:
                self._look_after(call, now)

    def _look_after(self, call: Call, now: float) -> None:
        lanes = call.lanes
        for index in range(0, len(lanes), 4):
            for side in (0, 1):
                rtp, rtcp = lanes[index + side], lanes[index + 2 + side]
                direction = rtp.direction
                heard = max(rtp.reception.last, rtcp.heard)
                self._account(rtp)
                self._account(rtcp)
                if heard > self._swept - 2.0:
                    keep_counters(self._table, rtp, rtcp)
                if rtp.window is None and Window.is_worth(rtp.reception):
                    rtp.window = Window(rtp.reception)
                if rtp.window is not None:
                    rtp.window.second(rtp.reception)
                if rtp.watch is not None:
                    self._watch_key(rtp, rtp.watch, now)
                if direction.crossing is not PLAIN:
                    keep_keys(self._table, rtp)
                if not direction.expected or rtp.timed_out or not call.media_timeout_s:
                    continue
                if now - max(heard, rtp.expected_since) > call.media_timeout_s:
                    rtp.timed_out = True
                    self.totals["timeouts"] += 1
                    event = MediaTimeoutEvent(call.key, direction.stream, END_NAMES[side])
                    self._tell(Event.MEDIA_TIMEOUT, event.to_body())

    def _watch_key(self, lane: Lane, watch: SrtpWatch, now: float) -> None:
        """Say it when nothing that a peer sends is made with the key that it has told.

        A key that is used for longer than its sender has said (RFC 4568 §6.1) is counted and goes
        on, as everywhere in the field: to stop it would end the call, and only SRTP's own limits
        are those of its security.
        """
        direction, end = lane.direction, END_NAMES[lane.direction.side]
        if watch.outlives(lane.reception.packets):
            self.totals["srtp_outlived"] += 1
            _log.info("srtp.outlived call=%s stream=%d end=%s", lane.call, direction.stream, end)
        if watch.look(lane.reception.packets, unauthentic(lane, self._forwarder), now):
            self.totals["srtp_failures"] += 1
            event = SrtpFailedEvent(lane.call, direction.stream, end)
            self._tell(Event.SRTP_FAILED, event.to_body())

    # lanes

    def _pairs_for(self, call: Call, wanted: list[Direction], session: str) -> dict[Key, Pair]:
        """The pair behind each key of the plan that the call does not serve in that place yet.

        Raises ControlError.
        """
        present = {lane.direction.key: lane.direction.place for lane in call.lanes}
        pairs: dict[Key, Pair] = {}
        for direction in wanted:
            place = present.get(direction.key)
            if direction.component != Component.RTP or place == direction.place:
                continue
            if place is not None:
                raise ControlError(
                    ErrorCode.PORT_IN_USE,
                    f"{direction.key[0]} port {direction.key[1]} has another place in this call",
                )
            pair = self.desk.ports.leased(direction.realm, direction.key, session)
            pairs[pair.key] = pairs[pair.rtcp_key] = pair
        return pairs

    def _rearrange(
        self, call: Call, wanted: list[Direction], pairs: dict[Key, Pair], now: float
    ) -> None:
        """From the lanes that are to those that shall be. Raises ControlError, nothing changed."""
        present = {lane.direction.place: lane for lane in call.lanes}
        opened = self._open_all(call, [one for one in wanted if one.key in pairs], pairs, now)
        places = {direction.place for direction in wanted}
        for lane in opened:
            before = present.get(lane.direction.place)
            if before is not None:
                self._account(before)
                lane.succeed(before, self._forwarder.counters(before.direction.key))
        gone = [
            lane
            for lane in call.lanes
            if lane.direction.place not in places
            or any(one.direction.place == lane.direction.place for one in opened)
        ]
        self._book(call, places, now)
        self._close(gone, now)
        new = {lane.direction.key: lane for lane in opened}
        call.lanes = [
            new.get(direction.key) or self._signal(present[direction.place], direction, now)
            for direction in wanted
        ]
        self._connect(call, now)

    def _connect(self, call: Call, now: float) -> None:
        """Let lanes know each other and their keys, and the fast path all of them."""
        call.link()
        lanes = call.lanes
        for lane in lanes:
            if lane.direction.crossing is not PLAIN or lane.keyed:
                give_keys(call, lane, self._forwarder, now)
        self.slowpath.refresh([lane for lane in lanes if lane.direction.component == Component.RTP])

    def _signal(self, lane: Lane, direction: Direction, now: float) -> Lane:
        """A lane that stays hears what the new plan says."""
        before = lane.direction
        if direction.expected and not before.expected:
            lane.expected_since = now
            lane.timed_out = False
        if not direction.expected:
            lane.reception.pause()
        lane.direction = direction
        rekeyed = direction.crossing.srtp_in != before.crossing.srtp_in
        lane.latch.signal(direction.rules, rekeyed=rekeyed)
        self.slowpath.floods.signal(lane)
        if direction.component == Component.RTP:
            lane.reception.signal(direction.clock_rates)
        if direction.tos != before.tos:
            self.slowpath.mark(lane)
        return lane

    def _open_all(
        self, call: Call, wanted: list[Direction], pairs: dict[Key, Pair], now: float
    ) -> list[Lane]:
        opened: list[Lane] = []
        try:
            for direction in wanted:
                lane = Lane(call.key, direction, pairs[direction.key], self._window_s, now)
                if direction.component == Component.RTP:
                    lane.reception = self._forwarder.reception(direction.clock_rates)
                self.slowpath.open(lane)
                opened.append(lane)
        except OSError as error:
            self.slowpath.close(opened)
            raise ControlError(ErrorCode.INTERNAL, f"a port cannot be polled: {error}") from error
        for lane in opened:
            if lane.direction.component == Component.RTP:
                self.desk.take(lane.pair)
        return opened

    def _close(self, lanes: list[Lane], now: float) -> None:
        for lane in lanes:
            self._account(lane)
        self.slowpath.close(lanes)
        for lane in lanes:
            lane.part()
            if lane.direction.component == Component.RTP:
                self.desk.release(lane.pair, now)

    def _book(self, call: Call, places: set[tuple[int, Side, Component]], now: float) -> None:
        """Keep the statistics of streams that a new plan no longer has."""
        streams = {place[0] for place in places}
        ended = [lane for lane in call.lanes if lane.direction.stream not in streams]
        if ended:
            stats = self._stream_stats(ended, now)
            call.ended = [*(call.ended or []), *stats][-_MAX_ENDED:]

    def _stream_stats(self, lanes: list[Lane], now: float) -> list[StreamStats]:
        """Of whole streams, four lanes each."""
        found = []
        for index in range(0, len(lanes), 4):
            a, b, a_rtcp, b_rtcp = lanes[index : index + 4]
            stream = a.direction.stream
            found.append(
                StreamStats(
                    stream,
                    a.direction.kind,
                    direction_stats(a, a_rtcp, self._dropped(a), now),
                    direction_stats(b, b_rtcp, self._dropped(b), now),
                )
            )
        return found

    def _dropped(self, lane: Lane) -> dict[DropReason, int]:
        """What others than the slow path have dropped of a lane's."""
        if lane.guard is not None:
            self.slowpath.floods.count(lane)
        return self._forwarder.counters(lane.direction.key)

    def _account(self, lane: Lane) -> None:
        """Bring what the lane has counted since the last time into the worker's totals."""
        totals, reception = self.totals, lane.reception
        packets, octets, rtcp_packets = reception.packets, reception.octets, lane.rtcp_packets
        before = lane.accounted
        if (packets, octets, rtcp_packets) != before:
            lane.accounted = (packets, octets, rtcp_packets)
            totals["packets"] += packets - before[0]
            totals["octets"] += octets - before[1]
            totals["rtcp_packets"] += rtcp_packets - before[2]
        fast = self._dropped(lane)
        if fast or lane.drops:
            drops = lane.all_drops(fast)
            known = lane.accounted_drops or {}
            for reason, count in drops.items():
                name = f"dropped_{reason.name.lower()}"
                totals[name] = totals.get(name, 0) + count - known.get(reason, 0)
            lane.accounted_drops = drops

    # events and rows

    def _latched(self, lane: Lane) -> None:
        source = lane.latch.source
        if source is not None:
            direction = lane.direction
            self.totals["latched"] += 1
            end = END_NAMES[direction.side]
            event = LatchedEvent(lane.call, direction.stream, end, source[0], source[1])
            self._notify(Event.LATCHED, event.to_body())
            if 0 <= lane.pair.row < len(self._table):
                self._table.latch(lane.pair.row, source)

    def _digit(self, lane: Lane, digit: Digit) -> None:
        self.totals["digits_reported"] += 1
        direction = lane.direction
        end = END_NAMES[direction.side]
        event = DigitEvent(lane.call, direction.stream, end, digit.digit, digit.duration_ms)
        self._notify(Event.DTMF, event.to_body())  # a digit that is told late is worse than none

    def _tell(self, event: Event, body: object) -> None:
        """Notify, now or when signalling is back."""
        if not self._notify(event, body):
            self._untold.append((event, body))
