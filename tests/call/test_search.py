"""From place to place and from target to target: names, silence, 503 (RFC 3263 §4.3)."""

from __future__ import annotations

from typing import Any

import pytest

from policies.settings import Peer, TrunkTransport
from sbc.call.states import State
from sbc.resolve.records import Address, Answer, Kind, Outcome, Question, Srv
from sbc.sip.message import Request
from sbc.transaction.hop import TCP, UDP
from tests.call.lab import BACKUP, PBX, SDP_B, Lab, settings

NAME = "sip.carrier.example"
SRV = Question(f"_sip._udp.{NAME}", Kind.SRV)
HOSTS = ("10.1.0.11", "10.1.0.12", "10.1.0.13")


class Names:
    """A border whose carrier is a name with three servers, and the DNS that says so."""

    def __init__(self, *hosts: str, **changes: Any) -> None:
        peers = (Peer(host=NAME, port=0),)
        carrier = {"peers": peers, "sources": (), "sources_follow": True, **changes}
        self.lab = Lab(settings({"carrier": carrier}))
        self.hosts = hosts or HOSTS
        self.silent = False

    def serve(self) -> None:
        """Answer everything that is asked, until nothing is."""
        border, where = self.lab.border, self.lab.border.core.where
        while where.questions:
            questions = list(dict.fromkeys(where.questions))
            where.questions.clear()
            for question in questions:
                border.dns_answered(question, self._answer(question), self.lab.now)
        border.flush()

    def _answer(self, question: Question) -> Answer:
        if self.silent:
            return Answer(Outcome.FAILED)
        servers = {f"s{index}.example": host for index, host in enumerate(self.hosts)}
        if question == SRV:
            records = tuple(Srv(index, 0, 5060, name) for index, name in enumerate(servers))
            return Answer(Outcome.FOUND, records, 60.0)
        if question.kind is Kind.A and question.name in servers:
            return Answer(Outcome.FOUND, (Address(servers[question.name]),), 60.0)
        return Answer(Outcome.NO_DATA, (), 60.0)

    def warm(self) -> None:
        """As before the first call."""
        self.lab.border.dns_tick(self.lab.now)
        self.serve()

    def call(self) -> None:
        """A call comes; its 100."""
        self.lab.give(self.lab.invite())
        assert self.lab.take_one(PBX[0]).status == 100

    @property
    def state(self) -> State:
        (call,) = self.lab.border.calls.values()
        return call.state

    def invite_to(self, host: str) -> Request:
        invite = self.lab.take_one(host)
        assert invite.method == b"INVITE"
        return invite

    def answer(self, invite: Request, status: int, host: str, **parts: Any) -> None:
        contact = f"<sip:bob@{host}:5060>".encode()
        self.lab.answer(invite, status, source=(host, 5060), contact=contact, **parts)

    def end(self) -> None:
        self.lab.assert_nothing_left()


@pytest.fixture
def names() -> Names:
    return Names()


def test_a_name_that_is_known_costs_a_call_nothing(names: Names) -> None:
    names.warm()
    names.call()

    ((hop, _),) = names.lab.sent
    assert hop.name == NAME, "what a certificate would have to bear"
    assert names.invite_to(HOSTS[0]).uri == b"sip:4930123456@sip.carrier.example"
    assert names.state is State.CALLING


def test_a_call_waits_for_the_dns_and_then_goes_on(names: Names) -> None:
    names.call()
    assert names.state is State.LOCATING
    assert names.lab.sent == []

    names.serve()
    assert names.state is State.CALLING
    names.answer(names.invite_to(HOSTS[0]), 200, HOSTS[0], body=SDP_B)
    assert names.state is State.ANSWERED


def test_a_name_that_leads_nowhere_gives_way_to_the_next_trunk(names: Names) -> None:
    names.silent = True
    names.call()
    names.serve()

    assert names.invite_to(BACKUP[0]).uri.endswith(b"@10.1.0.3:5060")
    assert names.lab.border.core.policies.calls() == {"pbx": 1, "carrier": 0, "backup": 1}


def test_where_nothing_else_is_left_the_caller_is_told(names: Names) -> None:
    names.silent = True
    names.lab.give(names.lab.invite(number="991"))
    names.lab.take(PBX[0])
    names.serve()

    assert names.lab.take_one(PBX[0]).status == 503
    names.lab.answer_removals()
    assert names.lab.record.reason == f"trunk carrier: {NAME} leads nowhere"
    names.end()


def test_a_caller_that_gives_up_while_the_dns_is_asked_gets_487(names: Names) -> None:
    invite = names.lab.invite()
    names.lab.give(invite)
    names.lab.take()
    head = invite.partition(b"Content-Type")[0].replace(b"INVITE sip:", b"CANCEL sip:")
    names.lab.give(head.replace(b"1 INVITE", b"1 CANCEL") + b"Content-Length: 0\r\n\r\n")

    assert [one.status for one in names.lab.take(PBX[0])] == [200, 487]  # type: ignore[union-attr]
    names.serve()
    assert [one for one in names.lab.take() if isinstance(one, Request)] == []
    names.end()


