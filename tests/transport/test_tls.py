"""SIP over TLS with real sockets and certificates on loopback (RFC 3261 §26, RFC 5922)."""

from __future__ import annotations

import shutil
import socket
import ssl
import threading
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from sbc.errors import ConnectError, FlowClosed, TransportError
from sbc.transaction.hop import TLS, Hop
from sbc.transport.settings import (
    ClientCertificate,
    Keypair,
    ListenerSettings,
    ListenerTls,
    PeerSettings,
    TlsVersion,
    TransportSettings,
)
from sbc.transport.stream import StreamTransport
from tests.support.certificates import Authority, Issued
from tests.transport.test_tcp import HOST, Recorder, message

NAME = "sip.carrier.example"


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "Test CA")


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("other"), "Other CA")


@pytest.fixture(scope="module")
def ours(authority) -> Issued:
    return authority.issue("border", "sbc.example", addresses=(HOST,))


def pair(issued: Issued) -> Keypair:
    return Keypair(certificate=issued.certificate, key=issued.key)


def listening(*issued: Issued, host: str = HOST, **options) -> ListenerSettings:
    tls = ListenerTls(keypairs=tuple(pair(one) for one in issued), **options)
    return ListenerSettings(
        realm="outside",
        transport="tls",
        host=host,
        port=0,
        advertise_host=host,
        advertise_port=0,
        tls=tls,
    )


@asynccontextmanager
async def running(listener: ListenerSettings, *peers: PeerSettings, **options):
    keywords = {
        name: options.pop(name) for name in ("trunk_of", "may_connect", "clock") if name in options
    }
    sink = Recorder()
    settings = TransportSettings(listeners=(listener,), peers=peers, **options)
    transport = StreamTransport(settings, sink, **keywords)
    transport.open()
    async with trio.open_nursery() as nursery:
        await nursery.start(transport.run)
        try:
            yield transport, sink
        finally:
            nursery.cancel_scope.cancel()


