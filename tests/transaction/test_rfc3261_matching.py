"""Which transaction a message belongs to: RFC 3261 §17.1.3, §17.2.3."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sbc.transaction.layer import Absorbed, Cancel, New, StrayAck
from tests.transaction.build import UDP_HOP, Bench, a_response, answer, client_request, theirs

OTHER_REALM = replace(UDP_HOP, realm="inside")
OTHER_SOURCE = replace(UDP_HOP, host="192.0.2.99", port=6000)


def test_a_response_is_matched_by_branch_and_method() -> None:
    bench = Bench()
    request = client_request(b"OPTIONS")
    bench.layer.request(request, UDP_HOP, "user", 0.0)
    response = answer(request.data, 200)
    other_branch = request.data.replace(b"z9hG4bKone", b"z9hG4bKtwo")
    other_method = request.data.replace(b"7 OPTIONS", b"7 BYE").replace(b"OPTIONS", b"BYE", 1)
    cancel = request.data.replace(b"7 OPTIONS", b"7 CANCEL").replace(b"OPTIONS", b"CANCEL", 1)
    for stray in (other_branch, other_method, cancel):
        assert bench.layer.receive_response(answer(stray, 200), UDP_HOP, 0.1) is None
    assert bench.layer.counters["stray_response"] == 3
    assert bench.layer.receive_response(response, UDP_HOP, 0.1) == "user"


def test_a_response_from_another_realm_is_a_stray() -> None:
    bench = Bench()
    request = client_request()
    bench.layer.request(request, UDP_HOP, "user", 0.0)
    assert bench.layer.receive_response(answer(request.data, 200), OTHER_REALM, 0.1) is None
    assert bench.layer.counters["stray_response"] == 1


def test_a_response_may_come_from_another_address_and_in_other_case() -> None:
    bench = Bench()
    request = client_request()
    bench.layer.request(request, UDP_HOP, "user", 0.0)
    shouted = a_response(
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=Z9HG4BKONE\r\n"
        b"From: <sip:a@b>;tag=ours\r\nTo: <sip:b@c>;tag=t\r\nCall-ID: call\r\nCSeq: 7 INVITE\r\n"
        b"Content-Length: 0\r\n\r\n"
    )
    assert bench.layer.receive_response(shouted, OTHER_SOURCE, 0.1) == "user"


def test_one_branch_in_two_realms_is_two_transactions() -> None:
    bench = Bench()
    one = bench.receive(theirs())
    two = bench.receive(theirs(), OTHER_REALM)
    assert one is not two
    received = bench.layer.receive_request(theirs(b"CANCEL"), OTHER_REALM, 0.1)
    assert isinstance(received, Cancel)
    assert received.of is two


@pytest.mark.parametrize(
    "same",
    [
        theirs(),
        theirs(branch=b"Z9HG4BKTHEIRS"),
        theirs(call_id=b"broken-peer"),  # with the cookie, the branch is enough
        theirs(via=b"SIP/2.0/TCP 192.0.2.20:5060;rport;branch=z9hG4bKtheirs"),
    ],
)
def test_with_the_cookie_branch_and_sent_by_say_it_all(same) -> None:
    bench = Bench()
    bench.receive(theirs())
    assert isinstance(bench.layer.receive_request(same, OTHER_SOURCE, 0.1), Absorbed)


@pytest.mark.parametrize(
    "other",
    [
        theirs(branch=b"z9hG4bKtheirs2"),
        theirs(via=b"SIP/2.0/UDP 192.0.2.20:5061;branch=z9hG4bKtheirs"),
        theirs(via=b"SIP/2.0/UDP 192.0.2.20;branch=z9hG4bKtheirs"),
        theirs(via=b"SIP/2.0/UDP pbx.example:5060;branch=z9hG4bKtheirs"),
        theirs(b"BYE"),
    ],
)
def test_another_branch_sent_by_or_method_is_another_transaction(other) -> None:
    bench = Bench()
    bench.receive(theirs())
    assert isinstance(bench.layer.receive_request(other, UDP_HOP, 0.1), New)


OLD_BRANCHES = [b"", b"1", b"z9hG4bK"]  # the last: RFC 4475 §3.2.1


@pytest.mark.parametrize("branch", OLD_BRANCHES)
def test_rfc2543_a_repeated_request_is_known_by_its_headers(branch) -> None:
    bench = Bench()
    txn = bench.receive(theirs(branch=branch))
    bench.respond(txn, 180)
    assert isinstance(bench.layer.receive_request(theirs(branch=branch), UDP_HOP, 0.5), Absorbed)
    assert bench.statuses() == [180, 180]


@pytest.mark.parametrize("branch", OLD_BRANCHES)
@pytest.mark.parametrize(
    "difference",
    [
        {"uri": b"sip:carol@192.0.2.10"},
        {"call_id": b"another-call"},
        {"cseq": b"2"},
        {"from_": b"<sip:bob@192.0.2.20>;tag=another"},
        {"via": b"SIP/2.0/UDP 192.0.2.21:5060"},
    ],
)
def test_rfc2543_any_difference_makes_another_transaction(branch, difference) -> None:
    bench = Bench()
    bench.receive(theirs(branch=branch))
    other = theirs(branch=branch, **difference)
    assert isinstance(bench.layer.receive_request(other, UDP_HOP, 0.1), New)


def test_rfc2543_the_to_tag_tells_requests_in_two_dialogs_apart() -> None:
    bench = Bench()
    for tag in (b"one", b"two"):
        bye = theirs(b"BYE", b"", to=b"<sip:alice@192.0.2.10>;tag=" + tag)
        assert isinstance(bench.layer.receive_request(bye, UDP_HOP, 0.1), New)


@pytest.mark.parametrize("branch", OLD_BRANCHES)
def test_rfc2543_ack_to_a_failure_and_cancel_find_their_invite(branch) -> None:
    bench = Bench()
    txn = bench.receive(theirs(branch=branch))
    received = bench.layer.receive_request(theirs(b"CANCEL", branch), UDP_HOP, 0.1)
    assert isinstance(received, Cancel)
    assert received.of is txn
    bench.respond(txn, 487)
    ack = theirs(b"ACK", branch, to=b"<sip:alice@192.0.2.10>;tag=ours")
    assert isinstance(bench.layer.receive_request(ack, UDP_HOP, 0.2), Absorbed)
    stray = theirs(b"ACK", branch, cseq=b"2")
    assert isinstance(bench.layer.receive_request(stray, UDP_HOP, 0.2), StrayAck)


def test_a_lost_address_or_connection_takes_all_requests_that_went_there() -> None:
    bench = Bench()
    flow = replace(UDP_HOP, transport=b"TCP", connection=5)
    hops = [UDP_HOP, replace(UDP_HOP, port=5070), OTHER_REALM, flow, replace(flow, connection=6)]
    for number, hop in enumerate(hops):
        bench.layer.request(client_request(b"BYE", b"z9hG4bK%d" % number), hop, number, 0.0)
    lost = [user for user, _ in bench.layer.transport_failed(UDP_HOP, None, 0.1)]
    assert lost == [0]
    assert [user for user, _ in bench.layer.transport_failed(flow, None, 0.1)] == [3]
    address = replace(flow, connection=0)
    assert [user for user, _ in bench.layer.transport_failed(address, None, 0.1)] == [4]
    assert bench.layer.transport_failed(UDP_HOP, b"z9hG4bKnever", 0.1) == []
