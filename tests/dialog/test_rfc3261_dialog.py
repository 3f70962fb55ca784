"""Dialogs: RFC 3261 §12."""

from __future__ import annotations

import pytest

from sbc.dialog.dialog import Dialog
from sbc.errors import ParseError, RemoteProtocolError
from sbc.sip.message import Request, Response
from sbc.sip.parser import parse
from sbc.transaction.request import ClientRequest, via_line

ROUTES = b"Record-Route: <sip:p2.example;lr>\r\nRecord-Route: <sip:p1.example;lr>, <sip:p0;lr>\r\n"


def their_request(method: bytes = b"INVITE", cseq: int = 314, extra: bytes = b"") -> Request:
    message = parse(
        b"%b sip:us@192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.20;branch=z9hG4bKx\r\n"
        b'f: "Bob \\"B\\" Brown"   <sip:bob@b.example;x=1>;q=1;tag=their.Tag\r\n'
        b"t: <sip:us@a.example> ;note=kept\r\nCall-ID: their-call\r\nCSeq: %d %b\r\n"
        b"Max-Forwards: 70\r\n%bContent-Length: 0\r\n\r\n" % (method, cseq, method, extra)
    )
    assert isinstance(message, Request)
    return message


def our_invite() -> ClientRequest:
    return ClientRequest(
        b"INVITE",
        b"sip:bob@b.example",
        via_line(b"UDP", b"192.0.2.10", b"z9hG4bKy"),
        b"z9hG4bKy",
        b"",
        b'"Us" <sip:us@192.0.2.10>;tag=ourTag',
        b"<sip:bob@b.example>",
        b"our-call",
        5,
    )


def asked(dialog: Dialog, method: bytes) -> ClientRequest:
    return dialog.request(method, via_line(b"UDP", b"192.0.2.10", b"z9hG4bKz"), b"z9hG4bKz")


def their_response(status: int = 200, tag: bytes = b";tag=fork1", extra: bytes = b"") -> Response:
    message = parse(
        b"SIP/2.0 %d X\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKy\r\n"
        b'From: "Us" <sip:us@192.0.2.10>;tag=ourTag\r\nTo: <sip:bob@b.example>%b\r\n'
        b"Call-ID: our-call\r\nCSeq: 5 INVITE\r\n%bContent-Length: 0\r\n\r\n" % (status, tag, extra)
    )
    assert isinstance(message, Response)
    return message


CONTACT = b"Contact: <sip:bob@192.0.2.20:5070>;expires=9\r\n"


# §12.1.1: we are the UAS


def test_uas_takes_identity_routes_and_target_from_the_request() -> None:
    dialog = Dialog.from_request(their_request(extra=CONTACT + ROUTES), b"ours")
    assert dialog.key == (b"their-call", b"ours", b"their.Tag")
    assert dialog.remote_target == b"sip:bob@192.0.2.20:5070"
    assert dialog.route_set == [b"<sip:p2.example;lr>", b"<sip:p1.example;lr>", b"<sip:p0;lr>"]
    assert (dialog.remote_cseq, dialog.local_cseq) == (314, 0)
    assert not dialog.confirmed


def test_uas_keeps_both_parties_byte_for_byte_and_turns_them_round() -> None:
    dialog = Dialog.from_request(their_request(extra=CONTACT), b"ours")
    request = asked(dialog, b"BYE")
    assert request.from_party == b"<sip:us@a.example> ;note=kept;tag=ours"
    assert request.to_party == (b'"Bob \\"B\\" Brown"   <sip:bob@b.example;x=1>;q=1;tag=their.Tag')
    assert request.call_id == b"their-call"
    assert request.uri == b"sip:bob@192.0.2.20:5070"
    assert request.cseq == 1


@pytest.mark.parametrize("extra", [b"", b"Contact: *\r\n"])
def test_uas_needs_a_contact(extra) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        Dialog.from_request(their_request(extra=extra), b"ours")
    assert caught.value.status == 400


def test_uas_refuses_a_malformed_contact_or_route() -> None:
    with pytest.raises(ParseError):
        Dialog.from_request(their_request(extra=b"Contact: <sip:bob\r\n"), b"ours")
    with pytest.raises(ParseError):
        Dialog.from_request(their_request(extra=CONTACT + b"Record-Route: <sip:p\r\n"), b"ours")


def test_two_forks_are_two_dialogs() -> None:
    request = their_request(extra=CONTACT)
    one, two = (Dialog.from_request(request, tag) for tag in (b"one", b"two"))
    assert one.key != two.key
    assert b"tag=one" in asked(one, b"BYE").from_party


def test_a_to_tag_in_the_request_is_not_given_twice() -> None:
    message = parse(
        b"INVITE sip:us@a SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK\r\nFrom: <sip:b@b>;tag=t\r\n"
        b"To: <sip:us@a>;tag=ours\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n"
        b"Contact: <sip:b@h>\r\nContent-Length: 0\r\n\r\n"
    )
    assert isinstance(message, Request)
    assert Dialog.from_request(message, b"ours").local_party == b"<sip:us@a>;tag=ours"


# §12.1.2: we are the UAC


