"""The DNS as it is met: slow, silent, cut short, lying. Times are real and short."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.rdatatype
import dns.rrset
import pytest
import trio

from sbc.resolve.records import Address, Answer, Kind, Naptr, Outcome, Question, Srv
from sbc.runtime.resolver import Resolver
from sbc.settings import DnsSettings
from tests.support.dns import DnsServer

A = Question("sip.carrier.example", Kind.A)


@pytest.fixture
def server() -> Iterator[DnsServer]:
    with DnsServer() as running:
        yield running


def _settings(*servers: DnsServer, timeout_s: float = 0.6) -> DnsSettings:
    return DnsSettings(servers=tuple((one.host, one.port) for one in servers), timeout_s=timeout_s)


async def _ask(
    settings: DnsSettings, *questions: Question, resolv_conf: str = "/nowhere"
) -> list[tuple[Question, Answer]]:
    """What comes back, in its order."""
    found: list[tuple[Question, Answer]] = []
    resolver = Resolver(settings, lambda *one: found.append(one), resolv_conf)
    resolver.load()
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            await nursery.start(resolver.run)
            resolver.ask(questions)
            while len(found) < len(set(questions)):  # noqa: ASYNC110
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
    return found


async def _one(settings: DnsSettings, question: Question = A) -> Answer:
    ((asked, answer),) = await _ask(settings, question)
    assert asked == question
    return answer


async def test_addresses_are_found_with_their_ttl(server: DnsServer) -> None:
    server.has(A.name, "A", "192.0.2.1", "192.0.2.2", ttl=30)

    answer = await _one(_settings(server))

    assert answer.outcome is Outcome.FOUND
    assert set(answer.records) == {Address("192.0.2.1"), Address("192.0.2.2")}
    assert (answer.ttl_s, answer.server) == (30, server.address)


async def test_every_kind_of_record_is_read(server: DnsServer) -> None:
    server.has("c.example", "AAAA", "2001:db8::1")
    server.has("_sip._udp.c.example", "SRV", "1 2 5070 A.C.example.", "2 0 0 .")
    server.has("c.example", "NAPTR", '10 20 "s" "sip+d2u" "" _sip._udp.C.example.')

    settings = _settings(server)
    naptr = await _one(settings, Question("c.example", Kind.NAPTR))
    srv = await _one(settings, Question("_sip._udp.c.example", Kind.SRV))
    aaaa = await _one(settings, Question("c.example", Kind.AAAA))

    assert naptr.records == (Naptr(10, 20, "S", "SIP+D2U", "", "_sip._udp.c.example"),)
    assert set(srv.records) == {Srv(1, 2, 5070, "a.c.example"), Srv(2, 0, 0, "")}
    assert aaaa.records == (Address("2001:db8::1"),)


async def test_an_alias_is_followed_and_the_shortest_ttl_counts(server: DnsServer) -> None:
    server.has(A.name, "CNAME", "edge.carrier.example.", ttl=10)
    server.has("edge.carrier.example", "A", "192.0.2.1", ttl=300)

    answer = await _one(_settings(server))

    assert (answer.records, answer.ttl_s) == ((Address("192.0.2.1"),), 10)


async def test_aliases_in_a_circle_are_no_answer(server: DnsServer) -> None:
    server.has("a.example", "CNAME", "b.example.")
    server.has("b.example", "CNAME", "a.example.")

    answer = await _one(_settings(server), Question("a.example", Kind.A))

    assert (answer.outcome, answer.records) in (
        (Outcome.FAILED, ()),
        (Outcome.NO_DATA, ()),
    )


async def test_a_denial_may_be_kept_as_long_as_the_soa_says() -> None:
    with DnsServer(minimum_s=17) as server:
        server.has("there.example", "A", "192.0.2.1")

        absent = await _one(_settings(server), Question("away.example", Kind.A))
        empty = await _one(_settings(server), Question("there.example", Kind.SRV))

    assert (absent.outcome, absent.ttl_s) == (Outcome.NO_NAME, 17)
    assert (empty.outcome, empty.ttl_s) == (Outcome.NO_DATA, 17)


@pytest.mark.slow
async def test_silence_lasts_as_long_as_the_deadline(server: DnsServer) -> None:
    server.silent = True
    started = time.monotonic()

    answer = await _one(_settings(server, timeout_s=0.4))

    assert answer.outcome is Outcome.FAILED
    assert 0.3 < time.monotonic() - started < 1.5
    assert server.count(A.name, "A") >= 2, "a lost datagram is sent again"


@pytest.mark.slow
async def test_the_second_server_is_asked_where_the_first_is_silent(server: DnsServer) -> None:
    with DnsServer("127.0.0.54") as second:
        server.silent = True
        second.has(A.name, "A", "192.0.2.1")

        found = await _ask(_settings(server, second, timeout_s=0.8), A)

    assert found[0][1].records == (Address("192.0.2.1"),)


async def test_a_server_that_fails_is_a_failure_and_no_denial(server: DnsServer) -> None:
    server.failing = True

    assert (await _one(_settings(server))).outcome is Outcome.FAILED


async def test_an_answer_that_was_cut_short_is_asked_for_over_tcp(server: DnsServer) -> None:
    server.truncate = True
    server.has(A.name, "A", "192.0.2.1")

    answer = await _one(_settings(server))

    assert answer.records == (Address("192.0.2.1"),)
    assert [one.tcp for one in server.asked] == [False, True]


def _forged(query: dns.message.Message, *, number: int = 0, name: str = "") -> bytes:
    """An answer that leads elsewhere, with another number or to another question."""
    question = query.question[0]
    asked = dns.message.make_query(name or question.name, question.rdtype)
    asked.id = query.id ^ number
    forged = dns.message.make_response(asked)
    owner = asked.question[0].name
    forged.answer.append(dns.rrset.from_text(owner, 600, "IN", "A", "203.0.113.66"))
    return forged.to_wire()


@pytest.mark.parametrize(
    "lie",
    [
        lambda query: [_forged(query, number=1)],
        lambda query: [_forged(query, name="other.example")],
        lambda query: [b"\x00" * 11, query.to_wire()],
        lambda query: [_forged(query, number=number) for number in range(1, 200)],
    ],
    ids=["number", "question", "garbage and echo", "many"],
)
async def test_a_forged_answer_is_passed_over_and_the_true_one_awaited(
    server: DnsServer, lie
) -> None:
    server.lie = lie
    server.has(A.name, "A", "192.0.2.1")

    answer = await _one(_settings(server))

    assert answer.records == (Address("192.0.2.1"),)


@pytest.mark.slow
async def test_a_question_that_is_out_is_not_sent_twice(server: DnsServer) -> None:
    server.delay_s = 0.1
    server.has(A.name, "A", "192.0.2.1")

    found = await _ask(_settings(server), A, A, A)

    assert len(found) == 1
    assert server.count(A.name, "A") == 1


async def test_the_servers_of_the_system_are_asked_where_none_is_configured(
    tmp_path: Path,
) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("nameserver 127.0.0.55\nsearch lan.example\n")

    ((_, answer),) = await _ask(DnsSettings(timeout_s=0.3), A, resolv_conf=str(conf))

    assert answer.outcome is Outcome.FAILED  # nobody listens at its port 53; it was asked


async def test_without_any_server_there_is_an_answer_at_once() -> None:
    ((_, answer),) = await _ask(DnsSettings(timeout_s=5), A)

    assert answer.outcome is Outcome.FAILED
    assert "no DNS server" in answer.server


async def test_a_search_domain_completes_a_name_without_a_dot_only_where_that_is_wanted(
    server: DnsServer, tmp_path: Path
) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("nameserver 127.0.0.55\nsearch lan.example\n")
    server.has("_sip._udp.pbx.lan.example", "SRV", "0 0 5060 pbx.lan.example.")
    short = Question("_sip._udp.pbx", Kind.SRV)
    servers = ((server.host, server.port),)

    plain = await _ask(DnsSettings(servers=servers, timeout_s=1), short, resolv_conf=str(conf))
    searched = await _ask(
        DnsSettings(servers=servers, timeout_s=1, search=True), short, resolv_conf=str(conf)
    )

    assert plain[0][1].outcome is Outcome.NO_NAME
    assert searched[0][1].records == (Srv(0, 0, 5060, "pbx.lan.example"),)


@pytest.mark.parametrize("name", ["a" * 64 + ".example", ".".join(["a" * 60] * 5), "a..example"])
async def test_a_name_that_cannot_be_asked_for_is_a_failure(server: DnsServer, name: str) -> None:
    assert (await _one(_settings(server), Question(name, Kind.A))).outcome is Outcome.FAILED


async def test_what_was_asked_before_the_start_is_answered_after_it(server: DnsServer) -> None:
    server.has(A.name, "A", "192.0.2.1")
    found: list[tuple[Question, Answer]] = []
    resolver = Resolver(_settings(server), lambda *one: found.append(one))
    resolver.ask([A])

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            await nursery.start(resolver.run)
            while not found:  # noqa: ASYNC110
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()

    assert found[0][1].outcome is Outcome.FOUND
