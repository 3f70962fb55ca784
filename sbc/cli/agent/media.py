"""One telephone's media: an RTP socket that plays a tone and keeps what it hears (RFC 3550)."""

from __future__ import annotations

import itertools
import secrets
import socket
import struct
from dataclasses import dataclass, field
from typing import Final

import trio

from sbc.cli.agent.g711 import PACKET_SAMPLES, SAMPLE_RATE, has_tone, tone
from sbc.errors import TransportError
from sbc.transport.opening import family_of, name_of, socket_address

__all__ = ["Direction", "MediaEnd", "judge"]

_HEADER: Final = struct.Struct("!BBHII")
_VERSION: Final = 0x80
_MARKER: Final = 0x80
_PCMU: Final = 0
_PACKET_S: Final = PACKET_SAMPLES / SAMPLE_RATE
_FIRST_PORT: Final = 20_000
_PORT_PAIRS: Final = 6_000
_TRIES: Final = 100
_ENOUGH: Final = 0.9

Address = tuple[str, int]


@dataclass(slots=True)
class Heard:
    """One packet that came."""

    arrived_s: float
    source: Address
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


@dataclass(slots=True)
class MediaEnd:
    """One telephone's RTP.

    Args:
        host: the telephone's address.
        tone_hz: what it plays.
    """

    host: str
    tone_hz: int
    port: int = 0
    remote: Address | None = None
    """Where the other side's SDP says that it listens."""
    sent_s: dict[int, float] = field(default_factory=dict)
    """RTP timestamp → when that packet left."""
    heard: list[Heard] = field(default_factory=list)
    _rtp: trio.socket.SocketType | None = None
    _rtcp: trio.socket.SocketType | None = None

    async def open(self) -> None:
        """Bind an even RTP port, and the odd one above it so that RTCP meets no ICMP error.

        Raises:
            TransportError: no pair of ports is free.
        """
        failure: OSError | None = None
        for _ in range(_TRIES):
            port = _FIRST_PORT + 2 * secrets.randbelow(_PORT_PAIRS)
            try:
                pair = await _bind_pair(self.host, port)
            except OSError as error:
                failure = error
                continue
            self._rtp, self._rtcp = pair
            self.port = port
            return
        raise TransportError(f"{name_of('udp', self.host, 0)}: no media port: {failure}")

    def close(self) -> None:
        """Close both sockets."""
        for sock in (self._rtp, self._rtcp):
            if sock is not None:
                sock.close()

    async def play(self, duration_s: float) -> None:
        """Send the tone to `remote`, a packet each 20 ms; missed deadlines are made up for."""
        assert self._rtp is not None  # noqa: S101 (opened)
        assert self.remote is not None  # noqa: S101 (negotiated)
        sound = tone(self.tone_hz)
        ssrc = secrets.randbits(32)
        sequence, timestamp = secrets.randbits(15), secrets.randbits(31)
        start = trio.current_time()
        for number in range(round(duration_s / _PACKET_S)):
            await trio.sleep_until(start + number * _PACKET_S)
            offset = number * PACKET_SAMPLES % SAMPLE_RATE
            header = _HEADER.pack(
                _VERSION,
                _PCMU | (_MARKER if number == 0 else 0),
                (sequence + number) & 0xFFFF,
                (timestamp + number * PACKET_SAMPLES) & 0xFFFFFFFF,
                ssrc,
            )
            self.sent_s[(timestamp + number * PACKET_SAMPLES) & 0xFFFFFFFF] = trio.current_time()
            try:
                await self._rtp.sendto(
                    header + sound[offset : offset + PACKET_SAMPLES], self.remote
                )
            except OSError:
                continue  # an ICMP error; what does not arrive is counted at the other end

    async def listen(self) -> None:
        """Keep every RTP packet that comes, for ever."""
        assert self._rtp is not None  # noqa: S101 (opened)
        while True:
            try:
                data, source = await self._rtp.recvfrom(2_048)
            except ConnectionError:
                continue
            if len(data) < _HEADER.size or data[0] >> 6 != 2:
                continue
            first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
            start = _HEADER.size + 4 * (first & 0x0F)
            self.heard.append(
                Heard(
                    trio.current_time(),
                    (source[0], source[1]),
                    second & 0x7F,
                    sequence,
                    timestamp,
                    ssrc,
                    data[start:],
                )
            )


