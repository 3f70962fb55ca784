"""A session description as it came: lines in order, nothing thrown away (RFC 8866 §5).

The raw lines are the truth; what has a name here is a view of them. A line that nobody
understands stays where it was, byte for byte. Whether it may cross the border is decided in
`sbc.sdp.lines`, never here.
"""

from __future__ import annotations

from dataclasses import dataclass

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

    kind: bytes
    port: int
    """0: rejected or disabled (RFC 3264 §6, §8.2)."""
    port_count: int
    proto: bytes
    formats: list[bytes]
    lines: list[bytes]
    """The `m=` line and all that follow it, without line ends."""
    connections: list[bytes]
    """Values of its own `c=` lines; several only for layered multicast (RFC 8866 §5.7)."""

    def connection(self, session: Session) -> bytes:
        """The `c=` value that counts for it: its own first, else the session's, else b""."""
        connections = self.connections or session.connections
        return connections[0] if connections else b""

    @property
    def attributes(self) -> list[bytes]:
        """Its `a=` lines, raw, in order."""
        return [line for line in self.lines if line[:2] == b"a="]


@dataclass(slots=True)
class Session:
    """One session description (RFC 8866 §5)."""

    lines: list[bytes]
    """The session-level lines, without line ends; `v=0` and `o=` are the first two."""
    media: list[Media]
    connections: list[bytes]
    """Values of the session-level `c=` lines: one or none, if the sender knows the grammar."""
    newline: bytes
    """CRLF, or the bare LF that RFC 8866 §5 asks receivers to take."""
    tail: bytes
    """What follows the last line: `newline`, or b"" where the sender left it out."""

    @property
    def origin(self) -> RemoteOrigin:
        """The `o=` line; the parser has seen that it has six words or more."""
        username, session_id, version, _, _, address = self.lines[1][2:].rsplit(None, 5)
        return RemoteOrigin(username, session_id, version, address)

    @property
    def name(self) -> bytes:
        """The value of `s=`, b"" if there is none."""
        return next((line[2:] for line in self.lines if line[:2] == b"s="), b"")

    @property
    def attributes(self) -> list[bytes]:
        """The session-level `a=` lines, raw, in order."""
        return [line for line in self.lines if line[:2] == b"a="]
