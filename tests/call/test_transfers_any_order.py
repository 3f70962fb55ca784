"""Transfers while everybody does whatever comes to mind: nothing stays, nothing crashes."""

from __future__ import annotations

import gc
import random
from typing import Any

import pytest

from sbc.call.call import Call
from sbc.sip.message import Request, Response
from sbc.sip.parser import parse
from tests.call.lab import CARRIER, PBX, SDP_A, SDP_B, Lab, Side, settings
from tests.call.test_consulted import Tagged, refer_to, replacing, up
from tests.support.census import Census

BODIES = [SDP_A, SDP_B, SDP_B.replace(b"sendrecv", b"sendonly"), b"", b"nonsense"]


class Storm:
    """Two calls of the PBX's, and whoever they bring in."""

    def __init__(self, seed: int) -> None:
        ping = {"ping_s": 30.0, "max_duration_s": 600.0}
        self.lab = Lab(settings({"carrier": ping, "pbx": ping} if seed % 2 else {}))
        self.random = random.Random(seed)  # noqa: S311
        self.sides: list[Side] = []
        for index, source in enumerate((PBX, self.random.choice((PBX, CARRIER)))):
            self.sides += up(self.lab, f"call-{index}", source, f"tag-{index}")
        self.asked: list[tuple[Request, Side]] = []
        """INVITEs that have no final answer yet."""
        self.tags = 10

    def play(self, steps: int) -> None:
        for _ in range(steps):
            kind = self.random.random()
            if self.lab.sent and kind < 0.6:
                self.hear(*self.lab.sent.pop(0))
            elif self.asked and kind < 0.75:
                self.finish(*self.asked.pop(self.random.randrange(len(self.asked))))
            elif kind < 0.9:
                self.act(self.random.choice(self.sides))
            else:
                self.lab.wait(self.random.choice((0.02, 0.5, 3.0, 12.0)), 0.1)

    def hear(self, hop: Any, data: bytes) -> None:
        message = parse(data)
        side = next((one for one in self.sides if one.of.call_id == message.call_id), None)
        if isinstance(message, Response):
            success = message.cseq_method == b"INVITE" and message.status == 200
            if success and side is not None and self.random.random() < 0.9:
                side.ack(self.random.choice(BODIES) if not message.body else b"")
            return
        if message.method == b"ACK" or self.random.random() < 0.05:
            return  # lost
        if side is None and message.method == b"INVITE":
            self.tags += 1
            side = Tagged(self.lab, message, (hop.host, hop.port), f"tag-{self.tags}")
            self.sides.append(side)
        if side is None:
            return
        if message.method == b"INVITE":
            if not any(one.cseq == message.cseq and of is side for one, of in self.asked):
                self.asked.append((message, side))
            if self.random.random() < 0.3:
                self.answer(side, message, 180)
        elif message.method == b"CANCEL":
            self.answer(side, message, 200)
        else:
            self.answer(side, message, self.random.choice((200, 200, 200, 481, 500)))

    def finish(self, invite: Request, side: Side) -> None:
        status = self.random.choice((200, 200, 200, 486, 488, 491, 503, 481, 302))
        body = self.random.choice(BODIES[:3]) if self.random.random() < 0.9 else b"nonsense"
        self.answer(side, invite, status, body if status == 200 else b"")

    def answer(self, side: Side, request: Request, status: int, body: bytes = b"") -> None:
        tag = side.tag if isinstance(side, Tagged) else ""
        contact = b"<sip:peer@%b:5060>" % side.address[0].encode()
        self.lab.answer(request, status, body=body, tag=tag, contact=contact, source=side.address)

    def act(self, side: Side) -> None:
        other = self.random.choice(self.sides)
        choice = self.random.randrange(9)
        if choice < 2:
            side.ask(b"REFER", extra=b"Refer-To: <sip:4930%d@h>\r\n" % self.random.randrange(99))
        elif choice < 5:
            side.ask(b"REFER", extra=refer_to(other))
        elif choice == 5:
            side.ask(b"INVITE", self.random.choice(BODIES))
        elif choice == 6:
            side.ask(b"BYE")
        elif choice == 7:
            replacing(self.lab, other, side.address)
        else:
            side.ask(b"UPDATE", self.random.choice(BODIES))


@pytest.mark.parametrize("seed", range(40))
def test_nothing_stays_whatever_happens_in_a_transfer(seed: int) -> None:
    storm = Storm(seed)
    storm.play(120)
    lab = storm.lab
    for side in storm.sides:
        side.ask(b"BYE")
    lab.wait(70.0, 0.5)
    lab.answer_removals()
    for identifier in list(lab.border.calls):  # who was left without a word
        lab.border.hangup(identifier, lab.now)
    crashes = [one[3] for one in lab.border.core.milestones if one[1] == "call.crashed"]
    assert not crashes, crashes[0]["detail"]
    lab.assert_nothing_left()


@pytest.mark.parametrize("seed", range(100, 112))
def test_transfers_leave_nothing_to_a_garbage_collector(seed: int) -> None:
    calls = Census(Call)
    gc.disable()
    try:
        storm = Storm(seed)
        lab = storm.lab
        storm.play(120)
        for side in storm.sides:
            side.ask(b"BYE")
        lab.wait(70.0, 0.5)
        lab.plans.clear()
        lab.sent.clear()
        lab.answer_removals()
        for identifier in list(lab.border.calls):
            lab.border.hangup(identifier, lab.now)
        lab.wait(70.0, 0.5)
        lab.answer_removals()
        assert lab.border.calls == {}
        assert [call.id for call in calls.born()] == []
    finally:
        gc.enable()
