"""The fixtures of the Rust twins say what the Python classes do today."""

from __future__ import annotations

import pytest

from tests.relay.native_fixtures import FILES, FOLDER, text


@pytest.mark.parametrize("name", FILES)
def test_fixtures_are_current(name):
    """After a change in Python: `python -m tests.relay.native_fixtures`, then `cargo test` in
    relay/native says what the twin must do differently."""
    assert (FOLDER / f"{name}.json").read_text("utf-8") == text(name)
