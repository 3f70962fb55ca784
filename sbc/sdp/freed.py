"""A description as its sender would make it for somebody new: nobody is on hold (RFC 3725 §4)."""

from __future__ import annotations

import re
from typing import Final

from sbc.errors import ParseError
from sbc.sdp.model import Session
from sbc.sdp.parser import parse
from sbc.sdp.serialise import serialise

__all__ = ["freed"]

_DIRECTION: Final = re.compile(rb"\r?\na=(?:sendonly|recvonly|inactive)[ \t]*(?=\r?\n|\Z)")
_NOWHERE: Final = re.compile(rb"(\nc=IN IP[46] )(?:0\.0\.0\.0|::)(?=[\r\n]|\Z)")


def freed(session: Session, lines: int = 0) -> Session:
    """What a peer has said last, as an offer for somebody whom it has not talked to yet.

    Directions go, and an address of nowhere: who puts whom on hold was an affair of the ones who
    talked. Streams that were rejected stay so.

    Args:
        lines: m-lines that there must be at least; those that are missing come as rejected.

    Raises:
        ParseError: never for a session that was parsed; for the type checker's sake.
    """
    text = _DIRECTION.sub(b"", serialise(session))
    # Our own address stands there before anybody sees it: any that is not nowhere will do.
    text = _NOWHERE.sub(lambda match: match[1] + _somewhere(match[1]), text)
    missing = lines - len(session.media)
    if missing > 0:
        text = text.rstrip(b"\r\n") + session.newline
        text += (b"m=audio 0 RTP/AVP 0" + session.newline) * missing
    made = parse(text)
    if len(made.media) < lines:
        raise ParseError("SDP", "expected as many m-lines as before")
    return made


def _somewhere(prefix: bytes) -> bytes:
    return b"2001:db8::1" if b"IP6" in prefix else b"192.0.2.1"
