"""Tests that need tools of the machine skip by name, or fail by name where CI requires them."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from sbc.extension import core
from tests.support import requirements

# Chance finds faults on a developer's machine, where they are kept and tried again; what must pass
# before a change is taken may not depend on it.
settings.register_profile("ci", derandomize=True, database=None, print_blob=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


def pytest_report_header() -> str:
    """One line that tells which kinds of test this machine can run."""
    kinds = (f"{kind}: {requirements.missing(kind) or 'ready'}" for kind in requirements.KINDS)
    return "real peers: " + "; ".join(kinds)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("interpreted") and core() == "compiled":
        pytest.skip("the core is compiled here")
    for kind in requirements.KINDS:
        if item.get_closest_marker(kind) is None:
            continue
        lacking = requirements.missing(kind)
        if lacking is None:
            continue
        if kind in requirements.required():
            pytest.fail(lacking, pytrace=False)
        pytest.skip(lacking)
