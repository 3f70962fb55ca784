"""Media through each fast path: both hear each other, also after a kill -9 of the worker."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.border import Border, Shape, until
from tests.support.capture import Capture

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(params=["python", pytest.param("native", marks=pytest.mark.native)])
def own(request, tmp_path: Path, recording: Capture) -> Iterator[Border]:
    """A border with one of them."""
    shape = Shape(further={"relay": {"workers": 1, "fast_path": request.param}})
    with Border(tmp_path / "border", shape) as running:
        assert [worker.fast_path for worker in running.workers()] == [request.param]
        yield running


def test_both_hear_each_other_before_and_after_a_kill_of_the_worker(own: Border) -> None:
    _two_way_call(own)
    (before,) = own.workers()
    own.kill(before.pid)
    until(lambda: any(one.pid != before.pid for one in own.workers()), 5, "another worker")
    time.sleep(0.3)  # signalling must have met it, too
    _two_way_call(own)
    assert own.workers()[0].fast_path == before.fast_path


def _two_way_call(border: Border) -> None:
    done = border.run("call", "--json", "--seconds", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    until(lambda: not border.calls(), 3, "the call's end")
    streams = border.cdrs()[-1]["streams"]
    assert len(streams) == 2, told
    assert all(one["packets"] >= 45 and one["lost"] == 0 for one in streams), streams
    assert not any(one["dropped"] for one in streams), streams