def test_an_operator_can_end_a_call_that_waits(names: Names) -> None:
    names.call()
    (call,) = names.lab.border.calls

    assert names.lab.border.hangup(call, names.lab.now)
    assert names.lab.take_one(PBX[0]).status == 480
    names.serve()
    names.end()


def test_a_dns_that_never_comes_back_holds_no_call_for_ever(names: Names) -> None:
    names.call()
    names.lab.wait(61.0, step_s=0.5)

    assert names.lab.take(PBX[0])[-1].status == 480  # type: ignore[union-attr]
    names.end()


# The places of one name, in turn


def test_a_503_and_silence_lead_to_the_next_place_and_are_remembered() -> None:
    names = Names(invite_timeout_s=4.0)
    names.warm()
    names.call()
    names.invite_to(HOSTS[0])
    names.lab.wait(4.1)
    names.lab.take(HOSTS[0])
    names.answer(names.invite_to(HOSTS[1]), 503, HOSTS[1], extra=b"Retry-After: 30\r\n")
    names.lab.take(HOSTS[1])  # the ACK
    names.answer(names.invite_to(HOSTS[2]), 200, HOSTS[2], body=SDP_B)
    assert names.state is State.ANSWERED

    names.lab.give(names.lab.invite(call="call-2"))
    assert [one.method for one in names.lab.take(HOSTS[2]) if isinstance(one, Request)] == [
        b"ACK",
        b"INVITE",
    ]


def test_a_503_without_retry_after_is_of_this_call_alone(names: Names) -> None:
    """RFC 3261 §21.5.4."""
    names.warm()
    names.call()
    names.answer(names.invite_to(HOSTS[0]), 503, HOSTS[0])
    names.lab.take(HOSTS[0])
    names.invite_to(HOSTS[1])

    names.lab.give(names.lab.invite(call="call-2"))
    names.invite_to(HOSTS[0])


@pytest.mark.parametrize("odd", [b"soon", b"-1", b"99999999999999", b"(((", b""])
def test_a_retry_after_that_cannot_be_read_is_none(names: Names, odd: bytes) -> None:
    names.warm()
    names.call()
    invite = names.invite_to(HOSTS[0])
    names.answer(invite, 503, HOSTS[0], extra=b"Retry-After: %b\r\n" % odd)
    names.lab.take(HOSTS[0])

    names.invite_to(HOSTS[1])
    assert names.lab.border.core.counters["crashed"] == 0


def test_silence_leads_on_whatever_answers_do() -> None:
    names = Names(invite_timeout_s=4.0, failover=frozenset((500,)))
    names.warm()
    names.call()
    names.invite_to(HOSTS[0])
    names.lab.wait(4.1)
    names.lab.take(HOSTS[0])

    names.invite_to(HOSTS[1])


@pytest.mark.parametrize("status", [486, 404, 603])
def test_a_busy_party_is_no_reason_to_try_another_place(names: Names, status: int) -> None:
    names.warm()
    names.call()
    names.answer(names.invite_to(HOSTS[0]), status, HOSTS[0])
    names.lab.take(HOSTS[0])

    assert names.lab.take_one(PBX[0]).status == status
    assert names.lab.sent == []


def test_a_place_that_cannot_be_reached_gives_way_at_once(names: Names) -> None:
    names.warm()
    names.call()
    ((hop, data),) = [one for one in names.lab.sent if one[0].host == HOSTS[0]]
    names.lab.sent.clear()
    branch = data.partition(b"branch=")[2].partition(b";")[0]
    names.lab.border.unreachable(hop, branch, names.lab.now)

    names.invite_to(HOSTS[1])


def test_numeric_peers_are_remembered_too() -> None:
    peers = (Peer(host=HOSTS[0]), Peer(host=HOSTS[1]))
    names = Names(peers=peers, invite_timeout_s=2.0)
    names.call()
    names.invite_to(HOSTS[0])
    names.lab.wait(2.1)
    names.lab.take(HOSTS[0])
    names.invite_to(HOSTS[1])

    names.lab.give(names.lab.invite(call="call-2"))
    names.invite_to(HOSTS[1])


# `invite_timeout`


@pytest.mark.parametrize("status", [100, 180])
def test_any_response_at_all_ends_the_wait_for_one(status: int) -> None:
    names = Names(invite_timeout_s=4.0)
    names.warm()
    names.call()
    names.answer(names.invite_to(HOSTS[0]), status, HOSTS[0], tag="" if status == 100 else "t")
    names.lab.wait(20.0, step_s=0.1)

    assert names.lab.take(HOSTS[1]) == []


