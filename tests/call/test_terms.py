"""What the legs' media differ in: keys, codecs, mux, and that nothing is downgraded in silence."""

from __future__ import annotations

import itertools
from base64 import b64encode

import pytest

from policies.media import CodecSettings, Dtmf, RtcpMux, Srtp, TrunkMedia
from policies.settings import TrunkSettings
from relay.control.plans import End
from sbc.call.media.terms import Terms, concern, concerns
from sbc.errors import ProtocolError
from sbc.sdp.crypto import parse_crypto
from sbc.sdp.facts import MediaFacts, describe
from sbc.sdp.model import Session
from sbc.sdp.parser import parse
from sbc.sdp.rewrite import Anchor, content

THEIR_KEY = b64encode(bytes(range(30)))
CRYPTO = b"a=crypto:4 AES_CM_128_HMAC_SHA1_80 inline:" + THEIR_KEY + b"\r\n"


def sdp(media: bytes, lines: bytes = b"") -> Session:
    return parse(
        b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
        b"m=" + media + b"\r\n" + lines
    )


def trunk(name: str, **media: object) -> TrunkSettings:
    settings = TrunkMedia(**media)  # type: ignore[arg-type]
    return TrunkSettings(name=name, realm=name, peers=(), sources=(), media=settings)


class Exchange:
    """Both legs' descriptions of ours, by way of the terms."""

    def __init__(self, a: TrunkSettings, b: TrunkSettings) -> None:
        counter = itertools.count(1)
        self.terms = Terms(a, lambda count: bytes([next(counter)]) * count)
        self.terms.retarget(b)
        self.offer_session: Session | None = None

    def offer(self, session: Session, side: str = "a") -> bytes:
        self.offer_session = session
        self.terms.offer(side, session, describe(session))
        dresses = self.terms.proposal(len(session.media))
        anchors = [Anchor("203.0.113.1", 4000 + 2 * at, one) for at, one in enumerate(dresses)]
        return content(session, anchors, "203.0.113.1")

    def answer(self, session: Session, side: str = "b") -> bytes:
        facts = describe(session)
        dresses = self.terms.answer(side, session, facts)
        anchors = [Anchor("10.0.0.1", 5000 + 2 * at, one) for at, one in enumerate(dresses)]
        return content(session, anchors, "10.0.0.1", self.offer_session)

    def end(self, side: str, index: int = 0) -> End:
        end = End("realm", "203.0.113.1", 4000)
        self.terms.fill(side, index, end)
        return end


def lines(text: bytes, start: bytes) -> list[bytes]:
    return [line for line in text.split(b"\r\n") if line.startswith(start)]


CLEAR = sdp(b"audio 4000 RTP/AVP 0 8")
SECURE = sdp(b"audio 4000 RTP/SAVP 0 8", CRYPTO)


def test_a_plain_trunk_is_no_concern() -> None:
    assert not concern(trunk("a"))
    assert concern(trunk("a", srtp=Srtp.PREFERRED))
    assert concern(trunk("a", codecs=CodecSettings(single=True)))
    assert not concerns(CLEAR)
    assert concerns(SECURE)
    assert concerns(sdp(b"audio 4000 RTP/AVP 0", b"a=rtcp-mux\r\n"))


def test_clear_inside_secure_outside() -> None:
    call = Exchange(trunk("pbx"), trunk("carrier", srtp=Srtp.REQUIRED))
    offer = call.offer(CLEAR)
    assert lines(offer, b"m=") == [b"m=audio 4000 RTP/SAVP 0 8"]
    ours = [parse_crypto(line) for line in lines(offer, b"a=crypto")]
    assert [line.suite.sdp_name for line in ours] == list(TrunkMedia().suites)
    assert len({line.key for line in ours}) == len(ours)

    theirs = b"a=crypto:4 AES_CM_128_HMAC_SHA1_80 inline:" + THEIR_KEY + b"\r\n"
    answer = call.answer(sdp(b"audio 6000 RTP/SAVP 0", theirs))
    assert lines(answer, b"m=") == [b"m=audio 5000 RTP/AVP 0"]
    assert not lines(answer, b"a=crypto")

    end = call.end("b")
    assert end.srtp_in is not None
    assert end.srtp_in.key == bytes(range(30))
    assert end.srtp_out is not None
    assert end.srtp_out.key == ours[3].key
    assert call.end("a").srtp_in is call.end("a").srtp_out is None
    assert call.terms.ciphers("a") == ["none"]
    assert call.terms.ciphers("b") == ["AES_CM_128_HMAC_SHA1_80"]


