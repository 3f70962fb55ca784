"""Which worker has which media ports, and what is said when there are no more."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator

import pytest

from relay.media_ports import MediaPorts
from relay.settings import RelaySettings
from relay.slot import Slot
from tests.relay.pool.harness import Pools


@pytest.fixture
def slot(pools: Pools) -> Iterator[Slot]:
    """A slot without a worker."""
    pools.run_dir.mkdir(exist_ok=True)
    found = Slot.open(0, str(pools.run_dir))
    try:
        yield found
    finally:
        found.close(str(pools.run_dir))


@pytest.mark.parametrize(
    ("address", "where"),
    [
        ("", "realm=outside"),
        ("0.0.0.0", "realm=outside family=ipv4"),  # noqa: S104 (nothing is bound to it)
        ("::", "realm=outside family=ipv6"),
        ("127.0.0.9", "realm=outside address=127.0.0.9"),
    ],
)
def test_that_all_ports_are_bound_is_said_once_and_of_what(slot, media, caplog, address, where):
    pair = dataclasses.replace(media, port_max=media.port_min + 1)
    ports = MediaPorts(RelaySettings(run_dir="", workers=1, media=(pair,)))
    ports.provide([slot])
    with caplog.at_level(logging.INFO, "relay.pool"):
        for _ in range(2):
            assert ports.more(slot, "outside", address) is None
    assert [one.getMessage() for one in caplog.records] == [
        f"ports.all_bound {where} (its ranges have no more)"
    ]
