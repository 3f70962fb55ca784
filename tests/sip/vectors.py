"""The torture messages of RFC 4475 and RFC 5118, as they go onto the wire."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent.parent / "vectors"

RFC4475 = {path.stem: path.read_bytes() for path in sorted(_FOLDER.glob("rfc4475/*.dat"))}
RFC5118_TEXT = {path.stem: path.read_bytes() for path in sorted(_FOLDER.glob("rfc5118/*.dat"))}
RFC5118 = {name: data.replace(b"\n", b"\r\n") for name, data in RFC5118_TEXT.items()}
EVERY = [*RFC4475.values(), *RFC5118.values(), *RFC5118_TEXT.values()]
