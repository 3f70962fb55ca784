"""RFC 8866: any bytes are a session description or a ParseError, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.errors import ParseError
from sbc.sdp.parser import MAX_LINES, MAX_MEDIA, MAX_SIZE_BYTES, parse
from sbc.sdp.serialise import serialise

VECTORS = sorted((Path(__file__).parents[1] / "vectors" / "sdp").glob("*.sdp"))
HEAD = b"v=0\r\no=- 1 2 IN IP4 10.66.0.1\r\ns=-\r\n"

WORDS = (
    b"v=0",
    b"o=- 1 2 IN IP4 10.66.0.1",
    b"s=-",
    b"c=IN IP4 10.66.0.1",
    b"t=0 0",
    b"b=AS:64",
    b"a=sendrecv",
    b"a=",
    b"m=audio 31000 RTP/AVP 0",
    b"m=video 0/2 RTP/AVP",
    b"x=y",
    b"\xff=",
    b"",
)
_word = st.sampled_from(WORDS)
_end = st.sampled_from([b"\r\n", b"\n", b"\r", b"\0", b" ", b""])
_nearly = st.lists(st.tuples(st.one_of(_word, st.binary(max_size=12)), _end), max_size=20).map(
    lambda parts: b"".join(line + end for line, end in parts)
)


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_an_untouched_description_comes_out_byte_for_byte(path):
    data = path.read_bytes()
    assert serialise(parse(data)) == data


@given(st.one_of(st.binary(max_size=400), _nearly, _nearly.map(HEAD.__add__)))
def test_any_bytes_give_a_session_or_a_parse_error(data):
    try:
        session = parse(data)
    except ParseError:
        return
    crlf = data.count(b"\r\n")
    if crlf in (0, data.count(b"\n")):
        assert serialise(session) == data
    again = parse(serialise(session))
    assert (again.lines, again.media) == (session.lines, session.media)
    assert session.origin.version


def test_the_model_names_what_it_understands():
    session = parse(
        b"v=0\r\no=John  Doe 1 2 IN IP4 a.example\r\ns=call\r\nc=IN IP4 10.66.0.1\r\na=x\r\n"
        b"m=audio 31000/2 RTP/AVP 0 8\r\nc=IN IP4 10.66.0.2\r\nc=IN IP4 10.66.0.3\r\na=y:1\r\n"
    )
    assert session.origin.username == b"John  Doe"
    assert session.origin.session_id == b"1"
    assert session.origin.version == b"2"
    assert session.origin.address == b"a.example"
    assert session.name == b"call"
    assert session.attributes == [b"a=x"]
    (media,) = session.media
    assert (media.kind, media.port, media.port_count) == (b"audio", 31000, 2)
    assert (media.proto, media.formats) == (b"RTP/AVP", [b"0", b"8"])
    assert media.connections == (b"IN IP4 10.66.0.2", b"IN IP4 10.66.0.3")
    assert media.attributes == [b"a=y:1"]
    assert media.lines[0] == b"m=audio 31000/2 RTP/AVP 0 8"
    assert media.lines[-1] == b"a=y:1"
    assert media.destination(session).host == "10.66.0.2"


def test_mixed_line_ends_are_read_and_become_crlf():
    data = HEAD + b"t=0 0\nm=audio 31000 RTP/AVP 0\r\n"
    assert serialise(parse(data)) == data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n",
        b"v=0\r\n",
        b"v=1\r\no=- 1 2 IN IP4 10.66.0.1\r\n",
        b"o=- 1 2 IN IP4 10.66.0.1\r\nv=0\r\n",
        b"v=0\r\ns=-\r\no=- 1 2 IN IP4 10.66.0.1\r\n",
        b"v=0\r\no=- 1 2 IN IP4\r\n",
        HEAD + b"o=- 1 2 IN IP4 10.66.0.1\r\n",
        HEAD + b"m=audio 1 RTP/AVP 0\r\no=- 1 2 IN IP4 10.66.0.1\r\n",
        HEAD + b"a=x\rc=IN IP4 10.66.0.1\r\n",
        HEAD + b"a=x\0\r\n",
        HEAD + b"nonsense\r\n",
        HEAD + b"1=x\r\n",
        HEAD + b"m=audio\r\n",
        HEAD + b"m=audio x RTP/AVP 0\r\n",
        HEAD + b"m=audio -1 RTP/AVP 0\r\n",
        HEAD + b"m=audio 65536 RTP/AVP 0\r\n",
        HEAD + b"m=audio 31000/ RTP/AVP 0\r\n",
        HEAD + b"m=audio 0000000000031000 RTP/AVP 0\r\n",
        HEAD + b"m=audio 31000 RTP/AVP 0\r\n" * (MAX_MEDIA + 1),
        HEAD + b"a=x\r\n" * MAX_LINES,
        HEAD + b"a=" + b"x" * MAX_SIZE_BYTES + b"\r\n",
    ],
)
def test_what_is_no_session_description_is_a_parse_error(data):
    with pytest.raises(ParseError):
        parse(data)


def test_the_limits_themselves_are_within():
    assert len(parse(HEAD + b"m=audio 31000 RTP/AVP 0\r\n" * MAX_MEDIA).media) == MAX_MEDIA
    assert len(parse(HEAD + b"a=x\r\n" * (MAX_LINES - 3)).lines) == MAX_LINES
