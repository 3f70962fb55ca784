"""Transfers between calls that are up (RFC 5589 §7), and INVITE with Replaces (RFC 3891)."""

from __future__ import annotations

from typing import Any

import pytest

from sbc.call.cdr import Cause
from sbc.sip.message import Request, Response
from sbc.sip.parser import parse
from tests.call.lab import CARRIER, PBX, SDP_A, SDP_B, Lab, Side, settings
from tests.call.test_transfers import ANSWER, answer_notifies, is_invite, kinds, sipfrags

ANSWER_C = ANSWER.replace(b"6000", b"7000")


def up(lab: Lab, call: str, source: tuple[str, int], tag: str) -> tuple[Side, Side]:
    """One more call that is up; its caller and its target."""
    body = SDP_A if source == PBX else SDP_B
    there = CARRIER if source == PBX else PBX
    lab.give(lab.invite(source=source, call=call, body=body), source)
    lab.take(source[0]) if source[0] != there[0] else None
    invite = next(one for one in lab.take(there[0]) if is_invite(one))
    lab.answer(
        invite,
        200,
        body=SDP_B if source == PBX else SDP_A,
        source=there,
        tag=tag,
        contact=b"<sip:x@%b:5060>" % there[0].encode(),
    )
    heard = lab.take()
    success = next(one for one in heard if isinstance(one, Response) and one.status == 200)
    lab.give(lab.in_dialog(b"ACK", success, 1, source=source), source)
    assert not lab.sent
    return Side(lab, success, source, 1), Tagged(lab, invite, there, tag)


class Tagged(Side):
    """A called party whose To-tag is not the usual one."""

    def __init__(self, lab: Lab, of: Request, address: tuple[str, int], tag: str) -> None:
        super().__init__(lab, of, address, 0)
        self.tag = tag

    def ask(self, method: bytes, body: bytes = b"", extra: bytes = b"", **other: Any) -> bytes:
        return super().ask(method, body, extra, tag=self.tag, **other)

    def answer(self, request: Request, status: int, body: bytes = b"", extra: bytes = b"") -> None:
        super().answer(request, status, body, extra)


def tags(side: Side) -> tuple[bytes, bytes, bytes]:
    """Call-ID, our tag and the peer's in a side's dialog."""
    of = side.of
    if isinstance(of, Response):
        return of.call_id, of.to_tag, of.from_tag
    assert isinstance(side, Tagged)
    return of.call_id, of.from_tag, side.tag.encode()


def heard(side: Side) -> list[Any]:
    """What this party was told, in its own dialog."""
    lab, mine = side.lab, side.of.call_id
    kept = [(hop, data) for hop, data in lab.sent if b"\r\nCall-ID: " + mine in data]
    lab.sent = [one for one in lab.sent if one not in kept]
    return [parse(data) for _, data in kept]


def refer_to(side: Side) -> bytes:
    """A Refer-To with the Replaces that names this side's dialog."""
    call_id, ours, theirs = (one.replace(b"@", b"%40") for one in tags(side))
    return b"Refer-To: <sip:4930999@10.0.0.1?Replaces=%b%%3Bto-tag%%3D%b%%3Bfrom-tag%%3D%b>\r\n" % (
        call_id,
        ours,
        theirs,
    )


class Attended:
    """Two calls of the PBX's: `t1` with `r`, and `t2` with `c`; the REFER is sent."""

    def __init__(self, lab: Lab, ways: str = "aa", extra: bytes = b"") -> None:
        self.lab = lab
        parties = []
        for index, way in enumerate(ways):
            source = PBX if way == "a" else CARRIER
            caller, called = up(lab, f"call-{index}", source, f"tag-{index}")
            parties.append((caller, called) if way == "a" else (called, caller))
        (self.t1, self.r), (self.t2, self.c) = parties
        self.calls = list(lab.border.calls)
        self.t1.ask(b"REFER", extra=refer_to(self.t2) + extra)

    def news(self) -> list[bytes]:
        told = heard(self.t1)
        answer_notifies(self.t1, told)
        return [line for line, _ in sipfrags(told)]

    def asked(self, side: Side) -> Request:
        """Our re-INVITE to this party."""
        (again,) = heard(side)
        assert again.method == b"INVITE"
        return again

    def over(self) -> list[Any]:
        self.lab.assert_nothing_left()
        assert not self.lab.border.core.counters["crashed"]
        return self.lab.border.core.records


