"""What of signalling is compiled here: the extension `sbc._native`, and the core.

The extension is optional. Without it, or with one that cannot be used, the parser in Python serves,
as it does where the environment says `SBC_PARSER=python`. The core is compiled in a wheel that was
built so (`setup.py`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.machinery import ExtensionFileLoader
from importlib.util import find_spec
from typing import Final

__all__ = ["Extension", "core", "look"]

_INTERFACE: Final = 2
"""What this release expects of it; grows with each change of what it offers."""


@dataclass(frozen=True, slots=True)
class Extension:
    """What was found."""

    version: str = ""
    profile: str = ""
    """`release` or `debug`; a debug build is several times as dear."""
    problem: str = ""
    """Why it is not used; empty: it is."""

    @property
    def usable(self) -> bool:
        """It reads the messages that are usual."""
        return not self.problem

    @property
    def parser(self) -> str:
        """What reads messages: `native` (with Python behind it) or `python`."""
        return "native" if self.usable else "python"

    def __str__(self) -> str:
        if self.problem:
            return f"no native extension: {self.problem}"
        return f"native extension {self.version}, {self.profile} build"


def core() -> str:
    """How the core runs here, as its module itself says: `compiled` or `interpreted`."""
    spec = find_spec("sbc.call.call")  # it is compiled with all others or not at all
    compiled = spec is not None and isinstance(spec.loader, ExtensionFileLoader)
    return "compiled" if compiled else "interpreted"


@cache
def look() -> Extension:
    """Try to load it, once. Raises nothing: what cannot be loaded is a problem with a name."""
    if os.environ.get("SBC_PARSER") == "python":
        return Extension(problem="switched off by SBC_PARSER=python")
    try:
        native = import_module("sbc._native")
        version, profile, interface = native.VERSION, native.PROFILE, native.INTERFACE
    except ModuleNotFoundError:
        return Extension(problem="it was not built (it needs cargo when the package is built)")
    except Exception as error:  # noqa: BLE001, RUF100 (whatever a broken build raises)
        return Extension(problem=f"it is broken: {error}")
    if interface != _INTERFACE:
        problem = f"it is of another release: interface {interface}, expected {_INTERFACE}"
        return Extension(version, profile, problem)
    return Extension(version, profile)
