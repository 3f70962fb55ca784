"""What a party says for somebody new: nobody is on hold."""

from __future__ import annotations

import pytest

from sbc.sdp.freed import freed
from sbc.sdp.parser import parse
from sbc.sdp.serialise import serialise

HEAD = b"v=0\r\no=a 1 1 IN IP4 10.0.0.2\r\ns=-\r\nc=IN IP4 10.0.0.2\r\nt=0 0\r\n"
AUDIO = b"m=audio 6000 RTP/AVP 8\r\na=ptime:20\r\n"


@pytest.mark.parametrize("direction", [b"sendonly", b"recvonly", b"inactive"])
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_directions_go_wherever_they_stand(direction: bytes, end: bytes) -> None:
    line = b"a=" + direction + b"\r\n"
    held = (HEAD + line + AUDIO + line).replace(b"\r\n", end)
    assert serialise(freed(parse(held))) == (HEAD + AUDIO).replace(b"\r\n", end)


@pytest.mark.parametrize(
    ("nowhere", "somewhere"),
    [(b"IN IP4 0.0.0.0", b"IN IP4 192.0.2.1"), (b"IN IP6 ::", b"IN IP6 2001:db8::1")],
)
def test_an_address_of_nowhere_becomes_one(nowhere: bytes, somewhere: bytes) -> None:
    held = HEAD.replace(b"c=IN IP4 10.0.0.2", b"c=" + nowhere) + AUDIO
    assert b"c=" + somewhere in serialise(freed(parse(held)))


def test_what_is_rejected_stays_so_and_missing_streams_come_as_rejected() -> None:
    session = parse(HEAD + AUDIO + b"m=video 0 RTP/AVP 96\r\n")
    assert [media.port for media in freed(session, 3).media] == [6000, 0, 0]
    assert len(freed(session, 1).media) == 2
    open_ended = parse((HEAD + AUDIO)[:-2])
    assert [media.port for media in freed(open_ended, 2).media] == [6000, 0]


def test_nothing_else_changes() -> None:
    text = HEAD + AUDIO + b"a=x-recvonly\r\na=fmtp:8 sendonly\r\n"
    assert serialise(freed(parse(text))) == text
