"""All stream connections of a border, by their number and by where their peer is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sbc.transaction.hop import Hop
from sbc.transport.connection import StreamConnection

__all__ = ["Connections"]

_MOST_ALIASES: Final = 4

_Key = tuple[bytes, int, str, int]


class Connections:
    """Those that are there. Of several to one address the latest is found."""

    __slots__ = ("_by_address", "_by_number")

    def __init__(self) -> None:
        self._by_number: dict[int, StreamConnection] = {}
        self._by_address: dict[_Key, StreamConnection] = {}

    def __len__(self) -> int:
        return len(self._by_number)

    def __iter__(self) -> Iterator[StreamConnection]:
        return iter(self._by_number.values())

    def add(self, connection: StreamConnection) -> None:
        """A new one."""
        hop = connection.hop
        self._by_number[connection.number] = connection
        self._by_address[_key(hop, hop.port)] = connection

    def forget(self, connection: StreamConnection) -> None:
        """One that has ended."""
        hop = connection.hop
        del self._by_number[connection.number]
        for port in connection.ports:
            if self._by_address.get(_key(hop, port)) is connection:
                del self._by_address[_key(hop, port)]

    def numbered(self, number: int) -> StreamConnection | None:
        """The one of this number; 0 is nobody's."""
        return self._by_number.get(number) if number else None

    def at(self, hop: Hop) -> StreamConnection | None:
        """The one to the address of `hop`, if it still takes messages."""
        connection = self._by_address.get(_key(hop, hop.port))
        return None if connection is None or connection.error is not None else connection

    def alias(self, number: int, port: int) -> bool:
        """Find a peer's connection under another port of it, too (RFC 5923 §8).

        Returns: whether that is allowed: to a peer that has proved its name, few times.
        """
        connection = self._by_number.get(number)
        if connection is None or connection.identity is None or not connection.incoming:
            return False
        if port in connection.ports:
            return True
        if len(connection.ports) > _MOST_ALIASES:
            return False
        if self._by_address.setdefault(_key(connection.hop, port), connection) is connection:
            connection.ports.append(port)
        return True


def _key(hop: Hop, port: int) -> _Key:
    return hop.transport, hop.listener, hop.host, port
