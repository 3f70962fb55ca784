"""What a UDP listener promises: bad peers and bad addresses hurt nobody else (RFC 3261 §18)."""

from __future__ import annotations

import socket
import time

import pytest
import trio

from sbc.errors import TransportError
from sbc.transport.settings import ListenerSettings
from sbc.transport.udp import UdpListener

HOSTS = ["127.0.0.1", "::1"]


def listener(host: str = "127.0.0.1", port: int = 0) -> UdpListener:
    settings = ListenerSettings(
        realm="inside",
        transport="udp",
        host=host,
        port=port,
        advertise_host=host,
        advertise_port=port,
    )
    return UdpListener(settings)


@pytest.fixture
def opened():
    listeners: list[UdpListener] = []

    def _open(host: str = "127.0.0.1", port: int = 0) -> UdpListener:
        one = listener(host, port)
        one.open()
        listeners.append(one)
        return one

    yield _open
    for one in listeners:
        one.close()


def closed_port(host: str) -> int:
    one = listener(host)
    one.open()
    one.close()
    return one.port


@pytest.mark.parametrize("host", HOSTS)
def test_a_listener_knows_how_long_the_datagram_read_last_has_waited(opened, host, monkeypatch):
    a, b = opened(host), opened(host)
    nothing_yet = b.waited_s()
    started = time.time()
    a.send(b"", (host, b.port))
    b.drain()
    real = time.time
    waited_s, took_s = b.waited_s(), time.time() - started
    monkeypatch.setattr(time, "time", lambda: real() + 5)
    assert nothing_yet == 0.0
    assert 0 <= waited_s <= took_s
    assert 5 <= b.waited_s() < 5 + real() - started
    monkeypatch.setattr(time, "time", lambda: real() - 5)
    assert b.waited_s() == 0.0  # the wall clock was set back


@pytest.mark.parametrize("host", HOSTS)
def test_a_drain_gives_what_came_in_order_with_plain_addresses(opened, host):
    a, b = opened(host), opened(host)
    for number in range(3):
        assert a.send(b"%d" % number, (host, b.port))
    source = (host, a.port)
    assert b.drain() == [(b"0", source), (b"1", source), (b"2", source)]
    assert b.drain() == []
    assert (a.sent, b.received) == (3, 3)


def test_a_drain_is_bounded(opened):
    a, b = opened(), opened()
    for _ in range(5):
        a.send(b"x", ("127.0.0.1", b.port))
    assert len(b.drain(limit=2)) == 2
    assert len(b.drain(limit=256)) == 3


def test_an_empty_datagram_and_the_largest_one_arrive(opened):
    a, b = opened(), opened()
    a.send(b"", ("127.0.0.1", b.port))
    a.send(bytes(65_507), ("127.0.0.1", b.port))
    assert [len(data) for data, _ in b.drain()] == [0, 65_507]


@pytest.mark.parametrize("host", HOSTS)
def test_a_closed_peer_does_not_disturb_the_send_to_another(opened, host):
    a, b = opened(host), opened(host)
    dead = closed_port(host)
    for _ in range(100):
        a.send(b"lost", (host, dead))
        assert a.send(b"kept", (host, b.port))
    assert len(b.drain()) == 100
    assert a.retried > 0


@pytest.mark.parametrize("host", HOSTS)
def test_the_unreachable_peer_is_named_with_what_was_sent(opened, host):
    a = opened(host)
    dead = closed_port(host)
    message = b"OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKabc\r\n\r\n"
    a.send(message, (host, dead))
    assert a.drain() == []
    [failure] = a.errors()
    assert (failure.host, failure.port, failure.quoted) == (host, dead, message)
    assert failure.reason == "Connection refused"
    assert a.errors() == []


