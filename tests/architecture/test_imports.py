"""Who may import whom: the contracts of `.importlinter`, and what pure code never touches."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PURE = (
    "sbc/sip",
    "sbc/transaction",
    "sbc/dialog",
    "sbc/sdp",
    "sbc/resolve",
    "sbc/call",
    "sbc/ids.py",
    "sbc/errors.py",
    "policies",
    "relay/control/codec.py",
    "relay/control/fields.py",
    "relay/control/messages.py",
    "relay/control/packing.py",
    "relay/control/plans.py",
    "relay/forward/change.py",
    "relay/forward/memory.py",
    "relay/kept_keys.py",
    "relay/plan.py",
    "relay/latch.py",
    "relay/policer.py",
    "relay/renumber.py",
    "relay/rtcp_terms.py",
    "relay/srtp_watch.py",
    "relay/stats.py",
    "relay/rtp",
)
"""Modules and packages whose results depend on their arguments alone."""

FORBIDDEN = frozenset(
    [
        "trio",
        "asyncio",
        "socket",
        "select",
        "selectors",
        "ssl",
        "time",
        "datetime",
        "random",
        "secrets",
        "uuid",
        "logging",
        "os",
        "threading",
        "subprocess",
        "signal",
        "ctypes",
        "mmap",
        "sqlite3",
        "multiprocessing",
        "tempfile",
        "pathlib",
    ]
)


def _files(entries: tuple[str, ...]) -> list[Path]:
    found: list[Path] = []
    for entry in entries:
        path = ROOT / entry
        found += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return found


def _imports(path: Path) -> Iterator[tuple[str, int]]:
    """Top-level names of everything that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module.partition(".")[0], node.lineno


def test_layers_are_kept() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", _files(PURE), ids=lambda path: str(path.relative_to(ROOT)))
def test_pure_module_touches_no_clock_no_chance_and_no_machine(path: Path) -> None:
    found = [f"line {line}: {name}" for name, line in _imports(path) if name in FORBIDDEN]

    assert not found, f"{path.relative_to(ROOT)} is pure and imports {', '.join(found)}"


def test_a_pure_module_that_reads_the_clock_is_found(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("def now():\n    from time import monotonic\n    return monotonic()\n")

    assert [name for name, _ in _imports(path) if name in FORBIDDEN] == ["time"]


@pytest.mark.parametrize(
    "path", _files(("sbc", "relay", "policies")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_no_import_for_the_type_checker_alone(path: Path) -> None:
    """A cycle that needs TYPE_CHECKING is a design fault: the shared type belongs further down."""
    assert "TYPE_CHECKING" not in path.read_text()
