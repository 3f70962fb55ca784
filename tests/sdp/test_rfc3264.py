"""RFC 3264: who may offer and answer when, and the version of our `o=` line."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.errors import LocalProtocolError, RemoteProtocolError
from sbc.sdp.offer_answer import Negotiation, State
from sbc.sdp.parser import parse
from sbc.sdp.rewrite import Anchor

ANCHOR = Anchor("192.0.2.1", 40000)
OTHER = Anchor("192.0.2.1", 40002)


def sdp(*ports, version=1, extra=""):
    media = "".join(f"m=audio {port} RTP/AVP 0\r\n" for port in ports)
    return parse(
        f"v=0\r\no=- 9 {version} IN IP4 10.66.0.1\r\nc=IN IP4 10.66.0.1\r\n{extra}{media}".encode()
    )


def version(text):
    match = re.search(rb"\r\no=- ([0-9]+) ([0-9]+) IN", text)
    return int(match[1]), int(match[2])


def answered():
    leg = Negotiation(7, "192.0.2.1")
    leg.receive_offer(sdp(31000))
    leg.send_answer(sdp(31500), [ANCHOR])
    return leg


def test_the_leg_that_brought_the_call():
    leg = Negotiation(7, "192.0.2.1")
    assert leg.state is State.IDLE
    leg.receive_offer(sdp(31000))
    assert (leg.state, leg.we_offered) == (State.OFFER_RECEIVED, False)
    answer = leg.send_answer(sdp(31500), [ANCHOR])
    assert leg.state is State.STABLE
    assert version(answer) == (7, 1)
    assert leg.local == answer == leg.repeat()


def test_the_leg_that_carries_it_on():
    leg = Negotiation(8, "192.0.2.1")
    offer = leg.send_offer(sdp(31000), [ANCHOR])
    assert (leg.state, leg.we_offered) == (State.OFFER_SENT, True)
    assert version(offer) == (8, 1)
    assert leg.receive_answer(sdp(31500)) is True
    assert leg.state is State.STABLE


def test_delayed_offer():
    leg = Negotiation(8, "192.0.2.1")
    leg.receive_offer(sdp(31000))
    leg.send_answer(sdp(31500), [ANCHOR])
    leg.send_offer(sdp(31500, extra="a=sendonly\r\n"), [ANCHOR])
    leg.receive_answer(sdp(31000))
    assert leg.state is State.STABLE
    assert leg.we_offered


def test_the_same_words_keep_their_version_and_their_bytes():
    leg = Negotiation(7, "192.0.2.1")
    leg.receive_offer(sdp(31000))
    early = leg.send_answer(sdp(31500, version=1), [ANCHOR])
    final = leg.send_answer(sdp(31500, version=2), [ANCHOR])
    assert early == final


def test_other_words_get_the_next_version():
    leg = answered()
    assert version(leg.send_answer(sdp(31500), [OTHER])) == (7, 2)
    assert version(leg.send_offer(sdp(31500, extra="a=inactive\r\n"), [OTHER])) == (7, 3)


def test_the_answer_may_be_repeated_in_the_200():
    leg = Negotiation(8, "192.0.2.1")
    leg.send_offer(sdp(31000), [ANCHOR])
    assert leg.receive_answer(sdp(31500)) is True
    assert leg.receive_answer(sdp(31500, version=2)) is False
    assert leg.receive_answer(sdp(31502)) is True


def test_a_refused_offer_of_ours_leaves_what_was_before():
    leg = answered()
    before = leg.local
    refused = leg.send_offer(sdp(31500, extra="a=inactive\r\n"), [ANCHOR])
    assert version(refused) == (7, 2)
    leg.refused()
    assert (leg.state, leg.we_offered) == (State.STABLE, False)
    assert leg.local == before.replace(b"o=- 7 1 ", b"o=- 7 3 ")
    assert leg.send_offer(sdp(31500), [ANCHOR]) == leg.local
    leg.refused()
    assert version(leg.local) == (7, 3)
    assert version(leg.send_offer(sdp(31500, extra="a=sendonly\r\n"), [ANCHOR])) == (7, 4)


def test_a_refused_offer_of_theirs_leaves_what_was_before():
    leg = answered()
    remote = leg.remote
    leg.receive_offer(sdp(31000, 31002))
    leg.refused()
    assert (leg.state, leg.remote) == (State.STABLE, remote)
    leg.refused()
    assert leg.state is State.STABLE


def test_the_first_offer_refused():
    leg = Negotiation(8, "192.0.2.1")
    leg.send_offer(sdp(31000), [ANCHOR])
    leg.refused()
    assert (leg.state, leg.local, leg.remote) == (State.IDLE, b"", None)
    assert version(leg.send_offer(sdp(31000), [ANCHOR])) == (8, 2)


def test_glare_and_haste():
    leg = answered()
    leg.send_offer(sdp(31500), [OTHER])
    with pytest.raises(RemoteProtocolError) as refused:
        leg.receive_offer(sdp(31000))
    assert refused.value.status == 491
    leg.refused()
    leg.receive_offer(sdp(31000))
    with pytest.raises(RemoteProtocolError) as refused:
        leg.receive_offer(sdp(31000))
    assert refused.value.status == 500


def test_an_answer_to_nothing():
    with pytest.raises(RemoteProtocolError):
        Negotiation(7, "192.0.2.1").receive_answer(sdp(31000))
    with pytest.raises(RemoteProtocolError):
        answered().receive_answer(sdp(31000))


def test_our_own_mistakes():
    leg = Negotiation(7, "192.0.2.1")
    with pytest.raises(LocalProtocolError):
        leg.send_answer(sdp(31000), [ANCHOR])
    leg.send_offer(sdp(31000), [ANCHOR])
    with pytest.raises(LocalProtocolError):
        leg.send_offer(sdp(31000), [ANCHOR])
    leg.receive_answer(sdp(31500))
    with pytest.raises(LocalProtocolError):
        leg.send_answer(sdp(31000), [ANCHOR])
    with pytest.raises(LocalProtocolError):
        leg.send_offer(sdp(), [])
    assert leg.state is State.STABLE


@pytest.mark.parametrize("ports", [(), (31500, 31502)])
def test_an_answer_has_as_many_m_lines_as_the_offer(ports):
    leg = Negotiation(8, "192.0.2.1")
    leg.send_offer(sdp(31000), [ANCHOR])
    with pytest.raises(RemoteProtocolError) as refused:
        leg.receive_answer(sdp(*ports))
    assert refused.value.status == 502
    assert leg.state is State.OFFER_SENT
    other = Negotiation(7, "192.0.2.1")
    other.receive_offer(sdp(31000))
    with pytest.raises(LocalProtocolError):
        other.send_answer(sdp(*ports), [ANCHOR] * len(ports))
    assert other.state is State.OFFER_RECEIVED


def test_an_offer_never_has_fewer_m_lines_than_before():
    leg = Negotiation(7, "192.0.2.1")
    leg.receive_offer(sdp(31000, 31002))
    leg.send_answer(sdp(31500, 0), [ANCHOR, None])
    with pytest.raises(RemoteProtocolError) as refused:
        leg.receive_offer(sdp(31000))
    assert refused.value.status == 488
    assert leg.state is State.STABLE


def test_what_the_offer_disabled_stays_disabled_in_the_answer():
    leg = Negotiation(7, "192.0.2.1")
    leg.receive_offer(sdp(31000, 0))
    answer = parse(leg.send_answer(sdp(31500, 31502), [ANCHOR, OTHER]))
    assert [media.port for media in answer.media] == [40000, 0]


@pytest.mark.parametrize(
    ("offer", "unchanged"),
    [
        (sdp(31000), True),
        (sdp(31000, version=99), True),
        (sdp(31002), False),
        (sdp(31000, 31002), False),
        (sdp(31000, extra="a=sendonly\r\n"), False),
    ],
)
def test_unchanged_looks_past_the_version_alone(offer, unchanged):
    assert answered().unchanged(offer) is unchanged
    assert Negotiation(7, "192.0.2.1").unchanged(offer) is False


def test_another_session_is_a_change():
    text = b"v=0\r\no=- %d 1 IN IP4 10.66.0.1\r\nc=IN IP4 10.66.0.1\r\nm=audio 31000 RTP/AVP 0\r\n"
    assert answered().unchanged(parse(text % 9))
    assert not answered().unchanged(parse(text % 8))


def test_each_early_dialog_has_its_own_version():
    leg = Negotiation(7, "192.0.2.1")
    leg.receive_offer(sdp(31000))
    first, second = leg.fork(11), leg.fork(12)
    assert version(first.send_answer(sdp(31500), [ANCHOR])) == (11, 1)
    assert version(first.send_answer(sdp(31502), [OTHER])) == (11, 2)
    assert version(second.send_answer(sdp(31500), [ANCHOR])) == (12, 1)


def test_forks_of_an_offer_that_is_sent_share_its_number():
    leg = Negotiation(8, "192.0.2.1")
    offer = leg.send_offer(sdp(31000), [ANCHOR])
    with pytest.raises(LocalProtocolError):
        leg.fork(9)
    first, second = leg.fork(), leg.fork()
    first.receive_answer(sdp(31500))
    assert (first.state, second.state) == (State.STABLE, State.OFFER_SENT)
    assert second.local == offer


def test_it_survives_a_restart():
    leg = answered()
    again = Negotiation.from_state(leg.to_state())
    assert again.to_state() == leg.to_state()
    assert again.unchanged(sdp(31000, version=5))
    assert again.send_answer(sdp(31500), [ANCHOR]) == leg.local
    assert version(again.send_offer(sdp(31500), [OTHER])) == (7, 2)
    empty = Negotiation(1, "192.0.2.1").to_state()
    assert Negotiation.from_state(empty).to_state() == empty
    for key in empty:
        with pytest.raises(LocalProtocolError):
            Negotiation.from_state({**empty, key: None})


_step = st.sampled_from(
    ["send_offer", "receive_offer", "send_answer", "receive_answer", "refused", "fork", "restart"]
)


@given(st.lists(st.tuples(_step, st.integers(1, 3), st.integers(0, 2)), max_size=30))
def test_whatever_happens_the_version_only_grows_and_means_one_thing(steps):
    leg = Negotiation(7, "192.0.2.1")
    last, meanings = 0, {}
    for step, lines, direction in steps:
        session = sdp(*[31000] * lines, extra=("", "a=sendonly\r\n", "a=inactive\r\n")[direction])
        before = leg.state
        try:
            if step in ("send_offer", "send_answer"):
                text = getattr(leg, step)(session, [ANCHOR] * lines)
                number = version(text)[1]
                assert number >= last
                assert meanings.setdefault(number, text) == text
                last = number
                assert leg.local == text
            elif step == "refused":
                leg.refused()
                assert leg.local == b"" or version(leg.local)[1] == leg.version >= last
            elif step == "fork":
                leg = leg.fork()
            elif step == "restart":
                leg = Negotiation.from_state(leg.to_state())
            else:
                getattr(leg, step)(session)
        except (LocalProtocolError, RemoteProtocolError):
            assert leg.state is before


def test_an_older_description_is_offered_again_under_a_new_number():
    leg = answered()
    before = leg.local
    leg.send_offer(sdp(40000, 40002), [ANCHOR, ANCHOR])
    leg.receive_answer(sdp(31500, 31502))
    back = leg.offer_as_before(before)
    assert version(back) == (7, 3)
    assert back.split(b"\r\n")[2:-2] == before.split(b"\r\n")[2:-1]
    assert back.endswith(b"m=audio 0 RTP/AVP 0\r\n")  # never fewer m-lines than before
    assert (leg.state, leg.we_offered) == (State.OFFER_SENT, True)
    with pytest.raises(LocalProtocolError):
        leg.offer_as_before(before)
    leg.refused()
    assert leg.state is State.STABLE