@pytest.mark.parametrize("host", HOSTS)
async def test_a_thousand_sends_to_a_closed_port_leave_the_loop_idle(opened, host):
    a = opened(host)
    dead = closed_port(host)
    for _ in range(1_000):
        a.send(b"lost", (host, dead))
    found = wakes = 0
    with trio.move_on_after(0.2):
        while True:
            await trio.lowlevel.wait_readable(a.sock)
            wakes += 1
            a.drain()
            found += len(a.errors())
    assert found == 1_000
    assert wakes < 20


def test_data_is_found_behind_a_pending_error(opened):
    a, b = opened(), opened()
    b.send(b"hello", ("127.0.0.1", a.port))
    a.send(b"lost", ("127.0.0.1", closed_port("127.0.0.1")))
    assert [data for data, _ in a.drain()] == [b"hello"]
    assert len(a.errors()) == 1


@pytest.mark.parametrize(
    "host",
    ["sip.example", "", "<broadcast>", "0.0.0.0", "224.0.0.1", "::1", "1.2.3"],  # noqa: S104
)
def test_only_unicast_numbers_are_sent_to_and_nothing_is_resolved(opened, host):
    a = opened()
    assert not a.send(b"x", (host, 5060))
    [failure] = a.errors()
    assert failure.host == host
    assert a.refused_destinations == 1


@pytest.mark.parametrize("port", [0, 65_536, -1])
def test_a_port_that_is_none_is_a_failure_not_an_exception(opened, port):
    a = opened()
    assert not a.send(b"x", ("127.0.0.1", port))
    assert a.errors()[0].port == port


def test_a_datagram_too_large_for_udp_is_a_failure_not_an_exception(opened):
    a, b = opened(), opened()
    assert not a.send(bytes(65_508), ("127.0.0.1", b.port))
    assert a.errors()[0].reason == "Message too long"
    assert a.send(b"fine", ("127.0.0.1", b.port))


def test_a_full_receive_buffer_is_told(opened):
    a, b = opened(), opened()
    b.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    for _ in range(100):
        a.send(bytes(500), ("127.0.0.1", b.port))
    pressure = b.pressure()
    assert pressure.fill > 0.5
    assert pressure.dropped > 0
    assert len(b.drain()) + pressure.dropped == 100


def test_large_buffers_are_asked_for(opened):
    with open("/proc/sys/net/core/rmem_max", encoding="ascii") as file:
        most = int(file.read())
    assert opened().receive_buffer_bytes >= min(most, 8 * 1024 * 1024)


def test_a_taken_port_is_one_line_that_names_it(opened):
    port = opened().port
    with pytest.raises(TransportError) as caught:
        opened(port=port)
    assert str(caught.value).startswith(f"udp:127.0.0.1:{port}: the address is in use")
    assert "\n" not in str(caught.value)


def test_a_foreign_address_is_one_line_that_names_it(opened):
    with pytest.raises(TransportError, match=r"^udp:192\.0\.2\.77:5060: this machine has no"):
        opened("192.0.2.77", 5060)


def test_a_missing_interface_is_one_line_that_names_it(opened):
    with pytest.raises(TransportError, match="no interface nowhere0"):
        opened("fe80::1%nowhere0")


def test_a_forbidden_port_is_one_line_that_says_what_to_do(monkeypatch):
    def refuse(self, address):
        raise PermissionError(13, "Permission denied")

    one = listener(port=260)
    monkeypatch.setattr(socket, "socket", type("S", (socket.socket,), {"bind": refuse}))
    with pytest.raises(TransportError, match=r"udp:127\.0\.0\.1:260: .*CAP_NET_BIND_SERVICE"):
        one.open()


def test_a_full_send_buffer_drops_and_counts():
    class FullSocket:
        def sendto(self, data, address):
            raise BlockingIOError(11, "Resource temporarily unavailable")

    one = listener()
    one.sock = FullSocket()
    assert not one.send(b"x", ("127.0.0.1", 5060))
    assert one.would_block == 1
    assert one.errors() == []


def test_an_unopened_listener_closes_quietly():
    listener().close()