WAYS = pytest.mark.parametrize("ways", ["aa", "ab", "ba", "bb"])


def talk(one: Side, other: Side) -> None:
    """They talk: what one asks the other hears, and a BYE ends it."""
    one.ask(b"INFO", b"Signal=1", b"Content-Type: application/dtmf-relay\r\n")
    (info,) = heard(other)
    assert info.method == b"INFO"
    other.answer(info, 200)
    assert kinds(heard(one)) == [200]
    one.ask(b"BYE")
    assert kinds(heard(one)) == [200]
    (bye,) = heard(other)
    assert bye.method == b"BYE"
    other.answer(bye, 200)


@WAYS
def test_the_other_parties_of_two_calls_are_joined(ways: str) -> None:
    lab = Lab()
    it = Attended(lab, ways)
    told = heard(it.t1)
    assert kinds(told) == [202, b"NOTIFY"]
    answer_notifies(it.t1, told)
    turned = it.asked(it.c)
    assert not heard(it.r)
    it.c.answer(turned, 200, body=ANSWER_C)
    assert kinds(heard(it.c)) == [b"ACK"]
    joined = it.asked(it.r)
    it.r.answer(joined, 200, body=ANSWER)
    assert kinds(heard(it.r)) == [b"ACK"]
    assert it.news() == [b"SIP/2.0 200 OK"]
    stream = lab.plans[-1][1].streams[0]
    assert (stream.a.realm, stream.b.realm) == ("outside", "outside")
    assert {stream.a.remote, stream.b.remote} == {("10.1.0.2", 6000), ("10.1.0.2", 7000)}
    it.t1.ask(b"BYE")
    assert kinds(heard(it.t1)) == [200]
    lab.wait(6.0)
    assert b"BYE" in kinds(heard(it.t2))
    talk(it.r, it.c)
    records = it.over()
    old = [one for one in records if one.call in it.calls]
    (new,) = [one for one in records if one.call not in it.calls]
    assert [one.cause for one in old] == [Cause.TRANSFERRED] * 2
    assert new.transferred_from == it.calls[0]
    assert new.cause is Cause.NORMAL


@WAYS
def test_a_transferor_that_leaves_both_calls_at_once(ways: str) -> None:
    lab = Lab()
    it = Attended(lab, ways)
    it.t1.ask(b"BYE")
    it.t2.ask(b"BYE")
    lab.take(PBX[0])
    turned = it.asked(it.c)
    it.c.answer(turned, 200, body=ANSWER_C)
    heard(it.c)
    it.r.answer(it.asked(it.r), 200, body=ANSWER)
    heard(it.r)
    assert not lab.sent
    talk(it.c, it.r)
    it.over()


@WAYS
@pytest.mark.parametrize("left", [False, True])
def test_the_consulted_party_refuses(ways: str, left: bool) -> None:
    lab = Lab()
    it = Attended(lab, ways)
    if left:
        it.t2.ask(b"BYE")
        heard(it.t2)
    it.c.answer(it.asked(it.c), 488)
    assert kinds(heard(it.c)) == ([b"ACK", b"BYE"] if left else [b"ACK"])
    assert it.news()[-1] == b"SIP/2.0 488 Not Acceptable Here"
    assert not heard(it.r)
    if not left:
        talk(it.t2, it.c)
    talk(it.t1, it.r)
    it.over()


@WAYS
def test_who_stays_refuses_and_the_consulted_party_hears_of_the_transferor_again(ways: str) -> None:
    lab = Lab()
    it = Attended(lab, ways)
    before = lab.plans[-1][1].streams[0]
    port = before.b.port if ways[1] == "a" else before.a.port
    it.c.answer(it.asked(it.c), 200, body=ANSWER_C)
    heard(it.c)
    it.r.answer(it.asked(it.r), 488)
    assert kinds(heard(it.r)) == [b"ACK"]
    back = it.asked(it.c)
    assert b"m=audio %d " % port in back.body
    it.c.answer(back, 200, body=ANSWER_C)
    assert kinds(heard(it.c)) == [b"ACK"]
    assert it.news()[-1] == b"SIP/2.0 488 Not Acceptable Here"
    talk(it.t2, it.c)
    talk(it.r, it.t1)
    it.over()


