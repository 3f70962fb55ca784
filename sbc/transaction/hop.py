"""Where a message came from, or goes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["TCP", "TLS", "UDP", "Hop"]

UDP: Final = b"UDP"
TCP: Final = b"TCP"
TLS: Final = b"TLS"


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
    trunk: str = ""
    """Over TLS: the trunk whose keys and authorities count, "" where its address tells. Of a
    message: the one that the verified certificate of its connection names."""
    name: str = ""
    """Over TLS: the name that the peer's certificate must bear, "" where the trunk says it."""
    flow: bool = False
    """Whether `connection` alone will do: the address is only where the peer's connection came
    from, and behind NAT nobody could be called back there (RFC 5626 §3.1)."""

    @property
    def reliable(self) -> bool:
        """Whether the transport itself delivers or says that it cannot (RFC 3261 §17)."""
        return self.transport is not UDP and self.transport != UDP

    @property
    def address(self) -> tuple[str, int]:
        """Their address as sockets take it."""
        return self.host, self.port
