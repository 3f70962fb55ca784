"""What the shell does beside driving: which news of connections reaches the border."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from sbc.runtime.server import Server
from sbc.settings import CdrSettings
from sbc.transaction.hop import TCP, Hop
from tests.call.lab import settings


class Clock:
    """Seconds that stand still until a test moves them."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(tmp_path: Path, clock: Clock) -> Server:
    config = replace(
        settings(),
        run_dir=str(tmp_path),
        state_dir=str(tmp_path),
        cdr=CdrSettings(path=str(tmp_path / "cdr.jsonl")),
    )
    made = Server(config, clock)
    yield made
    made.cdr.close()


def test_only_a_connection_that_carried_requests_of_ours_is_looked_for_when_it_ends(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking costs what is out; strangers may come and go as often as they like."""
    lost: list[int] = []
    monkeypatch.setattr(server.border, "unreachable", lambda hop, *_: lost.append(hop.connection))
    server._streams = SimpleNamespace(send=lambda data, hop: hop.connection or 9)
    server._transmit(Hop("outside", 3, TCP, "10.1.0.2", 5060), b"INVITE sip:x SIP/2.0\r\n")
    server._transmit(Hop("outside", 3, TCP, "10.1.0.2", 5061, 8), b"SIP/2.0 200 OK\r\n")
    for connection in (7, 8, 9, 9):
        server.lost(Hop("outside", 3, TCP, "10.1.0.2", 5060, connection))
    assert lost == [9]
    assert server._asked_on == set()


def test_the_status_tells_how_long_the_border_is_up(server: Server, clock: Clock) -> None:
    """From its own beginning, whatever the clock said then."""
    server._udp.clear()  # sockets that are not open have no figures
    assert server.status()["uptime_s"] == 0.0
    clock.now += 3723.25
    assert server.status()["uptime_s"] == 3723.25