def client_context(authority: Authority | None, issued: Issued | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if authority else ssl.CERT_NONE
    if authority:
        context.load_verify_locations(authority.path)
    if issued:
        context.load_cert_chain(issued.certificate, issued.key)
    return context


async def dial(transport, context: ssl.SSLContext, name: str = "sbc.example", host: str = HOST):
    raw = await trio.open_tcp_stream(host, transport.listeners[0].port)
    stream = trio.SSLStream(raw, context, server_hostname=name, https_compatible=True)
    try:
        await stream.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


@asynccontextmanager
async def carrier(issued: Issued, *, client_ca: str = "", host: str = HOST):
    """A peer that listens: yields its port and a function that waits for the next connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    [listener] = await trio.open_tcp_listeners(0, host=host)
    streams = []

    async def accept():
        raw = await listener.accept()
        stream = trio.SSLStream(raw, context, server_side=True, https_compatible=True)
        streams.append(stream)
        await stream.do_handshake()
        return stream

    try:
        yield listener.socket.getsockname()[1], accept
    finally:
        for stream in [*streams, listener]:
            await trio.aclose_forcefully(stream)


def peer(authority: Authority | None = None, **options) -> PeerSettings:
    keywords = {"trunk": "carrier", "realm": "outside", "hosts": (HOST,)} | options
    return PeerSettings(ca=authority.path if authority else "", **keywords)


def to(port: int, **options) -> Hop:
    return Hop("outside", 0, TLS, HOST, port, **({"trunk": "carrier"} | options))


async def calls(context: ssl.SSLContext, transport, **options) -> bytes:
    """The name that our certificate bears for one who dials us."""
    async with await dial(transport, context, **options) as stream:
        return stream.getpeercert()["subjectAltName"]


# Both ways


@pytest.mark.parametrize("host", [HOST, "::1"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_message_comes_up_and_the_answer_goes_back_on_the_same_connection(
    authority, ours, version, host
):
    context = client_context(authority)
    context.minimum_version = context.maximum_version = version
    async with running(listening(ours, host=host)) as (transport, sink):
        stream = await dial(transport, context, host=host)
        await stream.send_all(message(1) + message(2, b"body" * 9000))
        await sink.until(lambda s: len(s.messages) == 2)
        frame, hop = sink.messages[1]
        assert frame == message(2, b"body" * 9000)
        assert (hop.transport, hop.host, hop.connection) == (TLS, host, 1)
        big = b"z" * 60_000
        assert transport.send(big, hop) == 1
        got = b""
        while len(got) < len(big):
            got += await stream.receive_some()
        assert got == big
        await stream.aclose()
        await sink.until(lambda s: s.ends)
        assert sink.ends[0][1] is None
        assert len(transport) == 0


async def test_a_peer_that_we_call_is_asked_for_its_name_and_kept_for_the_next_message(authority):
    issued = authority.issue("carrier", NAME)
    async with (
        carrier(issued) as (port, accept),
        running(listening(issued), peer(authority, name=NAME)) as (transport, sink),
    ):
        first = transport.send(message(1), to(port))
        assert transport.send(message(2), to(port)) == first
        stream = await accept()
        got = b""
        while len(got) < len(message(1) + message(2)):
            got += await stream.receive_some()
        assert got == message(1) + message(2)
        assert transport.send(message(3), to(port)) == first
        await stream.send_all(message(4))
        await sink.until(lambda s: s.messages)
        assert sink.messages[0][1].connection == first
        assert len(transport) == 1
        await trio.aclose_forcefully(stream)
        await sink.until(lambda s: s.ends)
        again = transport.send(message(5), to(port))
        assert again != first
        assert await (await accept()).receive_some() == message(5)


async def test_the_server_name_is_the_trunks_or_that_of_the_place(authority):
    issued = authority.issue("carrier", NAME, "b.example")
    asked: list[str | None] = []
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(issued.certificate, issued.key)
    server.sni_callback = lambda _object, name, _context: asked.append(name)
    [listener] = await trio.open_tcp_listeners(0, host=HOST)
    port = listener.socket.getsockname()[1]
    async with listener, running(listening(issued), peer(authority)) as (transport, sink):
        for name, expected in ((NAME, NAME), ("b.example", "b.example")):
            transport.send(message(), to(port, name=name))
            raw = await listener.accept()
            stream = trio.SSLStream(raw, server, server_side=True)
            assert await stream.receive_some() == message()
            assert asked[-1] == expected
            await trio.aclose_forcefully(stream)
        await sink.until(lambda s: len(s.ends) == 2)


async def test_a_literal_address_is_found_in_the_certificate(authority, ours):
    async with (
        carrier(ours) as (port, accept),
        running(listening(ours), peer(authority)) as (transport, _),
    ):
        transport.send(message(), to(port))
        assert await (await accept()).receive_some() == message()


async def test_a_sip_uri_in_the_certificate_names_the_peer_and_hides_its_dns_names(authority):
    issued = authority.issue("uri", "web.example", uris=(f"sip:{NAME}",))
    for name, good in ((NAME, True), ("web.example", False)):
        async with (
            carrier(issued) as (port, accept),
            running(listening(issued), peer(authority, name=name)) as (transport, sink),
        ):
            transport.send(message(), to(port))
            stream = await accept()
            if good:
                assert await stream.receive_some() == message()
            else:
                await sink.until(lambda s: s.failures)
                assert "its certificate is for sip.carrier.example" in str(sink.failures[0][2])


# Trust


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"begins_days": -9, "ends_days": -1}, f"its certificate ({NAME}) expired yesterday"),
        ({"begins_days": 3}, f"its certificate ({NAME}) is not valid before in 3 days"),
        ({"signer": "other"}, "is signed by Other CA, which tls.ca does not hold"),
        ({"named": "b.example"}, f"its certificate is for b.example, expected {NAME}"),
        ({"named": "*.carrier.example"}, "SIP matches no wildcards"),
        ({"uses": "client"}, "is not made for this side of TLS"),
    ],
)
async def test_whom_we_do_not_believe_gets_nothing_and_the_reason_is_one_line(
    authority, other, how, reason, caplog
):
    options = dict(how)
    signer = {"other": other}.get(options.pop("signer", ""), authority)
    named = options.pop("named", NAME)
    if options.pop("uses", ""):
        from cryptography.x509.oid import ExtendedKeyUsageOID

        options["uses"] = (ExtendedKeyUsageOID.CLIENT_AUTH,)
    issued = signer.issue("bad", named, **options)
    async with (
        carrier(issued) as (port, accept),
        running(listening(issued), peer(authority, name=NAME)) as (transport, sink),
        trio.open_nursery() as nursery,
    ):

        async def hear_nothing():
            try:
                stream = await accept()
                assert await stream.receive_some() == b""
            except (trio.BrokenResourceError, ssl.SSLError):
                pass

        nursery.start_soon(hear_nothing)
        assert transport.send(message(), to(port)) == 1
        await sink.until(lambda s: s.ends)
        assert [data for _, data, _ in sink.failures] == [message()]
        error = sink.failures[0][2]
        assert isinstance(error, ConnectError)
        assert reason in str(error)
    (line,) = [one.getMessage() for one in caplog.records if "tls.refused" in one.getMessage()]
    assert reason in line
    assert "\n" not in line


async def test_a_wildcard_that_the_operator_writes_out_is_taken(authority):
    issued = authority.issue("wild", "*.carrier.example")
    async with (
        carrier(issued) as (port, accept),
        running(listening(issued), peer(authority, name="*.carrier.example")) as (transport, _),
    ):
        transport.send(message(), to(port))
        assert await (await accept()).receive_some() == message()


async def test_without_verify_anybody_will_do(other):
    issued = other.issue("anybody", "x.example", begins_days=-9, ends_days=-3)
    async with (
        carrier(issued) as (port, accept),
        running(listening(issued), peer(verify=False, name=NAME)) as (transport, _),
    ):
        transport.send(message(), to(port))
        assert await (await accept()).receive_some() == message()


async def test_one_address_for_two_names_is_two_connections(authority):
    issued = authority.issue("both", NAME, "b.example")
    async with (
        carrier(issued) as (port, accept),
        running(listening(issued), peer(authority)) as (transport, _),
    ):
        first = transport.send(message(1), to(port, name=NAME))
        await accept()
        assert transport.send(message(2), to(port, name="b.example")) != first
        await accept()


# Mutual TLS


async def test_each_trunk_is_shown_its_own_certificate(authority, ours):
    mine = authority.issue("mine", "a.example")
    yours = authority.issue("yours", "b.example")
    issued = authority.issue("carrier", NAME)
    peers = [
        peer(authority, trunk=trunk, name=NAME, keypair=pair(keypair))
        for trunk, keypair in (("one", mine), ("two", yours))
    ]
    async with (
        carrier(issued, client_ca=authority.path) as (one_port, accept_one),
        carrier(issued, client_ca=authority.path) as (two_port, accept_two),
        running(listening(ours), *peers) as (transport, _),
    ):
        transport.send(message(), to(one_port, trunk="one"))
        transport.send(message(), to(two_port, trunk="two"))
        shown = [
            (await accept()).getpeercert()["subjectAltName"] for accept in (accept_one, accept_two)
        ]
        assert shown == [(("DNS", "a.example"),), (("DNS", "b.example"),)]


async def test_a_peer_that_wants_a_certificate_of_ours_is_said_to(authority, ours):
    issued = authority.issue("carrier", NAME)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(issued.certificate, issued.key)
    server.load_verify_locations(authority.path)
    server.verify_mode = ssl.CERT_REQUIRED

    over = threading.Event()

    def refuse(listener: socket.socket) -> None:
        raw, _ = listener.accept()
        options = {"server_side": True, "do_handshake_on_connect": False}
        with server.wrap_socket(raw, **options) as stream:
            with pytest.raises(ssl.SSLError):
                stream.do_handshake()  # its alert leaves; one of trio's streams would not
            over.wait(5)  # closing now, with our message unread, would reset the alert away

    async with (
        running(listening(ours), peer(authority, name=NAME)) as (transport, sink),
        trio.open_nursery() as nursery,
    ):
        with socket.create_server((HOST, 0)) as listener:
            nursery.start_soon(trio.to_thread.run_sync, refuse, listener)
            transport.send(message(), to(listener.getsockname()[1]))
            await sink.until(lambda s: s.ends)
        over.set()
        assert "wants a certificate of ours" in str(sink.ends[0][1])


async def refused_by(transport, context) -> bool:
    """Whether we are not let in; TLS 1.3 says so after the client's own handshake."""
    try:
        async with await dial(transport, context) as stream:
            await stream.send_all(message())
            return await stream.receive_some() == b""
    except trio.BrokenResourceError:
        return True


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("none", "it shows no certificate, and tls.client says required"),
        ("other", "is signed by Other CA, which tls.ca does not hold"),
        ("expired", "its certificate (pbx.example) expired 2 days ago"),
    ],
)
async def test_a_required_certificate_is_required(authority, other, ours, how, reason):
    shown = {
        "none": None,
        "other": other.issue("other-client", "pbx.example"),
        "expired": authority.issue("expired", "pbx.example", begins_days=-9, ends_days=-2),
    }[how]
    listener = listening(ours, ca=authority.path, client=ClientCertificate.REQUIRED)
    async with running(listener) as (transport, sink):
        assert await refused_by(transport, client_context(authority, shown))
        await sink.until(lambda s: s.ends)
        assert reason in str(sink.ends[0][1])
        assert sink.messages == []


