"""What each leg is told that we can do, and what we believe of its peer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policies.settings import Refer, SessionTimerSettings, Shield, TrunkSettings, Use
from sbc.call.legs.capabilities import (
    UNKNOWN,
    _cached,
    head_for,
    may_send,
    options_head,
    unsupported,
)
from sbc.sip.parser import parse
from tests.call.messages import request, response

TRUNK = TrunkSettings(name="t", realm="r", peers=(), sources=(), refer=Refer.EXECUTE)
NO_TIMER = replace(TRUNK, session_timer=SessionTimerSettings(use=Use.NEVER))


def shielded(*from_what, **changes):
    return replace(TRUNK, shield=frozenset(from_what), **changes)


def told(head, name):
    """The members of one line of ours."""
    message = parse(
        b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n"
        b"From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n"
        b"%b\r\n" % head
    )
    return message.values(name)


TRANSFERS = (b"replaces", b"norefersub")


def learnt(*messages):
    peer = UNKNOWN
    for message in messages:
        peer = peer.after(message)
    return peer


# What we say


def test_an_invite_offers_all_that_we_have() -> None:
    head = head_for(TRUNK, initial=True)
    assert {b"PRACK", b"UPDATE", b"BYE"} <= set(told(head, b"allow"))
    assert told(head, b"supported") == [b"100rel", b"timer", *TRANSFERS]
    assert told(head, b"require") == []


def test_100rel_belongs_to_an_invite_that_begins_a_call() -> None:
    assert told(head_for(TRUNK, initial=False), b"supported") == [b"timer", *TRANSFERS]


def test_a_peer_that_is_shielded_from_prack_never_hears_of_it() -> None:
    head = head_for(shielded(Shield.PRACK), initial=True)
    assert b"PRACK" not in head
    assert b"100rel" not in head


@pytest.mark.parametrize(
    ("shield", "method"), [(Shield.UPDATE, b"UPDATE"), (Shield.REFER, b"REFER")]
)
def test_what_a_peer_is_shielded_from_is_not_allowed(shield, method) -> None:
    assert method not in told(head_for(shielded(shield), initial=True), b"allow")


def test_who_is_shielded_from_reinvite_still_gets_invites() -> None:
    assert b"INVITE" in told(head_for(shielded(Shield.REINVITE), initial=True), b"allow")


def test_reliable_always_requires_it_of_whom_we_call() -> None:
    trunk = replace(TRUNK, reliable=Use.ALWAYS)
    assert told(head_for(trunk, initial=True), b"require") == [b"100rel"]
    assert b"Require" not in head_for(trunk, initial=False)


def test_what_a_trunk_never_uses_is_not_offered() -> None:
    assert told(head_for(replace(TRUNK, reliable=Use.NEVER), initial=True), b"supported") == [
        b"timer",
        *TRANSFERS,
    ]
    assert told(head_for(NO_TIMER, initial=True), b"supported") == [b"100rel", *TRANSFERS]
    none = replace(NO_TIMER, reliable=Use.NEVER, refer=Refer.REFUSE)
    assert told(head_for(none, initial=True), b"supported") == [b"replaces"]
    assert b"REFER" not in told(head_for(none, initial=True), b"allow")


def test_options_are_answered_with_all_of_it() -> None:
    head = options_head(TRUNK)
    assert told(head, b"supported") == [b"100rel", b"timer", *TRANSFERS]
    assert told(head, b"accept") == [b"application/sdp"]
    assert b"INVITE" in told(head, b"allow")
    assert b"100rel" not in options_head(shielded(Shield.PRACK))
    assert {b"MESSAGE", b"PUBLISH", b"SUBSCRIBE", b"NOTIFY"} <= set(told(head, b"allow"))


# What a peer requires of us


def test_what_we_have_may_be_required() -> None:
    assert unsupported(request(), TRUNK) == b""
    assert unsupported(request(b"Require: 100rel", b"Require: TIMER,"), TRUNK) == b""


def test_what_we_lack_is_named() -> None:
    asked = request(b"Require: x-magic, 100rel", b"Require: ,y")
    assert unsupported(asked, TRUNK) == b"Unsupported: x-magic, y\r\n"


def test_what_this_trunk_does_without_is_named_too() -> None:
    assert unsupported(request(b"Require: 100rel"), shielded(Shield.PRACK)) == (
        b"Unsupported: 100rel\r\n"
    )
    assert unsupported(request(b"Require: timer"), NO_TIMER) == b"Unsupported: timer\r\n"


@pytest.mark.parametrize("line", [b'Require: "100rel', b"Require: <", b"Require:"])
def test_a_line_that_is_no_list_of_tags_raises_nothing(line) -> None:
    unsupported(request(line), TRUNK)


def test_proxies_requirements_are_not_ours() -> None:
    assert unsupported(request(b"Proxy-Require: x"), TRUNK) == b""


# What a peer has shown


def test_a_peer_that_has_said_nothing_is_not_known() -> None:
    peer = learnt(request())
    assert peer.allows(b"UPDATE") is None
    assert not peer.supports(b"timer")


def test_a_peer_is_taken_at_its_word() -> None:
    peer = learnt(request(b"Allow: INVITE, UPDATE", b"Allow: BYE", b"k: Timer,100REL"))
    assert peer.allows(b"UPDATE") is True
    assert peer.allows(b"BYE") is True
    assert peer.allows(b"PRACK") is False
    assert peer.allows(b"update") is False  # methods have their case, RFC 3261 §7.1
    assert peer.supports(b"timer")
    assert peer.supports(b"100rel")


def test_what_is_required_is_there() -> None:
    assert learnt(response(200, b"Require: timer")).supports(b"timer")
    assert learnt(response(183, b"Require: 100rel", b"RSeq: 1")).supports(b"100rel")


def test_tags_that_mean_nothing_to_us_are_not_kept() -> None:
    peer = learnt(*[request(b"Require: x-%d" % number) for number in range(50)])
    assert not peer._required


def test_later_words_replace_earlier_ones_and_silence_changes_nothing() -> None:
    peer = learnt(request(b"Allow: UPDATE", b"Supported: timer"), request())
    assert peer.allows(b"UPDATE") is True
    assert peer.supports(b"timer")
    peer = peer.after(request(b"Allow: INVITE", b"Supported:"))
    assert peer.allows(b"UPDATE") is False
    assert not peer.supports(b"timer")


def test_a_long_line_is_read_but_not_remembered_for_others() -> None:
    before = _cached.cache_info().currsize
    peer = learnt(request(b"Allow: INVITE, " + b", ".join([b"X%d" % n for n in range(500)])))
    assert peer.allows(b"X499") is True
    assert _cached.cache_info().currsize == before


# What may be sent


@pytest.mark.parametrize(
    ("method", "said", "expected"),
    [
        (b"UPDATE", (), False),
        (b"UPDATE", (b"Allow: INVITE, UPDATE",), True),
        (b"UPDATE", (b"Allow: INVITE",), False),
        (b"REFER", (), False),
        (b"REFER", (b"Allow: REFER",), True),
        (b"INFO", (), True),
        (b"INFO", (b"Allow: INVITE",), False),
        (b"INVITE", (), True),
        (b"INVITE", (b"Allow: BYE",), True),
        (b"PRACK", (b"Allow: BYE",), True),
    ],
)
def test_what_may_be_sent_to_a_peer_that_has_said_this(method, said, expected) -> None:
    assert may_send(TRUNK, learnt(request(*said)), method) is expected


def test_nothing_is_known_of_a_peer_that_is_not_there() -> None:
    assert not may_send(TRUNK, UNKNOWN, b"UPDATE")
    assert may_send(TRUNK, UNKNOWN, b"INFO")


@pytest.mark.parametrize(
    ("shield", "method"),
    [
        (Shield.PRACK, b"PRACK"),
        (Shield.UPDATE, b"UPDATE"),
        (Shield.REINVITE, b"INVITE"),
        (Shield.REFER, b"REFER"),
    ],
)
def test_nothing_that_a_peer_is_shielded_from_is_sent_to_it(shield, method) -> None:
    peer = learnt(request(b"Allow: INVITE, PRACK, UPDATE, REFER"))
    assert may_send(TRUNK, peer, method)
    assert not may_send(shielded(shield), peer, method)


def test_thousands_of_trunks_each_get_their_own_lines() -> None:
    trunks = [shielded(*([Shield.UPDATE] * (number % 2))) for number in range(1100)]
    for trunk in trunks + trunks:
        told_update = b"UPDATE" in head_for(trunk, initial=False)
        assert told_update is (Shield.UPDATE not in trunk.shield)
