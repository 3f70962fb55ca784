"""A carrier that is a name: dead servers, a dead DNS, an answer that changes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dns.message
import dns.rdatatype
import dns.rrset
import pytest

from tests.e2e.phone import Call, Phone
from tests.e2e.sides import INSIDE, OUTSIDE
from tests.e2e.ways import WAYS, Stage, called, calls_up, mirrored, takes_up
from tests.support.border import Border, Shape, until
from tests.support.capture import Capture
from tests.support.dns import DnsServer
from tests.support.sipp import Sipp

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NAME = "sip.carrier.test"
SRV = f"_sip._udp.{NAME}"
SERVERS = ("127.0.2.11", "127.0.2.12", "127.0.2.13")
PATIENCE_S = 1.0


def _publish(dns: DnsServer, *hosts: str, ttl: int = 60, name: str = NAME) -> None:
    """The name's servers, the best first."""
    servers = [f"s{host.rpartition('.')[2]}.{name}" for host in hosts]
    places = (f"{at} 0 5060 {server}." for at, server in enumerate(servers))
    dns.has(f"_sip._udp.{name}", "SRV", *places, ttl=ttl)
    for server, host in zip(servers, hosts, strict=True):
        dns.has(server, "A", host, ttl=ttl)


class Scene:
    """A border, its DNS, a caller, and a telephone at each of the carrier's addresses."""

    def __init__(self, border: Border, dns: DnsServer, caller: Phone, servers: list[Phone]) -> None:
        self.border = border
        self.dns = dns
        self.caller = caller
        self.servers = servers

    def known(self) -> list[str]:
        """The addresses that the border has for the name."""
        (name,) = self.border.status()["names"]
        return [place["address"] for place in name["places"]]

    def await_known(self, *hosts: str) -> float:
        return until(lambda: self.known() == list(hosts), 8, f"{NAME} is {hosts}")

    def talk(self, taker: Phone, timeout_s: float = 5.0) -> Call:
        """One whole call to `taker`; its INVITE as it came."""
        a_leg = self.caller.invite()
        b_leg = taker.answering(timeout_s)
        b_leg.answer()
        a_leg.establish()
        a_leg.request("BYE")
        b_leg.hung_up()
        a_leg.expect(lambda one: one.status == 200 and one.method == "BYE")
        return b_leg


@contextmanager
def _scene(folder: Path, **trunk: Any) -> Iterator[Scene]:
    with ExitStack() as stack:
        dns = stack.enter_context(DnsServer("127.0.0.53"))
        _publish(dns, *SERVERS, ttl=trunk.pop("ttl", 60))
        dns.silent = trunk.pop("silent", False)
        shape = Shape(
            outside_peer="127.0.2.13:5060",
            outside_trunk={"peers": [NAME], "sources": [], "invite_timeout": PATIENCE_S, **trunk},
            further={"dns": {"servers": [dns.address], "timeout": "500ms"}},
        )
        border = stack.enter_context(Border(folder / "border", shape))
        caller = stack.enter_context(Phone(("127.0.1.10", 5060), INSIDE, ("127.0.1.1", 5060)))
        servers = [
            stack.enter_context(Phone((host, 5060), OUTSIDE, ("127.0.2.1", 5060)))
            for host in SERVERS
        ]
        yield Scene(border, dns, caller, servers)


def test_the_third_server_gets_the_call_where_the_first_is_dead_and_the_second_is_full(
    tmp_path: Path, recording: Capture
) -> None:
    with _scene(tmp_path) as scene:
        dead, full, third = scene.servers
        scene.await_known(*SERVERS)
        started = time.monotonic()
        a_leg = scene.caller.invite()
        dead.expect("INVITE")
        refused = full.answering(PATIENCE_S + 1.0)
        gave_up_s = time.monotonic() - started
        refused.respond(503, headers="Retry-After: 30\r\n")
        b_leg = third.answering(1.0)
        found_s = time.monotonic() - started
        b_leg.answer()
        a_leg.establish()

        assert PATIENCE_S - 0.1 < gave_up_s < PATIENCE_S + 0.3
        assert found_s < PATIENCE_S + 0.5
        assert b_leg.invite is not None
        assert b_leg.invite.uri == f"sip:100@{NAME}"
        a_leg.request("BYE")
        b_leg.hung_up()
        a_leg.expect(lambda one: one.status == 200 and one.method == "BYE")

        # Both are remembered: the next call loses no time at them.
        started = time.monotonic()
        scene.talk(third)
        assert time.monotonic() - started < PATIENCE_S
        told = scene.border.run("doctor").stdout
        assert f"carrier: {NAME} is udp:127.0.2.11:5060 (failed " in told
        until(lambda: len(scene.border.cdrs()) == 2, 5, "two records")
        assert [one["cause"] for one in scene.border.cdrs()] == ["normal", "normal"]


