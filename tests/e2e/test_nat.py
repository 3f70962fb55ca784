"""A router translates addresses, the telephone's or the border's: both sides are heard."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.phone import Phone, sdp
from tests.e2e.sides import INSIDE
from tests.e2e.tone import Media
from tests.support.border import Border, Shape
from tests.support.netns import CloudNetwork, HomeNetwork

pytestmark = [pytest.mark.e2e, pytest.mark.netns, pytest.mark.slow]


@pytest.fixture
def home() -> Iterator[HomeNetwork]:
    with HomeNetwork() as network:
        yield network


@pytest.fixture
def cloud() -> Iterator[CloudNetwork]:
    with CloudNetwork() as network:
        yield network


def test_telephone_behind_nat_is_heard_both_ways(home: HomeNetwork, tmp_path: Path) -> None:
    shape = Shape(
        outside=home.ours,
        outside_peer=f"{home.router}:5060",
        outside_sources=(home.router,),
    )
    with (
        Border(tmp_path / "border", shape),
        Phone(("127.0.1.10", 5060), INSIDE, ("127.0.1.1", 5060)) as answering,
        Media("127.0.1.10", 1000, f"desk@{INSIDE}.example") as media,
    ):
        with _calling(home, home.ours) as calling:
            call = answering.answering(10)
            assert call.invite is not None
            call.answer(sdp(media.host, media.port, INSIDE))
            media.talk_to(call.invite.media())
            call.hung_up(10)
            _heard(calling)
        assert media.heard(440) > 0.9
    assert threading.active_count() < 10


@pytest.mark.parametrize("how", ["written down", "learned"])
def test_a_border_behind_a_one_to_one_nat_is_heard_both_ways(
    cloud: CloudNetwork, tmp_path: Path, how: str
) -> None:
    """Its peer reaches the public address alone, for SIP and for media.

    Learned: a STUN server says that address (coturn, at the peer's).
    """
    shape = Shape(
        outside=cloud.ours, outside_peer=f"{cloud.phone}:5060", outside_sources=(cloud.phone,)
    )
    realms: dict[str, Any] = shape.document(tmp_path)["realms"]
    realms["outside"]["listen"] = [{"bind": f"udp:{cloud.ours}:5060"}]
    if how == "learned":
        realms["outside"]["public_address"] = f"stun:{cloud.phone}"
    else:
        realms["outside"]["listen"][0]["advertise"] = f"{cloud.public}:5060"
        realms["outside"]["media"]["advertise"] = cloud.public
    with (
        _stun_server(cloud),
        Border(tmp_path / "border", replace(shape, further={"realms": realms})),
        Phone(("127.0.1.10", 5060), INSIDE, ("127.0.1.1", 5060)) as answering,
        Media("127.0.1.10", 1000, f"desk@{INSIDE}.example") as media,
        _calling(cloud, cloud.public) as calling,
    ):
        call = answering.answering(10)
        assert call.invite is not None
        call.answer(sdp(media.host, media.port, INSIDE))
        media.talk_to(call.invite.media())
        call.hung_up(10)
        _heard(calling)
        assert media.heard(440) > 0.9


@contextmanager
def _stun_server(network: CloudNetwork) -> Iterator[None]:
    """On the telephone's address, port 3478."""
    options = f"-n -S -L {network.phone} --no-cli --no-tls --no-dtls --no-tcp --log-file stdout"
    command = [*network.inside(), "turnserver", *options.split(), "--pidfile", "/dev/null"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            yield  # who asks, asks again until it is there
        finally:
            server.kill()


@contextmanager
def _calling(network: CloudNetwork | HomeNetwork, border: str) -> Iterator[subprocess.Popen[bytes]]:
    """The telephone in its namespace, which places one call."""
    command = [sys.executable, "-m", "tests.e2e.phone", "--address", network.phone]
    command += ["--border", border, "--tone", "440", "--listen-for", "1000"]
    calling = subprocess.Popen(
        [*network.inside(), *command], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    try:
        yield calling
    finally:
        calling.kill()
        calling.wait()


def _heard(calling: subprocess.Popen[bytes]) -> None:
    """It has heard our tone."""
    told, _ = calling.communicate(timeout=10)
    heard = json.loads(told)
    assert heard["packets"] > 100, heard
    assert heard["power"] > 0.9, heard
