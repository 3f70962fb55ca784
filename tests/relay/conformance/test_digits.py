"""Digits taken out of a direction and put into it, on each fast path, in RTP and in SRTP."""

from __future__ import annotations

import itertools
import struct
import time

import pytest

from relay.control.messages import ControlError, ErrorCode, Event, Inject, Srtp
from relay.rtp.srtp import new_session
from tests.relay.rig import Rig, Talk, rtp
from tests.relay.srtp_tools import key_of

SUITE = "AES_CM_128_HMAC_SHA1_80"
EVENTS = 101
LATE_S = 0.15
"""By then audio has its fast path back."""


def event(code: int, duration: int, *, end: bool = False) -> bytes:
    return struct.pack("!BBH", code, 0x8A if end else 10, duration)


def header(packet: bytes) -> tuple[int, int, int, int]:
    """Payload type, sequence number, timestamp, SSRC."""
    _, second, sequence, timestamp, ssrc = struct.unpack_from("!BBHII", packet)
    return second & 0x7F, sequence, timestamp, ssrc


class Phone(Talk):
    """A sends digits as events, B by INFO; with `secure` B's side is SRTP both ways."""

    def __init__(self, rig: Rig, *, secure: bool = False, **more) -> None:
        keys = {}
        self.opens = None
        if secure:
            hears = Srtp(SUITE, key_of(SUITE, 1))
            keys = {"srtp_out": hears}
            self.opens = new_session(hears.suite, hears.key, b"", 0)
        a = {"dtmf_reported": [EVENTS], "clock_rates": {0: 8000, EVENTS: 8000}}
        super().__init__(rig, a=a | more, b=keys)
        self.sequence = 65_530  # and it rolls over
        self.kind = EVENTS
        """How A calls its events."""
        self.spoken: list[int] = []
        """Timestamps of A's audio."""
        for _ in range(4):
            self.audio()

    def audio(self) -> None:
        """One packet of A's audio."""
        self.sequence += 1
        self.spoken.append(self.sequence * 160)
        self.a.send(rtp(self.sequence), self.to_a)
        self.rig.run()

    def event(self, code: int, duration: int, start: int, *, end: bool = False) -> None:
        self.sequence += 1
        packet = rtp(
            self.sequence,
            event(code, duration, end=end),
            payload_type=self.kind,
            timestamp=start,
            marker=duration == 160,
        )
        self.a.send(packet, self.to_a)
        self.rig.run()

    def digit(self, code: int, *, ends: int = 3) -> None:
        start = (self.sequence + 1) * 160
        for duration in (160, 320, 480):
            self.event(code, duration, start)
        for _ in range(ends):
            self.event(code, 640, start, end=True)

    def heard(self) -> list[bytes]:
        """What B was sent, in the clear."""
        found = self.b.received()
        return found if self.opens is None else [self.opens.unprotect(one) for one in found]

    @property
    def told(self) -> list[str]:
        return [body[3] for kind, body in self.rig.events if kind == Event.DTMF]


def goes_on(packets: list[bytes]) -> bool:
    """No number is missing, none is there twice."""
    numbers = [header(one)[1] for one in packets]
    return all((later - one) & 0xFFFF == 1 for one, later in itertools.pairwise(numbers))


# taken out


def test_a_digit_is_told_under_each_of_its_payload_types_and_another_passes(rig):
    """Answerers send by the offer's number or by their own (RFC 3264 §5.1)."""
    clock_rates = {0: 8000, EVENTS: 8000, 97: 8000, 98: 8000}
    phone = Phone(rig, dtmf_reported=[EVENTS, 97], clock_rates=clock_rates)
    for code, kind in ((4, EVENTS), (5, 97), (6, 98)):
        phone.kind = kind
        phone.digit(code)
        phone.audio()
    heard = phone.heard()
    assert phone.told == ["4", "5"]
    assert {header(one)[0] for one in heard} == {0, 98}
    assert goes_on(heard)


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("ends", [0, 1, 3])
def test_a_digit_is_told_once_and_does_not_pass(rig, secure, ends):
    phone = Phone(rig, secure=secure)
    for code in (4, 11, 4):
        phone.digit(code, ends=ends)
        for _ in range(3):
            phone.audio()
    rig.run(LATE_S + 0.1)
    for _ in range(5):
        phone.audio()
    heard = phone.heard()
    assert phone.told == ["4", "#", "4"]
    assert {header(one)[0] for one in heard} == {0}
    assert len(heard) == 4 + 3 * 3 + 5
    assert goes_on(heard)
    assert {header(one)[3] for one in heard} == {0x1234}
    assert [header(one)[2] for one in heard] == phone.spoken
    assert rig.dropped("a") == {"dtmf": 3 * (3 + ends)}
    assert rig.stats(side="a").lost == 0


