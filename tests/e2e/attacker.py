"""Somebody beside a live call: what it sends, and under whose address.

`python -m tests.e2e.attacker` floods ports from an address of its own.
"""

from __future__ import annotations

import argparse
import random
import socket
import struct
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TypeAlias

from tests.e2e.tone import rtp

__all__ = ["MARK", "Address", "Attacker", "Forger", "ammunition", "icmp_refusal"]


Address: TypeAlias = tuple[str, int]

MARK = b"forged!!"
"""What stands in everything of ours that could cross."""
_COOKIE = b"\x21\x12\xa4\x42"


def ammunition(chance: random.Random, ssrc: int, sequence: int) -> list[bytes]:
    """One of each kind of packet that an attacker would try.

    Args:
        chance: what is random in them.
        ssrc: of the peer, which the attacker has guessed.
        sequence: near what the peer sends now, guessed as well.
    """
    number, name = struct.pack("!I", ssrc), MARK[:4]
    payload = MARK * 20
    report = struct.pack("!BBHIIIIII", 0x80, 200, 6, ssrc, 1, 2, 3, 4, 5)
    return [
        rtp(sequence, sequence * 160, ssrc, payload),
        rtp(sequence + 100, (sequence + 100) * 160, ssrc, payload),
        rtp(chance.randrange(65536), 0, chance.randrange(1 << 32), payload),
        rtp(sequence, sequence * 160, ssrc, struct.pack("!BBH", 5, 0x8A, 800), 101),
        rtp(sequence, sequence * 160, ssrc, payload + bytes(10)),
        report,
        struct.pack("!BBHI", 0x80, 201, 1, ssrc),
        struct.pack("!BBHI", 0x81, 203, 4, ssrc) + bytes((8,)) + MARK + bytes(3),
        struct.pack("!BBHI", 0x80, 204, 4, ssrc) + name + MARK,
        report + struct.pack("!BBHI", 0x81, 203, 1, ssrc),
        report + struct.pack("!BBH", 0x81, 202, 4) + number + b"\x01\x08" + MARK + bytes(2),
        b"\x00\x01\x00\x00" + _COOKIE + chance.randbytes(12),
        b"\x01\x01\x00\x0c" + _COOKIE + chance.randbytes(12) + b"\x00\x20\x00\x08" + MARK,
        b"\x16\xfe\xff" + bytes(8) + struct.pack("!H", len(MARK)) + MARK,
        b"\x14\xfe\xfd" + bytes(8) + b"\x00\x01\x01",
        chance.randbytes(chance.randrange(1, 300)) + MARK,
        b"\x80",
        b"",
    ]


class Attacker:
    """An address of its own, with several ports. A context manager."""

    def __init__(self, host: str, ports: int = 3) -> None:
        self.socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(ports)]
        for sock in self.socks:
            sock.bind((host, 0))
            sock.setblocking(False)

    def __enter__(self) -> Attacker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for sock in self.socks:
            sock.close()

    def spray(self, packets: Sequence[bytes], target: Address) -> None:
        """All of them to one port."""
        for at, packet in enumerate(packets):
            self.socks[at % len(self.socks)].sendto(packet, target)

    def received(self) -> list[bytes]:
        """What came back."""
        found = []
        for sock in self.socks:
            try:
                while True:
                    found.append(sock.recv(65536))
            except BlockingIOError:
                continue
        return found


class Forger:
    """Sends UDP under anybody's address (CAP_NET_RAW). A context manager."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def __enter__(self) -> Forger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sock.close()

    def send(self, data: bytes, source: Address, target: Address) -> None:
        packet = _ip(socket.IPPROTO_UDP, source[0], target[0], _udp(source, target, data))
        self._sock.sendto(packet, (target[0], 0))

    def refuse(self, reached: Address, sender: Address) -> None:
        """ICMP to `sender`: nobody is at `reached`."""
        quoted = _ip(socket.IPPROTO_UDP, sender[0], reached[0], _udp(sender, reached, bytes(172)))
        packet = _ip(socket.IPPROTO_ICMP, reached[0], sender[0], icmp_refusal(quoted))
        self._sock.sendto(packet, (sender[0], 0))


def icmp_refusal(quoted: bytes) -> bytes:
    """Port unreachable (RFC 792)."""
    body = bytes(4) + quoted[:28]
    head = struct.pack("!BBH", 3, 3, 0) + body
    total = sum(struct.unpack(f"!{len(head) // 2}H", head))
    total = (total >> 16) + (total & 0xFFFF)
    return struct.pack("!BBH", 3, 3, ~(total + (total >> 16)) & 0xFFFF) + body


def _udp(source: Address, target: Address, data: bytes) -> bytes:
    return struct.pack("!HHHH", source[1], target[1], 8 + len(data), 0) + data


def _ip(protocol: int, source: str, target: str, body: bytes) -> bytes:
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0) + ends + body


def _flood(source: str, targets: list[Address], rate: float, seconds: float) -> None:
    """So many packets a second to the targets in turn, of each kind in turn; says how many."""
    chance = random.Random(3)  # noqa: S311
    packets = [one for n in range(20) for one in ammunition(chance, 0x5BC0FFEE, n)]
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((source, 0))
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            while sent < rate * passed:
                sock.sendto(packets[sent % len(packets)], targets[sent % len(targets)])
                sent += 1
            time.sleep(0.001)
    sys.stdout.write(str(sent))


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True)
    parser.add_argument("--rate", type=float, default=4000.0)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("targets", nargs="+", help="HOST:PORT")
    options = parser.parse_args()
    targets = [
        (host, int(port)) for host, _, port in (one.rpartition(":") for one in options.targets)
    ]
    _flood(options.source, targets, options.rate, options.seconds)


if __name__ == "__main__":
    _main()
