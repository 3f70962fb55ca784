"""Requests outside of calls, from trunk to trunk: RFC 3428, RFC 3903, OPTIONS through."""

from __future__ import annotations

import pytest

from policies.settings import LimitSettings, Peer, Redirect, TrunkTransport
from policies.users import CredentialSettings, Secret
from sbc.sip.message import Request, Response
from sbc.transaction.hop import TCP
from tests.call.lab import BACKUP, CARRIER, PBX, Lab, settings, statuses
from tests.call.test_search import Names

TEXT = b"Content-Type: text/plain\r\n"
ALL = ("MESSAGE", "PUBLISH", "SUBSCRIBE", "OPTIONS", "X-PING")
OPEN = {name: {"outside_methods": ALL} for name in ("pbx", "carrier", "backup")}


def ask(
    method: bytes = b"MESSAGE",
    body: bytes = b"hello",
    extra: bytes = TEXT,
    number: bytes = b"4930123456",
    source: tuple[str, int] = PBX,
    hops: bytes = b"70",
    call: bytes = b"errand",
) -> bytes:
    """A request outside of calls, as a peer sends it."""
    host = source[0].encode()
    return b"".join(
        (
            b"%b sip:%b@10.0.0.1 SIP/2.0\r\n" % (method, number),
            b"Via: SIP/2.0/UDP %b:5060;branch=z9hG4bK-%b%b\r\n" % (host, method, call),
            b'From: "Alice" <sip:alice@%b>;tag=alice-tag\r\n' % host,
            b"To: <sip:%b@10.0.0.1>\r\n" % number,
            b"Call-ID: %b@%b\r\nCSeq: 1 %b\r\nMax-Forwards: %b\r\n" % (call, host, method, hops),
            extra,
            b"Content-Length: %d\r\n\r\n" % len(body),
            body,
        )
    )


def reply(
    lab: Lab,
    request: Request,
    status: int,
    extra: bytes = b"",
    source: tuple[str, int] = CARRIER,
    body: bytes = b"",
    transport: bytes = b"UDP",
) -> None:
    """A target answers: no Contact, unlike in a dialog."""
    head = b"SIP/2.0 %d X\r\n" % status
    for name in (b"via", b"from", b"call-id", b"cseq"):
        head += b"%b: %b\r\n" % (name, request.first(name))
    head += b"To: %b;tag=theirs\r\n%b" % (request.first(b"to"), extra)
    data = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    lab.give(data, source, transport)


def test_a_message_goes_across_and_its_answer_comes_back() -> None:
    lab = Lab()
    lab.give(ask())
    request = lab.take_one(CARRIER[0])
    assert (request.method, request.uri) == (b"MESSAGE", b"sip:4930123456@10.1.0.2:5060")
    assert (request.body, request.content_type) == (b"hello", b"text/plain")
    assert request.max_forwards == 69
    assert request.first(b"contact") is None  # RFC 3428 §4
    assert b'"Alice" <sip:alice@10.1.0.1>;tag=' in (request.first(b"from") or b"")
    reply(lab, request, 202)
    answer = lab.take_one(PBX[0])
    assert (answer.status, answer.call_id) == (202, b"errand@10.0.0.2")
    assert b"theirs" not in answer.to_tag
    assert lab.border.status()["errands"] == 0
    lab.assert_nothing_left()


def test_nothing_of_one_side_is_told_the_other() -> None:
    lab = Lab()
    extra = TEXT + b"User-Agent: secret\r\nX-Secret: 10.0.0.2\r\nDate: Sat, 13 Nov 2010\r\n"
    extra += b"Contact: <sip:alice@10.0.0.2>\r\nAccept: text/plain, application/x-pbx.lan\r\n"
    lab.give(ask(extra=extra))
    request = lab.take_one(CARRIER[0])
    data = b"".join(request.raw(name) for name in request.names())
    assert b"10.0.0." not in data
    assert b"secret" not in data.lower()
    assert b"lan" not in data
    assert request.first(b"accept") == b"text/plain"
    assert request.first(b"date") is not None


def test_a_retransmission_is_absorbed_and_gets_the_answer_again() -> None:
    lab = Lab()
    lab.give(ask())
    request = lab.take_one(CARRIER[0])
    lab.give(ask())
    assert lab.sent == []
    reply(lab, request, 200)
    lab.give(ask())
    assert statuses(lab.take(PBX[0])) == [200, 200]


