"""The yardstick beside the relay: one epoll loop that receives and sends, and nothing else.

No RTP, no check of the source, no counters: what Python and the kernel cost before a relay has
done any work. `python -m benchmarks.floor_relay` reads pairs of ports from standard input.
"""

from __future__ import annotations

import json
import resource
import select
import signal
import socket
import sys
import time

__all__ = ["main"]

_TICK_S = 0.0007


def main() -> None:
    """Relays between the two ports of each pair until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    poll = select.epoll()
    ways = {}
    for (host_a, port_a, peer_a), (host_b, port_b, peer_b) in json.loads(sys.stdin.readline()):
        one, other = _port(host_a, port_a), _port(host_b, port_b)
        ways[one.fileno()] = (one.recv, other.sendto, tuple(peer_b), one)
        ways[other.fileno()] = (other.recv, one.sendto, tuple(peer_a), other)
        for sock in (one, other):
            poll.register(sock.fileno(), select.EPOLLIN)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        ready = poll.poll(-1, 512)
        for fd, _ in ready:
            receive, send, peer, _ = ways[fd]
            send(receive(2048), peer)
        if len(ready) < 64:
            time.sleep(_TICK_S)


def _port(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind((host, port))
    sock.setblocking(False)
    return sock


if __name__ == "__main__":
    main()