def test_secure_inside_clear_outside() -> None:
    call = Exchange(trunk("phones", srtp=Srtp.PREFERRED), trunk("carrier"))
    assert lines(call.offer(SECURE), b"m=") == [b"m=audio 4000 RTP/AVP 0 8"]
    answer = call.answer(sdp(b"audio 6000 RTP/AVP 8"))
    assert lines(answer, b"m=") == [b"m=audio 5000 RTP/SAVP 8"]
    (ours,) = [parse_crypto(line) for line in lines(answer, b"a=crypto")]
    assert (ours.tag, ours.suite.sdp_name) == (4, "AES_CM_128_HMAC_SHA1_80")
    assert ours.key != bytes(range(30))
    assert call.end("a").srtp_out is not None


def test_both_secure_have_keys_of_their_own() -> None:
    call = Exchange(trunk("a", srtp=Srtp.REQUIRED), trunk("b", srtp=Srtp.REQUIRED))
    offer = call.offer(SECURE)
    assert THEIR_KEY not in offer
    call.answer(sdp(b"audio 6000 RTP/SAVP 8", CRYPTO))
    a, b = call.end("a"), call.end("b")
    assert a.srtp_out is not None
    assert b.srtp_out is not None
    assert a.srtp_out.key != b.srtp_out.key


def test_preferred_offers_both_and_takes_either() -> None:
    for answer, cipher in ((b"", "none"), (CRYPTO, "AES_CM_128_HMAC_SHA1_80")):
        call = Exchange(trunk("a"), trunk("b", srtp=Srtp.PREFERRED))
        offer = call.offer(CLEAR)
        assert lines(offer, b"m=") == [b"m=audio 4000 RTP/AVP 0 8"]  # RFC 8643
        assert lines(offer, b"a=crypto")
        call.answer(sdp(b"audio 6000 RTP/AVP 0", answer))
        assert call.terms.ciphers("b") == [cipher]


@pytest.mark.parametrize(
    ("use", "session", "words"),
    [
        (Srtp.OFF, SECURE, "audio offered only in SRTP, which is off"),
        (Srtp.REQUIRED, CLEAR, "m-line 1: expected SRTP by a suite of ours: no a=crypto line"),
        (
            Srtp.REQUIRED,
            sdp(b"audio 4000 RTP/SAVP 0", b"a=crypto:1 F8_128_HMAC_SHA1_80 inline:AAAA\r\n"),
            "F8_128_HMAC_SHA1_80 is not one of ours",
        ),
        (Srtp.PREFERRED, sdp(b"audio 4000 RTP/SAVP 0"), "no a=crypto line"),
    ],
)
def test_an_offer_against_the_rules_is_refused_with_its_reason(
    use: Srtp, session: Session, words: str
) -> None:
    call = Exchange(trunk("a", srtp=use), trunk("b"))
    with pytest.raises(ProtocolError, match=words) as caught:
        call.offer(session)
    assert caught.value.status == 488


@pytest.mark.parametrize(
    "lines_",
    [
        b"",
        b"a=crypto:9 AES_CM_128_HMAC_SHA1_80 inline:" + THEIR_KEY + b"\r\n",  # no tag of ours
        b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + THEIR_KEY + b"\r\n",  # another suite's
    ],
)
def test_an_answer_without_the_key_we_require_is_refused(lines_: bytes) -> None:
    call = Exchange(trunk("a"), trunk("b", srtp=Srtp.REQUIRED))
    call.offer(CLEAR)
    with pytest.raises(ProtocolError, match="expected SRTP in the answer") as caught:
        call.answer(sdp(b"audio 6000 RTP/SAVP 0", lines_))
    assert caught.value.status == 502


