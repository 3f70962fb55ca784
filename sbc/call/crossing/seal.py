"""Identifiers of one side that the other must hand back: sealed on the way out, opened on return.

An entity-tag (RFC 3903 §4.1) may hold a host name or a process number of the server that made it,
yet the publisher has to show it again. So it crosses under a name that only this border can read:
nothing is kept for it, and it outlives a restart. The same tag always gets the same name.
"""

from __future__ import annotations

from binascii import hexlify, unhexlify
from typing import Final

from sbc.ids import Mint

__all__ = ["opened", "other_name", "seal"]

_LONGEST: Final = 256
_SALT_BYTES: Final = 8
_BLOCK_BYTES: Final = 4


def seal(mint: Mint, text: bytes) -> bytes:
    """`text` as the other side sees it: hex digits. b"" for one that is too long."""
    if len(text) > _LONGEST:
        return b""
    salt = mint.mark(b"seal\0" + text)
    return salt + hexlify(_mixed(mint, salt, text))


def opened(mint: Mint, sealed: bytes) -> bytes | None:
    """What `seal` was given; None for what it has never made."""
    salt, rest = sealed[:_SALT_BYTES], sealed[_SALT_BYTES:]
    if len(rest) > 2 * _LONGEST:
        return None
    try:
        text = _mixed(mint, salt, unhexlify(rest))
    except ValueError:
        return None
    return text if mint.mark(b"seal\0" + text) == salt else None


def other_name(mint: Mint, name: bytes) -> bytes:
    """Another name for an identifier, which nobody has to hand back (a dialog in a document)."""
    return mint.mark(b"name\0" + name)


def _mixed(mint: Mint, salt: bytes, text: bytes) -> bytes:
    """`text` under a stream of keyed bytes that begins anew with each salt; its own reverse."""
    blocks = range(0, len(text), _BLOCK_BYTES)
    stream = b"".join([unhexlify(mint.mark(b"stream\0%b.%d" % (salt, at))) for at in blocks])
    return bytes([one ^ other for one, other in zip(text, stream, strict=False)])