def test_the_last_place_that_does_not_respond_ends_the_call_and_its_late_answer_is_ended() -> None:
    names = Names(HOSTS[0], invite_timeout_s=4.0)
    names.warm()
    names.lab.give(names.lab.invite(number="991"))
    names.lab.take(PBX[0])
    invite = names.invite_to(HOSTS[0])
    names.lab.wait(4.1)

    assert names.lab.take(PBX[0])[-1].status == 408  # type: ignore[union-attr]
    names.lab.take(HOSTS[0])
    names.answer(invite, 200, HOSTS[0], body=SDP_B)
    ended = [one.method for one in names.lab.take(HOSTS[0]) if isinstance(one, Request)]
    assert ended == [b"ACK", b"BYE"]
    names.end()


@pytest.mark.parametrize("last", [True, False])
def test_a_place_that_was_given_up_and_rings_after_all_is_cancelled(last: bool) -> None:
    """RFC 3261 §9.1: not before it has said anything. It would ring on beside the next one."""
    names = Names(*HOSTS[:1] if last else HOSTS, invite_timeout_s=4.0)
    names.warm()
    names.lab.give(names.lab.invite(number="991"))
    invite = names.invite_to(HOSTS[0])
    names.lab.wait(4.1)
    given_up = [one.method for one in names.lab.take(HOSTS[0]) if isinstance(one, Request)]
    assert set(given_up) == {b"INVITE"}  # no more than its repetitions

    names.lab.sent.clear()
    names.answer(invite, 180, HOSTS[0], tag="late")
    cancel = names.lab.take_one(HOSTS[0])
    assert (cancel.method, cancel.cseq, cancel.uri) == (b"CANCEL", invite.cseq, invite.uri)
    assert cancel.via.branch == invite.via.branch
    assert names.lab.take(PBX[0]) == []
    names.answer(cancel, 200, HOSTS[0], tag="late")
    names.answer(invite, 487, HOSTS[0], tag="late")
    assert names.lab.take_one(HOSTS[0]).method == b"ACK"


def test_a_late_answer_of_a_place_that_was_given_up_is_ended_and_harms_nobody() -> None:
    names = Names(invite_timeout_s=4.0)
    names.warm()
    names.call()
    late = names.invite_to(HOSTS[0])
    names.lab.wait(4.1)
    names.lab.take(HOSTS[0])
    second = names.invite_to(HOSTS[1])

    names.answer(late, 200, HOSTS[0], body=SDP_B, tag="late")
    ended = [one.method for one in names.lab.take(HOSTS[0]) if isinstance(one, Request)]
    assert ended == [b"ACK", b"BYE"]
    names.answer(second, 200, HOSTS[1], body=SDP_B)
    assert names.state is State.ANSWERED


# Transports


def test_an_auto_trunks_large_request_goes_to_the_place_by_tcp() -> None:
    names = Names(transport=TrunkTransport.AUTO)
    names.warm()
    long = SDP_B + b"a=x-long:" + b"y" * 1200 + b"\r\n"
    names.lab.give(names.lab.invite(body=long))

    ((hop, _),) = [one for one in names.lab.sent if one[0].host == HOSTS[0]]
    assert hop.transport == TCP
    names.lab.sent.clear()
    names.lab.give(names.lab.invite(call="call-2"))
    ((hop, _),) = [one for one in names.lab.sent if one[0].host == HOSTS[0]]
    assert hop.transport == UDP


# Sources


def test_the_carrier_may_call_from_where_its_name_leads_and_from_nowhere_else(
    names: Names,
) -> None:
    names.warm()
    names.lab.give(names.lab.invite(source=(HOSTS[2], 5060)), (HOSTS[2], 5060))
    assert names.lab.take_one(HOSTS[2]).status == 100

    names.lab.give(names.lab.invite(source=("10.1.0.99", 5060), call="x"), ("10.1.0.99", 5060))
    assert names.lab.take_one("10.1.0.99").status == 403


@pytest.mark.interpreted
def test_a_fault_in_what_an_answer_brings_ends_no_more_than_its_call(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    names.call()
    monkeypatch.setattr("sbc.call.targets.hunt.ways_to", None)
    names.serve()

    assert names.lab.border.core.counters["crashed"] == 1
    assert names.lab.take_one(PBX[0]).status == 500
    monkeypatch.setattr("sbc.call.targets.where.Where.tick", lambda where, now: 1 / 0)
    names.lab.border.dns_tick(names.lab.now)
    assert names.lab.border.core.counters["crashed"] == 2


def test_the_log_says_that_a_name_leads_nowhere_and_whose_it_is(names: Names) -> None:
    names.silent = True
    names.warm()

    ((level, event, _, fields),) = names.lab.border.core.milestones
    assert (level, event) == (30, "dns.no_place")
    assert fields == {"trunk": "carrier", "name": NAME, "reason": "SRV: no answer"}
