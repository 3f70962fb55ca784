"""A caller, a target that forks, a relay and the time do anything in any order.

Whatever they do: each INVITE gets one final answer, each call one record, and in the end nothing
is left, neither of calls nor of what they held.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from policies.settings import LimitSettings, TrunkTransport
from relay.control.messages import CallStats
from sbc.sip.message import Request, Response
from sbc.sip.parser import parse
from sbc.transaction.hop import UDP, Hop
from tests.call.lab import PBX, SDP_A, SDP_B, Lab
from tests.call.lab import settings as border_settings

PROVISIONAL = [100, 180, 183, 199]
FAILURE = [302, 401, 404, 408, 481, 486, 487, 503, 504, 603]
TAGS = ["fork-1"] * 4 + ["", "fork-2", "fork-3"]
OTHER = SDP_A.replace(b"sendrecv", b"sendonly")
NONE_FITS = SDP_B + b"m=audio 7000 RTP/AVP 0\r\n"
BODIES = [SDP_B] * 6 + [b"", SDP_B.replace(b"6000", b"6002"), b"v=0\r\nrubbish", NONE_FITS]
CONTACTS = [b"<sip:bob@10.1.0.2:5060>"] * 6 + [b"<sip:bob@10.1.0.9>", b"<<"]
NUMBERS = st.sampled_from([-1] * 6 + [0, 1, 2, 3, 5, 8, 13])
"""Which of several: most often the last."""


class AnyOrder(RuleBasedStateMachine):
    """What can happen; which of several calls or requests it happens to, a number says."""

    def __init__(self) -> None:
        super().__init__()
        trunks: dict[str, dict[str, Any]] = {
            "pbx": {"no_answer_s": 20.0},
            "carrier": {"no_answer_s": 20.0, "limits": LimitSettings(calls=4)},
            # The next target is in another realm and is spoken to by TCP.
            "backup": {"no_answer_s": 40.0, "realm": "inside", "transport": TrunkTransport.TCP},
        }
        self.lab = Lab(border_settings(trunks), workers=2)
        self.up = {0, 1}
        self.invites: list[bytes] = []
        self.last_invite_at = 0.0
        self.answers: dict[bytes, list[Response]] = {}
        """Branch of an INVITE of the caller → all that it got."""
        self.received: list[tuple[Hop, Request]] = []
        """Requests of the border."""
        self.tried: list[tuple[Hop, Request]] = []
        """Its INVITEs, each once."""
        self.cseq = 1
        self.turns = 0

    # The network

    def collect(self) -> None:
        sent, self.lab.sent = self.lab.sent, []
        for hop, data in sent:
            message = parse(data)
            if isinstance(message, Response) and message.cseq_method != b"INVITE":
                continue
            if isinstance(message, Response):
                self.answers.setdefault(message.via.branch, []).append(message)
            else:
                self.received.append((hop, message))
                known = {one.via.branch for _, one in self.tried}
                if message.method == b"INVITE" and message.via.branch not in known:
                    self.tried.append((hop, message))

    def give(self, data: bytes, hop: Hop | None = None) -> None:
        self.turns += 1
        self.lab.border.receive(data, hop or Hop("inside", 0, UDP, *PBX), self.lab.now)
        self.lab.border.flush()
        self.lab.lease()
        self.collect()

    def heard(self, lowest: int) -> list[Response]:
        """What the caller was told in dialogs of its INVITEs."""
        return [
            answer
            for invite in self.invites
            for answer in self.answers.get(_branch(invite), [])
            if answer.status >= lowest and answer.to_tag and answer.status < 300
        ]

    # The caller

    @rule(body=st.sampled_from([SDP_A, SDP_A, SDP_A, b"", b"rubbish"]))
    def call(self, body: bytes) -> None:
        invite = self.lab.invite(body=body, call=f"call-{len(self.invites)}")
        self.invites.append(invite)
        self.last_invite_at = self.lab.now
        self.give(invite)

    @precondition(lambda self: self.invites and self.lab.now < self.last_invite_at + 25.0)
    @rule()
    def repeat_invite(self) -> None:
        self.give(self.invites[-1])

    @precondition(lambda self: self.invites)
    @rule(which=NUMBERS)
    def cancel(self, which: int) -> None:
        head, _, _ = self.invites[which % len(self.invites)].partition(b"\r\nContact:")
        head = head.replace(b"INVITE sip:", b"CANCEL sip:").replace(b"1 INVITE", b"1 CANCEL")
        self.give(head + b"\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n")

    @precondition(lambda self: self.heard(200))
    @rule(which=NUMBERS)
    def acknowledge(self, which: int) -> None:
        successes = self.heard(200)
        success = successes[which % len(successes)]
        self.give(self.lab.in_dialog(b"ACK", success, success.cseq))

    @precondition(lambda self: self.heard(101))
    @rule(
        which=NUMBERS,
        method=st.sampled_from([b"BYE", b"INVITE", b"ACK", b"OPTIONS", b"UPDATE"]),
        body=st.sampled_from([b"", SDP_A, OTHER]),
        step=st.sampled_from([1, 1, 1, 0]),
    )
    def caller_says(self, which: int, method: bytes, body: bytes, step: int) -> None:
        dialogs = self.heard(101)
        self.cseq += step
        self.give(self.lab.in_dialog(method, dialogs[which % len(dialogs)], self.cseq, body=body))

    @rule(tag=st.sampled_from(TAGS), body=st.sampled_from([b"", SDP_B]))
    def call_rings(self, tag: str, body: bytes) -> None:
        self.call(body=SDP_A)
        if self.tried and self.received and self.tried[-1][1] is self.received[-1][1]:
            self.reply(*self.tried[-1], 183, tag, body, CONTACTS[0])

    @rule()
    def call_is_answered(self) -> None:
        """The usual way, so that what comes after it is not rare."""
        self.call(body=SDP_A)
        if self.tried and self.received and self.tried[-1][1] is self.received[-1][1]:
            self.reply(*self.tried[-1], 200, "fork-1", SDP_B, CONTACTS[0])

    @rule()
    def call_is_up(self) -> None:
        self.call_is_answered()
        if self.heard(200):
            self.acknowledge(which=-1)

    # The target

    @precondition(lambda self: self.tried)
    @rule(
        which=NUMBERS,
        status=st.sampled_from(PROVISIONAL * 2 + [200] * 8 + FAILURE),
        tag=st.sampled_from(TAGS),
        body=st.sampled_from(BODIES),
        contact=st.sampled_from(CONTACTS),
    )
    def target_answers(
        self, which: int, status: int, tag: str, body: bytes, contact: bytes
    ) -> None:
        hop, invite = self.tried[which % len(self.tried)]
        self.reply(hop, invite, status, tag, body, contact)

    @precondition(lambda self: self.tried)
    @rule(
        which=NUMBERS,
        tag=st.sampled_from(["fork-1"] * 4 + ["fork-2"]),
        method=st.sampled_from([b"BYE", b"INVITE", b"ACK", b"OPTIONS"]),
        body=st.sampled_from([b"", SDP_B, OTHER]),
        step=st.sampled_from([1, 1, 0]),
    )
    def target_says(self, which: int, tag: str, method: bytes, body: bytes, step: int) -> None:
        hop, invite = self.tried[which % len(self.tried)]
        self.cseq += step
        data = self.lab.in_dialog(method, invite, self.cseq, body=body, source=hop.address)
        self.give(data.replace(b"bob-tag", tag.encode()), hop)

    @precondition(lambda self: self.received)
    @rule(which=NUMBERS, status=st.sampled_from([100, 200, 200, 404, 481, 503]))
    def peer_answers_a_request(self, which: int, status: int) -> None:
        hop, request = self.received.pop(which % len(self.received))
        if request.method not in (b"ACK", b"INVITE"):
            self.reply(hop, request, status, "", b"", b"<sip:bob@10.1.0.2:5060>")

    def reply(
        self, hop: Hop, request: Request, status: int, tag: str, body: bytes, contact: bytes
    ) -> None:
        to = (request.first(b"to") or b"") + (b";tag=" + tag.encode() if tag else b"")
        head = b"SIP/2.0 %d X\r\nTo: %b\r\nContact: %b\r\n" % (status, to, contact)
        for name in (b"via", b"from", b"call-id", b"cseq"):
            head += b"%b: %b\r\n" % (name, request.first(name))
        if body:
            head += b"Content-Type: application/sdp\r\n"
        self.give(head + b"Content-Length: %d\r\n\r\n" % len(body) + body, hop)

    @precondition(lambda self: self.received)
    @rule(which=NUMBERS, branch=st.booleans())
    def cannot_be_reached(self, which: int, branch: bool) -> None:
        hop, request = self.received[which % len(self.received)]
        self.lab.border.unreachable(hop, request.via.branch if branch else None, self.lab.now)
        self.lab.border.flush()
        self.collect()

    # The relay

    @precondition(lambda self: self.lab.plans)
    @rule(which=NUMBERS, event=st.sampled_from(["removed", "removed", "no stats", "refused", "a"]))
    def relay_says(self, which: int, event: str) -> None:
        border, now = self.lab.border, self.lab.now
        key = self.lab.plans[which % len(self.lab.plans)][1].call
        if event == "refused":
            border.relay_refused(key, "no", now)
        elif event == "a":
            border.relay_silent(key, "a", now)
        elif any(key == removed for _, removed in self.lab.removed):
            self.lab.removed = [one for one in self.lab.removed if one[1] != key]
            border.relay_removed(key, CallStats(key, 1, []) if event == "removed" else None, now)
        border.flush()
        self.collect()

    @precondition(lambda self: self.turns % 4 == 0)
    @rule(slot=st.sampled_from([0, 1]))
    def worker_dies_or_comes(self, slot: int) -> None:
        if slot in self.up:
            self.lab.border.relay_down(slot, self.lab.now)
            self.lab.removed = [one for one in self.lab.removed if one[0] != slot]
        else:
            self.lab.border.relay_up(slot)
        self.up ^= {slot}
        self.lab.border.flush()
        self.lab.lease()
        self.collect()

    # The operator, and time

    @precondition(lambda self: self.lab.border.calls)
    @rule(which=NUMBERS, every=st.sampled_from([False] * 8 + [True]))
    def hang_up(self, which: int, every: bool) -> None:
        border = self.lab.border
        if every:
            border.end_all(self.lab.now)
        else:
            border.hangup(list(border.calls)[which % len(border.calls)], self.lab.now)
        border.flush()
        self.collect()

    @rule(seconds=st.sampled_from([0.02, 0.02, 0.5, 0.5, 1.0, 2.5, 8.0, 35.0]))
    def wait(self, seconds: float) -> None:
        self.lab.wait(seconds, step_s=min(seconds, 0.25))
        self.collect()

    # What must hold

    def teardown(self) -> None:
        lab, border = self.lab, self.lab.border
        for call in list(border.calls):
            border.hangup(call, lab.now)
        lab.wait(150.0, step_s=0.5)
        self.collect()
        assert border.core.counters["crashed"] == 0, [
            fields["detail"] for _, event, _, fields in border.core.milestones if "detail" in fields
        ][-1]
        for invite in self.invites:
            answers = self.answers.get(_branch(invite), [])
            finals = {(one.status, one.to_tag) for one in answers if one.status >= 200}
            assert len(finals) == 1, (finals, invite)
        records = Counter(record.call_id_a for record in border.core.records)
        assert len(records) == len(self.invites)
        assert set(records.values()) <= {1}
        status = border.status()
        left = {key: status[key] for key in ("calls", "dialogs", "plans", "transactions")}
        assert left == {"calls": 0, "dialogs": 0, "plans": 0, "transactions": 0}
        assert set(border.core.policies.calls().values()) == {0}
        assert set(border.core.leases._calls.values()) <= {0}
        assert (len(border.core.layer.timers), len(border.core.layer.wheel)) == (0, 0)
        self.ports_are_all_somewhere()

    def ports_are_all_somewhere(self) -> None:
        """A pair that no plan has named is in stock again, and none is there twice."""
        stocks = self.lab.border.core.leases._stocks
        for slot, realms in stocks.items():
            for stock in realms.values():
                assert len(set(stock.ports)) == len(stock.ports)
            used = {port for at, plan in self.lab.plans if at == slot for port in _ports(plan)}
            assert not used & {port for stock in realms.values() for port in stock.ports}


def _branch(message: bytes) -> bytes:
    return parse(message).via.branch


def _ports(plan: Any) -> list[tuple[str, int]]:
    return [(end.address, end.port) for stream in plan.streams for end in (stream.a, stream.b)]


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestAnyOrder.pytestmark = [pytest.mark.slow]