def test_the_duration_is_told(rig):
    phone = Phone(rig)
    phone.digit(9)
    assert [body for kind, body in rig.events if kind == Event.DTMF] == [["call", 0, "a", "9", 80]]


def test_audio_is_back_on_the_fast_path_after_a_digit(rig):
    phone = Phone(rig)
    phone.digit(1)
    rig.run(LATE_S)
    phone.audio()
    before = rig.service.slowpath.punts
    for _ in range(10):
        phone.audio()
    assert rig.service.slowpath.punts == before
    assert goes_on(phone.heard())


def test_audio_that_a_digit_has_overtaken_takes_nobodys_number(rig):
    phone = Phone(rig)
    phone.sequence += 1  # this one is late
    phone.digit(1)
    late = rtp(phone.sequence - 6, b"\x55" * 160)
    phone.a.send(late, phone.to_a)
    rig.run()
    phone.audio()
    heard = phone.heard()
    numbers = [header(one)[1] for one in heard]
    assert len(numbers) == len(set(numbers)) == 5
    assert late not in heard


def test_lost_audio_still_leaves_a_hole(rig):
    phone = Phone(rig)
    phone.digit(1)
    phone.sequence += 2
    phone.audio()
    assert [header(one)[1] for one in phone.heard()][-2:] == [65_534, 1]


def test_events_pass_where_nothing_is_said_of_them(rig):
    phone = Phone(rig, dtmf_reported=[])
    phone.digit(1)
    assert [header(one)[0] for one in phone.heard()] == [0] * 4 + [EVENTS] * 6
    assert phone.told == []


def test_digits_in_srtp_are_told_and_forged_ones_are_not(rig):
    key, forged = (Srtp(SUITE, key_of(SUITE, number)) for number in (5, 6))
    says, lies = (new_session(one.suite, one.key, b"", 0) for one in (key, forged))
    a = {"dtmf_reported": [EVENTS], "clock_rates": {0: 8000, EVENTS: 8000}, "srtp_in": key}
    talk = Talk(rig, a=a)
    for number in range(1, 30):
        payload_type = EVENTS if 10 <= number < 13 else 0
        payload = event(7, 640, end=True) if payload_type else b"\xd5" * 160
        packet = rtp(number, payload, payload_type=payload_type, timestamp=1600)
        talk.a.send(lies.protect(packet), talk.to_a)
        talk.a.send(says.protect(packet), talk.to_a)
        rig.run()
    assert [body[3] for kind, body in rig.events if kind == Event.DTMF] == ["7"]
    heard = talk.b.received()
    assert len(heard) == 26
    assert goes_on(heard)
    assert rig.dropped("a") == {"srtp_auth": 29, "dtmf": 3}


def test_strangers_have_no_digits(rig):
    phone, stranger = Phone(rig), rig.peer("127.0.6.3")
    for _ in range(3):
        packet = rtp(9, event(1, 640, end=True), payload_type=EVENTS)
        stranger.send(packet, phone.to_a)
        rig.run()
    assert phone.told == []


def test_digits_go_on_over_a_change_of_the_plan(rig):
    phone = Phone(rig)
    phone.digit(1)
    phone.apply()
    phone.audio()
    phone.digit(2)
    phone.audio()
    assert phone.told == ["1", "2"]
    assert goes_on(phone.heard())


def test_a_call_that_ends_in_the_middle_of_a_digit_leaves_nothing(rig):
    phone = Phone(rig)
    phone.event(1, 160, 5000)
    rig.service.remove("call", time.monotonic())
    rig.run(0.2)
    assert rig.service.digits.idle
    assert rig.loop.crashes == 0


def test_a_flood_of_digits_is_told_in_part(rig):
    phone = Phone(rig)
    for number in range(100):
        phone.event(number % 16, 640, 1_000_000 + 1000 * number, end=True)
    assert 40 <= len(phone.told) < 100
    assert [header(one)[0] for one in phone.heard()] == [0] * 4


# put in


class Menu(Talk):
    """A sends digits by INFO, B hears events."""

    def __init__(self, rig: Rig, *, secure: bool = False, audio: bool = True, **more) -> None:
        self.opens = None
        b = {"dtmf_pt": 97, "dtmf_reported": [97], "clock_rates": {0: 8000, 97: 8000}} | more
        if secure:
            key = Srtp(SUITE, key_of(SUITE, 1))
            b |= {"srtp_out": key}
            self.opens = new_session(key.suite, key.key, b"", 0)
        super().__init__(rig, b=b)
        self.sequence = 65_500
        self.number = 0
        if audio:
            self.speak(5)

    def speak(self, count: int, pace_s: float = 0.0) -> None:
        for _ in range(count):
            self.sequence += 1
            self.a.send(rtp(self.sequence), self.to_a)
            self.rig.run(pace_s)

    def inject(self, digits: str, duration_ms: int = 60, number: int = 0) -> None:
        self.number = number or self.number + 1
        wish = Inject("call", 0, "b", self.number, digits, duration_ms)
        self.rig.service.inject(wish, time.monotonic())

    def heard(self) -> list[bytes]:
        found = self.b.received()
        return found if self.opens is None else [self.opens.unprotect(one) for one in found]


