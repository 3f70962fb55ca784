"""Session timers: who refreshes, how often, and what happens when nobody does (RFC 4028)."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.settings import Refresher, SessionTimerSettings, Use
from sbc.call.legs.session_timer import SessionTimer, State, Wait
from tests.call.messages import request, response

SUPPORTED = b"Supported: timer"


def timer(can_refresh=True, **keys):
    return SessionTimer(SessionTimerSettings(**keys), can_refresh)


def expires(seconds, refresher=b""):
    word = b";refresher=" + refresher if refresher else b""
    return b"Session-Expires: %d%b" % (seconds, word)


def answered(one, *lines, peer_supports=True, method=b"INVITE"):
    """Our answer's lines to a request with these."""
    assert one.on_request(request(*lines, method=method)) is None
    return one.answer_head(peer_supports)


# We send the request


def test_our_request_names_the_interval_and_leaves_the_refresher_open() -> None:
    assert timer().request_head() == b"Session-Expires: 1800\r\n"


def test_min_se_is_said_where_it_is_not_the_default() -> None:
    head = timer(minimum_s=120, expires_s=600).request_head()
    assert head == b"Session-Expires: 600\r\nMin-SE: 120\r\n"


@pytest.mark.parametrize(("wish", "word"), [(Refresher.US, b"uac"), (Refresher.PEER, b"uas")])
def test_our_request_names_the_refresher_that_the_trunk_wants(wish, word) -> None:
    assert timer(refresher=wish).request_head() == expires(1800, word) + b"\r\n"


def test_who_cannot_refresh_asks_the_peer_to() -> None:
    assert timer(can_refresh=False).request_head() == expires(1800, b"uas") + b"\r\n"


def test_as_refresher_we_refresh_at_half_of_the_interval() -> None:
    one = timer()
    one.on_answer(response(200, expires(1800, b"uac")))
    assert one.state is State.OURS
    assert one.next(100.0) == (Wait.REFRESH, 900.0)
    assert one.next(400.0) == (Wait.REFRESH, 600.0)
    assert one.next(4000.0) == (Wait.REFRESH, 0.0)


def test_the_peers_refresh_is_waited_for_until_shortly_before_the_end() -> None:
    one = timer()
    one.on_answer(response(200, expires(1800, b"uas"), b"Require: timer"))
    assert one.state is State.THEIRS
    assert one.next(0.0) == (Wait.EXPIRE, 1800.0 - 32.0)
    one.on_answer(response(200, b"x: 90 ; refresher = UAS"))
    assert one.next(0.0) == (Wait.EXPIRE, 60.0)  # two thirds: a third is less than 32 s


def test_an_answer_without_a_refresher_leaves_it_to_us() -> None:
    one = timer()
    one.on_answer(response(200, expires(600)))
    assert (one.state, one.interval_s) == (State.OURS, 600)


def test_a_peer_without_session_timers_has_none() -> None:
    one = timer()
    one.on_answer(response(200))
    assert (one.state, one.next(0.0)) == (State.OFF, None)


def test_with_use_always_a_peer_without_session_timers_is_asked_by_us() -> None:
    one = timer(use=Use.ALWAYS)
    one.on_answer(response(200))
    assert one.next(0.0) == (Wait.REFRESH, 900.0)


def test_an_answer_without_session_expires_ends_the_timer_in_mid_dialog() -> None:
    one = timer()
    one.on_answer(response(200, expires(1800, b"uas")))
    one.on_answer(response(200))
    assert one.next(0.0) is None


def test_who_cannot_refresh_has_no_timer_that_it_would_have_to_refresh() -> None:
    one = timer(can_refresh=False, use=Use.ALWAYS)
    one.on_answer(response(200, expires(1800, b"uac")))
    assert one.next(0.0) is None
    one.on_answer(response(200))
    assert one.next(0.0) is None


