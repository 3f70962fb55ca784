"""Short answers: to requests that belong to no call, and to INVITEs that become none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from policies.facts import Refuse
from policies.settings import TrunkSettings
from sbc.call.capabilities import head_for, options_head, unsupported
from sbc.call.cdr import Cause
from sbc.sip.message import Request
from sbc.sip.status import BYE, INFO, METHODS, NOTIFY, OPTIONS, PRACK, UPDATE
from sbc.sip.uri import OtherUri

__all__ = ["Refusal", "by_policy", "outside_dialog"]

_OF_A_DIALOG: Final = frozenset((BYE, PRACK, UPDATE, INFO, NOTIFY))
"""What means nothing outside a dialog."""


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
        return 501, head_for(trunk, initial=False)
    if method == OPTIONS:
        if isinstance(request.target, OtherUri):
            return 416, b""
        missing = unsupported(request, trunk)
        if missing:
            return 420, missing
        return (503, b"") if draining else (200, options_head(trunk))
    if method in _OF_A_DIALOG:
        return 481, b""
    return 405, head_for(trunk, initial=False)
