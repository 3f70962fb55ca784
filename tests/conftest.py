"""Tests that need tools of the machine skip by name, or fail by name where CI requires them."""

from __future__ import annotations

import pytest

from tests.support import requirements


def pytest_report_header() -> str:
    """One line that tells which kinds of test this machine can run."""
    kinds = (f"{kind}: {requirements.missing(kind) or 'ready'}" for kind in requirements.KINDS)
    return "real peers: " + "; ".join(kinds)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for kind in requirements.KINDS:
        if item.get_closest_marker(kind) is None:
            continue
        lacking = requirements.missing(kind)
        if lacking is None:
            continue
        if kind in requirements.required():
            pytest.fail(lacking, pytrace=False)
        pytest.skip(lacking)