def test_an_interval_below_the_least_of_the_rfc_does_not_make_us_send_without_end() -> None:
    one = timer()
    one.on_answer(response(200, expires(1, b"uac")))
    assert one.next(0.0) == (Wait.REFRESH, 45.0)


def test_a_refresh_says_the_interval_and_the_roles_as_they_are() -> None:
    one = timer(refresher=Refresher.PEER)
    one.on_answer(response(200, expires(600, b"uac")))
    assert one.request_head() == expires(600, b"uac") + b"\r\n"
    one.on_answer(response(200, expires(700, b"uas")))
    assert one.request_head() == expires(700, b"uas") + b"\r\n"


# Our refresh and what becomes of it


def test_a_refresh_without_an_answer_ends_the_session_before_it_expires() -> None:
    one = timer()
    one.on_answer(response(200, expires(1800, b"uac")))
    one.next(0.0)
    one.refreshing()
    assert one.state is State.REFRESHING
    assert one.next(900.0) == (Wait.EXPIRE, 868.0)


def test_a_refresh_that_is_answered_begins_the_interval_anew() -> None:
    one = timer()
    one.on_answer(response(200, expires(1800, b"uac")))
    one.next(0.0)
    one.refreshing()
    one.on_answer(response(200, expires(1800, b"uac")))
    assert one.next(900.5) == (Wait.REFRESH, 900.0)


def test_the_interval_may_change_with_a_refresh_and_so_may_the_roles() -> None:
    one = timer()
    one.on_answer(response(200, expires(1800, b"uac")))
    one.next(0.0)
    one.refreshing()
    one.on_answer(response(200, expires(300, b"uas")))
    assert one.next(900.0) == (Wait.EXPIRE, 268.0)


def test_a_refused_refresh_is_tried_again_a_few_times_then_the_session_ends() -> None:
    one = timer()
    one.on_answer(response(200, expires(1800, b"uac")))
    now = 0.0
    tries = []
    while True:
        due = one.next(now)
        assert due is not None
        wait, seconds = due
        now += seconds
        if wait is Wait.EXPIRE:
            break
        tries.append(now)
        one.refreshing()
        one.refused(now + 0.1)
    assert now == 1768.0
    assert tries[0] == 900.0
    assert all(later - earlier >= 10.0 for earlier, later in itertools.pairwise(tries))
    assert 5 <= len(tries) <= 10


def test_a_refresh_that_cannot_be_sent_now_is_put_off() -> None:
    one = timer()
    one.on_answer(response(200, expires(90, b"uac")))
    one.next(0.0)
    one.refused(45.0)
    assert one.next(45.0) == (Wait.REFRESH, 10.0)
    one.refused(55.0)
    assert one.next(55.0) == (Wait.EXPIRE, 5.0)


# 422


def test_a_422_raises_what_we_ask_for() -> None:
    one = timer(expires_s=120)
    assert one.too_small(response(422, b"Min-SE: 600"))
    assert one.request_head() == b"Session-Expires: 600\r\nMin-SE: 600\r\n"


def test_a_422_to_a_refresh_raises_it_too() -> None:
    one = timer()
    one.on_answer(response(200, expires(300, b"uac")))
    assert one.too_small(response(422, b"Min-SE: 900;x=y"))
    assert one.request_head() == b"Session-Expires: 900;refresher=uac\r\nMin-SE: 900\r\n"


@pytest.mark.parametrize(
    "lines", [(), (b"Min-SE: 1800",), (b"Min-SE: soon",), (b"Min-SE: 4000000000",)]
)
def test_a_422_that_would_change_nothing_does_not_help(lines) -> None:
    one = timer()
    assert not one.too_small(response(422, *lines))
    assert one.request_head() == b"Session-Expires: 1800\r\n"


def test_who_answers_422_again_and_again_is_left() -> None:
    one = timer(expires_s=90)
    heard = [one.too_small(response(422, b"Min-SE: %d" % (100 + n))) for n in range(9)]
    assert heard == [True] * 4 + [False] * 5


# They send the request


