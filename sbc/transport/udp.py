"""SIP over UDP: one raw non-blocking socket for each listener (RFC 3261 §18).

The listener neither parses nor waits. The runtime waits until the socket is readable, drains it
in a batch, and sends synchronously:

    await trio.lowlevel.wait_readable(listener.sock)
    for datagram, source in listener.drain(): ...
    for failure in listener.errors(): ...

ICMP errors arrive through the socket's error queue (IP_RECVERR), because nothing else tells an
unconnected socket about them. The price is that a pending error makes the *next* call fail, be
it a send to another peer or a receive: such a call is repeated, the error itself is read by
`errors`, which names the peer that it was about. A queue that nobody reads would keep the
socket readable for ever.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import time
from typing import Final, NamedTuple

from sbc.transport.opening import (
    enlarge_buffers,
    explain,
    family_of,
    is_unicast,
    name_of,
    socket_address,
)
from sbc.transport.settings import ListenerSettings

__all__ = ["Pressure", "UdpListener", "UnreachablePeer"]

Address = tuple[str, int]

_DATAGRAM_BYTES: Final = 65_535
_KNOWN_HOSTS: Final = 16_384
_ERRORS_AT_ONCE: Final = 256
_QUOTED_BYTES: Final = 2_048  # Linux quotes 576 bytes or one MTU: the top Via is within them

# <linux/in.h>, <linux/in6.h>, <asm-generic/socket.h>; missing from `socket` in Python 3.11.
_IP_RECVERR: Final = 11
_IP_MTU_DISCOVER: Final = 10
_IPV6_RECVERR: Final = 25
_IPV6_MTU_DISCOVER: Final = 23
_PMTUDISC_DONT: Final = 0
_SO_MEMINFO: Final = 55
_SIOCGSTAMPNS: Final = 0x8907  # <asm-generic/sockios.h>: when the datagram read last has come

# struct sock_extended_err: errno, origin, type, code, pad, info, data <linux/errqueue.h>
_EXTENDED_ERROR: Final = struct.Struct("=IBBBBII")
_ANCILLARY_BYTES: Final = socket.CMSG_SPACE(_EXTENDED_ERROR.size + 28)  # and a sockaddr_in6
_ORIGIN_LOCAL: Final = 1
_ORIGIN_ICMP: Final = 2
_ORIGIN_ICMP6: Final = 3
# SK_MEMINFO_*: nine u32 <linux/sock_diag.h>: the first two and the last are read here.
_MEMORY: Final = struct.Struct("=9I")
_TIMESPEC: Final = struct.Struct("@ll")

# What an earlier datagram's ICMP error can make of an innocent call. (RFC 1122 §4.1.3.3)
_STALE: Final = frozenset(
    {
        errno.ECONNREFUSED,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EMSGSIZE,
        errno.ENETUNREACH,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.EPROTO,
        errno.EACCES,
    }
)


class UnreachablePeer(NamedTuple):
    """A datagram that did not arrive, and says so (RFC 3261 §18.4)."""

    host: str
    port: int
    """The peer that it was sent to."""
    quoted: bytes
    """The start of the datagram, as far as the report quotes it; its top Via names the branch.
    May be empty. Without a known branch the report proves little: anyone can forge an ICMP."""
    reason: str
    """`Connection refused`, `No route to host`, …"""


class Pressure(NamedTuple):
    """How full the kernel's receive buffer is."""

    fill: float
    """0..1, of the memory that the kernel granted."""
    dropped: int
    """Datagrams that found no room since the socket was opened."""


