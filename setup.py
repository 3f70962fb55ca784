"""The compiled parts are optional; all else is in pyproject.toml.

Where cargo is, the extensions are built, as release builds for editable installs too, and the wheel
is one for any CPython from 3.11 on (abi3). Where cargo is not, or is too old, or a crate does not
compile, everything is installed without it. Without cargo the wheel is for any machine.

`SBC_COMPILE=1 pip wheel .` compiles the signalling core with mypyc as well, into a wheel for one
version of CPython. An editable install is never compiled: it would hide its source.
"""

import os
import shutil
import sys
from pathlib import Path

from setuptools import setup

COMPILE = os.environ.get("SBC_COMPILE") == "1"
BUILD = Path("build/compiled")
"""Of its own and made anew: a wheel must hold nothing that another build has left."""
CORE = (
    *("sbc/sip", "sbc/sdp", "sbc/transaction", "sbc/dialog", "sbc/resolve", "sbc/call", "policies"),
    *("sbc/errors.py", "sbc/ids.py"),
    *(f"relay/control/{name}.py" for name in ("digits", "fields", "messages", "packing", "plans")),
    *(f"relay/control/{name}.py" for name in ("refusals", "reports")),
)
"""What decides about calls, and the types that it makes: quick only among its own kind."""
INTERPRETED = {
    "sbc/sip/digest.py",  # an enum with an `__init__`; its work is hashlib's
    "sbc/sip/native.py",  # inherits from sbc._native, of which mypyc knows nothing
    "sbc/sip/message.py",  # inherited from there
    "sbc/sip/fields.py",  # inherits from message.py
    "sbc/sdp/native.py",  # what it defines is settled when it is imported, not when it is compiled
}


def core() -> list:
    """The extension modules of the core, where a wheel is to have them."""
    if not COMPILE or "bdist_wheel" not in sys.argv:
        return []
    from mypyc.build import mypycify

    shutil.rmtree(BUILD, ignore_errors=True)
    found = sorted(one for name in CORE for one in (Path(name), *Path(name).rglob("*.py")))
    modules = [
        str(one)
        for one in found
        if one.suffix == ".py" and one.name != "__init__.py" and str(one) not in INTERPRETED
    ]
    return mypycify(
        modules,
        opt_level="1",  # 3 takes three times as long to build, for a few per cent
        debug_level="0",
        multi_file=True,
        target_dir=str(BUILD / "c"),
        group_name="sbc_core",
    )


def extensions() -> list:
    """The crates, where cargo is."""
    if not shutil.which("cargo"):
        return []
    from setuptools_rust import Binding, RustExtension

    return [
        RustExtension(
            f"{package}._native",
            path=f"{package}/native/binding/Cargo.toml",
            binding=Binding.PyO3,
            debug=False,
            optional=True,
            py_limited_api=True,
        )
        for package in ("relay", "sbc")
    ]


arguments: dict = {"options": {}}
if crates := extensions():
    arguments["rust_extensions"] = crates
    arguments["options"]["bdist_wheel"] = {"py_limited_api": "cp311"}
if COMPILE:
    arguments["setup_requires"] = ["mypy>=2.4", "msgpack"]  # and what the core imports
    arguments["ext_modules"] = core()
    arguments["options"] = {"build": {"build_base": str(BUILD)}}
setup(**arguments)