@pytest.mark.parametrize("asked", [b"", b"uac", b"uas"])
@pytest.mark.parametrize("wish", list(Refresher))
@pytest.mark.parametrize("supports", [True, False])
def test_who_refreshes_is_table_2(asked, wish, supports) -> None:
    one = timer(refresher=wish)
    lines = [expires(1800, asked)] + [SUPPORTED] * supports
    head = answered(one, *lines, peer_supports=supports)
    if not supports:
        expected = b"uas"
    elif asked:
        expected = asked
    else:
        expected = b"uas" if wish is Refresher.US else b"uac"
    assert b"refresher=" + expected in head
    assert one.state is (State.OURS if expected == b"uas" else State.THEIRS)


def test_a_peer_that_is_to_refresh_is_required_to_know_how() -> None:
    head = answered(timer(), expires(600, b"uac"), SUPPORTED)
    assert head == b"Require: timer\r\nSession-Expires: 600;refresher=uac\r\n"


def test_where_we_refresh_nothing_is_required() -> None:
    head = answered(timer(), expires(600, b"uas"), SUPPORTED)
    assert head == b"Session-Expires: 600;refresher=uas\r\n"


def test_our_interval_is_the_longest_that_we_agree_to() -> None:
    assert b"Session-Expires: 1800;" in answered(timer(), expires(7200), SUPPORTED)


def test_but_never_one_below_the_min_se_of_the_request() -> None:
    head = answered(timer(), expires(7200), b"Min-SE: 3600", SUPPORTED)
    assert b"Session-Expires: 3600;" in head


def test_an_interval_is_never_made_longer() -> None:
    assert b"Session-Expires: 300;" in answered(timer(), expires(300), SUPPORTED)


def test_a_request_without_the_header_gets_one_if_its_sender_knows_what_it_is() -> None:
    head = answered(timer(), SUPPORTED)
    assert head == b"Require: timer\r\nSession-Expires: 1800;refresher=uac\r\n"
    assert answered(timer(), b"Min-SE: 2000", SUPPORTED).startswith(
        b"Require: timer\r\nSession-Expires: 2000;"
    )


def test_a_request_of_a_peer_that_does_not_know_it_gets_none() -> None:
    one = timer()
    assert answered(one, peer_supports=False) == b""
    assert one.next(0.0) is None


def test_unless_the_trunk_says_always() -> None:
    one = timer(use=Use.ALWAYS)
    head = answered(one, peer_supports=False)
    assert head == b"Session-Expires: 1800;refresher=uas\r\n"
    assert one.next(0.0) == (Wait.REFRESH, 900.0)


def test_a_proxys_header_is_ours_to_keep_where_the_peer_does_not_know_it() -> None:
    one = timer()
    head = answered(one, expires(1200), peer_supports=False)
    assert head == b"Session-Expires: 1200;refresher=uas\r\n"


def test_an_interval_below_our_minimum_is_refused_where_the_peer_can_understand_it() -> None:
    refusal = timer(minimum_s=120).on_request(request(expires(100), SUPPORTED))
    assert refusal is not None
    assert (refusal.status, refusal.head) == (422, b"Min-SE: 120\r\n")
    again = timer().on_request(request(b"Session-Expires: 0", b"Require: x, TIMER"))
    assert again is not None
    assert again.head == b"Min-SE: 90\r\n"


def test_a_peer_that_cannot_understand_422_never_gets_it() -> None:
    one = timer(minimum_s=600)
    assert answered(one, expires(100), peer_supports=False) == expires(100, b"uas") + b"\r\n"
    assert answered(one, expires(10), peer_supports=False) == b""  # which no RFC allows


def test_a_refused_request_changes_nothing() -> None:
    one = timer(minimum_s=600)
    one.on_answer(response(200, expires(900, b"uas")))
    assert one.on_request(request(expires(100), SUPPORTED, method=b"UPDATE")) is not None
    assert one.answer_head(True) == b""
    assert (one.state, one.interval_s) == (State.THEIRS, 900)


