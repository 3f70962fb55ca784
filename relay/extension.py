"""The compiled extension `relay._native`: whether it is here, and of which build.

It is optional. Without it, or with one that cannot be used, the fast path `python` serves.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Final

__all__ = ["Extension", "look"]

_INTERFACE: Final = 5
"""What this release expects of it; grows with each change of what it offers."""


@dataclass(frozen=True, slots=True)
class Extension:
    """What was found."""

    version: str = ""
    profile: str = ""
    """`release` or `debug`; a debug build is several times as dear."""
    problem: str = ""
    """Why it cannot be used; empty: it can."""
    ringless: str = ""
    """Why it cannot use io_uring, and so is a fifth dearer; empty: it can."""

    @property
    def usable(self) -> bool:
        """The fast path `native` can run."""
        return not self.problem

    def __str__(self) -> str:
        if self.problem:
            return f"no native extension: {self.problem}"
        found = f"native extension {self.version}, {self.profile} build"
        return f"{found}, without io_uring: {self.ringless}" if self.ringless else found


@cache
def look() -> Extension:
    """Try to load it. Raises nothing: a file that cannot be loaded is a problem with a name."""
    try:
        native = import_module("relay._native")
        version, profile, interface = native.VERSION, native.PROFILE, native.INTERFACE
    except ModuleNotFoundError:
        return Extension(problem="it was not built (it needs cargo when the package is built)")
    except Exception as error:  # noqa: BLE001, RUF100 (whatever a broken build raises)
        return Extension(problem=f"it is broken: {error}")
    if interface != _INTERFACE:
        problem = f"it is of another release: interface {interface}, expected {_INTERFACE}"
        return Extension(version, profile, problem)
    return Extension(version, profile, ringless=native.ringless() or "")
