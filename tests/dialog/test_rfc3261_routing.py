"""Requests inside a dialog find their way: RFC 3261 §12.2.1.1, §16.12.1.2."""

from __future__ import annotations

import pytest

from sbc.dialog.route_set import route
from sbc.errors import ParseError

TARGET = b"sip:bob@10.1.1.2:5070;transport=tcp"


def test_without_routes_the_target_is_all() -> None:
    routing = route(TARGET, [])
    assert (routing.uri, routing.route_lines, routing.next_hop) == (TARGET, b"", TARGET)


def test_loose_routes_are_listed_and_the_first_is_the_next_hop() -> None:
    routing = route(TARGET, [b"<sip:p1.example;lr>", b'"P 2" <sip:p2.example;lr;x=y>;par=1'])
    assert routing.uri == TARGET
    assert routing.route_lines == (
        b'Route: <sip:p1.example;lr>\r\nRoute: "P 2" <sip:p2.example;lr;x=y>;par=1\r\n'
    )
    assert routing.next_hop == b"sip:p1.example;lr"


@pytest.mark.parametrize("flag", [b"lr", b"LR", b"lr=on", b"lr=true"])
def test_lr_in_every_form_is_loose(flag) -> None:
    assert route(TARGET, [b"<sip:p1.example;%b>" % flag]).uri == TARGET


def test_a_strict_first_route_becomes_the_request_uri_and_the_target_the_last_route() -> None:
    routing = route(TARGET, [b"<sip:p1.example;transport=udp>", b"<sip:p2.example;lr>"])
    assert routing.uri == b"sip:p1.example;transport=udp"
    assert routing.route_lines == (
        b"Route: <sip:p2.example;lr>\r\nRoute: <sip:bob@10.1.1.2:5070;transport=tcp>\r\n"
    )
    assert routing.next_hop == b"sip:p1.example;transport=udp"


def test_a_strict_route_loses_what_a_request_uri_may_not_have() -> None:
    strict = b"<sip:a;method=x@p1.example;Method=INVITE;ttl=3?Subject=hi>"
    routing = route(TARGET, [strict])
    assert routing.uri == b"sip:a;method=x@p1.example;ttl=3"
    assert routing.route_lines == b"Route: <%b>\r\n" % TARGET


def test_a_strict_route_without_user_loses_method_too() -> None:
    assert route(TARGET, [b"<sip:p1.example;method=BYE>"]).uri == b"sip:p1.example"


@pytest.mark.parametrize("bad", [b"<tel:+1234>", b"<sip:p1", b"<>"])
def test_a_route_that_leads_nowhere_is_a_parse_error(bad) -> None:
    with pytest.raises(ParseError):
        route(TARGET, [bad])
