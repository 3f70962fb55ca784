"""One identifier for a call from end to end (RFC 7989), through a border that changes all others.

Each end names itself by a UUID; every message of an end says its own and, once it knows it, the
other's: `Session-ID: <own>;remote=<other's>`. The border carries both across, so that one search
finds both legs; nothing else of the header crosses. A UUID of a version that is made of a MAC
address and a time says where it was made, so the other side sees a substitute for it.

The object of a call is made when the first of its messages has the header: most never have.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from sbc.sip.message import Message

__all__ = ["NIL", "SessionIds"]

NIL: Final = b"0" * 32
"""An end that is not known yet (§5)."""

_UUID: Final = re.compile(rb"[0-9a-f]{32}")
_REVEALING: Final = frozenset(b"126")  # RFC 9562 §5.1, §5.2, §5.6: a node's address and a time


class SessionIds:
    """The identifiers of the two ends of one call.

    Args:
        seed: secret to the peers and unlike any other call's, such as a leg's token: what an end
            that does not know this header is called is made of it.
    """

    __slots__ = ("_said", "_seed")

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._said: dict[str, bytes] = {}
        """Side → the UUID that its peer has last given itself."""

    def learn(self, side: str, message: Message) -> None:
        """Take what a peer calls itself; it may change in mid-call (§6). Raises nothing.

        A value that is none is passed over, and so is nil (§5).

        Args:
            side: `a` or `b`, whose message this is.
        """
        value = message.first(b"session-id")
        if value is None:
            return
        own = value.partition(b";")[0].strip().lower()
        if _UUID.fullmatch(own) and own != NIL:
            self._said[side] = own

    def forget(self, side: str) -> None:
        """That side has another peer now: a new target, or who took the call over (§6)."""
        self._said.pop(side, None)

    def head(self, side: str) -> bytes:
        """The Session-ID line of a message to the peer of `side`."""
        other = "b" if side == "a" else "a"
        return b"Session-ID: %b;remote=%b\r\n" % (self._shown(other), self._said.get(side, NIL))

    def _shown(self, side: str) -> bytes:
        """What `side`'s peer is called on the other side."""
        said = self._said.get(side)
        if said is not None and said[12] not in _REVEALING:
            return said
        return self._made(side.encode() + (said or b""))

    def _made(self, what: bytes) -> bytes:
        """A UUID of our own, the same each time (in the form of version 4)."""
        digest = bytearray(hashlib.blake2s(what, key=self._seed[:32], digest_size=16).digest())
        digest[6] = 0x40 | digest[6] & 0x0F
        digest[8] = 0x80 | digest[8] & 0x3F
        return digest.hex().encode()
