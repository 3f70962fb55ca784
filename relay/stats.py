"""What one RTP direction has been: packets, loss, jitter, gaps (RFC 3550 §6.4.1, Appendix A).

PURE, and on the path of every packet: `Reception.packet` is called once for each, so the common
case is a handful of comparisons and everything else lives in methods of its own.

Sequence numbers are kept extended: `highest` counts on past 16 bits (Appendix A.1's cycles are its
upper part). Each SSRC, and each restart of its numbering, is an epoch with a base of its own; loss
is summed over epochs (A.3). Jitter (A.8) is that of the current SSRC and payload type; packets that
share a timestamp (frames of video, RFC 4733 events) count for it once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from relay.losses import Losses, Tally

__all__ = ["MAX_DROPOUT", "MAX_MISORDER", "Reception"]

MAX_DROPOUT: Final = 3000
MAX_MISORDER: Final = 100

_DEFAULT_CLOCK: Final = 8000
_PACKETS_AT: Final = 56
_ONE_PACKET: Final = 1 << _PACKETS_AT
"""Packets and bytes are counted in one number, packets in its upper part: what thousands of flows
touch for each packet is what misses the cache, so it is kept small."""
_NO_LOSSES: Final = (0, 0, 0, 0, 0)
_SHORTEST_GAP_S: Final = 0.04
"""Silences up to this are the packetisation, not gaps."""
_RESTART_S: Final = 5.0
"""A step between two packets' clocks beyond this is a new clock, not jitter."""

_STATIC_CLOCKS: Final = {
    **dict.fromkeys((10, 11), 44100),
    6: 16000,
    14: 90000,
    16: 11025,
    17: 22050,
    **dict.fromkeys((25, 26, 28, 31, 32, 33, 34), 90000),
}
"""Static payload types whose clock is not 8000 Hz (RFC 3551 §6)."""


