"""Room for one packet, shared by all ports of the fast path `python`.

PURE.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Memory"]

_LARGEST: Final = 65536


class Memory:
    """One packet's room, and views of it by size: a slice for each packet would be an object."""

    __slots__ = ("buffer", "views")

    def __init__(self) -> None:
        self.buffer = bytearray(_LARGEST)
        whole = memoryview(self.buffer)
        self.views = [whole[:size] for size in range(2049)]

    def view(self, size: int) -> memoryview:
        return self.views[size] if size < 2049 else memoryview(self.buffer)[:size]
