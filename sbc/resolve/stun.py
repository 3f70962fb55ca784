"""STUN's one question: as which address does the network see us? (RFC 8489 §6, §7.3.3, §14)

PURE. A Binding request without attributes, which every server since RFC 3489 understands, and what
its answer says: XOR-MAPPED-ADDRESS, or MAPPED-ADDRESS of servers that know no other.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

__all__ = ["TRANSACTION_BYTES", "StunError", "binding_request", "mapped_address"]

TRANSACTION_BYTES: Final = 12

_HEAD: Final = struct.Struct("!HHI12s")
_ATTRIBUTE: Final = struct.Struct("!HH")
_COOKIE: Final = 0x2112A442
_REQUEST: Final = 0x0001
_SUCCESS: Final = 0x0101
_FAILURE: Final = 0x0111
_MAPPED: Final = 0x0001
_ERROR_CODE: Final = 0x0009
_XOR_MAPPED: Final = 0x0020
_ADDRESS_BYTES: Final = {1: 4, 2: 16}
"""By family (§14.1)."""


class StunError(Exception):
    """The server has refused, or its answer holds no address. The text says which."""


def binding_request(transaction: bytes) -> bytes:
    """A Binding request.

    Args:
        transaction: 12 random bytes.
    """
    return _HEAD.pack(_REQUEST, 0, _COOKIE, transaction)


def mapped_address(data: bytes, transaction: bytes) -> str | None:
    """The address that an answer says the request came from; None: it is no answer to that one.

    Raises StunError.
    """
    if len(data) < _HEAD.size:
        return None
    kind, length, cookie, echoed = _HEAD.unpack_from(data)
    if (cookie, echoed) != (_COOKIE, transaction) or length != len(data) - _HEAD.size:
        return None
    if kind not in (_SUCCESS, _FAILURE):
        return None
    found: dict[int, bytes] = {}
    for name, value in _attributes(data):
        found.setdefault(name, value)  # of two alike the first counts (§14)
    if kind == _FAILURE:
        raise StunError(_refusal(found.get(_ERROR_CODE, b"")))
    if _XOR_MAPPED in found:
        return _address(found[_XOR_MAPPED], data[4:20])
    if _MAPPED in found:
        return _address(found[_MAPPED], bytes(16))
    raise StunError("the answer holds no address")


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and value; what is cut short ends them."""
    at = _HEAD.size
    while at + _ATTRIBUTE.size <= len(data):
        name, length = _ATTRIBUTE.unpack_from(data, at)
        at += _ATTRIBUTE.size
        if at + length > len(data):
            return
        yield name, data[at : at + length]
        at += length + -length % 4


def _address(value: bytes, mask: bytes) -> str:
    """MAPPED-ADDRESS, or with the cookie and the transaction as mask, XOR-MAPPED-ADDRESS."""
    size = _ADDRESS_BYTES.get(value[1]) if len(value) > 1 else None
    if size is None or len(value) != 4 + size:
        raise StunError("the answer's address cannot be read")
    plain = bytes(one ^ other for one, other in zip(value[4:], mask, strict=False))
    return str(ip_address(plain))


def _refusal(value: bytes) -> str:
    """ERROR-CODE (§14.8) for people."""
    if len(value) < 4:
        return "it refuses, without a reason"
    reason = value[4:].decode("utf-8", "replace")
    shown = "".join(one for one in reason if one.isprintable())[:100]
    return f"it refuses: {value[2] * 100 + value[3]} {shown}".rstrip()
