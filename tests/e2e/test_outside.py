"""What is no call, SIPp to SIPp in both directions: MESSAGE, PUBLISH, OPTIONS, subscriptions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.sides import INSIDE, OUTSIDE
from tests.e2e.ways import Way, both_ways, play, scenario
from tests.support.baresip import Baresip
from tests.support.border import Border, Shape, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

TIMES = 10
ALL = {"methods": {"outside": ["MESSAGE", "OPTIONS", "PUBLISH", "SUBSCRIBE"]}}


@pytest.fixture(scope="module")
def shape() -> Shape:
    return Shape(inside_trunk=ALL, outside_trunk=ALL)


@both_ways
@pytest.mark.parametrize(
    ("asking", "asked", "each"),
    [
        pytest.param("uac_errands", "uas_errands", 4, id="MESSAGE, PUBLISH twice, OPTIONS"),
        pytest.param("uac_subscribe", "uas_subscribe", 1, id="SUBSCRIBE, refresh, end, NOTIFYs"),
    ],
)
def test_what_is_no_call_crosses(
    border: Border, tmp_path: Path, asking: str, asked: str, each: int, way: Way
) -> None:
    calls, legs = TIMES, TIMES * each
    play(way, tmp_path, scenario(asking), scenario(asked), calls=calls, legs=legs, rate=20)
    until(lambda: not border.status()["subscriptions"], 3, "the end of each subscription")
    assert (border.status()["errands"], border.calls()) == (0, [])


def _at(peer: str) -> tuple[str, int]:
    host, port = peer.split(":")
    return host, int(port)


def test_a_soft_phone_sees_another_come_and_go(
    border: Border, shape: Shape, tmp_path: Path
) -> None:
    common: dict[str, Any] = {"codec": "PCMU", "tone_hz": 440}
    with (
        Baresip(
            tmp_path / "watched",
            _at(shape.outside_peer),
            user="100",
            domain=f"{OUTSIDE}.example",
            proxy=(shape.outside, 5060),
            **common,
        ) as watched,
        Baresip(
            tmp_path / "watching",
            _at(shape.inside_peer),
            user="alice",
            domain=f"{INSIDE}.example",
            proxy=(shape.inside, 5060),
            watches=f"sip:100@{shape.inside}",
            **common,
        ) as watching,
    ):
        until(lambda: border.status()["subscriptions"] == {"pbx": 1}, 10, "the subscription")
        watched.appear("online")
        watching.await_log("Online")
        watched.appear("offline")
        watching.await_log("Offline")
    until(lambda: not border.status()["subscriptions"], 10, "its end")
