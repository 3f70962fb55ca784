"""What the media of a call's legs differ in beyond addresses: keys, codecs, payload types, mux.

`sbc.call.media.plan` knows where packets go, this module what is in them. One `Terms` belongs to a
call that needs any: a trunk with SRTP or a codec policy, or a peer that offers SRTP or rtcp-mux or
answers under payload types of its own. It follows the exchange of offer and answer:

    offer(side, …)   what the leg that brings it says to it
    proposal()       ─▶ dresses of our offer to the other side; again for each further target
    answer(side, …)  ─▶ dresses of our answer to the side that offered, and `fill` for the plan
    stand_in(side, …)      the same, where that side is not asked
    answer_alone(side, …)  the peer of a side answers an offer of our own
    refused()        what held before holds again

An offer that a leg's rules do not allow is refused with 488 before the other side hears of it: no
stream is ever encrypted on one leg because the other is, nor clear because the other is (RFC 8862
§5: no silent downgrade). Keys are ours on each leg, others for each target, and the same while a
peer is in the call, so that a re-INVITE does not change them (RFC 4568 §7.1.4).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

from policies.media import PLAIN, RtcpMux, Srtp
from policies.settings import TrunkSettings
from relay.control.plans import End
from sbc.call.media.stream_terms import (
    CiphersUsed,
    Keys,
    StreamTerms,
    matched,
    other_side,
    policy_of,
    relay_key,
)
from sbc.errors import ProtocolError
from sbc.sdp.codecs import (
    CodecPolicy,
    Crossing,
    answered,
    answered_events,
    by_number,
    clock_rates,
    conversions,
    formats_text,
    is_event,
    offered,
    offered_events,
    payload_map,
    without_events,
)
from sbc.sdp.crypto import CryptoLine, Suite, crypto_lines, new_line
from sbc.sdp.facts import MediaFacts, UnsupportedMedia
from sbc.sdp.forms import FASTEST_HZ
from sbc.sdp.lines import Role
from sbc.sdp.model import Media, Session
from sbc.sdp.rewrite import Dress

__all__ = ["Terms", "concern", "concerns", "renumbered"]

_ALAW, _ULAW = 1, 2
"""`End.convert`: µ-law to A-law, A-law to µ-law."""
_DYNAMIC: Final = 35
"""From here on payload types mean what the description says (RFC 3551 §6)."""
_MUX: Final = b"\r\na=rtcp-mux"
_NOT_ACCEPTABLE: Final = 488
_BAD_ANSWER: Final = 502


def concern(trunk: TrunkSettings) -> bool:
    """Whether a trunk's calls need terms, whatever its peers say."""
    return trunk.media is not PLAIN and trunk.media != PLAIN


def concerns(session: Session) -> bool:
    """Whether a peer's offer needs terms, whatever the trunks say."""
    for media in session.media:  # a loop, for speed: of every offer
        form = media.form
        if form.secure or b"\r\na=rtcp-mux" in form.section.text:
            return True
    return False


def renumbered(offer: Session, answer: Session) -> bool:
    """Whether an answer calls an audio format otherwise than our offer, which had these types."""
    for asked, media in zip(offer.media, answer.media, strict=False):  # a loop, for speed
        theirs, ours = media.form, asked.form
        if theirs is ours or theirs.kind != b"audio" or media.port == 0:
            continue
        if not theirs.clock_rates.keys() <= ours.clock_rates.keys():
            return True
    return False


