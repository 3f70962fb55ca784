"""Where digest authentication meets the border's messages: requests in, and refusals of ours."""

from __future__ import annotations

from typing import Final

from policies.settings import TrunkSettings
from sbc.call.answers import warning
from sbc.call.core import Core
from sbc.call.digest.challenge import Challenged, Shut
from sbc.call.digest.credentials import Signer
from sbc.call.in_dialog.passage import Passage
from sbc.call.legs.b_leg import BLeg
from sbc.call.refused import Refused
from sbc.call.transfer.rejoin import Rejoin
from sbc.sip.message import Response
from sbc.sip.serialise import ReplyBase
from sbc.transaction.hop import Hop
from sbc.transaction.machine import ServerTransaction

__all__ = ["answered", "refuse"]

_OTHER_URI: Final = "Authorization: uri= calls another user than the Request-URI"


def refuse(
    core: Core,
    refused: Refused,
    verdict: Challenged | Shut,
    reply: ReplyBase,
    txn: ServerTransaction,
    trunk: TrunkSettings,
    now: float,
) -> None:
    """Answer a request that does not prove who sends it."""
    head = b""
    if isinstance(verdict, Challenged):
        core.counters["auth_wrong" if verdict.wrong else "auth_asked"] += 1
        head = verdict.head
        fault = verdict.fault
        if fault is not None:
            refused.answer(fault, trunk, txn.hop, now)
            if fault.other_uri:  # whether the password fits or not, so it tells nothing about that
                head += warning(core.ends.of(txn.hop).host, _OTHER_URI)
    else:
        core.counters["auth_refused"] += 1
        if verdict.tell:
            user = verdict.user or "unknown"
            core.say(30, "auth.refused", "", trunk=trunk.name, source=txn.hop.host, user=user)
    data = reply.build(verdict.status, to_tag=b"%b.0" % core.mint.token(), head=head)
    core.layer.respond(txn, verdict.status, data, now)


def answered(core: Core, response: Response, hop: Hop, now: float) -> bool:
    """Whether a 401 or 407 was answered by sending the request again; else its user must hear it.

    The user hears what becomes of the new request as it would have of the old one.
    """
    txn = core.layer.awaiting(response, hop)
    request = None if txn is None else txn.request
    if txn is None or request is None or request.sender is None:
        return False
    signer: Signer = request.sender
    user, way = txn.user, txn.hop
    again = core.credentials.answer(request, response, signer.trunk, signer.next_cseq())
    if again is None:
        core.counters["credentials_refused"] += 1
        return False
    core.counters["credentials_given"] += 1
    core.layer.receive_response(response, hop, now)  # sends the ACK of an INVITE
    txn = core.layer.request(again, way, user, now)
    signer.sent(again, txn)
    if isinstance(user, BLeg):
        user.resent(again, txn)
    elif isinstance(user, Passage | Rejoin):
        user.resent(txn)
    return True
