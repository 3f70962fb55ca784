"""Which codecs cross, in which order, and under which payload type on each leg (RFC 3264 §5, §6).

One audio stream has a list of `Crossing`s: what the offerer calls a format, what we call it towards
the other side, and, after its answer, what that side calls it. The relay maps packets by the same
list, so a peer never sees another number than its own. G.711 is converted between its two laws
where the two sides would else have no codec in common.

telephone-event follows the codecs: it stays unless it is stripped by name. Where the two sides
send digits in different ways, one side has it alone, in words of ours (`offered_events`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sbc.sdp.forms import Form
from sbc.sdp.lines import MEANINGS, Role

__all__ = [
    "CodecPolicy",
    "Crossing",
    "answered",
    "answered_events",
    "by_number",
    "clock_rates",
    "conversions",
    "formats_text",
    "is_event",
    "offered",
    "offered_events",
    "payload_map",
    "without_events",
]

_EVENTS: Final = b"TELEPHONE-EVENT"
_AUXILIARY: Final = frozenset((_EVENTS, b"CN", b"RED"))
_LAWS: Final = {b"PCMU": (0, b"PCMA", 8), b"PCMA": (8, b"PCMU", 0)}
"""G.711: each law's static payload type, and the other law with its own (RFC 3551 §6)."""
_DYNAMIC: Final = range(96, 128)
_USUAL_EVENTS: Final = 101
"""What nearly everybody calls telephone-event."""
_OF_FORMAT: Final = re.compile(rb"a=(rtpmap|fmtp|rtcp-fb):([0-9]{1,3})( [^\r\n]*)", re.IGNORECASE)
_MAXPTIME: Final = re.compile(rb"a=maxptime:0*([1-9][0-9]{0,4}) *", re.IGNORECASE)
_NUMBERS: Final = re.compile(rb"[0-9]{1,3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecPolicy:
    """What one leg may use. Names are upper case, with `/clock` where that matters."""

    allow: frozenset[bytes] | None = None
    """None: all."""
    strip: frozenset[bytes] = frozenset()
    order: tuple[bytes, ...] = ()
    """These first, in this order."""
    single: bool = False
    """One codec in each description of ours, for peers that do not cope with more."""
    ptime_ms: int = 0
    """What our descriptions ask for; 0: what the other side says."""

    def takes(self, name: bytes, clock_rate: int) -> bool:
        """Whether a format may be used."""
        words = {name, b"%b/%d" % (name, clock_rate)}
        if words & self.strip:
            return False
        return self.allow is None or name == _EVENTS or bool(words & self.allow)

    def rank(self, name: bytes, clock_rate: int) -> int:
        """Its place by `order`; behind all that are named otherwise."""
        for place, word in enumerate(self.order):
            if word in (name, b"%b/%d" % (name, clock_rate)):
                return place
        return len(self.order)


@dataclass(slots=True)
class Crossing:
    """One format on both legs."""

    name: bytes
    """Upper case."""
    clock_rate: int
    offerer: int
    """Its payload type on the leg of the side that made the offer."""
    answerer: int
    """Its payload type in our offer to the other side."""
    converted: bool = False
    """The other law of G.711 on the answerer's leg."""
    answered: int = field(default=-1)
    """What the answerer calls it; -1: it has not taken it."""
    own: bool = False
    """One side alone has it, by a line of ours; its number on the other side is -1."""


def offered(
    form: Form,
    here: CodecPolicy,
    there: CodecPolicy,
    known: Sequence[tuple[int, bytes, int]] = (),
) -> list[Crossing]:
    """What of an audio offer goes on, in the order in which we offer it. Empty: no codec is left.

    Args:
        form: the offer's m-line.
        here: the policy of the leg that it came on.
        there: that of the leg that it goes to.
        known: payload type, name and clock rate of what that leg's peer has named before: a number
            keeps its meaning for the life of a dialog (RFC 3264 §8.3.2).
    """
    numbers = _Numbers(known)
    found: list[Crossing] = []
    present = {name.upper() for _, name, rate in form.formats if here.takes(name.upper(), rate)}
    for payload_type, written, clock_rate in form.formats:
        name = written.upper()
        if not here.takes(name, clock_rate):
            continue
        if there.takes(name, clock_rate):
            number = numbers.of(payload_type, name, clock_rate)
            found.append(Crossing(name, clock_rate, payload_type, number))
        elif name in _LAWS:
            _, other, number = _LAWS[name]
            if other not in present and there.takes(other, 8000):
                found.append(Crossing(other, 8000, payload_type, number, converted=True))
    found.sort(key=lambda one: there.rank(one.name, one.clock_rate))
    return _usable(found[:1] + _aside(found[1:]) if there.single else found)


def is_event(one: Crossing) -> bool:
    """Whether it is telephone-event (RFC 4733)."""
    return one.name == _EVENTS


def without_events(policy: CodecPolicy) -> CodecPolicy:
    """The same policy for a side whose digits go another way."""
    return replace(policy, strip=policy.strip | {_EVENTS})


def clock_rates(crossings: Iterable[Crossing]) -> list[int]:
    """Of the codecs among them, each once, in their order."""
    rates = [one.clock_rate for one in crossings if one.name not in _AUXILIARY]
    return list(dict.fromkeys(rates))


def offered_events(
    crossings: Sequence[Crossing], known: Sequence[tuple[int, bytes, int]] = ()
) -> list[Crossing]:
    """telephone-event for the side that is offered these codecs alone: one for each clock among
    them, as events share the timestamps of the audio (RFC 4733 §2.1).

    Args:
        known: as for `offered`.
    """
    numbers = _Numbers([*known, *((one.answerer, one.name, one.clock_rate) for one in crossings)])
    return [
        Crossing(_EVENTS, rate, -1, numbers.of(_USUAL_EVENTS, _EVENTS, rate), own=True)
        for rate in sorted(clock_rates(crossings))  # 8000 Hz gets the number that all use for it
    ]


def answered_events(taken: Iterable[Crossing], form: Form) -> list[Crossing]:
    """telephone-event for the offerer alone: of what it offers, that of the codecs' clocks, else
    the first, for many offer 8000 Hz beside any codec.

    Args:
        taken: of the answer.
        form: the offer's m-line.
    """
    found = [
        Crossing(_EVENTS, rate, number, -1, answered=number, own=True)
        for number, name, rate in form.formats
        if name.upper() == _EVENTS and rate
    ]
    rates = clock_rates(taken)
    return [one for one in found if one.clock_rate in rates] or found[:1]


def answered(crossings: Iterable[Crossing], form: Form, policy: CodecPolicy) -> list[Crossing]:
    """What of our offer the answer takes, in the order in which we answer the offerer.

    Formats that we had not offered are passed over (RFC 3264 §6.1 forbids them; peers send them).

    Args:
        crossings: of the offer.
        form: the answer's m-line.
        policy: that of the offerer's leg.
    """
    open_ = list(crossings)
    taken: list[Crossing] = []
    for payload_type, written, clock_rate in form.formats:
        name = written.upper()
        for one in open_:
            same_format = name == one.name and clock_rate == one.clock_rate
            if payload_type == one.answerer and (same_format or not written):
                break
        else:
            for one in open_:  # by another number than ours: legal, and common
                if name == one.name and clock_rate == one.clock_rate:
                    break
            else:
                continue
        open_.remove(one)
        one.answered = payload_type
        taken.append(one)
    taken.sort(key=lambda one: policy.rank(_at_offerer(one), one.clock_rate))
    return _usable(taken[:1] + _aside(taken[1:]) if policy.single else taken)


def payload_map(crossings: Iterable[Crossing], *, from_offerer: bool) -> dict[int, int]:
    """Payload types of packets from one side → as the other side knows them; the same number on
    both is left out."""
    pairs = {
        number: one.answered if from_offerer else one.offerer
        for number, one in by_number(crossings, from_offerer=from_offerer).items()
    }
    return {key: value for key, value in pairs.items() if key != value}


def by_number(crossings: Iterable[Crossing], *, from_offerer: bool) -> dict[int, Crossing]:
    """What each payload type of packets from one side means, without what that side has alone.

    An answerer sends by the offer's numbers (RFC 3264 §5.1); many send by their own answer's, which
    therefore hold, too, where they do not contradict.
    """
    both = [one for one in crossings if not one.own]
    if from_offerer:
        return {one.offerer: one for one in both}
    return {one.answered: one for one in both} | {one.answerer: one for one in both}


def conversions(crossings: Iterable[Crossing], *, from_offerer: bool) -> dict[int, bytes]:
    """Payload types of packets from one side → the law that they are to be converted to."""
    return {
        number: one.name if from_offerer else _at_offerer(one)
        for number, one in by_number(crossings, from_offerer=from_offerer).items()
        if one.converted
    }


def formats_text(
    form: Form, numbers: Sequence[tuple[int, Crossing]], ptime_ms: int
) -> tuple[bytes, bytes]:
    """The payload types of an m-line of ours and the lines behind it, each with CRLF before it.

    Args:
        form: the m-line whose words we repeat.
        numbers: what we call each format and which one it is, in our order. Its own number in
            `form` is `offerer` where the form is an offer, else `answered`.
        ptime_ms: in the place of what the form says; 0 leaves that. It is a recommendation, and
            gives way to `a=maxptime`, more than which the form's sender cannot take.
    """
    ours: dict[bytes, bytes] = {}
    synthetic: list[bytes] = []
    listed: list[bytes] = []
    for number, one in numbers:
        written = b"%d" % number
        listed.append(written)
        if one.own:
            synthetic.append(b"\r\na=rtpmap:%d telephone-event/%d" % (number, one.clock_rate))
            synthetic.append(b"\r\na=fmtp:%d 0-15" % number)
        elif one.converted:
            law = _at_offerer(one) if one.answered >= 0 else one.name
            synthetic.append(b"\r\na=rtpmap:%d %b/8000" % (number, law))
        else:
            own = one.answered if one.answered >= 0 else one.offerer
            ours[b"%d" % own] = written
    out: list[bytes] = []
    for line in form.section.lines:
        meant = MEANINGS[line]
        if not meant.crosses or line[:2] == b"b=" or meant.role is Role.TIMING:
            continue
        if ptime_ms and meant.role is Role.PTIME:
            continue
        if ptime_ms and (most := _MAXPTIME.fullmatch(line)):
            ptime_ms = min(ptime_ms, int(most[1]))
        match = _OF_FORMAT.fullmatch(line)
        if match is None:
            out.append(b"\r\n" + line)
        elif match[2] in ours:
            value = _references(match[1], match[3], ours)
            out.append(b"\r\na=%b:%b%b" % (match[1], ours[match[2]], value))
    if ptime_ms:
        out.append(b"\r\na=ptime:%d" % ptime_ms)
    return b" ".join(listed), b"".join(synthetic + out)


class _Numbers:
    """Payload types on one leg, each with one meaning."""

    def __init__(self, known: Sequence[tuple[int, bytes, int]]) -> None:
        self._by_format = {(name.upper(), rate): number for number, name, rate in reversed(known)}
        self._taken = {number: (name.upper(), rate) for number, name, rate in known}

    def of(self, wanted: int, name: bytes, clock_rate: int) -> int:
        """The number for a format: the one it has here, else the one it has on the other leg if
        that is free here, else a free one."""
        key = name, clock_rate
        if self._taken.get(wanted) == key:
            number = wanted
        elif key in self._by_format:
            number = self._by_format.pop(key)
        elif wanted not in self._taken:
            number = wanted
        else:
            number = next((one for one in _DYNAMIC if one not in self._taken), wanted)
        self._taken[number] = key
        return number


def _at_offerer(one: Crossing) -> bytes:
    """The format's name on the offerer's leg."""
    return _LAWS[one.name][1] if one.converted else one.name


def _aside(rest: list[Crossing]) -> list[Crossing]:
    """What may stand beside a single codec."""
    return [one for one in rest if one.name == _EVENTS]


def _usable(found: list[Crossing]) -> list[Crossing]:
    """Events and comfort noise alone are no call."""
    return found if any(one.name not in _AUXILIARY for one in found) else []


def _references(attribute: bytes, value: bytes, ours: dict[bytes, bytes]) -> bytes:
    """Payload types inside `a=fmtp` of redundancy: "96/97" and "apt=96" (RFC 2198, RFC 4588)."""
    if attribute.lower() != b"fmtp":
        return value
    body = value.strip()
    if not re.fullmatch(rb"[0-9]{1,3}(?:/[0-9]{1,3})+|apt=[0-9]{1,3}", body):
        return value
    return b" " + _NUMBERS.sub(lambda match: ours.get(match[0], match[0]), body)