def test_our_keys_stay_over_a_reinvite_and_a_refused_one_changes_nothing() -> None:
    call = Exchange(trunk("a"), trunk("b", srtp=Srtp.REQUIRED))
    first = call.offer(CLEAR)
    call.answer(sdp(b"audio 6000 RTP/SAVP 0", CRYPTO))
    call.terms.agreed()
    before = call.end("b")
    assert lines(call.offer(CLEAR), b"a=crypto") == lines(first, b"a=crypto")
    call.terms.refused()
    assert call.end("b") == before


def test_best_effort_in_two_m_lines_takes_the_secure_one() -> None:
    text = b"audio 4000 RTP/SAVP 0\r\n" + CRYPTO + b"m=audio 4002 RTP/AVP 0"
    call = Exchange(trunk("a", srtp=Srtp.PREFERRED), trunk("b"))
    session = sdp(text)
    facts = describe(session)
    call.terms.offer("a", session, facts)
    assert [media.anchored for media in facts] == [True, False]
    call = Exchange(trunk("a"), trunk("b"))
    facts = describe(session)
    call.terms.offer("a", session, facts)
    assert [media.anchored for media in facts] == [False, True]


def test_codecs_and_numbers_of_the_plan() -> None:
    a = trunk("a", codecs=CodecSettings(allow=("pcmu",)))
    b = trunk("b", codecs=CodecSettings(allow=("PCMA",)))
    call = Exchange(a, b)
    phone = sdp(b"audio 4000 RTP/AVP 0 8 101", b"a=rtpmap:101 telephone-event/8000\r\n")
    assert lines(call.offer(phone), b"m=") == [b"m=audio 4000 RTP/AVP 8 101"]
    answer = sdp(b"audio 6000 RTP/AVP 8 96", b"a=rtpmap:96 telephone-event/8000\r\n")
    assert lines(call.answer(answer), b"m=") == [b"m=audio 5000 RTP/AVP 0 101"]
    end_a, end_b = call.end("a"), call.end("b")
    assert (end_a.payloads, end_a.convert) == ({0: 8, 101: 96}, {0: 1})
    assert (end_b.payloads, end_b.convert) == ({8: 0, 96: 101}, {8: 2})


def test_no_codec_left_is_488() -> None:
    call = Exchange(trunk("a"), trunk("b", codecs=CodecSettings(allow=("G729",))))
    with pytest.raises(ProtocolError, match="none of its codecs may be used on both legs"):
        call.offer(CLEAR)


@pytest.mark.parametrize(
    ("a", "b", "offered", "answered", "muxed"),
    [
        (RtcpMux.ACCEPT, RtcpMux.ACCEPT, True, False, (True, False)),
        (RtcpMux.OFF, RtcpMux.ACCEPT, True, False, (False, False)),
        (RtcpMux.ACCEPT, RtcpMux.OFFER, False, True, (False, True)),
        (RtcpMux.ACCEPT, RtcpMux.OFFER, True, True, (True, True)),
        (RtcpMux.ACCEPT, RtcpMux.OFFER, False, False, (False, False)),
    ],
)
def test_mux_on_either_side(
    a: RtcpMux, b: RtcpMux, offered: bool, answered: bool, muxed: tuple[bool, bool]
) -> None:
    mux = {True: b"a=rtcp-mux\r\n", False: b""}
    call = Exchange(trunk("a", rtcp_mux=a), trunk("b", rtcp_mux=b))
    offer = call.offer(sdp(b"audio 4000 RTP/AVP 0", mux[offered]))
    assert bool(lines(offer, b"a=rtcp-mux")) is (b is RtcpMux.OFFER)
    answer = call.answer(sdp(b"audio 6000 RTP/AVP 0", mux[answered]))
    assert bool(lines(answer, b"a=rtcp-mux")) is muxed[0]
    assert (call.end("a").rtcp_mux, call.end("b").rtcp_mux) == muxed


