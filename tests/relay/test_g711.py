"""µ-law and A-law (ITU-T G.711)."""

from __future__ import annotations

import json
from pathlib import Path

from relay.rtp.g711 import ALAW_TO_ULAW, ULAW_TO_ALAW, decode_alaw, decode_ulaw

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "g711.json").read_text("utf-8"))


def test_the_decoders_give_the_values_of_the_recommendation():
    assert [decode_ulaw(code) for code in range(256)] == VECTORS["ulaw_decode"]
    assert [decode_alaw(code) for code in range(256)] == VECTORS["alaw_decode"]


def test_the_tables_are_those_of_the_recommendation():
    for code in range(256):
        number = ~code & 0x7F
        assert ULAW_TO_ALAW[code] == (VECTORS["table_3"][number] - 1) ^ (
            0xD5 if code & 0x80 else 0x55
        )
        number = (code ^ 0x55) & 0x7F
        assert ALAW_TO_ULAW[code] == VECTORS["table_4"][number] ^ (0xFF if code & 0x80 else 0x7F)


def test_silence_becomes_silence_and_a_tone_a_tone():
    ulaw, alaw = (VECTORS["silence"][law] for law in ("ulaw", "alaw"))
    assert bytes([ulaw]).translate(ULAW_TO_ALAW) == bytes([alaw])
    # A-law has no zero: its least value is nearest to µ-law's first step.
    assert abs(decode_ulaw(ALAW_TO_ULAW[alaw])) == 8
    tone = bytes.fromhex(VECTORS["milliwatt_ulaw_1khz"])
    other = bytes.fromhex(VECTORS["milliwatt_alaw_1khz"])
    assert tone.translate(ULAW_TO_ALAW) == other
    assert other.translate(ALAW_TO_ULAW) == tone


def test_there_and_back_loses_at_most_a_step():
    for code in range(256):
        there = ULAW_TO_ALAW[code]
        back = ALAW_TO_ULAW[there]
        assert back & 0x80 == there & 0x80 == code & 0x80
        assert abs(back - code) <= 2
