"""What Python's classes do, written down for the tests of their twins in Rust (relay/native/core).

`python -m tests.relay.native_fixtures` writes tests/vectors/native, and test_native_fixtures.py
holds the files current. A file is a list of cases, and what happens in a case a list of steps.
Figures have all their digits: a twin must be equal to the last bit.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from relay.errors import ParseError
from relay.policer import Policer
from relay.rtp.packet import classify, parse
from relay.rtp.rtcp import packets
from relay.rtp.srtp import new_session
from relay.rtp.suites import SUITES
from relay.stats import Reception

__all__ = ["FILES", "FOLDER", "rtp", "text"]

FOLDER: Final = Path(__file__).parents[1] / "vectors" / "native"


def _policers(chance: random.Random) -> list[Any]:
    """[rate, burst, now, [[what, units, now, result, level], …]]"""
    cases = []
    for rate, burst in ((1.0, 1.0), (200.0, 400.0), (24_000 / 7, 48_000.0), (0.1, 1e9), (0.0, 0.0)):
        now = chance.uniform(0, 1e6)
        policer = Policer(rate, burst, now)
        case: list[Any] = [rate, burst, now, []]
        for _ in range(60):
            now += chance.choice((0.0, 0.02, chance.random(), -0.01, 100.0 * chance.random()))
            units = chance.choice((1.0, burst / 3, chance.uniform(0, 2 * burst), 172.0))
            what = chance.choice(("take", "grant"))
            result = getattr(policer, what)(units, now)
            case[3].append([what, units, now, result, policer._level])
        cases.append(case)
    return cases


def _state(reception: Reception) -> dict[str, Any]:
    return {
        "packets": reception.packets,
        "octets": reception.octets,
        "first": reception.first,
        "last": reception.last,
        "max_gap_s": reception.max_gap_s,
        "ssrc": reception.ssrc,
        "highest": reception.highest,
        "jitter_ticks": reception.jitter_ticks,
        "lost": reception.lost,
        "expected": reception.expected,
        "jitter_ms": reception.jitter_ms,
        "payload_types": reception.payload_types,
        "last_packet": reception.last_packet,
        "base": reception._base,
        "before": reception._before,
        "lost_before": reception._lost_before,
        "bad_sequence": reception._bad_sequence,
        "second_byte": reception._second_byte,
        "timestamp": reception._timestamp,
        "transit": reception._transit,
        "clock": reception._clock,
        "paused": reception._paused,
        "tally": reception.tally,
    }


def _receptions(chance: random.Random) -> list[Any]:
    """[clock rates, [step, …]]; a step is a packet's arguments, or what was called, or a state."""
    cases = []
    for number in range(12):
        rates = chance.choice(({0: 8000}, {96: 48000, 101: 8000}, {8: 0, 111: 90000}, {}))
        reception, began = Reception(rates), sorted(rates.items())
        steps: list[Any] = []
        now, ssrc, second = chance.uniform(1, 1e6), chance.getrandbits(32), chance.choice((0, 96))
        sequence, stamp = chance.choice((0, 65_500, chance.getrandbits(16))), chance.getrandbits(32)
        for step in range(160):
            sequence += chance.choice((1,) * 30 + (0, 2, 3, -1, -5, -200, 2_999, 3_000, 40_000))
            stamp += chance.choice((160,) * 20 + (0, 320, 960, 1 << 31))
            now += chance.choice((0.02,) * 9 + (0.0, 0.019, 0.04, 0.041, chance.random() * 3))
            ssrc = chance.choice((ssrc,) * 60 + (ssrc ^ 1,))
            second = chance.choice((second,) * 30 + (second ^ 0x80, 101, 8, 34, number % 128))
            packet = (second, sequence & 0xFFFF, stamp & 0xFFFFFFFF, ssrc, 172 + step % 3, now)
            reception.packet(*packet)
            steps.append(list(packet))
            if chance.random() < 0.02:
                reception.pause()
                steps.append("pause")
            if chance.random() < 0.02:
                rates = {**rates, second & 0x7F: chance.choice((8000, 16000))}
                reception.signal(rates)
                steps.append({"signal": sorted(rates.items())})
            if step % 20 == 19:
                steps.append(_state(reception))
        cases.append([began, steps])
    return cases


def _headers(chance: random.Random) -> list[Any]:
    """[datagram, kind, header or null]"""
    cases = []
    for _ in range(400):
        data = bytearray(chance.randbytes(chance.randrange(40)))
        if data and chance.random() < 0.8:
            data[0] = chance.choice((0x80, 0x80 | data[0] & 0x33, 0x90, 0xA0, data[0]))
        if len(data) > 15 and chance.random() < 0.7:
            data[14:16] = (chance.randrange(4)).to_bytes(2, "big")
            data[-1] %= 9
        try:
            header = parse(data)
            found: Any = [
                header.marker,
                header.payload_type,
                header.sequence,
                header.timestamp,
                header.ssrc,
                header.size,
                header.padding,
            ]
        except ParseError:
            found = None
        cases.append([data.hex(), int(classify(data)), found])
    return cases


