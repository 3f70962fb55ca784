"""Media ports: bound ahead in blocks, and kept bound without keeping their descriptors.

A block is up to 32 pairs of sockets (RTP on the even port, RTCP on the next, RFC 3550 §11).
Its sockets are *parked*: sent once into a socket pair that nobody reads. Descriptors in flight
stay open but are in no process's table, so a supervisor may hold 16,000 bound ports with 256
descriptors of its own; a peek (`MSG_PEEK`) copies them out again as often as they are needed.

The sockets are bound without SO_REUSEPORT, so that a port which another program holds is seen;
that pair is left out and counted.
"""

from __future__ import annotations

import errno
import os
import resource
import socket
from collections import deque

from relay.control.line import MAX_DESCRIPTORS, Message, receive_descriptors
from relay.handoff import BLOCK_PAIRS
from relay.settings import MediaSettings

__all__ = [
    "AddressError",
    "ParkedBlock",
    "PortRange",
    "ShortOfDescriptors",
    "check_address",
    "park",
    "shortage",
]

_SHORT = (errno.EMFILE, errno.ENFILE, errno.ETOOMANYREFS, errno.ENOBUFS, errno.ENOMEM)


class AddressError(Exception):
    """Media cannot be received on this address; the text is one line that says why."""


class ShortOfDescriptors(Exception):
    """The kernel gives no more descriptors; the text is one line that says which limit."""


class ParkedBlock:
    """Bound sockets in a socket pair, and what is to be known of them.

    Args:
        keeper: the socket that holds them in its queue.
    """

    __slots__ = ("_keeper", "address", "block_id", "ports", "realm", "row")

    def __init__(
        self,
        keeper: socket.socket,
        block_id: int,
        realm: str,
        address: str,
        ports: tuple[int, ...],
        row: int,
    ) -> None:
        self._keeper = keeper
        self.block_id = block_id
        self.realm = realm
        self.address = address
        self.ports = ports
        self.row = row

    def fetch(self) -> list[int]:
        """Copies of the descriptors, ours to close. Raises ShortOfDescriptors."""
        try:
            _, descriptors, flags = receive_descriptors(self._keeper, socket.MSG_PEEK)
        except OSError as error:
            raise shortage(error) from None
        if flags & socket.MSG_CTRUNC:
            for descriptor in descriptors:
                os.close(descriptor)
            raise shortage(OSError(errno.EMFILE, os.strerror(errno.EMFILE)))
        return descriptors

    def message(self) -> Message:
        """What a worker is told with the sockets (`relay.handoff.Block`)."""
        return {
            "t": "block",
            "id": self.block_id,
            "realm": self.realm,
            "address": self.address,
            "ports": self.ports,
            "row": self.row,
        }

    def close(self) -> None:
        """Let the ports go, as far as no worker has copies."""
        self._keeper.close()


