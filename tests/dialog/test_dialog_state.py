"""A dialog survives a restart: to_state and from_state."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.dialog.dialog import Dialog
from tests.dialog.test_rfc3261_dialog import (
    CONTACT,
    ROUTES,
    asked,
    our_invite,
    their_request,
    their_response,
)

MADE = [
    Dialog.from_request(their_request(extra=CONTACT + ROUTES), b"ours"),
    Dialog.from_request(their_request(extra=CONTACT), b"ours", confirmed=True),
    Dialog.from_response(our_invite(), their_response(180, extra=CONTACT + ROUTES)),
    Dialog.from_response(our_invite(), their_response(200, extra=CONTACT)),
]


@pytest.mark.parametrize("dialog", MADE)
def test_the_state_is_plain_and_gives_the_same_dialog_back(dialog) -> None:
    state = msgpack.unpackb(msgpack.packb(dialog.to_state()))
    again = Dialog.from_state(state)
    assert again.to_state() == dialog.to_state()
    assert asked(again, b"BYE").data == asked(Dialog.from_state(state), b"BYE").data
    assert again.key == dialog.key


def test_the_state_is_a_copy() -> None:
    dialog = Dialog.from_state(MADE[0].to_state())
    state = dialog.to_state()
    state["route_set"].clear()
    assert len(dialog.route_set) == 3
    other = Dialog.from_state(dialog.to_state())
    other.route_set.clear()
    assert len(dialog.route_set) == 3


@pytest.mark.parametrize("name", sorted(MADE[0].to_state()))
def test_a_state_with_a_part_missing_is_refused(name) -> None:
    state = MADE[0].to_state()
    del state[name]
    with pytest.raises(KeyError):
        Dialog.from_state(state)


@given(st.lists(st.sampled_from([b"INVITE", b"ACK", b"BYE", b"INFO", b"restart"]), max_size=20))
def test_numbers_only_grow_across_restarts(steps) -> None:
    dialog = Dialog.from_response(our_invite(), their_response(200, extra=CONTACT))
    last, last_invite = 5, 5
    for step in steps:
        if step == b"restart":
            dialog = Dialog.from_state(dialog.to_state())
            continue
        cseq = asked(dialog, step).cseq
        if step == b"ACK":
            assert cseq == last_invite
        else:
            assert cseq == last + 1
            last = cseq
            last_invite = cseq if step == b"INVITE" else last_invite