@pytest.mark.parametrize(("status", "confirmed"), [(180, False), (200, True)])
def test_uac_takes_identity_target_and_reversed_routes_from_the_response(status, confirmed) -> None:
    dialog = Dialog.from_response(our_invite(), their_response(status, extra=CONTACT + ROUTES))
    assert dialog.key == (b"our-call", b"ourTag", b"fork1")
    assert dialog.remote_target == b"sip:bob@192.0.2.20:5070"
    assert dialog.route_set == [b"<sip:p0;lr>", b"<sip:p1.example;lr>", b"<sip:p2.example;lr>"]
    assert (dialog.local_cseq, dialog.remote_cseq) == (5, None)
    assert dialog.confirmed is confirmed
    assert dialog.next_hop_uri() == b"sip:p0;lr"


def test_uac_without_contact_or_tag_keeps_to_what_it_has() -> None:
    dialog = Dialog.from_response(our_invite(), their_response(200, tag=b""))
    assert dialog.remote_target == b"sip:bob@b.example"
    assert dialog.remote_tag == b""
    assert asked(dialog, b"BYE").to_party == b"<sip:bob@b.example>"


def test_the_ack_bears_the_number_of_its_invite_and_takes_none() -> None:
    dialog = Dialog.from_response(our_invite(), their_response(extra=CONTACT))
    assert asked(dialog, b"ACK").cseq == 5
    assert asked(dialog, b"INFO").cseq == 6
    assert asked(dialog, b"ACK").cseq == 5
    assert asked(dialog, b"INVITE").cseq == 7
    assert asked(dialog, b"UPDATE").cseq == 8
    assert asked(dialog, b"ACK").cseq == 7
    assert dialog.local_cseq == 8


def test_a_dialog_of_another_method_has_no_invite_to_acknowledge() -> None:
    subscribe = our_invite()
    subscribe.method = b"SUBSCRIBE"
    dialog = Dialog.from_response(subscribe, their_response(extra=CONTACT))
    assert dialog.invite_cseq == 0


def test_a_2xx_confirms_an_early_dialog_with_its_own_routes_and_target() -> None:
    dialog = Dialog.from_response(our_invite(), their_response(180, extra=ROUTES + CONTACT))
    assert asked(dialog, b"PRACK").route_lines.count(b"Route:") == 3
    moved = b"Contact: <sip:bob@192.0.2.99>\r\nRecord-Route: <sip:p9;lr>\r\n"
    dialog.confirm(their_response(200, extra=moved))
    assert dialog.confirmed
    request = asked(dialog, b"BYE")
    assert (request.uri, request.route_lines) == (
        b"sip:bob@192.0.2.99",
        b"Route: <sip:p9;lr>\r\n",
    )


def test_a_2xx_without_contact_leaves_the_target() -> None:
    dialog = Dialog.from_response(our_invite(), their_response(180, extra=CONTACT))
    dialog.confirm(their_response(200))
    assert dialog.next_hop_uri() == b"sip:bob@192.0.2.20:5070"


# §12.2


def test_a_refreshed_target_is_used_at_once_and_the_routes_stay() -> None:
    dialog = Dialog.from_request(their_request(extra=CONTACT + ROUTES), b"ours")
    before = asked(dialog, b"INFO")
    dialog.refresh_target(b"sip:bob@198.51.100.7")
    after = asked(dialog, b"INFO")
    assert after.uri == b"sip:bob@198.51.100.7"
    assert after.route_lines == before.route_lines
    dialog.refresh_target(b"sip:bob@198.51.100.7")
    assert asked(dialog, b"INFO").uri == b"sip:bob@198.51.100.7"


def test_sequence_numbers_only_grow() -> None:
    dialog = Dialog.from_request(their_request(cseq=10, extra=CONTACT), b"ours")
    dialog.check_request(their_request(b"INFO", 11))
    dialog.check_request(their_request(b"BYE", 400))  # gaps are legal
    for cseq in (9, 399, 400):
        with pytest.raises(RemoteProtocolError) as caught:
            dialog.check_request(their_request(b"BYE", cseq))
        assert caught.value.status == 500
    assert dialog.remote_cseq == 400


def test_the_first_request_towards_a_uac_sets_the_number() -> None:
    dialog = Dialog.from_response(our_invite(), their_response(extra=CONTACT))
    dialog.check_request(their_request(b"BYE", 0))
    assert dialog.remote_cseq == 0


def test_ack_and_cancel_bear_old_numbers_and_set_none() -> None:
    dialog = Dialog.from_request(their_request(cseq=10, extra=CONTACT), b"ours")
    dialog.check_request(their_request(b"UPDATE", 12))
    dialog.check_request(their_request(b"ACK", 10))
    dialog.check_request(their_request(b"CANCEL", 10))
    assert dialog.remote_cseq == 12


def test_a_route_set_that_cannot_be_read_is_a_parse_error_when_it_is_used() -> None:
    request = their_request(extra=CONTACT + b"Record-Route: <tel:1>\r\n")
    dialog = Dialog.from_request(request, b"ours")
    with pytest.raises(ParseError):
        asked(dialog, b"BYE")
    with pytest.raises(ParseError):
        dialog.next_hop_uri()
