"""Which headers of one side reach the other (SE-01): the list, the trunks' word, and trust."""

from __future__ import annotations

import pytest

from tests.call.lab import CARRIER, PBX, SDP_B, Lab, settings, statuses

IDENTITY = b"P-Asserted-Identity: <sip:+4930@pbx.example>\r\nPrivacy: id\r\n"


def test_what_is_not_on_the_list_stays() -> None:
    lab = Lab()
    extra = b"User-Agent: secret/1\r\nX-Account: 7\r\nWarning: 399 pbx x\r\nSupported: gruu\r\n"
    invite = lab.called(extra=extra)
    for name in (b"user-agent", b"x-account", b"warning", b"record-route"):
        assert invite.first(name) is None
    assert b"gruu" not in (invite.first(b"supported") or b"")


@pytest.mark.parametrize(
    "line",
    [
        b"Subject: order 17",
        b"Accept-Language: de",
        b'Reason: Q.850;cause=16;text="Normal"',
        b"User-to-User: 56a390f3;encoding=hex",
    ],
)
def test_what_is_on_the_list_crosses(line: bytes) -> None:
    name, _, value = line.partition(b": ")
    assert Lab().called(extra=line + b"\r\n").first(name.lower()) == value


@pytest.mark.parametrize("trunk", ["pbx", "carrier"])
def test_a_trunk_may_name_more(trunk: str) -> None:
    lab = Lab(settings({trunk: {"pass_headers": ("X-Account",)}}))
    invite = lab.called(extra=b"X-Account: 7\r\nX-Other: 8\r\n")
    assert invite.first(b"x-account") == b"7"
    assert invite.first(b"x-other") is None
    lab.answer(invite, 200, body=SDP_B, extra=b"X-Account: 9\r\n")
    assert lab.take(PBX[0])[0].first(b"x-account") == b"9"


@pytest.mark.parametrize(
    ("trusted", "crosses"), [((), False), (("pbx",), False), (("pbx", "carrier"), True)]
)
def test_an_asserted_identity_stays_in_the_trust_domain(
    trusted: tuple[str, ...], crosses: bool
) -> None:
    lab = Lab(settings({name: {"trusted": True} for name in trusted}))
    invite = lab.called(extra=IDENTITY)
    asserted = invite.first(b"p-asserted-identity")
    assert asserted == (b"<sip:+4930@10.1.0.1>" if crosses else None)
    assert (invite.first(b"privacy") is not None) is crosses


def test_a_reason_goes_along_with_its_bye_and_its_failure() -> None:
    lab = Lab()
    success, _ = lab.connected()
    bye = lab.in_dialog(b"BYE", success, 2)
    lab.give(bye.replace(b"Max-Forwards", b"Reason: Q.850;cause=16\r\nMax-Forwards"))
    assert lab.take_one(CARRIER[0]).first(b"reason") == b"Q.850;cause=16"
    other = Lab()
    other.answer(other.called(), 486, extra=b"Reason: Q.850;cause=17\r\n")
    failure = other.take(PBX[0])
    assert statuses(failure) == [486]
    assert failure[0].first(b"reason") == b"Q.850;cause=17"
