"""Clauses are cited in one form, `RFC 3261 §17.1.1.2`, so that a reader can search for them."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

WRONG = {
    r"\bRFC-?\d": "a space between RFC and its number",
    r"\brfc +\d": "RFC in capitals",
    r"(?i)\bRFC \d+,? (?:section|sect\.?|sec\.?|chapter) ": "§ before the clause",
    r"\bRFC \d+ § ": "no space after §",
    r"\bRFC \d+, §": "no comma before §",
    r"(?i)\berrat(?:a|um) (?:id )?#": "(erratum 4189)",
}
"""What is wrong in comments and docstrings, and what was expected instead."""


def _texts(source: str) -> Iterator[tuple[int, str]]:
    """Comments and strings that span a statement of their own: what people read."""
    fresh = True
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and fresh):
            yield token.start[0], token.string
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            fresh = token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)


def _faults(source: str) -> list[str]:
    return [
        f"line {line}: expected {expected}, got {found[0]!r}"
        for line, text in _texts(source)
        for pattern, expected in WRONG.items()
        for found in [re.search(pattern, text)]
        if found
    ]


@pytest.mark.parametrize(
    "path",
    [path for top in ("sbc", "relay", "policies") for path in sorted((ROOT / top).rglob("*.py"))],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_citations_have_the_one_form(path: Path) -> None:
    assert _faults(path.read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        "# RFC3261 §17",
        "# rfc 3261 §17",
        "# RFC 3261 section 17",
        "# RFC 3261, §17",
        "# RFC 3261 § 17",
    ],
)
def test_other_forms_are_found(text: str) -> None:
    assert _faults(text + "\n")


def test_the_right_form_is_no_fault() -> None:
    assert _faults('"""RFC 7230 §3.2 (erratum 4189), RFC 3550 §6.4.1, Appendix A.8."""\n') == []