def test_the_same_request_on_two_ways_is_482() -> None:
    lab = Lab()
    lab.give(ask())
    lab.give(ask().replace(b"branch=z9hG4bK-", b"branch=z9hG4bK-other"))
    assert statuses(lab.take(PBX[0])) == [482]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"hops": b"0"}, 483),
        ({"extra": TEXT + b"Require: eventlist\r\n"}, 420),
        ({"body": b"v=0\r\nc=IN IP4 10.0.0.2\r\n", "extra": b"Content-Type: x/y\r\n"}, 415),
        ({"extra": TEXT + b"Content-Encoding: gzip\r\n"}, 415),
        ({"method": b"PUBLISH", "extra": b"SIP-If-Match: 12345678ab\r\n", "body": b""}, 412),
    ],
)
def test_what_cannot_cross_is_refused(changes: dict[str, bytes], status: int) -> None:
    lab = Lab()
    lab.give(ask(**changes))  # type: ignore[arg-type]
    assert statuses(lab.take()) == [status]
    lab.assert_nothing_left()


def test_a_message_that_comes_back_is_482() -> None:
    lab = Lab()
    lab.give(ask())
    via = b"Via: " + (lab.take_one(CARRIER[0]).first(b"via") or b"") + b"\r\n"
    lab.give(ask(call=b"again", extra=TEXT + via))
    assert statuses(lab.take(PBX[0])) == [482]


class TestFailover:
    def test_of_a_silent_target_is_in_time_for_the_sender(self) -> None:
        lab = Lab()
        lab.give(ask())
        first = lab.take(CARRIER[0])[0]
        lab.wait(15.5, 0.1)
        second = lab.take(BACKUP[0])[0]
        assert first.call_id != second.call_id
        reply(lab, second, 200, source=BACKUP)
        assert statuses(lab.take(PBX[0])) == [200]
        reply(lab, first, 200)  # too late: told to nobody
        assert lab.take(PBX[0]) == []
        lab.assert_nothing_left()

    def test_ends_with_504_while_the_sender_listens(self) -> None:
        lab = Lab()
        lab.give(ask())
        lab.wait(30.0, 0.1)
        assert statuses(lab.take(PBX[0])) == [504]
        lab.assert_nothing_left()

    def test_of_one_that_is_out_of_order(self) -> None:
        lab = Lab()
        lab.give(ask())
        reply(lab, lab.take_one(CARRIER[0]), 503)
        reply(lab, lab.take_one(BACKUP[0]), 404, source=BACKUP)
        assert statuses(lab.take(PBX[0])) == [404]

    def test_of_one_that_is_unreachable(self) -> None:
        lab = Lab()
        lab.give(ask())
        hop, _ = lab.sent[0]
        lab.border.unreachable(hop, None, lab.now)
        lab.take(CARRIER[0])
        assert lab.take_one(BACKUP[0]).method == b"MESSAGE"

    def test_does_not_ask_others_once_the_called_party_has_said_no(self) -> None:
        lab = Lab()
        lab.give(ask())
        reply(lab, lab.take_one(CARRIER[0]), 404)
        assert statuses(lab.take()) == [404]

    def test_goes_over_the_places_of_one_trunk(self) -> None:
        peers = (Peer(host=CARRIER[0]), Peer(host=BACKUP[0]))
        lab = Lab(settings({"carrier": {"peers": peers}}))
        lab.give(ask(number=b"991"))
        reply(lab, lab.take_one(CARRIER[0]), 503)
        reply(lab, lab.take_one(BACKUP[0]), 200, source=CARRIER)
        assert statuses(lab.take(PBX[0])) == [200]


@pytest.mark.parametrize(
    ("theirs", "told"), [(401, 403), (407, 403), (503, 500), (302, 480), (486, 486), (408, 504)]
)
def test_failures_are_told_as_those_of_calls(theirs: int, told: int) -> None:
    lab = Lab()
    lab.give(ask(number=b"99"))
    reply(lab, lab.take_one(CARRIER[0]), theirs)
    assert statuses(lab.take()) == [told]


def test_a_405_says_what_we_take() -> None:
    lab = Lab()
    lab.give(ask(number=b"99"))
    reply(lab, lab.take_one(CARRIER[0]), 405, b"Allow: SECRET\r\n")
    answer = lab.take_one(PBX[0])
    assert b"SECRET" not in (answer.first(b"allow") or b"SECRET")
    assert b"PUBLISH" in answer.values(b"allow")
    assert b"MESSAGE" not in answer.values(b"allow")


@pytest.mark.parametrize(
    ("said", "told"), [(b"", b"text/plain"), (b"Accept: message/cpim\r\n", b"message/cpim")]
)
def test_a_415_says_what_is_accepted(said: bytes, told: bytes) -> None:
    """RFC 3261 §21.4.13: what the target says, or what may cross."""
    lab = Lab()
    lab.give(ask(number=b"99"))
    reply(lab, lab.take_one(CARRIER[0]), 415, said)
    answer = lab.take_one(PBX[0])
    assert answer.status == 415
    assert told in answer.values(b"accept")
    assert len(answer.every(b"accept")) == 1


