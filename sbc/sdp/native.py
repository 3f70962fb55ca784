"""Session descriptions cut by the compiled extension, where it is here.

It cuts what is in usual spelling and leaves the rest to `sbc.sdp.parser`, as `sbc.sip.native` does
with messages.
"""

from __future__ import annotations

from sbc.extension import look

__all__ = ["description"]

if look().usable:
    from sbc._native import description
else:

    def description(
        data: bytes,
    ) -> tuple[bytes, bytes, list[tuple[int, bytes, tuple[bytes, bytes, bytes]]]] | None:
        """None: there is no extension."""
        return None
