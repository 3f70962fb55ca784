"""Every test of this folder with and without the compiled extension: what one does, both do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(
    scope="module",
    autouse=True,
    params=["python", pytest.param("native", marks=pytest.mark.parser)],
)
def parser(request: pytest.FixtureRequest) -> Iterator[str]:
    """What is asked first; behind `native` there is always Python."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "python":
            patch.setattr("sbc.sdp.parser.description", lambda data: None)
        yield request.param