def test_an_offer_from_the_other_side_keeps_the_numbers_of_both() -> None:
    call = Exchange(trunk("a"), trunk("b"))
    first = sdp(b"audio 4000 RTP/AVP 96", b"a=rtpmap:96 opus/48000/2\r\n")
    call.offer(first)
    call.answer(sdp(b"audio 6000 RTP/AVP 111", b"a=rtpmap:111 opus/48000/2\r\n"))
    call.terms.agreed()
    again = sdp(b"audio 6000 RTP/AVP 111", b"a=rtpmap:111 opus/48000/2\r\n")
    facts: list[MediaFacts] = describe(again)
    call.terms.offer("b", again, facts)
    (dress,) = call.terms.proposal(1, known=first)
    assert dress is not None
    assert dress.payload_types == b"96"  # what that leg's peer has always called it
    call.answer(sdp(b"audio 4000 RTP/AVP 96", b"a=rtpmap:96 opus/48000/2\r\n"), "a")
    assert call.end("a").payloads == {96: 111}


EVENTS = b"a=rtpmap:101 telephone-event/8000\r\n"


def events(call: Exchange) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Of each side: the payload type of digits that it is sent, and those of its own."""
    ends = {side: call.end(side) for side in "ab"}
    return {side: (end.dtmf_pt, tuple(end.dtmf_reported)) for side, end in ends.items()}


def test_digits_by_info_inside_and_by_events_outside() -> None:
    call = Exchange(trunk("a", dtmf=Dtmf.INFO), trunk("b", dtmf=Dtmf.RFC4733))
    offer = call.offer(sdp(b"audio 4000 RTP/AVP 0 8"))
    assert lines(offer, b"m=") == [b"m=audio 4000 RTP/AVP 0 8 101"]
    assert lines(offer, b"a=rtpmap:101") == [EVENTS.strip()]
    answer = call.answer(sdp(b"audio 6000 RTP/AVP 0 97", EVENTS.replace(b"101", b"97")))
    assert lines(answer, b"m=") == [b"m=audio 5000 RTP/AVP 0"]
    assert b"telephone-event" not in answer
    assert events(call) == {"a": (-1, ()), "b": (97, (97, 101))}
    assert call.end("b").payloads == {}


def test_digits_by_events_inside_and_by_info_outside() -> None:
    call = Exchange(trunk("a"), trunk("b", dtmf=Dtmf.INFO_DIGIT))
    offer = call.offer(sdp(b"audio 4000 RTP/AVP 0 101", EVENTS))
    assert lines(offer, b"m=") == [b"m=audio 4000 RTP/AVP 0"]
    assert b"telephone-event" not in offer
    answer = call.answer(sdp(b"audio 6000 RTP/AVP 0"))
    assert lines(answer, b"m=") == [b"m=audio 5000 RTP/AVP 0 101"]
    assert lines(answer, b"a=rtpmap:101") == [EVENTS.strip()]
    assert events(call) == {"a": (101, (101,)), "b": (-1, ())}


def test_digits_both_by_info_need_no_events() -> None:
    call = Exchange(trunk("a", dtmf=Dtmf.INFO), trunk("b", dtmf=Dtmf.INFO_DIGIT))
    assert b"telephone-event" not in call.offer(sdp(b"audio 4000 RTP/AVP 0 101", EVENTS))
    call.answer(sdp(b"audio 6000 RTP/AVP 0"))
    assert events(call) == {"a": (-1, ()), "b": (-1, ())}


TWO_CLOCKS = b"a=rtpmap:96 opus/48000/2\r\na=rtpmap:0 PCMU/8000\r\n"


@pytest.mark.parametrize(
    ("answer", "numbers"),
    [
        (sdp(b"audio 6000 RTP/AVP 0 101", EVENTS), (101,)),
        (sdp(b"audio 6000 RTP/AVP 0 99", EVENTS.replace(b"101", b"99")), (99, 101)),
        (
            sdp(
                b"audio 6000 RTP/AVP 0 96 97 101",
                TWO_CLOCKS + b"a=rtpmap:97 telephone-event/48000\r\n" + EVENTS,
            ),
            (101, 97),
        ),
    ],
)
def test_events_are_offered_at_the_clock_of_each_codec(
    answer: Session, numbers: tuple[int, ...]
) -> None:
    call = Exchange(
        trunk("a", dtmf=Dtmf.INFO, codecs=CodecSettings(order=("PCMU",))),
        trunk("b", dtmf=Dtmf.RFC4733),
    )
    offer = call.offer(sdp(b"audio 4000 RTP/AVP 96 0 8", TWO_CLOCKS))
    assert lines(offer, b"m=") == [b"m=audio 4000 RTP/AVP 96 0 8 101 97"]
    assert b"a=rtpmap:101 telephone-event/8000" in offer
    assert b"a=rtpmap:97 telephone-event/48000" in offer
    call.answer(answer)
    assert events(call) == {"a": (-1, ()), "b": (numbers[0], numbers)}


@pytest.mark.parametrize(
    ("offered", "answered", "expected"),
    [
        (b"96 0 101", b"96", b"96 101"),  # none at its clock: that one is better than no digits
        (b"96 0 101 102", b"96", b"96 102"),
        (b"96 0 101 102", b"96 0", b"96 0 101 102"),
        (b"96 0 101 102", b"0", b"0 101"),
    ],
)
def test_events_of_the_offerer_are_answered_as_it_has_offered_them(
    offered: bytes, answered: bytes, expected: bytes
) -> None:
    both = TWO_CLOCKS + EVENTS + b"a=rtpmap:102 telephone-event/48000\r\n"
    call = Exchange(trunk("a"), trunk("b", dtmf=Dtmf.INFO))
    call.offer(sdp(b"audio 4000 RTP/AVP " + offered, both))
    answer = call.answer(sdp(b"audio 6000 RTP/AVP " + answered, TWO_CLOCKS))
    assert lines(answer, b"m=") == [b"m=audio 5000 RTP/AVP " + expected]
    numbers = {int(one) for one in expected.split()} & {101, 102}
    fitting = 102 if answered.startswith(b"96") and b"102" in offered else 101
    assert (call.end("a").dtmf_pt, set(call.end("a").dtmf_reported)) == (fitting, numbers)


SWAPPED = b"a=rtpmap:97 opus/48000/2\r\na=rtpmap:96 iLBC/8000\r\n"


def test_an_answerer_sends_by_the_numbers_of_our_offer() -> None:
    """RFC 3264 §5.1: what it has answered is how it wants to be sent to."""
    call = Exchange(trunk("a", codecs=CodecSettings(order=("opus",))), trunk("b"))
    call.offer(
        sdp(b"audio 4000 RTP/AVP 96 97", b"a=rtpmap:96 opus/48000/2\r\na=rtpmap:97 iLBC/8000\r\n")
    )
    call.answer(sdp(b"audio 6000 RTP/AVP 97 96", SWAPPED))
    assert call.end("a").payloads == {96: 97, 97: 96}
    end = call.end("b")
    assert end.payloads == {}
    assert (end.clock_rates, end.codecs) == ({96: 48000, 97: 8000}, {96: "OPUS", 97: "ILBC"})


def test_an_answerer_that_sends_by_its_own_numbers_is_understood_where_they_are_free() -> None:
    call = Exchange(trunk("a"), trunk("b", codecs=CodecSettings(allow=("PCMA",))))
    call.offer(sdp(b"audio 4000 RTP/AVP 0"))
    call.answer(sdp(b"audio 6000 RTP/AVP 98", b"a=rtpmap:98 PCMA/8000\r\n"))
    end = call.end("b")
    assert (end.payloads, end.convert) == ({8: 0, 98: 0}, {8: 2, 98: 2})


def test_rules_of_each_trunk_reach_the_plan_for_its_own_side() -> None:
    call = Exchange(trunk("a", continuity=True, rtcp_bye=False), trunk("b", strict=True))
    call.offer(CLEAR)
    call.answer(sdp(b"audio 6000 RTP/AVP 0"))
    a, b = call.end("a"), call.end("b")
    assert (a.continuity, a.strict, a.rtcp_bye, a.rtcp_app) == (True, False, False, False)
    assert (b.continuity, b.strict, b.rtcp_bye, b.rtcp_app) == (False, True, True, False)
