"""Which headers cross, and that no host of one side does (RFC 5853 §3.1, RFC 3323 §5.3)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.call.crossing.headers import Hide, crossing, party
from sbc.errors import ParseError
from sbc.sip.address import parse_name_addr
from sbc.sip.parser import parse
from sbc.sip.uri import parse_uri

HOST = b"192.0.2.1"
NAMES = frozenset(
    (
        b"p-asserted-identity",
        b"privacy",
        b"reason",
        b"diversion",
        b"history-info",
        b"user-to-user",
        b"alert-info",
        b"subject",
        b"accept-language",
        b"x-account",
    )
)


def message(*lines: bytes):
    return parse(
        b"INVITE sip:1@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1"
        b"\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n"
        b"Content-Length: 0\r\n" + b"".join([line + b"\r\n" for line in lines]) + b"\r\n"
    )


def crossed(*lines: str, hide: Hide | None = None) -> list[str]:
    made = message(*[line.encode() for line in lines])
    out = crossing(made, names=NAMES, hide=hide or Hide(), host=HOST)
    return out.decode().split("\r\n")[:-1]


def test_a_message_with_none_of_the_names_gives_nothing():
    assert crossing(message(b"X-Other: 1", b"User-Agent: x"), names=NAMES) == b""


def test_only_the_names_cross():
    assert crossed("X-Other: 1", "Server: x", "Subject: hello", "Record-Route: <sip:h>") == [
        "Subject: hello"
    ]


@pytest.mark.parametrize(
    "line",
    [
        "Privacy: id;critical",
        'Reason: Q.850;cause=16;text="Normal call clearing"',
        "Reason: SIP;cause=487, Q.850;cause=31",
        "User-to-User: 56a390f3d2b7310023a2;encoding=hex",
        "Alert-Info: <urn:alert:service:call-waiting>",
        "Subject: Order 1.0 for J.R. at 10:30, please",
        "Accept-Language: en-gb;q=0.8, nl",
        "X-Account: 12345",
        'P-Asserted-Identity: "Anonymous" <sip:anonymous@anonymous.invalid>',
        "P-Asserted-Identity: <tel:+31201234567>",
        "X-Account: a <b> \"c\" 'd'; e=f, g",
    ],
)
def test_what_holds_no_host_crosses_as_it_is(line):
    assert crossed(line) == [line]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            'P-Asserted-Identity: "Alice" <sip:+3120@10.66.1.1:5060;user=phone>, <tel:+31-20-12>',
            'P-Asserted-Identity: "Alice" <sip:+3120@192.0.2.1;user=phone>, <tel:+312012>',
        ),
        (
            "P-Asserted-Identity: sip:alice@pbx;maddr=pbx;x=1",
            "P-Asserted-Identity: <sip:alice@192.0.2.1>;x=1",
        ),
        (
            "Diversion: Bob <sips:bob:secret@pbx.internal>;reason=unconditional;counter=1",
            'Diversion: "Bob" <sip:bob@192.0.2.1>;reason=unconditional;counter=1',
        ),
        (
            "Diversion: <sip:bob@h;maddr=pbx;received=x;transport=tcp;gr=1;tgrp=a;trunk-context=b>",
            "Diversion: <sip:bob@192.0.2.1>",
        ),
        (
            "Diversion: <sip:12;phone-context=pbx.internal;isub=3@h>;host=pbx.internal;privacy=off",
            "Diversion: <sip:12;isub=3@192.0.2.1>;privacy=off",
        ),
        (
            "Diversion: <tel:12;phone-context=+31;ext=1>",
            "Diversion: <tel:12;phone-context=+31;ext=1>",
        ),
        (
            'Diversion: "pbx.internal" <sip:bob@pbx.internal>',
            "Diversion: <sip:bob@192.0.2.1>",
        ),
        (
            "Diversion: <sip:john.smith@pbx>, <sip:10.66.1.1@pbx>, <sip:bob%40pbx@h>",
            "Diversion: <sip:john.smith@192.0.2.1>, <sip:anonymous@192.0.2.1>, "
            "<sip:anonymous@192.0.2.1>",
        ),
        (
            "History-Info: <sip:bob@pbx?Reason=SIP%3Bcause%3D302&Route=x&Privacy=a%40pbx>;index=1",
            "History-Info: <sip:bob@192.0.2.1?Reason=SIP%3Bcause%3D302>;index=1",
        ),
        (
            "History-Info: <sip:b@[2001:db8:66::1]:5060>;index=1.1.1.1;mp=1, <mailto:b@p>",
            "History-Info: <sip:b@192.0.2.1>;index=1.1.1.1;mp=1",
        ),
        (
            'Reason: SIP;cause=503;text="pbx.internal is down", Q.850;cause=38',
            "Reason: SIP;cause=503, Q.850;cause=38",
        ),
        (
            'Reason: SIP;cause=404;text="no sip:bob@10.66.1.1:5060 here"',
            'Reason: SIP;cause=404;text="no sip:bob@192.0.2.1 here"',
        ),
        (
            "Alert-Info: <http://me:pw@127.0.0.1:80/moo.wav?x=1>;info=alert-autoanswer",
            "Alert-Info: <http://192.0.2.1/moo.wav?x=1>;info=alert-autoanswer",
        ),
        (
            "Alert-Info: <http://h/10.66.1.1/x>, <file:///pbx.internal/ring.wav>",
            "Alert-Info: <http://192.0.2.1>, <file://192.0.2.1>",
        ),
        ("Alert-Info: sip:pbx;MADDR=pbx;x=1", "Alert-Info: sip:192.0.2.1;x=1"),
        ("X-Account: <sip:me@pbx" + ";a" * 65 + ">", "X-Account: <sip:me@192.0.2.1>"),
        ("X-Account: sip:me@pbx;x=1 and 5", "X-Account: sip:me@192.0.2.1;x=1 and 5"),
        (
            "x-ACCOUNT: <sip:me@[fd00::1]>;y, sip:you@Anonymous.Invalid",
            "X-Account: <sip:me@192.0.2.1>;y, sip:you@anonymous.invalid",
        ),
    ],
)
def test_hosts_of_uris_become_ours(line, expected):
    assert crossed(line) == [expected]


@pytest.mark.parametrize(
    "line",
    [
        "Subject: meet at pbx.internal",
        "X-Account: 10.66.1.1",
        "X-Account: pbx:5060",
        "X-Account: bob@pbx",
        "X-Account: sip:bob@",
        "X-Account: SIP: pbx",
        "X-Account: sip:al ice@pbx",
        "X-Account: sip:a@b@pbx",
        "X-Account: sip:a@[2001:db8:66:0:1:2:3:4",
        "X-Account: pbx.internal://x",
        "X-Account: 1\x002",
        "User-to-User: 2001:db8:66::1",
        "Accept-Language: pbx.internal",
        "Diversion: <mailto:bob@pbx>",
        "Diversion: <sip:bob@pbx",
        'Diversion: "bob',
        'Reason: "SIP;cause=1',
        "Reason: " + ",".join(["SIP"] * 33),
        "Reason: SIP" + ";a" * 64,
        "X-Account: " + "sip:a@b " * 65,
    ],
)
def test_what_cannot_be_made_safe_does_not_cross(line):
    assert crossed(line) == []


@pytest.mark.parametrize(
    ("flag", "line", "leaked"),
    [
        ("uri_hosts", "Diversion: <sip:bob@pbx.internal>", "pbx.internal"),
        ("uri_params", "Diversion: <sip:bob@h;maddr=pbx.internal>", "pbx.internal"),
        ("uri_params", "History-Info: <sip:bob@h?Route=pbx.internal>;index=1", "pbx.internal"),
        ("display_names", 'Diversion: "pbx.internal" <sip:bob@h>', "pbx.internal"),
        ("other_text", "Subject: pbx.internal", "pbx.internal"),
        ("other_text", "Diversion: <sip:bob@h>;x=pbx.internal", "pbx.internal"),
        ("other_text", "Alert-Info: <http://h/pbx.internal>", "pbx.internal"),
    ],
)
def test_each_rule_can_be_switched_off_and_is_then_missed(flag, line, leaked):
    assert leaked not in "".join(crossed(line))
    assert leaked in "".join(crossed(line, hide=Hide()._replace(**{flag: False})))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'"Alice" <sip:+3120@pbx.internal>;tag=88', b'"Alice" <sip:+3120@192.0.2.1>;tag=t'),
        (b"<sip:alice@pbx:5060>", b"<sip:alice@192.0.2.1>;tag=t"),
        (b"sip:alice@pbx;tag=1", b"<sip:alice@192.0.2.1>;tag=t"),
        (
            b"Alice <sip:alice@pbx;transport=tcp;maddr=x>;tag=1;x=pbx.internal",
            b'"Alice" <sip:alice@192.0.2.1>;tag=t',
        ),
        (b"<sips:alice@pbx;user=phone>", b"<sip:alice@192.0.2.1;user=phone>;tag=t"),
        (b"<tel:+31-20-123>;tag=1", b"<sip:+3120123@192.0.2.1;user=phone>;tag=t"),
        (b"<sip:pbx.internal>", b"<sip:192.0.2.1>;tag=t"),
        (b"<urn:service:sos>", b"<sip:192.0.2.1>;tag=t"),
        (b'"pbx.internal" <sip:10.66.1.1@h>', b"<sip:anonymous@192.0.2.1>;tag=t"),
        (
            b'"Anonymous" <sip:anonymous@Anonymous.Invalid>;tag=1',
            b'"Anonymous" <sip:anonymous@anonymous.invalid>;tag=t',
        ),
        (b'"J.R. \\"X\\"" <sip:john.smith@h>', b'"J.R. \\"X\\"" <sip:john.smith@192.0.2.1>;tag=t'),
        (b"<nonsense>", b'"Anonymous" <sip:anonymous@anonymous.invalid>;tag=t'),
        (b"<sip:a@b", b'"Anonymous" <sip:anonymous@anonymous.invalid>;tag=t'),
    ],
)
def test_party(value, expected):
    assert party(value, HOST, b"t") == expected
    assert party(value, HOST) == expected.removesuffix(b";tag=t")


def test_party_without_the_rule_for_hosts():
    off = Hide(uri_hosts=False)
    assert party(b"<sip:a@pbx>;tag=1", HOST, b"t", off) == b"<sip:a@pbx>;tag=t"
    assert party(b'"pbx.internal" <sip:a@h>', HOST, b"", Hide(display_names=False)) == (
        b'"pbx.internal" <sip:a@192.0.2.1>'
    )


MARKERS = re.compile(rb"10[.]66[.]|2001:db8:66|inside[.]example|marker", re.IGNORECASE)
NAMED = ("10.66.3.4", "[2001:db8:66::9]", "[2001:db8:66:0:1:2:3:4]", "pbx.inside.example")
SINGLE = ("marker-pbx", "marker", "%6darker.inside.example")

_glue = st.text(alphabet="abc019 =;,:/-_<>\"'()[]@?&%+.", max_size=6)
_host = st.sampled_from(NAMED)
_uri_host = st.sampled_from(NAMED + SINGLE)
_uri = st.one_of(
    st.builds(
        "{}:{}{}{}{}".format,
        st.sampled_from(["sip", "sips", "SIP"]),
        st.sampled_from(
            ["", "bob@", "bob:marker@", "+31;phone-context=a.inside.example@", "a%40b@"]
        ),
        _uri_host,
        st.sampled_from(["", ":5060"]),
        st.sampled_from(
            ["", ";maddr=marker", ";x=10.66.1.1", ";lr", ";phone-context=inside.example;user=phone"]
        ),
    ),
    st.builds("sip:bob@{}?{}={}".format, _uri_host, st.sampled_from(["Route", "Reason"]), _host),
    st.builds("http://{}{}/{}".format, st.sampled_from(["", "u:marker@"]), _uri_host, _host),
    st.builds("tel:+31;phone-context={}".format, _host),
    st.builds("mailto:bob@{}".format, _uri_host),
)
_value = st.one_of(
    st.builds("{}{}{}".format, _glue, _host, _glue),
    st.builds("{}<{}>{}".format, st.sampled_from(["", "Bob ", '"Bob" ']), _uri, _glue),
    st.builds('"{}" <{}>;x="{}"'.format, _host, _uri, _host),
    st.builds('SIP;cause=1;text="{} {}"'.format, _uri, _glue),
    st.builds("{} {}".format, _uri, _glue),
)


@given(st.sampled_from(sorted(NAMES)), st.lists(_value, min_size=1, max_size=3))
def test_no_host_of_the_other_side_crosses(name, values):
    try:
        made = message(name + b": " + ", ".join(values).encode())
    except ParseError:
        return
    out = crossing(made, names=NAMES, host=HOST)
    assert not MARKERS.search(out)
    again = message(*out.split(b"\r\n")[:-1])
    assert again.names() <= made.names()


@given(st.one_of(_value, st.text(max_size=60)))
def test_a_party_is_always_a_name_addr_without_hosts_of_the_other_side(text):
    made = party(text.encode(), HOST, b"t")
    assert not MARKERS.search(made)
    address = parse_name_addr(made)
    assert address.params[b"tag"] == b"t"
    assert parse_uri(address.uri).host in (HOST, b"anonymous.invalid")


@given(st.sampled_from(sorted(NAMES)), st.binary(max_size=80))
def test_any_value_gives_lines_or_nothing(name, value):
    try:
        made = message(name + b": " + value)
    except ParseError:
        return
    crossing(made, names=NAMES, host=HOST)
    party(value, HOST, b"t")
