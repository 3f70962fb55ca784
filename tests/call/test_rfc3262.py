"""Reliable provisional responses, both sides (RFC 3262)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.settings import Shield, TrunkSettings, Use
from sbc.call.legs.reliable import (
    _TABLE,
    Input,
    Match,
    ReliableReceiver,
    ReliableSender,
    ReliableTimer,
    State,
    Take,
    is_reliable,
    to_be_reliable,
)
from tests.call.messages import request, response
from tests.transaction.build import Bench, theirs

TRUNK = TrunkSettings(name="t", realm="r", peers=(), sources=())


class Sender:
    """A sender over a layer on a virtual clock, for one INVITE."""

    def __init__(self, first=7) -> None:
        self.bench = Bench()
        self.txn = self.bench.receive(theirs())
        self.one = ReliableSender(self.bench.layer, self.txn, 1, first, "leg")

    def send(self, status=183, described=False) -> int:
        number = self.one.number()
        data = b"SIP/2.0 %d X\r\n%b\r\n" % (status, self.one.head(number))
        self.one.send(number, status, data, described, self.bench.now)
        return number

    def prack(self, rack: bytes, *more: bytes) -> Match:
        return self.one.on_prack(request(b"RAck: " + rack, *more, method=b"PRACK"), self.bench.now)

    def run(self, until: float) -> list[object]:
        """Whom nobody acknowledged, with the time of it."""
        gave_up = []
        while (due := self.bench.layer.next_due()) is not None and due <= until:
            self.bench.now = due
            for user, notice in self.bench.layer.tick(due):
                assert user is self.one
                assert isinstance(notice, ReliableTimer)
                heard = user.handle(notice, due)
                if heard is not None:
                    gave_up.append((due, heard))
        self.bench.now = until
        return gave_up


# Our 18x to a caller


def test_a_response_is_repeated_until_its_prack() -> None:
    sender = Sender()
    assert sender.send() == 7
    assert b"Require: 100rel\r\nRSeq: 7\r\n" in sender.bench.sent[0][2]
    sender.run(3.0)
    assert sender.bench.times() == [0.0, 0.5, 1.5]
    assert sender.prack(b"7 1 INVITE") is Match.ACCEPTED
    assert sender.run(100.0) == []
    assert len(sender.bench.sent) == 3
    assert len(sender.bench.layer.timers) == 0


def test_without_a_prack_it_gives_up_after_64_t1() -> None:
    sender = Sender()
    sender.send()
    assert sender.run(200.0) == [(32.0, "leg")]
    assert sender.bench.times() == [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert sender.one.state is State.OVER
    assert sender.one.number() == 0
    assert sender.one.user is None


def test_the_next_response_waits_for_the_prack_of_the_last() -> None:
    sender = Sender()
    assert [sender.send(180), sender.send(183), sender.send(182)] == [7, 8, 9]
    assert sender.bench.statuses() == [180]
    assert sender.prack(b"8 1 INVITE") is Match.STALE  # it has not even been sent
    assert sender.prack(b"7 1 INVITE") is Match.ACCEPTED
    assert sender.bench.statuses() == [180, 183]
    sender.run(1.0)  # the timer of the first no longer counts, that of the second does
    assert sender.bench.statuses() == [180, 183, 183]
    assert sender.prack(b"8 1 INVITE") is Match.ACCEPTED
    assert sender.prack(b"9 1 INVITE") is Match.ACCEPTED
    assert not sender.one.waiting
    assert sender.bench.statuses() == [180, 183, 183, 182]


def test_each_response_has_64_t1_of_its_own() -> None:
    sender = Sender()
    sender.send()
    sender.send()
    sender.run(30.0)
    sender.prack(b"7 1 INVITE")
    assert sender.run(200.0) == [(62.0, "leg")]


@pytest.mark.parametrize(
    "rack", [b"6 1 INVITE", b"8 1 INVITE", b"7 2 INVITE", b"7 1 UPDATE", b"7 1 invite"]
)
def test_a_prack_for_something_else_is_stale(rack) -> None:
    sender = Sender()
    sender.send()
    assert sender.prack(rack) is Match.STALE
    assert sender.one.waiting


def test_a_second_prack_is_stale() -> None:
    sender = Sender()
    sender.send()
    sender.prack(b"7 1 INVITE")
    assert sender.prack(b"7 1 INVITE") is Match.STALE


@pytest.mark.parametrize(
    "rack", [b"", b"7", b"7 1", b"x 1 INVITE", b"7 x INVITE", b"7 1 I N", b"9" * 40 + b" 1 INVITE"]
)
def test_a_prack_that_cannot_be_read_is_malformed(rack) -> None:
    sender = Sender()
    sender.send()
    assert sender.prack(rack) is Match.MALFORMED


def test_a_prack_without_rack_is_malformed() -> None:
    assert Sender().one.on_prack(request(method=b"PRACK"), 0.0) is Match.MALFORMED


def test_white_space_in_rack_is_free() -> None:
    sender = Sender()
    sender.send()
    assert sender.prack(b" 07 \t 1   INVITE ") is Match.ACCEPTED


def test_a_2xx_waits_for_the_prack_of_a_description() -> None:
    sender = Sender()
    sender.send(180)
    assert not sender.one.holds_success
    sender.send(183, described=True)
    assert sender.one.holds_success
    sender.prack(b"7 1 INVITE")
    assert sender.one.holds_success
    sender.prack(b"8 1 INVITE")
    assert not sender.one.holds_success


def test_a_description_counts_once_it_is_acknowledged() -> None:
    sender = Sender()
    sender.send(180)
    sender.send(183, described=True)
    sender.send(183)
    heard = []
    for number in (7, 8, 9):
        heard.append(sender.one.settled)
        sender.prack(b"%d 1 INVITE" % number)
    assert (heard, sender.one.settled) == ([False, False, True], True)
    last = Sender()
    last.send(183, described=True)
    last.prack(b"7 1 INVITE")
    assert last.one.settled


@pytest.mark.parametrize("sent", [True, False])
def test_after_the_final_response_nothing_is_sent_or_held(sent) -> None:
    sender = Sender()
    if sent:
        sender.send()
        sender.send()
    sender.one.stop()
    sender.one.stop()
    before = len(sender.bench.sent)
    assert sender.run(100.0) == []
    assert len(sender.bench.sent) == before
    assert sender.one.number() == 0
    assert sender.prack(b"7 1 INVITE") is Match.STALE
    assert not sender.one.holds_success
    assert sender.one._txn is None


def test_number_0_is_no_reliable_response() -> None:
    assert ReliableSender.head(0) == b""


def test_what_waits_is_bounded() -> None:
    sender = Sender()
    numbers = [sender.send() for _ in range(17)]
    assert numbers == list(range(7, 24))
    assert sender.one.number() == 0
    sender.prack(b"7 1 INVITE")
    assert sender.one.number() == 24


def test_a_number_that_was_not_used_is_given_again() -> None:
    sender = Sender()
    assert (sender.one.number(), sender.one.number()) == (7, 7)


@pytest.mark.parametrize(("chance", "first"), [(0, 1), (2**40, 2**31 - 1), (5, 5)])
def test_the_first_number_is_one_that_the_rfc_allows(chance, first) -> None:
    assert Sender(chance).one.number() == first


def test_a_timer_that_is_stale_does_nothing() -> None:
    sender = Sender()
    assert sender.one.handle(ReliableTimer.GIVE_UP, 0.0) is None
    assert sender.one.handle(ReliableTimer.RETRANSMIT, 0.0) is None
    assert sender.bench.sent == []


def test_every_pair_of_the_table_is_of_its_states_and_inputs() -> None:
    assert {event for _, event in _TABLE} == set(Input)
    assert {state for state, _ in _TABLE} == {State.IDLE, State.WAITING}
    assert {after for _, after in _TABLE.values()} == set(State)


_DEEDS = st.lists(
    st.one_of(
        st.just(("send", 0)),
        st.tuples(st.just("prack"), st.integers(0, 20)),
        st.tuples(st.just("wait"), st.sampled_from([0.5, 2.0, 40.0])),
        st.just(("stop", 0)),
    ),
    max_size=25,
)


@given(deeds=_DEEDS)
def test_whatever_happens_numbers_grow_one_is_outstanding_and_nothing_stays(deeds) -> None:
    sender = Sender(first=1)
    acknowledged = 0
    for deed, value in deeds:
        if deed == "send" and sender.one.state is not State.OVER:
            sender.send()
        elif deed == "prack" and sender.prack(b"%d 1 INVITE" % value) is Match.ACCEPTED:
            assert value == acknowledged + 1
            acknowledged = value
        elif deed == "wait":
            sender.run(sender.bench.now + value)
        elif deed == "stop":
            sender.one.stop()
        seen = [int(data.split(b"RSeq: ")[1].split()[0]) for _, _, data in sender.bench.sent]
        assert seen == sorted(seen)
        assert not seen or seen[-1] <= acknowledged + 1
    sender.run(sender.bench.now + 100.0)
    assert len(sender.bench.layer.timers) == 0
    assert not sender.one.waiting


# A target's 18x


def reliable(number, tag=b"theirs", status=183, cseq=b"7 INVITE"):
    return response(status, b"Require: 100rel", b"RSeq: %d" % number, tag=tag, cseq=cseq)


def test_a_target_may_begin_anywhere_and_then_counts_by_one() -> None:
    one = ReliableReceiver()
    assert one.on_provisional(reliable(4711)) is Take.NEW
    assert one.on_provisional(reliable(4711)) is Take.REPEATED
    assert one.on_provisional(reliable(4713)) is Take.OUT_OF_ORDER
    assert one.on_provisional(reliable(4712)) is Take.NEW
    assert one.on_provisional(reliable(4713)) is Take.NEW
    assert one.on_provisional(reliable(4711)) is Take.REPEATED


def test_each_early_dialog_counts_for_itself() -> None:
    one = ReliableReceiver()
    assert one.on_provisional(reliable(5, b"one")) is Take.NEW
    assert one.on_provisional(reliable(900, b"two")) is Take.NEW
    assert one.on_provisional(reliable(6, b"one")) is Take.NEW


def test_the_rack_names_the_response() -> None:
    assert ReliableReceiver.rack(reliable(4711)) == b"RAck: 4711 7 INVITE\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        (),
        (b"RSeq: 1",),
        (b"Require: 100rel",),
        (b"Require: 100rel", b"RSeq: x"),
        (b"Require: 100rel", b"RSeq: 0"),
        (b"Require: timer", b"RSeq: 1"),
        (b"Supported: 100rel", b"RSeq: 1"),
    ],
)
def test_any_other_provisional_response_is_unreliable(lines) -> None:
    one = response(183, *lines)
    assert ReliableReceiver().on_provisional(one) is Take.UNRELIABLE
    assert not is_reliable(one)


@pytest.mark.parametrize("status", [100, 200, 486])
def test_neither_100_nor_a_final_response_can_be_reliable(status) -> None:
    assert not is_reliable(reliable(1, status=status))


def test_one_require_line_of_several_and_any_case_will_do() -> None:
    assert is_reliable(response(180, b"Require: timer", b"Require: x, 100REL", b"RSeq: 1"))


# When ours are to be reliable

_SUPPORTED, _REQUIRED = b"Supported: timer, 100rel", b"Require: 100rel"


@pytest.mark.parametrize(
    ("use", "line", "described", "expected"),
    [
        (Use.AUTO, b"Supported:", True, False),
        (Use.AUTO, _SUPPORTED, True, True),
        (Use.AUTO, _SUPPORTED, False, False),
        (Use.AUTO, _REQUIRED, False, True),
        (Use.ALWAYS, _SUPPORTED, False, True),
        (Use.ALWAYS, b"Supported:", False, False),
        (Use.NEVER, _SUPPORTED, True, False),
    ],
)
def test_when_our_response_is_to_be_reliable(use, line, described, expected) -> None:
    trunk = replace(TRUNK, reliable=use)
    assert to_be_reliable(trunk, request(line), described) is expected


def test_a_peer_that_is_shielded_from_prack_never_has_to_send_one() -> None:
    trunk = replace(TRUNK, reliable=Use.AUTO, shield=frozenset({Shield.PRACK}))
    assert not to_be_reliable(trunk, request(_SUPPORTED), True)
