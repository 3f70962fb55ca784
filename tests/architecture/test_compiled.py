"""What `setup.py` leaves interpreted where the core is compiled."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]


def interpreted() -> set[str]:
    for one in ast.parse((ROOT / "setup.py").read_text()).body:
        if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == "INTERPRETED":
            return ast.literal_eval(one.value)
    raise AssertionError("setup.py names no INTERPRETED")


def test_each_module_that_is_left_out_is_there() -> None:
    assert [name for name in sorted(interpreted()) if not (ROOT / name).is_file()] == []


def test_what_the_extension_gives_is_chosen_in_modules_that_are_left_out() -> None:
    """A compiled caller would be bound to what stands there for want of the extension."""
    takers = {
        str(path.relative_to(ROOT))
        for folder in ("sip", "sdp", "transaction", "dialog", "resolve", "call")
        for path in (ROOT / "sbc" / folder).rglob("*.py")
        if "import _native" in path.read_text() or "from sbc._native" in path.read_text()
    }
    assert takers
    assert takers <= interpreted()
