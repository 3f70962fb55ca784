"""Calls over TLS through a whole border: both ways, by certificate, and while that is replaced."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.sides import INSIDE, OUTSIDE, Pair
from tests.support.baresip import Baresip
from tests.support.border import Border, Shape, until
from tests.support.capture import Capture
from tests.support.certificates import Authority, Issued
from tests.support.tls_peer import TlsCaller, TlsServer, client_context, server_context

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

INSIDE_PEER, OUTSIDE_PEER = "127.0.1.10", "127.0.2.10"
PARTNER = "127.0.2.20"


@dataclass(frozen=True, slots=True)
class Files:
    """The certificates of one run."""

    authority: Authority
    border: Issued
    """Where the border reads its own."""
    pbx: Issued
    carrier: Issued
    partner: Issued

    def put(self, stem: str, name: str) -> None:
        """Replace what the border shows."""
        new = self.authority.issue(stem, name, addresses=("127.0.1.1", "127.0.2.1"))
        shutil.copy(new.key, self.border.key)
        shutil.copy(new.certificate, self.border.certificate)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("certificates")
    authority = Authority(folder)
    made = Files(
        authority,
        Issued(str(folder / "now.pem"), str(folder / "now.key")),
        authority.issue("pbx", f"{INSIDE}.example", addresses=(INSIDE_PEER,)),
        authority.issue("carrier", "sip.carrier.example"),
        authority.issue("partner", "partner.example"),
    )
    made.put("first", "first.example")
    return made


@pytest.fixture(scope="module")
def border(
    tmp_path_factory: pytest.TempPathFactory, files: Files, recording: Capture
) -> Iterator[Border]:
    """A pbx known by its address, a carrier with mutual TLS, a partner known by certificate."""
    folder = tmp_path_factory.mktemp("border")
    shape = Shape()
    document = shape.document(folder)
    shown = {"certificate": files.border.certificate, "key": files.border.key}
    believed = {"ca": files.authority.path}
    for realm, host in (("inside", shape.inside), ("outside", shape.outside)):
        document["realms"][realm]["listen"].append(f"tls:{host}")
        document["realms"][realm]["tls"] = shown | believed | {"client": "optional"}
    trunks = document["trunks"]
    tls = {"transport": "tls"}
    # baresip connects from 127.0.0.1, whatever its own address is.
    sources = {"sources": ["127.0.1.0/24", "127.0.0.1"]}
    trunks["pbx"] |= tls | sources | {"peers": INSIDE_PEER, "tls": believed}
    carrier = believed | shown | {"name": "sip.carrier.example"}
    trunks["carrier"] |= tls | {
        "peers": OUTSIDE_PEER,
        "sources": [OUTSIDE_PEER, "127.0.0.1"],
        "tls": carrier,
    }
    trunks["partner"] = tls | {
        "realm": "outside",
        "identify": "certificate",
        "tls": believed | {"name": "partner.example"},
    }
    document["routes"].append({"from": "partner", "to": "pbx"})
    config = folder / "sbc.yaml"
    config.write_text(json.dumps(document))
    with Border(folder, shape, config=config) as running:
        yield running


@pytest.fixture
def pbx(files: Files) -> Iterator[TlsServer]:
    context = server_context(files.pbx)
    with TlsServer((INSIDE_PEER, 5061), context, INSIDE) as server:
        yield server


@pytest.fixture
def carrier(files: Files) -> Iterator[TlsServer]:
    context = server_context(files.carrier, files.authority.path)
    with TlsServer((OUTSIDE_PEER, 5061), context, OUTSIDE) as server:
        yield server


def statuses(answers: list[bytes]) -> list[int]:
    return [int(one.split(b" ", 2)[1]) for one in answers]


def test_a_call_crosses_over_tls_on_both_sides_and_each_sees_our_names_alone(
    border: Border, files: Files, carrier: TlsServer
) -> None:
    context = client_context(files.authority)
    with TlsCaller(INSIDE_PEER, ("127.0.1.1", 5061), context, INSIDE) as caller:
        first, second, name = caller.call(), caller.call("sips:100@127.0.1.1"), caller.name
    assert statuses(first) == statuses(second) == [200, 200]
    assert b"Contact: <sip:" in first[0]
    assert b"@127.0.1.1:5061;transport=tls>" in first[0]
    assert b"Contact: <sips:" in second[0], "who calls sips is answered with it"
    invite = carrier.requests[0]
    assert b"\r\nVia: SIP/2.0/TLS 127.0.2.1:5061;" in invite
    assert b"@127.0.2.1:5061;transport=tls>" in invite
    whole = ["INVITE", "ACK", "BYE"] * 2
    until(lambda: carrier.methods() == whole, 3, "both calls ended at the carrier")
    assert len(carrier.connections) == 1, "the connection to the carrier is kept and used again"
    assert carrier.names[0][0] == ("DNS", name)  # type: ignore[index]


def test_calls_of_sipp_over_tcp_go_on_over_tls(
    border: Border, carrier: TlsServer, tmp_path: Path
) -> None:
    pair = Pair(tmp_path, Shape())
    with pair.caller("uac_call", transport="t1", calls=25, rate=25) as caller:
        placed = caller.wait()
    assert (placed.successful, placed.failed) == (25, 0), caller.error_text()
    until(lambda: carrier.methods().count("BYE") == 25, 3, "all calls ended at the carrier")
    assert len(carrier.connections) == 1


def test_a_call_comes_in_from_the_carrier(border: Border, files: Files, pbx: TlsServer) -> None:
    context = client_context(files.authority, files.carrier)
    with TlsCaller(OUTSIDE_PEER, ("127.0.2.1", 5061), context, OUTSIDE) as caller:
        assert statuses(caller.call()) == [200, 200]
    until(lambda: pbx.methods() == ["INVITE", "ACK", "BYE"], 3, "the call ended at the pbx")


def test_a_partner_is_known_by_its_certificate_from_wherever_it_calls(
    border: Border, files: Files, pbx: TlsServer
) -> None:
    known = client_context(files.authority, files.partner)
    with TlsCaller(PARTNER, ("127.0.2.1", 5061), known, OUTSIDE) as caller:
        assert statuses(caller.call()) == [200, 200]
    with TlsCaller(
        PARTNER, ("127.0.2.1", 5061), client_context(files.authority), OUTSIDE
    ) as caller:
        assert statuses(caller.call()) == [403]
    wrong = client_context(files.authority, files.pbx)
    with (
        pytest.raises((ConnectionError, OSError)),
        TlsCaller(OUTSIDE_PEER, ("127.0.2.1", 5061), wrong, OUTSIDE) as caller,
    ):
        caller.call()
    assert "expected sip.carrier.example (trunk carrier)" in border.log_text()


def test_certificates_are_replaced_under_load_without_a_failed_call(
    border: Border, files: Files, carrier: TlsServer
) -> None:
    """New connections all the time, and two that stay; the border's files change twice."""
    context = client_context(files.authority)
    address = ("127.0.1.1", 5061)
    stop = threading.Event()
    names: list[str] = []
    failed: list[object] = []
    placed: list[int] = []

    def anew() -> None:
        while not stop.is_set():
            try:
                with TlsCaller(INSIDE_PEER, address, context, INSIDE) as caller:
                    names.append(caller.name)
                    check(caller)
            except OSError as error:
                failed.append(error)

    def held() -> None:
        try:
            with TlsCaller(INSIDE_PEER, address, context, INSIDE) as caller:
                while not stop.is_set():
                    check(caller)
        except OSError as error:
            failed.append(error)

    def check(caller: TlsCaller) -> None:
        answered = statuses(caller.call())
        (placed if answered == [200, 200] else failed).append(len(placed))  # type: ignore[arg-type]

    before = len(border.cdrs())
    threads = [threading.Thread(target=one) for one in (anew, anew, held, held)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.5)
        files.put("second", "second.example")
        done = border.run("reload", "certificates")
        assert (done.returncode, done.stdout) == (0, "certificates: read anew\n")
        seen = len(names)
        until(lambda: len(names) > seen + 4, 5, "connections after the first change")
        assert set(names[seen + 2 :]) == {"second.example"}

        Path(files.border.key).write_text("half a key")
        done = border.run("reload", "certificates")
        assert done.returncode == 1
        assert "the old certificates go on serving" in done.stderr
        files.put("third", "third.example")
        (signalling,) = border.role("signalling")
        os.kill(signalling, signal.SIGHUP)
        until(lambda: names[-1] == "third.example", 5, "connections after the second change")
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)
    assert failed == []
    assert len(placed) > 20
    assert len(carrier.connections) == 1, "no connection was touched"
    until(lambda: len(border.cdrs()) == before + len(placed), 5, "a record of each call")
    assert {one["cause"] for one in border.cdrs()[before:]} == {"normal"}


