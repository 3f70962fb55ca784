"""The compiled extension is optional; all else is in pyproject.toml.

Where cargo is, it is built, as a release build for editable installs too, and the wheel is one for
any CPython from 3.11 on (abi3). Where cargo is not, or is too old, or the crate does not compile,
everything is installed without it. Without cargo the wheel is for any machine.
"""

import shutil

from setuptools import setup

if shutil.which("cargo"):
    from setuptools_rust import Binding, RustExtension

    setup(
        rust_extensions=[
            RustExtension(
                "relay._native",
                path="relay/native/binding/Cargo.toml",
                binding=Binding.PyO3,
                debug=False,
                optional=True,
                py_limited_api=True,
            )
        ],
        options={"bdist_wheel": {"py_limited_api": "cp311"}},
    )
else:
    setup()
