from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.settings import MediaSettings
from tests.relay.pool.harness import Pools


@pytest.fixture
def media() -> MediaSettings:
    """Four blocks of ports on a loopback address that no other test has."""
    address = ".".join(["127", *(str(16 + secrets.randbelow(230)) for _ in range(3))])
    return MediaSettings(
        realm="outside", address=address, advertise=address, port_min=21000, port_max=21255
    )


@pytest.fixture
def pools() -> Iterator[Pools]:
    """A run directory with a short path, and nothing left of it afterwards."""
    base = Path(tempfile.mkdtemp(prefix="pool-"))
    found = Pools(base / "run")
    try:
        yield found
    finally:
        found.close()
        shutil.rmtree(base, ignore_errors=True)