@pytest.mark.parametrize("client", [ClientCertificate.REQUIRED, ClientCertificate.OPTIONAL])
async def test_a_trunk_is_known_by_its_certificate(authority, ours, client):
    shown = authority.issue("pbx", "pbx.example")
    listener = listening(ours, ca=authority.path, client=client)
    trunk = peer(trunk="pbx", name="pbx.example", by_certificate=True)
    async with running(listener, trunk) as (transport, sink):
        async with await dial(transport, client_context(authority, shown)) as stream:
            await stream.send_all(message())
            await sink.until(lambda s: s.messages)
        assert sink.messages[0][1].trunk == "pbx"


@pytest.mark.parametrize("named", [True, False])
async def test_the_certificate_of_another_trunk_is_refused(authority, ours, named):
    shown = authority.issue("b", "b.example")
    listener = listening(ours, ca=authority.path, client=ClientCertificate.REQUIRED)
    peers = (
        peer(trunk="a", name="a.example" if named else ""),
        peer(trunk="b", name="b.example", hosts=("192.0.2.9",)),
    )
    of = {"trunk_of": lambda realm, host: "a"}
    async with running(listener, *peers, **of) as (transport, sink):
        assert await refused_by(transport, client_context(authority, shown))
        await sink.until(lambda s: s.ends)
        expected = "expected a.example (trunk a)" if named else "that of trunk b, not of a"
        assert expected in str(sink.ends[0][1])
        assert sink.messages == []


