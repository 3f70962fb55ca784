"""Redirections, failover, the best of several refusals, and what the caller is told of them."""

from __future__ import annotations

from typing import Any

import pytest

from policies.settings import Peer, ReasonUse, Redirect
from sbc.resolve.records import Address, Answer, Kind, Outcome
from sbc.sip.message import Request
from tests.call.lab import BACKUP, CARRIER, PBX, SDP_B, Lab, settings, statuses

MOVED = b"Contact: <sip:+4940@10.1.0.3:5060>;q=0.5, <sip:+4930@10.1.0.2:5060>;q=0.9\r\n"


def redirecting(how: Redirect, **more: Any) -> Lab:
    return Lab(settings({"carrier": {"redirect": how, **more}}))


def moved(lab: Lab, request: Request, contact: bytes = MOVED, status: int = 302) -> None:
    """A 3xx with these Contacts alone."""
    lab.answer(request, status, contact=contact.removeprefix(b"Contact: ").strip())


class TestRedirections:
    def test_are_followed_best_first(self) -> None:
        lab = redirecting(Redirect.FOLLOW)
        moved(lab, lab.called(number="99"))
        _, first = lab.take(CARRIER[0])
        assert isinstance(first, Request)
        assert first.uri == b"sip:+4930@10.1.0.2:5060"
        lab.answer(first, 404)
        lab.take(CARRIER[0])
        assert statuses(lab.take(PBX[0])) == [404]  # the called party's word

    def test_are_followed_to_another_trunk_of_the_realm(self) -> None:
        lab = redirecting(Redirect.FOLLOW)
        moved(lab, lab.called(number="99"))
        lab.answer(lab.take(CARRIER[0])[1], 503)
        second = lab.take_one(BACKUP[0])
        assert second.uri == b"sip:+4940@10.1.0.3:5060"
        assert lab.border.core.policies.calls()["backup"] == 1
        lab.answer(second, 200, body=SDP_B, source=BACKUP)
        assert lab.take_one(PBX[0]).status == 200

    @pytest.mark.parametrize("port", [0, 5060, 5080])
    def test_are_followed_to_the_name_of_another_trunk_of_the_realm(self, port: int) -> None:
        """As a redirect server says it, which knows its gateways by name."""
        peers = (Peer(host="gw.example", port=5060),)
        backup = {"peers": peers, "sources": (), "sources_follow": True}
        lab = Lab(settings({"carrier": {"redirect": Redirect.FOLLOW}, "backup": backup}))
        written = b":%d" % port if port else b""
        moved(lab, lab.called(number="99"), b"<sip:+4940@GW.example%b>" % written)
        where = lab.border.core.where
        while where.questions:
            question = where.questions.pop()
            records = (Address("10.1.0.3"),) if question.kind is Kind.A else ()
            outcome = Outcome.FOUND if records else Outcome.NO_DATA
            lab.border.dns_answered(question, Answer(outcome, records, 60.0), lab.now)
        lab.border.flush()
        request = lab.take_one(BACKUP[0])
        assert request.uri == b"sip:+4940@gw.example:%d" % (port or 5060)
        assert lab.border.core.policies.calls()["backup"] == 1

    @pytest.mark.parametrize(
        "contact",
        [
            b"<sip:1@198.51.100.7>",
            b"<sip:1@elsewhere.example>",
            b"<sip:1@10.0.0.2>",
            b"<x:y>",
            b"*",
        ],
    )
    def test_lead_nowhere_outside_the_realm(self, contact: bytes) -> None:
        lab = redirecting(Redirect.FOLLOW)
        moved(lab, lab.called(number="99"), contact)
        assert statuses(lab.take(PBX[0])) == [480]
        assert [one.method for one in lab.take() if isinstance(one, Request)] == [b"ACK"]

    def test_that_go_round_end(self) -> None:
        lab = redirecting(Redirect.FOLLOW)
        request = lab.called(number="99")
        for _ in range(10):
            moved(lab, request, b"<sip:1@10.1.0.2:5060>")
            heard = [one for one in lab.take(CARRIER[0]) if isinstance(one, Request)]
            if len(heard) < 2:
                break
            request = heard[1]
        assert statuses(lab.take(PBX[0])) == [480]

    def test_are_five_at_most(self) -> None:
        lab = redirecting(Redirect.FOLLOW)
        request = lab.called(number="99")
        followed = 0
        for number in range(20):
            moved(lab, request, b"<sip:%d@10.1.0.2:5060>" % number)
            heard = [one for one in lab.take(CARRIER[0]) if isinstance(one, Request)]
            if len(heard) < 2:
                break
            request, followed = heard[1], followed + 1
        assert followed == 5

    def test_are_passed_with_our_address(self) -> None:
        lab = redirecting(Redirect.PASS)
        moved(lab, lab.called(number="99"))
        passed = lab.take_one(PBX[0])
        assert passed.status == 302
        assert passed.every(b"contact") == [
            b"<sip:+4930@10.0.0.1>;q=0.9",
            b"<sip:+4940@10.0.0.1>;q=0.5",
        ]

    def test_are_refused_unless_the_trunk_says_otherwise(self) -> None:
        lab = Lab()
        moved(lab, lab.called(number="99"))
        refused = lab.take_one(PBX[0])
        assert (refused.status, refused.first(b"contact")) == (480, None)