def test_a_redirection_crosses_without_its_hosts_where_the_trunk_says_so() -> None:
    lab = Lab(settings({"carrier": {"redirect": Redirect.PASS}}))
    lab.give(ask(number=b"99"))
    reply(lab, lab.take_one(CARRIER[0]), 302, b"Contact: <sip:777@10.1.0.77>\r\n")
    answer = lab.take_one(PBX[0])
    assert (answer.status, answer.first(b"contact")) == (302, b"<sip:777@10.0.0.1>")


def test_a_challenge_is_answered_with_our_credentials() -> None:
    own = CredentialSettings(user="us", password=Secret(b"secret"))
    lab = Lab(settings({"carrier": {"credentials": own}}))
    lab.give(ask(number=b"99"))
    first = lab.take_one(CARRIER[0])
    challenge = b'WWW-Authenticate: Digest realm="x", nonce="n", qop="auth"\r\n'
    reply(lab, first, 401, challenge)
    again = lab.take_one(CARRIER[0])
    assert (again.cseq, again.call_id) == (first.cseq + 1, first.call_id)
    assert b'username="us"' in (again.first(b"authorization") or b"")
    reply(lab, again, 401, challenge)  # it does not like the answer
    answer = lab.take_one(PBX[0])
    assert answer.status == 403
    assert answer.first(b"www-authenticate") is None
    lab.assert_nothing_left()


class TestMethods:
    def test_options_to_us_is_answered_by_us(self) -> None:
        lab = Lab(settings(OPEN))
        lab.give(
            ask(b"OPTIONS", b"", b"").replace(b"sip:4930123456@10.0.0.1 SIP", b"sip:10.0.0.1 SIP")
        )
        assert lab.take_one(PBX[0]).status == 200

    def test_options_to_a_user_goes_through_where_both_trunks_say_so(self) -> None:
        lab = Lab(settings(OPEN))
        lab.give(ask(b"OPTIONS", b"", b"Accept: application/sdp\r\n"))
        request = lab.take_one(CARRIER[0])
        assert request.method == b"OPTIONS"
        reply(lab, request, 200, b"Allow: SECRET\r\nAccept: application/sdp, text/plain\r\n")
        answer = lab.take_one(PBX[0])
        assert answer.status == 200
        assert answer.first(b"accept") == b"application/sdp, text/plain"
        assert b"INVITE" in (answer.first(b"allow") or b"")
        assert b"SECRET" not in (answer.first(b"allow") or b"")

    @pytest.mark.parametrize("closed", ["pbx", "carrier"])
    def test_others_need_the_word_of_both(self, closed: str) -> None:
        lab = Lab(settings({**OPEN, closed: {}, "backup": {}}))
        for method, status in ((b"OPTIONS", 200), (b"X-PING", 501)):
            lab.give(ask(method, b"", b""))
            assert statuses(lab.take()) == [status]

    def test_one_that_nobody_knows_goes_through_where_both_say_so(self) -> None:
        lab = Lab(settings(OPEN))
        lab.give(ask(b"X-PING"))
        request = lab.take_one(CARRIER[0])
        assert (request.method, request.body) == (b"X-PING", b"hello")

    def test_a_trunk_that_takes_no_messages_is_passed_over(self) -> None:
        lab = Lab(settings({"carrier": {"outside_methods": ()}}))
        lab.give(ask())
        assert lab.take_one(BACKUP[0]).method == b"MESSAGE"
        lab.give(ask(number=b"99", call=b"other"))
        assert statuses(lab.take(PBX[0])) == [405]


class TestPublish:
    BODY = b'<presence entity="pres:alice@10.0.0.2"><note>in</note></presence>'
    PIDF = b"Event: presence\r\nExpires: 3600\r\nContent-Type: application/pidf+xml\r\n"

    def test_entity_tags_cross_sealed_and_come_back_opened(self) -> None:
        lab = Lab()
        lab.give(ask(b"PUBLISH", b"", self.PIDF))
        request = lab.take_one(CARRIER[0])
        assert (request.first(b"event"), request.first(b"expires")) == (b"presence", b"3600")
        reply(lab, request, 200, b"SIP-ETag: a.1.pres.carrier.example\r\nExpires: 1800\r\n")
        answer = lab.take_one(PBX[0])
        etag = answer.first(b"sip-etag")
        assert etag is not None
        assert b"example" not in etag
        assert answer.first(b"expires") == b"1800"
        lab.give(ask(b"PUBLISH", b"", self.PIDF + b"SIP-If-Match: " + etag + b"\r\n", call=b"two"))
        again = lab.take_one(CARRIER[0])
        assert again.first(b"sip-if-match") == b"a.1.pres.carrier.example"

    def test_too_brief_is_the_other_sides_word(self) -> None:
        lab = Lab()
        lab.give(ask(b"PUBLISH", b"", self.PIDF))
        reply(lab, lab.take_one(CARRIER[0]), 423, b"Min-Expires: 600\r\n")
        answer = lab.take_one(PBX[0])
        assert (answer.status, answer.first(b"min-expires")) == (423, b"600")


