"""Which objects of some classes have come to be and are still alive.

In place of weak references, which compiled classes do not take.
"""

from __future__ import annotations

import gc
from typing import Any, Final

__all__ = ["Census"]

_HAS_GC: Final = 1 << 14  # Py_TPFLAGS_HAVE_GC


class Census:
    """Counts objects that the collector knows, whoever holds them; itself it holds none.

    Args:
        kinds: the classes; objects of their subclasses count too.
    """

    def __init__(self, *kinds: type) -> None:
        if not all(kind.__flags__ & _HAS_GC for kind in kinds):
            raise ValueError(f"the collector does not know of all: {kinds}")
        self._kinds = kinds
        gc.collect()
        self._before = {id(one) for one in self._alive()}

    def born(self) -> list[Any]:
        """Those alive now that were not when counting began."""
        return [one for one in self._alive() if id(one) not in self._before]

    def _alive(self) -> list[Any]:
        return [one for one in gc.get_objects() if issubclass(type(one), self._kinds)]