def test_who_refreshed_goes_on_refreshing_where_a_request_leaves_it_open() -> None:
    one = timer()
    one.on_answer(response(200, expires(900, b"uac")))
    assert b"refresher=uas" in answered(one, expires(900), SUPPORTED, method=b"UPDATE")
    one.refreshing()
    assert b"refresher=uas" in answered(one, expires(900), SUPPORTED, method=b"UPDATE")


def test_who_cannot_refresh_leaves_it_to_the_peer() -> None:
    head = answered(timer(can_refresh=False, refresher=Refresher.US), expires(900), SUPPORTED)
    assert b"refresher=uac" in head


def test_who_cannot_refresh_and_would_have_to_agrees_to_no_timer() -> None:
    one = timer(can_refresh=False)
    assert answered(one, expires(900, b"uas"), SUPPORTED) == b""
    assert answered(one, expires(900), peer_supports=False) == b""
    assert one.state is State.OFF


@pytest.mark.parametrize("value", [b"soon", b"", b"-5", b"99999999999", b"5,6"])
def test_a_header_that_cannot_be_read_counts_as_none(value) -> None:
    assert answered(timer(), b"Session-Expires: " + value, peer_supports=False) == b""


@pytest.mark.parametrize(
    ("params", "word"),
    [(b";x;refresher=uas", b"uas"), (b";refresher=both", b"uac"), (b";refresher", b"uac")],
)
def test_parameters_that_mean_nothing_here_are_passed_over(params, word) -> None:
    head = answered(timer(), b"Session-Expires: 600" + params, SUPPORTED)
    assert b"refresher=" + word in head


def test_a_trunk_without_session_timers_says_and_hears_nothing_of_them() -> None:
    one = timer(use=Use.NEVER)
    assert one.request_head() == b""
    assert answered(one, expires(10), SUPPORTED) == b""
    one.on_answer(response(200, expires(900, b"uac")))
    assert one.next(0.0) is None


# Whatever is said


_LINES = st.lists(
    st.one_of(
        st.builds(
            lambda name, value, word: b"%b: %b%b" % (name, value, word),
            st.sampled_from([b"Session-Expires", b"Min-SE", b"x"]),
            st.sampled_from([b"0", b"1", b"89", b"90", b"600", b"1800", b"4294967295", b"?", b""]),
            st.sampled_from([b"", b";refresher=uac", b";refresher=uas", b";;=", b";refresher=x"]),
        ),
        st.sampled_from([SUPPORTED, b"Require: timer", b"Supported:"]),
    ),
    max_size=3,
)
_STEPS = st.lists(
    st.tuples(st.sampled_from(["answer", "request", "422", "sent", "refused"]), _LINES),
    max_size=12,
)


@given(
    steps=_STEPS,
    wish=st.sampled_from(list(Refresher)),
    use=st.sampled_from(list(Use)),
    can=st.booleans(),
)
def test_any_sequence_leaves_a_timer_that_fires_neither_at_once_nor_never(
    steps, wish, use, can
) -> None:
    one = timer(can_refresh=can, refresher=wish, use=use)
    now = 0.0
    for step, lines in steps:
        now += 1.0
        if step == "answer":
            one.on_answer(response(200, *lines))
        elif step == "422":
            one.too_small(response(422, *lines))
        elif step == "request":
            if one.on_request(request(*lines)) is None:
                head = one.answer_head(any(b"timer" in line for line in lines))
                assert (head != b"") == (one.state is not State.OFF)
        elif step == "sent":
            one.refreshing()
        else:
            one.refused(now)
        due = one.next(now)
        assert (due is None) == (one.interval_s == 0) == (one.state is State.OFF)
        if due is not None:
            assert 0.0 <= due[1] <= max(one.interval_s, 86_400)
            assert use is not Use.NEVER
        if one.state in (State.OURS, State.REFRESHING):
            assert can
        asked = one.request_head()
        assert (asked == b"") == (use is Use.NEVER)