async def test_a_trunk_that_we_call_by_its_certificate_is_known_by_it_too(authority, ours):
    issued = authority.issue("carrier", NAME)
    trunk = peer(authority, name=NAME, by_certificate=True)
    async with (
        carrier(issued) as (port, accept),
        running(listening(ours), trunk) as (transport, sink),
    ):
        transport.send(message(), to(port))
        stream = await accept()
        assert await stream.receive_some() == message()
        await stream.send_all(message(2))
        await sink.until(lambda s: s.messages)
        hop = sink.messages[0][1]
        assert (hop.trunk, hop.flow) == ("carrier", False)


# Names


async def test_the_certificate_follows_the_name_that_is_asked_for(authority, ours):
    second = authority.issue("second", "voice.example")
    third = authority.issue("third", "*.pbx.example")
    context = client_context(authority)
    async with running(listening(ours, second, third)) as (transport, _):
        assert (await calls(context, transport, name="voice.example"))[0][1] == "voice.example"
        assert (await calls(context, transport, name="VOICE.example"))[0][1] == "voice.example"
        assert (await calls(context, transport, name="a.pbx.example"))[0][1] == "*.pbx.example"
        assert (await calls(context, transport, name="x.example"))[0][1] == "sbc.example"


@pytest.mark.parametrize(("offered", "taken"), [(["sip"], "sip"), (["http/1.1"], None), ([], None)])
async def test_an_application_protocol_is_tolerated(authority, ours, offered, taken):
    context = client_context(authority)
    if offered:
        context.set_alpn_protocols(offered)
    async with (
        running(listening(ours)) as (transport, _),
        await dial(transport, context) as stream,
    ):
        assert stream.selected_alpn_protocol() == taken


# Who costs little


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n\r\n", message(), b"\x16garbage" * 20])
async def test_who_does_not_speak_tls_is_cut_off(ours, first):
    async with running(listening(ours)) as (transport, sink):
        stream = await trio.open_tcp_stream(HOST, transport.listeners[0].port)
        await stream.send_all(first)
        await sink.until(lambda s: s.ends)
        assert sink.messages == []
        assert transport.counters["handshake_failed"] == 1
        await stream.aclose()


