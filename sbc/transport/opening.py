"""What every socket that we open has in common: its name in messages, and why it failed."""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import Final

from sbc.errors import TransportError

__all__ = [
    "BUFFER_BYTES",
    "enlarge_buffers",
    "explain",
    "family_of",
    "is_unicast",
    "name_of",
    "socket_address",
]

BUFFER_BYTES: Final = 8 * 1024 * 1024
"""The default of 212,992 bytes holds about 20 ms of SIP at 1,700 calls/s."""

# <asm-generic/socket.h>; missing from `socket` in Python 3.11.
_SO_SNDBUFFORCE: Final = 32
_SO_RCVBUFFORCE: Final = 33


def name_of(transport: str, host: str, port: int) -> str:
    """The address as the configuration writes it: `udp:127.0.0.1:5060`, `tcp:[::1]:5060`."""
    return f"{transport}:[{host}]:{port}" if ":" in host else f"{transport}:{host}:{port}"


def family_of(host: str) -> socket.AddressFamily:
    """The address family of a numeric host."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def is_unicast(host: str, family: socket.AddressFamily) -> bool:
    """Whether a socket of `family` can send to `host` without asking a resolver.

    A socket call would resolve a name, blocking the loop, and take 0.0.0.0 for ourselves.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if address.is_multicast or address.is_unspecified:
        return False
    return (address.version == 6) == (family is socket.AF_INET6)


def socket_address(host: str, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
    """What `bind` and `connect` take for a numeric host, with the scope of `fe80::1%eth0`.

    Raises:
        TransportError: the scope names no interface of this machine.
    """
    if ":" not in host:
        return host, port
    bare, _, scope = host.partition("%")
    if not scope:
        return bare, port, 0, 0
    try:
        return bare, port, 0, int(scope) if scope.isdigit() else socket.if_nametoindex(scope)
    except OSError:
        raise TransportError(f"[{host}]: this machine has no interface {scope}") from None


def enlarge_buffers(sock: socket.socket, size_bytes: int = BUFFER_BYTES) -> int:
    """Ask for large kernel buffers, by privilege or as far as `net.core.rmem_max` allows.

    Returns: the receive buffer that the kernel granted, in bytes of payload and overhead.
    """
    for forced, polite in (
        (_SO_RCVBUFFORCE, socket.SO_RCVBUF),
        (_SO_SNDBUFFORCE, socket.SO_SNDBUF),
    ):
        try:
            sock.setsockopt(socket.SOL_SOCKET, forced, size_bytes)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, polite, size_bytes)  # the kernel caps it silently
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


def explain(transport: str, host: str, port: int, error: OSError) -> TransportError:
    """One line for the operator: which address, what is wrong, what to do."""
    name = name_of(transport, host, port)
    letter = "u" if transport == "udp" else "t"
    match error.errno:
        case errno.EADDRINUSE:
            text = (
                f"the address is in use: stop the program that holds it "
                f"(ss -l{letter}np 'sport = :{port}' names it) or listen on another port"
            )
        case errno.EADDRNOTAVAIL:
            text = (
                f"this machine has no address {host}: add it to an interface "
                f"(ip address shows what there is) or listen on another one"
            )
        case errno.EACCES | errno.EPERM:
            text = (
                f"no permission to bind port {port}: give the program CAP_NET_BIND_SERVICE "
                f"or listen on a port above 1023"
            )
        case errno.EAFNOSUPPORT:
            text = "this machine has no IPv6: listen on an IPv4 address"
        case errno.EMFILE | errno.ENFILE:
            text = "no file descriptor is left: raise RLIMIT_NOFILE (ulimit -n, LimitNOFILE=)"
        case _:
            text = error.strerror or str(error)
    return TransportError(f"{name}: {text}")
