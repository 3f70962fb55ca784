"""The identifier key: made once, kept across restarts, closed to others."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from sbc.errors import SbcError
from sbc.ids import Mint
from sbc.runtime.identity import identifier_key


def test_is_made_once_and_kept(tmp_path: Path) -> None:
    folder = str(tmp_path / "state")
    key = identifier_key(folder)
    assert identifier_key(folder) == key
    assert len(key) == 32
    mode = (tmp_path / "state" / "identifier.key").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_identifiers_are_known_after_a_restart(tmp_path: Path) -> None:
    before = Mint(identifier_key(str(tmp_path)), 7, lambda count: b"x" * count)
    after = Mint(identifier_key(str(tmp_path)), 0, lambda count: b"y" * count)
    assert after.shard_of(b"z9hG4bK" + before.token() + b".1") == 7


def test_a_file_that_is_no_key_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "identifier.key").write_bytes(b"short")
    with pytest.raises(SbcError, match="expected 32 bytes, found 5"):
        identifier_key(str(tmp_path))
