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
from itertools import chain
from types import TracebackType
from typing import TypeAlias

from tests.e2e.tone import rtp

__all__ = ["MARK", "Address", "Attacker", "Forger", "ammunition", "icmp_refusal", "icmpv6_refusal"]


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
    """Addresses of its own, one of each family at most, with several ports. A context manager."""

    def __init__(self, hosts: Sequence[str], ports: int = 3) -> None:
        self._socks = {
            _family(host): [socket.socket(_family(host), socket.SOCK_DGRAM) for _ in range(ports)]
            for host in hosts
        }
        for host in hosts:
            for sock in self._socks[_family(host)]:
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
        for sock in chain(*self._socks.values()):
            sock.close()

    def spray(self, packets: Sequence[bytes], target: Address) -> None:
        """All of them to one port."""
        socks = self._socks[_family(target[0])]
        for at, packet in enumerate(packets):
            socks[at % len(socks)].sendto(packet, target)

    def received(self) -> list[bytes]:
        """What came back."""
        found = []
        for sock in chain(*self._socks.values()):
            try:
                while True:
                    found.append(sock.recv(65536))
            except BlockingIOError:
                continue
        return found


class Forger:
    """Sends UDP under anybody's address (CAP_NET_RAW). A context manager."""

    def __init__(self) -> None:
        self._ipv4 = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self._ipv6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def __enter__(self) -> Forger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ipv4.close()
        self._ipv6.close()

    def send(self, data: bytes, source: Address, target: Address) -> None:
        self._send(socket.IPPROTO_UDP, source[0], target[0], _udp(source, target, data))

    def refuse(self, reached: Address, sender: Address) -> None:
        """ICMP to `sender`: nobody is at `reached`."""
        asked = _udp(sender, reached, bytes(172))
        if _family(sender[0]) == socket.AF_INET6:
            quoted = _ipv6(socket.IPPROTO_UDP, sender[0], reached[0], asked)
            refusal = icmpv6_refusal(quoted, reached[0], sender[0])
            self._send(socket.IPPROTO_ICMPV6, reached[0], sender[0], refusal)
        else:
            refusal = icmp_refusal(_ip(socket.IPPROTO_UDP, sender[0], reached[0], asked))
            self._send(socket.IPPROTO_ICMP, reached[0], sender[0], refusal)

    def _send(self, protocol: int, source: str, target: str, body: bytes) -> None:
        if _family(target) == socket.AF_INET6:
            self._ipv6.sendto(_ipv6(protocol, source, target, body), (target, 0))
        else:
            self._ipv4.sendto(_ip(protocol, source, target, body), (target, 0))


def icmp_refusal(quoted: bytes) -> bytes:
    """Port unreachable (RFC 792)."""
    body = bytes(4) + quoted[:28]
    return struct.pack("!BBH", 3, 3, _checksum(struct.pack("!BBH", 3, 3, 0) + body)) + body


def icmpv6_refusal(quoted: bytes, source: str, target: str) -> bytes:
    """Port unreachable (RFC 4443 §3.1)."""
    body = bytes(4) + quoted[:1000]
    head = _pseudo(source, target, socket.IPPROTO_ICMPV6, 4 + len(body))
    return struct.pack("!BBH", 1, 4, _checksum(head + struct.pack("!BBH", 1, 4, 0) + body)) + body


def _udp(source: Address, target: Address, data: bytes) -> bytes:
    head, checksum = struct.pack("!HHH", source[1], target[1], 8 + len(data)), 0
    if _family(target[0]) == socket.AF_INET6:  # RFC 8200 §8.1: not without one
        pseudo = _pseudo(source[0], target[0], socket.IPPROTO_UDP, 8 + len(data))
        checksum = _checksum(pseudo + head + bytes(2) + data) or 0xFFFF
    return head + struct.pack("!H", checksum) + data


def _pseudo(source: str, target: str, protocol: int, size: int) -> bytes:
    """What an IPv6 checksum covers besides the packet (RFC 8200 §8.1)."""
    ends = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, target)
    return ends + struct.pack("!II", size, protocol)


def _checksum(data: bytes) -> int:
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    return ~total & 0xFFFF


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _ipv6(protocol: int, source: str, target: str, body: bytes) -> bytes:
    ends = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, target)
    return struct.pack("!IHBB", 6 << 28, len(body), protocol, 64) + ends + body


def _ip(protocol: int, source: str, target: str, body: bytes) -> bytes:
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0) + ends + body


def _flood(sources: list[str], targets: list[Address], rate: float, seconds: float) -> None:
    """So many packets a second to the targets in turn, of each kind in turn; says how many."""
    chance = random.Random(3)  # noqa: S311
    packets = [one for n in range(20) for one in ammunition(chance, 0x5BC0FFEE, n)]
    sent = 0
    with Attacker(sources, ports=1) as attacker:
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            while sent < rate * passed:
                attacker.spray([packets[sent % len(packets)]], targets[sent % len(targets)])
                sent += 1
            time.sleep(0.001)
    sys.stdout.write(str(sent))


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", action="append", required=True, help="one of each family")
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
