"""SIP over TCP with real sockets on loopback (RFC 3261 §18, RFC 5626 §3.5.1)."""

from __future__ import annotations

import math
import socket
from contextlib import asynccontextmanager

import pytest
import trio

from sbc.errors import ConnectError, FlowClosed, SendError, TransportError
from sbc.transaction.hop import TCP, Hop
from sbc.transport.connection import QUEUE_BYTES, StreamConnection
from sbc.transport.settings import ListenerSettings, TransportSettings
from sbc.transport.stream import StreamTransport
from sbc.transport.tcp_listener import TcpListener

HOST = "127.0.0.1"


def message(number: int = 1, body: bytes = b"") -> bytes:
    return (
        b"OPTIONS sip:x@h SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK%d\r\n"
        b"Content-Length: %d\r\n\r\n" % (number, len(body))
    ) + body


class Recorder:
    """A sink that keeps what it hears."""

    def __init__(self) -> None:
        self.messages: list[tuple[bytes, Hop]] = []
        self.failures: list[tuple[Hop, bytes, TransportError]] = []
        self.ends: list[tuple[Hop, TransportError | None]] = []
        self.broken: list[Hop] = []
        self.flushes = 0
        self.last_words = None
        self._changed = trio.Event()

    def message(self, frame, hop, now):
        self.messages.append((frame, hop))

    def garbled(self, error, hop, now):
        self.broken.append(hop)
        if self.last_words is not None:
            self.last_words(hop)

    def failed(self, hop, data, error):
        self.failures.append((hop, data, error))

    def closed(self, hop, error):
        self.ends.append((hop, error))

    def flush(self):
        self.flushes += 1
        self._changed.set()
        self._changed = trio.Event()

    async def until(self, condition, timeout_s=5):
        with trio.fail_after(timeout_s):
            while not condition(self):
                await self._changed.wait()


def settings(host: str = HOST, **limits) -> TransportSettings:
    def one(transport):
        return ListenerSettings(
            realm="inside",
            transport=transport,
            host=host,
            port=0,
            advertise_host=host,
            advertise_port=0,
        )

    return TransportSettings(listeners=(one("udp"), one("tcp")), **limits)


@asynccontextmanager
async def running(host: str = HOST, **options):
    keywords = {name: options.pop(name) for name in ("trunk_of", "clock") if name in options}
    sink = Recorder()
    transport = StreamTransport(settings(host, **options), sink, **keywords)
    transport.open()
    async with trio.open_nursery() as nursery:
        await nursery.start(transport.run)
        try:
            yield transport, sink
        finally:
            while _opened:
                await trio.aclose_forcefully(_opened.pop())
            nursery.cancel_scope.cancel()


def port_of(transport: StreamTransport) -> int:
    return transport.listeners[0].port


_opened: list[trio.SocketStream | trio.SocketListener] = []


async def dial(transport: StreamTransport, host: str = HOST) -> trio.SocketStream:
    stream = await trio.open_tcp_stream(host, port_of(transport))
    _opened.append(stream)
    return stream


async def wait_for_calls() -> trio.SocketListener:
    [listener] = await trio.open_tcp_listeners(0, host=HOST)
    _opened.append(listener)
    return listener


async def accept(listener: trio.SocketListener) -> trio.SocketStream:
    stream = await listener.accept()
    _opened.append(stream)
    return stream


@pytest.mark.parametrize("host", [HOST, "::1"])
async def test_a_message_comes_up_with_its_flow_and_the_answer_goes_back_on_it(host):
    async with running(host) as (transport, sink):
        peer = await dial(transport, host)
        await peer.send_all(message(1) + message(2, b"body"))
        await sink.until(lambda s: len(s.messages) == 2)
        assert [frame for frame, _ in sink.messages] == [message(1), message(2, b"body")]
        hop = sink.messages[0][1]
        mine = peer.socket.getsockname()
        assert (hop.realm, hop.listener, hop.transport) == ("inside", 1, TCP)
        assert (hop.host, hop.port, hop.connection) == (mine[0], mine[1], 1)
        assert transport.send(b"answer", hop) == 1
        assert await peer.receive_some() == b"answer"
        await peer.aclose()
        await sink.until(lambda s: s.ends)
        assert sink.ends == [(hop, None)]
        assert len(transport) == 0


