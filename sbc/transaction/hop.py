"""Where a message came from, or goes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["TCP", "UDP", "Hop"]

UDP: Final = b"UDP"
TCP: Final = b"TCP"


@dataclass(slots=True)
class Hop:
    """One listener of ours and one address of theirs; with a connection, an RFC 5626 flow."""

    realm: str
    listener: int
    """Index in `TransportSettings.listeners`."""
    transport: bytes
    """As in Via, upper case."""
    host: str
    port: int
    connection: int = 0
    """The number of a stream connection, 0 for none or any."""

    @property
    def reliable(self) -> bool:
        """Whether the transport itself delivers or says that it cannot (RFC 3261 §17)."""
        return self.transport is not UDP and self.transport != UDP

    @property
    def address(self) -> tuple[str, int]:
        """Their address as sockets take it."""
        return self.host, self.port