@pytest.mark.parametrize("secure", [False, True])
def test_digits_are_put_into_the_stream(rig, secure):
    menu = Menu(rig, secure=secure)
    menu.inject("42")
    menu.speak(25, 0.02)
    rig.run(LATE_S)
    menu.speak(3)
    heard = menu.heard()
    assert goes_on(heard)
    assert {header(one)[3] for one in heard} == {0x1234}
    events = [one for one in heard if header(one)[0] == 97]
    codes = [one[12] for one in events]
    assert codes == [4] * 5 + [2] * 5  # two updates and three ends each
    assert [bool(one[1] & 0x80) for one in events] == [True, *[False] * 4] * 2
    first, second = header(events[0])[2], header(events[5])[2]
    # 40 ms of a digit and 80 of rest or so, by a clock that runs on a busy machine.
    assert 60 * 8 <= (second - first) & 0xFFFFFFFF <= 1000 * 8
    kinds = [header(one)[0] for one in heard]
    assert kinds[:5] == [0] * 5
    assert kinds[-3:] == [0] * 3
    place = kinds.index(97)
    assert kinds[place : place + 5] == [97] * 5, "audio rests while a digit sounds"
    assert rig.service.totals["digits_injected"] == 2


def test_a_wish_that_comes_again_is_not_carried_out_again(rig):
    menu = Menu(rig)
    menu.inject("1", number=7)
    menu.inject("1", number=7)
    menu.inject("9", number=6)
    menu.speak(10, 0.02)
    events = [one for one in menu.heard() if header(one)[0] == 97]
    assert {one[12] for one in events} == {1}
    assert len(events) == 5


@pytest.mark.parametrize("secure", [False, True])
def test_a_source_that_is_silent_is_spoken_for(rig, secure):
    menu = Menu(rig, audio=False, secure=secure)
    menu.inject("12")
    rig.run(0.4)
    events = menu.heard()
    assert [one[12] for one in events] == [1] * 5 + [2] * 5
    assert goes_on(events)
    (ssrc,) = {header(one)[3] for one in events}
    menu.speak(3)
    after = menu.heard()
    assert [header(one)[3] for one in after] == [0x1234] * 3 != [ssrc] * 3
    assert goes_on(after)


def test_a_held_peer_hears_no_digit(rig):
    menu = Menu(rig, may_receive=False)
    menu.inject("1")
    rig.run(0.2)
    assert menu.heard() == []
    assert rig.dropped("a")["held"] == 5 + 5


def test_an_end_without_events_takes_none(rig):
    Menu(rig)
    for wish in (
        Inject("call", 0, "a", 1, "1", 60),
        Inject("call", 1, "b", 1, "1", 60),
        Inject("other", 0, "b", 1, "1", 60),
    ):
        with pytest.raises(ControlError) as caught:
            rig.service.inject(wish, time.monotonic())
        wrong = ErrorCode.UNKNOWN_CALL if wish.call == "other" else ErrorCode.BAD_REQUEST
        assert caught.value.code == wrong


def test_a_new_plan_without_events_ends_the_digits(rig):
    menu = Menu(rig)
    menu.inject("1234")
    rig.run(0.03)
    menu.end_b.dtmf_pt, menu.end_b.dtmf_reported = -1, ()
    menu.apply()
    menu.heard()
    rig.run(0.3)
    menu.speak(3)
    assert {header(one)[0] for one in menu.heard()} == {0}


def test_rtcp_about_a_stream_with_digits_names_the_sources_own_numbers(rig):
    menu = Menu(rig)
    menu.inject("1")
    menu.speak(10, 0.02)
    last = header(menu.heard()[-1])[1]
    report = struct.pack("!BBHIIIIIII", 0x81, 201, 7, 0x99, 0x1234, 0, last, 0, 0, 0)
    menu.b_rtcp.send(report, (menu.to_b[0], menu.to_b[1] + 1))
    rig.run()
    (crossed,) = menu.a_rtcp.received()
    assert struct.unpack_from("!I", crossed, 16)[0] & 0xFFFF == menu.sequence & 0xFFFF
