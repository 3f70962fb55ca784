"""One telephone's SIP sockets: UDP and TCP on the address of the peer that it plays."""

from __future__ import annotations

import errno
import functools
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import trio

from sbc.errors import ParseError, TransportError
from sbc.sip.message import Request, Response
from sbc.sip.parser import parse
from sbc.sip.stream import KeepAlive, StreamFramer
from sbc.transport.opening import family_of, name_of, socket_address

__all__ = ["Arrival", "Endpoint"]

Address = tuple[str, int]
Send = Callable[[bytes], Awaitable[None]]

_IP_RECVERR: Final = 11  # <linux/in.h>
_IPV6_RECVERR: Final = 25


class Arrival(NamedTuple):
    """One message that came."""

    message: Request | Response
    source: Address
    reply: Send
    """Sends bytes back the way that it came."""


class Endpoint:
    """Both sockets of one telephone.

    Args:
        trunk: whose peer it plays, for messages.
        host, port: that peer's address.
        reach: where a message goes for an address that stands in SIP (1:1 NAT).
    """

    def __init__(
        self,
        trunk: str,
        host: str,
        port: int,
        reach: Callable[[Address], Address] = lambda address: address,
    ) -> None:
        self.trunk = trunk
        self.host = host
        self.port = port
        self._reach = reach
        self._udp: trio.socket.SocketType | None = None
        self._listener: trio.SocketListener | None = None
        self._last: Address = (host, port)
        self._streams: dict[Address, trio.SocketStream] = {}
        self._nursery: trio.Nursery | None = None
        self._put, self.arrivals = trio.open_memory_channel[Arrival](100)

    async def open(self) -> None:
        """Bind both sockets.

        Raises:
            TransportError: the peer's address is taken, or not on this machine.
        """
        address = socket_address(self.host, self.port)
        family = family_of(self.host)
        udp = trio.socket.socket(family, socket.SOCK_DGRAM)
        tcp = trio.socket.socket(family, socket.SOCK_STREAM)
        transport = "udp"
        try:
            if family is socket.AF_INET6:
                udp.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
            else:
                udp.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            await udp.bind(address)
            transport = "tcp"
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            await tcp.bind(address)
            tcp.listen(16)
        except OSError as error:
            udp.close()
            tcp.close()
            raise self._explain(transport, error) from None
        self._udp = udp
        self._listener = trio.SocketListener(tcp)

    def _explain(self, transport: str, error: OSError) -> TransportError:
        name = name_of(transport, self.host, self.port)
        if error.errno == errno.EADDRINUSE:
            text = (
                f"{name} is in use: its real peer runs there. The test plays that peer: "
                f"stop it, or take other trunks (--from, --to)"
            )
        elif error.errno == errno.EADDRNOTAVAIL:
            text = (
                f"{self.host} is not an address of this machine. The test plays the peers of "
                f"both trunks, so both must live here, as in the demo file"
            )
        else:
            text = f"{name}: {error.strerror}"
        return TransportError(f"trunk {self.trunk}: {text}")

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Receive until cancelled; `open` comes before."""
        assert self._udp is not None  # noqa: S101 (opened)
        assert self._listener is not None  # noqa: S101 (opened)
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._receive_datagrams, self._udp)
                nursery.start_soon(trio.serve_listeners, self._receive_stream, [self._listener])
                task_status.started()
        finally:
            self.close()

    def close(self) -> None:
        """Close everything that is open."""
        if self._udp is not None:
            self._udp.close()
        if self._listener is not None:
            self._listener.socket.close()
        for stream in self._streams.values():
            stream.socket.close()

    async def send(self, data: bytes, address: Address, transport: str) -> None:
        """Send to `address`.

        Raises:
            TransportError: nobody listens there.
        """
        address = self._reach(address)
        if transport == "tcp":
            await (await self._stream_to(address)).send_all(data)
            return
        assert self._udp is not None  # noqa: S101 (opened)
        await self._send_datagram(self._udp, address, data)

    async def _stream_to(self, address: Address) -> trio.SocketStream:
        stream = self._streams.get(address)
        if stream is not None:
            return stream
        name = name_of("tcp", *address)
        sock = trio.socket.socket(family_of(self.host), socket.SOCK_STREAM)
        try:
            await sock.bind(socket_address(self.host, 0))
            with trio.fail_after(2):
                await sock.connect(address)
        except trio.TooSlowError:
            sock.close()
            raise TransportError(f"{name}: no connection within 2 s") from None
        except OSError as error:
            sock.close()
            raise _unreachable("tcp", address, error) from None
        stream = self._streams[address] = trio.SocketStream(sock)
        assert self._nursery is not None  # noqa: S101 (running)
        self._nursery.start_soon(self._receive_stream, stream)
        return stream

    async def _receive_datagrams(self, sock: trio.socket.SocketType) -> None:
        while True:
            try:
                data, source = await sock.recvfrom(65_535)
            except OSError as error:
                # The error queue is not read: whoever hears of a closed port gives up.
                raise _unreachable("udp", self._last, error) from None

            address = (source[0], source[1])
            await self._take(data, address, functools.partial(self._send_datagram, sock, address))

    async def _send_datagram(
        self, sock: trio.socket.SocketType, address: Address, data: bytes
    ) -> None:
        self._last = address
        try:
            await sock.sendto(data, address)
        except OSError as error:
            raise _unreachable("udp", address, error) from None

    async def _receive_stream(self, stream: trio.SocketStream) -> None:
        framer = StreamFramer()
        address = stream.socket.getpeername()[:2]
        try:
            async with stream:
                while data := await stream.receive_some(65_536):
                    for frame in framer.feed(data):
                        if not isinstance(frame, KeepAlive):
                            await self._take(frame, address, stream.send_all)
        except (trio.BrokenResourceError, trio.ClosedResourceError, ParseError):
            return
        finally:
            for key, known in list(self._streams.items()):
                if known is stream:
                    del self._streams[key]

    async def _take(self, data: bytes, source: Address, reply: Send) -> None:
        try:
            message = parse(data)
        except ParseError:
            return
        await self._put.send(Arrival(message, source, reply))


def _unreachable(transport: str, address: Address, error: OSError) -> TransportError:
    name = name_of(transport, *address)
    if error.errno == errno.ECONNREFUSED:
        return TransportError(f"nobody listens at {name}: start the border (sbc run)")
    return TransportError(f"{name}: {os.strerror(error.errno) if error.errno else error}")
