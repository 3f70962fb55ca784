"""Many calls, SIPp to SIPp: none fails, a lossy network is borne, and nothing is left."""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.sides import SCENARIOS, Pair
from tests.support.border import Border, until
from tests.support.capture import Capture
from tests.support.sipp import Sipp, SippFigures

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

_CALL_ID = re.compile(rb"^Call-ID: *(\S+)", re.MULTILINE | re.IGNORECASE)
LINGER_S = 64 * 0.5
"""64·T1: how long the longest transaction of an ended call may live (RFC 3261 §17)."""


def _left(border: Border) -> dict[str, int]:
    """Everything that an ended call might have left behind."""
    status = border.status()
    return {
        "calls": len(border.calls()),
        "transactions": int(status["transactions"]),
        "dialogs": int(status["dialogs"]),
        "relayed": border.relayed_calls(),
        "ports in use": border.ports("in_use"),
        "ports at rest": border.ports("quarantined"),
    }


def _invited(recording: Capture, since: float) -> set[str]:
    """The Call-ID of every INVITE that a caller's network has delivered to the border."""
    return {
        found[1].decode()
        for packet in recording.packets()
        if packet.at >= since and packet.target == ("127.0.1.1", 5060)
        if packet.payload.startswith(b"INVITE ")
        if (found := _CALL_ID.search(packet.payload)) is not None
    }


def _cdrs_since(border: Border, before: int) -> list[dict[str, object]]:
    return border.cdrs()[before:]


def test_two_thousand_calls_at_a_hundred_a_second_none_fails(border: Border, pair: Pair) -> None:
    before = len(border.cdrs())

    with (
        pair.called("uas_call") as called,
        pair.caller("uac_call", calls=2000, rate=100, pause_ms=500) as caller,
    ):
        placed = caller.wait()
        taken = called.stop()

        assert (placed.successful, placed.failed) == (2000, 0), caller.error_text()
        assert (taken.successful, taken.failed) == (2000, 0), called.error_text()
    assert placed.retransmissions <= 2
    until(lambda: len(_cdrs_since(border, before)) >= 2000, 3, "a record of each call")
    records = _cdrs_since(border, before)
    assert Counter(record["cause"] for record in records) == {"normal": 2000}
    assert len({record["call_id_a"] for record in records}) == 2000


def test_lossy_links_fail_no_more_calls_than_without_us_and_leave_nothing(
    border: Border, pair: Pair, tmp_path: Path, recording: Capture
) -> None:
    calls, before, since = 200, len(border.cdrs()), time.time()

    with (
        pair.called("uas_patient", lost=10) as called,
        pair.caller("uac_call", lost=10, calls=calls, rate=20, pause_ms=2000) as caller,
        _straight(tmp_path, calls) as (straight_called, straight_caller),
    ):
        through = [caller.wait(), called.stop()]
        straight = [straight_caller.wait(), straight_called.stop()]

    assert _failed(through) <= _failed(straight) + calls // 100, (through, straight)
    until(
        lambda: not any(_left(border).values()),
        LINGER_S + 8,
        f"nothing of ended calls left, have {_left(border)}",
        pause_s=1.0,
    )
    identifiers = Counter(record["call_id_a"] for record in _cdrs_since(border, before))
    assert identifiers == Counter(_invited(recording, since)), "one record for each INVITE"


def _failed(figures: list[SippFigures]) -> int:
    return sum(one.failed for one in figures)


class _straight:
    """The same two ends with nothing between them, on addresses of their own."""

    def __init__(self, folder: Path, calls: int) -> None:
        called, caller = ("127.0.9.20", 5060), ("127.0.9.10", 5060)
        keys = {"mark": "straight"}
        self._called = Sipp(SCENARIOS / "uas_patient.xml", folder, called, lost=10, keys=keys)
        self._caller = Sipp(
            SCENARIOS / "uac_call.xml",
            folder,
            caller,
            remote=called,
            lost=10,
            calls=calls,
            rate=20,
            pause_ms=2000,
            keys=keys,
        )

    def __enter__(self) -> tuple[Sipp, Sipp]:
        return self._called, self._caller

    def __exit__(self, *_: object) -> None:
        self._caller.__exit__(None, None, None)
        self._called.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("caller", "called", "cause"),
    [
        ("uac_hung_up", "uas_hangs_up", "normal"),
        ("uac_cancel", "uas_cancelled", "cancelled"),
        ("uac_refused", "uas_busy", "rejected"),
    ],
)
def test_calls_that_end_in_another_way(
    border: Border, pair: Pair, caller: str, called: str, cause: str
) -> None:
    before = len(border.cdrs())

    with (
        pair.called(called, pause_ms=200) as answering,
        pair.caller(caller, calls=100, rate=50, pause_ms=50) as calling,
    ):
        placed, taken = calling.wait(), answering.stop()

        assert (placed.successful, placed.failed) == (100, 0), calling.error_text()
        assert (taken.successful, taken.failed) == (100, 0), answering.error_text()
    until(lambda: len(_cdrs_since(border, before)) >= 100, 3, "a record of each call")
    causes = Counter(record["cause"] for record in _cdrs_since(border, before))
    assert causes == {cause: 100}


def test_calls_over_tcp(border: Border, pair: Pair) -> None:
    """The caller speaks TCP; the trunk that carries the call on speaks UDP."""
    with (
        pair.called("uas_call") as called,
        pair.caller("uac_call", calls=100, rate=50, transport="t1") as caller,
    ):
        placed, taken = caller.wait(), called.stop()

        assert (placed.successful, placed.failed) == (100, 0), caller.error_text()
        assert (taken.successful, taken.failed) == (100, 0), called.error_text()
