"""No possessive quantifier after a group: CPython before 3.11.5 matches those wrongly.

Debian 12 ships 3.11.2. After a single character or class they are sound, and enough to keep every
expression linear. (gh-106052, gh-101955)
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
AFTER_A_GROUP = re.compile(r"(?<!\\)\)(?:[?*+]|\{[0-9,]+\})\+")
FILES = sorted(
    file for package in ("sbc", "relay", "policies") for file in ROOT.glob(f"{package}/**/*.py")
)


def texts(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            value = node.value
            yield value if isinstance(value, str) else value.decode("latin-1")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_groups_are_not_possessive(file: Path) -> None:
    assert not [text for text in texts(file) if AFTER_A_GROUP.search(text)]


def test_the_search_finds_one() -> None:
    assert AFTER_A_GROUP.search(r"(?:a|b)*+")
    assert not AFTER_A_GROUP.search(r"[a-z]*+\)?+")
