"""Digits between legs that have them in different ways: each once, in order, in nobody's log."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.media import Dtmf, TrunkMedia
from sbc.call.media.dtmf import Dialled, body_of, read_digits
from tests.call.lab import PBX, SDP_B, Lab, Side, settings, sides

RELAY = b"Content-Type: application/dtmf-relay\r\n"
DIGIT = b"Content-Type: application/dtmf\r\n"


def lab_with(pbx: Dtmf = Dtmf.AUTO, carrier: Dtmf = Dtmf.AUTO) -> Lab:
    return Lab(
        settings(
            {
                "pbx": {"media": TrunkMedia(dtmf=pbx)},
                "carrier": {"media": TrunkMedia(dtmf=carrier)},
            }
        )
    )


def call(lab: Lab) -> tuple[Side, Side]:
    """A call that is up."""
    a, b = sides(lab)
    lab.take()
    return a, b


def press(lab: Lab, side: str, digits: str) -> None:
    """The relay tells of telephone-events."""
    key = lab.plans[-1][1].call
    for digit in digits:
        lab.border.relay_digit(key, side, digit, 120, lab.now)
    lab.border.flush()


def infos(lab: Lab, side: Side) -> list[bytes]:
    """Bodies of all INFOs to a peer, which answers each with 200."""
    found = []
    while messages := lab.take(side.address[0]):
        for one in messages:
            assert one.method == b"INFO"
            found.append(one.body)
            side.answer(one, 200)
    return found


# what goes wrong


def test_digits_wait_for_the_answer_to_the_one_before():
    lab = lab_with(carrier=Dtmf.INFO)
    _, b = call(lab)
    press(lab, "a", "12")
    first = b.hears()
    assert first.body == b"Signal=1\r\nDuration=120\r\n"
    b.answer(first, 100)
    assert lab.take(b.address[0]) == []
    b.answer(first, 415)  # refused: the next one may be liked better
    second = b.hears()
    assert second.body == b"Signal=2\r\nDuration=120\r\n"
    assert second.cseq == first.cseq + 1
    assert lab.border.core.counters["digits_refused"] == 1


def test_a_digit_that_nobody_answers_holds_up_the_next_one_until_it_has_timed_out():
    lab = lab_with(carrier=Dtmf.INFO)
    _, b = call(lab)
    press(lab, "a", "12")
    lab.wait(31.0, 0.5)
    assert {one.body[:8] for one in lab.take(b.address[0])} == {b"Signal=1"}
    lab.wait(3.0, 0.5)
    assert lab.take(b.address[0])[-1].body[:8] == b"Signal=2"


def test_a_peer_that_answers_nothing_is_not_owed_digits_without_end():
    lab = lab_with(carrier=Dtmf.INFO)
    call(lab)
    press(lab, "a", "1" * 40)
    assert lab.border.core.counters["digits_dropped"] == 40 - 1 - 32


def test_no_digit_goes_out_once_the_call_is_over():
    lab = lab_with(carrier=Dtmf.INFO)
    a, b = call(lab)
    press(lab, "a", "123")
    waiting = b.hears()
    a.ask(b"BYE")
    lab.take()
    b.answer(waiting, 200)
    press(lab, "a", "4")
    assert [one for one in lab.take() if getattr(one, "method", b"") == b"INFO"] == []
    lab.assert_nothing_left()


def test_digits_of_a_call_that_is_not_known_or_not_answered_are_dropped():
    lab = lab_with(carrier=Dtmf.INFO)
    lab.border.relay_digit("nobody", "a", "1", 100, lab.now)
    lab.give(lab.invite())
    (invite,) = lab.take("10.1.0.2")
    lab.answer(invite, 183, body=SDP_B)
    press(lab, "a", "1")
    assert lab.border.core.counters["digits_dropped"] == 1


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (RELAY, b"Signal=16\r\nDuration=100\r\n"),  # a hook flash
        (RELAY, b"Signal=\r\n"),
        (RELAY, b"\xff\xfe"),
        (DIGIT, b"!"),
        (DIGIT, b""),
        (b"Content-Type: text/plain\r\n", b"5"),
    ],
)
def test_what_holds_no_digit_crosses_as_any_info(head, body):
    lab = lab_with(pbx=Dtmf.INFO)
    a, b = call(lab)
    a.ask(b"INFO", body, head if body else b"")
    assert b.hears().body == body
    assert lab.injected == []


# what goes right


@pytest.mark.parametrize(
    ("way", "kind", "bodies"),
    [
        (
            Dtmf.INFO,
            b"application/dtmf-relay",
            [b"Signal=5\r\nDuration=120\r\n", b"Signal=#\r\nDuration=120\r\n"],
        ),
        (Dtmf.INFO_DIGIT, b"application/dtmf", [b"5", b"#"]),
    ],
)
def test_events_become_infos_in_the_other_trunks_spelling(way, kind, bodies):
    lab = lab_with(carrier=way)
    _, b = call(lab)
    press(lab, "a", "5#")
    first = b.hears()
    assert first.content_type == kind
    b.answer(first, 200)
    assert [first.body, *infos(lab, b)] == bodies


def test_events_of_the_called_side_become_infos_to_the_caller():
    lab = lab_with(pbx=Dtmf.INFO)
    a, _ = call(lab)
    assert lab.plans[-1][1].streams[0].b.dtmf_reported == (101,)
    press(lab, "b", "7")
    assert infos(lab, a) == [b"Signal=7\r\nDuration=120\r\n"]


def test_infos_become_events():
    lab = lab_with(pbx=Dtmf.INFO)
    a, b = call(lab)
    for body, kind in ((b"Signal= 10\r\nDuration= 250", RELAY), (b"4", DIGIT)):
        a.ask(b"INFO", body, kind)
        assert a.hears().status == 200
    assert lab.take(b.address[0]) == []
    key = lab.plans[-1][1].call
    told = [(slot, one.call, one.stream, one.end, one.number) for slot, one in lab.injected]
    assert told == [(0, key, 0, "b", 1), (0, key, 0, "b", 2)]
    assert [(one.digits, one.duration_ms) for _, one in lab.injected] == [("*", 250), ("4", 160)]


def test_an_info_that_is_sent_again_is_one_digit():
    lab = lab_with(pbx=Dtmf.INFO)
    a, _ = call(lab)
    data = a.ask(b"INFO", b"4", DIGIT)
    lab.give(data, PBX)
    assert len(lab.injected) == 1
    assert [one.status for one in lab.take(PBX[0])] == [200, 200]


def test_a_side_that_sends_its_digits_both_ways_is_heard_once():
    lab = lab_with(carrier=Dtmf.INFO)
    a, b = call(lab)
    press(lab, "a", "5")
    a.ask(b"INFO", b"Signal=5\r\nDuration=100\r\n", RELAY)
    assert a.hears().status == 200
    assert len(infos(lab, b)) == 1
    assert lab.border.core.counters["digits_doubled"] == 1


def test_infos_are_respelt_between_sides_that_write_them_differently():
    lab = lab_with(pbx=Dtmf.INFO, carrier=Dtmf.INFO_DIGIT)
    a, b = call(lab)
    a.ask(b"INFO", b"Signal=8\r\nDuration=100\r\n", RELAY)
    assert a.hears().status == 200
    assert infos(lab, b) == [b"8"]


def test_infos_cross_as_they_are_between_sides_of_one_kind():
    lab = lab_with()
    a, b = call(lab)
    body = b"Signal=8\r\nDuration=100\r\nX=1\r\n"
    a.ask(b"INFO", body, RELAY)
    assert b.hears().body == body


# what is written down


def test_digits_are_masked_in_the_log_unless_the_operator_wants_them():
    lab = lab_with(carrier=Dtmf.INFO)
    call(lab)
    press(lab, "a", "5")
    lab.border.core.show_digits = True
    press(lab, "a", "5")
    said = [fields for _, event, _, fields in lab.border.core.milestones if event == "leg.digit"]
    assert said == [
        {"side": "a", "digit": "x", "duration_ms": 120, "way": "rtp"},
        {"side": "a", "digit": "5", "duration_ms": 120, "way": "rtp"},
    ]
    assert lab.border.core.counters["digits_rtp"] == 2
    assert "5" not in repr(Dialled("5", 120))


@given(st.binary(max_size=60), st.sampled_from([b"application/dtmf", b"application/dtmf-relay"]))
def test_any_body_is_a_digit_or_none(body, kind):
    dialled = read_digits(kind, body)
    if dialled is not None:
        for way in (Dtmf.INFO, Dtmf.INFO_DIGIT):
            head, again = body_of(way, dialled)
            found = read_digits(head.split()[1], again)
            assert found is not None
            assert found.digit == dialled.digit
