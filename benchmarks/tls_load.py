"""The load of `benchmarks.tls`: handshakes, and both ends of calls over held TLS connections.

A process of its own, raw sockets and `ssl.SSLObject` over memory buffers, one epoll loop, so that
it costs about as much as what it measures and not more:

    python -m benchmarks.tls_load handshakes --border 127.0.1.1:5061 --seconds 10
    python -m benchmarks.tls_load called --address 127.0.2.10:5061 --certificate c.pem --key c.key
    python -m benchmarks.tls_load caller --border 127.0.1.1:5061 --rate 1000 --seconds 10

It prints one JSON line at its end; `called` ends with SIGTERM.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import selectors
import signal
import socket
import ssl
import sys
import time
from collections import deque
from contextlib import suppress

_LENGTH = re.compile(rb"\r\nContent-Length: *(\d+)", re.IGNORECASE)
_COPIED = re.compile(rb"^(?:Via|From|Call-ID|CSeq): [^\r]*\r\n", re.MULTILINE)
_TO = re.compile(rb"^To: [^\r]*", re.MULTILINE)
_CALL_ID = re.compile(rb"^Call-ID: (\d+)", re.MULTILINE)
_CONTACT = re.compile(rb"^Contact: <([^>]*)>", re.MULTILINE)
_SDP = (
    b"v=0\r\no=load 1 1 IN IP4 %b\r\ns=-\r\nc=IN IP4 %b\r\nt=0 0\r\n"
    b"m=audio 20000 RTP/AVP 0 8 101\r\n"
    b"a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
    b"a=fmtp:101 0-15\r\na=ptime:20\r\n"
)


class Wire:
    """One TLS connection, either end, and the messages on it."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, server: bool) -> None:
        self.sock = sock
        sock.setblocking(False)
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server)
        self.ready = False
        self._unsent = b""
        self._data = b""

    def step(self) -> list[bytes]:
        """Read what there is; whole messages. Raises ConnectionError at the end."""
        try:
            data = self.sock.recv(65_536)
        except BlockingIOError:
            return []
        if not data:
            raise ConnectionError("closed")
        self._incoming.write(data)
        if not self.ready:
            self.shake()
            if not self.ready:
                return []
        plain = [self._data]
        with suppress(ssl.SSLWantReadError):
            while True:
                part = self.tls.read(65_536)
                if not part:
                    break
                plain.append(part)
        self._data = b"".join(plain)
        return self._messages()

    def shake(self) -> None:
        """One step of the handshake."""
        with suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
            self.ready = True
        self._flush()

    def send(self, data: bytes) -> None:
        self.tls.write(data)
        self._flush()

    def _flush(self) -> None:
        self._unsent += self._outgoing.read()
        while self._unsent:
            try:
                self._unsent = self._unsent[self.sock.send(self._unsent) :]
            except BlockingIOError:
                return

    def _messages(self) -> list[bytes]:
        found = []
        while True:
            data = self._data = self._data.lstrip(b"\r\n")
            end = data.find(b"\r\n\r\n")
            if end < 0:
                return found
            length = _LENGTH.search(data, 0, end + 2)
            size = end + 4 + int(length[1] if length else 0)
            if len(data) < size:
                return found
            found.append(data[:size])
            self._data = data[size:]


