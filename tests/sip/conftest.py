"""Every test of this folder with each parser: what one does, the other does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(
    scope="module",
    autouse=True,
    params=["python", pytest.param("native", marks=pytest.mark.parser)],
)
def parser(request: pytest.FixtureRequest) -> Iterator[str]:
    """Which parser is asked first; behind `native` there is always Python's."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "python":
            patch.setattr("sbc.sip.parser.recognise", lambda data: None)
        yield request.param
