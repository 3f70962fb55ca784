"""Floods of strangers before a peer has said anything: it is heard at once all the same."""

from __future__ import annotations

import pytest

from tests.relay.rig import Rig, Talk, rtp

BURST = 700
"""More than the guard of a port lets through, and more than the socket's buffer holds."""


def burst(rig: Rig, stranger, port: tuple[str, int]) -> None:
    for number in range(BURST):
        stranger.send(rtp(number), port)
        if number % 50 == 0:
            rig.run()


def heard_at_once(talk: Talk, count: int = 10) -> int:
    """How many packets of B, 20 ms apart, come out where A is."""
    heard = 0
    for number in range(count):
        talk.b.send(rtp(number, b"from b"), talk.to_b)
        talk.rig.run(0.02)
        heard += len(talk.a.received())
    return heard


@pytest.mark.parametrize("nat", [{"nat": False}, {"nat": False, "asymmetric": True}])
def test_no_flood_stands_before_a_peer_whose_address_is_known(rig, nat):
    talk, stranger = Talk(rig, b=nat), rig.peer("127.0.6.9")
    burst(rig, stranger, talk.to_b)
    assert heard_at_once(talk) == 10
    assert rig.stats(side="b").latched == talk.b.address
