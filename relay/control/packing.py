"""The one place that touches msgpack: typed, strict, with limits.

msgpack ships no types; everything else in this tree sees plain Python values.
"""

from __future__ import annotations

from typing import Final

import msgpack  # type: ignore[import-untyped]

__all__ = ["MAX_BYTES", "PackingError", "pack", "unpack"]

MAX_BYTES = 1 << 20
"""Largest packed value in bytes, both ways."""


_PACKER: Final = msgpack.Packer(use_bin_type=True)
"""One for all: `msgpack.packb` makes one each time, with a buffer of a quarter megabyte."""


class PackingError(Exception):
    """Bytes that are not one msgpack value within the limits, or a value msgpack cannot carry."""


def pack(value: object) -> bytes:
    """`value` as msgpack. Raises PackingError for a type that msgpack does not know."""
    try:
        packed: bytes = _PACKER.pack(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise PackingError(f"expected a plain value, got {error}") from error
    return packed


def unpack(data: bytes | bytearray | memoryview) -> object:
    """The value in `data`, at most MAX_BYTES. Raises PackingError, and nothing else, for any bytes.

    Map keys may be whole numbers (payload types) as well as strings; ext types are refused.
    """
    if len(data) > MAX_BYTES:
        raise PackingError(f"expected at most {MAX_BYTES} bytes, got {len(data)}")
    try:
        # Lengths inside are limited to that of `data` by msgpack itself.
        value: object = msgpack.unpackb(data, raw=False, strict_map_key=False, use_list=True)
    except Exception as error:
        # msgpack raises ValueError, TypeError (unhashable key), RecursionError, UnicodeError and
        # types of its own: a total parser names none of them and catches all.
        raise PackingError(f"expected one msgpack value, got {error}") from error
    if isinstance(value, (msgpack.ExtType, msgpack.Timestamp)):
        raise PackingError("expected a plain value, got an ext type")
    return value
