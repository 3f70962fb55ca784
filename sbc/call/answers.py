"""Short answers: to requests that belong to no call, and to INVITEs that become none."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from policies.facts import Refuse
from policies.settings import TrunkSettings
from sbc.call.cdr import Cause
from sbc.call.crossing.parcel import ACCEPTED
from sbc.call.legs.capabilities import options_head, outside_head, refused_head, unsupported
from sbc.errors import ParseError, ProtocolError, RemoteProtocolError
from sbc.sdp.facts import UnsupportedMedia
from sbc.sip.message import Request
from sbc.sip.status import BYE, INFO, INVITE, METHODS, NOTIFY, OPTIONS, PRACK, UPDATE
from sbc.sip.uri import OtherUri

__all__ = ["Refusal", "by_policy", "fault_head", "help_head", "outside_dialog", "warning"]

_OF_A_DIALOG: Final = frozenset((BYE, PRACK, UPDATE, INFO, NOTIFY))
"""What means nothing outside a dialog."""
_WITH_SDP: Final = frozenset((INVITE, UPDATE, PRACK))
_ACCEPT_SDP: Final = b"Accept: application/sdp\r\n"
_UNQUOTABLE: Final = re.compile(r"[^ !#-\[\]-~]")
_MAX_WARNING: Final = 200


@dataclass(slots=True)
class Refusal:
    """Why an INVITE becomes no call."""

    status: int
    cause: Cause
    reason: str
    head: bytes = b""
    """Further header lines of the answer."""


def by_policy(decision: Refuse) -> Refusal:
    """The policy's refusal, for the record."""
    why = decision.why
    if why.rule == "routes":
        cause = Cause.NO_ROUTE
    elif ".limits." in why.rule:
        cause = Cause.LIMIT
    else:
        cause = Cause.REFUSED_BY_POLICY
    return Refusal(decision.status, cause, f"{why.rule}: {why.text}")


def outside_dialog(request: Request, trunk: TrunkSettings, draining: bool) -> tuple[int, bytes]:
    """Status and header lines for a request without a To-tag that is no INVITE, ACK or CANCEL."""
    method = request.method
    if method not in METHODS:
        return 501, outside_head(trunk)
    if method == OPTIONS:
        if isinstance(request.target, OtherUri):
            return 416, b""
        missing = unsupported(request, trunk)
        if missing:
            return 420, missing
        return (503, b"") if draining else (200, options_head(trunk))
    if method in _OF_A_DIALOG:
        return 481, b""
    return 405, refused_head(trunk, method, outside=True)


def help_head(status: int, method: bytes, trunk: TrunkSettings) -> bytes:
    """What a failure that crosses needs with it: a 405 an Allow, a 415 an Accept, both ours
    (RFC 3261 §21.4.6, §21.4.13)."""
    if status == 405:
        return refused_head(trunk, method)
    if status == 415:
        return _ACCEPT_SDP if method in _WITH_SDP else ACCEPTED
    return b""


def fault_head(error: ProtocolError, host: bytes) -> bytes:
    """Lines that help who has sent what we refuse: what we take, and what was wrong with it.

    A 415 has an Accept (RFC 3261 §21.4.13). The Warning (§20.43) speaks of the sender's own
    message alone: other faults may lie in what the other side's trunk allows.

    Args:
        host: ours, as the sender knows it.
    """
    head = _ACCEPT_SDP if error.status == 415 else b""
    if isinstance(error, (ParseError, RemoteProtocolError, UnsupportedMedia)):
        head += warning(host, error.detail)
    return head


def warning(host: bytes, text: str) -> bytes:
    """One line of text for who has sent something (RFC 3261 §20.43).

    Args:
        host: ours, as the sender knows it.
    """
    text = _UNQUOTABLE.sub("?", text[:_MAX_WARNING])
    return b'Warning: 399 %b "%b"\r\n' % (host, text.encode())
