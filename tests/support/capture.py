"""What arrived where: a capture of this machine's traffic, and the search for what must not cross.

The recorder is a process of its own (`python -m tests.support.capture FILE`), because a busy test
would lose packets; it writes a pcap file that any tool reads. Everything else here is pure.
"""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

__all__ = ["Capture", "Hit", "Packet", "Side", "find_hits", "read_packets", "streams"]

_ETH_IP, _ETH_IPV6 = 0x0800, 0x86DD
_PACKET_OUTGOING = 4
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_LINKTYPE_RAW = 101
_UDP, _TCP, _ICMP, _ICMPV6 = 17, 6, 1, 58


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet as its receiver got it."""

    at: float
    """Wall-clock seconds."""
    protocol: int
    """17 UDP, 6 TCP, 1 ICMP, 58 ICMPv6."""
    source: tuple[str, int]
    target: tuple[str, int]
    payload: bytes
    """What the application gets; for ICMP the whole message."""
    sequence: int = 0
    """TCP only."""

    @property
    def is_icmp(self) -> bool:
        return self.protocol in (_ICMP, _ICMPV6)


@dataclass(frozen=True, slots=True)
class Side:
    """One side of the border, as a checker knows it."""

    name: str
    border: str
    """Our address on this side: all that leaves it is searched, wherever it goes."""
    hosts: tuple[str, ...]
    """Addresses of this side's peers: all that they receive is searched, wherever it is from."""
    forbidden: tuple[bytes, ...]
    """Regular expressions of what only the other side may know."""


@dataclass(frozen=True, slots=True)
class Hit:
    """Something of the other side in what a side received."""

    side: str
    text: bytes
    where: bytes
    """The line that holds it."""
    packet: Packet

    def __str__(self) -> str:
        return (
            f"{self.side} got {self.text!r} from {self.packet.source[0]}:{self.packet.source[1]}"
            f" in {self.where[:160]!r}"
        )


