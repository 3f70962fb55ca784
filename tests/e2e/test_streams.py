"""Media that is not one stream from answer to BYE: early, several, refused, and changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.phone import Call, Message, Phone, sdp
from tests.e2e.sides import INSIDE, OUTSIDE
from tests.e2e.tone import Media
from tests.support.border import Border, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture
def inside(caller: Phone) -> Iterator[Media]:
    with Media(caller.address[0], 440, f"alice@{INSIDE}.example") as media:
        yield media


@pytest.fixture
def outside(called: Phone) -> Iterator[Media]:
    with Media(called.address[0], 1000, f"bob@{OUTSIDE}.example") as media:
        yield media


def _end(a_leg: Call, b_leg: Call) -> None:
    a_leg.request("BYE")
    b_leg.hung_up()
    a_leg.expect(lambda one: one.status == 200 and one.method == "BYE")


def _invited(call: Call) -> Message:
    assert call.invite is not None
    return call.invite


def test_an_announcement_before_the_answer_is_heard_and_so_is_the_caller(
    border: Border, caller: Phone, called: Phone, inside: Media, outside: Media
) -> None:
    a_leg = caller.invite(body=sdp(inside.host, inside.port, INSIDE))
    b_leg = called.answering()
    b_leg.respond(183, sdp(outside.host, outside.port, OUTSIDE))
    early = a_leg.expect(183)
    inside.talk_to(early.media())
    outside.talk_to(_invited(b_leg).media())

    until(lambda: inside.received > 60 and outside.received > 60, 4, "early media both ways")
    assert inside.heard(1000) > 0.95
    assert outside.heard(440) > 0.95

    b_leg.respond(200, sdp(outside.host, outside.port, OUTSIDE))
    final = a_leg.establish()
    b_leg.expect("ACK")
    assert final.media() == early.media()
    assert final.tag("to") == early.tag("to")
    before = inside.received
    until(lambda: inside.received > before + 20, 2, "media after the answer")
    _end(a_leg, b_leg)


def test_an_answer_that_moves_between_183_and_200_is_followed(
    border: Border, caller: Phone, called: Phone, inside: Media, outside: Media
) -> None:
    """Against RFC 3264 §4, and every day: the announcement server's address, then the phone's."""
    with Media(called.address[0], 600, f"announcement@{OUTSIDE}.example") as announcement:
        a_leg = caller.invite(body=sdp(inside.host, inside.port, INSIDE))
        b_leg = called.answering()
        b_leg.respond(183, sdp(announcement.host, announcement.port, OUTSIDE))
        inside.talk_to(a_leg.expect(183).media())
        announcement.talk_to(_invited(b_leg).media())
        until(lambda: inside.received > 20 and announcement.received > 20, 4, "the announcement")
        announcement.quiet()

        b_leg.respond(200, sdp(outside.host, outside.port, OUTSIDE, version=2))
        a_leg.establish()
        b_leg.expect("ACK")
        outside.talk_to(_invited(b_leg).media())
        before = inside.received
        until(lambda: inside.received > before + 20, 3, "the phone at the caller")
        until(lambda: outside.received > 20, 3, "the caller at the phone")
    _end(a_leg, b_leg)


def _with_video(host: str, audio: int, video: int, mark: str) -> bytes:
    more = f"m=video {video} RTP/AVP 99\r\na=rtpmap:99 H264/90000\r\n"
    return sdp(host, audio, mark, more=more)


def _video(message: Message) -> int:
    """The port of the second m-line."""
    return int(message.body.decode().split("m=video ")[1].split()[0])


def test_sound_and_picture_cross_each_in_its_own_stream(
    border: Border, caller: Phone, called: Phone, inside: Media, outside: Media
) -> None:
    with ExitStack() as stack:
        shown = stack.enter_context(Media(caller.address[0], 300, f"a@{INSIDE}.example", 0xA1))
        seen = stack.enter_context(Media(called.address[0], 700, f"b@{OUTSIDE}.example", 0xB1))
        a_leg = caller.invite(body=_with_video(inside.host, inside.port, shown.port, INSIDE))
        b_leg = called.answering()
        invite = _invited(b_leg)
        b_leg.answer(_with_video(outside.host, outside.port, seen.port, OUTSIDE))
        final = a_leg.establish()
        inside.talk_to(final.media())
        outside.talk_to(invite.media())
        shown.talk_to((final.media()[0], _video(final)))
        seen.talk_to((invite.media()[0], _video(invite)))

        everybody = (inside, outside, shown, seen)
        until(lambda: min(media.received for media in everybody) > 40, 4, "four streams")
        assert set(shown.ssrcs) == {0xB1}
        assert set(seen.ssrcs) == {0xA1}
        assert set(inside.ssrcs) == set(outside.ssrcs) == {0x5BC0FFEE}
        before = len(border.cdrs())
        _end(a_leg, b_leg)
    until(lambda: len(border.cdrs()) > before, 3, "a record")
    assert len(border.cdrs()[-1]["streams"]) == 4


def test_a_refused_picture_stays_in_its_place_and_the_sound_goes_on(
    border: Border, caller: Phone, called: Phone, inside: Media, outside: Media
) -> None:
    a_leg = caller.invite(body=_with_video(inside.host, inside.port, 41_100, INSIDE))
    b_leg = called.answering()
    assert _video(_invited(b_leg)) != 0
    b_leg.answer(_with_video(outside.host, outside.port, 0, OUTSIDE))
    final = a_leg.establish()
    assert _video(final) == 0
    inside.talk_to(final.media())
    outside.talk_to(_invited(b_leg).media())
    until(lambda: inside.received > 20 and outside.received > 20, 4, "sound both ways")
    _end(a_leg, b_leg)


def test_what_a_leg_may_not_receive_is_not_sent_to_it(
    border: Border, caller: Phone, called: Phone, inside: Media, outside: Media
) -> None:
    """The called party answers sendonly: music on hold is heard, the caller is not."""
    a_leg = caller.invite(body=sdp(inside.host, inside.port, INSIDE))
    b_leg = called.answering()
    b_leg.answer(sdp(outside.host, outside.port, OUTSIDE, more="a=sendonly\r\n"))
    final = a_leg.establish()
    assert b"a=sendonly" in final.body
    inside.talk_to(final.media())
    outside.talk_to(_invited(b_leg).media())
    until(lambda: inside.received > 40, 4, "music")
    assert outside.received == 0
    _end(a_leg, b_leg)
