"""Odd turns of calls that were once taken wrongly: each is here so that it stays mended."""

from __future__ import annotations

from typing import Any

import pytest

from policies.media import CodecSettings, Srtp, TrunkMedia
from sbc.sdp.lines import holds_key
from sbc.sip.message import Request, Response
from tests.call.lab import BACKUP, CARRIER, PBX, SDP_B, Lab, settings, statuses

OVER_IPV6 = SDP_B.replace(b"IN IP4 10.1.0.2", b"IN IP6 2001:db8::9")


def under(media: TrunkMedia) -> Lab:
    return Lab(settings({"pbx": {"media": media}}))


def early(lab: Lab, invite: Request, tag: str, **further: Any) -> Response:
    """A 183 of one fork, as the caller gets it."""
    lab.answer(invite, 183, tag=tag, body=SDP_B, **further)
    (response,) = [one for one in lab.take(PBX[0]) if isinstance(one, Response)]
    return response


def test_an_offer_to_who_made_none_keeps_to_the_rules_of_its_trunk() -> None:
    lab = under(TrunkMedia(srtp=Srtp.REQUIRED))
    lab.answer(lab.called(body=b""), 200, body=SDP_B)
    assert b" RTP/SAVP " in lab.take_one(PBX[0]).body

    lab = under(TrunkMedia(codecs=CodecSettings(allow=("PCMU",))))
    lab.answer(lab.called(body=b""), 200, body=SDP_B)
    assert b" RTP/AVP 0 101\r\n" in lab.take_one(PBX[0]).body


def test_nothing_is_left_of_a_refresh_that_only_rang() -> None:
    lab = Lab()
    timer = b"Session-Expires: 90;refresher=uac\r\nAllow: INVITE, ACK, BYE\r\n"
    lab.answer(lab.called(), 200, body=SDP_B, extra=b"Require: timer\r\n" + timer)
    success = lab.take_one(PBX[0])
    lab.give(lab.in_dialog(b"ACK", success, 1))
    refreshed = False
    for _ in range(100):
        lab.wait(1, 0.5)
        for one in lab.take(CARRIER[0]):
            if isinstance(one, Request) and one.method == b"INVITE":
                lab.answer(one, 183)
                refreshed = True
    assert refreshed

    lab.give(lab.in_dialog(b"BYE", success, 2))
    lab.wait(1, 0.5)
    lab.answer_removals()
    lab.wait(400, 5)

    assert lab.border.status()["transactions"] == 0


def test_an_answer_of_the_wrong_family_is_none_when_it_is_repeated_either() -> None:
    lab = Lab()
    invite = lab.called()
    lab.answer(invite, 183, body=SDP_B)
    lab.answer(invite, 183, body=OVER_IPV6)
    lab.take()

    lab.answer(invite, 200, body=OVER_IPV6)

    assert statuses(lab.take(PBX[0])) == [488]


def test_a_bye_in_a_dialog_that_is_left_already_gives_nothing_up() -> None:
    lab = Lab()
    invite = lab.called()
    first = early(lab, invite, "one")
    early(lab, invite, "two")

    for cseq in (2, 3):
        lab.give(lab.in_dialog(b"BYE", first, cseq))
        assert statuses(lab.take(PBX[0])) == [200]

    assert lab.border.status()["calls"] == 1


def test_a_bye_in_the_dialog_of_a_target_that_failed_leaves_the_next_one_ringing() -> None:
    lab = Lab()
    invite = lab.called()
    first = early(lab, invite, "one")
    lab.answer(invite, 503, tag="one")
    (again,) = [one for one in lab.take() if isinstance(one, Request) and one.method == b"INVITE"]
    for tag in ("x", "y"):
        early(lab, again, tag, source=BACKUP)

    lab.give(lab.in_dialog(b"BYE", first, 2))

    assert statuses(lab.take(PBX[0])) == [200]
    assert lab.border.status()["calls"] == 1


@pytest.mark.parametrize(
    "line",
    [b"a=Crypto:1 X Inline:SECRET", b"a=crypto:1 X", b"k=clear:SECRET", b"s=-\r\nk=base64:S"],
)
def test_no_spelling_of_a_key_is_kept(line: bytes) -> None:
    assert holds_key(line)
    assert not holds_key(b"a=key-mgmt:x\r\na=rtpmap:0 PCMU/8000")
