"""Where a message came from, or goes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["TCP", "TLS", "UDP", "Hop", "Sources"]

UDP: Final = b"UDP"
TCP: Final = b"TCP"
TLS: Final = b"TLS"
_MAX_SOURCES: Final = 4_096


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


class Sources(dict[tuple[str, int], Hop]):
    """Address → the hop of the datagrams between there and one UDP listener.

    Made on first sight and shared: a call's messages need it seven times. Emptied when full, as
    it is only a cache that strangers can fill. Nobody changes the hop of a datagram (that of a
    connection learns its number).
    """

    __slots__ = ("_listener", "_realm")

    def __init__(self, realm: str, listener: int) -> None:
        super().__init__()
        self._realm = realm
        self._listener = listener

    def __missing__(self, address: tuple[str, int]) -> Hop:
        if len(self) >= _MAX_SOURCES:
            self.clear()
        hop = self[address] = Hop(self._realm, self._listener, UDP, *address)
        return hop
