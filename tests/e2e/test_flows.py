"""What is said before and within calls, SIPp to SIPp, in both directions through one border."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.ways import Way, both_ways, play, scenario
from tests.support.border import Border, Shape, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

CALLS = 10


@pytest.fixture(scope="module")
def shape() -> Shape:
    follow = {"redirect": "follow"}
    return Shape(inside_trunk=follow, outside_trunk=follow)


@both_ways
@pytest.mark.parametrize(
    ("caller", "called"),
    [
        pytest.param("uac_changes", "uas_changes", id="hold, UPDATE, INFO, late re-INVITE"),
        pytest.param("uac_early", "uas_early", id="100rel on both legs, early UPDATE"),
        pytest.param("uac_call", "uas_reliable", id="100rel of the called party alone"),
        pytest.param("uac_reliable", "uas_call", id="100rel of the caller alone"),
        pytest.param("uac_late", "uas_late", id="late offer"),
        pytest.param("uac_timer", "uas_timer", id="session timers, 422"),
        pytest.param("uac_call", "uas_moves", id="a redirection followed"),
    ],
)
def test_flow(border: Border, tmp_path: Path, caller: str, called: str, way: Way) -> None:
    before = len(border.cdrs())
    play(
        way,
        tmp_path,
        scenario(caller),
        scenario(called),
        calls=CALLS,
        legs=2 * CALLS if called == "uas_moves" else CALLS,
        pause_ms=100,
    )
    until(lambda: len(border.cdrs()) - before >= _records(caller), 3, "a record of each call")
    causes = Counter(record["cause"] for record in border.cdrs()[before:])
    assert causes["normal"] == CALLS
    until(lambda: not border.calls(), 3, "the end of each call")


def _records(caller: str) -> int:
    """A call that is refused for its timer first has two."""
    return 2 * CALLS if caller == "uac_timer" else CALLS
