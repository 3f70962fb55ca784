"""Results for machines (JSON) and for people (a Markdown table), side by side in `results/`."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine

__all__ = ["median", "progress", "save", "table"]

RESULTS = Path(__file__).parent / "results"


def progress(text: str) -> None:
    """One line of where we are, on standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def median(values: Iterable[float | None]) -> float | None:
    """The median of what is there, None if nothing is."""
    present = [value for value in values if value is not None]
    return statistics.median(present) if present else None


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table that is aligned for terminals, too."""
    cells = [[_text(value) for value in row] for row in rows]
    widths = [
        max(len(column), *(len(row[at]) for row in cells)) if cells else len(column)
        for at, column in enumerate(columns)
    ]
    lines = [
        "| "
        + " | ".join(name.ljust(width) for name, width in zip(columns, widths, strict=True))
        + " |",
        "|" + "|".join("-" * (width + 1) + ":" for width in widths) + "|",
    ]
    lines += [
        "| "
        + " | ".join(value.rjust(width) for value, width in zip(row, widths, strict=True))
        + " |"
        for row in cells
    ]
    return "\n".join(lines)


def save(
    name: str,
    parameters: Mapping[str, Any],
    results: Mapping[str, Any],
    text: str,
    folder: Path = RESULTS,
) -> None:
    """Writes `name.json` and `name.md`, and prints that; of a compiled core `name-compiled`."""
    folder.mkdir(parents=True, exist_ok=True)
    about = machine.facts()
    if about["core"] == "compiled":
        name += "-compiled"
    document = {"machine": about, "parameters": dict(parameters), **results}
    (folder / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    head = (
        f"{about['processor']}, {about['cores']} cores, Linux {about['kernel']},"
        f" Python {about['python']}, core {about['core']}, parser {about['parser']},"
        f" {about['date']}, commit {about['commit']}"
    )
    options = ", ".join(f"{key} {value}" for key, value in parameters.items())
    page = f"# {name}\n\n{head}\n\n{options}\n\n{text}\n"
    (folder / f"{name}.md").write_text(page)
    print(page)


def _text(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        digits = 0 if abs(value) >= 1000 else 2 if abs(value) < 10 else 1
        return f"{value:.{digits}f}"
    return str(value)
