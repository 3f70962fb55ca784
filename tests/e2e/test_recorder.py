"""The recorder that other tests and a benchmark believe."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.support.capture import Capture

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_what_was_recorded_can_be_read_before_its_end_and_after(tmp_path: Path) -> None:
    with (
        Capture(tmp_path / "some.pcap") as capture,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
    ):
        one.bind(("127.0.4.7", 0))
        one.sendto(b"first", one.getsockname())
        during = [packet.payload for packet in capture.packets()]
        one.sendto(b"second", one.getsockname())
        missing = capture.stop()
        after = [packet.payload for packet in capture.packets()]
    assert b"first" in during
    assert missing == 0
    assert {b"first", b"second"} <= set(after)
