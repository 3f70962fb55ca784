"""Digits that cross by another way than they came: telephone-events on one leg, INFO on the other.

| a digit comes | and its other side has | what becomes of it |
|---|---|---|
| as a telephone-event, reported by the relay | INFO | an INFO in that trunk's spelling |
| in an INFO | telephone-events | 200; the relay puts the event into the media |
| in an INFO, from a side whose events are reported | INFO | 200 and no more: it came twice |
| in an INFO | INFO in another spelling | goes across in that spelling |
| any other way | | as it came: this module has no part in it |

INFOs go out one after the other, each when the last one is answered or has timed out, so that
digits keep their order. What holds no digit (a hook flash) crosses as any INFO does.

These INFOs are the legacy usage of RFC 6086 §3, without an Info-Package, as telephones have it.

Digits may be a PIN: nothing here writes one down unless the operator has asked for it.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Protocol

from policies.media import Dtmf
from sbc.call.core import Core
from sbc.call.legs.leg import Leg
from sbc.call.media.exchange import Exchange
from sbc.sip.message import Request, Response
from sbc.sip.serialise import ReplyBase
from sbc.sip.status import INFO
from sbc.transaction.machine import ServerTransaction

__all__ = ["CallDigits", "Dialled", "body_of", "read_digits"]

_RELAY: Final = b"application/dtmf-relay"
_DIGIT: Final = b"application/dtmf"
_SIGNAL: Final = re.compile(rb"^[ \t]*Signal[ \t]*=[ \t]*([^\s]{1,2})[ \t]*\r?$", re.I | re.M)
_DURATION: Final = re.compile(rb"^[ \t]*Duration[ \t]*=[ \t]*([0-9]{1,6})[ \t]*\r?$", re.I | re.M)
_DIGITS: Final = frozenset("0123456789*#ABCD")
_CODES: Final = dict(zip(("10", "11", "12", "13", "14", "15"), "*#ABCD", strict=True))
"""How some peers write what is no decimal digit: by its event code."""
_USUAL_MS: Final = 160
_SHORTEST_MS: Final = 40
_LONGEST_MS: Final = 8000
_MOST_WAITING: Final = 32
_MASK: Final = "x"


@dataclass(slots=True)
class Dialled:
    """A digit and how long it was pressed."""

    digit: str = field(repr=False)
    duration_ms: int


def read_digits(content_type: bytes, body: bytes) -> Dialled | None:
    """The digit of an INFO, or None where it has none; never raises.

    Args:
        content_type: in lower case, without parameters.
        body: at most as large as a message may be.
    """
    duration_ms = _USUAL_MS
    if content_type == _RELAY:
        signal, duration = _SIGNAL.search(body), _DURATION.search(body)
        written = signal[1] if signal is not None else b""
        if duration is not None:
            duration_ms = min(max(int(duration[1]), _SHORTEST_MS), _LONGEST_MS)
    elif content_type == _DIGIT:
        written = body.strip()
    else:
        return None
    text = written.decode("ascii", "replace").upper()
    digit = _CODES.get(text, text)
    return Dialled(digit, duration_ms) if digit in _DIGITS else None


def body_of(way: Dtmf, dialled: Dialled) -> tuple[bytes, bytes]:
    """Content-Type line and body of an INFO with this digit, in a trunk's spelling."""
    digit = dialled.digit.encode()
    if way is Dtmf.INFO_DIGIT:
        return b"Content-Type: %b\r\n" % _DIGIT, digit
    body = b"Signal=%b\r\nDuration=%d\r\n" % (digit, dialled.duration_ms)
    return b"Content-Type: %b\r\n" % _RELAY, body


class Pressed(Protocol):
    """The call, as far as its digits need it."""

    core: Core
    exchange: Exchange
    id: str

    def other(self, leg: Leg) -> Leg:
        """The leg on the other side of this one."""


