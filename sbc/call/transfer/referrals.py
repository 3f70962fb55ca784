"""Transfers that the other side makes: a REFER goes across, and its news come back.

`Refer-To` names our address on the leg that it goes to, with the user part of the transferor's: the
INVITE that follows comes to us, and is routed as any other. A Replaces in it names a dialog of the
transferor's with us, which the other side has never heard of; in its place stands a name that only
we can read (`pointer`), and whoever shows us that takes the transferor's place in that call.
"""

from __future__ import annotations

import re
from typing import Final

from sbc.call.call import Call
from sbc.call.core import Core
from sbc.call.crossing.headers import crossing, user_part
from sbc.call.crossing.parcel import contents, event_of
from sbc.call.crossing.seal import other_name
from sbc.call.in_dialog.passage import Passage
from sbc.call.legs.leg import Leg
from sbc.call.transfer.refer import Referral, Replaces, named
from sbc.errors import ProtocolError
from sbc.ids import Token
from sbc.sip.grammar import decimal
from sbc.sip.message import Request
from sbc.sip.serialise import ReplyBase
from sbc.sip.status import NOTIFY, REFER
from sbc.transaction.machine import ServerTransaction

__all__ = ["notified", "pass_on", "pointed_at"]

_MOST_KEPT: Final = 4
"""REFERs of one call whose news can still be told apart."""
_MOST_CSEQ: Final = 2**32 - 1
_ALONG: Final = frozenset((b"referred-by",))
_STATE: Final = re.compile(rb"(active|pending|terminated)(?=[;\s]|\Z)(?:[^;]*;\s*expires=(\d+))?")
_STATUS: Final = re.compile(rb"SIP/2\.0 ([1-6][0-9]{2}) ")


def pass_on(
    call: Call,
    leg: Leg,
    referral: Referral,
    request: Request,
    reply: ReplyBase,
    txn: ServerTransaction,
    now: float,
) -> None:
    """A REFER of `leg`'s peer to the other side, which answers it.

    Raises:
        ProtocolError: 481 for a Replaces that names no call of ours and the transferor's.
    """
    core, other, road = call.core, call.other(leg), call.road
    behind = b""
    if referral.replaces is not None:
        there = named(core, referral.replaces)
        owner = None if there is None else there.owner
        if there is None or not isinstance(owner, Call) or there.trunk is not leg.trunk:
            raise ProtocolError("no such dialog as in Replaces", status=481)
        behind = b"?Replaces=" + _pointer(core, owner.other(there))
    uri = other.end.contact(Token(user_part(referral.user)))[len(b"Contact: <") : -len(b">\r\n")]
    head = other.end.contact(other.token) + b"Refer-To: <%b%b>\r\n" % (uri, behind)
    if not referral.notify:
        head += b"Refer-Sub: false\r\n"
    head += crossing(request, names=_ALONG, hide=core.hide, host=other.end.host)
    passage = Passage(road, leg, other, request, reply, txn)
    road.open.append(passage)
    txn.user = passage
    passage.ask(REFER, head, b"", now)
    call.record.transfer = (leg.side, referral.number.decode("utf-8", "replace"), None)
    dialog = other.dialog
    if dialog is not None:
        road.referrals[dialog.local_cseq] = request.cseq
        if len(road.referrals) > _MOST_KEPT:
            del road.referrals[min(road.referrals)]


def notified(
    call: Call, leg: Leg, request: Request, reply: ReplyBase, txn: ServerTransaction, now: float
) -> None:
    """News of a REFER that went across, for who has sent that: the status line alone.

    What else is notified within a call goes across where the trunk's `methods` has it; where not,
    it belongs to no subscription of ours: 481.
    """
    core, other, road = call.core, call.other(leg), call.road
    event = event_of(request.first(b"event"))
    state = _STATE.match((request.first(b"subscription-state") or b"").strip().lower())
    ours = event is not None and event[0].lower() == b"refer"
    if not ours and "NOTIFY" in leg.trunk.pass_methods:
        road.received(leg, request, reply, txn, now)
        return
    if event is None or not ours or not road.referrals:
        leg.respond(txn, reply, 481, b"", now)
        return
    content = contents(core, request, other.end.host)
    if content is None or state is None or not other.is_there:
        status = 481 if not other.is_there else 400 if state is None else 415
        leg.respond(txn, reply, status, b"", now)
        return
    content_head, body = content
    number = decimal(event[1], _MOST_CSEQ)
    theirs = None if number is None else road.referrals.get(number)
    head = other.end.contact(other.token) + b"Event: refer%b\r\nSubscription-State: %b%b\r\n" % (
        b"" if theirs is None else b";id=%d" % theirs,
        state[1],
        b";expires=" + state[2][:9] if state[2] and state[1] != b"terminated" else b"",
    )
    status_line = _STATUS.match(body)
    if status_line is not None and call.record.transfer is not None:
        by, to, _ = call.record.transfer
        call.record.transfer = (by, to, int(status_line[1]))
    passage = Passage(road, leg, other, request, reply, txn)
    road.open.append(passage)
    txn.user = passage
    passage.ask(NOTIFY, head + content_head, body, now)


def pointed_at(core: Core, replaces: Replaces) -> Leg | None:
    """The leg of who stays, if a Replaces shows a name that `pass_on` has given away."""
    leg = core.dialogs.get(replaces.to_tag)
    if not isinstance(leg, Leg) or leg.dialog is None or leg.over:
        return None
    return leg if replaces.from_tag == _proof(core, replaces.to_tag) else None


def _pointer(core: Core, stays: Leg) -> bytes:
    """Names a dialog of ours so that nobody learns who is in it; escaped for a URI."""
    if stays.dialog is None:
        raise ProtocolError("no such dialog as in Replaces", status=481)
    tag = stays.dialog.local_tag
    return b"%b%%3Bto-tag%%3D%b%%3Bfrom-tag%%3D%b" % (stays.token, tag, _proof(core, tag))


def _proof(core: Core, tag: bytes) -> bytes:
    return other_name(core.mint, b"replaces\0" + tag)
