"""Transfers that the other side makes: `refer: pass`."""

from __future__ import annotations

from typing import Any

import pytest

from policies.settings import Refer
from sbc.sip.message import Response
from tests.call.lab import CARRIER, OUTSIDE, PBX, SDP_B, Lab, Side, settings
from tests.call.test_consulted import ANSWER, Tagged, heard, is_invite, kinds, refer_to, talk

ALLOW = b"Allow: INVITE, ACK, CANCEL, BYE, INFO, REFER, NOTIFY\r\n"


def passing(call: str = "call-1", lab: Lab | None = None, tag: str = "bob-tag") -> Any:
    """A call of a trunk whose REFERs go across; the border and both peers."""
    lab = lab or Lab(settings({"pbx": {"refer": Refer.PASS}}))
    invite = lab.called(call=call)
    lab.answer(invite, 200, body=SDP_B, extra=ALLOW, tag=tag)
    lab.take(CARRIER[0])
    success = lab.take_one(PBX[0])
    lab.give(lab.in_dialog(b"ACK", success, 1))
    return lab, Side(lab, success, PBX, 1), Tagged(lab, invite, CARRIER, tag)


def test_a_refer_goes_across_with_our_address_and_its_news_come_back() -> None:
    lab, a, b = passing()
    lines = b"Refer-To: <sip:4930777@secret.inside;user=phone>\r\nReferred-By: <sip:a@10.0.0.2>\r\n"
    a.ask(b"REFER", extra=lines)
    (refer,) = heard(b)
    assert refer.first(b"refer-to") == b"<sip:4930777@%b:5060>" % OUTSIDE.encode()
    assert refer.first(b"referred-by") == b"<sip:a@%b>" % OUTSIDE.encode()
    b.answer(refer, 202)
    assert kinds(heard(a)) == [202]
    fragment = b"SIP/2.0 180 Ringing\r\nContact: <sip:x@10.1.0.77>\r\n"
    news = b"Event: refer;id=%d\r\nSubscription-State: active;expires=60;x=10.1.0.77\r\n"
    kind = b"Content-Type: message/sipfrag;version=2.0\r\n"
    b.ask(b"NOTIFY", fragment, news % refer.cseq + kind)
    (notify,) = heard(a)
    assert notify.body.strip() == b"SIP/2.0 180 Ringing"
    assert notify.first(b"event") == b"refer;id=%d" % a.cseq
    assert notify.first(b"subscription-state") == b"active;expires=60"
    a.answer(notify, 200)
    assert kinds(heard(b)) == [200]
    done = b"Event: refer\r\nSubscription-State: terminated;reason=noresource\r\n"
    b.ask(b"NOTIFY", b"SIP/2.0 200 OK\r\n", done + kind)
    (notify,) = heard(a)
    assert notify.first(b"subscription-state") == b"terminated"
    a.answer(notify, 200)
    heard(b)
    talk(a, b)
    lab.assert_nothing_left()
    record = lab.record
    assert (record.transferred_by, record.transferred_to) == ("a", "4930777")
    assert record.transfer_status == 200


@pytest.mark.parametrize("status", [405, 603])
def test_a_refusal_of_the_other_side_comes_back(status: int) -> None:
    lab, a, b = passing()
    a.ask(b"REFER", extra=b"Refer-To: <sip:1@h>\r\n")
    (refer,) = heard(b)
    b.answer(refer, status)
    assert kinds(heard(a)) == [status]
    talk(b, a)
    lab.assert_nothing_left()


def test_a_side_that_does_not_take_refer_is_transferred_by_us() -> None:
    lab = Lab(settings({"pbx": {"refer": Refer.PASS}}))
    success, invite = lab.connected()
    a, b = Side(lab, success, PBX, 1), Tagged(lab, invite, CARRIER, "bob-tag")
    a.ask(b"REFER", extra=b"Refer-To: <sip:4930777@h>\r\n")
    assert kinds(heard(a)) == [202, b"NOTIFY"]
    assert not heard(b)
    b.ask(b"BYE")
    lab.assert_nothing_left()


