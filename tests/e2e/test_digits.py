"""Digits in each mode arrive once each, in the mode of the other side; on both fast paths.

All pairs are up at the same time. baresip 1.0 sends telephone-events and reads both these and
application/dtmf-relay; what it cannot do is done by telephones of the tests' own.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.phone import Call, Phone, sdp
from tests.e2e.sides import INSIDE, OUTSIDE
from tests.e2e.tone import Media
from tests.support.baresip import Baresip
from tests.support.border import Border, Shape, until
from tests.support.capture import Capture

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

DIGITS = "159*#0"
CASES = {
    "events to info": ("auto", "info"),
    "events to events": ("auto", "rfc4733"),
    "events to info-digit": ("auto", "info-digit"),
    "info to events": ("info", "auto"),
    "info-digit to events": ("info-digit", "rfc4733"),
}
"""Name → what the trunks of the two sides say of digits."""


Heard = tuple[dict[str, Any], Border]


def name_of(case: str, side: str) -> str:
    return f"{case.replace(' ', '-')}-{side}"


def shape(fast_path: str) -> Shape:
    trunks: dict[str, Any] = {}
    routes = []
    for at, (case, (inside, outside)) in enumerate(CASES.items()):
        for side, network, way in (("inside", "127.0.1", inside), ("outside", "127.0.2", outside)):
            trunks[name_of(case, side)] = {
                "realm": side,
                "peers": [f"{network}.{12 + at}:5060"],
                "nat": "always",
                "latch": "any",
                "dtmf": way,
            }
        routes.append({"from": name_of(case, "inside"), "to": name_of(case, "outside")})
    relay = {"workers": 1, "fast_path": fast_path}
    return Shape(further={"trunks": trunks, "routes": routes, "relay": relay})


def soft_phone(folder: Path, case: str, side: str) -> Baresip:
    at, inside = list(CASES).index(case), side == "inside"
    network = "127.0.1" if inside else "127.0.2"
    first = 20_000 + 200 * at + 100 * (not inside)
    return Baresip(
        folder / name_of(case, side),
        (f"{network}.{12 + at}", 5060),
        user="alice" if inside else "100",
        domain=f"{INSIDE if inside else OUTSIDE}.example",
        proxy=(f"{network}.1", 5060),
        codec="PCMU",
        tone_hz=440 if inside else 1000,
        rtp_ports=(first, first + 90),
    )


def telephone(case: str, side: str) -> Phone:
    network, mark = ("127.0.1", INSIDE) if side == "inside" else ("127.0.2", OUTSIDE)
    at = list(CASES).index(case)
    return Phone((f"{network}.{12 + at}", 5060), mark, (f"{network}.1", 5060))


def talker(phone: Phone) -> Media:
    return Media(phone.host, 440, f"{phone.mark}@{phone.mark}.example")


def send_info(call: Call, digit: str, spelling: str) -> None:
    """One INFO, and its 200."""
    if spelling == "info":
        kind, body = "application/dtmf-relay", f"Signal={digit}\r\nDuration=160\r\n"
    else:
        kind, body = "application/dtmf", digit
    call.cseq += 1
    lines = call_lines(call, kind, body)
    call.phone.send(lines, call.phone.border)
    call.expect(lambda one: one.status == 200 and one.method == "INFO")


def call_lines(call: Call, kind: str, body: str) -> bytes:
    phone = call.phone
    via = f"{phone.host}:{phone.address[1]};branch=z9hG4bK-{phone.serial()};rport"
    lines = (
        f"INFO {call.target} SIP/2.0",
        f"Via: SIP/2.0/UDP {via}",
        f"From: {call.from_}",
        f"To: {call.to}",
        f"Call-ID: {call.call_id}",
        f"CSeq: {call.cseq} INFO",
        "Max-Forwards: 70",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
    )
    return ("\r\n".join((*lines, "", "")) + body).encode()


def infos(call: Call, for_s: float) -> list[str]:
    """Bodies of the INFOs that come; each is answered."""
    found: list[str] = []
    until_s = time.monotonic() + for_s
    while True:
        try:
            info = call.expect("INFO", max(0.0, until_s - time.monotonic()))
        except TimeoutError:
            return found
        call.respond(200, to=info)
        found.append(info.body.decode())


def by_info(log: str) -> str:
    """Digits that baresip has had in INFOs."""
    return "".join(re.findall(r"call: received DTMF: '(.)'", log))


def events(log: str, end: int) -> str:
    """Digits that it has had as telephone-events: that began, or that ended."""
    return "".join(re.findall(rf"^received event: '(.)' \(end={end}\)", log, re.M))


@pytest.fixture(scope="module", params=["python", pytest.param("native", marks=pytest.mark.native)])
def heard(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, recording: Capture
) -> Iterator[tuple[dict[str, Any], Border]]:
    """What each pair's other side has heard."""
    folder = tmp_path_factory.mktemp("digits")
    with ExitStack() as stack:
        border = stack.enter_context(Border(folder / "border", shape(request.param)))
        callers = {
            case: stack.enter_context(soft_phone(folder, case, "inside"))
            for case in CASES
            if case.startswith("events")
        }
        called = {
            case: stack.enter_context(soft_phone(folder, case, "outside"))
            for case in CASES
            if case != "events to info-digit"
        }
        desk = stack.enter_context(telephone("events to info-digit", "outside"))
        dialling = {
            case: stack.enter_context(telephone(case, "inside"))
            for case in ("info to events", "info-digit to events")
        }
        for phone in callers.values():
            phone.call("sip:100@127.0.1.1")
        answered = desk.answering()
        told, media = answered.invite.media(), stack.enter_context(talker(desk))
        answered.answer(sdp(media.host, media.port, OUTSIDE))
        media.talk_to(told)
        calls = {}
        for case, phone in dialling.items():
            media = stack.enter_context(talker(phone))
            calls[case] = phone.invite(body=sdp(media.host, media.port, INSIDE))
            media.talk_to(calls[case].establish().media())
        for phone in callers.values():
            phone.await_log("established")
        time.sleep(0.5)
        found: dict[str, Any] = {"events to info-digit": []}
        for digit in DIGITS:
            for phone in callers.values():
                phone.press(digit)
            for case, call in calls.items():
                send_info(call, digit, CASES[case][0])
            found["events to info-digit"] += infos(answered, 0.35)
        time.sleep(0.3)
        for case, phone in called.items():
            found[case] = phone.log()
        for phone in callers.values():
            phone.hang_up()
        for call in calls.values():
            call.hang_up()
        until(lambda: len(border.cdrs()) >= len(CASES), 5, "all records")
        yield found, border


def test_events_arrive_as_infos_in_the_spelling_of_the_other_side(heard: Heard) -> None:
    found, _ = heard
    assert found["events to info-digit"] == list(DIGITS)
    assert by_info(found["events to info"]) == DIGITS


@pytest.mark.parametrize("case", ["info to events", "info-digit to events", "events to events"])
def test_digits_arrive_as_events(heard: Heard, case: str) -> None:
    found, _ = heard
    assert events(found[case], end=0) == events(found[case], end=1) == DIGITS
    assert by_info(found[case]) == ""


def test_the_log_has_no_digits_and_the_record_no_loss(heard: Heard) -> None:
    _, border = heard
    lines = [line for line in border.log_text(1 << 20).splitlines() if "leg.digit" in line]
    assert len(lines) == len(DIGITS) * 4
    assert all(" digit=x " in line for line in lines)
    for record in border.cdrs():
        for stream in record["streams"]:
            assert stream["mos"] > 4.0, stream
            assert stream["loss"] < 0.05, stream
