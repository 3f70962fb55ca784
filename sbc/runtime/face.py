"""What the administration socket may see and do: the border and the process around it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sbc.runtime.server import Server

__all__ = ["Face"]


class Face:
    """One server, for `sbc.runtime.admin`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def status(self) -> Mapping[str, object]:
        """The border as a whole."""
        return self._server.status()

    def list_calls(self) -> Iterable[Mapping[str, object]]:
        """One map for each call."""
        return self._server.border.list_calls()

    def describe(self, call_id: str) -> Mapping[str, object] | None:
        """One call in full, or None."""
        return self._server.border.describe(call_id)

    def hangup(self, call_id: str, now: float) -> bool:
        """End one call on both legs."""
        return self._server.border.hangup(call_id, now)

    async def reload_certificates(self) -> Mapping[str, object]:
        """Read every certificate file anew."""
        good, text = await self._server.certificates.reload()
        return {"good": good, "text": text}
