"""`Session` to bytes."""

from __future__ import annotations

from itertools import chain

from sbc.sdp.model import Session

__all__ = ["serialise"]


def serialise(session: Session) -> bytes:
    """The lines of `session`, in order.

    Byte-exact for what `parse` has made of an input with one kind of line end; where CRLF and LF
    were mixed, every line gets CRLF (RFC 8866 §5).
    """
    lines = chain(session.lines, *(media.lines for media in session.media))
    return session.newline.join(lines) + session.tail