def test_sipp_is_found_by_name_on_either_side_and_calls_from_there(
    tmp_path: Path, recording: Capture
) -> None:
    """Trunk 1 is a name on both sides: its first server is dead, its second full."""
    passed: list[Phone] = []
    full: list[Sipp] = []
    with ExitStack() as held:
        dns = held.enter_context(DnsServer("127.0.0.53"))
        shape = mirrored(
            {"0": {}, "1": {"invite_timeout": PATIENCE_S}}, dns={"servers": [dns.address]}
        )
        for way, realm in zip(WAYS.values(), ("outside", "inside"), strict=True):
            name = f"sip.{realm}.test"
            shape.further["trunks"][f"{realm}1"]["peers"] = [name]
            _publish(dns, *(f"{way.there}.1{digit}" for digit in "123"), name=name)
            phone = Phone((f"{way.there}.11", 5060), way.other, (f"{way.there}.1", 5060))
            passed.append(held.enter_context(phone))
        border = held.enter_context(Border(tmp_path / "border", shape))

        def known() -> list[int]:
            return [len(one["places"]) for one in border.status()["names"]]

        until(lambda: known() == [3, 3], 8, "both names found")
        with Stage(tmp_path) as stage:
            for way in WAYS.values():
                refuses = called().hear("INVITE").tell(503).hear("ACK")
                full.append(stage.is_called(way, refuses, "2"))
                stage.is_called(way, takes_up().hear("BYE").tell(200), "3")
                stage.calls(way, calls_up().ask("BYE").hear(200), "0", "100")
        for phone in passed:
            phone.expect("INVITE", 0.1)
        assert [one.figures().total for one in full] == [1, 1]
        with Stage(tmp_path) as stage:
            for way in WAYS.values():
                stage.is_called(way, takes_up().hear("BYE").tell(200), "0")
                stage.calls(way, calls_up().ask("BYE").hear(200), "3", "000")
        until(lambda: len(border.cdrs()) == 4, 3, "four records")
        assert {one["cause"] for one in border.cdrs()} == {"normal"}


def test_a_dns_that_never_answers_keeps_no_call_waiting_and_is_asked_again(
    tmp_path: Path, recording: Capture
) -> None:
    with _scene(tmp_path, silent=True) as scene:
        started = time.monotonic()
        a_leg = scene.caller.invite()
        final = a_leg.expect(lambda one: one.status >= 200 and one.method == "INVITE")
        refused_s = time.monotonic() - started
        a_leg.ack(a_leg.branch)

        assert final.status >= 500
        assert refused_s < 1.5
        until(lambda: scene.border.cdrs(), 3, "a record")
        assert scene.border.cdrs()[0]["reason"] == f"trunk carrier: {NAME} leads nowhere"
        scene.dns.silent = False
        scene.await_known(*SERVERS)
        scene.talk(scene.servers[0])


def test_while_the_dns_is_dead_the_last_answer_serves(tmp_path: Path, recording: Capture) -> None:
    with _scene(tmp_path, ttl=2) as scene:
        scene.await_known(*SERVERS)
        scene.dns.silent = True
        until(lambda: scene.border.status()["names"][0]["stale"], 8, "a silent DNS noticed")

        scene.talk(scene.servers[0], PATIENCE_S)


def test_a_changed_answer_moves_the_next_call_and_lets_it_call_us(
    tmp_path: Path, recording: Capture
) -> None:
    with _scene(tmp_path, ttl=2) as scene:
        first, _, third = scene.servers
        _publish(scene.dns, SERVERS[0], ttl=2)
        scene.await_known(SERVERS[0])
        scene.talk(first)
        # 127.0.2.13 is nobody yet, or no more: the first answer may still be in its grace time.
        _publish(scene.dns, SERVERS[2], ttl=2)
        moved_s = scene.await_known(SERVERS[2])

        assert moved_s < 4
        scene.talk(third)
        call = third.invite()
        b_leg = scene.caller.answering()
        b_leg.answer()
        call.establish()
        call.request("BYE")
        b_leg.hung_up()


def test_names_are_asked_for_ahead_of_any_call_and_liars_are_not_heard(
    tmp_path: Path, recording: Capture
) -> None:
    with _scene(tmp_path, ttl=2) as scene:
        scene.await_known(*SERVERS)
        assert not scene.border.calls()

        def lie(query: dns.message.Message) -> list[bytes]:
            forged = dns.message.make_response(query)
            forged.id = query.id ^ 1
            owner = query.question[0].name
            if query.question[0].rdtype == dns.rdatatype.A:
                forged.answer.append(dns.rrset.from_text(owner, 600, "IN", "A", "127.0.2.29"))
            return [forged.to_wire()]

        scene.dns.lie = lie
        asked = scene.dns.count(SRV, "SRV")
        until(lambda: scene.dns.count(SRV, "SRV") > asked + 1, 8, "renewed answers")
        assert scene.known() == list(SERVERS)
