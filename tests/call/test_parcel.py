"""What of a header crosses with a request that is no call, and what its identifiers become."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.settings import ReasonUse, TrunkSettings
from sbc.call.crossing import parcel
from sbc.call.crossing.seal import opened, other_name, seal
from sbc.errors import RemoteProtocolError
from sbc.ids import Mint
from sbc.sdp.hosts import holds_host
from tests.call.lab import Lab
from tests.call.messages import request, response

HOST = b"203.0.113.1"
MINT = Mint(b"k" * 32, 0, bytes)
CORE = Lab().border.core


def trunk(name: str, **changes: object) -> TrunkSettings:
    return TrunkSettings(name=name, realm=name, peers=(), sources=(), **changes)  # type: ignore[arg-type]


def crossed(line: bytes, method: bytes = b"SUBSCRIBE") -> bytes:
    """What becomes of one line."""
    return parcel.lines(CORE, request(line, method=method), method, trunk("a"), trunk("b"), HOST)


@pytest.mark.parametrize(
    ("line", "made"),
    [
        (b"Event: presence", b"Event: presence\r\n"),
        (b"o: presence.winfo;id=7", b"Event: presence.winfo;id=7\r\n"),
        (b"Event: reg;x=pbx.lan", b"Event: reg\r\n"),
        (b"Event: pbx.example.com", b""),
        (b"Event: 10.0.0.5", b""),
        (b"Expires: 3600;x=pbx.lan", b"Expires: 3600\r\n"),
        (b"Expires: soon", b""),
        (b"Min-Expires: 60", b"Min-Expires: 60\r\n"),
        (b"Allow-Events: dialog, pbx.lan, refer", b"Allow-Events: dialog, refer\r\n"),
        (
            b"Accept: application/vnd.3gpp.sms;q=0.7, */*, x/pbx.lan, text/plain;x=pbx.lan",
            b"Accept: application/vnd.3gpp.sms;q=0.7, */*, text/plain\r\n",
        ),
        (b"Accept: application/vnd.10.0.0.5", b""),
        (b'Event: "', b""),
        (b"Contact: <sip:a@10.0.0.5>", b""),
        (b"Organization: pbx", b""),
        (b"SIP-If-Match: x", b""),  # means nothing in a SUBSCRIBE
    ],
)
def test_each_line_has_its_rule(line: bytes, made: bytes) -> None:
    assert crossed(line) == made


def test_a_dialog_that_is_named_gets_another_name() -> None:
    made = crossed(b'Event: dialog;call-id="a@10.0.0.5";from-tag=x1;to-tag=x2')
    assert made.startswith(b"Event: dialog;call-id=")
    for secret in (b"10.0.0.5", b"x1", b"x2"):
        assert secret not in made


@pytest.mark.parametrize(
    ("line", "made"),
    [
        (b"active;expires=60", b"active;expires=60"),
        (b"terminated;reason=noresource;why=pbx", b"terminated;reason=noresource"),
        (b"terminated;retry-after=9", b"terminated;retry-after=9"),
        (b"active;reason=pbx.lan", b"active"),
    ],
)
def test_a_state_crosses_with_what_is_known_of_it(line: bytes, made: bytes) -> None:
    made_line = crossed(b"Subscription-State: " + line, b"NOTIFY")
    assert made_line == b"Subscription-State: %b\r\n" % made


def test_methods_have_lists_of_their_own() -> None:
    assert crossed(b"Event: presence", b"MESSAGE") == b""
    assert crossed(b"Date: Sun, 22 Nov 2026 10:00:00 GMT", b"MESSAGE")
    assert crossed(b"Date: Sun, 22 Nov 2026 10:00:00 GMT", b"X-PING") == b""
    assert crossed(b"Subject: hello", b"X-PING") == b"Subject: hello\r\n"


def test_a_failure_says_when_to_come_back() -> None:
    busy = response(480, b"Retry-After: 30 (at pbx.lan)")
    made = parcel.lines(CORE, busy, b"MESSAGE", trunk("a"), trunk("b"), HOST)
    assert made == b"Retry-After: 30\r\n"


def test_reasons_are_those_of_calls() -> None:
    line = b'Reason: Q.850;cause=17;text="busy"'
    stripped = trunk("b", reason=ReasonUse.STRIP)
    message = request(line, method=b"MESSAGE")
    assert b"Reason" in parcel.lines(CORE, message, b"MESSAGE", trunk("a"), trunk("b"), HOST)
    assert parcel.lines(CORE, message, b"MESSAGE", trunk("a"), stripped, HOST) == b""


@pytest.mark.parametrize(
    ("lines", "made"),
    [
        ((b"Content-Type: text/plain;charset=x",), b"Content-Type: text/plain;charset=x\r\n"),
        ((b"Content-Type: text/plain;x=pbx.lan",), b"Content-Type: text/plain\r\n"),
        (
            (b"Content-Type: text/plain", b"Content-Disposition: render;filename=a.pbx.lan"),
            b"Content-Disposition: render\r\nContent-Type: text/plain\r\n",
        ),
    ],
)
def test_a_body_takes_its_headers_along(lines: tuple[bytes, ...], made: bytes) -> None:
    message = request(*lines, method=b"MESSAGE", body=b"hello")
    assert parcel.contents(CORE, message, HOST) == (made, b"hello")


def test_what_is_packed_cannot_be_seen_and_does_not_cross() -> None:
    lines = (b"Content-Type: text/plain", b"Content-Encoding: gzip")
    message = request(*lines, method=b"MESSAGE", body=b"\x1f\x8b")
    assert parcel.contents(CORE, message, HOST) is None


def test_headers_of_a_body_that_is_not_there_stay() -> None:
    message = request(b"Content-Type: text/plain", method=b"MESSAGE")
    assert parcel.contents(CORE, message, HOST) == (b"", b"")


@pytest.mark.parametrize(
    ("value", "event"),
    [
        (b"dialog", (b"dialog", b"")),
        (b"Dialog; id = 7", (b"dialog", b"7")),
        (b"", None),
        (b";id=7", None),
        (None, None),
        (b'a;"', None),
    ],
)
def test_an_event_is_its_package_and_its_id(
    value: bytes | None, event: tuple[bytes, bytes] | None
) -> None:
    assert parcel.event_of(value) == event


@given(text=st.binary(max_size=256))
def test_a_sealed_text_is_opened_by_us_alone(text: bytes) -> None:
    sealed = seal(MINT, text)
    assert sealed.isalnum()
    assert opened(MINT, sealed) == text
    assert seal(MINT, text) == sealed
    assert opened(Mint(b"j" * 32, 0, bytes), sealed) != text or not text


@given(sealed=st.binary(max_size=80))
def test_nothing_else_can_be_opened(sealed: bytes) -> None:
    assert opened(MINT, sealed) is None or seal(MINT, opened(MINT, sealed) or b"") == sealed.lower()


def test_a_tag_that_is_too_long_does_not_cross() -> None:
    assert seal(MINT, b"x" * 257) == b""
    assert opened(MINT, b"0" * 10_000) is None
    with pytest.raises(RemoteProtocolError):
        crossed(b"SIP-If-Match: " + b"0" * 1_000, b"PUBLISH")


def test_another_name_is_no_proof_of_ours() -> None:
    body = b"s00" + b"0" * 20
    assert MINT.shard_of(body + other_name(MINT, body)) is None


@given(value=st.binary(max_size=120))
def test_no_value_lets_a_host_through(value: bytes) -> None:
    value = value.replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b"")
    for name in (b"Event", b"Accept", b"Allow-Events", b"Expires"):
        made = crossed(name + b": " + value).partition(b": ")[2]
        assert not holds_host(made.replace(HOST, b"").replace(b"vnd.", b"")) or b"vnd." in made
