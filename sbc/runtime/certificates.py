"""Certificates that change while the border runs: looked at once a minute, or when told to."""

from __future__ import annotations

import logging

import trio

from sbc.errors import TransportError
from sbc.transport.tls_contexts import TlsContexts

__all__ = ["Certificates"]

_log = logging.getLogger(__name__)


class Certificates:
    """Keeps the contexts of TLS as fresh as their files.

    Args:
        contexts: what is read anew.
        check_s: how often the files are looked at.
    """

    __slots__ = ("_check_s", "_contexts", "_failure", "_lock")

    def __init__(self, contexts: TlsContexts, check_s: float) -> None:
        self._contexts = contexts
        self._check_s = check_s
        self._lock = trio.Lock()
        self._failure = ""

    async def run(self) -> None:
        """Read files anew whenever they have changed, until cancelled."""
        while self._contexts.needed:
            await trio.sleep(self._check_s)
            if await trio.to_thread.run_sync(self._contexts.changed):
                await self.reload()

    async def reload(self) -> tuple[bool, str]:
        """Read every file anew; new handshakes meet what is in them, connections stay.

        Returns: whether it went well, and one line that says so or what is wrong: then the old
        certificates go on serving.
        """
        async with self._lock:
            if not self._contexts.needed:
                return True, "no tls listener is configured: there is nothing to read"
            try:
                changed = await trio.to_thread.run_sync(self._contexts.reload)
            except TransportError as error:
                text = str(error)
                if text != self._failure:  # once for each fault, not once a minute
                    _log.error("tls.not_reloaded reason=%s; the old certificates go on", text)
                self._failure = text
                return False, f"{text} (the old certificates go on serving)"
            self._failure = ""
            text = "read anew" if changed else "read anew, nothing has changed"
            _log.info("tls.reloaded changed=%s", "yes" if changed else "no")
            return True, f"certificates: {text}"
