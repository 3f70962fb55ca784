"""Media sockets: the one that hears everybody, and the one beside it for the expected peer.

`rx` is bound by the supervisor without SO_REUSEPORT, so that a taken port fails, and is never
connected. Where a peer's address is expected, by the plan or by the latch, `tx` is bound to the
same port and connected; from then on the kernel delivers the peer's packets to `tx` and everybody
else's to `rx`. A port always has an `rx`, so that no stranger gets so much as an ICMP error.
"""

from __future__ import annotations

import socket
import struct
from array import array
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

__all__ = [
    "connect_beside",
    "empty",
    "let_all_in",
    "let_in",
    "mark",
    "narrow",
    "turned_away",
    "usual_room",
    "widen",
]

_MAX_STALE: Final = 4096

# asm-generic/socket.h, linux/filter.h and linux/sock_diag.h; module `socket` does not have them.
_SO_ATTACH_FILTER: Final = 26
_SO_DETACH_FILTER: Final = 27
_SO_MEMINFO: Final = 55
_DROPS: Final = struct.Struct("32xI")  # the last of nine
_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_IF_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K
_IP_HEADER: Final = 0xFFF00000  # SKF_NET_OFF
_SOURCE_AT: Final = {socket.AF_INET: 12, socket.AF_INET6: 8}
_WHOLE: Final = 0xFFFFFFFF
_step = struct.Struct("HBBI").pack


def connect_beside(rx: socket.socket, peer: tuple[str, int]) -> socket.socket:
    """A second socket on the port of `rx`, connected to `peer`, non-blocking.

    SO_REUSEPORT is set on both only while the second one is bound: afterwards a third bind, by any
    process, gets EADDRINUSE. Packets of others may land in the new socket between its bind and its
    connect, so its reader checks the first sources.

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


def narrow(rx: socket.socket) -> None:
    """Let as little wait in the socket as the kernel allows, some 2 kB: nobody reads it.

    A flood at thousands of unused ports would fill the kernel's memory for UDP (net.ipv4.udp_mem)
    otherwise, which calls need.
    """
    rx.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)


def usual_room() -> int:
    """How many bytes may wait in a new socket. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        return one.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


def widen(rx: socket.socket, room: int) -> None:
    """Let so much wait again, as far as the kernel allows (net.core.rmem_max)."""
    rx.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room // 2)  # doubled: socket(7)


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


def let_in(rx: socket.socket, hosts: Iterable[str]) -> bool:
    """Have the kernel discard what comes from other hosts than these, before it is in the queue.

    A filter of BPF's first kind, which needs no privilege. Returns whether there is one now.
    """
    try:
        code = array("B", b"".join(_filter(rx.family, hosts)))
        address, size = code.buffer_info()
        rx.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", size // 8, address))
    except OSError:
        return False
    return True


def _filter(family: int, hosts: Iterable[str]) -> Iterable[bytes]:
    """If the source is one of them: the whole packet. Else nothing."""
    source_at = _IP_HEADER + _SOURCE_AT[socket.AddressFamily(family)]
    for host in hosts:
        if (":" in host) != (family == socket.AF_INET6):
            continue  # its SIP comes by another family than its media
        packed = socket.inet_pton(family, host)
        for at in range(0, len(packed), 4):
            left = (len(packed) - at) // 4 - 1  # further words of this host
            yield _step(_LOAD, 0, 0, source_at + at)
            yield _step(_IF_EQUAL, 0, 2 * left + 1, int.from_bytes(packed[at : at + 4]))
        yield _step(_RETURN, 0, 0, _WHOLE)
    yield _step(_RETURN, 0, 0, 0)


def let_all_in(rx: socket.socket) -> None:
    """The reverse of `let_in`, whoever has called that."""
    with suppress(OSError):  # ENOENT: there is no filter
        rx.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


def turned_away(rx: socket.socket) -> int:
    """How many packets the kernel has discarded that came for this socket, modulo 2^32.

    0 where it does not tell.
    """
    try:
        info = rx.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _DROPS.size)
    except OSError:
        return 0
    return int(_DROPS.unpack(info)[0]) if len(info) == _DROPS.size else 0
