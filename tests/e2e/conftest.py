"""A border for each module, and one capture of everything that the whole run delivered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.phone import Phone
from tests.e2e.sides import INSIDE, OUTSIDE, Pair
from tests.support import requirements
from tests.support.border import Border, Shape
from tests.support.capture import Capture
from tests.support.turn import turn


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The search of the capture comes last: it judges all that came before it."""
    items.sort(key=lambda item: item.path.name == "test_hiding.py")


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Capture]:
    """All packets of the run, from the first end-to-end test on."""
    with turn(), Capture(tmp_path_factory.mktemp("capture") / "all.pcap") as capture:
        yield capture
        missed = capture.stop()
        assert missed == 0, f"{missed} packets of the run were never searched"


@pytest.fixture(autouse=True)
def _recorded(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("e2e") and requirements.missing("e2e") is None:
        request.getfixturevalue("recording")


@pytest.fixture(scope="module")
def shape() -> Shape:
    """What the module's border looks like; a module overrides it."""
    return Shape()


@pytest.fixture(scope="module")
def border(
    tmp_path_factory: pytest.TempPathFactory, shape: Shape, recording: Capture
) -> Iterator[Border]:
    """A border that runs for the whole module and leaves nothing behind."""
    with Border(tmp_path_factory.mktemp("border"), shape) as running:
        yield running


@pytest.fixture
def caller(shape: Shape) -> Iterator[Phone]:
    """A telephone inside."""
    host, port = shape.inside_peer.split(":")
    with Phone((host, int(port)), INSIDE, (shape.inside, 5060)) as phone:
        yield phone


@pytest.fixture
def called(shape: Shape) -> Iterator[Phone]:
    """A telephone outside."""
    host, port = shape.outside_peer.split(":")
    with Phone((host, int(port)), OUTSIDE, (shape.outside, 5060)) as phone:
        yield phone


@pytest.fixture
def pair(tmp_path: Path, shape: Shape) -> Pair:
    return Pair(tmp_path, shape)