class UdpListener:
    """One UDP address on which we speak SIP.

    Raises nothing for what a peer does; what went wrong is counted and told by `errors`.
    """

    __slots__ = (
        "_failed",
        "_family",
        "_has_errors",
        "_known",
        "_scope",
        "name",
        "port",
        "receive_buffer_bytes",
        "received",
        "refused_destinations",
        "retried",
        "sent",
        "settings",
        "sock",
        "unreachable",
        "would_block",
    )

    sock: socket.socket

    def __init__(self, settings: ListenerSettings) -> None:
        self.settings = settings
        self.name = name_of("udp", settings.host, settings.port)
        self.port = settings.port
        """The bound port: the settings' own, or the kernel's choice for 0."""
        self.receive_buffer_bytes = 0
        self.received = 0
        self.sent = 0
        self.retried = 0
        """Sends repeated because an earlier datagram's ICMP error stood in their way."""
        self.would_block = 0
        """Datagrams dropped because the send buffer was full."""
        self.unreachable = 0
        """Datagrams that came back as ICMP errors or had no route."""
        self.refused_destinations = 0
        """Datagrams dropped because their destination was no unicast address."""
        self._family = family_of(settings.host)
        self._scope = 0
        self._known: set[str] = set()
        self._failed: list[UnreachablePeer] = []
        self._has_errors = False

    def open(self) -> None:
        """Bind the socket. `sock` exists from here on.

        Raises:
            TransportError: one line with the address, what is wrong, and what to do.
        """
        where = self.settings
        try:
            sock = socket.socket(self._family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            raise explain("udp", where.host, where.port, error) from None
        try:
            if self._family is socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_DONT)
            else:
                sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
                # A large INVITE may be fragmented on its way rather than vanish on a small MTU.
                sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_DONT)
            self.receive_buffer_bytes = enlarge_buffers(sock)
            # No SO_REUSEADDR and no SO_REUSEPORT: with either, a second border would get no error.
            address = socket_address(where.host, where.port)
            sock.bind(address)
        except OSError as error:
            sock.close()
            raise explain("udp", where.host, where.port, error) from None
        except BaseException:
            sock.close()
            raise
        self._scope = address[3] if len(address) == 4 else 0
        self.port = sock.getsockname()[1]
        self.sock = sock
        self.waited_s()  # from the first time on the kernel notes when datagrams come

    def close(self) -> None:
        """Close the socket; harmless when it was never opened or is closed."""
        sock = getattr(self, "sock", None)
        if sock is not None:
            sock.close()

    def drain(self, limit: int = 256) -> list[tuple[bytes, Address]]:
        """All datagrams that wait, oldest first, with their sources; at most `limit`.

        A result of `limit` entries means that there may be more: come back after a checkpoint.
        """
        datagrams: list[tuple[bytes, Address]] = []
        append, receive = datagrams.append, self.sock.recvfrom
        stale = 0
        while len(datagrams) < limit:
            try:
                append(receive(_DATAGRAM_BYTES))
            except BlockingIOError:
                break
            except OSError:
                # An ICMP error of an earlier datagram, reported here and then cleared.
                self._has_errors = True
                stale += 1
                if stale == limit:
                    break
        if not datagrams:
            self._has_errors = True  # readable, but not for data: perhaps the error queue
        elif self._family is socket.AF_INET6:
            datagrams = [(data, (source[0], source[1])) for data, source in datagrams]
        self.received += len(datagrams)
        return datagrams

    def send(self, data: bytes, address: Address) -> bool:
        """Send one datagram, now or never; whether the kernel took it.

        Args:
            address: a numeric unicast host and a port. Names are never resolved here.
        """
        host, port = address
        if host not in self._known and not self._is_known(host):
            self.refused_destinations += 1
            self._failed.append(UnreachablePeer(host, port, data, "not a unicast address"))
            return False
        destination = address if self._family is socket.AF_INET else (host, port, 0, self._scope)
        try:
            self.sock.sendto(data, destination)
        except BlockingIOError:
            self.would_block += 1
            return False
        except (OSError, OverflowError) as error:
            return self._send_again(data, destination, error)
        self.sent += 1
        return True

    def errors(self, limit: int = _ERRORS_AT_ONCE) -> list[UnreachablePeer]:
        """The peers that could not be reached since the last call; call it at each wake.

        Costs no system call unless a send or a drain met a sign of trouble.
        """
        failures = self._failed
        if self._has_errors:
            self._read_error_queue(failures, limit)
        if failures:
            self._failed = []
            self.unreachable += len(failures)
        return failures

    def pressure(self) -> Pressure:
        """How full the receive buffer is, and what it lost (the SO_RXQ_OVFL figure).

        One system call; SO_MEMINFO tells it without ancillary data on each datagram.
        """
        try:
            raw = self.sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMORY.size)
            used, granted, *_, dropped = _MEMORY.unpack(raw)
        except (OSError, struct.error):
            return Pressure(0.0, 0)  # a kernel before 4.12
        return Pressure(used / granted if granted else 0.0, dropped)

    def waited_s(self) -> float:
        """How long the datagram read last had waited, seconds; to be asked at once.

        0.0 where the kernel does not tell, or the wall clock was set meanwhile.
        """
        try:
            stamp = fcntl.ioctl(self.sock, _SIOCGSTAMPNS, bytes(_TIMESPEC.size))
        except OSError:
            return 0.0
        seconds, nanoseconds = _TIMESPEC.unpack(stamp)
        waited_s: float = time.time() - seconds - nanoseconds / 1e9
        return max(0.0, waited_s)

    def _send_again(
        self, data: bytes, destination: Address | tuple[str, int, int, int], error: Exception
    ) -> bool:
        """A second try where the first met an older error; then it is this peer's own."""
        if isinstance(error, OSError) and error.errno in _STALE:
            self._has_errors = True
            self.retried += 1
            try:
                self.sock.sendto(data, destination)
            except BlockingIOError:
                self.would_block += 1
                return False
            except OSError as again:
                error = again
            else:
                self.sent += 1
                return True
        reason = getattr(error, "strerror", None) or str(error)
        self._failed.append(UnreachablePeer(destination[0], destination[1], data, reason))
        return False

    def _is_known(self, host: str) -> bool:
        """Whether we may send there; remembered, because the proof costs 2 µs."""
        if not is_unicast(host, self._family):
            return False
        if len(self._known) >= _KNOWN_HOSTS:
            self._known.clear()
        self._known.add(host)
        return True

    def _read_error_queue(self, failures: list[UnreachablePeer], limit: int) -> None:
        for _ in range(limit):
            try:
                quoted, ancillary, _, source = self.sock.recvmsg(
                    _QUOTED_BYTES, _ANCILLARY_BYTES, socket.MSG_ERRQUEUE
                )
            except BlockingIOError:
                self._has_errors = False
                return
            except OSError:
                continue
            reason = _reason(ancillary)
            if reason and source:
                failures.append(UnreachablePeer(source[0], source[1], quoted, reason))


def _reason(ancillary: list[tuple[int, int, bytes]]) -> str:
    """Why the peer cannot be reached; "" where the report is not about that.

    RFC 3261 §18.4: unreachable and parameter problem count; source quench and TTL do not.
    """
    for level, kind, raw in ancillary:
        if (level, kind) not in (
            (socket.IPPROTO_IP, _IP_RECVERR),
            (socket.IPPROTO_IPV6, _IPV6_RECVERR),
        ):
            continue
        if len(raw) < _EXTENDED_ERROR.size:
            continue
        number, origin, icmp_type, code, *_ = _EXTENDED_ERROR.unpack_from(raw)
        unreachable = (
            (origin == _ORIGIN_ICMP and icmp_type in (3, 12) and (icmp_type, code) != (3, 4))
            or (origin == _ORIGIN_ICMP6 and icmp_type in (1, 4))
            or (origin == _ORIGIN_LOCAL and number != errno.EMSGSIZE)
        )
        if unreachable:
            return os.strerror(number)
    return ""
