"""Media sockets: the one that hears everybody, and the one beside it for the latched peer.

`rx` is bound by the supervisor without SO_REUSEPORT, so that a taken port fails, and is never
connected. At the latch `tx` is bound to the same port and connected; from then on the kernel
delivers the peer's packets to `tx` and everybody else's to `rx`. A port always has an `rx`, so
that no stranger gets so much as an ICMP error.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Final

__all__ = ["connect_beside", "empty", "mark", "readable"]

_MAX_STALE: Final = 4096


def connect_beside(rx: socket.socket, peer: tuple[str, int]) -> socket.socket:
    """A second socket on the port of `rx`, connected to `peer`, non-blocking.

    SO_REUSEPORT is set on both only while the second one is bound: afterwards a third bind, by any
    process, gets EADDRINUSE. Packets of others may land in the new socket between its bind and its
    connect, so its reader checks every source.

    Raises OSError: descriptors are used up, or there is no route.
    """
    tx = socket.socket(rx.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        rx.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            tx.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            tx.bind(rx.getsockname())
            tx.connect(peer)
        finally:
            rx.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
        tx.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
    except OSError:
        tx.close()
        raise
    return tx


def readable(rx: socket.socket) -> bool:
    """Whether a datagram waits."""
    try:
        rx.recv(1, socket.MSG_PEEK)
    except OSError:
        return False
    return True


def empty(rx: socket.socket) -> int:
    """Discard what waits in the socket; returns how many datagrams that were.

    Bounded: a flood that arrives meanwhile is left to the checks that follow.
    """
    buffer = bytearray(1)
    for count in range(_MAX_STALE):
        try:
            rx.recv_into(buffer, 0, socket.MSG_TRUNC)
        except OSError:
            return count
    return _MAX_STALE


def mark(one: socket.socket, tos: int) -> None:
    """Set the byte that this socket's packets bear: ToS, or IPv6 traffic class (RFC 2474).

    Where the kernel refuses it stays as it was: the packets matter more than their mark.
    """
    with suppress(OSError):
        if one.family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, tos)
        else:
            one.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)
