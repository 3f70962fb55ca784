"""Two soft phones that nobody here has written talk through the border."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.e2e.sides import INSIDE, OUTSIDE
from tests.support.baresip import Baresip, read_wave, tone_power
from tests.support.border import Border, Shape, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def shape() -> Shape:
    """baresip binds its RTP to every address, so that on loopback it comes from 127.0.0.1."""
    elsewhere = {"nat": "always", "latch": "any"}
    return Shape(inside_trunk=elsewhere, outside_trunk=elsewhere)


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_two_soft_phones_hear_each_other(border: Border, tmp_path: Path, codec: str) -> None:
    with (
        Baresip(
            tmp_path / "inside",
            ("127.0.1.10", 5060),
            user="alice",
            domain=f"{INSIDE}.example",
            proxy=("127.0.1.1", 5060),
            codec=codec,
            tone_hz=440,
            rtp_ports=(10_000, 10_100),
        ) as inside,
        Baresip(
            tmp_path / "outside",
            ("127.0.2.10", 5060),
            user="100",
            domain=f"{OUTSIDE}.example",
            proxy=("127.0.2.1", 5060),
            codec=codec,
            tone_hz=1000,
            rtp_ports=(10_200, 10_300),
        ) as outside,
    ):
        inside.call("sip:100@127.0.1.1")
        inside.await_log("established")
        time.sleep(3)
        inside.hang_up()
        time.sleep(0.5)
        heard = [_share(inside, 1000), _share(outside, 440)]

    assert min(heard) > 0.9, heard
    until(lambda: border.cdrs(), 3, "a record")
    assert border.cdrs()[-1]["codecs"] == [codec]


def _share(phone: Baresip, tone_hz: int) -> float:
    """How much of what a telephone recorded is the tone; the first half second is set-up."""
    (path,) = phone.heard()
    samples, rate = read_wave(path)
    assert len(samples) > rate, f"only {len(samples)} samples"
    return tone_power(samples[rate // 2 :], rate, tone_hz)
