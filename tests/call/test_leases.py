"""The stock of media ports where a realm runs out of them, and has some again."""

from __future__ import annotations

import pytest

from sbc.call.media.leases import LeaseRequest, Leases
from sbc.errors import PortsExhausted


def _exhausted() -> Leases:
    """One worker, whose only outside pair carries a call."""
    leases = Leases(["inside", "outside"])
    leases.worker_up(0)
    assert len(leases.wanted()) == 2
    leases.granted(0, "inside", [("10.0.0.1", 10_000 + 2 * index) for index in range(64)])
    leases.granted(0, "outside", [("10.1.0.1", 10_000)])
    leases.take("inside", "outside", 1)
    (asked,) = leases.wanted()
    assert asked.pool == "outside"
    leases.granted(0, "outside", [])
    return leases


def test_a_realm_that_has_run_out_is_not_asked_again_for_nothing() -> None:
    leases = _exhausted()

    assert leases.wanted() == []
    with pytest.raises(PortsExhausted):
        leases.take("inside", "outside", 1)


def test_ports_that_came_back_are_fetched_before_a_call_needs_them() -> None:
    leases = _exhausted()

    leases.replenished(0, "outside")

    assert leases.wanted() == [LeaseRequest(0, "outside", 64)]
    leases.granted(0, "outside", [("10.1.0.1", 10_000)])
    assert leases.take("inside", "outside", 1).b == [("10.1.0.1", 10_000)]


def test_word_of_a_realm_that_never_ran_out_or_of_a_dead_worker_changes_nothing() -> None:
    leases = _exhausted()

    leases.replenished(0, "inside")
    leases.replenished(0, "nowhere")
    leases.worker_down(0)
    leases.replenished(0, "outside")

    assert leases.wanted() == []