async def test_who_says_nothing_has_the_handshakes_time_and_no_more(ours):
    async with running(listening(ours), handshake_timeout_s=0.1) as (transport, sink):
        stream = await trio.open_tcp_stream(HOST, transport.listeners[0].port)
        await sink.until(lambda s: s.ends)
        assert "no TLS handshake within 0.1 s" in str(sink.ends[0][1])
        await stream.aclose()


async def test_a_peer_that_never_answers_our_handshake_fails_what_was_sent(authority, ours):
    async with running(listening(ours), peer(authority), handshake_timeout_s=0.1) as (
        transport,
        sink,
    ):
        [silent] = await trio.open_tcp_listeners(0, host=HOST)
        async with silent:
            transport.send(message(), to(silent.socket.getsockname()[1]))
            await sink.until(lambda s: s.ends)
        assert [data for _, data, _ in sink.failures] == [message()]


async def test_few_handshakes_are_open_at_once_for_one_stranger(authority, ours):
    options = {"handshakes_per_source": 2, "handshake_timeout_s": 30.0}
    async with running(listening(ours), **options) as (transport, sink):
        idle = [await trio.open_tcp_stream(HOST, transport.listeners[0].port) for _ in range(2)]
        await trio.testing.wait_all_tasks_blocked(0.02)
        with pytest.raises((trio.BrokenResourceError, OSError)):
            await dial(transport, client_context(authority))
        assert transport.counters["refused"] == 1
        await idle[0].aclose()
        await sink.until(lambda s: s.ends)
        async with await dial(transport, client_context(authority)):
            pass  # and one whose handshake is over takes no place
        await idle[1].aclose()


async def test_a_stranger_that_shakes_hands_too_often_is_not_served(authority, ours):
    async with running(listening(ours), may_connect=lambda realm, host: False) as (transport, _):
        with pytest.raises((trio.BrokenResourceError, OSError)):
            await dial(transport, client_context(authority))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")  # that is why they are refused
@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1", "TLSv1_2"])
async def test_old_versions_are_not_spoken(authority, ours, version):
    context = client_context(authority)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.maximum_version = getattr(ssl.TLSVersion, version)
    async with running(listening(ours, minimum=TlsVersion.TLS_1_3)) as (transport, _):
        with pytest.raises(trio.BrokenResourceError):
            await dial(transport, context)


# Reuse


async def test_nobody_is_called_back_where_its_connection_came_from(authority, ours):
    async with running(listening(ours)) as (transport, sink):
        async with await dial(transport, client_context(authority)) as stream:
            await stream.send_all(message())
            await sink.until(lambda s: s.messages)
        hop = sink.messages[0][1]
        await sink.until(lambda s: s.ends)
        assert transport.send(b"later", hop) == 0
        await sink.until(lambda s: s.failures)
        assert isinstance(sink.failures[0][2], FlowClosed)
        assert len(transport) == 0


@pytest.mark.parametrize("mutual", [True, False])
async def test_an_alias_is_for_peers_that_have_proved_their_name(authority, ours, mutual):
    shown = authority.issue("pbx", "pbx.example")
    listener = listening(ours, ca=authority.path, client=ClientCertificate.OPTIONAL)
    trunk = peer(authority, trunk="carrier", name="pbx.example")
    async with running(listener, trunk, trunk_of=lambda realm, host: "carrier") as (
        transport,
        sink,
    ):
        context = client_context(authority, shown if mutual else None)
        async with await dial(transport, context) as stream:
            await stream.send_all(message())
            await sink.until(lambda s: s.messages)
            hop = sink.messages[0][1]
            assert transport.alias(hop.connection, 5061) is mutual
            number = transport.send(b"back", to(5061))
            assert (number == hop.connection) is mutual
            if mutual:
                assert await stream.receive_some() == b"back"
                assert transport.send(b"x", to(5061, name="else.example")) == hop.connection
                known = [transport.alias(hop.connection, port) for port in range(6000, 6020)]
                assert known.count(True) == 3, "a connection has few names"


# Files


