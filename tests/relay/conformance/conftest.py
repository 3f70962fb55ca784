"""Every test here runs against each fast path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from relay.forward.base import Forwarder
from relay.forward.native import NativeForwarder
from relay.forward.python import PythonForwarder
from relay.loop import Loop
from tests.relay.rig import Rig

FAST_PATHS: dict[str, Callable[[Loop], Forwarder]] = {
    "python": PythonForwarder,
    "native": partial(NativeForwarder, batch=1),
    "native-plain": partial(NativeForwarder, batch=0),
}
"""The thread of `native` with io_uring, if this machine has it, and with a call for each packet."""


@pytest.fixture(
    params=[
        "python",
        *(pytest.param(name, marks=pytest.mark.native) for name in list(FAST_PATHS)[1:]),
    ]
)
def fast_path(request) -> Callable[[Loop], Forwarder]:
    return FAST_PATHS[request.param]


@pytest.fixture
def rig(fast_path) -> Iterator[Rig]:
    rig = Rig(fast_path)
    yield rig
    rig.close()