def _compounds(chance: random.Random) -> list[Any]:
    """[datagram, [[packet type, count, body], …] or null]"""
    cases = []
    for _ in range(300):
        data = bytearray()
        for _ in range(chance.randrange(1, 4)):
            words = chance.randrange(6)
            head = chance.choice((0x80, 0x81, 0xA0, 0x82, 0x40)) if chance.random() < 0.3 else 0x81
            data += bytes((head, 200 + chance.randrange(8), 0, words)) + chance.randbytes(4 * words)
            if head == 0xA0 and words:
                data[-1] = chance.choice((0, 3, 4, 8, 4 * words, 4 * words + 4))
        if chance.random() < 0.2:
            data = data[: chance.randrange(len(data))]
        try:
            found: Any = [[kind, count, body.hex()] for kind, count, body in packets(data)]
        except ParseError:
            found = None
        cases.append([data.hex(), found])
    return cases


def rtp(sequence: int, ssrc: int, payload: bytes) -> bytes:
    """One RTP packet; of the sequence number only the lower 16 bits are in it."""
    stamp = sequence * 160 & 0xFFFFFFFF
    return struct.pack("!BBHII", 0x80, 0, sequence & 0xFFFF, stamp, ssrc) + payload


def _sessions(chance: random.Random) -> list[Any]:
    """{suite, key, mki, roc, steps: [[what, packet, result], …]}; a failure is its number."""
    return [_session(suite, mki, chance) for suite in SUITES for mki in (b"", b"\x01mk")]


def _session(suite: str, mki: bytes, chance: random.Random) -> dict[str, Any]:
    roc = chance.choice((0, 0, 1, 0xFFFFFFFE))
    key = chance.randbytes(SUITES[suite].key_bytes + SUITES[suite].salt_bytes)
    sends, receives = new_session(suite, key, mki, roc), new_session(suite, key, mki, roc)
    steps: list[Any] = []

    def step(what: str, packet: bytes) -> bytes | int:
        done = getattr(receives if "un" in what else sends, what)(packet)
        steps.append([what, packet.hex(), done.hex() if isinstance(done, bytes) else int(done)])
        return done

    sequence = chance.choice((0, 65_530))
    made: list[tuple[str, bytes]] = []
    for _ in range(25):
        sequence += chance.choice((1, 1, 1, 2, -1, -3, 200, 40_000))
        if chance.random() < 0.3:
            kind, packet = "protect_rtcp", b"\x81\xc9\0\x07" + chance.randbytes(28)
        else:
            payload = chance.randbytes(chance.randrange(40))
            kind, packet = "protect", rtp(sequence, chance.choice((7, 7, 8)), payload)
        done = step(kind, packet)
        if isinstance(done, bytes):
            made.append((f"un{kind}", done))
        if made and chance.random() < 0.9:
            step(*_on_the_way(made[-1 - chance.randrange(min(3, len(made)))], chance))
    return {
        "suite": suite,
        "key": key.hex(),
        "mki": mki.hex(),
        "roc": roc,
        "steps": steps,
        "indices": [[ssrc, sends.index(ssrc), receives.index(ssrc)] for ssrc in (7, 8)],
        "rtcp_indices": [sends.rtcp_index, receives.rtcp_index],
    }


def _on_the_way(packet: tuple[str, bytes], chance: random.Random) -> tuple[str, bytes]:
    """Sometimes a bit is turned, and then the end may be cut off."""
    if chance.random() > 0.2:
        return packet
    changed = bytearray(packet[1])
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return packet[0], bytes(changed[: chance.choice((None, None, 20, 11, 7))])


_KINDS: Final[dict[str, Callable[[random.Random], list[Any]]]] = {
    "policer": _policers,
    "reception": _receptions,
    "rtp": _headers,
    "rtcp": _compounds,
    "srtp": _sessions,
}
FILES: Final = tuple(_KINDS)


def text(name: str) -> str:
    """A file as it should be: a case a line."""
    cases = _KINDS[name](random.Random(name))  # noqa: S311 - it is for a test
    lines = (json.dumps(case, separators=(",", ":")) for case in cases)
    return "[\n" + ",\n".join(lines) + "\n]\n"


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file in FILES:
        (FOLDER / f"{file}.json").write_text(text(file), "utf-8")