async def test_new_certificates_are_for_new_connections_and_leave_the_old_ones_alone(
    authority, tmp_path
):
    def put(issued: Issued) -> None:
        shutil.copy(issued.certificate, tmp_path / "now.pem")
        shutil.copy(issued.key, tmp_path / "now.key")

    put(authority.issue("first", "first.example"))
    served = Issued(str(tmp_path / "now.pem"), str(tmp_path / "now.key"))
    context = client_context(authority)
    async with running(listening(served)) as (transport, sink):
        assert not transport.contexts.changed()
        old = await dial(transport, context)
        assert old.getpeercert()["subjectAltName"] == (("DNS", "first.example"),)

        put(authority.issue("next", "next.example"))
        assert transport.contexts.changed()
        assert transport.contexts.reload()
        assert not transport.contexts.changed()
        assert (await calls(context, transport))[0][1] == "next.example"

        (tmp_path / "now.key").write_text("not a key")
        assert transport.contexts.changed()
        with pytest.raises(TransportError, match=r"now\.key: expected a private key"):
            transport.contexts.reload()
        assert (await calls(context, transport))[0][1] == "next.example"

        await old.send_all(message())
        await sink.until(lambda s: s.messages)
        assert transport.send(b"still", sink.messages[0][1])
        assert await old.receive_some() == b"still"
        await old.aclose()


@pytest.mark.parametrize(
    ("break_it", "text"),
    [
        (lambda issued: Path(issued.certificate).unlink(), "border.pem: No such file"),
        (lambda issued: Path(issued.key).write_text(""), "border.key: expected a private key"),
        (
            lambda issued: Path(issued.certificate).write_text("x"),
            "border.pem: expected a certificate in PEM form, found none",
        ),
    ],
)
def test_a_bad_file_is_named_at_the_start(tmp_path, break_it, text):
    issued = Authority(tmp_path).issue("border", "sbc.example")
    break_it(issued)
    settings = TransportSettings(listeners=(listening(issued),))
    with pytest.raises(TransportError, match=text):
        StreamTransport(settings, Recorder()).open()


def test_a_key_of_another_certificate_and_one_with_a_passphrase_are_told(tmp_path):
    from cryptography.hazmat.primitives import serialization

    authority = Authority(tmp_path)
    one, two = authority.issue("one", "one.example"), authority.issue("two", "two.example")
    settings = TransportSettings(listeners=(listening(Issued(one.certificate, two.key)),))
    with pytest.raises(TransportError, match=r"two\.key: the key does not fit"):
        StreamTransport(settings, Recorder()).open()

    key = serialization.load_pem_private_key(Path(one.key).read_bytes(), None)
    Path(one.key).write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    settings = TransportSettings(listeners=(listening(one),))
    with pytest.raises(TransportError, match=r"one\.key: the key is encrypted"):
        StreamTransport(settings, Recorder()).open()


# Keep-alive


async def test_a_ping_over_tls_is_answered(authority, ours):
    async with (
        running(listening(ours)) as (transport, _),
        await dial(transport, client_context(authority)) as stream,
    ):
        await stream.send_all(b"\r\n\r\n")
        assert await stream.receive_some() == b"\r\n"


async def test_a_peer_that_has_answered_pings_and_does_so_no_more_is_dropped(authority, ours):
    now = 1000.0
    issued = authority.issue("carrier", NAME)
    async with (
        carrier(issued) as (port, accept),
        running(
            listening(ours), peer(authority, name=NAME, keepalive_s=30.0), clock=lambda: now
        ) as (transport, _),
    ):
        transport.send(message(), to(port))
        stream = await accept()
        assert await stream.receive_some() == message()
        (connection,) = transport._connections

        now += 31
        connection.keep_alive(now)
        assert await stream.receive_some() == b"\r\n\r\n"
        assert not connection.overdue(now + 60, 600), "it has never answered, so it need not"
        await stream.send_all(b"\r\n")
        while not connection.received_any:  # noqa: ASYNC110
            await trio.sleep(0.01)

        now += 31
        connection.keep_alive(now)
        assert await stream.receive_some() == b"\r\n\r\n"
        assert not connection.overdue(now + 9, 600)
        assert "no answer to a keep-alive" in connection.overdue(now + 11, 600)
        await stream.send_all(b"\r\n")
        while connection.overdue(now + 11, 600):  # noqa: ASYNC110
            await trio.sleep(0.01)