@dataclass(slots=True)
class Direction:
    """What became of one telephone's tone."""

    speaker: str
    listener: str
    tone_hz: int
    sent: int
    received: int
    """Different packets."""
    lost: int
    duplicates: int
    reordered: int
    with_tone: int
    """Packets in which the tone was found."""
    strange_sources: int
    """Packets that did not come from where the SDP had said."""
    jitter_ms: float
    """RFC 3550 §A.8."""
    delay_ms: float | None
    """Median, from telephone to telephone; None where timestamps were changed on the way."""
    longest_gap_ms: float

    @property
    def good(self) -> bool:
        """Whether somebody at the other end would have heard the tone."""
        least = max(1.0, _ENOUGH * self.sent)
        return self.received >= least and self.with_tone >= _ENOUGH * self.received

    def __str__(self) -> str:
        parts = [
            f"{self.tone_hz} Hz {'heard' if self.good else 'NOT heard'}",
            f"{self.received} of {self.sent} packets",
            f"jitter {self.jitter_ms:.1f} ms",
        ]
        if self.delay_ms is not None:
            parts.append(f"delay {self.delay_ms:.1f} ms")
        for count, what in (
            (self.received - self.with_tone, "without the tone"),
            (self.duplicates, "twice"),
            (self.reordered, "out of order"),
            (self.strange_sources, "from a strange address"),
        ):
            if count:
                parts.append(f"{count} {what}")
        return f"{self.speaker} → {self.listener}: {', '.join(parts)}"


def judge(speaker: str, speaking: MediaEnd, listener: str, listening: MediaEnd) -> Direction:
    """Compare what one end sent with what the other one heard."""
    heard = listening.heard
    unique = {(packet.ssrc, packet.sequence): packet for packet in reversed(heard)}
    packets = [packet for packet in unique.values() if packet.payload_type == _PCMU]
    packets.sort(key=lambda packet: packet.arrived_s)
    pairs = list(itertools.pairwise(packets))
    gaps = [after.arrived_s - before.arrived_s for before, after in pairs]
    delays = sorted(
        packet.arrived_s - speaking.sent_s[packet.timestamp]
        for packet in packets
        if packet.timestamp in speaking.sent_s
    )
    return Direction(
        speaker=speaker,
        listener=listener,
        tone_hz=speaking.tone_hz,
        sent=len(speaking.sent_s),
        received=len(packets),
        lost=max(0, len(speaking.sent_s) - len(packets)),
        duplicates=len(heard) - len(unique),
        reordered=sum(
            before.ssrc == after.ssrc and (after.sequence - before.sequence) & 0x8000 != 0
            for before, after in pairs
        ),
        with_tone=sum(has_tone(packet.payload, speaking.tone_hz) for packet in packets),
        strange_sources=sum(packet.source != listening.remote for packet in packets),
        jitter_ms=round(_jitter_s(packets) * 1000, 2),
        delay_ms=round(delays[len(delays) // 2] * 1000, 2) if delays else None,
        longest_gap_ms=round(max(gaps, default=0.0) * 1000, 1),
    )


def _jitter_s(packets: list[Heard]) -> float:
    jitter = 0.0
    for before, after in itertools.pairwise(packets):
        ticks = (after.timestamp - before.timestamp + 2**31) % 2**32 - 2**31
        transit = after.arrived_s - before.arrived_s - ticks / SAMPLE_RATE
        jitter += (abs(transit) - jitter) / 16
    return jitter


async def _bind_pair(host: str, port: int) -> tuple[trio.socket.SocketType, trio.socket.SocketType]:
    rtp = trio.socket.socket(family_of(host), socket.SOCK_DGRAM)
    rtcp = trio.socket.socket(family_of(host), socket.SOCK_DGRAM)
    try:
        await rtp.bind(socket_address(host, port))
        await rtcp.bind(socket_address(host, port + 1))
    except BaseException:
        rtp.close()
        rtcp.close()
        raise
    return rtp, rtcp
