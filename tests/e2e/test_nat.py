"""A telephone behind a router that translates its addresses is heard, and hears."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.phone import Phone, sdp
from tests.e2e.sides import INSIDE
from tests.e2e.tone import Media
from tests.support.border import Border, Shape
from tests.support.netns import HomeNetwork

pytestmark = [pytest.mark.e2e, pytest.mark.netns, pytest.mark.slow]


@pytest.fixture
def home() -> Iterator[HomeNetwork]:
    with HomeNetwork() as network:
        yield network


def test_telephone_behind_nat_is_heard_both_ways(home: HomeNetwork, tmp_path: Path) -> None:
    shape = Shape(
        outside=home.public,
        outside_peer=f"{home.router}:5060",
        outside_sources=(home.router,),
    )
    with (
        Border(tmp_path / "border", shape),
        Phone(("127.0.1.10", 5060), INSIDE, ("127.0.1.1", 5060)) as answering,
        Media("127.0.1.10", 1000, f"desk@{INSIDE}.example") as media,
    ):
        command = [sys.executable, "-m", "tests.e2e.phone", "--address", home.phone]
        command += ["--border", home.public, "--tone", "440", "--listen-for", "1000"]
        calling = subprocess.Popen(
            [*home.inside(), *command], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        try:
            call = answering.answering(10)
            assert call.invite is not None
            call.answer(sdp(media.host, media.port, INSIDE))
            media.talk_to(call.invite.media())
            call.hung_up(10)
            told, _ = calling.communicate(timeout=10)
        finally:
            calling.kill()
            calling.wait()
        heard = json.loads(told)
        assert heard["packets"] > 100, heard
        assert heard["power"] > 0.9, heard
        assert media.heard(440) > 0.9
    assert threading.active_count() < 10
