"""A trunk that is ours, and hostile: where it would have us send, what it would have us hold."""

from __future__ import annotations

import pytest

from policies.settings import Redirect
from tests.call.lab import CARRIER, PBX, SDP_B, Lab, settings

ELSEWHERE = (
    b"10.0.0.1:5060",  # ourselves, inside
    b"10.1.0.1:5060",  # ourselves, where it stands
    b"10.1.0.1:9999;transport=tcp",
    b"10.0.0.2:5060",  # a peer inside
    b"127.0.0.1:5060",
    b"[::1]:5060",
    b"[::ffff:10.0.0.2]:5060",
    b"0.0.0.0:5060",
    b"224.0.0.1:5060",
)
"""What a peer outside has no business to name."""


class TestWhereAPeerIs:
    """RFC 3261 §12.2.1.1: it may say anything, and we stand in several networks."""

    @pytest.mark.parametrize("place", ELSEWHERE)
    def test_is_never_another_network_by_its_contact(self, place: bytes) -> None:
        lab = Lab()
        lab.answer(lab.called(), 200, body=SDP_B, contact=b"<sip:bob@%b>" % place)
        assert {hop.host for hop, _ in lab.sent} == {CARRIER[0], PBX[0]}
        lab.border.hangup(next(iter(lab.border.calls)), lab.now)
        assert {hop.host for hop, _ in lab.sent} == {CARRIER[0], PBX[0]}

    @pytest.mark.parametrize("place", ELSEWHERE)
    def test_is_never_another_network_by_a_route(self, place: bytes) -> None:
        lab = Lab()
        lab.answer(lab.called(), 200, body=SDP_B, extra=b"Record-Route: <sip:%b;lr>\r\n" % place)
        assert {hop.host for hop, _ in lab.sent} == {CARRIER[0], PBX[0]}

    def test_is_never_another_network_after_a_change(self) -> None:
        lab = Lab()
        _, invite = lab.connected()
        update = lab.in_dialog(b"UPDATE", invite, 5, source=CARRIER)
        lab.give(update.replace(b"<sip:peer@10.1.0.2:5060>", b"<sip:peer@10.0.0.2:5060>"), CARRIER)
        lab.take()
        lab.border.hangup(next(iter(lab.border.calls)), lab.now)
        assert [hop.realm for hop, _ in lab.sent if hop.host == PBX[0]] == ["inside"]
        assert lab.border.core.counters["target_refused"] == 1

    @pytest.mark.parametrize("place", [b"10.1.0.3:5060", b"10.1.0.77:5070", b"203.0.113.9"])
    def test_may_be_anywhere_in_its_own(self, place: bytes) -> None:
        lab = Lab()
        lab.answer(lab.called(), 200, body=SDP_B, contact=b"<sip:bob@%b>" % place)
        assert lab.take_one(place.partition(b":")[0].decode()).method == b"ACK"

    @pytest.mark.parametrize("place", ELSEWHERE)
    def test_is_never_another_network_by_a_redirection(self, place: bytes) -> None:
        lab = Lab(settings({"carrier": {"redirect": Redirect.FOLLOW}}))
        lab.answer(lab.called(), 302, contact=b"<sip:bob@%b>" % place)
        assert {hop.host for hop, _ in lab.sent} == {CARRIER[0], PBX[0]}