def main() -> None:
    options = _options()
    result = {"handshakes": _handshakes, "caller": _caller, "called": _called}[options.what](
        options
    )
    sys.stdout.write(json.dumps(result | {"load_cpu_s": time.process_time()}) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["handshakes", "caller", "called"])
    parser.add_argument("--border", type=_address, default=("127.0.1.1", 5061))
    parser.add_argument("--address", type=_address, default=("127.0.2.10", 5061))
    parser.add_argument("--source", default="127.0.1.10")
    parser.add_argument("--certificate", default="")
    parser.add_argument("--key", default="")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--at-once", type=int, default=16, help="open handshakes")
    parser.add_argument("--rate", type=float, default=1000.0, help="calls/s")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--hold", type=float, default=1.0, help="s")
    return parser.parse_args()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def _client() -> ssl.SSLContext:
    """One that believes anybody: what it costs to check a certificate is not our question."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _dial(options: argparse.Namespace, context: ssl.SSLContext) -> Wire:
    sock = socket.socket()
    sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
    sock.bind((options.source, 0))
    sock.connect(options.border)
    wire = Wire(sock, context, server=False)
    wire.shake()
    return wire


def _handshakes(options: argparse.Namespace) -> dict[str, object]:
    """Full handshakes, one connection each, some at a time."""
    context, selector = _client(), selectors.DefaultSelector()
    began: dict[Wire, float] = {}
    times: list[float] = []
    failed = 0

    def another() -> None:
        wire = _dial(options, context)
        began[wire] = time.perf_counter()
        selector.register(wire.sock, selectors.EVENT_READ, wire)

    start = time.perf_counter()
    for _ in range(options.at_once):
        another()
    while time.perf_counter() - start < options.seconds:
        for key, _ in selector.select(1.0):
            wire = key.data
            try:
                wire.step()
                if not wire.ready:
                    continue
                times.append(time.perf_counter() - began[wire])
            except (OSError, ssl.SSLError):
                failed += 1
            selector.unregister(wire.sock)
            wire.sock.close()
            del began[wire]
            another()
    took = time.perf_counter() - start
    times.sort()
    return {
        "done": len(times),
        "failed": failed,
        "took_s": took,
        "p50_ms": _share(times, 0.5),
        "p99_ms": _share(times, 0.99),
    }


def _called(options: argparse.Namespace) -> dict[str, object]:
    """Answers everybody at once, until SIGTERM."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate, options.key)
    host, port = options.address
    server = socket.create_server(options.address, backlog=64)
    server.setblocking(False)
    selector = selectors.DefaultSelector()
    selector.register(server, selectors.EVENT_READ, None)
    ending: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: ending.append(number))
    sdp = _SDP % (host.encode(), host.encode())
    contact = b"Contact: <sip:called@%b:%d;transport=tls>\r\n" % (host.encode(), port)
    body = contact + b"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n" % len(sdp) + sdp
    empty = b"Content-Length: 0\r\n\r\n"
    counted = {"INVITE": 0, "ACK": 0, "BYE": 0}
    while not ending:
        for key, _ in selector.select(0.2):
            if key.data is None:
                sock, _ = server.accept()
                selector.register(sock, selectors.EVENT_READ, Wire(sock, context, server=True))
                continue
            wire = key.data
            try:
                for message in wire.step():
                    method = message.partition(b" ")[0].decode()
                    counted[method] = counted.get(method, 0) + 1
                    if method == "INVITE":
                        wire.send(_answer(message, b"180 Ringing", contact + empty))
                        wire.send(_answer(message, b"200 OK", body))
                    elif method != "ACK":
                        wire.send(_answer(message, b"200 OK", empty))
            except (OSError, ssl.SSLError):
                selector.unregister(wire.sock)
                wire.sock.close()
    return counted


def _answer(request: bytes, status: bytes, rest: bytes) -> bytes:
    to = _TO.search(request)
    line = to[0] if to is not None else b"To: <sip:nobody@invalid>"
    if b";tag=" not in line:
        line += b";tag=load"
    head = b"".join(_COPIED.findall(request))
    return b"SIP/2.0 " + status + b"\r\n" + head + line + b"\r\n" + rest


def _caller(options: argparse.Namespace) -> dict[str, object]:
    """Calls at a steady rate, spread over held connections."""
    return Caller(options).run()