@pytest.mark.parametrize("who", ["r", "c"])
@pytest.mark.parametrize("step", [0, 1])
def test_a_party_is_gone_before_they_are_joined(who: str, step: int) -> None:
    lab = Lab()
    it = Attended(lab)
    turned = it.asked(it.c)
    if step:
        it.c.answer(turned, 200, body=ANSWER_C)
        heard(it.c)
    side: Side = getattr(it, who)
    side.ask(b"BYE")
    assert 200 in kinds(heard(side))
    lab.wait(40.0, 0.1)
    for one in ("r", "c"):
        if one != who:
            getattr(it, one).ask(b"BYE")
    it.over()


@pytest.mark.parametrize(
    "replaces",
    [
        b"nobody%40nowhere%3Bto-tag%3Dx%3Bfrom-tag%3Dy",
        b"call-0%4010.0.0.2%3Bto-tag%3Dx%3Bfrom-tag%3Dalice-tag",
    ],
)
def test_a_dialog_that_is_none_of_ours(replaces: bytes) -> None:
    lab = Lab()
    t, r = up(lab, "call-0", PBX, "tag-0")
    t.ask(b"REFER", extra=b"Refer-To: <sip:1@h?Replaces=%b>\r\n" % replaces)
    told = heard(t)
    answer_notifies(t, told)
    assert told[0].status == 202
    assert sipfrags(told)[-1][0].startswith(b"SIP/2.0 481")
    assert not heard(r)
    talk(t, r)
    lab.assert_nothing_left()


def test_a_dialog_of_another_trunk_cannot_be_taken() -> None:
    lab = Lab()
    t, r = up(lab, "call-0", PBX, "tag-0")
    _, c = up(lab, "call-1", PBX, "tag-1")
    t.ask(b"REFER", extra=refer_to(c))  # a dialog of the carrier's
    told = heard(t)
    answer_notifies(t, told)
    assert sipfrags(told)[-1][0].startswith(b"SIP/2.0 481")
    talk(r, t)
    c.ask(b"BYE")
    lab.assert_nothing_left()


# INVITE with Replaces


def replacing(lab: Lab, side: Side, source: tuple[str, int], extra: bytes = b"") -> bytes:
    """An INVITE that takes this side's place."""
    call_id, ours, theirs = tags(side)
    line = b"Replaces: %b;to-tag=%b;from-tag=%b%b\r\n" % (call_id, ours, theirs, extra)
    body = SDP_A if source == PBX else SDP_B
    data = lab.invite(source=source, call="pick", body=body, extra=b"Require: replaces\r\n" + line)
    lab.give(data, source)
    return data


WHO = pytest.mark.parametrize("who", ["caller", "called"])


class Picked:
    """A call that is up, and an INVITE that takes the place of one party."""

    def __init__(self, lab: Lab, who: str, extra: bytes = b"") -> None:
        self.lab = lab
        caller, called = up(lab, "call-0", PBX, "tag-0")
        self.old, self.stays = (caller, called) if who == "caller" else (called, caller)
        self.source = self.old.address
        self.data = replacing(lab, self.old, self.source, extra)

    def told(self) -> list[Any]:
        """What the new party is told."""
        kept = [(hop, data) for hop, data in self.lab.sent if b"\r\nCall-ID: pick@" in data]
        self.lab.sent = [one for one in self.lab.sent if one not in kept]
        return [parse(data) for _, data in kept]


@WHO
def test_an_invite_takes_the_place_of_a_party(who: str) -> None:
    lab = Lab()
    it = Picked(lab, who)
    assert kinds(it.told()) == [100]
    (again,) = heard(it.stays)
    assert is_invite(again)
    it.stays.answer(again, 200, body=ANSWER)
    assert kinds(heard(it.stays)) == [b"ACK"]
    (success,) = it.told()
    assert success.status == 200
    lab.give(lab.in_dialog(b"ACK", success, 1, source=it.source), it.source)
    new = Side(lab, success, it.source, 1)
    lab.wait(6.0)
    assert b"BYE" in kinds(heard(it.old))
    talk(new, it.stays)
    lab.assert_nothing_left()
    first, second = lab.border.core.records
    assert (first.cause, second.cause) == (Cause.TRANSFERRED, Cause.NORMAL)
    assert second.transferred_from == first.call
    assert not lab.border.core.counters["crashed"]


