"""Subscriptions in any order of events: one answer for each request, nothing left after the end."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import settings as at_most
from hypothesis import strategies as st

from sbc.sip.message import Request, Response
from tests.call.lab import CARRIER, PBX, Lab
from tests.call.test_rfc6665 import ACTIVE, EVENT, OVER, Lamp


class Players:
    """A telephone and a server that do what they are told to, in any order."""

    def __init__(self) -> None:
        self.lab = Lab()
        self.lamp = Lamp(self.lab, grants=120)
        self.asked = 0
        self.forks = 0
        self.answers: Counter[tuple[bytes, bytes]] = Counter()
        """Final ones, by the branch and the method of the request."""

    def notify(self) -> None:
        self.lamp.server.ask(b"NOTIFY", b"", EVENT + ACTIVE)
        self.asked += 1

    def last(self) -> None:
        self.lamp.server.ask(b"NOTIFY", b"", EVENT + OVER)
        self.asked += 1

    def refresh(self, expires: bytes = b"120") -> None:
        self.lamp.phone.ask(b"SUBSCRIBE", extra=EVENT + b"Expires: %b\r\n" % expires)
        self.asked += 1

    def leave(self) -> None:
        self.refresh(b"0")

    def fork(self) -> None:
        self.forks += 1
        self.asked += 1
        tag = f"fork-{self.forks}"
        data = self.lab.in_dialog(
            b"NOTIFY", self.lamp.request, 1, source=CARRIER, extra=EVENT + ACTIVE, tag=tag
        )
        self.lab.give(data, CARRIER)

    def late(self) -> None:
        """Nobody says anything for a while."""
        self.lab.wait(40.0, 2.0)

    def answer(self, phone: int = 200, server: int = 200) -> None:
        """Both answer what they have been asked; 0: that one does not."""
        for one in self.lab.take():
            if isinstance(one, Response):
                self.answers[one.via.branch, one.cseq_method] += one.status >= 200
            elif b"@10.0.0.2" in one.uri:
                self._answer(one, phone, PBX)
            else:
                self._answer(one, server, CARRIER)

    def lose_phone(self) -> None:
        self.answer(phone=0)

    def lose_server(self) -> None:
        self.answer(server=0)

    def restart_phone(self) -> None:
        self.answer(phone=481)

    def restart_server(self) -> None:
        self.answer(server=481)

    def _answer(self, request: Request, status: int, source: tuple[str, int]) -> None:
        if status:
            extra = b"Expires: %b\r\n" % (request.first(b"expires") or b"60")
            contact = b"<sip:peer@%b:5060>" % source[0].encode()
            self.lab.answer(request, status, source=source, contact=contact, extra=extra)


STEPS = (
    "notify last refresh leave fork late answer lose_phone lose_server restart_phone restart_server"
)


@given(steps=st.lists(st.sampled_from(STEPS.split()), max_size=25))
@at_most(max_examples=100, deadline=None)
def test_each_request_has_one_answer_and_nothing_stays(steps: list[str]) -> None:
    players = Players()
    lab = players.lab
    for step in steps:
        getattr(players, step)()
    for _ in range(3):
        players.answer()
        lab.wait(40.0, 1.0)
    assert set(players.answers.values()) <= {1}
    assert len(players.answers) == players.asked
    lab.wait(4000.0, 25.0)
    lab.take()
    assert lab.border.core.counters["crashed"] == 0
    lab.assert_nothing_left()