class CallDigits:
    """The digits of one call. Made when the first one comes.

    Args:
        call: whose they are.
    """

    __slots__ = ("_call", "_injected", "_lines")

    def __init__(self, call: Pressed) -> None:
        self._call: Pressed | None = call
        self._injected = 0
        self._lines: dict[str, _Line] = {}

    def heard(self, leg: Leg, dialled: Dialled, now: float) -> None:
        """The relay tells of a telephone-event of this leg's peer."""
        call = self._call
        if call is not None:
            _note(call, leg, dialled, "rtp")
            self._line(call.other(leg)).add(dialled, now)

    def received(
        self,
        leg: Leg,
        request: Request,
        reply: ReplyBase,
        txn: ServerTransaction,
        now: float,
        *,
        early: bool = False,
    ) -> bool:
        """An INFO. Returns whether it is answered here, for its digit has gone another way.

        Args:
            early: nobody has answered yet, so the relay alone can be asked.
        """
        call = self._call
        dialled = read_digits(request.content_type, request.body)
        if call is None or dialled is None:
            return False
        other = call.other(leg)
        counters = call.core.counters
        if call.exchange.has_events(leg.side) and not early:
            counters["digits_doubled"] += 1
        elif call.exchange.has_events(other.side):
            _note(call, leg, dialled, "info")
            self._injected += 1
            call.exchange.inject(other.side, self._injected, dialled.digit, dialled.duration_ms)
        elif not early and _respelt(
            leg.trunk.media.dtmf, other.trunk.media.dtmf, request.content_type
        ):
            _note(call, leg, dialled, "info")
            self._line(other).add(dialled, now)
        else:
            return False
        leg.respond(txn, reply, 200, b"", now)
        return True

    def close(self) -> None:
        """The call is over: what waits is not sent any more."""
        self._call = None
        for line in self._lines.values():
            line.close()
        self._lines.clear()

    def _line(self, leg: Leg) -> _Line:
        line = self._lines.get(leg.side)
        if line is None or line.leg is not leg:
            line = self._lines[leg.side] = _Line(leg)
        return line


class _Line:
    """INFOs to one peer, one after the other. The user of their transactions."""

    __slots__ = ("__weakref__", "_asked", "_waiting", "leg")

    def __init__(self, leg: Leg) -> None:
        self.leg = leg
        self._waiting: deque[Dialled] = deque()
        self._asked = False

    def add(self, dialled: Dialled, now: float) -> None:
        """Send this digit when its turn comes."""
        if len(self._waiting) >= _MOST_WAITING:  # the peer answers nothing
            self.leg.core.counters["digits_dropped"] += 1
            return
        self._waiting.append(dialled)
        self._next(now)

    def close(self) -> None:
        """Send no more."""
        self._waiting.clear()

    def on_response(self, response: Response, now: float) -> None:
        """A response of the peer."""
        if response.status >= 200:
            if response.status >= 300:
                self.leg.core.counters["digits_refused"] += 1
            self._over(now)

    def on_timeout(self, now: float) -> None:
        """No answer."""
        self.leg.core.counters["digits_refused"] += 1
        self._over(now)

    def on_transport_lost(self, now: float) -> None:
        """It could not be carried."""
        self.on_timeout(now)

    def on_timer(self, timer: IntEnum, now: float) -> None:
        """There is none."""

    def _over(self, now: float) -> None:
        self._asked = False
        self._next(now)

    def _next(self, now: float) -> None:
        leg = self.leg
        if self._asked or not self._waiting:
            return
        if leg.over or leg.owner is None:
            self._waiting.clear()
            return
        self._asked = True
        head, body = body_of(leg.trunk.media.dtmf, self._waiting.popleft())
        leg.ask(INFO, head, body, self, now)


def _respelt(source: Dtmf, target: Dtmf, content_type: bytes) -> bool:
    """Whether a digit that came by INFO goes across in other words."""
    if not (source.by_info and target.by_info):
        return False
    return content_type != (_DIGIT if target is Dtmf.INFO_DIGIT else _RELAY)


def _note(call: Pressed, leg: Leg, dialled: Dialled, way: str) -> None:
    """Count a digit, and say it in the call's log."""
    core = call.core
    core.counters[f"digits_{way}"] += 1
    if core.verbose:
        shown = dialled.digit if core.show_digits else _MASK
        fields = {"side": leg.side, "digit": shown, "duration_ms": dialled.duration_ms, "way": way}
        core.say(20, "leg.digit", call.id, **fields)
