"""What the administration socket may see and do: the border and the process around it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from sbc.call.record import stream_records
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

    async def describe(self, call_id: str) -> Mapping[str, object] | None:
        """One call in full, with what its media is like now, or None."""
        server = self._server
        found = server.border.describe(call_id)
        if found is None:
            return None
        slot, key = found.get("worker"), found.get("plan")
        stats = None
        if isinstance(slot, int) and isinstance(key, str):
            stats = await server.relay.query(slot, key)
        return found | {"streams": [json.loads(one.to_json()) for one in stream_records(stats)]}

    def hangup(self, call_id: str, now: float) -> bool:
        """End one call on both legs."""
        return self._server.border.hangup(call_id, now)

    async def reload_certificates(self) -> Mapping[str, object]:
        """Read every certificate file anew."""
        good, text = await self._server.certificates.reload()
        return {"good": good, "text": text}
