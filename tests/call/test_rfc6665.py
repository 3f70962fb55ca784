"""Subscriptions across the border: their dialogs, their forks and their ends."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from policies.settings import LimitSettings
from policies.users import CredentialSettings, Secret
from sbc.call.outside.pair import Carried, Pair
from sbc.call.outside.pair import Side as PairSide
from sbc.call.outside.pair_states import TABLE, Effect, Input, State
from sbc.call.outside.subscription import Notifiers, Subscribing
from sbc.sip.message import Request, Response
from sbc.transaction.hop import TCP, Hop
from tests.call.lab import BACKUP, CARRIER, PBX, Lab, Side, settings, statuses

ACTIVE = b"Subscription-State: active;expires=3600\r\n"
OVER = b"Subscription-State: terminated;reason=noresource\r\n"
EVENT = b"Event: dialog\r\n"
XML = b"Content-Type: application/dialog-info+xml\r\n"


def subscribe(
    event: bytes = EVENT, expires: int | None = 3600, extra: bytes = b"", call: bytes = b"lamp"
) -> bytes:
    """A SUBSCRIBE as the telephone inside sends it."""
    if expires is not None:
        extra += b"Expires: %d\r\n" % expires
    return (
        b"SUBSCRIBE sip:4930123456@10.0.0.1 SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bK-%b\r\n"
        b'From: "Alice" <sip:alice@10.0.0.2>;tag=alice-tag\r\nTo: <sip:4930123456@10.0.0.1>\r\n'
        b"Call-ID: %b@10.0.0.2\r\nCSeq: 1 SUBSCRIBE\r\nMax-Forwards: 70\r\n"
        b"Contact: <sip:alice@10.0.0.2:5060>\r\n%b%bContent-Length: 0\r\n\r\n"
    ) % (call, call, event, extra)


class Lamp:
    """A subscription that is up.

    Args:
        lab: the border.
        grants: seconds that the notifier grants; None: as many as were asked for.
    """

    def __init__(self, lab: Lab, grants: int | None = None, **changes: Any) -> None:
        self.lab = lab
        lab.give(subscribe(**changes))
        request = lab.take_one(CARRIER[0])
        assert isinstance(request, Request)
        self.request = request
        extra = b"" if grants is None else b"Expires: %d\r\n" % grants
        lab.answer(request, 200, extra=extra)
        answer = lab.take_one(PBX[0])
        assert answer.status == 200
        self.answer: Response = answer
        self.phone = Side(lab, answer, PBX, 1)
        self.server = Side(lab, request, CARRIER, 0)

    def notify(self, state: bytes = ACTIVE, body: bytes = b"", kind: bytes = XML) -> Request:
        """A NOTIFY, as the telephone gets it."""
        self.server.ask(b"NOTIFY", body, EVENT + state + (kind if body else b""))
        request = self.phone.hears()
        assert isinstance(request, Request)
        return request

    def told(self, status: int = 200, **changes: Any) -> None:
        """The same, answered by the telephone, which the server hears."""
        self.phone.answer(self.notify(**changes), status)
        assert self.server.hears().status == status

    @property
    def live(self) -> dict[str, int]:
        found = self.lab.border.status()["subscriptions"]
        assert isinstance(found, dict)
        return found


def test_a_subscription_lives_from_subscribe_to_the_last_notify() -> None:
    lab = Lab()
    lamp = Lamp(lab, grants=1800)
    assert lamp.request.uri == b"sip:4930123456@10.1.0.2:5060"
    assert lamp.request.first(b"event") == b"dialog"
    assert lamp.answer.first(b"expires") == b"1800"
    assert lamp.answer.call_id == b"lamp@10.0.0.2"
    lamp.told()
    lamp.phone.ask(b"SUBSCRIBE", extra=EVENT + b"Expires: 1200\r\n")
    refresh = lamp.server.hears()
    assert (refresh.first(b"expires"), refresh.cseq) == (b"1200", 2)
    lamp.server.answer(refresh, 200, extra=b"Expires: 1200\r\n")
    assert lamp.phone.hears().first(b"expires") == b"1200"
    assert lamp.live == {"pbx": 1}
    lamp.phone.ask(b"SUBSCRIBE", extra=EVENT + b"Expires: 0\r\n")
    lamp.server.answer(lamp.server.hears(), 200, extra=b"Expires: 0\r\n")
    assert lamp.phone.hears().status == 200
    lamp.told(state=OVER)
    assert lamp.live == {}
    lab.assert_nothing_left()


def test_nothing_of_one_side_is_told_the_other() -> None:
    lab = Lab()
    lamp = Lamp(
        lab, extra=b"Accept: application/dialog-info+xml\r\nUser-Agent: secret 10.0.0.2\r\n"
    )
    body = (
        b'<dialog-info entity="sip:bob@10.1.0.2"><dialog id="7" call-id="x@10.1.0.9"'
        b' local-tag="tag1"><state>confirmed</state></dialog></dialog-info>'
    )
    request = lamp.notify(body=body)
    assert request.body.startswith(b'<dialog-info entity="sip:bob@10.0.0.1">')
    for message, other in (
        (lamp.request, b"10.0.0."),
        (request, b"10.1.0."),
        (lamp.answer, b"10.1."),
    ):
        data = b"".join(message.raw(name) for name in message.names()) + message.body
        assert other not in data
        assert b"secret" not in data
    assert b"tag1" not in request.body
    assert lamp.request.first(b"accept") == b"application/dialog-info+xml"
    again = lamp.notify(body=body)
    assert again.body == request.body  # names stay what they are
    assert lamp.request.call_id != request.call_id


class TestNotifyBeforeThe2xx:
    def test_makes_the_dialog(self) -> None:
        lab = Lab()
        lab.give(subscribe())
        request = lab.take_one(CARRIER[0])
        server = Side(lab, request, CARRIER, 0)
        server.ask(b"NOTIFY", b"", EVENT + ACTIVE)
        notify = lab.take_one(PBX[0])
        lab.answer(request, 200, extra=b"Expires: 3600\r\n")
        answer = lab.take_one(PBX[0])
        assert answer.to_tag == notify.from_tag
        assert lab.border.status()["subscriptions"] == {"pbx": 1}
        phone = Side(lab, answer, PBX, 1)
        phone.answer(notify, 200)
        assert server.hears().status == 200
        phone.ask(b"SUBSCRIBE", extra=EVENT)
        assert server.hears().cseq == 2

    def test_that_is_the_last_leaves_nothing(self) -> None:
        lab = Lab()
        lab.give(subscribe(expires=0))
        request = lab.take_one(CARRIER[0])
        server = Side(lab, request, CARRIER, 0)
        server.ask(b"NOTIFY", b"", EVENT + OVER)
        notify = lab.take_one(PBX[0])
        lab.answer(notify, 200, source=PBX)
        assert server.hears().status == 200
        lab.answer(request, 200, extra=b"Expires: 0\r\n")
        answer = lab.take_one(PBX[0])
        assert (answer.status, answer.to_tag) == (200, notify.from_tag)
        lab.assert_nothing_left()

    def test_is_a_sign_of_life_of_its_target(self) -> None:
        lab = Lab()
        lab.give(subscribe())
        request = lab.take_one(CARRIER[0])
        Side(lab, request, CARRIER, 0).ask(b"NOTIFY", b"", EVENT + ACTIVE)
        lab.wait(20.0, 0.1)
        assert lab.take(BACKUP[0]) == []


class TestForks:
    def test_have_a_dialog_each(self) -> None:
        lab = Lab()
        lamp = Lamp(lab)
        seen = {lamp.answer.to_tag}
        for number in (1, 2):
            lab.give(
                lab.in_dialog(
                    b"NOTIFY", lamp.request, 1, source=CARRIER, extra=EVENT + ACTIVE,
                    tag=f"fork-{number}",
                ),
                CARRIER,
            )  # fmt: skip
            notify = lab.take_one(PBX[0])
            seen.add(notify.from_tag)
            lamp.phone.answer(notify, 200)
            assert lab.take_one(CARRIER[0]).status == 200
        assert len(seen) == 3
        assert lamp.live == {"pbx": 3}

    def test_are_refused_once_the_time_for_them_is_over(self) -> None:
        lab = Lab()
        lamp = Lamp(lab)
        lab.wait(33.0, 0.1)
        late = lab.in_dialog(
            b"NOTIFY", lamp.request, 1, source=CARRIER, extra=EVENT + ACTIVE, tag="late"
        )
        lab.give(late, CARRIER)
        assert statuses(lab.take()) == [481]
        lamp.told()

    def test_cannot_be_made_without_end(self) -> None:
        lab = Lab()
        lamp = Lamp(lab)
        for number in range(60):
            lab.give(
                lab.in_dialog(
                    b"NOTIFY", lamp.request, 1, source=CARRIER, extra=EVENT + ACTIVE,
                    tag=f"fork-{number}",
                ),
                CARRIER,
            )  # fmt: skip
        assert lamp.live == {"pbx": 32}
        assert statuses(lab.take(CARRIER[0])).count(481) == 29


class TestEnds:
    def test_by_481_to_a_refresh(self) -> None:
        lab = Lab()
        lamp = Lamp(lab)
        lamp.phone.ask(b"SUBSCRIBE", extra=EVENT)
        lamp.server.answer(lamp.server.hears(), 481)
        assert lamp.phone.hears().status == 481
        assert lamp.live == {}
        lab.assert_nothing_left()

    def test_by_481_to_a_notify(self) -> None:
        """The telephone has been restarted."""
        lab = Lab()
        lamp = Lamp(lab)
        lamp.told(status=481)
        assert lamp.live == {}
        lab.assert_nothing_left()

    def test_not_by_a_refresh_that_fails_otherwise(self) -> None:
        lab = Lab()
        lamp = Lamp(lab)
        lamp.phone.ask(b"SUBSCRIBE", extra=EVENT + b"Expires: 5\r\n")
        lamp.server.answer(lamp.server.hears(), 423, extra=b"Min-Expires: 60\r\n")
        refusal = lamp.phone.hears()
        assert (refusal.status, refusal.first(b"min-expires")) == (423, b"60")
        lamp.told()

    def test_by_silence_of_the_subscriber(self) -> None:
        lab = Lab()
        lamp = Lamp(lab)
        lamp.server.ask(b"NOTIFY", b"", EVENT + ACTIVE)
        lab.wait(31.0, 0.1)
        assert statuses(lab.take(CARRIER[0])) == [504]
        assert lamp.live == {}
        lab.take()
        lamp.server.ask(b"NOTIFY", b"", EVENT + ACTIVE)
        assert lamp.server.hears().status == 481
        lab.assert_nothing_left()

    def test_by_time_where_nobody_says_anything(self) -> None:
        lab = Lab()
        lamp = Lamp(lab, grants=60)
        lab.wait(91.0, 0.5)
        assert lamp.live == {"pbx": 1}
        lab.wait(2.0, 0.5)
        notify = lab.take(PBX[0])[0]
        assert notify.first(b"subscription-state") == b"terminated;reason=timeout"
        assert notify.first(b"event") == b"dialog"
        lamp.phone.answer(notify, 200)
        assert lamp.live == {}
        lab.assert_nothing_left()

    def test_later_where_a_notify_or_a_refresh_says_so(self) -> None:
        lab = Lab()
        lamp = Lamp(lab, grants=60)
        lab.wait(50.0, 0.5)
        lamp.told(state=b"Subscription-State: active;expires=120\r\n")
        lab.wait(100.0, 0.5)
        lamp.phone.ask(b"SUBSCRIBE", extra=EVENT + b"Expires: 60\r\n")
        lamp.server.answer(lamp.server.hears(), 200, extra=b"Expires: 60\r\n")
        lamp.phone.hears()
        lab.wait(80.0, 0.5)
        assert lamp.live == {"pbx": 1}
        lab.wait(20.0, 0.5)
        assert lamp.live == {}

    def test_where_the_last_notify_never_comes(self) -> None:
        lab = Lab()
        lamp = Lamp(lab)
        lamp.phone.ask(b"SUBSCRIBE", extra=EVENT + b"Expires: 0\r\n")
        lamp.server.answer(lamp.server.hears(), 200, extra=b"Expires: 0\r\n")
        lamp.phone.hears()
        assert lamp.live == {"pbx": 1}
        lab.wait(33.0, 0.5)
        assert lamp.live == {}
        assert lab.take(PBX[0]) == []
        lab.assert_nothing_left()

    def test_without_its_body_if_that_cannot_cross(self) -> None:
        lab = Lab()
        lamp = Lamp(lab)
        notify = lamp.notify(state=OVER, body=b"10.1.0.2", kind=b"Content-Type: x/y\r\n")
        assert (notify.body, notify.first(b"content-type")) == (b"", None)
        assert lamp.live == {}


def test_a_refresh_that_crosses_a_notify_disturbs_neither() -> None:
    lab = Lab()
    lamp = Lamp(lab)
    lamp.server.ask(b"NOTIFY", b"", EVENT + ACTIVE)
    notify = lamp.phone.hears()
    lamp.phone.ask(b"SUBSCRIBE", extra=EVENT + b"Expires: 600\r\n")
    refresh = lamp.server.hears()
    lamp.server.answer(refresh, 200, extra=b"Expires: 600\r\n")
    assert lamp.phone.hears().cseq_method == b"SUBSCRIBE"
    lamp.phone.answer(notify, 200)
    assert lamp.server.hears().cseq_method == b"NOTIFY"
    assert lamp.live == {"pbx": 1}


def test_a_refresh_that_crosses_the_last_notify_is_481() -> None:
    lab = Lab()
    lamp = Lamp(lab)
    lamp.server.ask(b"NOTIFY", b"", EVENT + OVER)
    notify = lamp.phone.hears()
    lamp.phone.ask(b"SUBSCRIBE", extra=EVENT + b"Expires: 600\r\n")
    assert lamp.phone.hears().status == 481
    lamp.phone.answer(notify, 200)
    assert lamp.server.hears().status == 200
    lab.assert_nothing_left()


def test_a_lost_answer_is_given_again() -> None:
    lab = Lab()
    lamp = Lamp(lab)
    data = lamp.server.ask(b"NOTIFY", b"", EVENT + ACTIVE)
    lamp.phone.answer(lamp.phone.hears(), 200)
    lamp.server.hears()
    lab.give(data, CARRIER)
    assert lamp.server.hears().status == 200
    assert lab.take(PBX[0]) == []


class TestWrongInput:
    @pytest.mark.parametrize(
        ("changes", "status"),
        [
            ({"event": b""}, 489),
            ({"event": b"Event: ;;\r\n"}, 489),
            ({"event": b"Event: evil.example.com\r\n"}, 489),
            ({"extra": b"Require: eventlist\r\n"}, 420),
        ],
    )
    def test_in_a_subscribe(self, changes: dict[str, Any], status: int) -> None:
        lab = Lab()
        lab.give(subscribe(**changes))
        assert statuses(lab.take()) == [status]
        lab.assert_nothing_left()

    def test_without_a_contact_there_is_no_dialog(self) -> None:
        lab = Lab()
        lab.give(subscribe().replace(b"Contact", b"X-Contact"))
        assert statuses(lab.take()) == [400]

    @pytest.mark.parametrize(
        ("head", "status"),
        [
            (ACTIVE, 489),
            (b"Event: presence\r\n" + ACTIVE, 489),
            (b"Event: dialog;id=7\r\n" + ACTIVE, 489),
            (EVENT, 400),
        ],
    )
    def test_in_a_notify(self, head: bytes, status: int) -> None:
        lab = Lab()
        lamp = Lamp(lab)
        lamp.server.ask(b"NOTIFY", b"", head)
        assert statuses(lab.take()) == [status]
        lamp.told()

    def test_in_the_first_notify_makes_nothing(self) -> None:
        lab = Lab()
        lab.give(subscribe())
        request = lab.take_one(CARRIER[0])
        Side(lab, request, CARRIER, 0).ask(b"NOTIFY", b"", b"Event: presence\r\n" + ACTIVE)
        assert statuses(lab.take()) == [489]
        lab.answer(request, 403)
        assert statuses(lab.take()) == [403]
        lab.assert_nothing_left()

    def test_of_an_unknown_dialog_is_481(self) -> None:
        lab = Lab()
        lamp = Lamp(lab)
        data = lab.in_dialog(b"NOTIFY", lamp.request, 1, source=CARRIER, extra=EVENT + ACTIVE)
        lab.give(data.replace(lamp.request.call_id, b"other"), CARRIER)
        assert statuses(lab.take()) == [481]

    def test_of_a_foreign_source_is_403(self) -> None:
        lab = Lab()
        lamp = Lamp(lab)
        extra = EVENT + ACTIVE
        lab.give(lab.in_dialog(b"NOTIFY", lamp.request, 1, source=BACKUP, extra=extra), BACKUP)
        assert statuses(lab.take()) == [403]
        lab.give(lab.in_dialog(b"SUBSCRIBE", lamp.answer, 2, source=BACKUP, extra=EVENT), BACKUP)
        assert statuses(lab.take()) == [403]
        assert lamp.live == {"pbx": 1}

    @pytest.mark.parametrize(
        ("method", "status"), [(b"BYE", 405), (b"SHOUT", 501), (b"OPTIONS", 200)]
    )
    def test_of_other_methods(self, method: bytes, status: int) -> None:
        lab = Lab()
        lamp = Lamp(lab)
        lamp.phone.ask(method)
        assert lamp.phone.hears().status == status
        lamp.server.ask(method)
        assert lamp.server.hears().status == status

    def test_out_of_order_is_500(self) -> None:
        lab = Lab()
        lamp = Lamp(lab)
        lamp.told()
        lamp.server.cseq = 0
        lamp.server.ask(b"NOTIFY", b"", EVENT + ACTIVE)
        assert lamp.server.hears().status == 500

    def test_in_a_body_is_415(self) -> None:
        lab = Lab()
        lamp = Lamp(lab)
        lamp.server.ask(b"NOTIFY", b"10.1.0.2", EVENT + ACTIVE + b"Content-Type: x/y\r\n")
        assert lamp.server.hears().status == 415
        lamp.told()


class TestLimits:
    def test_of_a_trunk(self) -> None:
        lab = Lab(settings({"pbx": {"limits": LimitSettings(subscriptions=2, status=486)}}))
        for number in range(2):
            Lamp(lab, call=b"lamp-%d" % number)
        lab.give(subscribe(call=b"third"))
        assert statuses(lab.take()) == [486]
        assert lab.border.core.counters["subscriptions_over_limit"] == 1

    def test_of_all(self) -> None:
        lab = Lab()
        lab.border.outside.most_subscriptions = 1
        Lamp(lab)
        lab.give(subscribe(call=b"second"))
        assert statuses(lab.take()) == [503]

    def test_of_a_flood_of_notifies(self) -> None:
        lab = Lab()
        lamp = Lamp(lab)
        for _ in range(50):
            lamp.server.ask(b"NOTIFY", b"", EVENT + ACTIVE)
        assert len(lab.take(PBX[0])) == 16
        assert statuses(lab.take(CARRIER[0])) == [503] * 34

    def test_of_time(self) -> None:
        lamp = Lamp(Lab(), expires=10_000_000)
        assert lamp.request.first(b"expires") == b"86400"
        assert lamp.answer.first(b"expires") == b"86400"


def test_failover_leaves_nothing_of_the_first_target() -> None:
    lab = Lab()
    lab.give(subscribe())
    first = lab.take_one(CARRIER[0])
    lab.answer(first, 503)
    second = lab.take_one(BACKUP[0])
    lab.give(lab.in_dialog(b"NOTIFY", first, 1, source=CARRIER, extra=EVENT + ACTIVE), CARRIER)
    assert statuses(lab.take()) == [481]
    lab.answer(second, 404, source=BACKUP)
    assert statuses(lab.take()) == [404]
    lab.assert_nothing_left()


def test_the_subscriber_gets_its_own_event_header_back() -> None:
    lab = Lab()
    event = b"Event: dialog;id=alice@10.0.0.2\r\n"
    lamp = Lamp(lab, event=event)
    shown = lamp.request.first(b"event") or b""
    assert b"10.0.0.2" not in shown
    lamp.server.ask(b"NOTIFY", b"", b"Event: " + shown + b"\r\n" + ACTIVE)
    assert lamp.phone.hears().first(b"event") == b"dialog;id=alice@10.0.0.2"


def test_record_routes_make_the_way_of_both_dialogs() -> None:
    lab = Lab()
    lab.give(subscribe(extra=b"Record-Route: <sip:10.0.0.3;lr>\r\n"))
    request = lab.take_one(CARRIER[0])
    assert request.first(b"record-route") is None
    lab.answer(request, 200, extra=b"Record-Route: <sip:10.1.0.4;lr>\r\n")
    answer = lab.take_one(PBX[0])
    assert answer.first(b"record-route") == b"<sip:10.0.0.3;lr>"
    Side(lab, request, CARRIER, 0).ask(b"NOTIFY", b"", EVENT + ACTIVE)
    assert lab.take_one("10.0.0.3").first(b"route") == b"<sip:10.0.0.3;lr>"
    Side(lab, answer, PBX, 1).ask(b"SUBSCRIBE", b"", EVENT)
    assert lab.take_one("10.1.0.4").first(b"route") == b"<sip:10.1.0.4;lr>"


class TestWays:
    def test_a_notify_goes_by_the_connection_that_the_subscriber_has_opened(self) -> None:
        lab = Lab()
        hop = Hop("inside", 1, TCP, PBX[0], 40_000, 7)
        data = subscribe().replace(b"SIP/2.0/UDP", b"SIP/2.0/TCP")
        contact = b"<sip:alice@10.0.0.2:40000;transport=tcp>"
        data = data.replace(b"<sip:alice@10.0.0.2:5060>", contact)
        lab.border.receive(data, hop, lab.now)
        request = lab.take_one(CARRIER[0])
        lab.answer(request, 200)
        lab.sent.clear()
        Side(lab, request, CARRIER, 0).ask(b"NOTIFY", b"", EVENT + ACTIVE)
        ((way, notify),) = lab.sent
        assert (way.connection, way.address) == (7, (PBX[0], 40_000))
        assert b";transport=tcp>" in notify

    def test_a_subscriber_behind_nat_is_found_where_it_sends_from(self) -> None:
        lab = Lab()
        data = subscribe().replace(b"10.0.0.2:5060;branch", b"192.168.1.5:5060;rport;branch")
        data = data.replace(b"<sip:alice@10.0.0.2:5060>", b"<sip:alice@192.168.1.5:5060>")
        lab.give(data, (PBX[0], 61_000))
        request = lab.take_one(CARRIER[0])
        lab.answer(request, 200)
        lab.sent.clear()
        Side(lab, request, CARRIER, 0).ask(b"NOTIFY", b"", EVENT + ACTIVE)
        ((way, _),) = lab.sent
        assert way.address == (PBX[0], 61_000)

    def test_a_lost_connection_ends_it(self) -> None:
        lab = Lab()
        lamp = Lamp(lab)
        lamp.server.ask(b"NOTIFY", b"", EVENT + ACTIVE)
        hop, _ = lab.sent[0]
        lab.border.unreachable(hop, None, lab.now)
        assert statuses(lab.take(CARRIER[0])) == [503]
        assert lamp.live == {}
        lab.take()
        lab.assert_nothing_left()

    def test_a_challenged_subscribe_and_notify_are_sent_again(self) -> None:
        own = CredentialSettings(user="us", password=Secret(b"secret"))
        lab = Lab(settings({"carrier": {"credentials": own}, "pbx": {"credentials": own}}))
        asked = b'WWW-Authenticate: Digest realm="x", nonce="n", qop="auth"\r\n'
        lab.give(subscribe())
        lab.answer(lab.take_one(CARRIER[0]), 401, extra=asked)
        request = lab.take_one(CARRIER[0])
        assert request.cseq == 2
        lab.answer(request, 200)
        answer = lab.take_one(PBX[0])
        phone, server = Side(lab, answer, PBX, 1), Side(lab, request, CARRIER, 0)
        server.ask(b"NOTIFY", b"", EVENT + ACTIVE)
        phone.answer(phone.hears(), 401, extra=asked)
        again = phone.hears()
        assert (again.cseq, again.first(b"authorization") is None) == (2, False)
        phone.answer(again, 200)
        assert server.hears().status == 200
        phone.ask(b"SUBSCRIBE", extra=EVENT)
        assert server.hears().cseq == 3


def _ended(lab: Lab, number: int) -> None:
    """A subscription that ends, each time in another way."""
    call = b"lamp-%d" % number
    if number % 6 == 5:
        lab.give(subscribe(call=call))
        return
    lamp = Lamp(lab, call=call, grants=60)
    if number % 6 == 0:
        lamp.told(state=OVER)
    elif number % 6 == 1:
        lamp.told(status=481)
    elif number % 6 == 2:
        lamp.phone.ask(b"SUBSCRIBE", extra=EVENT + b"Expires: 0\r\n")
        lamp.server.answer(lamp.server.hears(), 200, extra=b"Expires: 0\r\n")
    elif number % 6 == 3:
        lamp.server.ask(b"NOTIFY", b"", EVENT + ACTIVE)


def test_nothing_stays_without_any_help_of_a_garbage_collector() -> None:
    lab = Lab()
    kinds = (Pair, PairSide, Notifiers, Subscribing, Carried)
    gc.collect()
    gc.disable()
    try:
        for number in range(24):
            _ended(lab, number)
            lab.sent.clear()
        assert any(isinstance(one, kinds) for one in gc.get_objects())
        lab.wait(170.0, 0.5)
        lab.sent.clear()
        lab.border.tick(lab.now)
        assert [one for one in gc.get_objects() if isinstance(one, kinds)] == []
    finally:
        gc.enable()
    lab.assert_nothing_left()


class TestTable:
    @pytest.mark.parametrize("state", [one for one in State if one is not State.OVER])
    def test_every_state_ends_with_time(self, state: State) -> None:
        assert TABLE[state, Input.EXPIRED][1] is State.OVER

    def test_nothing_leaves_the_end(self) -> None:
        assert not [pair for pair in TABLE if pair[0] is State.OVER]

    @pytest.mark.parametrize("effect", list(Effect))
    def test_every_effect_is_used(self, effect: Effect) -> None:
        assert effect in {used for used, _ in TABLE.values()}