def test_two_soft_phones_call_each_other_over_tls(
    border: Border, files: Files, tmp_path: Path
) -> None:
    """baresip on both sides, each believing the authority alone; then the other way round."""
    before = len(border.cdrs())
    phones = []
    with ExitStack() as stack:
        for host, proxy, user, mark, issued in (
            (INSIDE_PEER, "127.0.1.1", "alice", INSIDE, files.pbx),
            (OUTSIDE_PEER, "127.0.2.1", "100", OUTSIDE, files.carrier),
        ):
            both = tmp_path / f"{user}.pem"
            both.write_text(Path(issued.certificate).read_text() + Path(issued.key).read_text())
            phone = Baresip(
                tmp_path / user,
                (host, 5060),
                user=user,
                domain=f"{mark}.example",
                proxy=(proxy, 5061),
                codec="PCMU",
                tone_hz=440,
                rtp_ports=(10_000, 10_100) if user == "alice" else (10_200, 10_300),
                tls=(str(both), files.authority.path),
            )
            phones.append(stack.enter_context(phone))
        for at, (caller, uri) in enumerate(
            zip(phones, ("sip:100@127.0.1.1", "sip:alice@127.0.2.1"), strict=True)
        ):
            caller.call(uri)
            caller.await_log("established")
            time.sleep(0.5)
            caller.hang_up()
            until(lambda count=at: len(border.cdrs()) > before + count, 3, "its record")  # type: ignore[misc]
    made = border.cdrs()[before:]
    assert [(one["status"], one["cause"]) for one in made] == [(200, "normal")] * 2
    assert [one["target"].partition(":")[0] for one in made] == [OUTSIDE_PEER, INSIDE_PEER]
