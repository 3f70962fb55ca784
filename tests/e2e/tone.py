"""RTP of a telephone: a tone goes out every 20 ms, what comes in is kept."""

from __future__ import annotations

import contextlib
import math
import socket
import struct
import threading
import time
from collections import Counter
from typing import Final

from tests.support.baresip import tone_power

__all__ = ["Media", "rtp", "sender_report"]

_SAMPLES: Final = 160  # 20 ms of G.711


def _mu_law_value(code: int) -> int:
    """The 14-bit sample that a µ-law octet stands for (ITU-T G.711 §3.2)."""
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return -magnitude if code & 0x80 else magnitude


_DECODE: Final = tuple(_mu_law_value(code) for code in range(256))


def _encode(sample: float) -> int:
    return min(range(256), key=lambda code: abs(_DECODE[code] - sample))


def rtp(sequence: int, timestamp: int, ssrc: int, payload: bytes, payload_type: int = 0) -> bytes:
    """One RTP packet (RFC 3550 §5.1)."""
    head = (0x80, payload_type, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
    return struct.pack("!BBHII", *head) + payload


def sender_report(ssrc: int, cname: str, note: str = "") -> bytes:
    """SR and SDES in one packet (RFC 3550 §6.1); `note` becomes a NOTE item."""
    report = struct.pack("!BBHIIIIII", 0x80, 200, 6, ssrc, 0, 0, 0, 0, 0)
    items = b"".join(
        bytes((kind, len(text))) + text.encode() for kind, text in ((1, cname), (7, note)) if text
    )
    chunk = struct.pack("!I", ssrc) + items + b"\0"
    chunk += b"\0" * (-len(chunk) % 4)
    return report + struct.pack("!BBH", 0x81, 202, len(chunk) // 4) + chunk


class Media:
    """A port pair that talks and listens in a thread of its own. A context manager.

    Args:
        host: our address; the port pair is any free even one.
        tone_hz: what we say.
        cname: our name in RTCP, a marker.
        ssrc: our source.
    """

    def __init__(self, host: str, tone_hz: int, cname: str, ssrc: int = 0x5BC0FFEE) -> None:
        self._rtp, self._rtcp = _pair(host)
        self.port: int = self._rtp.getsockname()[1]
        self.host = host
        self._cname = cname
        self._ssrc = ssrc
        turn = 2 * math.pi * tone_hz / 8000
        # One second holds a whole number of periods, so that it can be repeated for ever.
        self._wave = bytes(_encode(12_000 * math.sin(turn * at)) for at in range(8000))
        self._target: tuple[str, int] | None = None
        self._closing = False
        self.sent = 0
        self.samples: list[int] = []
        self.sources: Counter[tuple[str, int]] = Counter()
        """From where RTP came."""
        self.ssrcs: Counter[int] = Counter()
        self.reports: list[bytes] = []
        """RTCP packets as they came."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> Media:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def received(self) -> int:
        return self.sources.total()

    def talk_to(self, target: tuple[str, int]) -> None:
        self._target = target

    def quiet(self) -> None:
        self._target = None

    def heard(self, tone_hz: int) -> float:
        """The share of what we heard that is this tone, 0..1."""
        return tone_power(self.samples[800:], 8000, tone_hz)

    def send_once(self, data: bytes, target: tuple[str, int]) -> None:
        """Any packet, from our RTP port."""
        self._rtp.sendto(data, target)

    def close(self) -> None:
        self._closing = True
        self._thread.join(5)
        self._rtp.close()
        self._rtcp.close()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._closing:
            target = self._target
            if target is not None:
                self._say(target)
            due = max(due + 0.02, time.monotonic() - 0.1)
            while (left := due - time.monotonic()) > 0:
                self._listen(left)
            self._listen(0.0)

    def _say(self, target: tuple[str, int]) -> None:
        at = self.sent * _SAMPLES
        chunk = self._wave[at % 8000 : at % 8000 + _SAMPLES]
        try:
            self._rtp.sendto(rtp(self.sent, at, self._ssrc, chunk), target)
            if self.sent % 25 == 5:
                report = sender_report(self._ssrc, self._cname, self._cname)
                self._rtcp.sendto(report, (target[0], target[1] + 1))
        except OSError:
            pass  # an ICMP error of an earlier packet: the stream goes on
        self.sent += 1

    def _listen(self, wait_s: float) -> None:
        self._rtp.settimeout(wait_s or 0.0001)
        try:
            data, source = self._rtp.recvfrom(4096)
            self.sources[source[:2]] += 1
            self.ssrcs[int.from_bytes(data[8:12])] += 1
            if data[1] & 0x7F == 0:
                self.samples.extend(_DECODE[code] for code in data[12:])
        except OSError:
            pass
        with contextlib.suppress(OSError):
            self.reports.append(self._rtcp.recv(4096))


def _pair(host: str) -> tuple[socket.socket, socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in range(20_000, 32_000, 2):
        first = socket.socket(family, socket.SOCK_DGRAM)
        second = socket.socket(family, socket.SOCK_DGRAM)
        try:
            first.bind((host, port))
            second.bind((host, port + 1))
        except OSError:
            first.close()
            second.close()
            continue
        second.setblocking(False)
        return first, second
    raise OSError(f"no free port pair on {host}")