class Terms:
    """The terms of one call.

    Args:
        trunk_a: whose rules hold for the caller's leg; the other's are told by `retarget`.
        random: n → n random bytes, for keys.
    """

    __slots__ = ("_before", "_ours", "_random", "_streams", "_trunks", "_used")

    def __init__(self, trunk_a: TrunkSettings, random: Callable[[int], bytes]) -> None:
        self._trunks = {"a": trunk_a}
        self._random = random
        self._ours: dict[tuple[str, int, Suite], CryptoLine] = {}
        self._streams: dict[int, StreamTerms] = {}
        self._before: dict[int, StreamTerms] | None = None
        self._used = CiphersUsed()

    def retarget(self, trunk_b: TrunkSettings) -> None:
        """A target, or another one: its trunk's rules hold for side b, and keys of its own.

        Who was offered a key before could decrypt what this one is sent.
        """
        self._trunks["b"] = trunk_b
        self._ours = {key: line for key, line in self._ours.items() if key[0] != "b"}

    def offer(self, side: str, session: Session, facts: Sequence[MediaFacts]) -> None:
        """The peer of `side` has made an offer.

        Streams that these terms allow are marked as anchored in `facts`, those that they do not
        (the clear one beside a secure one) as not.

        Raises:
            UnsupportedMedia: 488 with what was expected, and what came, for whoever has sent it.
        """
        streams: dict[int, StreamTerms] = {}
        for index in _carried(session, facts, self._trunks[side]):
            media = session.media[index]
            stream = streams[index] = StreamTerms(side, media)
            stream.keys[side] = self._choose(side, index, media)
            stream.mux[side] = facts[index].rtcp_mux and self._takes_mux(side)
        self._before, self._streams = self._streams, streams

    def proposal(self, lines: int, known: Session | None = None) -> list[Dress | None]:
        """How our offer to the other side is dressed.

        Args:
            lines: m-lines of the offer.
            known: what that side's peer has said last, for payload types that it has named.

        Raises:
            ProtocolError: 488, no codec of the offer may be used on both legs.
        """
        dresses: list[Dress | None] = [None] * lines
        for index, stream in self._streams.items():
            named = () if known is None else known.media[index : index + 1]
            dresses[index] = self._propose(index, stream, named)
        return dresses

    def answer(
        self, side: str, session: Session, facts: Sequence[MediaFacts]
    ) -> list[Dress | None]:
        """The peer of `side` has answered; how our answer to the other side is dressed.

        May be called again with another answer to the same offer: that of another fork, or of the
        final response.

        Raises:
            ProtocolError: 502 for an answer without the key that we require, 488 for one that
                leaves no codec.
        """
        dresses: list[Dress | None] = [None] * len(facts)
        for index, stream in self._streams.items():
            if index < len(facts) and session.media[index].port:
                media = session.media[index]
                self._accept(side, media, facts[index], stream)
                facts[index].anchored = True
                dresses[index] = self._reply(side, media, stream)
        return dresses

    def answer_alone(self, side: str, session: Session, facts: Sequence[MediaFacts]) -> None:
        """The peer of `side` has answered an offer of ours that nobody on the other side has made.

        It is open as one of `offer` is: until `agreed` or `refused`.

        Raises:
            ProtocolError: 502 for an answer without the key that it must have.
        """
        if self._before is None:
            self._before, self._streams = (
                self._streams,
                {index: stream.copy() for index, stream in self._streams.items()},
            )
        for index, stream in self._streams.items():
            if index < len(facts) and session.media[index].port:
                media = session.media[index]
                if side == stream.offerer:
                    self._renew(side, media, facts[index], stream)
                else:
                    self._accept(side, media, facts[index], stream)
                facts[index].anchored = True

    def stand_in(self, side: str, session: Session) -> list[Dress | None]:
        """As `answer`, for a peer of `side` that is not asked: this is what it said last, to the
        keys that it has."""
        before = self._before or {}
        dresses: list[Dress | None] = [None] * len(session.media)
        for index, stream in self._streams.items():
            media = session.media[index]
            if media.port:
                if index in before:
                    stream.keys[side] = before[index].keys[side]
                    stream.mux[side] = before[index].mux[side]
                self._take_formats(media, stream)
                dresses[index] = self._reply(side, media, stream)
        self._streams = before | self._streams  # it knows of none that it would be without
        return dresses

    def carries(self, index: int, number: int) -> bool | None:
        """Whether the answerer's format of this number is taken; None: no terms say."""
        stream = self._streams.get(index)
        if stream is None or stream.crossings is None:
            return None
        return any(number in (one.answerer, one.answered) for one in stream.taken)

    @property
    def is_open(self) -> bool:
        """Whether an exchange has begun that is neither agreed nor refused."""
        return self._before is not None

    def agreed(self) -> None:
        """The exchange is complete: it can no longer be taken back."""
        self._before = None

    def refused(self) -> None:
        """The open offer came to nothing."""
        if self._before is not None:
            self._streams, self._before = self._before, None

    def fill(self, side: str, index: int, end: End) -> None:
        """Write what holds for one end of a stream into the plan."""
        stream = self._streams.get(index)
        if stream is None:
            return
        keys = stream.keys[side]
        end.srtp_in, end.srtp_out = relay_key(keys.theirs), relay_key(keys.ours)
        end.rtcp_mux = stream.mux[side]
        media = self._trunks[side].media
        end.continuity, end.strict = media.continuity, media.strict
        end.rtcp_bye, end.rtcp_app = media.rtcp_bye, media.rtcp_app
        if stream.crossings is not None:
            from_offerer = side == stream.offerer
            end.payloads = payload_map(stream.taken, from_offerer=from_offerer)
            end.convert = {
                number: _ALAW if law == b"PCMA" else _ULAW
                for number, law in conversions(stream.taken, from_offerer=from_offerer).items()
            }
            meant = by_number(stream.taken, from_offerer=from_offerer)
            rates = {number: one.clock_rate for number, one in meant.items()}
            numbers = {number: hz for number, hz in rates.items() if 0 < hz <= FASTEST_HZ}
            end.clock_rates = {**end.clock_rates, **numbers}
            end.codecs = {
                number: one.name.decode("ascii", "replace")
                for number, one in meant.items()
                if number >= _DYNAMIC and not is_event(one)
            }
            if side in stream.events:
                end.dtmf_reported = stream.events[side]
                end.dtmf_pt = end.dtmf_reported[0]

    def events_of(self, side: str) -> int | None:
        """The stream in which this side's digits are events that do not pass; None: none."""
        for index, stream in self._streams.items():
            if side in stream.events:
                return index
        return None

    def note_use(self, enabled: Collection[int]) -> list[tuple[str, int]]:
        """See `CiphersUsed.note`."""
        return self._used.note(self._streams, enabled)

    def ciphers(self, side: str) -> list[str]:
        """See `CiphersUsed.names`."""
        return self._used.names(self._streams, side)

    # Keys

    def _choose(self, side: str, index: int, media: Media) -> Keys:
        """Of the lines that a peer offers, the one that this leg likes best."""
        trunk = self._trunks[side]
        if trunk.media.srtp is Srtp.OFF:
            return Keys()
        lines, reasons = crypto_lines(media.section.lines)
        by_suite = {line.suite.sdp_name: line for line in reversed(lines)}
        best = next((by_suite[name] for name in trunk.media.suites if name in by_suite), None)
        if best is not None:
            return Keys(best, self._own_line(side, index, best))
        if media.form.secure or trunk.media.srtp is Srtp.REQUIRED:
            unwanted = [f"suite {name} is not allowed" for name in by_suite]
            detail = "; ".join(reasons + unwanted) or "no a=crypto line"
            raise UnsupportedMedia(
                f"m-line {index + 1}: expected SRTP by a suite of ours: {detail}"
            )
        return Keys()

    def _own_line(self, side: str, index: int, theirs: CryptoLine) -> CryptoLine:
        """Our line in an answer: the peer's tag and suite, our key (RFC 4568 §5.1.2)."""
        ours = self._own(side, index, theirs.suite)
        return CryptoLine(theirs.tag, theirs.suite, theirs.suite_word, ours.key)

    def _own(self, side: str, index: int, suite: Suite) -> CryptoLine:
        key = side, index, suite
        line = self._ours.get(key)
        if line is None:
            tag = 1 + sum(side == one[0] and index == one[1] for one in self._ours)
            line = self._ours[key] = new_line(tag, suite, self._random)
        return line

    def _takes_mux(self, side: str) -> bool:
        return self._trunks[side].media.rtcp_mux is not RtcpMux.OFF

    # Our offer

    def _propose(self, index: int, stream: StreamTerms, known: Sequence[Media]) -> Dress:
        """How our offer to the side that has not offered is dressed."""
        other = other_side(stream.offerer)
        trunk = self._trunks[other]
        further = b""
        stream.proposed = {}
        if trunk.media.srtp is not Srtp.OFF:
            for name in trunk.media.suites:
                line = self._own(other, index, Suite[name])
                stream.proposed[line.tag] = line
                further += line.text()
        stream.required = trunk.media.srtp is Srtp.REQUIRED
        stream.offered_mux = trunk.media.rtcp_mux is RtcpMux.OFFER
        if stream.offered_mux:
            further += _MUX
        feedback = b"F" if stream.offer.proto[-1:] == b"F" else b""
        proto = (b"RTP/SAVP" if stream.required else b"RTP/AVP") + feedback
        types, rest = self._formats_offered(index, stream, known)
        return Dress(proto, types, rest, further)

    def _formats_offered(
        self, index: int, stream: StreamTerms, known: Sequence[Media]
    ) -> tuple[bytes, bytes | None]:
        """Payload types and lines of our offer; nothing where they cross as they are."""
        media = stream.offer
        if media.kind != b"audio":
            return b"", None
        here, there = self._codecs(stream.offerer), self._codecs(other_side(stream.offerer))
        named = known[0].form.formats if known and known[0].port else ()
        stream.crossings = offered(media.form, here, there, named)
        wanted = self._converts_digits_of(other_side(stream.offerer))
        if wanted:
            stream.crossings += offered_events(stream.crossings, named)
        if not stream.crossings:
            names = b", ".join(name or b"?" for _, name, _ in media.form.formats)
            raise ProtocolError(
                f"m-line {index + 1}: none of its codecs may be used on both legs:"
                f" {names.decode('ascii', 'replace')}",
                status=_NOT_ACCEPTABLE,
            )
        numbers = [(one.answerer, one) for one in stream.crossings]
        return formats_text(media.form, numbers, there.ptime_ms)

    def _codecs(self, side: str) -> CodecPolicy:
        policy = policy_of(self._trunks[side].media.codecs)
        return without_events(policy) if self._trunks[side].media.dtmf.by_info else policy

    def _converts_digits_of(self, side: str) -> bool:
        """Whether this side's digits are telephone-events, and the other's go by INFO."""
        own, others = self._trunks[side].media.dtmf, self._trunks[other_side(side)].media.dtmf
        return others.by_info and not own.by_info

    # The answer

    def _accept(self, side: str, media: Media, facts: MediaFacts, stream: StreamTerms) -> None:
        """What the peer that was offered has taken."""
        lines, reasons = crypto_lines(media.section.lines) if stream.proposed else ([], [])
        keys = matched(lines, stream.proposed)
        if keys.theirs is None and (stream.required or media.form.secure):
            detail = "; ".join(reasons) or "no a=crypto line that answers ours"
            raise ProtocolError(
                f"trunk {self._trunks[side].name}: expected SRTP in the answer: {detail}",
                status=_BAD_ANSWER,
            )
        stream.keys[side] = keys
        stream.mux[side] = stream.offered_mux and facts.rtcp_mux
        self._take_formats(media, stream)

    def _take_formats(self, media: Media, stream: StreamTerms) -> None:
        if stream.crossings is not None:
            stream.taken = answered(stream.crossings, media.form, self._codecs(stream.offerer))
            if not stream.taken:
                raise ProtocolError("an answer without a codec of the offer", status=_BAD_ANSWER)
            self._take_events(stream)

    def _renew(self, side: str, media: Media, facts: MediaFacts, stream: StreamTerms) -> None:
        """What the offerer says to our last answer, which it hears as an offer."""
        ours = stream.keys[side].ours
        if ours is not None:
            keys = matched(crypto_lines(media.section.lines)[0], {ours.tag: ours})
            if keys.theirs is None:
                raise ProtocolError("expected SRTP as before", status=_BAD_ANSWER)
            stream.keys[side] = keys
        offered = stream.offer.form.section.said[Role.RTCP_MUX] is not None
        stream.mux[side] = offered and self._takes_mux(side) and facts.rtcp_mux

    def _take_events(self, stream: StreamTerms) -> None:
        """Digits of one side alone: under which payload type, and in our answer if it offered."""
        stream.events = {}
        answerer = other_side(stream.offerer)
        if self._converts_digits_of(answerer):
            events = [one for one in stream.taken if is_event(one)]
            stream.taken = [one for one in stream.taken if not is_event(one)]
            self._note_events(answerer, events, stream)
        elif self._converts_digits_of(stream.offerer):
            events = answered_events(stream.taken, stream.offer.form)
            self._note_events(stream.offerer, events, stream)
            stream.taken += events

    def _note_events(self, side: str, events: list[Crossing], stream: StreamTerms) -> None:
        """Digits are sent at the clock of the first codec; they come under any number that was
        offered or answered."""
        if events:
            clock_rate = clock_rates(stream.taken)[0]
            events = sorted(events, key=lambda one: one.clock_rate != clock_rate)
            numbers = [one.answered for one in events] + [one.answerer for one in events]
            stream.events[side] = tuple(dict.fromkeys(one for one in numbers if one >= 0))

    def _reply(self, side: str, media: Media, stream: StreamTerms) -> Dress:
        """How our answer to the offerer is dressed."""
        offerer = other_side(side)
        ours = stream.keys[offerer].ours
        further = ours.text() if ours is not None else b""
        if stream.mux[offerer]:
            further += _MUX
        if stream.crossings is None:
            return Dress(further=further)
        numbers = [(one.offerer, one) for one in stream.taken]
        types, rest = formats_text(media.form, numbers, self._codecs(offerer).ptime_ms)
        return Dress(payload_types=types, rest=rest, further=further)


def _carried(session: Session, facts: Sequence[MediaFacts], trunk: TrunkSettings) -> list[int]:
    """Indices of the streams that are carried; `facts` say the same from now on.

    Of a secure and a clear m-line for one stream (best effort in two m-lines) the secure one is
    taken where the trunk's rules have it, and the other left in its place with port 0.
    """
    secure = [
        index for index, media in enumerate(session.media) if media.port and media.form.secure
    ]
    taken: list[int] = []
    doubled: set[str] = set()
    for index in secure:
        kind = facts[index].kind
        clear_too = any(one.anchored and one.kind == kind for one in facts)
        if trunk.media.srtp is Srtp.OFF:
            if not clear_too:
                raise UnsupportedMedia(f"{kind} offered only in SRTP, which is off")
            continue
        facts[index].anchored = True
        taken.append(index)
        doubled.add(kind)
    for media in facts:
        if media.anchored and media.index not in taken:
            if media.kind in doubled and not session.media[media.index].form.secure:
                media.anchored = False
            else:
                taken.append(media.index)
    return sorted(taken)