class Reception:
    """The packets of one direction.

    Args:
        clock_rates: payload type → Hz, as signalled; static types need not be in it.
    """

    __slots__ = (
        "_bad_sequence",
        "_base",
        "_before",
        "_clock",
        "_clock_rates",
        "_losses",
        "_lost_before",
        "_paused",
        "_second_byte",
        "_timestamp",
        "_total",
        "_transit",
        "_types",
        "first",
        "highest",
        "jitter_ticks",
        "last",
        "max_gap_s",
        "ssrc",
    )

    def __init__(self, clock_rates: Mapping[int, int]) -> None:
        self._clock_rates = clock_rates
        self._total = 0
        self.first = 0.0
        """Monotonic seconds; 0.0: no packet yet."""
        self.last = 0.0
        """Monotonic seconds; 0.0: no packet since the last pause, and the next ends no gap."""
        self.max_gap_s = 0.0
        """The longest silence above 40 ms; 0.0: there was none."""
        self.ssrc = -1
        self.highest = 0
        """Extended highest sequence number of the epoch."""
        self.jitter_ticks = 0.0
        self._base = 0
        self._before = 0  # packets that are not of this epoch
        self._lost_before = 0
        self._losses: Losses | None = None  # until there are any
        self._bad_sequence = -1
        self._second_byte = -1
        self._timestamp = -1
        self._transit = 0.0
        self._clock = _DEFAULT_CLOCK
        self._types = 0
        self._paused = 0.0

    def packet(
        self, second: int, sequence: int, timestamp: int, ssrc: int, size: int, now: float
    ) -> None:
        """Count one packet: fields of its header, its size in bytes, its arrival.

        Args:
            second: the header's second byte, marker and payload type.
            sequence: 16 bits.
            timestamp: 32 bits.
            ssrc: 32 bits.
            size: of the UDP payload.
            now: monotonic seconds.

        Source: RFC 3550 Appendix A.1, A.8.
        """
        self._total += _ONE_PACKET + size
        gap = now - self.last
        self.last = now
        if gap > _SHORTEST_GAP_S:
            self._gap(gap, now)
        if ssrc == self.ssrc:
            step = (sequence - self.highest) & 0xFFFF
            if step == 1:
                self.highest += 1
            else:
                self._jump(sequence, step)
        else:
            self._begin(ssrc, sequence, now)
        if second != self._second_byte:
            self._change_type(second)
        if timestamp != self._timestamp:
            transit = now * self._clock - timestamp
            delta = transit - self._transit
            self._transit = transit
            if delta < 0.0:
                delta = -delta
            if self._timestamp < 0 or delta > _RESTART_S * self._clock:
                delta = self.jitter_ticks
            self._timestamp = timestamp
            self.jitter_ticks += (delta - self.jitter_ticks) * 0.0625

    @property
    def row(self) -> tuple[int, int, int, int, int, int, int, int]:
        """What is kept of it, all at once: packets, octets, lost, jitter in µs, first and last
        packet in ns, SSRC (0: none), highest sequence number."""
        return (
            self.packets,
            self.octets,
            self.lost,
            int(self.jitter_ms * 1000.0),
            int(self.first * 1e9),
            int(self.last_packet * 1e9),
            max(self.ssrc, 0),
            self.highest,
        )

    @property
    def packets(self) -> int:
        """All that came."""
        return self._total >> _PACKETS_AT

    @property
    def octets(self) -> int:
        """Their UDP payload, bytes."""
        return self._total & (_ONE_PACKET - 1)

    @property
    def lost(self) -> int:
        """Packets expected less packets received (A.3); duplicates make it negative."""
        if self.ssrc < 0:
            return 0
        expected = self.highest - self._base + 1
        return self._lost_before + expected - (self.packets - self._before)

    @property
    def expected(self) -> int:
        """Packets that the peer has sent, as far as its sequence numbers tell."""
        return self.lost + self.packets

    @property
    def tally(self) -> Tally:
        """How the losses lie; what came late after all is in it."""
        return _NO_LOSSES if self._losses is None else self._losses.tally

    @property
    def jitter_ms(self) -> float:
        """Interarrival jitter in milliseconds."""
        return self.jitter_ticks * 1000.0 / self._clock

    @property
    def payload_types(self) -> list[int]:
        """Those seen, rising."""
        return [kind for kind in range(128) if self._types >> kind & 1]

    @property
    def timestamp(self) -> int:
        """RTP timestamp of the last packet; -1: there was none."""
        return self._timestamp

    @property
    def clock(self) -> int:
        """Clock rate of the last packet's payload type, Hz."""
        return self._clock

    @property
    def last_packet(self) -> float:
        """When the last packet came, monotonic seconds; 0.0: there was none."""
        return self.last or self._paused

    def signal(self, clock_rates: Mapping[int, int]) -> None:
        """Signalling has named other payload types."""
        if clock_rates != self._clock_rates:
            self._clock_rates = clock_rates
            self._second_byte = -1  # looked up again with the next packet

    def pause(self) -> None:
        """The peer may rightly fall silent: the next packet does not end a gap."""
        self._paused = self.last or self._paused
        self.last = 0.0

    def _begin(self, ssrc: int, sequence: int, now: float) -> None:
        """The first packet, or a new SSRC."""
        if self.ssrc < 0:
            self.first = now
        else:
            self._close_epoch()
        self.ssrc = ssrc
        self._timestamp = -1
        self.jitter_ticks = 0.0
        self._open_epoch(sequence)

    def _close_epoch(self) -> None:
        """Book the loss of an epoch that the packet in hand, already counted, is not part of."""
        received = self.packets - 1 - self._before
        self._lost_before += self.highest - self._base + 1 - received

    def _open_epoch(self, sequence: int) -> None:
        self._base = self.highest = sequence
        self._before = self.packets - 1
        self._bad_sequence = -1
        if self._losses is not None:
            self._losses.cut()

    def _jump(self, sequence: int, step: int) -> None:
        """Anything but the next number (A.1)."""
        if 0 < step < MAX_DROPOUT:
            if self._losses is None:
                self._losses = Losses()
            self._losses.hole(self.highest, step - 1)
            self.highest += step
        elif 0 < step <= 0x10000 - MAX_MISORDER:
            if sequence == self._bad_sequence:
                # Two in a row: the other side has started anew. The first of them is not known
                # to belong anywhere and is neither received nor lost.
                self._close_epoch()
                self._open_epoch(sequence)
            else:
                self._bad_sequence = (sequence + 1) & 0xFFFF
                self._before += 1

    def _gap(self, gap: float, now: float) -> None:
        if gap > self.max_gap_s and gap != now:  # equal: `last` was 0.0, after a pause
            self.max_gap_s = gap

    def _change_type(self, second: int) -> None:
        """Another payload type, or the marker bit."""
        kind = second & 0x7F
        before = self._second_byte
        self._second_byte = second
        if before >= 0 and before & 0x7F == kind:
            return
        self._types |= 1 << kind
        clock = self._clock_rates.get(kind) or _STATIC_CLOCKS.get(kind, _DEFAULT_CLOCK)
        if clock != self._clock:
            self._clock = clock
            self.jitter_ticks = 0.0
        self._timestamp = -1