class TestLimits:
    def test_of_the_rate_are_those_of_calls(self) -> None:
        lab = Lab(settings({"pbx": {"limits": LimitSettings(cps=2, status=486)}}))
        for number in range(4):
            lab.give(ask(call=b"c%d" % number))
        assert statuses(lab.take(PBX[0])) == [486, 486]
        assert len(lab.take(CARRIER[0])) == 2

    def test_of_the_trunk_that_it_goes_to_move_it_on(self) -> None:
        lab = Lab(settings({"carrier": {"limits": LimitSettings(cps=1)}}))
        for number in range(3):
            lab.give(ask(call=b"c%d" % number))
        assert (len(lab.take(CARRIER[0])), len(lab.take(BACKUP[0]))) == (1, 2)

    def test_hold_no_call(self) -> None:
        lab = Lab(settings({"pbx": {"limits": LimitSettings(calls=1)}}))
        lab.give(ask())
        lab.give(ask(call=b"two"))
        assert len(lab.take(CARRIER[0])) == 2
        assert set(lab.border.core.policies.calls().values()) == {0}

    def test_bound_what_waits(self) -> None:
        lab = Lab()
        lab.border.outside.most_waiting = 10
        for number in range(30):
            lab.give(ask(call=b"c%d" % number))
        assert statuses(lab.take(PBX[0])) == [503] * 20
        assert lab.border.status()["errands"] == 10
        lab.wait(30.0, 0.1)
        assert statuses(lab.take(PBX[0])) == [504] * 10
        lab.assert_nothing_left()


def test_overload_and_draining_refuse_what_is_new() -> None:
    lab = Lab()
    lab.border.draining = True
    lab.give(ask())
    lab.border.draining = False
    lab.border.overloaded = True
    lab.give(ask(call=b"two"))
    assert statuses(lab.take()) == [503, 503]


def test_strangers_are_refused() -> None:
    lab = Lab()
    lab.give(ask(source=("10.0.0.66", 5060)), ("10.0.0.66", 5060))
    assert statuses(lab.take()) == [403]
    assert len(lab.border.core.layer) == 0


def test_no_route_is_404() -> None:
    lab = Lab()
    lab.give(ask(source=BACKUP), BACKUP)
    assert statuses(lab.take()) == [404]


def test_a_large_message_goes_by_tcp_and_by_udp_where_there_is_none() -> None:
    config = settings({"carrier": {"transport": TrunkTransport.AUTO}})
    lab = Lab(config)
    lab.give(ask(body=b"x" * 1400, number=b"99"))
    ((hop, _),) = lab.sent
    assert hop.transport == TCP
    lab.sent.clear()
    lab.border.unreachable(hop, None, lab.now)
    ((hop, _),) = lab.sent
    assert hop.transport == b"UDP"
    reply(lab, lab.take_one(CARRIER[0]), 200)
    assert statuses(lab.take(PBX[0])) == [200]


def test_the_other_direction_is_no_other() -> None:
    lab = Lab()
    lab.give(ask(source=CARRIER), CARRIER)
    request = lab.take_one(PBX[0])
    assert isinstance(request, Request)
    assert request.uri == b"sip:4930123456@10.0.0.2:5060"
    reply(lab, request, 200, source=PBX)
    answer = lab.take_one(CARRIER[0])
    assert isinstance(answer, Response)
    assert answer.status == 200


class TestNames:
    """RFC 3263: the target is a name."""

    def test_are_looked_up_first(self) -> None:
        names = Names()
        names.lab.give(ask(number=b"99"))
        assert names.lab.sent == []
        names.serve()
        request = names.lab.take_one("10.1.0.11")
        assert request.uri == b"sip:99@sip.carrier.example"
        reply(names.lab, request, 503, source=("10.1.0.11", 5060))
        again = names.lab.take_one("10.1.0.12")
        reply(names.lab, again, 200, source=("10.1.0.12", 5060))
        assert statuses(names.lab.take(PBX[0])) == [200]

    def test_that_nobody_answers_for_end_in_time(self) -> None:
        names = Names()
        names.lab.give(ask(number=b"99"))
        names.lab.wait(30.0, 0.1)
        assert statuses(names.lab.take(PBX[0])) == [504]
        names.serve()
        assert names.lab.sent == []
        assert names.lab.border.status()["errands"] == 0

    def test_that_lead_nowhere_give_way(self) -> None:
        names = Names()
        names.silent = True
        names.lab.give(ask())
        names.serve()
        assert names.lab.take_one(BACKUP[0]).method == b"MESSAGE"