def test_news_of_nothing_are_refused() -> None:
    lab, a, b = passing()
    b.ask(b"NOTIFY", extra=b"Event: refer\r\nSubscription-State: active\r\n")
    assert kinds(heard(b)) == [481]
    a.ask(b"REFER", extra=b"Refer-To: <sip:1@h>\r\n")
    (refer,) = heard(b)
    b.answer(refer, 202)
    for extra, status in (
        (b"Event: dialog\r\nSubscription-State: active\r\n", 481),
        (b"Event: refer\r\n", 400),
        (b"Event: refer\r\nSubscription-State: 10.1.0.77\r\n", 400),
    ):
        b.ask(b"NOTIFY", extra=extra)
        assert kinds(heard(b)) == [status]
    heard(a)
    talk(a, b)
    lab.assert_nothing_left()


def test_an_attended_transfer_made_by_the_other_side() -> None:
    """It names a dialog that it knows only from our REFER; nobody is named in it."""
    lab, t1, r = passing("one")
    _, t2, c = passing("two", lab, "c-tag")
    t1.ask(b"REFER", extra=refer_to(t2))
    (refer,) = heard(r)
    value = refer.first(b"refer-to") or b""
    assert b"alice" not in value
    assert b"c-tag" not in value
    r.answer(refer, 202)
    heard(t1)
    replaces = value.partition(b"?Replaces=")[2].rstrip(b">").replace(b"%3B", b";")
    line = b"Replaces: " + replaces.replace(b"%3D", b"=") + b"\r\n"
    lab.give(lab.invite(call="new", source=CARRIER, body=SDP_B, extra=line), CARRIER)
    (turned,) = [one for one in heard(c) if is_invite(one)]
    c.answer(turned, 200, body=ANSWER)
    heard(c)
    told = lab.take(CARRIER[0])
    success = next(one for one in told if isinstance(one, Response) and one.status == 200)
    lab.give(lab.in_dialog(b"ACK", success, 1, source=CARRIER), CARRIER)
    new = Side(lab, success, CARRIER, 1)
    lab.wait(6.0)
    assert b"BYE" in kinds(heard(t2))
    talk(new, c)
    t1.ask(b"BYE")
    lab.assert_nothing_left()
    assert not lab.border.core.counters["crashed"]


def test_a_dialog_that_the_transferor_does_not_have() -> None:
    lab, a, b = passing()
    a.ask(b"REFER", extra=b"Refer-To: <sip:1@h?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc>\r\n")
    assert kinds(heard(a)) == [481]
    forged = b"Replaces: x;to-tag=%b;from-tag=00000000\r\n" % (b.of.from_tag)
    lab.give(lab.invite(call="new", source=CARRIER, body=SDP_B, extra=forged), CARRIER)
    assert kinds(lab.take(CARRIER[0]))[-1] == 481
    talk(a, b)
    lab.assert_nothing_left()


def test_a_refer_before_the_call_is_acknowledged_comes_too_early() -> None:
    lab = Lab()
    invite = lab.called()
    lab.answer(invite, 200, body=SDP_B)
    lab.take()
    b = Tagged(lab, invite, CARRIER, "bob-tag")
    b.ask(b"REFER", extra=b"Refer-To: <sip:1@h>\r\n")
    (answer,) = heard(b)
    assert answer.status == 500
    assert answer.first(b"retry-after") is not None
    b.ask(b"BYE")
    lab.assert_nothing_left()


def test_other_news_cross_where_methods_says_so() -> None:
    lab = Lab(settings({"pbx": {"pass_methods": ("INFO", "NOTIFY")}}))
    success, invite = lab.connected()
    a, b = Side(lab, success, PBX, 1), Tagged(lab, invite, CARRIER, "bob-tag")
    a.ask(b"NOTIFY", extra=b"Event: talk\r\nSubscription-State: active\r\n")
    (notify,) = heard(b)
    assert notify.method == b"NOTIFY"
    b.answer(notify, 200)
    assert kinds(heard(a)) == [200]
    a.ask(b"BYE")
    b.ask(b"BYE")
    lab.assert_nothing_left()