class TestFailover:
    @pytest.mark.parametrize(
        ("failover", "status", "goes_on"),
        [({408, 5}, 500, True), ({408, 5}, 486, False), ({4}, 486, True), (set(), 503, False)],
    )
    def test_is_the_trunks_to_say(self, failover: set[int], status: int, goes_on: bool) -> None:
        lab = Lab(settings({"carrier": {"failover": frozenset(failover)}}))
        lab.answer(lab.called(), status)
        assert bool(lab.take(BACKUP[0])) is goes_on

    def test_stops_at_6xx(self) -> None:
        lab = Lab(settings({"carrier": {"failover": frozenset((4, 5))}}))
        lab.answer(lab.called(), 603)
        assert lab.take(BACKUP[0]) == []
        assert statuses(lab.take(PBX[0])) == [603]

    @pytest.mark.parametrize(
        ("first", "second", "told"),
        [
            (486, 500, 486),  # the lower class (RFC 3261 §16.7 step 6)
            (500, 486, 486),
            (486, 404, 404),  # of two alike the later
            (404, 603, 603),
            (503, 503, 500),  # 503 would say that it is we who are overloaded
            (302, 486, 486),
        ],
    )
    def test_ends_with_the_best_of_all_refusals(self, first: int, second: int, told: int) -> None:
        every = {"failover": frozenset((3, 4, 5))}
        lab = Lab(settings({"carrier": every, "backup": every}))
        lab.answer(lab.called(), first, extra=b"Reason: Q.850;cause=%d\r\n" % (first % 100))
        lab.take(CARRIER[0])
        lab.answer(
            lab.take_one(BACKUP[0]),
            second,
            extra=b"Reason: Q.850;cause=%d\r\n" % (second % 100),
            source=BACKUP,
        )
        refused = lab.take_one(PBX[0])
        assert refused.status == told
        best = first if told == first else second
        assert refused.first(b"reason") == b"Q.850;cause=%d" % (best % 100)

    def test_prefers_an_answer_to_silence(self) -> None:
        lab = Lab(settings({"carrier": {"failover": frozenset((4,))}}))
        lab.answer(lab.called(), 404)
        lab.wait(33.0)
        assert 404 in statuses(lab.take(PBX[0]))


@pytest.mark.parametrize(
    ("status", "name", "told"),
    [(405, b"allow", b"BYE"), (415, b"accept", b"application/sdp")],
)
def test_a_refusal_says_what_would_do(status: int, name: bytes, told: bytes) -> None:
    """RFC 3261 §21.4.6, §21.4.13: a 405 must have an Allow, a 415 an Accept."""
    lab = Lab()
    invite = lab.called(number="99")
    lab.answer(invite, status, extra=b"Allow: X-SECRET\r\nAccept: x/secret\r\n")
    lab.take(CARRIER[0])
    refused = lab.take_one(PBX[0])
    assert refused.status == status
    assert told in refused.values(name)
    assert b"INVITE" not in refused.values(b"allow")
    assert b"secret" not in (refused.first(name) or b"").lower()


@pytest.mark.parametrize(
    ("status", "told", "again"), [(486, 486, b"60"), (503, 500, b"60"), (503, 503, None)]
)
def test_when_to_try_again_is_told_but_not_as_if_it_were_our_own_state(
    status: int, told: int, again: bytes | None
) -> None:
    """RFC 3261 §16.7, §21.5.4: a 503 with Retry-After would keep the caller off this border."""
    lab = Lab(settings({"carrier": {"responses": ((503, told),)}}))
    lab.answer(lab.called(number="99"), status, extra=b"Retry-After: 60;duration=9\r\n")
    lab.take(CARRIER[0])
    refused = lab.take_one(PBX[0])
    assert (refused.status, refused.first(b"retry-after")) == (told, again)