class PortRange:
    """The ports of one MediaSettings, bound block by block.

    Args:
        media: realm, address and range.
        workers: how many will share it: a small range is cut into smaller blocks, so that each
            worker gets some.
    """

    __slots__ = ("_bases", "_family", "block_pairs", "media", "taken")

    def __init__(self, media: MediaSettings, workers: int) -> None:
        pairs = (media.port_max + 1 - media.port_min) // 2
        self.media = media
        self.block_pairs = max(1, min(BLOCK_PAIRS, pairs // max(1, workers)))
        self.taken = 0
        """Pairs that could not be had because another program holds one of their ports."""
        last = media.port_min + 2 * pairs
        self._bases = deque(range(media.port_min, last, 2 * self.block_pairs))
        self._family = socket.AF_INET6 if ":" in media.address else socket.AF_INET

    @property
    def blocks(self) -> int:
        """How many blocks have not been bound yet."""
        return len(self._bases)

    def exclude(self, ports: tuple[int, ...]) -> None:
        """These ports are ours already, in a block that came with an adopted worker."""
        size = 2 * self.block_pairs
        bases = {port - (port - self.media.port_min) % size for port in ports}
        self._bases = deque(base for base in self._bases if base not in bases)

    def bind(self) -> tuple[tuple[int, ...], list[socket.socket]] | None:
        """The next block: RTP ports and their sockets, alternating RTP and RTCP.

        Returns None when the range is used up.
        Raises AddressError, or ShortOfDescriptors, after which the block may be tried again.
        """
        while self._bases:
            base = self._bases[0]
            ports, sockets = self._bind_from(base)
            self._bases.popleft()
            if ports:
                return tuple(ports), sockets
        return None

    def _bind_from(self, base: int) -> tuple[list[int], list[socket.socket]]:
        ports: list[int] = []
        sockets: list[socket.socket] = []
        taken = 0
        end = min(base + 2 * self.block_pairs, self.media.port_max)
        for port in range(base, end, 2):
            try:
                pair = self._bind_pair(port)
            except OSError as error:
                for one in sockets:
                    one.close()
                if error.errno in _SHORT:
                    raise shortage(error) from None
                raise _address_error(self.media, port, error) from None
            if pair is None:
                taken += 1
                continue
            ports.append(port)
            sockets += pair
        self.taken += taken
        return ports, sockets

    def _bind_pair(self, port: int) -> tuple[socket.socket, socket.socket] | None:
        """Both sockets of a pair, or None if one of its ports is taken."""
        rtp = _bound(self._family, self.media.address, port)
        if rtp is None:
            return None
        try:
            rtcp = _bound(self._family, self.media.address, port + 1)
        except OSError:
            rtp.close()
            raise
        if rtcp is None:
            rtp.close()
            return None
        return rtp, rtcp


def park(
    sockets: list[socket.socket],
    *,
    block_id: int,
    realm: str,
    address: str,
    ports: tuple[int, ...],
    row: int,
) -> ParkedBlock:
    """Park these sockets (≤ 64) and close the caller's descriptors of them.

    Raises ShortOfDescriptors; the sockets are closed then, too.
    """
    assert len(sockets) <= MAX_DESCRIPTORS  # noqa: S101
    sender: socket.socket | None = None
    keeper: socket.socket | None = None
    try:
        sender, keeper = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        keeper.setblocking(False)
        socket.send_fds(sender, [b"."], [one.fileno() for one in sockets])
    except OSError as error:
        if keeper is not None:
            keeper.close()
        raise shortage(error) from None
    finally:
        if sender is not None:
            sender.close()  # what is queued at the keeper stays there
        for one in sockets:
            one.close()
    return ParkedBlock(keeper, block_id, realm, address, ports, row)


def check_address(media: MediaSettings) -> None:
    """Raise AddressError if nothing can be bound on this address."""
    family = socket.AF_INET6 if ":" in media.address else socket.AF_INET
    try:
        probe = _bound(family, media.address, 0)
    except OSError as error:
        raise _address_error(media, 0, error) from None
    if probe is not None:
        probe.close()


def shortage(error: OSError) -> ShortOfDescriptors:
    """One line that names the limit behind an OSError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = f"RLIMIT_NOFILE is {soft}" + (f" (hard {hard})" if hard != soft else "")
    text = error.strerror or str(error)
    return ShortOfDescriptors(f"no descriptors left for media ports: {text}; {limit}")


def _bound(family: int, address: str, port: int) -> socket.socket | None:
    """A bound, non-blocking socket, or None if the port is taken. Raises other OSErrors."""
    one = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind((address, port))
    except OSError as error:
        one.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    except BaseException:
        one.close()
        raise
    return one


def _address_error(media: MediaSettings, port: int, error: OSError) -> AddressError:
    where = f"media address {media.address} of realm {media.realm}"
    if error.errno == errno.EADDRNOTAVAIL:
        return AddressError(f"{where}: not an address of this machine")
    if isinstance(error, socket.gaierror):
        return AddressError(f"{where}: expected an IP address")
    if error.errno == errno.EACCES and port:
        return AddressError(f"{where}: no permission for port {port}")
    return AddressError(f"{where}: {error.strerror}")