class Caller:
    """All calls of one run."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._source = options.source.encode()
        self._sdp = _SDP % (self._source, self._source)
        self._selector = selectors.DefaultSelector()
        context = _client()
        self._wires = [_dial(options, context) for _ in range(options.connections)]
        for wire in self._wires:
            self._selector.register(wire.sock, selectors.EVENT_READ, wire)
        self._waiting: dict[int, float] = {}
        """Call → when its INVITE left."""
        self._held: deque[tuple[float, Wire, int, bytes, bytes]] = deque()
        """When to hang up which call, to its target and To line."""
        self._times: list[float] = []
        self._reasons: dict[str, int] = {}
        self._first = os.getpid() * 10_000_000
        """Numbers of another run are not used again: to the border that would be a repetition."""
        self._placed = self._ended = 0

    def run(self) -> dict[str, object]:
        while not all(wire.ready for wire in self._wires):
            self._hear(1.0)
        options = self._options
        wanted = round(options.rate * options.seconds)
        start = time.perf_counter()
        limit = start + options.seconds + options.hold + 5
        while (now := time.perf_counter()) < limit:
            while self._placed < wanted and self._placed <= (now - start) * options.rate:
                self._place(now)
            while self._held and self._held[0][0] <= now:
                _, wire, number, target, to = self._held.popleft()
                wire.send(self._request(b"BYE", number, 2, target, to))
            over = self._placed == wanted and not self._waiting and not self._held
            if over and self._ended >= len(self._times):
                break
            self._hear(0.001)
        self._times.sort()
        return {
            "placed": self._placed,
            "answered": len(self._times),
            "ended": self._ended,
            "failed": self._placed - self._ended,
            "reasons": self._reasons,
            "took_s": time.perf_counter() - start,
            "p50_ms": _share(self._times, 0.5),
            "p99_ms": _share(self._times, 0.99),
        }

    def _place(self, now: float) -> None:
        number, self._placed = self._first + self._placed, self._placed + 1
        uri = b"sip:100@" + self._options.border[0].encode()
        self._waiting[number] = now
        invite = self._request(b"INVITE", number, 1, uri, b"To: <%b>" % uri, self._sdp)
        self._wires[number % len(self._wires)].send(invite)

    def _hear(self, timeout_s: float) -> None:
        for key, _ in self._selector.select(timeout_s):
            for message in key.data.step():
                self._heard(key.data, message)

    def _heard(self, wire: Wire, message: bytes) -> None:
        status = message[8:11]
        call = _CALL_ID.search(message)
        if call is None or status[:1] == b"1":
            return
        number = int(call[1])
        if b" BYE\r\n" in message:
            self._ended += 1
            return
        began = self._waiting.pop(number, None)
        if began is None:
            return
        to, contact = _TO.search(message), _CONTACT.search(message)
        if status != b"200" or to is None or contact is None:
            self._reasons[status.decode()] = self._reasons.get(status.decode(), 0) + 1
            return
        now = time.perf_counter()
        self._times.append(now - began)
        wire.send(self._request(b"ACK", number, 1, contact[1], to[0]))
        self._held.append((now + self._options.hold, wire, number, contact[1], to[0]))

    def _request(
        self, method: bytes, number: int, cseq: int, uri: bytes, to: bytes, body: bytes = b""
    ) -> bytes:
        source = self._source
        kind = b"Content-Type: application/sdp\r\n" if body else b""
        return b"".join(
            (
                b"%b %b SIP/2.0\r\n" % (method, uri),
                b"Via: SIP/2.0/TLS %b:5061;branch=z9hG4bKload%d%b\r\n" % (source, number, method),
                b"Max-Forwards: 70\r\nFrom: <sip:alice@%b>;tag=%d\r\n" % (source, number),
                b"%b\r\nCall-ID: %d\r\nCSeq: %d %b\r\n" % (to, number, cseq, method),
                b"Contact: <sip:alice@%b:5061;transport=tls>\r\n" % source,
                b"%bContent-Length: %d\r\n\r\n" % (kind, len(body)),
                body,
            )
        )


def _share(times: list[float], share: float) -> float | None:
    """A quantile of sorted times, ms."""
    return 1000 * times[int(len(times) * share)] if times else None


if __name__ == "__main__":
    main()