def test_statuses_are_what_the_trunks_say() -> None:
    lab = Lab(
        settings({"carrier": {"responses": ((404, 486),)}, "pbx": {"refusals": ((486, 600),)}})
    )
    lab.answer(lab.called(), 404)
    assert statuses(lab.take(PBX[0])) == [600]


class TestCauses:
    """Of a gateway that has one status for all failures (RFC 3398 §7.2.4.1)."""

    @pytest.mark.parametrize(
        ("status", "cause", "told"),
        [
            (500, b"Q.850;cause=17", 486),
            (503, b"Q.850;cause=1", 404),
            (480, b"SIP;cause=480, q.850;cause=21", 403),
            (500, b"Q.850;cause=41", 500),  # 503, which would say that it is we
            (500, b"Q.850;cause=99", 500),
            (500, b"SIP;cause=486", 500),
            (500, b"Q.850;cause=17x", 500),
            (407, b"Q.850;cause=17", 403),
            (603, b"Q.850;cause=17", 603),
        ],
    )
    def test_are_what_the_caller_is_told(self, status: int, cause: bytes, told: int) -> None:
        for reads, expected in ((True, told), (False, {503: 500, 407: 403}.get(status, status))):
            lab = Lab(settings({"carrier": {"reads_causes": reads}}))
            lab.answer(lab.called(number="99"), status, extra=b"Reason: %b\r\n" % cause)
            assert statuses(lab.take(PBX[0])) == [expected]

    def test_say_whether_another_target_is_tried(self) -> None:
        lab = Lab(settings({"carrier": {"reads_causes": True}}))
        lab.answer(lab.called(), 503, extra=b"Reason: Q.850;cause=17\r\n")
        assert statuses(lab.take()) == [486]  # who is busy there is busy everywhere
        lab.answer(lab.called(call="2"), 500, extra=b"Reason: Q.850;cause=34\r\n")
        assert lab.take_one(BACKUP[0]).method == b"INVITE"


class TestReasons:
    def test_are_one_q850_cause_where_the_trunk_wants_that(self) -> None:
        lab = Lab(settings({"pbx": {"reason": ReasonUse.Q850}}))
        lab.answer(lab.called(), 486)
        assert (lab.take_one(PBX[0]).first(b"reason") or b"").startswith(b"Q.850;cause=17")

    def test_are_none_where_it_wants_none(self) -> None:
        lab = Lab(settings({"pbx": {"reason": ReasonUse.STRIP}}))
        lab.answer(lab.called(), 486, extra=b"Reason: Q.850;cause=17\r\n")
        assert lab.take_one(PBX[0]).first(b"reason") is None

    def test_of_a_bye_follow_the_same_rule(self) -> None:
        lab = Lab(settings({"carrier": {"reason": ReasonUse.Q850}}))
        success, _ = lab.connected()
        lab.give(lab.in_dialog(b"BYE", success, 2))
        assert (lab.take_one(CARRIER[0]).first(b"reason") or b"").startswith(b"Q.850;cause=16")


class TestSessionIds:
    A, B = b"a" * 12 + b"4" + b"a" * 19, b"b" * 12 + b"4" + b"b" * 19

    def test_cross_both_ways(self) -> None:
        lab = Lab()
        invite = lab.called(extra=b"Session-ID: %b;remote=%b\r\n" % (self.A, b"0" * 32))
        assert invite.first(b"session-id") == self.A + b";remote=" + b"0" * 32
        lab.answer(
            invite, 200, body=SDP_B, extra=b"Session-ID: %b;remote=%b\r\n" % (self.B, self.A)
        )
        success = lab.take_one(PBX[0])
        assert success.first(b"session-id") == self.B + b";remote=" + self.A
        lab.give(lab.in_dialog(b"ACK", success, 1))
        lab.take()
        lab.give(lab.in_dialog(b"BYE", success, 2))
        bye = lab.take_one(CARRIER[0])
        assert bye.first(b"session-id") == self.A + b";remote=" + self.B

    def test_are_not_made_where_nobody_has_one(self) -> None:
        lab = Lab()
        success, invite = lab.connected()
        assert invite.first(b"session-id") is None
        assert success.first(b"session-id") is None
