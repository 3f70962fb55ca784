"""What is no call, SIPp to SIPp in both directions: MESSAGE, PUBLISH, OPTIONS, subscriptions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.sides import INSIDE, OUTSIDE, SCENARIOS
from tests.support.baresip import Baresip
from tests.support.border import Border, Shape, until
from tests.support.sipp import Sipp

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

TIMES = 10
ALL = {"methods": {"outside": ["MESSAGE", "OPTIONS", "PUBLISH", "SUBSCRIBE"]}}


@pytest.fixture(scope="module")
def shape() -> Shape:
    return Shape(inside_trunk=ALL, outside_trunk=ALL)


@pytest.mark.parametrize("way", ["outwards", "inwards"])
@pytest.mark.parametrize(
    ("asking", "asked", "each"),
    [
        pytest.param("uac_errands", "uas_errands", 4, id="MESSAGE, PUBLISH twice, OPTIONS"),
        pytest.param("uac_subscribe", "uas_subscribe", 1, id="SUBSCRIBE, refresh, end, NOTIFYs"),
    ],
)
def test_what_is_no_call_crosses(
    border: Border, shape: Shape, tmp_path: Path, asking: str, asked: str, each: int, way: str
) -> None:
    sides = [(_at(shape.inside_peer), shape.inside, INSIDE)]
    sides.append((_at(shape.outside_peer), shape.outside, OUTSIDE))
    (here, near, mark), (there, _, other) = sides if way == "outwards" else sides[::-1]

    with (
        Sipp(SCENARIOS / f"{asked}.xml", tmp_path, there, keys={"mark": other}) as answering,
        Sipp(
            SCENARIOS / f"{asking}.xml",
            tmp_path,
            here,
            remote=(near, 5060),
            calls=TIMES,
            rate=20,
            timeout_s=30,
            keys={"mark": mark},
        ) as sending,
    ):
        sent = sending.wait()
        taken = answering.stop()

        assert (sent.successful, sent.failed) == (TIMES, 0), sending.error_text()
        assert (taken.successful, taken.failed) == (TIMES * each, 0), answering.error_text()
    until(lambda: not border.status()["subscriptions"], 3, "the end of each subscription")
    assert (border.status()["errands"], border.calls()) == (0, [])


def _at(peer: str) -> tuple[str, int]:
    host, port = peer.split(":")
    return host, int(port)


def test_a_soft_phone_sees_another_come_and_go(
    border: Border, shape: Shape, tmp_path: Path
) -> None:
    common = {"codec": "PCMU", "tone_hz": 440}
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
