"""The compiled extensions are optional; all else is in pyproject.toml.

Where cargo is, they are built, as release builds for editable installs too, and the wheel is one
for any CPython from 3.11 on (abi3). Where cargo is not, or is too old, or a crate does not compile,
everything is installed without it. Without cargo the wheel is for any machine.
"""

import shutil

from setuptools import setup

if shutil.which("cargo"):
    from setuptools_rust import Binding, RustExtension

    setup(
        rust_extensions=[
            RustExtension(
                f"{package}._native",
                path=f"{package}/native/binding/Cargo.toml",
                binding=Binding.PyO3,
                debug=False,
                optional=True,
                py_limited_api=True,
            )
            for package in ("relay", "sbc")
        ],
        options={"bdist_wheel": {"py_limited_api": "cp311"}},
    )
else:
    setup()
