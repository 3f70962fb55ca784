"""A telephone's media on a bad way: what goes in is lost and delayed by a pattern, not by chance.

    python -m tests.support.lossy_link send HOST:PORT COUNT     RTP, a packet every 20 ms
    python -m tests.support.lossy_link carry HOST:PORT TARGET   from this address on to the target

Each is a process of its own in a network namespace of its own (`tests.support.laboratory`).
"""

from __future__ import annotations

import heapq
import socket
import struct
import sys
import time
from typing import Final

__all__ = ["LOSSES", "SSRC", "delay_s", "is_lost"]

SSRC: Final = 0x5EED
LOSSES: Final = ((60, 2), (64, 2), (200, 2), (300, 4), (306, 2), (390, 2))
"""Number of the first packet, and how many in a row: some far apart, some together."""
_BASE_S: Final = 0.03
_LATER_S: Final = 0.01
_IDLE_S: Final = 3.0


def is_lost(number: int) -> bool:
    """Whether the packet with this number never arrives."""
    return any(first <= number < first + count for first, count in LOSSES)


def delay_s(number: int) -> float:
    """How long it is on its way: every second one takes longer. Losses are in pairs, so that two
    that follow each other always differ."""
    return _BASE_S + (_LATER_S if number % 2 else 0.0)


def _send(target: tuple[str, int], count: int) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    began = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, began + 0.02 * number - time.monotonic()))
        header = struct.pack("!BBHII", 0x80, 0, number, number * 160, SSRC)
        sock.sendto(header + b"\xd5" * 160, target)


def _carry(own: tuple[str, int], target: tuple[str, int]) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(own)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    waiting: list[tuple[float, int, bytes]] = []
    last = time.monotonic() + _IDLE_S
    while waiting or time.monotonic() < last + _IDLE_S:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            sock.sendto(heapq.heappop(waiting)[2], target)
        sock.settimeout(max(0.0001, waiting[0][0] - now) if waiting else 0.2)
        try:
            data = sock.recv(2048)
        except TimeoutError:
            continue
        last = time.monotonic()
        number = struct.unpack_from("!H", data, 2)[0]
        if not is_lost(number):
            heapq.heappush(waiting, (last + delay_s(number), number, data))


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


if __name__ == "__main__":
    if sys.argv[1] == "send":
        _send(_address(sys.argv[2]), int(sys.argv[3]))
    else:
        _carry(_address(sys.argv[2]), _address(sys.argv[3]))