async def test_a_response_to_a_closed_connection_goes_to_the_via_address_anew():
    async with running() as (transport, sink):
        peer = await dial(transport)
        await peer.send_all(message())
        await sink.until(lambda s: s.messages)
        hop = sink.messages[0][1]
        await peer.aclose()
        await sink.until(lambda s: s.ends)
        waiting = await wait_for_calls()
        via_port = waiting.socket.getsockname()[1]
        answer_hop = Hop(hop.realm, hop.listener, TCP, hop.host, via_port, hop.connection)
        assert transport.send(b"late", answer_hop) == 2
        stream = await accept(waiting)
        assert await stream.receive_some() == b"late"


async def test_what_the_core_writes_into_a_hop_does_not_reach_the_connection():
    async with running() as (transport, sink):
        peer = await dial(transport)
        await peer.send_all(message())
        await sink.until(lambda s: s.messages)
        sink.messages[0][1].connection = 77
        await peer.send_all(message(2))
        await sink.until(lambda s: len(s.messages) == 2)
        assert sink.messages[1][1].connection == 1
        await peer.aclose()
        await sink.until(lambda s: s.ends)
        assert sink.ends[0][0].connection == 1
        assert len(transport) == 0


async def test_an_outgoing_connection_starts_from_our_host_and_is_used_again():
    async with running("127.0.0.2") as (transport, sink):
        waiting = await wait_for_calls()
        hop = Hop("inside", 1, TCP, HOST, waiting.socket.getsockname()[1])
        first = transport.send(message(1), hop)
        assert transport.send(message(2), hop) == first
        stream = await accept(waiting)
        assert stream.socket.getpeername()[0] == "127.0.0.2"
        received = b""
        while len(received) < len(message(1) + message(2)):
            received += await stream.receive_some()
        assert received == message(1) + message(2)
        assert transport.send(b"x", hop) == first
        await stream.send_all(message(3))
        await sink.until(lambda s: s.messages)
        assert sink.messages[0][1].connection == first
        assert len(transport) == 1


async def test_the_peer_that_refuses_fails_what_was_sent():
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        port = unused.getsockname()[1]
    async with running() as (transport, sink):
        hop = Hop("inside", 1, TCP, HOST, port)
        assert transport.send(b"one", hop) == 1
        transport.send(b"two", hop)
        await sink.until(lambda s: s.ends)
        assert [data for _, data, _ in sink.failures] == [b"one", b"two"]
        error = sink.failures[0][2]
        assert isinstance(error, ConnectError)
        assert str(error) == f"tcp:{HOST}:{port}: Connection refused"


