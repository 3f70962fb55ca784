"""Rows of the flow table: what a worker leaves behind for the next one in its slot.

The memory is a memfd that the supervisor owns; each media port has one row, so a worker that takes
over a slot finds there which ports were in use, by which generation, who the peer was and what was
counted. Rows are written once a second where something has changed, and at each latch: a crash
costs a second of counting, not the latch.

A row is sixteen little-endian 64-bit words. A pair of ports has two: that of the RTP port holds
what was counted, that of the RTCP port how far SRTP keys were used, so that no index is used twice.
"""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, TypeAlias

from relay.kept_keys import KeptKeys

__all__ = ["ROW_BYTES", "Counted", "FlowTable", "Row"]

_ROW: Final = struct.Struct("<QQ16sQQQQqQQQQQQQ")
ROW_BYTES: Final = _ROW.size
_EMPTY: Final = bytes(2 * ROW_BYTES)
_STATE: Final = struct.Struct("<QQ")
_PEER: Final = struct.Struct("<16sQ")
_PEER_AT: Final = 16
_COUNTERS: Final = struct.Struct("<QQqQQQQQQQ")
_COUNTERS_AT: Final = 48
_KEYS: Final = struct.Struct("<9Q")


Counted: TypeAlias = tuple[int, int, int, int, int, int, int, int, int, int]
"""The fields of a row from `packets` to its end, in their order."""


@dataclass(slots=True)
class Row:
    """One direction's state as it was kept; its fields are those of the row, in their order."""

    generation: int = 0
    """How many calls the port has had. Never goes back."""
    in_use: int = 0
    source_host: bytes = bytes(16)
    """IPv6, or IPv4 mapped; zero: not latched."""
    source_port: int = 0
    call: int = 0
    """Spare, for what a successor will need to know of the call."""
    packets: int = 0
    octets: int = 0
    lost: int = 0
    jitter_us: int = 0
    first_ns: int = 0
    """CLOCK_MONOTONIC, the same in all processes of the machine."""
    last_ns: int = 0
    ssrc: int = 0
    highest: int = 0
    """Extended highest sequence number."""
    dropped: int = 0
    rtcp_packets: int = 0

    @property
    def source(self) -> tuple[str, int] | None:
        """The latched peer."""
        if not self.source_port:
            return None
        address = IPv6Address(self.source_host)
        return str(address.ipv4_mapped or address), self.source_port


class FlowTable:
    """All rows of one slot.

    Args:
        fd: the memfd; it is enlarged to hold `rows` if it does not.
        rows: how many.

    Raises OSError.
    """

    def __init__(self, fd: int, rows: int) -> None:
        size = max(rows, 1) * ROW_BYTES
        if os.fstat(fd).st_size < size:
            os.ftruncate(fd, size)
        self._memory = mmap.mmap(fd, size)
        self._rows: Final = max(rows, 1)

    def __len__(self) -> int:
        return self._rows

    def read(self, row: int) -> Row:
        """The row as it is."""
        return Row(*_ROW.unpack_from(self._memory, row * ROW_BYTES))

    def keys(self, row: int) -> KeptKeys:
        """How far the keys of a pair were used.

        Args:
            row: the pair's, as everywhere.
        """
        return KeptKeys(*_KEYS.unpack_from(self._memory, (row + 1) * ROW_BYTES))

    def keep_keys(self, row: int, kept: KeptKeys) -> None:
        """Bring that up to date."""
        _KEYS.pack_into(
            self._memory,
            (row + 1) * ROW_BYTES,
            kept.in_key,
            kept.in_ssrc,
            kept.in_index,
            kept.in_rtcp,
            kept.out_key,
            kept.out_index,
            kept.out_rtcp,
            kept.out_sources,
            kept.out_shifts,
        )

    def begin(self, row: int, generation: int, *, in_use: bool) -> None:
        """A pair's new life: a call takes it, or the call has ended."""
        start = row * ROW_BYTES
        self._memory[start : start + len(_EMPTY)] = _EMPTY
        _STATE.pack_into(self._memory, start, generation, in_use)

    def latch(self, row: int, source: tuple[str, int]) -> None:
        """The peer of the row's port is known."""
        address = ip_address(source[0].partition("%")[0])
        if isinstance(address, IPv4Address):
            packed = bytes(10) + b"\xff\xff" + address.packed
        else:
            packed = address.packed
        _PEER.pack_into(self._memory, row * ROW_BYTES + _PEER_AT, packed, source[1])

    def count(self, row: int, counted: Counted) -> None:
        """Bring a row's counters up to date; the peer in it stays."""
        _COUNTERS.pack_into(self._memory, row * ROW_BYTES + _COUNTERS_AT, *counted)

    def close(self) -> None:
        """Unmap; the memory stays while the supervisor has it."""
        self._memory.close()
