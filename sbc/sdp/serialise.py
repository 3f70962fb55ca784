"""`Session` to bytes."""

from __future__ import annotations

from sbc.sdp.model import Session

__all__ = ["serialise"]


def serialise(session: Session) -> bytes:
    """The lines of `session`, in order.

    Byte-exact for what `parse` has made of an input with one kind of line end; where CRLF and LF
    were mixed, every line gets CRLF (RFC 8866 §5).
    """
    parts = [session.version_line, b"\r\n", session.origin_line, session.section.text]
    for media in session.media:
        parts += (b"\r\n", media.line, media.section.text)
    text = b"".join(parts)
    if session.newline == b"\n":
        text = text.replace(b"\r\n", b"\n")
    return text + session.tail