@WHO
def test_who_stays_does_not_want_the_new_party(who: str) -> None:
    lab = Lab()
    it = Picked(lab, who)
    (again,) = heard(it.stays)
    it.stays.answer(again, 488)
    assert kinds(heard(it.stays)) == [b"ACK"]
    assert kinds(it.told()) == [100, 488]
    talk(it.old, it.stays)
    lab.assert_nothing_left()


@WHO
def test_the_new_party_gives_up(who: str) -> None:
    lab = Lab()
    it = Picked(lab, who)
    (again,) = heard(it.stays)
    it.stays.answer(again, 180)
    branch = it.data.partition(b"branch=")[2].partition(b"\r\n")[0]
    cancel = it.data.replace(b"INVITE", b"CANCEL").partition(b"Content-Type")[0]
    assert branch in cancel
    lab.give(cancel + b"Content-Length: 0\r\n\r\n", it.source)
    assert kinds(it.told()) == [100, 200, 487]
    (cancelled,) = heard(it.stays)
    assert cancelled.method == b"CANCEL"
    it.stays.answer(cancelled, 200)
    it.stays.answer(again, 200, body=ANSWER)  # too late: it is taken back
    ack, back = heard(it.stays)
    assert (ack.method, back.method) == (b"ACK", b"INVITE")
    it.stays.answer(back, 200, body=ANSWER)
    heard(it.stays)
    talk(it.old, it.stays)
    lab.assert_nothing_left()


@WHO
def test_the_replaced_party_hangs_up_meanwhile(who: str) -> None:
    lab = Lab()
    it = Picked(lab, who)
    (again,) = heard(it.stays)
    it.old.ask(b"BYE")
    assert kinds(heard(it.old)) == [200]
    it.stays.answer(again, 200, body=ANSWER)
    assert kinds(heard(it.stays)) == [b"ACK"]
    success = it.told()[-1]
    assert success.status == 200
    lab.give(lab.in_dialog(b"ACK", success, 1, source=it.source), it.source)
    talk(it.stays, Side(lab, success, it.source, 1))
    lab.assert_nothing_left()


def test_what_replaces_cannot_name() -> None:
    lab = Lab()
    caller, called = up(lab, "call-0", PBX, "tag-0")
    for line, status in (
        (b"Replaces: nobody;to-tag=a;from-tag=b\r\n", 481),
        (b"Replaces: nobody\r\n", 400),
        (b"Replaces: nobody;to-tag=a;to-tag=c;from-tag=b\r\n", 400),
        (b"Replaces: a;to-tag=a;from-tag=b\r\nReplaces: c;to-tag=a;from-tag=b\r\n", 400),
    ):
        lab.give(lab.invite(call=f"pick-{status}-{len(line)}", extra=line))
        assert kinds(lab.take(PBX[0]))[-1] == status
    replacing(lab, caller, PBX, b";early-only")
    assert kinds(lab.take(PBX[0]))[-1] == 486
    replacing(lab, called, PBX)  # another network's dialog
    assert kinds(lab.take(PBX[0]))[-1] == 481
    talk(caller, called)
    replacing(lab, caller, PBX)
    assert kinds(lab.take(PBX[0]))[-1] in (481, 603)
    lab.assert_nothing_left()


def test_transfers_in_a_row_are_counted() -> None:
    """Two numbers that refer a party to each other do so for a while."""
    lab = Lab(settings())
    t, r = up(lab, "call-0", PBX, "tag-0")
    refused = False
    for turn in range(8):
        t.ask(b"REFER", extra=b"Refer-To: <sip:%d@h>\r\n" % turn)
        told = heard(t)
        answer_notifies(t, told)
        if told[0].status == 482:
            refused = True
            break
        (invite,) = [one for one in lab.take(PBX[0]) if is_invite(one)]
        target = Tagged(lab, invite, PBX, "bob-tag")
        target.answer(invite, 200, body=ANSWER)
        heard(target)
        (again,) = heard(r)
        r.answer(again, 200, body=ANSWER)
        heard(r)
        t.ask(b"BYE")
        lab.take()
        t = target
    assert refused
    assert turn == 5
    talk(r, t)
    lab.assert_nothing_left()
