"""A TCP address on which we accept SIP, with TLS or without."""

from __future__ import annotations

import errno
import socket
from typing import Final

from sbc.transport.opening import explain, family_of, name_of, socket_address
from sbc.transport.settings import ListenerSettings

__all__ = ["TcpListener"]

_BACKLOG: Final = 1_024
_ACCEPTS_AT_ONCE: Final = 64
_SHORTAGE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class TcpListener:
    """One TCP address on which we accept SIP.

    Args:
        index: its place in `TransportSettings.listeners`.
    """

    __slots__ = ("index", "name", "port", "settings", "short_of_descriptors", "sock")

    sock: socket.socket

    def __init__(self, index: int, settings: ListenerSettings) -> None:
        self.index = index
        self.settings = settings
        self.name = name_of(settings.transport, settings.host, settings.port)
        self.port = settings.port
        self.short_of_descriptors = False
        """Whether the last `accept` had to leave connections waiting."""

    def open(self) -> None:
        """Bind and listen.

        Raises:
            TransportError: one line with the address, what is wrong, and what to do.
        """
        where = self.settings
        try:
            sock = socket.socket(family_of(where.host), socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            raise explain(where.transport, where.host, where.port, error) from None
        try:
            # For TIME_WAIT alone: on Linux a second listener still gets EADDRINUSE.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if sock.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(socket_address(where.host, where.port))
            sock.listen(_BACKLOG)
        except OSError as error:
            sock.close()
            raise explain(where.transport, where.host, where.port, error) from None
        except BaseException:
            sock.close()
            raise
        self.port = sock.getsockname()[1]
        self.sock = sock

    def accept(self, limit: int = _ACCEPTS_AT_ONCE) -> list[tuple[socket.socket, str, int]]:
        """The connections that wait, with their sources; at most `limit`, none is no error."""
        taken: list[tuple[socket.socket, str, int]] = []
        self.short_of_descriptors = False
        for _ in range(limit):
            try:
                sock, address = self.sock.accept()
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno in _SHORTAGE:
                    self.short_of_descriptors = True
                    break
                continue  # the peer went away before we looked
            sock.setblocking(False)
            taken.append((sock, address[0], address[1]))
        return taken

    def close(self) -> None:
        """Stop listening; harmless when it was never opened or is closed."""
        sock = getattr(self, "sock", None)
        if sock is not None and sock.fileno() >= 0:
            sock.close()
