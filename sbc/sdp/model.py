"""A session description as it came: lines in order, nothing thrown away (RFC 8866 §5).

The raw text is the truth; what has a name here is a view of it. A line that nobody understands
stays where it was, byte for byte. Whether it may cross the border is decided in `sbc.sdp.lines`,
never here.
"""

from __future__ import annotations

from dataclasses import dataclass

from sbc.sdp.forms import Form
from sbc.sdp.sections import Section

__all__ = ["Media", "RemoteOrigin", "Session"]


@dataclass(slots=True)
class RemoteOrigin:
    """The words of a peer's `o=` line (RFC 8866 §5.2)."""

    username: bytes
    session_id: bytes
    version: bytes
    address: bytes


@dataclass(slots=True)
class Media:
    """One media description (RFC 8866 §5.14)."""

    port: int
    """0: rejected or disabled (RFC 3264 §6, §8.2)."""
    port_count: int
    line: bytes
    """The `m=` line, without its end."""
    form: Form
    """All the rest."""

    @property
    def kind(self) -> bytes:
        """`audio`, `video`, …"""
        return self.form.kind

    @property
    def proto(self) -> bytes:
        """`RTP/AVP`, …"""
        return self.form.proto

    @property
    def formats(self) -> list[bytes]:
        """Its formats, as written."""
        return self.form.words

    @property
    def section(self) -> Section:
        """The lines that follow the `m=` line."""
        return self.form.section

    @property
    def lines(self) -> list[bytes]:
        """The `m=` line and all that follow it, without line ends."""
        return [self.line, *self.section.lines]

    @property
    def attributes(self) -> list[bytes]:
        """Its `a=` lines, raw, in order."""
        return [line for line in self.section.lines if line[:2] == b"a="]

    @property
    def connections(self) -> tuple[bytes, ...]:
        """Values of its own `c=` lines; several only for layered multicast (RFC 8866 §5.7)."""
        return self.section.connections

    def destination(self, session: Session) -> Section:
        """The section whose `c=` line counts for it: its own, else the session's."""
        own = self.form.section
        return own if own.connections else session.section


@dataclass(slots=True)
class Session:
    """One session description (RFC 8866 §5)."""

    version_line: bytes
    """`v=0`, without its end."""
    origin_line: bytes
    section: Section
    """The session-level lines behind `o=`."""
    media: list[Media]
    newline: bytes
    """CRLF, or the bare LF that RFC 8866 §5 asks receivers to take."""
    tail: bytes
    """What follows the last line: `newline`, or b"" where the sender left it out."""

    @property
    def lines(self) -> list[bytes]:
        """The session-level lines, without line ends."""
        return [self.version_line, self.origin_line, *self.section.lines]

    @property
    def origin(self) -> RemoteOrigin:
        """The `o=` line; the parser has seen that it has six words or more."""
        username, session_id, version, _, _, address = self.origin_line[2:].rsplit(None, 5)
        return RemoteOrigin(username, session_id, version, address)

    @property
    def name(self) -> bytes:
        """The value of `s=`, b"" if there is none."""
        return next((line[2:] for line in self.section.lines if line[:2] == b"s="), b"")

    @property
    def attributes(self) -> list[bytes]:
        """The session-level `a=` lines, raw, in order."""
        return [line for line in self.section.lines if line[:2] == b"a="]
