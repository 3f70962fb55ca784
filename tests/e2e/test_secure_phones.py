"""Soft phones whose legs differ: SRTP on one side or on both, other codecs, other laws of G.711.

All pairs are up at the same time, through one border that knows each phone as a trunk of its own.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.sides import INSIDE, OUTSIDE
from tests.support.baresip import Baresip, read_wave, tone_power
from tests.support.border import Border, Shape, until
from tests.support.capture import Capture

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

INSIDE_HZ, OUTSIDE_HZ = 440, 1000
SIDES = ("inside", "outside")


@dataclass(frozen=True, slots=True)
class Case:
    """Two phones, and what their trunks say about media."""

    inside: Mapping[str, Any]
    """Keys of the trunk."""
    outside: Mapping[str, Any]
    codec_inside: str = "PCMU"
    codec_outside: str = "PCMU"
    secure_inside: str = ""
    secure_outside: str = ""
    keys: tuple[list[str], list[str]] = ([], [])
    """What the record says of each side's."""


CM_80 = "AES_CM_128_HMAC_SHA1_80"
SECURE: dict[str, Any] = {"srtp": "required", "srtp_suites": [CM_80]}
CASES = {
    "srtp inside": Case(SECURE, {}, secure_inside="srtp-mand", keys=([CM_80], ["none"])),
    "srtp outside": Case({}, SECURE, secure_outside="srtp-mand", keys=(["none"], [CM_80])),
    "srtp on both": Case(
        SECURE,
        SECURE,
        secure_inside="srtp-mand",
        secure_outside="srtp-mand",
        keys=([CM_80], [CM_80]),
    ),
    "opportunistic": Case(
        {"srtp": "preferred"}, {}, secure_inside="srtp", keys=([CM_80], ["none"])
    ),
    "other law": Case(
        {"codecs": {"allow": ["PCMU"]}},
        {"codecs": {"allow": ["PCMA"]}},
        codec_outside="PCMA",
        keys=(["none"], ["none"]),
    ),
    "g722": Case({}, {}, codec_inside="G722/16000/1", codec_outside="G722/16000/1"),
    "opus": Case(
        {},
        SECURE,
        codec_inside="opus/48000/2",
        codec_outside="opus/48000/2",
        secure_outside="srtp-mand",
        keys=(["none"], [CM_80]),
    ),
}


@dataclass(frozen=True, slots=True)
class Heard:
    """What one phone had of the other.

    baresip 1.0.0 ceases to record at the first re-INVITE, so the tone is that before the hold.
    """

    tone: float
    """How much of what it recorded at its loudest is the other's tone."""
    packets: int
    """How many came to it after the hold."""
    refused: bool
    """Whether it said of any SRTP packet that this could not be decrypted."""


@pytest.fixture(scope="module")
def shape() -> Shape:
    """baresip binds its RTP to every address, so that on loopback it comes from 127.0.0.1."""
    trunks: dict[str, Any] = {}
    routes = []
    for at, (name, case) in enumerate(CASES.items()):
        for side, network, keys in (
            ("inside", "127.0.1", case.inside),
            ("outside", "127.0.2", case.outside),
        ):
            trunks[_trunk(name, side)] = {
                "realm": side,
                "peers": [f"{network}.{12 + at}:5060"],
                "nat": "always",
                "latch": "any",
                **keys,
            }
        routes.append({"from": _trunk(name, "inside"), "to": _trunk(name, "outside")})
    return Shape(further={"trunks": trunks, "routes": routes})


@pytest.fixture(scope="module")
def heard(
    border: Border, recording: Capture, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """Every pair's call, held and resumed on the way."""
    folder = tmp_path_factory.mktemp("phones")
    with ExitStack() as stack:
        pairs = {
            name: tuple(stack.enter_context(_phone(folder, at, name, side)) for side in SIDES)
            for at, name in enumerate(CASES)
        }
        for inside, _ in pairs.values():
            inside.call("sip:100@127.0.1.1")
        for inside, _ in pairs.values():
            inside.await_log("established")
        time.sleep(2)
        for inside, _ in pairs.values():
            inside.hold()
        time.sleep(0.7)
        for inside, _ in pairs.values():
            inside.resume()
        resumed = time.time()
        time.sleep(2)
        for inside, _ in pairs.values():
            inside.hang_up()
        time.sleep(0.7)
        until(lambda: len(border.cdrs()) >= len(CASES), 5, "all records")
        came = Counter(one.target[1] for one in recording.packets() if one.at > resumed)
        yield {
            name: tuple(
                Heard(
                    _share(phone, tone_hz),
                    sum(came[port] for port in _rtp_ports(at, side)),
                    "failed to decrypt" in phone.log(),
                )
                for phone, side, tone_hz in zip(pair, SIDES, (OUTSIDE_HZ, INSIDE_HZ), strict=True)
            )
            for at, (name, pair) in enumerate(pairs.items())
        }


@pytest.mark.parametrize("name", CASES)
def test_the_tone_arrives_on_both_sides(heard: dict[str, tuple[Heard, ...]], name: str) -> None:
    assert min(one.tone for one in heard[name]) > 0.8, heard[name]


@pytest.mark.parametrize("name", CASES)
def test_both_sides_hear_on_after_the_hold(heard: dict[str, tuple[Heard, ...]], name: str) -> None:
    """For 2 s, at 50 packets a second."""
    assert min(one.packets for one in heard[name]) > 80, heard[name]
    assert not any(one.refused for one in heard[name])


@pytest.mark.parametrize("name", CASES)
def test_the_record_has_the_keys_and_no_loss(
    heard: dict[str, tuple[Heard, ...]], border: Border, name: str
) -> None:
    (record,) = [one for one in border.cdrs() if one["trunk_a"] == _trunk(name, "inside")]
    assert (record["srtp_a"], record["srtp_b"]) == CASES[name].keys
    assert record["cause"] == "normal"
    for stream in record["streams"]:
        assert stream["lost"] < 5, record["streams"]


def _trunk(name: str, side: str) -> str:
    return f"{name.replace(' ', '-')}-{side}"


def _phone(folder: Path, at: int, name: str, side: str) -> Baresip:
    case, inside = CASES[name], side == "inside"
    network = "127.0.1" if inside else "127.0.2"
    return Baresip(
        folder / _trunk(name, side),
        (f"{network}.{12 + at}", 5060),
        user="alice" if inside else "100",
        domain=f"{INSIDE if inside else OUTSIDE}.example",
        proxy=(f"{network}.1", 5060),
        codec=case.codec_inside if inside else case.codec_outside,
        tone_hz=INSIDE_HZ if inside else OUTSIDE_HZ,
        rtp_ports=(_rtp_ports(at, side)[0], _rtp_ports(at, side)[-1]),
        encryption=case.secure_inside if inside else case.secure_outside,
    )


def _rtp_ports(at: int, side: str) -> range:
    first = 20_000 + 200 * at + 100 * (side == "outside")
    return range(first, first + 91)


def _share(phone: Baresip, tone_hz: int) -> float:
    best = 0.0
    for path in phone.heard():
        samples, rate = read_wave(path)
        for start in range(0, len(samples) - rate, rate // 2):
            best = max(best, tone_power(samples[start : start + rate], rate, tone_hz))
    return best