class Capture:
    """A running recorder of every packet that this machine delivers. A context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._marks: set[bytes] = set()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.capture", str(path)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        if self._process.stdout is None or self._process.stdout.readline() != b"ready\n":
            raise RuntimeError("the recorder did not start")

    def __enter__(self) -> Capture:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def _is_over(self) -> bool:
        return self._process.stdout is None or self._process.stdout.closed

    def stop(self) -> int:
        """Ends the recording; how many packets are missing from it."""
        if self._process.stdout is None or self._is_over:
            return 0
        self._catch_up()
        self._process.send_signal(signal.SIGTERM)
        told = self._process.stdout.read()
        self._process.stdout.close()
        self._process.wait(10)
        return int(told or b"-1")

    def packets(self) -> list[Packet]:
        """All that has arrived by now, or until the end."""
        if not self._is_over:
            self._catch_up()
        packets = read_packets(self.path.read_bytes())
        return [one for one in packets if one.payload not in self._marks]

    def _catch_up(self) -> None:
        """Waits until what was sent before is in the file: a packet of ours comes after it.

        Raises:
            TimeoutError: the recorder has stopped, or is 20 s behind.
        """
        mark = os.urandom(16)
        self._marks.add(mark)
        start = self.path.stat().st_size
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            sock.sendto(mark, sock.getsockname())
        deadline = time.monotonic() + 20
        while mark not in self._written(start):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the recorder of {self.path} is behind")
            time.sleep(0.02)

    def _written(self, start: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read()


def read_packets(pcap: bytes) -> Iterator[Packet]:
    """The packets of a raw-IP pcap file; a last record that is cut short ends it."""
    offset = 24
    while offset + 16 <= len(pcap):
        seconds, micros, size, _ = struct.unpack_from("<IIII", pcap, offset)
        offset += 16
        if offset + size > len(pcap):
            return
        packet = _decode(pcap[offset : offset + size], seconds + micros / 1e6)
        offset += size
        if packet is not None:
            yield packet


def streams(packets: Iterable[Packet]) -> list[Packet]:
    """The same, each TCP direction joined to one packet: a marker may lie across two segments."""
    datagrams: list[Packet] = []
    segments: dict[tuple[tuple[str, int], tuple[str, int]], list[Packet]] = {}
    for packet in packets:
        if packet.protocol == _TCP:
            segments.setdefault((packet.source, packet.target), []).append(packet)
        else:
            datagrams.append(packet)
    for group in segments.values():
        # Arrival order: loopback neither loses nor reorders, and ports are used again.
        whole = b"".join(one.payload for one in group)
        first = group[0]
        datagrams.append(Packet(first.at, _TCP, first.source, first.target, whole))
    return datagrams


def find_hits(packets: Iterable[Packet], sides: Sequence[Side]) -> list[Hit]:
    """What of one side reached the other: empty if the border hides everything.

    Packets between two hosts of one side are that side's own business.
    """
    searches = [
        (side, frozenset(side.hosts), re.compile(b"|".join(side.forbidden), re.IGNORECASE))
        for side in sides
    ]
    hits: list[Hit] = []
    for packet in streams(packets):
        for side, hosts, search in searches:
            source, target = packet.source[0], packet.target[0]
            if source != side.border and (target not in hosts or source in hosts):
                continue
            for match in search.finditer(packet.payload):
                start = packet.payload.rfind(b"\n", 0, match.start()) + 1
                end = packet.payload.find(b"\n", match.end())
                line = packet.payload[start : end if end >= 0 else None].strip()
                hits.append(Hit(side.name, match[0], line, packet))
    return hits


def _decode(data: bytes, at: float) -> Packet | None:
    version = data[0] >> 4 if data else 0
    if version == 4 and len(data) >= 20:
        header = (data[0] & 15) * 4
        protocol = data[9]
        source, target = socket.inet_ntoa(data[12:16]), socket.inet_ntoa(data[16:20])
        body = data[header : struct.unpack_from("!H", data, 2)[0]]
    elif version == 6 and len(data) >= 40:  # nobody here sends extension headers
        protocol = data[6]
        source, target = (socket.inet_ntop(socket.AF_INET6, data[at : at + 16]) for at in (8, 24))
        body = data[40 : 40 + struct.unpack_from("!H", data, 4)[0]]
    else:
        return None
    if protocol in (_ICMP, _ICMPV6):
        return Packet(at, protocol, (source, 0), (target, 0), body)
    if protocol not in (_UDP, _TCP) or len(body) < 8:
        return None
    from_port, to_port = struct.unpack_from("!HH", body)
    if protocol == _UDP:
        return Packet(at, protocol, (source, from_port), (target, to_port), body[8:])
    (sequence,) = struct.unpack_from("!I", body, 4)
    payload = body[(body[12] >> 4) * 4 :]
    return Packet(at, protocol, (source, from_port), (target, to_port), payload, sequence)


def _record(path: str) -> None:
    """Writes what every interface delivers to `path` until SIGTERM, then says what was dropped."""
    ending = False

    def end(number: int, frame: object) -> None:
        nonlocal ending
        ending = True

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the test run's to handle
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_IP)) as ipv4,
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_IPV6)) as ipv6,
        open(path, "wb", buffering=1 << 16) as file,
    ):
        socks = (ipv6, ipv4)  # the marks of `Capture` are IPv4, and come last
        for sock in socks:
            sock.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
            sock.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS: the kernel's own clock
            sock.setblocking(False)
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, _LINKTYPE_RAW))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while not ending:
            ready = select.select(socks, [], [], 0.1)[0]
            for sock in ready:
                _drain(sock, file.write)
            if not ready:
                file.flush()
        for sock in socks:
            _drain(sock, file.write)
        counted = [sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8) for sock in socks]
        sys.stdout.write(str(sum(struct.unpack("II", one)[1] for one in counted)))


def _drain(sock: socket.socket, write: object) -> None:
    assert callable(write)
    for _ in range(1000):
        try:
            data, notes, _, (interface, _, kind, _, _) = sock.recvmsg(66_000, 64)
        except BlockingIOError:
            return
        if interface == "lo" and kind == _PACKET_OUTGOING:
            continue  # loopback shows every packet twice
        seconds, nanos = struct.unpack("qq", notes[0][2][:16])
        write(struct.pack("<IIII", seconds, nanos // 1000, len(data), len(data)) + data)


if __name__ == "__main__":
    _record(sys.argv[1])