async def test_a_connection_that_does_not_come_fails_in_a_second(autojump_clock):
    with socket.socket() as full:  # its backlog is full: the kernel drops further SYNs
        full.bind((HOST, 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        async with running(clock=trio.current_time) as (transport, sink):
            start = trio.current_time()
            transport.send(b"one", Hop("inside", 1, TCP, HOST, full.getsockname()[1]))
            await sink.until(lambda s: s.failures)
            assert trio.current_time() - start == pytest.approx(1.0)
            assert "no connection within 1 s" in str(sink.failures[0][2])
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize(
    "host",
    ["sip.example", "0.0.0.0", "224.0.0.1", "::1"],  # noqa: S104
)
async def test_a_destination_that_is_no_unicast_number_fails_later_not_at_once(host):
    async with running() as (transport, sink):
        hop = Hop("inside", 1, TCP, host, 5060)
        assert transport.send(b"x", hop) == 0
        assert sink.failures == []  # never from within send
        await sink.until(lambda s: s.failures)
        assert sink.failures[0][:2] == (hop, b"x")


async def test_a_ping_gets_a_pong():
    async with running() as (transport, sink):
        peer = await dial(transport)
        await peer.send_all(b"\r\n\r\n")
        assert await peer.receive_some() == b"\r\n"
        assert sink.messages == []


async def test_after_a_framing_error_the_answer_arrives_and_the_connection_ends():
    async with running() as (transport, sink):
        sink.last_words = lambda hop: transport.send(b"400", hop)
        peer = await dial(transport)
        garbage = b"OPTIONS sip:x SIP/2.0\r\nContent-Length: many\r\n\r\n" + bytes(50_000)
        await peer.send_all(message() + garbage)
        heard = b""
        with trio.fail_after(5):
            while data := await peer.receive_some():
                heard += data
        assert heard == b"400"
        await peer.aclose()
        await sink.until(lambda s: s.ends)
        assert isinstance(sink.ends[0][1], FlowClosed)
        assert len(sink.broken) == 1
        assert [frame for frame, _ in sink.messages] == [message()]


async def test_a_peer_that_does_not_read_is_waited_for_within_bounds():
    async with running() as (transport, sink):
        peer = await dial(transport)
        await peer.send_all(message())
        await sink.until(lambda s: s.messages)
        hop = sink.messages[0][1]
        block = bytes(60_000)
        accepted = 0
        while transport.send(block, hop):
            accepted += 1
            assert accepted < 1_000
        await sink.until(lambda s: s.failures)
        assert isinstance(sink.failures[0][2], SendError)
        received = 0
        with trio.fail_after(5):
            while received < accepted * len(block):
                received += len(await peer.receive_some())
        assert transport.send(b"again", hop) == hop.connection
        assert sink.ends == []


async def test_both_directions_flow_while_the_writer_waits():
    async with running() as (transport, sink):
        peer = await dial(transport)
        await peer.send_all(message())
        await sink.until(lambda s: s.messages)
        hop = sink.messages[0][1]
        while transport.send(bytes(60_000), hop):
            pass
        await peer.send_all(message(2))
        await sink.until(lambda s: len(s.messages) == 2)


async def test_a_silent_connection_ends_after_ten_seconds(autojump_clock):
    async with running(clock=trio.current_time) as (transport, sink):
        await dial(transport)
        start = trio.current_time()
        await sink.until(lambda s: s.ends, timeout_s=15)
        assert "no message within 10 s" in str(sink.ends[0][1])
        assert trio.current_time() - start < 13


async def test_a_connection_that_dribbles_ends_after_ten_seconds(autojump_clock):
    async with running(clock=trio.current_time) as (transport, sink):
        peer = await dial(transport)
        start = trio.current_time()
        for byte in message(1, bytes(500)):
            if sink.ends:
                break
            await peer.send_all(bytes([byte]))
            await trio.sleep(1)
        assert sink.messages == []
        assert trio.current_time() - start < 13


async def test_an_idle_connection_ends_after_the_limit(autojump_clock):
    async with running(clock=trio.current_time, tcp_idle_timeout_s=60.0) as (transport, sink):
        peer = await dial(transport)
        await peer.send_all(message())
        await trio.sleep(55)
        await peer.send_all(b"\r\n\r\n")
        await trio.sleep(55)
        assert sink.ends == []
        await trio.sleep(10)
        assert "idle for 60 s" in str(sink.ends[0][1])


async def is_refused(transport: StreamTransport) -> bool:
    try:
        return await is_reset(await dial(transport))
    except OSError:
        return True


async def is_reset(stream: trio.SocketStream) -> bool:
    try:
        with trio.fail_after(2):
            return await stream.receive_some() == b""
    except trio.BrokenResourceError:
        return True


async def test_a_stranger_has_a_limit_and_a_trunk_has_none():
    async with running(tcp_max_per_source=2) as (transport, _):
        kept = [await dial(transport), await dial(transport)]
        assert await is_refused(transport)
        await kept[0].aclose()
        await trio.testing.wait_all_tasks_blocked(0.01)
        await dial(transport)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert len(transport) == 2
        assert transport.counters["refused"] == 1
    async with running(tcp_max_per_source=2, trunk_of=lambda realm, host: "pbx") as (transport, _):
        for _ in range(4):
            await dial(transport)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert len(transport) == 4


async def test_strangers_together_have_half_of_all_connections():
    async with running(tcp_max_connections=4) as (transport, _):
        await dial(transport)
        await dial(transport)
        assert await is_refused(transport)


async def test_the_end_closes_every_socket_and_frees_the_port():
    async with running() as (transport, _):
        port = port_of(transport)
        peer = socket.create_connection((HOST, port))
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert len(transport) == 1
    with peer:
        assert peer.recv(1) == b""
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind((HOST, port))


async def test_after_stop_listening_connections_stay_and_none_come():
    async with running() as (transport, sink):
        peer = await dial(transport)
        await peer.send_all(message())
        await sink.until(lambda s: s.messages)
        transport.stop_listening()
        with pytest.raises(OSError, match="all attempts"):
            await dial(transport)
        await peer.send_all(message(2))
        await sink.until(lambda s: len(s.messages) == 2)


async def test_close_connection_is_told_to_peer_and_sink():
    async with running() as (transport, sink):
        peer = await dial(transport)
        await peer.send_all(message())
        await sink.until(lambda s: s.messages)
        transport.close_connection(sink.messages[0][1].connection)
        transport.close_connection(77)
        await sink.until(lambda s: s.ends)
        assert await is_reset(peer)


def test_a_taken_tcp_port_is_one_line_and_nothing_stays_open():
    with socket.socket() as holder:
        holder.bind((HOST, 0))
        holder.listen()
        port = holder.getsockname()[1]
        listeners = tuple(
            ListenerSettings(
                realm="r",
                transport="tcp",
                host=HOST,
                port=number,
                advertise_host=HOST,
                advertise_port=number,
            )
            for number in (0, port)
        )
        transport = StreamTransport(TransportSettings(listeners=listeners), Recorder())
        with pytest.raises(TransportError, match=rf"^tcp:{HOST}:{port}: the address is in use"):
            transport.open()
        assert all(
            getattr(one, "sock", None) is None or one.sock.fileno() < 0
            for one in transport.listeners
        )


async def test_without_descriptors_the_listener_waits_and_does_not_spin(
    autojump_clock, monkeypatch
):
    calls = 0

    def accept(self, limit=64):
        nonlocal calls
        calls += 1
        self.short_of_descriptors = True
        return []

    monkeypatch.setattr(TcpListener, "accept", accept)
    async with running(clock=trio.current_time) as (transport, _):
        with socket.create_connection((HOST, port_of(transport))):
            await trio.sleep(1)
        assert 5 <= calls <= 15
        assert transport.counters["no_descriptors"] == calls


def test_a_listener_without_descriptors_says_so():
    class NoMore:
        def accept(self):
            raise OSError(24, "Too many open files")

    listener = TcpListener(0, settings().listeners[1])
    listener.sock = NoMore()
    assert listener.accept() == []
    assert listener.short_of_descriptors


def test_the_queue_of_a_connection_is_bounded_before_it_is_open():
    with socket.socket() as sock:
        hop = Hop("r", 0, TCP, HOST, 5060, 1)
        one = StreamConnection(hop, sock, incoming=False, trusted=True, now=0.0)
        assert one.send(bytes(QUEUE_BYTES)) is None
        assert isinstance(one.send(b"x"), SendError)
        assert one.unsent() == [bytes(QUEUE_BYTES)]
        assert one.overdue(math.inf, 600.0) == ""
